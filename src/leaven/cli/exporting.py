"""The command that makes a run serve without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from leaven.cli.app import app, print_json
from leaven.cli.options import Json, RunFolder
from leaven.core.wording import count

__all__ = ["export"]


@app.command()
def export(
    run: RunFolder,
    target: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="onnx; edge, with weights of 8 bits besides; or serverless, with a handler.",
        ),
    ] = "onnx",
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Records by which it is held against the run's model, if not the run's own.",
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The true labels of these, to say what edge loses."),
    ] = None,
    distilled: Annotated[
        bool,
        typer.Option("--distilled", metavar="", help="The small model that leaven distil made."),
    ] = False,
    out: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="By default in the run's, exported/NAME.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a run's model so that it serves without torch and without Leaven."""
    from leaven.cli.progress import progress_line

    with progress_line(quiet=as_json) as listener:
        from leaven import exporting

        told = exporting.export(
            run, target, data=data, label=label, out=out, distilled=distilled, progress=listener
        )
    print_json(told) if as_json else _show(told)


def _show(told: Mapping[str, Any]) -> None:
    """What it is worth, how large it is, and where it lies."""
    from leaven.cli.console import new_console, say

    console = new_console()
    say(console, told["sentence"], "bold")
    sizes = ", ".join(f"{name} {count(size / 1000)} kB" for name, size in told["bytes"].items())
    console.print(f"Size    {sizes}", soft_wrap=True)
    console.print(f"Folder  {told['folder']}", soft_wrap=True)
    console.print("How to ask it is in its README.md.")
