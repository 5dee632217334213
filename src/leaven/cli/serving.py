"""The commands with which a released run answers requests, and old ones leave the log."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer

from leaven.cli.app import app, print_json
from leaven.cli.labelling import Store
from leaven.cli.options import RESULT, Json, Prices
from leaven.cli.releasing import By, Service
from leaven.cli.words import plain
from leaven.core.wording import many

__all__ = ["prune", "serve"]

_SAFETY, _CANARY = "Who may ask", "While a canary stands"


@app.command()
def serve(
    service: Service = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Where to listen. Beyond this machine, who asks needs a token: leaven tokens new.",
            rich_help_panel=_SAFETY,
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="NUMBER", help="0 for any free one.")] = 8080,
    workers: Annotated[
        int,
        typer.Option(
            metavar="NUMBER", help="Processes that answer; each has the models in its own memory."
        ),
    ] = 1,
    abstain: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="Records of which the model is less sure go to the review queue; 0 for none.",
        ),
    ] = 0.0,
    log_share: Annotated[
        float,
        typer.Option(
            metavar="SHARE", help="Of the predictions that are logged.", rich_help_panel=RESULT
        ),
    ] = 1.0,
    explore: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="Of the predictions, drawn at random and marked in the log.",
            rich_help_panel=RESULT,
        ),
    ] = 0.0,
    cascade: Annotated[
        Path | None,
        typer.Option(
            metavar="PLAN", help="Of leaven cascade: its larger run answers what the small leaves."
        ),
    ] = None,
    every: Annotated[
        float, typer.Option(metavar="SECONDS", help="Between two looks at the releases.")
    ] = 0.2,
    guard: Annotated[
        bool,
        typer.Option(
            "--guard/--no-guard",
            help="Judge the canary: it gets more requests, or none, by itself.",
            rich_help_panel=_CANARY,
        ),
    ] = True,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="What a canary must show: TOML with a table [canary].",
            rich_help_panel=_CANARY,
        ),
    ] = None,
    mirror: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="Of the requests that both canary and live run are asked.",
            rich_help_panel=_CANARY,
        ),
    ] = 0.1,
    rate: Annotated[
        float,
        typer.Option(
            metavar="NUMBER",
            help="Requests a second of one token, or of one address; 0 for any.",
            rich_help_panel=_SAFETY,
        ),
    ] = 0.0,
    keep_days: Annotated[
        float,
        typer.Option(
            metavar="DAYS",
            help="For which predictions stay in the log; 0 for ever.",
            rich_help_panel=RESULT,
        ),
    ] = 0.0,
    local_metrics: Annotated[
        bool,
        typer.Option(
            "--local-metrics",
            help="Programs on this machine read /metrics without a token.",
            rich_help_panel=_SAFETY,
        ),
    ] = False,
    prices: Prices = None,
    tls_cert: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A certificate (PEM).", rich_help_panel=_SAFETY),
    ] = None,
    tls_key: Annotated[
        str | None, typer.Option(metavar="FILE", help="Its key (PEM).", rich_help_panel=_SAFETY)
    ] = None,
    store: Store = None,
) -> None:
    """Answer requests with what is released, until Ctrl-C."""
    from leaven import serving

    serving.serve(
        service,
        opened=lambda address: typer.echo(f"Serving at {address}"),
        store=store,
        host=host,
        port=port,
        workers=workers,
        abstain=abstain,
        log_share=log_share,
        explore=explore,
        every=every,
        cascade=cascade,
        guard=guard,
        policy=policy,
        mirror=mirror,
        rate=rate,
        keep_days=keep_days,
        local_metrics=local_metrics,
        prices=prices,
        tls_cert=tls_cert,
        tls_key=tls_key,
    )


@app.command()
def prune(
    service: Service = None,
    *,
    keep_days: Annotated[
        float, typer.Option(metavar="DAYS", help="Predictions that are older leave the log.")
    ],
    by: By = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Remove old predictions from the log; those of which truth came back stay with it."""
    from leaven import serving

    told = serving.prune(service, keep_days=keep_days, by=by or getpass.getuser(), store=store)
    if as_json:
        print_json(told)
        return
    gone = many(told["predictions"], "prediction", "predictions")
    typer.echo(f"{plain(told['service'])}: {gone} removed.")
