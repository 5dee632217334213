"""The command for game days."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from leaven.cli.app import EXIT_NOT_MET, app, print_json
from leaven.cli.options import READING, RESULT, Json, Label, Seed
from leaven.cli.words import plain
from leaven.core.wording import MISSING, duration

__all__ = ["gameday"]


@app.command()
def gameday(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Of a drill, or all. Without it they are listed."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Records with labels; tumours that come with scikit-learn if not given.",
            rich_help_panel=READING,
        ),
    ] = None,
    label: Label = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="STORE",
            help="sqlite, postgresql for a server of its own, or the URL of a PostgreSQL on which "
            "it may make databases.",
        ),
    ] = None,
    seed: Seed = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="A new one, in which all happens and stays. One that is removed if not given.",
            rich_help_panel=RESULT,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page here.", rich_help_panel=RESULT),
    ] = None,
    require: Annotated[
        str | None,
        typer.Option(
            metavar="kept", help="Exit with 1 unless all is kept.", rich_help_panel=RESULT
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring faults into a set-up of its own, and say what was kept of what is promised."""
    from leaven.cli.progress import progress_line

    if require not in (None, "kept"):
        raise typer.BadParameter(f"--require can be: kept. Got '{require}'.")
    from leaven import gamedays

    if name is None:
        known = gamedays.drills()
        print_json({"drills": known}) if as_json else _list(known)
        return
    with progress_line(quiet=as_json) as listener:
        told = gamedays.play(
            name,
            data=data,
            label=label,
            store=store,
            seed=seed or 0,
            out=out,
            report=report,
            progress=listener,
        )
    print_json(told) if as_json else _show(told)
    if require and told["outcome"] != require:
        raise typer.Exit(EXIT_NOT_MET)


def _list(known: list[dict[str, Any]]) -> None:
    """The drills, and what each promises."""
    from leaven.cli.console import new_console, say

    console = new_console()
    for drill in known:
        say(console, f"{drill['name']}: {drill['says']}", "bold")
        for promise in drill["promises"]:
            say(console, f"  {promise['says']} ({promise['source']})")


def _show(told: Mapping[str, Any]) -> None:
    """The answer, of each drill its promises, and what was left where."""
    from leaven.cli.console import new_console, print_rows, say

    console = new_console()
    say(console, told["sentence"], "bold")
    for drill in told["drills"]:
        say(console, "")
        say(console, f"{drill['name']}: {drill['sentence']} {_times(drill)}", "bold")
        if drill["problem"]:
            say(console, f"It ended early: {plain(drill['problem'])}")
        rows = [(one["outcome"], one["says"], one["figure"] or MISSING)
                for one in drill["promises"]]  # fmt: skip
        print_rows(console, ("", "promise", "seen"), rows)
        for one in drill["promises"]:
            if one["outcome"] != "kept":
                said = [one["note"], *one["evidence"][:2]]
                say(console, plain(f"{one['says']} {' '.join(filter(None, said))}"))
    if "folder" in told:
        say(console, f"Folder: {told['folder']}", whole=True)
    if "report" in told:
        say(console, f"Report: {told['report']}", whole=True)


def _times(drill: Mapping[str, Any]) -> str:
    said = [f"took {duration(drill['seconds'])}"]
    for name, word in (("detected", "noticed"), ("mended", "mended")):
        if drill[name] is not None:
            said.append(f"{word} after {duration(drill[name])}")
    return f"({', '.join(said)})"
