"""The commands of the loop: go on with it, see where it stands, and what persons say to it."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from leaven.cli.app import app, print_json
from leaven.cli.labelling import Store
from leaven.cli.options import RESULT, Json
from leaven.cli.releasing import By, Reason
from leaven.cli.words import plain
from leaven.core.wording import duration, many

__all__ = ["approve", "loop", "pause", "refuse", "resume", "run", "status", "trigger"]

loop = typer.Typer(
    help="Retrain by itself: trigger, fit, gate, canary, questions.", no_args_is_help=True
)
app.add_typer(loop, name="loop")

_SHOWN = 10

Config = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="TOML with the table loop; leaven.toml of this folder if not given."
    ),
]
Service = Annotated[
    str | None,
    typer.Argument(metavar="SERVICE", help="That of the configuration, or the only one."),
]
Labelling = Annotated[
    bool,
    typer.Option("--labelling", metavar="", help="Automatic labels only; the loop goes on."),
]


@loop.command()
def run(
    config: Config = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", metavar="", help="Say what would be done and why; do nothing."),
    ] = False,
    every: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Look again after so long, until Ctrl-C."),
    ] = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Go on with the loop until it has to wait. It may be killed at any moment and run again."""
    from leaven import looping

    if dry_run:
        _outlook(looping.outlook(config, store=store), as_json)
        return
    from leaven.cli.console import new_console, say
    from leaven.cli.progress import progress_line

    console, out = new_console(), sys.stdout

    def told(step: dict[str, Any]) -> None:
        with redirect_stdout(out):  # what others print meanwhile goes to stderr
            if as_json and every is not None:
                print_json(step)
            elif not as_json:
                say(console, _step(step))

    with progress_line(quiet=as_json) as listener:
        steps = looping.run(config, store=store, every=every, told=told, progress=listener)
    if as_json and every is None:
        print_json({"steps": steps})


@loop.command()
def status(
    service: Service = None,
    config: Config = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write a page with its picture here.", rich_help_panel=RESULT
        ),
    ] = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Say where the loop stands, why, what comes next, and what it waits for."""
    from leaven import looping

    told = looping.status(service, config=config, store=store, report=report)
    print_json(told) if as_json else _show(told)


@loop.command()
def trigger(
    service: Service = None,
    reason: Reason = "",
    by: By = None,
    config: Config = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Begin a cycle by hand, with the next leaven loop run."""
    from leaven import looping

    who = by or getpass.getuser()
    told = looping.trigger(service, by=who, reason=reason, config=config, store=store)
    _said(told, "A cycle begins with the next leaven loop run that finds it waiting.", as_json)


@loop.command()
def approve(
    service: Service = None,
    reason: Reason = "",
    by: By = None,
    config: Config = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Let the major change that waits for a person be released."""
    from leaven import looping

    who = by or getpass.getuser()
    how: dict[str, Any] = {"by": who, "reason": reason, "config": config, "store": store}
    told = looping.decide(service, approve=True, **how)
    _said(told, "Approved. leaven loop run goes on.", as_json)


@loop.command()
def refuse(
    service: Service = None,
    reason: Reason = "",
    by: By = None,
    config: Config = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Refuse the major change that waits for a person; the cycle goes on with questions."""
    from leaven import looping

    who = by or getpass.getuser()
    how: dict[str, Any] = {"by": who, "reason": reason, "config": config, "store": store}
    told = looping.decide(service, approve=False, **how)
    _said(told, "Refused. leaven loop run goes on.", as_json)


@loop.command()
def pause(
    service: Service = None,
    labelling: Labelling = False,
    reason: Reason = "",
    by: By = None,
    config: Config = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Let the loop do nothing until it is resumed, or go on without automatic labels."""
    from leaven import looping

    who = by or getpass.getuser()
    how: dict[str, Any] = {"by": who, "reason": reason, "config": config, "store": store}
    told = looping.pause(service, labelling=labelling, **how)
    what = "Automatic labels are" if labelling else "The loop is"
    _said(told, f"{what} paused until leaven loop resume.", as_json)


@loop.command()
def resume(
    service: Service = None,
    labelling: Labelling = False,
    reason: Reason = "",
    by: By = None,
    config: Config = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Let what was paused go on."""
    from leaven import looping

    who = by or getpass.getuser()
    how: dict[str, Any] = {"by": who, "reason": reason, "config": config, "store": store}
    told = looping.resume(service, labelling=labelling, **how)
    what = "Automatic labels are used again" if labelling else "The loop goes on"
    _said(told, f"{what} with the next leaven loop run.", as_json)


def _outlook(told: Mapping[str, Any], as_json: bool) -> None:
    """What would be done, and what each trigger sees."""
    from leaven.cli.console import new_console, print_rows, say

    if as_json:
        print_json(told)
        return
    console = new_console()
    say(console, f"{plain(told['service'])}: {plain(told['says'])}", "bold")
    rows = [(one["name"], "fires" if one["fires"] else "", one["says"]) for one in told["triggers"]]
    print_rows(console, ("trigger", "", "seen"), rows)
    for sentence in told["holds"]:
        say(console, f"Holds: {plain(sentence)}")


def _show(told: Mapping[str, Any]) -> None:
    from leaven.cli.console import new_console, print_rows, say

    console = new_console()
    since = f", since {_when(told['since'])}" if told["since"] else ""
    cycle = f" (cycle {told['cycle']})" if told["cycle"] else ""
    say(console, f"{plain(told['service'])}: {told['title']}{cycle}{since}", "bold")
    say(console, plain(told["why"]))
    for sentence in told["waits"]:
        say(console, plain(sentence))
    print_rows(console, ("if", "then"), [(one["when"], one["state"]) for one in told["next"]])
    if told["cycles"]:
        say(console, f"{many(len(told['cycles']), 'cycle', 'cycles')}, the latest first:")
    rows = [_cycle(one) for one in reversed(told["cycles"][-_SHOWN:])]
    print_rows(console, ("cycle", "began", "by", "run", "came to", "took"), rows)
    if "report" in told:
        say(console, f"Page: {told['report']}", whole=True)


def _cycle(one: Mapping[str, Any]) -> tuple[str, ...]:
    took = duration(one["ended"] - one["began"]) if one["ended"] else ""
    outcome = one["outcome"] or "goes on"
    return str(one["cycle"]), _when(one["began"]), one["by"], one["run"] or "", outcome, took


def _step(step: Mapping[str, Any]) -> str:
    """One line of what happened."""
    if not step["outcome"]:
        return f"Waits: {plain(step['reason'])}"
    return f"Cycle {step['cycle']}, {step['state']}: {step['outcome']}. {plain(step['reason'])}"


def _said(told: Mapping[str, Any], sentence: str, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    typer.echo(f"{plain(told['service'])}: {sentence}")


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
