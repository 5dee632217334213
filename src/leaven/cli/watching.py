"""The commands that look at what comes in later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from leaven.cli.app import EXIT_NOT_MET, app, print_json
from leaven.cli.options import RESULT, Json, Label, Modality
from leaven.core.wording import percent, span

__all__ = ["drift"]

_SHOWN = 20


@app.command()
def drift(
    reference: Annotated[
        str, typer.Argument(metavar="REFERENCE", help="A run, data, or a kept NAME.drift.")
    ],
    came: Annotated[str, typer.Argument(metavar="NEW", help="The records that came in later.")],
    label: Label = None,
    modality: Modality = None,
    time: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column that says when.")
    ] = None,
    season: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="hour, weekday, week or month: a change of their mix is no drift."
        ),
    ] = None,
    slice: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Look at the records of each of its values as well."),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Not looked at. May be given several times."),
    ] = None,
    least: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Of the records that must lie elsewhere to matter."),
    ] = 0.03,
    level: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Of false findings that is accepted, over all looks."),
    ] = 0.05,
    look: Annotated[
        int, typer.Option(metavar="NUMBER", help="The how-manieth look at this reference.")
    ] = 1,
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Keep the reference here, NAME.drift.", rich_help_panel=RESULT
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page here.", rich_help_panel=RESULT),
    ] = None,
    require: Annotated[
        str | None,
        typer.Option(
            metavar="same", help="Exit with 1 where a shift is found.", rich_help_panel=RESULT
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Hold new records against those that a model was made for, and say what shifted."""
    from leaven.cli.progress import progress_line

    if require not in (None, "same"):
        raise typer.BadParameter(f"--require can be: same. Got '{require}'.")
    with progress_line(quiet=as_json) as listener:
        from leaven import watching

        told = watching.drift(
            reference,
            came,
            label=label,
            modality=modality,
            time=time,
            season=season,
            slice=slice,
            ignore=ignore or (),
            least=least,
            level=level,
            look=look,
            keep=keep,
            report=report,
            progress=listener,
        )
    print_json(told) if as_json else _show(told)
    if require and told["outcome"] == "shifted":
        raise typer.Exit(EXIT_NOT_MET)


def _show(told: Mapping[str, Any]) -> None:
    """The answer, what shifted or may have, and what to do."""
    from rich.table import Table

    from leaven.cli.console import new_console, say

    console = new_console()
    say(console, told["sentence"], "bold")
    rows = [s for s in told["shifts"] if s["verdict"] != "same"][:_SHOWN]
    if rows:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for name in ("column", "slice", "", "effect", "interval", "what changed"):
            table.add_column(name, justify="right" if name in ("effect", "interval") else "left")
        for s in rows:
            table.add_row(
                s["column"], s["slice"], s["verdict"], percent(s["effect"]),
                span(s["low"], s["high"]), s["said"],
            )  # fmt: skip
        console.print(table)
    left = len([s for s in told["shifts"] if s["verdict"] != "same"]) - len(rows)
    if left > 0:
        console.print(f"and {left} more; --report and --json have them all", style="dim")
    for sentence in told["advice"]:
        console.print(sentence, soft_wrap=not console.is_terminal)
    if "report" in told:
        console.print(f"Report: {told['report']}", soft_wrap=True)
