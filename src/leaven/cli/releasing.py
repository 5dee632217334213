"""The commands with which runs go live, are tried, and go back."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from leaven.cli.app import app, print_json
from leaven.cli.labelling import Store
from leaven.cli.options import RESULT, Json, RunFolder
from leaven.cli.words import plain
from leaven.core.wording import count, percent

__all__ = ["key", "promote", "release", "releases", "retire", "rollback"]

By = Annotated[
    str | None,
    typer.Option("--by", metavar="NAME", help="Who decides; your login name if not given."),
]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept in the history.")]
Service = Annotated[
    str | None,
    typer.Argument(metavar="SERVICE", help="Named as the data; the only one if not given."),
]


@app.command()
def release(
    run: RunFolder,
    canary: Annotated[
        float | None,
        typer.Option(
            metavar="PERCENT", help="Of the requests, beside the live run; live if not given."
        ),
    ] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="It is asked beside the live run, and nobody hears it.")
    ] = False,
    override: Annotated[
        str,
        typer.Option(metavar="TEXT", help="Why a run may serve that was not shown to be better."),
    ] = "",
    service: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Named as the data if not given.", rich_help_panel=RESULT
        ),
    ] = None,
    by: By = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Register a run, and let it serve: live, as a canary, or as a shadow."""
    from leaven import releasing

    state = releasing.release(
        run,
        by=by or getpass.getuser(),
        canary=None if canary is None else canary / 100,
        shadow=shadow,
        override=override,
        service=service,
        store=store,
    )
    _told(state, as_json)


@app.command()
def promote(
    service: Service = None,
    reason: Reason = "",
    by: By = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Make the canary live."""
    from leaven import releasing

    who = by or getpass.getuser()
    _told(releasing.promote(service, by=who, reason=reason, store=store), as_json)


@app.command()
def rollback(
    service: Service = None,
    reason: Reason = "",
    by: By = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Take the canary back, or where there is none the live run for the one before it."""
    from leaven import releasing

    who = by or getpass.getuser()
    _told(releasing.rollback(service, by=who, reason=reason, store=store), as_json)


@app.command()
def retire(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The id of the canary or shadow.")],
    service: Service = None,
    reason: Reason = "",
    by: By = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Take a canary or a shadow away."""
    from leaven import releasing

    who = by or getpass.getuser()
    _told(releasing.retire(run, service, by=who, reason=reason, store=store), as_json)


@app.command()
def releases(service: Service = None, store: Store = None, as_json: Json = False) -> None:
    """Say what is live, what is tried, and who decided it."""
    from leaven import releasing
    from leaven.cli.console import new_console, new_table

    told = releasing.releases(store, service)
    if as_json:
        print_json({"services": told})
        return
    console = new_console()
    for one in told:
        _show(console, one["state"])
        table = new_table("", "when", "what", "run", "who", "why")
        for event in one["history"]:
            table.add_row(*(plain(cell) for cell in _event(event)))
        console.print(table)


@app.command()
def key(
    encryption: Annotated[
        bool, typer.Option("--encryption", help="One to encrypt what Leaven keeps on disk.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a pair of keys: models are signed with the one, and known by the other."""
    from leaven import releasing, sealing

    if encryption:
        new, name = sealing.new_encryption_key()
        if as_json:
            print_json({"encryption": new, "id": name})
            return
        typer.echo(
            f"LEAVEN_ENCRYPTION_KEY={new}\n"
            f"Its id is {name}. Set it wherever Leaven runs on the same runs and store, and keep a "
            "copy elsewhere: without it nobody can read what was encrypted."
        )
        return
    private, public = releasing.new_keys()
    if as_json:
        print_json({"private": private, "public": public})
        return
    typer.echo(
        f"LEAVEN_SIGNING_KEY={private}\nLEAVEN_PUBLIC_KEY={public}\n"
        "Keep the first where releases are made, and secret; set the second where models serve."
    )


def _told(state: dict[str, Any], as_json: bool) -> None:
    from leaven.cli.console import new_console

    if as_json:
        print_json(state)
    else:
        _show(new_console(), state)


def _show(console: Any, state: Mapping[str, Any]) -> None:
    from leaven.cli.console import say

    live, canary, shadow = state["live"], state["canary"], state["shadow"]
    said = f"{plain(state['service'])}: " + (
        f"{plain(live['run'])} is live" if live else "none is live"
    )
    if canary:
        said += f", {plain(canary['run'])} answers {percent(canary['share'], 0)} of the requests"
    if shadow:
        said += f", {plain(shadow['run'])} is asked beside it"
    back = f" Rollback leads to {plain(state['before'][-1]['run'])}." if state["before"] else ""
    say(console, f"{said}.{'' if canary else back}", "bold")


def _event(one: Mapping[str, Any]) -> tuple[str, ...]:
    kind = one["kind"] if one["share"] is None else f"{one['kind']} {percent(one['share'], 0)}"
    when = datetime.fromtimestamp(one["at"], UTC).strftime("%Y-%m-%d %H:%M")
    return count(one["number"]), when, kind, one["run"], one["person"], one["reason"]
