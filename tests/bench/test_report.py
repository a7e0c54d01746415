"""The report from figures that a counter made up: each of them must be in it, and nothing from outside."""

import dataclasses
import html
import json
import re
import types
import typing
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import count
from typing import Any

import pytest

from app.bench.bound import Bound, number
from app.bench.latency import Latency
from app.bench.machine import Machine
from app.bench.report.page import page
from app.bench.scale import FULL, QUICK, Scale
from app.bench.suite import SCENARIOS, Findings, Options

VOID = {"meta", "line", "polyline", "circle", "rect", "br", "link"}


def filled(kind: Any, numbers: Iterator[int]) -> Any:
    """A value of this type with numbers that no other place has."""
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        values = {field.name: filled(hints[field.name], numbers) for field in dataclasses.fields(kind)}
        return kind(**values)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        return [filled(inner[0], numbers) for _ in range(3)]
    if origin is tuple:
        return (0.5, float(next(numbers)))
    if origin is dict:
        return {"201": next(numbers)} if inner[1] is int else {"name": "1.0"}
    if origin is types.UnionType:
        return filled(inner[0], numbers)
    return {int: next, float: lambda one: next(one) + 0.25, str: lambda one: f"word-{next(one)}"}.get(
        kind, lambda _: False
    )(numbers)


def findings(scale: Scale, names: list[str]) -> Findings:
    numbers = count(1001)
    found = Findings(Options(scale, 2, tuple(names)), filled(Machine, numbers), datetime(2030, 1, 31, tzinfo=UTC))
    for name in names:
        scenario = SCENARIOS[name]
        result = filled(typing.get_type_hints(scenario.measure)["return"], numbers)
        found.results[name] = result
        found.bounds += scenario.bounds(result)
    return found


@pytest.fixture(scope="module")
def whole() -> Findings:
    return findings(FULL, list(SCENARIOS))


class Balanced(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.links += [value for name, value in attrs if name in {"href", "src"} and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def parsed(document: str) -> Balanced:
    parser = Balanced()
    parser.feed(document)
    parser.close()
    assert parser.open == []
    return parser


def test_page_is_whole_and_its_links_lead_somewhere(whole: Findings) -> None:
    found = parsed(page(whole))
    assert set(found.links) == {f"#{name}" for name in found.ids}
    assert len(found.ids) == len(set(found.ids)) == len(SCENARIOS) + 2


def test_page_needs_nothing_from_outside(whole: Findings) -> None:
    assert not re.findall(r"https?://|//[a-z]|@import|url\(|<script|<link|<img", page(whole))


def test_page_shows_every_bound_with_its_verdict(whole: Findings) -> None:
    rows = re.findall(r"<tr><td[^>]*>(PASS|MISSED)</td>(.*?)</tr>", page(whole))
    assert len(rows) == len(whole.bounds)
    for bound, (verdict, row) in zip(whole.bounds, rows, strict=True):
        assert verdict == ("PASS" if bound.is_met else "MISSED")
        for text in (bound.name, bound.measured_text, bound.limit_text, bound.scenario):
            assert escaped(text) in row


def escaped(text: str) -> str:
    return html.escape(text)


def test_page_shows_every_latency_and_what_it_was_measured_on(whole: Findings) -> None:
    shown = page(whole)
    for latency in latencies(list(whole.results.values())):
        assert number(latency.p95) in shown or f"{latency.p95:.2f}" in shown
    for fact in (whole.machine.cpu, whole.machine.kernel, whole.machine.commit, whole.machine.postgresql):
        assert fact in shown


def latencies(value: Any) -> Iterator[Latency]:
    if isinstance(value, Latency):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from latencies(one)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from latencies(getattr(value, field.name))


def test_json_has_the_same_figures(whole: Findings) -> None:
    document = json.loads(whole.as_json())
    assert document["results"].keys() == SCENARIOS.keys()
    assert document["results"]["storm"]["slower"] == whole.results["storm"].slower
    assert [bound["is_met"] for bound in document["bounds"]] == [bound.is_met for bound in whole.bounds]


@pytest.mark.parametrize("name", SCENARIOS)
def test_page_is_whole_with_one_scenario_alone(name: str) -> None:
    assert name in parsed(page(findings(FULL, [name]))).ids


def test_names_that_look_like_markup_stay_text(whole: Findings) -> None:
    bad = dataclasses.replace(whole.machine, cpu="<b>&")
    told = dataclasses.replace(whole, machine=bad)
    assert "&lt;b&gt;&amp;" in page(told)
    assert "<b>&" not in page(told)


def test_quick_run_fails_for_correctness_and_not_for_time() -> None:
    found = findings(QUICK, [])
    found.bounds = [
        Bound("storm", "slow", 3, "≤", 2),
        Bound("town", "doubles", 1, "=", 0, is_timed=False),
    ]
    assert [bound.name for bound in found.missed] == ["doubles"]
    assert found.bounds[0].verdict(is_quick=True) == "TOLD"
    assert "TOLD" in page(found)
