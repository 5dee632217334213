"""The commands that encrypt what lies there, and open an encrypted file of a run."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from leaven.cli.app import EXIT_NOT_MET, app, print_json
from leaven.cli.options import Json
from leaven.cli.words import plain
from leaven.core.wording import many

__all__ = ["seal", "unseal"]


@app.command()
def seal(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Of runs.")] = "runs",
    store: Annotated[
        str | None,
        typer.Option(
            metavar="FILE_OR_URL", help="leaven.db in the folder if not given, and it is there."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Encrypt what lies there plain, or under another key, with the first one of your keys.

    Runs, evidence, labels of loops, the store, the cache of features. Exits with 1 where something
    is left as it was.
    """
    from leaven import sealing

    told = sealing.seal(folder, store=store, by=getpass.getuser())
    if as_json:
        print_json(told)
    else:
        files, values = (
            many(told["files"], "file", "files"),
            many(told["values"], "value", "values"),
        )
        typer.echo(f"Encrypted with the key {told['key']}: {files}, {values} of the store.")
        for place, why in told["left"]:
            typer.echo(f"Left as it was: {plain(place)}: {plain(why)}", err=True)
    if told["left"]:
        raise typer.Exit(EXIT_NOT_MET)


@app.command()
def unseal(
    file: Annotated[str, typer.Argument(metavar="FILE", help="An encrypted file of a run.")],
    out: Annotated[str, typer.Option(metavar="FILE", help="Where to write it, not encrypted.")],
    as_json: Json = False,
) -> None:
    """Decrypt a file of a run, for programs that have no key."""
    from leaven import sealing

    written = sealing.unseal(file, out)
    print_json({"file": file, "out": str(written)}) if as_json else typer.echo(str(written))
