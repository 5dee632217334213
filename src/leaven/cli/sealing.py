"""The command that opens an encrypted file of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from leaven.cli.app import app, print_json
from leaven.cli.options import Json

__all__ = ["unseal"]


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
