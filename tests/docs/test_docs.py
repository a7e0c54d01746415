"""The documents name what there is, and nothing else."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
from starlette.testclient import TestClient
from typer.core import TyperGroup

from app.cli import cli
from tests.contract import document

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
LOGGING = (ROOT / "docs/logging.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
SOURCES = sorted((ROOT / "app").rglob("*.py"))
# No operation of the document can be asked with a method that it does not have.
NEVER_DOCUMENTED = {"method_not_allowed"}
# A verb, not an option.
WORD = "[a-z]+(?:-[a-z]+)*"
METHODS = "GET|POST|PATCH|PUT|DELETE"
NAMES_OF_CONSTRAINTS = re.compile(r"`((?:uq|ex|ck|fk|pk|tr)_\w+)`")


def section(page: str, heading: str) -> str:
    """What stands below a heading, down to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#+ |\Z)", page, flags=re.MULTILINE | re.DOTALL)
    assert found, f"there is no section {heading!r}"
    return found[1]


def rows(table: str) -> list[str]:
    """The first cell of each row of a table."""
    return re.findall(r"^\| (`.+?`|[^|]+?) \|", table, flags=re.MULTILINE)


@cache
def verbs() -> frozenset[str]:
    """Every verb of the command line, with its noun: `telemed user create`."""

    def below(command: Any, path: str) -> set[str]:
        if not isinstance(command, TyperGroup):
            return {path}
        return {verb for name, child in command.commands.items() for verb in below(child, f"{path} {name}")}

    return frozenset(below(typer.main.get_command(cli), "telemed"))


def test_readme_lists_every_verb_of_the_command_line_and_no_other() -> None:
    listed = [row.strip("`") for row in rows(section(README, "The command line")) if row.startswith("`telemed")]
    assert sorted("".join(re.findall(rf"^telemed(?: {WORD})+", row)) for row in listed) == sorted(verbs())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_mention_no_verb_that_does_not_exist(page: Path) -> None:
    for mention in re.findall(rf"(?:`|^|api )(telemed {WORD}(?: {WORD})?)", page.read_text(), flags=re.MULTILINE):
        assert mention in verbs() or " ".join(mention.split()[:2]) in verbs(), mention


def test_readme_lists_every_endpoint_and_no_other(client: TestClient) -> None:
    paths = document(client)["paths"]
    existing = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    listed = [row.strip("`") for row in rows(section(README, "Core API endpoints")) if row.startswith("`")]
    assert sorted(listed) == sorted(existing)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_mention_no_endpoint_that_does_not_exist(page: Path, client: TestClient) -> None:
    paths = document(client)["paths"]
    for method, path in re.findall(rf"`({METHODS}) (/[^`?\s]*)", page.read_text()):
        assert method.lower() in paths.get(path, {}), f"{method} {path}"


def test_readme_lists_every_error_code_and_no_other(client: TestClient) -> None:
    listed = re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\| \d.*", section(README, "Errors"), flags=re.MULTILINE)))
    assert sorted(listed) == sorted(documented_codes(document(client)) | NEVER_DOCUMENTED)


def test_readme_puts_every_error_code_under_its_status(client: TestClient) -> None:
    statuses = status_of_code(document(client))
    for line in re.findall(r"^\| \d.*", section(README, "Errors"), flags=re.MULTILINE):
        numbers, codes = line.strip("| ").split(" | ")
        for code in set(re.findall(r"`([a-z_]+)`", codes)) - NEVER_DOCUMENTED:
            assert statuses[code] in numbers.split(", "), code


def documented_codes(openapi: dict[str, Any]) -> set[str]:
    return set(status_of_code(openapi))


def status_of_code(openapi: dict[str, Any]) -> dict[str, str]:
    """Each problem code of the document with its status."""
    found = {}
    for methods in openapi["paths"].values():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                for code in answer.get("content", {}).get("application/problem+json", {}).get("examples", {}):
                    found[code] = status
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, heading = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), flags=re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", text).lower().replace(" ", "-") for text in headings}, target


def test_paths_named_in_the_pages_exist() -> None:
    for page in PAGES:
        for path in re.findall(r"`((?:app|tests|docs|deploy)/[\w./-]+?)(?::[\w.]+)?`", page.read_text()):
            assert (ROOT / path).exists(), f"{page.name}: {path}"


def test_functions_named_in_the_pages_exist() -> None:
    for page in PAGES:
        for path, name in re.findall(r"`(app/[\w./]+\.py):([\w.]+)`", page.read_text()):
            assert name in functions_of(ROOT / path), f"{page.name}: {path}:{name}"


@cache
def functions_of(path: Path) -> frozenset[str]:
    """The functions, classes and methods that a file defines."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{part.name}" for part in node.body if hasattr(part, "name")}
    return frozenset(names)


def test_constraints_named_in_the_pages_exist() -> None:
    migrations = "".join(path.read_text() for path in (ROOT / "app/db/migrations/versions").glob("*.py"))
    for page in PAGES:
        for name in NAMES_OF_CONSTRAINTS.findall(page.read_text()):
            assert re.search(rf"\b{name}\b", migrations), f"{page.name}: {name}"


def test_architecture_lists_every_room() -> None:
    rooms = {f"`app/{path.name}/`" for path in (ROOT / "app").iterdir() if (path / "__init__.py").exists()}
    listed = set(rows(section(ARCHITECTURE, "Map of the rooms")))
    assert rooms <= listed
    assert {path for path in listed - rooms if not path.startswith("`app/")} <= {"Room", "---"}


def test_readme_and_architecture_list_every_table() -> None:
    migrations = "".join(path.read_text() for path in (ROOT / "app/db/migrations/versions").glob("*.py"))
    tables = set(re.findall(r"^CREATE (?:UNLOGGED )?TABLE (\w+) \(", migrations, flags=re.MULTILINE))
    listed = set(re.findall(r"`(\w+)`", "".join(rows(section(README, "Database design")))))
    assert listed == tables
    owned = set(re.findall(r"`([a-z_]+)`", section(ARCHITECTURE, "Map of the rooms")))
    assert tables <= owned


def test_decisions_cited_in_code_exist() -> None:
    existing = {path.name[:4] for path in (ROOT / "docs/decisions").glob("0*.md")}
    for source in SOURCES:
        cited = set(re.findall(r"docs/decisions/(\d{4})", source.read_text()))
        assert cited <= existing, source


def test_index_of_decisions_is_complete() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text()
    for path in (ROOT / "docs/decisions").glob("0*.md"):
        title = path.read_text().splitlines()[0].removeprefix(f"# {path.name[:4]} · ")
        assert f"| [{path.name[:4]}]({path.name}) | {title} |" in index


def test_log_lines_listed_are_those_that_the_code_writes() -> None:
    written = {
        sentence
        for source in SOURCES
        for sentence in re.findall(r'_log\.(?:debug|info|warning|error|exception)\(\s*"([^"]+)"', source.read_text())
    }
    listed = {row.strip("`") for row in rows(section(LOGGING, "Other lines")) if row.startswith("`")}
    assert listed - {"event"} == written
