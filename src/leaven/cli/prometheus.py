"""The command that writes rules and dashboards for Prometheus and Grafana."""

from __future__ import annotations

from typing import Annotated

import typer

from leaven.cli.app import app, print_json
from leaven.cli.options import Json
from leaven.cli.words import plain
from leaven.core.wording import many

__all__ = ["prometheus"]


@app.command()
def prometheus(
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="Where they go; files are written anew.")
    ],
    config: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="What is promised, as leaven slo reads it; leaven.toml by default."
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST:PORT", help="A server to scrape; may be given again.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write rules, alerts, their tests and dashboards for Prometheus and Grafana."""
    from leaven.prometheus import prometheus as write

    told = write(folder, config=config, targets=target or ["127.0.0.1:8080"])
    if as_json:
        print_json(told)
        return
    typer.echo(f"{many(len(told['written']), 'file', 'files')} in {plain(folder)}")
    for path in told["kept"]:
        typer.echo(f"{plain(path)} stays as it is.")
    typer.echo(f"Try the rules: promtool test rules {plain(folder)}/leaven.rules.test.yml")
