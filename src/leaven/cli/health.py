"""The command that says how good a service is now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from leaven.cli.app import EXIT_NOT_MET, app, print_json
from leaven.cli.labelling import Store
from leaven.cli.options import RESULT, Json
from leaven.cli.releasing import Service
from leaven.cli.words import plain
from leaven.core.wording import count, percent, points

__all__ = ["health"]


@app.command()
def health(
    service: Service = None,
    hours: Annotated[
        float, typer.Option(metavar="NUMBER", help="Of answers that are looked at.")
    ] = 24.0,
    tolerance: Annotated[
        float,
        typer.Option(metavar="SHARE", help="That the accuracy may be less than promised."),
    ] = 0.03,
    level: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Of services that would ever be wronged by truth."),
    ] = 0.05,
    least: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Of records that must lie elsewhere to matter."),
    ] = 0.03,
    records: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="New records: do two views of each get the same answer?"),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write a page with plots over time.", rich_help_panel=RESULT
        ),
    ] = None,
    require: Annotated[
        str | None,
        typer.Option(
            metavar="good", help="Exit with 1 where it is not good.", rich_help_panel=RESULT
        ),
    ] = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Say how good a service is now: without labels, and by the few that came back."""
    from leaven.health import health as examined

    if require not in (None, "good"):
        raise typer.BadParameter(f"--require can be: good. Got '{require}'.")
    told = examined(
        service,
        hours=hours,
        tolerance=tolerance,
        level=level,
        least=least,
        records=records,
        report=report,
        store=store,
    )
    print_json(told) if as_json else _show(told)
    if require and told["verdict"] != require:
        raise typer.Exit(EXIT_NOT_MET)


def _show(told: Mapping[str, Any]) -> None:
    """The answer, a line a signal, and what each that is not good means and asks for."""
    from leaven.cli.console import new_console, print_rows, say

    console = new_console()
    say(console, f"{plain(told['service'])}, {plain(told['run'])}: {told['verdict']}", "bold")
    say(console, plain(told["sentence"]))
    rows = [_row(signal) for signal in told["signals"]]
    print_rows(console, ("signal", "", "now", "reference", "n"), rows)
    for signal in told["signals"]:
        if signal["verdict"] != "good":
            said = f"{signal['name'].capitalize()}: {plain(signal['sentence'])}"
            say(console, f"{said} {plain(signal['advice'])}".strip())
    if "report" in told:
        console.print(f"Report: {told['report']}", soft_wrap=True)


def _row(signal: Mapping[str, Any]) -> tuple[str, ...]:
    word = points if signal["name"].startswith("calibration") else percent
    now = ""
    if signal["value"] is not None:
        ends = f"{points(signal['low'], sign=word is points)} to "
        ends += points(signal["high"], sign=word is points)
        now = f"{word(signal['value'])} ({ends})"
    reference = "" if signal["reference"] is None else word(signal["reference"])
    n = count(signal["n"]) if signal["n"] else ""
    return signal["name"], signal["verdict"], now, reference, n
