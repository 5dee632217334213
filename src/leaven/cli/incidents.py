"""The commands for incidents: open one, work through its steps, close it, write what it was."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from leaven.cli.app import app, print_json
from leaven.cli.labelling import Store
from leaven.cli.options import RESULT, Json, settings_of
from leaven.cli.releasing import By
from leaven.cli.words import plain
from leaven.core.wording import count, duration, many

__all__ = ["close", "do", "incident", "list_", "note", "open_", "report", "show", "steps"]

incident = typer.Typer(
    help="What went wrong: evidence, steps, times, runbook, postmortem.", no_args_is_help=True
)
app.add_typer(incident, name="incident")

Number = Annotated[
    int, typer.Argument(metavar="NUMBER", help="As leaven incident list has it.", min=1)
]
Config = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="TOML as leaven slo and leaven loop read it; leaven.toml."),
]


@incident.command("open")
def open_(
    service: Annotated[
        str, typer.Argument(metavar="SERVICE", help="What does not do as it should.")
    ],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="What is wrong. It is kept.")],
    alert: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", help="The alert that told of it; see leaven slo alerts."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="When the fault began, if known: '2026-03-01 04:30' (UTC), or 90m, 2h ago.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where evidence goes; incidents beside the store if not given.",
            rich_help_panel=RESULT,
        ),
    ] = None,
    config: Config = None,
    by: By = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Open an incident and freeze the evidence; or show the one that is open."""
    from leaven import incidents

    told = incidents.open_incident(
        service, reason=reason, by=by or getpass.getuser(), alert=alert, since=since, out=out,
        config=config, store=store,
    )  # fmt: skip
    if as_json:
        print_json(told)
    else:
        _show_opened(told)
    if told["problem"]:
        from leaven.cli.app import EXIT_NOT_MET

        raise typer.Exit(EXIT_NOT_MET)


@incident.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="Closed ones as well.")] = False,
    config: Config = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Show the incidents that are open."""
    from leaven import incidents
    from leaven.cli.console import new_console, print_rows, say

    found = incidents.every(closed=every, store=store, config=config)
    if as_json:
        print_json(found)
        return
    if not found:
        say(new_console(), "There was no incident." if every else "No incident is open.")
        return
    heads = ("", "service", "opened", "", "to detect", "to mend", "reason")
    print_rows(new_console(), heads, [_row(one) for one in found])


@incident.command()
def show(number: Number, config: Config = None, store: Store = None, as_json: Json = False) -> None:
    """Say what is known of an incident, and whether its evidence is as it was frozen."""
    from leaven import incidents

    told = incidents.show(number, store=store, config=config)
    print_json(told) if as_json else _show(told)


@incident.command()
def steps(number: Number, store: Store = None, as_json: Json = False) -> None:
    """Show the checklist: what the evidence speaks for first, each with its command."""
    from leaven import incidents

    told = incidents.steps(number, store=store)
    print_json(told) if as_json else _show_steps(told)


@incident.command()
def do(
    number: Number,
    step: Annotated[
        str, typer.Argument(metavar="STEP", help="One that leaven incident steps lists.")
    ],
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", metavar="", help="Say what would change; do nothing."),
    ] = False,
    changed: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting of the step, as count=20. May be given several times.",
        ),
    ] = None,
    by: By = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Do a step. It may be killed at any moment and called again; nothing is done twice."""
    from leaven import incidents
    from leaven.cli.console import new_console, say
    from leaven.cli.progress import progress_line

    how: dict[str, Any] = {
        "settings": settings_of(changed or []), "by": by or getpass.getuser(),
        "store": store,
    }  # fmt: skip
    console = new_console()
    if dry_run:
        plan = incidents.outlook(number, step, **how)
        if as_json:
            print_json(plan)
            return
        for sentence in plan["says"]:
            say(console, plain(sentence), whole=True)
        say(console, "Nothing was done." if plan["already"] else "Nothing was done: --dry-run.")
        return
    with progress_line(quiet=as_json) as listener:
        act = incidents.do(number, step, progress=listener, **how)
    if as_json:
        print_json(act)
        return
    head = (
        "Done." if act["now"] else f"Nothing was done: {plain(act['by_end'])} has done it before."
    )
    say(console, f"{head} {plain(act['reason'])}", whole=True)


