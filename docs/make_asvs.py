"""Writes `docs/asvs.md` from `docs/asvs.toml`: `python docs/make_asvs.py`. A test compares the two."""

import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).with_name("asvs.toml")
PAGE = Path(__file__).with_name("asvs.md")
STATES = {
    "tested": "a test shows it",
    "noted": "met; the note says where",
    "open": "not met, or not wholly",
    "outside": "of whoever runs it or writes a client, or about what is not there",
}
CHAPTERS = {
    1: "Encoding and sanitization", 2: "Validation and business logic", 3: "Web frontend", 4: "API and web service",
    5: "Files", 6: "Authentication", 7: "Sessions", 8: "Authorization", 9: "Self-contained tokens",
    10: "OAuth and OIDC", 11: "Cryptography", 12: "Secure communication", 13: "Configuration", 14: "Data protection",
    15: "Secure coding and architecture", 16: "Logging and error handling", 17: "WebRTC",
}  # fmt: skip
HEAD = """\
# OWASP ASVS 5.0

Made from `docs/asvs.toml` by `docs/make_asvs.py`; change it there. Every requirement of levels 1 and 2 of the
[OWASP Application Security Verification Standard 5.0.0](https://github.com/OWASP/ASVS/tree/v5.0.0/5.0), which is
published under CC BY-SA 4.0. The numbers are the standard's; what each asks is told in a few words of our own, so read
it there. Nobody but us has verified this. Level 3 is not claimed.

"""
_TEST = re.compile(r"([a-z]+/test_\w+)::(test_\w+)")


class Requirement(NamedTuple):
    """One of levels 1 and 2."""

    number: str
    level: int
    asks: str
    state: str
    evidence: list[str]

    @property
    def chapter(self) -> int:
        return int(self.number.split(".")[0])

    @property
    def tests(self) -> list[tuple[str, str]]:
        """The file and the function of each."""
        found = [_TEST.fullmatch(words) for words in self.evidence]
        return [(f"tests/{match[1]}.py", match[2]) for match in found if match]

    @property
    def notes(self) -> list[str]:
        return [words for words in self.evidence if not _TEST.fullmatch(words)]


def requirements() -> list[Requirement]:
    """All of them, in the order of their numbers."""
    table = tomllib.loads(TABLE.read_text())
    found = [
        Requirement(number, level, asks, state, evidence)
        for number, (level, asks, state, *evidence) in table["requirements"].items()
    ]
    for why, members in table["not_applicable"].values():
        for member in members.split():
            number, level = member.split(":")
            found.append(Requirement(number, int(level), "", "outside", [why]))
    return sorted(found, key=lambda one: tuple(map(int, one.number.split("."))))


def beyond() -> list[str]:
    """The numbers of level 3."""
    return str(tomllib.loads(TABLE.read_text())["level_3"]).split()


def page() -> str:
    """The whole page, the same for the same table."""
    found = requirements()
    return HEAD + _summary(found) + "".join(_chapter(number, found) for number in CHAPTERS)


def _summary(found: list[Requirement]) -> str:
    counted = Counter((one.state, one.level) for one in found)
    rows = [
        f"| {state} | {counted[state, 1]} | {counted[state, 2]} | {meaning} |\n" for state, meaning in STATES.items()
    ]
    total = Counter(one.level for one in found)
    head = "| | Level 1 | Level 2 | |\n|---|---|---|---|\n"
    return f"{head}{''.join(rows)}| all | {total[1]} | {total[2]} | |\n"


def _chapter(number: int, found: list[Requirement]) -> str:
    rows = "".join(_row(one) for one in found if one.chapter == number and one.asks)
    absent: dict[str, list[str]] = {}
    for one in found:
        if one.chapter == number and not one.asks:
            absent.setdefault(one.evidence[0], []).append(one.number)
    lines = [f"\nOutside: {', '.join(numbers)}: {why}.\n" for why, numbers in absent.items()]
    table = f"\n| | Level | Asks | State | Shown by |\n|---|---|---|---|---|\n{rows}" if rows else ""
    return f"\n## V{number} {CHAPTERS[number]}\n{table}{''.join(lines)}"


def _row(one: Requirement) -> str:
    tests = [f"`{path}` {function.removeprefix('test_')}" for path, function in one.tests]
    return f"| {one.number} | {one.level} | {one.asks} | {one.state} | {' · '.join([*one.notes, *tests])} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
