"""The commands that show the audit log, and say whether it is still what was written."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from leaven.cli.app import EXIT_NOT_MET, app, print_json
from leaven.cli.labelling import Store
from leaven.cli.options import Json
from leaven.cli.words import plain
from leaven.core.wording import count, many

__all__ = ["audit"]

audit = typer.Typer(help="What was done, by whom, and whether it was changed since.",
                    no_args_is_help=True)  # fmt: skip
app.add_typer(audit, name="audit")


@audit.command()
def show(
    who: Annotated[str | None, typer.Option(metavar="NAME", help="Only what they did.")] = None,
    what: Annotated[
        str, typer.Option(metavar="ACT", help="Only acts that begin so: release, people.refused.")
    ] = "",
    about: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only about this user, token, service or queue."),
    ] = None,
    most: Annotated[int, typer.Option(metavar="NUMBER", help="So many.")] = 50,
    last: Annotated[
        bool,
        typer.Option("--last", help="Only number and hash of the last entry, to keep elsewhere."),
    ] = False,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Show what was done, the latest first."""
    from leaven import trail
    from leaven.cli.console import new_console, print_rows, say

    if last:
        found = trail.head(store)
        print_json(found) if as_json else typer.echo(f"{found['number']}:{found['hash']}")
        return
    told = trail.entries(store, who=who, what=what, about=about, most=most)
    if as_json:
        print_json(told)
        return
    console = new_console()
    print_rows(console, ("", "when", "who", "what", "about", ""), [_row(one) for one in told])
    if not told:
        say(console, "Nothing of this was done.")


@audit.command()
def verify(
    expect: Annotated[
        str | None,
        typer.Option(
            metavar="HASH_OR_FILE", help="What leaven audit show --last printed: it must be in it."
        ),
    ] = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Say whether the log is whole; exits with 1 where it is not."""
    from leaven import trail
    from leaven.cli.console import new_console, say

    told = trail.verify(store, expect=expect)
    if as_json:
        print_json(told)
    elif told["whole"]:
        head = told["head"]
        since = f"{many(told['entries'], 'entry', 'entries')} since {_time(told['began'])}"
        say(new_console(), f"The audit log is whole: {since}.", "bold")
        if expect is None:
            say(
                new_console(),
                "An end that was cut off shows only against a hash that was kept elsewhere: "
                f"leaven audit verify --expect {head['number']}:{head['hash']}",
            )
    else:
        say(new_console(), f"The audit log is broken at entry {count(told['broken'])}.", "bold")
        say(new_console(), plain(told["why"]))
    if not told["whole"]:
        raise typer.Exit(EXIT_NOT_MET)


#: Of an act's details what has a column of its own.
_SHOWN = ("at", "person", "kind", "about", "service")


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    more = {key: value for key, value in one["details"].items() if key not in _SHOWN}
    details = json.dumps(more, ensure_ascii=False) if more else ""
    shown = details if len(details) <= 200 else f"{details[:200]} …"
    return (
        count(one["number"]), _time(one["at"]), one["who"], one["what"], one["about"], shown,
    )  # fmt: skip


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