@incident.command()
def note(
    number: Number,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What you found or think.")],
    by: By = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Keep what you found or think, for the postmortem."""
    from leaven import incidents

    told = incidents.note(number, text, by=by or getpass.getuser(), store=store)
    print_json(told) if as_json else typer.echo(f"Kept in incident {number}.")


@incident.command()
def close(
    number: Number,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="What it came to. It is kept.")],
    config: Config = None,
    by: By = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Close an incident."""
    from leaven import incidents
    from leaven.cli.console import new_console, say

    who = by or getpass.getuser()
    told = incidents.close(number, reason=reason, by=who, config=config, store=store)
    if as_json:
        print_json(told)
        return
    say(new_console(), f"Incident {number} is closed. {_times(told['times'])}")
    say(
        new_console(),
        f"Write it down: leaven incident report {number} --out incident-{number}.html",
    )


@incident.command()
def report(
    number: Number,
    out: Annotated[
        Path,
        typer.Option(metavar="FILE", help="A page (.html) or Markdown (.md)."),
    ],
    runbook: Annotated[
        bool,
        typer.Option("--runbook", metavar="", help="What to do the next time instead (.md)."),
    ] = False,
    config: Config = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Write the postmortem from the records."""
    from leaven import incidents

    path = incidents.report(number, out, runbook=runbook, config=config, store=store)
    print_json({"incident": number, "report": str(path)}) if as_json else typer.echo(str(path))


def _show_opened(told: Mapping[str, Any]) -> None:
    from leaven.cli.console import new_console, say

    console = new_console()
    if not told["new"]:
        say(console, f"Incident {told['number']} is open already, by {plain(told['by'])}.", "bold")
        say(console, "What you know: leaven incident note "
                     f"{told['number']} TEXT")  # fmt: skip
    else:
        said = f"Incident {told['number']} of {plain(told['service'])} is open."
        say(console, said, "bold")
    _show_evidence(console, told)
    if told["problem"]:
        say(console, plain(told["problem"]))
    for one in told["causes"]:
        say(console, f"Speaks for {one['step']}: {plain(one['sentence'])}")
    say(console, f"Go on: leaven incident steps {told['number']}", whole=True)


def _show_evidence(console: Any, told: Mapping[str, Any]) -> None:
    from leaven.cli.console import say

    evidence = told["evidence"]
    if evidence is None:
        say(console, "No evidence is frozen yet: the same leaven incident open goes on.")
        return
    files = many(evidence["files"], "file", "files")
    say(console, f"Evidence: {files} in {plain(evidence['folder'])}", whole=True)
    if evidence["altered"]:
        say(console, f"It is not as it was frozen. {plain(evidence['altered'])}", "bold")
    for part, reason in evidence["left_out"]:
        say(console, f"Left out: {plain(part)}. {plain(reason)}")


def _show(told: Mapping[str, Any]) -> None:
    from leaven.cli.console import new_console, print_rows, say

    console = new_console()
    state = "open" if told["open"] else "closed"
    say(console, f"Incident {told['number']} of {plain(told['service'])}: {state}", "bold")
    say(console, f"{plain(told['by'])}: {plain(told['reason'])}")
    times = told["times"]
    began = _when(times["began"]) if times["began"] is not None else "not known"
    say(console, f"Began: {began}, {plain(times['began_how'])}.")
    say(console, f"Detected: {_when(times['detected'])}, {plain(times['detected_how'])}.")
    mended = f"{_when(times['mended'])}, " if times["mended"] is not None else ""
    say(console, f"Mended: {mended}{plain(times['mended_how'])}.")
    say(console, _times(times))
    _show_evidence(console, told)
    for one in told["causes"]:
        say(console, f"Speaks for {one['step']}: {plain(one['sentence'])}")
    rows = [
        (_when(one["ended"] or one["began"]), one["step"], one["state"],
         one["by_end"] or one["by"], one["reason"])
        for one in told["acts"]
    ]  # fmt: skip
    print_rows(console, ("when", "step", "", "by", "what came of it"), rows)
    for one in [*told["notes"], *([told["closed"]] if told["closed"] else [])]:
        say(console, f"{_when(one['at'])} {plain(one['by'])}: {plain(one['text'])}")


def _show_steps(told: Sequence[Mapping[str, Any]]) -> None:
    """The checklist: what each does, why it comes there, how it stands, what to type."""
    from leaven.cli.console import new_console, say

    console = new_console()
    for number, one in enumerate(told, 1):
        state = (
            f" ({one['state']} by {plain(one['by'])}, {_when(one['at'])})" if one["state"] else ""
        )
        say(console, f"{count(number)} {one['title']}{state}", "bold")
        if one["why"]:
            say(console, f"  Because: {plain(one['why'])}")
        say(console, f"  {one['does']}")
        if one["reason"]:
            say(console, f"  {plain(one['reason'])}")
        say(console, f"  Type: {plain(one['command'])}", whole=True)
        if one["takes"]:
            takes = "; ".join(f"{name}: {what}" for name, what in one["takes"].items())
            say(console, f"  --set {takes}")
    say(console, "What a step would change: add --dry-run.")


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    times = one["times"]
    detect, mend = (duration(times[name]) for name in ("to_detect", "to_mend"))
    state = "open" if one["open"] else "closed"
    return (
        count(one["number"]), one["service"], _when(times["opened"]), state, detect, mend,
        one["reason"],
    )  # fmt: skip


def _times(times: Mapping[str, Any]) -> str:
    detect = "nobody knows how long" if times["to_detect"] is None else duration(times["to_detect"])
    mend = "not mended yet" if times["to_mend"] is None else duration(times["to_mend"])
    return f"Time to detect: {detect}. Time to mend: {mend}."


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
