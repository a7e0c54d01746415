"""What goes over the wire: the statements of one transaction in one write, their answers in one read.

psycopg's own pipeline writes each statement by itself and looks for answers in between: five waits, and 220 µs of
Python for a statement that is told who asks. Here it is one wait. All of it is libpq, by the parts that psycopg has
for it (docs/decisions/0023).
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import generators, pq
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Wait

from app.db.statement import Statement

# What is kept prepared on a connection; past it all of it is forgotten. Few connections ever see so many.
PREPARED_MAX = 400

# libpq reads 16 KB at a time, and a socket holds some 200. Each wait is a turn of the loop: 10 ms in a full house.
READS_A_WAIT = 16

_FORGET = b"DEALLOCATE ALL"

# A statement and its values.
Asked = tuple[Statement[Any], Mapping[str, Any]]


@dataclass(slots=True)
class Answer:
    """What the last statement of a transaction found, and how many rows it touched."""

    rows: list[tuple[Any, ...]]
    rowcount: int


@dataclass(slots=True)
class _Call:
    """One statement on its way; it is prepared first if it is new to the connection."""

    name: bytes
    text: bytes
    is_new: bool
    values: Sequence[Any]
    types: tuple[int, ...]
    formats: Sequence[pq.Format]


class Wire:
    """Runs statements on a connection, and knows what is prepared on it."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        # Kept, because it finds out once how a type is written and read.
        self._adapted = Transformer(connection)
        # By text and types of the values, by which PostgreSQL resolves what is not cast.
        self._names: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._numbers = itertools.count()

    async def fly(self, *statements: Asked) -> Answer:
        """Run them as one transaction, or as a part of the one that is open. Raises `psycopg.Error`."""
        [answer] = await self.fly_as_one([statements])
        if isinstance(answer, psycopg.Error):
            raise answer
        return answer

    async def fly_as_one(self, parts: Sequence[Sequence[Asked]]) -> list[Answer | psycopg.Error]:
        """Run all parts as one transaction: what each found, up to the first that failed.

        PostgreSQL begins, commits and answers once. After a failure nothing is kept, and what was read
        before it holds all the same.
        """
        if len(self._names) > PREPARED_MAX:
            await self._connection.execute(_FORGET)
            self._names.clear()
        sent = [[self._call(*asked) for asked in part] for part in parts]
        told, broken = await self._connection.wait(self._exchange([call for calls in sent for call in calls]))
        answers = iter(told)
        found: list[Answer | psycopg.Error] = []
        for calls in sent:
            found.append(answer := self._answer(calls, answers, broken))
            if isinstance(answer, psycopg.Error):
                return found
        late = next(answers, None)
        if late is not None and late.status == pq.ExecStatus.FATAL_ERROR:
            # The COMMIT failed.
            found[-1] = error_from_result(late, self._connection.info.encoding)
        return found

    def _call(self, statement: Statement[Any], values: Mapping[str, Any]) -> _Call:
        bound = statement.bind(values)
        given = [bound[name] for name in statement.order]
        written = self._adapted.dump_sequence(given, [PyFormat.AUTO] * len(given))
        types = self._adapted.types or ()
        known = self._names.get((statement.numbered, types))
        name = known or b"s%d" % next(self._numbers)
        return _Call(name, statement.numbered, known is None, written, types, self._adapted.formats or ())

    def _exchange(self, calls: Sequence[_Call]) -> PQGen[tuple[list[PGresult], psycopg.Error | None]]:
        """All answers, and why there are no more of them, if the connection broke.

        However it ends, the connection is ready for the next flight, or of no more use.
        """
        pgconn = self._connection.pgconn
        answers: list[PGresult] = []
        pgconn.enter_pipeline_mode()
        try:
            for call in calls:
                if call.is_new:
                    pgconn.send_prepare(call.name, call.text, call.types)
                # Binary: neither PostgreSQL nor we spell and read a time or an id, of which a page has 150.
                pgconn.send_query_prepared(call.name, call.values, call.formats, pq.Format.BINARY)
            pgconn.pipeline_sync()
            yield from generators.send(pgconn)
            while True:
                yield from _received(pgconn)
                told = yield from generators.fetch_many(pgconn)
                if not told:
                    raise psycopg.OperationalError("no answer, and no end of them")
                if told[0].status == pq.ExecStatus.PIPELINE_SYNC:
                    return answers, None
                answers += told
        except psycopg.OperationalError as error:
            # A transaction is committed by its Sync: what was answered before is not yet. But PostgreSQL may have said
            # why it hung up.
            return [answer for answer in answers if answer.status == pq.ExecStatus.FATAL_ERROR], error
        finally:
            with suppress(psycopg.OperationalError):
                pgconn.exit_pipeline_mode()

    def _answer(
        self, calls: Iterable[_Call], answers: Iterator[PGresult], broken: psycopg.Error | None
    ) -> Answer | psycopg.Error:
        """What became of one part. What was prepared is known from now on, whether or not it ran."""
        result: PGresult | None = None
        for call in calls:
            for is_prepared in (True, False) if call.is_new else (False,):
                result = next(answers, None)
                if result is None:
                    assert broken is not None, "an answer for each call"
                    return broken
                if result.status == pq.ExecStatus.FATAL_ERROR:
                    # Also of a connection that broke: PostgreSQL may have said why before it hung up.
                    return error_from_result(result, self._connection.info.encoding)
                if is_prepared:
                    self._names[call.text, call.types] = call.name
        assert result is not None, "a part has a statement"
        self._adapted.set_pgresult(result)
        return Answer(self._adapted.load_rows(0, result.ntuples, tuple), result.command_tuples or 0)


def _received(pgconn: PGconn) -> PQGen[None]:
    """Wait for the next result, and take what is there of it each time."""
    while pgconn.is_busy():
        yield Wait.R
        for _ in range(READS_A_WAIT):
            pgconn.consume_input()
            if not pgconn.is_busy():
                return
