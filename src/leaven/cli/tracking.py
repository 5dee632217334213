"""The commands that tell MLflow of runs and releases, and bring runs back from it."""

from __future__ import annotations

from typing import Annotated

import typer

from leaven.cli.app import app, print_json
from leaven.cli.labelling import Store
from leaven.cli.options import RESULT, Json, RunFolder
from leaven.cli.releasing import Service
from leaven.cli.words import plain

__all__ = ["fetch", "log", "mlflow", "sync"]

Uri = Annotated[
    str | None,
    typer.Option(
        metavar="URI",
        help="Of MLflow: sqlite:///FILE, another database, or https://… of a server. "
        "MLFLOW_TRACKING_URI, else mlflow.db beside the runs, if not given.",
    ),
]
Experiment = Annotated[
    str | None, typer.Option(metavar="NAME", help="Named as the data if not given.")
]
Artifacts = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER_OR_URL",
        help="Where the files of a new experiment go; beside the database, or the server's own "
        "place, if not given.",
        rich_help_panel=RESULT,
    ),
]

mlflow = typer.Typer(help="Runs and releases in MLflow, and back.", no_args_is_help=True)
app.add_typer(mlflow, name="mlflow")


@mlflow.command()
def log(
    run: RunFolder,
    uri: Uri = None,
    experiment: Experiment = None,
    register: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The registered model of which it becomes a version."),
    ] = None,
    artifacts: Artifacts = None,
    as_json: Json = False,
) -> None:
    """Log a run: recipe, figures beside the baseline's, data, report and model."""
    from leaven import tracking

    told = tracking.log(run, uri=uri, experiment=experiment, register=register, artifacts=artifacts)
    if as_json:
        print_json(told)
        return
    what = "is logged" if told["new"] else "was logged already"
    typer.echo(f"{plain(told['run'])} {what} at {plain(told['uri'])}, run {told['mlflow_run']}.")
    if told["version"]:
        typer.echo(f"It is version {told['version']} of the model {plain(told['model'])}.")


@mlflow.command()
def sync(
    service: Service = None,
    uri: Uri = None,
    experiment: Experiment = None,
    register: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The registered model; named as the service if not."),
    ] = None,
    artifacts: Artifacts = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Let the aliases live, canary and shadow of a registered model follow the releases."""
    from leaven import tracking

    told = tracking.sync(
        service,
        uri=uri,
        experiment=experiment,
        register=register,
        artifacts=artifacts,
        store=store,
    )
    if as_json:
        print_json(told)
        return
    said = ", ".join(f"{place} is version {one}" for place, one in told["aliases"].items())
    typer.echo(f"Of the model {plain(told['model'])}, {said or 'no version serves'}.")


@mlflow.command()
def fetch(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="models:/NAME@live, models:/NAME/3, or runs:/ID."),
    ],
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="Where the run is to be; nothing there yet.")
    ],
    uri: Uri = None,
    as_json: Json = False,
) -> None:
    """Bring a logged run's folder back, its model held against its manifest."""
    from leaven import tracking

    told = tracking.fetch(source, folder, uri=uri)
    if as_json:
        print_json(told)
        return
    signed = "signed" if told["signed"] else "not signed"
    typer.echo(f"{plain(told['run'])} is in {plain(told['folder'])}; its model is whole, {signed}.")
