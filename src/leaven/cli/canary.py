"""The commands that judge a canary, and that bring the truth of production back to the next fit."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from leaven.cli.app import app, print_json
from leaven.cli.labelling import Store
from leaven.cli.options import RESULT, Json, settings_of
from leaven.cli.releasing import Service
from leaven.cli.words import plain
from leaven.core.wording import count, duration, many, percent, points

__all__ = ["canary", "feedback"]

canary = typer.Typer(help="What a canary has shown, and what follows.", no_args_is_help=True)
app.add_typer(canary, name="canary")

Policy = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="What a canary must show: TOML with a table [canary]."),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting of the policy, as accuracy=0.02. May be given several times.",
    ),
]


@canary.command()
def status(
    service: Service = None,
    policy: Policy = None,
    changes: Changes = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Say what is known of the canary, what it waits for, and what the guard would do."""
    from leaven import guarding

    changed = settings_of(changes or ())
    _show(guarding.status(service, policy=policy, changes=changed, store=store), as_json, "would")


@canary.command()
def guard(
    service: Service = None,
    policy: Policy = None,
    changes: Changes = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Look once, and let the canary go on, or back, where the evidence says so."""
    from leaven import guarding

    changed = settings_of(changes or ())
    _show(guarding.guard(service, policy=policy, changes=changed, store=store), as_json, "does")


@app.command()
def feedback(
    service: Service = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="CSV, Parquet or JSON Lines.", rich_help_panel=RESULT),
    ] = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Write the truth that came back from production, for leaven fit DATA --answers FILE."""
    from leaven import guarding
    from leaven.cli.console import new_console, say

    table, ambiguous = guarding.feedback(service, out, by=getpass.getuser(), store=store)
    caused = sum(table["caused"].to_pylist())
    if as_json:
        told = {"file": out, "labels": table.num_rows, "caused": caused, "ambiguous": ambiguous}
        print_json(told)
        return
    console = new_console()
    where = f", in {plain(out)}" if out else ""
    say(console, f"{many(table.num_rows, 'label', 'labels')} from production{where}.", whole=True)
    if caused:
        why = "what was done because of a prediction brought them about. A fit leaves them out."
        say(console, f"{count(caused)} of them caused: {why}")
    if ambiguous:
        said = many(ambiguous, "record was", "records were")
        say(console, f"{said} told two labels equally often, and left out.")


def _show(told: Mapping[str, Any], as_json: bool, does: str) -> None:
    from leaven.cli.console import new_console, print_rows, say

    if as_json:
        print_json(told)
        return
    console, look = new_console(), told["look"]
    if look is None:
        say(console, f"{plain(told['service'])} has no canary. Begin one: leaven release RUN.")
        if told["looks"]:
            say(console, _last(told["looks"][-1]))
        return
    head = (
        f"{plain(look['canary']['run'])} answers {percent(look['canary']['share'], 0)} of the "
        f"requests beside {plain(look['live']['run'])}, since {_when(look['since'])} "
        f"({duration(look['at'] - look['since'])}): {many(look['answered'], 'key', 'keys')}."
    )
    say(console, head, "bold")
    rows = [_row(one) for one in look["signals"]]
    print_rows(console, ("signal", "", "harm", "allowed", "seen", "needed"), rows)
    for one in look["signals"]:
        if one["state"] in ("worse", "unseen"):
            say(console, f"{one['name'].capitalize()}: {plain(one['sentence'])}")
    say(console, _decided(look["decision"], does))


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    """A signal: its harm between both bounds, in points."""
    ends = f"{points(one['low'])} to {points(one['high'])}"
    harm = "" if one["harm"] is None else f"{points(one['harm'])} ({ends})"
    seen = count(one["canary"])
    if one["name"] not in _OF_PAIRS:
        seen += f" and {count(one['live'])}"
    needed = "" if one["state"] == "fine" or not one["needed"] else f"about {count(one['needed'])}"
    return one["name"], one["state"], harm, points(one["margin"], sign=False), seen, needed


_OF_PAIRS = ("agreement", "accuracy", "calibration")


def _decided(decision: Mapping[str, Any], does: str) -> str:
    """What follows, in one paragraph."""
    said = {
        ("hold", "would"): "The guard would wait.",
        ("hold", "does"): "The guard waits.",
        ("ramp", "would"): f"The guard would give it {percent(decision['share'], 0)}.",
        ("ramp", "does"): f"The guard gave it {percent(decision['share'], 0)}.",
        ("promote", "would"): "The guard would promote it.",
        ("promote", "does"): "The guard promoted it.",
        ("roll back", "would"): "The guard would roll it back.",
        ("roll back", "does"): "The guard rolled it back.",
    }[decision["action"], does]
    return f"{said} {plain(decision['reason'])}"


def _last(look: Mapping[str, Any]) -> str:
    verbs = {"hold": "waited", "ramp": "went on", "promote": "promoted", "roll back": "rolled back"}
    return (
        f"Last, at {_when(look['at'])}, the guard {verbs[look['action']]} with "
        f"{plain(look['run'])}: {plain(look['reason'])}"
    )


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
