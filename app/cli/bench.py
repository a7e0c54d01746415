"""`telemed bench`."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from app.bench.bound import Bound
from app.bench.report.page import page
from app.bench.scale import FULL, QUICK
from app.bench.suite import SCENARIOS, Findings, Options, run
from app.cli.console import out

TERMINATED = 143


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Everything at a tiny scale; times do not count.")] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"One of: {', '.join(SCENARIOS)}. Repeat for more.")] = None,
    output: Annotated[Path, typer.Option(help="Where the report goes.")] = Path("bench-report"),
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many processes serve.")] = 2,
    keep: Annotated[Path | None, typer.Option(help="Keep the measured servers and their logs in this folder.")] = None,
) -> None:
    """Measure a clinic of a million slots on this machine, and write a report. Touches no existing data.

    Takes half an hour; with --quick three minutes, and then only correctness counts. Exit code 1 if a bound is missed.
    """
    if unknown := set(only or ()) - SCENARIOS.keys():
        raise typer.BadParameter(f"no such scenario: {', '.join(sorted(unknown))}", param_hint="--only")
    # Told to stop, it stops its servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    names = tuple(name for name in SCENARIOS if not only or name in only)
    options = Options(QUICK if quick else FULL, workers, names, keep)
    # Written before anything is measured: half an hour must not be lost to a wrong name.
    output.mkdir(parents=True, exist_ok=True)
    found = _with_progress(options)
    (output / "report.json").write_text(found.as_json(), encoding="utf-8")
    (output / "report.html").write_text(page(found), encoding="utf-8")
    _print(f"{len(found.missed)} missed" if found.missed else "all met")
    _print(f"the report is {output / 'report.html'}, its figures are {output / 'report.json'}")
    if found.missed:
        raise typer.Exit(1)


def _with_progress(options: Options) -> Findings:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True) as progress:
        whole = progress.add_task("starting", total=len(options.names) + 1)
        part = progress.add_task("", total=None, visible=False)

        def tell(what: str) -> None:
            progress.update(whole, description=what)
            progress.update(part, visible=False)

        def loading(what: str, done: int, total: int) -> None:
            progress.update(part, description=what, completed=done, total=total, visible=True)

        def report(name: str, bounds: list[Bound]) -> None:
            progress.advance(whole)
            for line in [bound.line(is_quick=options.scale.is_quick) for bound in bounds] or [f"done   {name}"]:
                progress.console.print(line, markup=False, soft_wrap=True)

        return run(options, tell=tell, progress=loading, report=report)


def _print(line: str) -> None:
    out.print(line, markup=False, soft_wrap=True)
