"""The commands that say who may come in: users, their roles and passwords, tokens of programs."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from leaven.cli.app import app, print_json
from leaven.cli.options import RESULT, Json
from leaven.cli.words import plain

__all__ = ["tokens", "users"]

Store = Annotated[
    str,
    typer.Option(
        metavar="FILE_OR_URL",
        help="Where people and answers are kept: a file, or the URL of a database.",
        rich_help_panel=RESULT,
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME")]
Role = Annotated[
    str, typer.Option(metavar="ROLE", help="viewer, annotator, reviewer, operator or admin.")
]
Url = Annotated[
    str,
    typer.Option(metavar="URL", help="Where leaven review --team is reached, to print a link."),
]

_STORE = "runs/leaven.db"

users = typer.Typer(help="Who may come in, and as what.", no_args_is_help=True)
tokens = typer.Typer(help="What lets programs in.", no_args_is_help=True)
app.add_typer(users, name="users")
app.add_typer(tokens, name="tokens")


@users.command("add")
def add(
    name: Name,
    role: Role,
    password: Annotated[
        bool, typer.Option("--password", help="Ask for a password now, instead of a link.")
    ] = False,
    url: Url = "",
    store: Store = _STORE,
    as_json: Json = False,
) -> None:
    """Let somebody in, by a link with which they choose a password that nobody else knows."""
    from leaven import people

    told = _asked_for_password() if password else None
    secret = people.add_user(store, name, role, by=getpass.getuser(), password=told)
    _tell_invitation(name, secret, url, as_json, f"'{plain(name)}' may come in as {role}.")


@users.command("list")
def list_users(store: Store = _STORE, as_json: Json = False) -> None:
    """List all, with their roles."""
    from leaven import people

    found = people.users(store)
    if as_json:
        print_json(found)
        return
    rows = [
        (one["name"], one["role"], _state(one), _day(one["created"])) for one in found
    ]  # fmt: skip
    _table(("name", "role", "", "since"), rows, "Nobody may come in yet: leaven users add NAME")


@users.command("role")
def role(
    name: Name,
    role: Annotated[str, typer.Argument(metavar="ROLE")],
    store: Store = _STORE,
) -> None:
    """Give somebody another role; it holds from their next click on."""
    from leaven import people

    people.set_role(store, name, role, by=getpass.getuser())
    typer.echo(f"'{plain(name)}' is {role}.")


@users.command("disable")
def disable(name: Name, store: Store = _STORE) -> None:
    """Shut somebody out at once; what they said stays."""
    from leaven import people

    people.disable_user(store, name, by=getpass.getuser())
    typer.echo(f"'{plain(name)}' is shut out. Let them in again: leaven users enable {plain(name)}")


@users.command("enable")
def enable(name: Name, store: Store = _STORE) -> None:
    """Let somebody in again."""
    from leaven import people

    people.enable_user(store, name, by=getpass.getuser())
    typer.echo(f"'{plain(name)}' may come in again.")


@users.command("invite")
def invite(name: Name, url: Url = "", store: Store = _STORE, as_json: Json = False) -> None:
    """Make a new link for somebody whose password is lost; it ends the one before."""
    from leaven import people

    secret = people.invite_user(store, name, by=getpass.getuser())
    _tell_invitation(name, secret, url, as_json, "")


@users.command("password")
def password(name: Name, store: Store = _STORE) -> None:
    """Set somebody's password here, which ends their sessions."""
    from leaven import people

    people.set_password(store, name, _asked_for_password(), by=getpass.getuser())
    typer.echo(f"'{plain(name)}' has another password, and is signed out everywhere.")


@users.command("history")
def history(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]")] = None,
    store: Store = _STORE,
    as_json: Json = False,
) -> None:
    """Say who changed what, who signed in and who was refused, the latest first."""
    from leaven import people

    found = people.history(store, name)
    if as_json:
        print_json(found)
        return
    rows = [
        (_time(one["at"]), one["person"], one["kind"], one["about"], one["note"] or "")
        for one in found
    ]
    _table(("when", "who", "what", "whom", ""), rows, "Nothing has happened yet.")


@tokens.command("new")
def new(
    name: Name,
    role: Role,
    days: Annotated[
        float, typer.Option(metavar="NUMBER", help="How long it holds; 0 for ever.")
    ] = 90,
    store: Store = _STORE,
    as_json: Json = False,
) -> None:
    """Make a token for a program, and print it, this once."""
    from leaven import people

    secret = people.new_token(store, name, role, by=getpass.getuser(), days=days or None)
    if as_json:
        print_json({"name": name, "token": secret})
        return
    typer.echo(secret)
    typer.echo("Send it as 'Authorization: Bearer …'. It is not shown again.", err=True)


@tokens.command("list")
def list_tokens(store: Store = _STORE, as_json: Json = False) -> None:
    """List all tokens, without what lets in."""
    from leaven import people

    found = people.tokens(store)
    if as_json:
        print_json(found)
        return
    rows = [(one["name"], one["role"], _ends(one), _used(one)) for one in found]
    _table(("name", "role", "", ""), rows, "There are no tokens: leaven tokens new NAME")


@tokens.command("revoke")
def revoke(name: Name, store: Store = _STORE) -> None:
    """End a token at once."""
    from leaven import people

    people.revoke_token(store, name, by=getpass.getuser())
    typer.echo(f"The token '{plain(name)}' lets nobody in any more.")


def _asked_for_password() -> str:
    """Typed twice, unseen."""
    told: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return told


def _tell_invitation(name: str, secret: str, url: str, as_json: bool, said: str) -> None:
    from leaven.people import invitation

    link = invitation(secret, url) if secret else None
    if as_json:
        print_json({"name": name, "invitation": link})
        return
    if said:
        typer.echo(said)
    if link:
        where = "" if url else ", behind the address of the page"
        typer.echo(f"For {plain(name)} alone, once, within a week{where}:\n{link}")


def _state(one: dict[str, Any]) -> str:
    if one["disabled"]:
        return f"shut out since {_day(one['disabled'])}"
    return "" if one["joined"] else "has not come in yet"


def _ends(one: dict[str, Any]) -> str:
    if one["revoked"]:
        return f"revoked {_day(one['revoked'])}"
    return f"ends {_day(one['expires'])}" if one["expires"] else ""


def _used(one: dict[str, Any]) -> str:
    return f"used {_day(one['used'])}" if one["used"] else "never used"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], none: str) -> None:
    from leaven.cli.console import new_console, new_table, say

    if not rows:
        say(new_console(), none)
        return
    table = new_table(*head)
    for row in rows:
        table.add_row(*(plain(cell) for cell in row))
    new_console().print(table)


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d")


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
