"""The commands for what is promised of services, and for the alerts when it is not kept."""

from __future__ import annotations

import getpass
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from leaven.cli.app import EXIT_NOT_MET, app, print_json
from leaven.cli.labelling import Store
from leaven.cli.options import Json
from leaven.cli.releasing import By
from leaven.cli.words import plain
from leaven.core.wording import count, duration, many, percent

__all__ = ["slo"]

slo = typer.Typer(help="What is promised of services, and who is told when it is not kept.",
                  no_args_is_help=True)  # fmt: skip
app.add_typer(slo, name="slo")

Service = Annotated[
    str | None,
    typer.Argument(metavar="SERVICE", help="Named as the data; all of the store if not given."),
]


@slo.command()
def check(
    service: Service = None,
    config: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="TOML with [[slo]], [[route]] and [alerts]. leaven.toml if not given.",
        ),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Stay, and look again and again.", min=1, max=86400),
    ] = None,
    require: Annotated[
        str | None,
        typer.Option(metavar="met", help="Exit with 1 where an alert is open."),
    ] = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Measure what is promised, open and close alerts, and tell people."""
    from leaven import objectives

    if require not in (None, "met"):
        raise typer.BadParameter(f"--require can be: met. Got '{require}'.")
    if every is not None:
        for told in objectives.watch(service, config=config, store=store, every=every):
            _line(told, as_json)
        return
    told = objectives.check(service, config=config, store=store)
    print_json(told) if as_json else _show(told)
    if require and told["alerts"]:
        raise typer.Exit(EXIT_NOT_MET)


@slo.command()
def status(service: Service = None, store: Store = None, as_json: Json = False) -> None:
    """Say what the last look found, without another."""
    from leaven import objectives
    from leaven.cli.console import new_console, say

    told = objectives.status(service, store=store)
    if as_json:
        print_json(told)
        return
    if not told["findings"]:
        say(new_console(), "Nobody has looked yet: leaven slo check.")
        return
    _show(told)
    for one in told["silences"]:
        say(new_console(), _silenced(one))


@slo.command()
def alerts(
    every: Annotated[bool, typer.Option("--all", help="Closed ones as well.")] = False,
    most: Annotated[int, typer.Option(metavar="NUMBER", help="So many.")] = 100,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Show the alerts that are open: what is wrong, since when, what to type, what to read."""
    from leaven import objectives
    from leaven.cli.console import new_console, print_rows, say

    found = objectives.alerts(closed=every, most=most, store=store)
    if as_json:
        print_json(found)
        return
    console = new_console()
    if not found:
        say(console, "There was no alert." if every else "No alert is open.")
        return
    if every:
        heads = ("", "service", "objective", "severity", "since", "until")
        print_rows(console, heads, [_row(one) for one in found])
        return
    for one in found:
        _show_alert(console, one)


@slo.command()
def silence(
    service: Service = None,
    objective: Annotated[
        str | None, typer.Option("--slo", metavar="NAME", help="Only of this objective.")
    ] = None,
    lasts: Annotated[
        str, typer.Option("--for", metavar="TIME", help="As 30m, 4h or 2d; a month at most.")
    ] = "4h",
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why nobody is to be told. It is kept.")
    ] = "",
    end: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="End this silence instead.")
    ] = None,
    by: By = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Let nobody be told of alerts for a time."""
    from leaven import objectives
    from leaven.cli.console import new_console, say

    who = by or getpass.getuser()
    if end is not None:
        told = objectives.unsilence(end, by=who, store=store)
    else:
        told = objectives.silence(service, objective, lasts=lasts, by=who, reason=reason,
                                  store=store)  # fmt: skip
    if as_json:
        print_json(told)
        return
    said = f"Silence {told['id']} has ended." if end is not None else _silenced(told)
    say(new_console(), said)


def _show(told: Mapping[str, Any]) -> None:
    """Each objective in a line, what is wrong in words, and what routes have not taken."""
    from leaven.cli.console import new_console, print_rows, say

    console = new_console()
    standing = told["alerts"]
    if not told["findings"]:
        say(console, "Nothing is live of which something is promised.")
    head = many(len(standing), "alert is", "alerts are") + " open." if standing else "No alert."
    say(console, head, "bold")
    heads = ("service", "objective", "severity", "", "figure", "promised", "budget left")
    found = sorted(told["findings"], key=lambda one: (one["service"], one["slo"], one["severity"]))
    print_rows(console, heads, [_finding(one) for one in found])
    for alert in standing:
        _show_alert(console, alert)
    for one in told["waiting"]:
        said = many(one["messages"], "message waits", "messages wait")
        why = f" {one['problem']}" if one["problem"] else ""
        say(console, plain(f"Route '{one['route']}': {said} since {_when(one['since'])}.{why}"))


def _finding(one: Mapping[str, Any]) -> tuple[str, ...]:
    budget = one["budget"]
    left = percent(max(budget["left"], 0.0), 0) if budget else ""
    return (
        one["service"], one["slo"], one["severity"], one["state"],
        one["figure"] or one["sentence"], one["promised"], left,
    )  # fmt: skip


def _show_alert(console: Any, one: Mapping[str, Any]) -> None:
    from leaven.cli.console import say

    finding = one["finding"]
    since = f"since {_when(one['began'])} ({duration(time.time() - one['began'])})"
    head = f"{one['severity']}: {plain(one['slo'])} of {plain(one['service'])}, {since}"
    say(console, head, "bold")
    say(console, plain(finding["sentence"]))
    say(console, f"Type: {plain(finding['command'])}", whole=True)
    say(console, f"Read: {plain(finding['runbook'])}", whole=True)


def _row(one: Mapping[str, Any]) -> Sequence[str]:
    until = _when(one["closed"]) if one["closed"] is not None else "open"
    return (
        count(one["id"]), one["service"], one["slo"], one["severity"], _when(one["began"]), until,
    )  # fmt: skip


def _line(told: Mapping[str, Any], as_json: bool) -> None:
    """One line a look, for who stays."""
    if as_json:
        import json

        typer.echo(json.dumps(told))
        return
    if "problem" in told:
        typer.echo(f"{_when(time.time())} {plain(told['problem'])}")
        return
    names = [f"{one['service']}/{one['slo']} ({one['severity']})" for one in told["alerts"]]
    said = plain(f"open: {', '.join(names)}") if names else "no alert"
    waits = sum(one["messages"] for one in told["waiting"])
    typer.echo(
        f"{_when(time.time())} {many(len(told['findings']), 'finding', 'findings')}, {said}"
        + (f", {many(told['sent'], 'message', 'messages')} sent" if told["sent"] else "")
        + (f", {count(waits)} waiting" if waits else "")
    )


def _silenced(one: Mapping[str, Any]) -> str:
    whom = plain(one["service"] or "all services")
    of = f"'{plain(one['slo'])}'" if one["slo"] else "all objectives"
    return (
        f"Silence {one['id']}: {of} of {whom} until {_when(one['ends'])}, by "
        f"{plain(one['person'])}: {plain(one['reason'])}"
    )


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
