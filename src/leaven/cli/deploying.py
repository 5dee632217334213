"""The command that writes what a cluster needs to serve, to ask people and to train."""

from __future__ import annotations

from typing import Annotated

import typer

from leaven.cli.app import app, print_json
from leaven.cli.options import TRAINING, Json
from leaven.cli.words import plain
from leaven.core.wording import many

__all__ = ["k8s"]

_SERVERS, _PAGES = "Servers", "Pages for people"


@app.command()
def k8s(
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="Where manifests go; bases are written anew.")
    ],
    service: Annotated[
        str, typer.Option(metavar="NAME", help="As leaven release names it.", show_default=False)
    ],
    image: Annotated[
        str, typer.Option(metavar="IMAGE", help="With a tag or digest.", show_default=False)
    ],
    secret: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The Secret with `store`, the URL of the database. It is named, never written.",
        ),
    ] = "leaven",  # noqa: S107 - the name of a Secret, which is no secret
    signed: Annotated[
        bool,
        typer.Option(
            "--signed", help="Serve signed models alone: `public-key` stands in the Secret."
        ),
    ] = False,
    encrypted: Annotated[
        bool,
        typer.Option(
            "--encrypted", help="Runs are encrypted: `encryption-key` stands in the Secret."
        ),
    ] = False,
    storage: Annotated[
        str, typer.Option(metavar="SIZE", help="Of the volume for data and runs.")
    ] = "20Gi",
    storage_class: Annotated[
        str, typer.Option(metavar="NAME", help="Of the volume; the cluster's own if not given.")
    ] = "",
    replicas: Annotated[
        int, typer.Option(metavar="NUMBER", help="The least servers.", rich_help_panel=_SERVERS)
    ] = 2,
    most: Annotated[
        int, typer.Option(metavar="NUMBER", help="The most servers.", rich_help_panel=_SERVERS)
    ] = 6,
    cpu: Annotated[
        str, typer.Option(metavar="CORES", help="Of a server.", rich_help_panel=_SERVERS)
    ] = "500m",
    memory: Annotated[
        str, typer.Option(metavar="SIZE", help="Of a server.", rich_help_panel=_SERVERS)
    ] = "2Gi",
    abstain: Annotated[
        float,
        typer.Option(metavar="SHARE", help="As leaven serve has it.", rich_help_panel=_SERVERS),
    ] = 0.0,
    kserve: Annotated[
        bool,
        typer.Option(
            "--kserve", help="An InferenceService of KServe serves.", rich_help_panel=_SERVERS
        ),
    ] = False,
    canary: Annotated[
        int | None,
        typer.Option(
            metavar="PERCENT",
            help="Of the requests, for a new image at first; needs KServe on Knative.",
            rich_help_panel=_SERVERS,
        ),
    ] = None,
    review: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="A run or data in the volume that people answer about.",
            rich_help_panel=_PAGES,
        ),
    ] = None,
    review_host: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="By which the pages are reached.", rich_help_panel=_PAGES
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="PATH_OR_URL", help="What is trained on.", rich_help_panel=TRAINING),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="As leaven fit has it.", rich_help_panel=TRAINING),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="As leaven fit has it.", rich_help_panel=TRAINING),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="As leaven fit has it; 30m.", rich_help_panel=TRAINING),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", help="Fits side by side; 1.", rich_help_panel=TRAINING),
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(metavar="CRON", help="When one fits again, in UTC.", rich_help_panel=TRAINING),
    ] = None,
    fit_cpu: Annotated[
        str | None,
        typer.Option(metavar="CORES", help="Of a fit; 2.", rich_help_panel=TRAINING),
    ] = None,
    fit_memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Of a fit; 8Gi.", rich_help_panel=TRAINING),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGE",
            help="With Ray: a fit as a RayJob, for KubeRay, besides.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    loop: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="The policy in the volume by which leaven loop run goes on.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    loop_schedule: Annotated[
        str | None,
        typer.Option(
            metavar="CRON",
            help="When it goes on, in UTC; each quarter of an hour.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write manifests for Kubernetes: servers, pages for people, fits, the loop, a Dockerfile."""
    from leaven import deploying

    fit = {
        "label": label, "method": method, "budget": budget, "seeds": seeds, "schedule": schedule,
        "cpu": fit_cpu, "memory": fit_memory, "ray": ray,
    }  # fmt: skip
    told = deploying.k8s(
        folder,
        service,
        image,
        secret=secret,
        signed=signed,
        encrypted=encrypted,
        storage=storage,
        storage_class=storage_class,
        replicas=replicas,
        most=most,
        cpu=cpu,
        memory=memory,
        abstain=abstain,
        kserve=kserve,
        canary=canary,
        review=review,
        review_host=review_host,
        data=data,
        fit={name: value for name, value in fit.items() if value is not None},
        loop=loop,
        loop_schedule=loop_schedule,
    )
    if as_json:
        print_json(told)
        return
    where = plain(folder)
    typer.echo(f"{many(len(told['written']), 'file is', 'files are')} in {where}.")
    if told["kept"]:
        typer.echo(f"Kept as you have them: {plain(', '.join(told['kept']))}.")
    if told["removed"]:
        typer.echo(f"Removed, for nothing needs them now: {plain(', '.join(told['removed']))}.")
    typer.echo(f"Apply them: kubectl apply -k {where}/overlays/production")
