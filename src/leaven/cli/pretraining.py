"""The commands about encoders that learn without labels, and about runs and starts compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leaven.cli.app import app, print_json
from leaven.cli.options import (
    Against,
    Budget,
    Changed,
    Data,
    Encoder,
    Fresh,
    Group,
    Id,
    Json,
    Label,
    Labels,
    Modality,
    Out,
    Pretext,
    RecipeFile,
    Seed,
    Time,
    settings_of,
)

__all__ = ["compare", "pretexts", "pretrain"]


@app.command()
def pretrain(
    data: Data,
    label: Label = None,
    modality: Modality = None,
    pretext: Pretext = None,
    encoder: Encoder = None,
    budget: Budget = None,
    seed: Seed = None,
    out: Out = "runs",
    id: Id = None,
    group: Group = None,
    time: Time = None,
    labels: Labels = None,
    against: Against = None,
    recipe: RecipeFile = None,
    changed: Changed = None,
    fresh: Fresh = False,
    as_json: Json = False,
) -> None:
    """Train an encoder without labels, watch it, and say what it is worth; for fit --encoder."""
    from leaven.cli.progress import progress_line
    from leaven.cli.show import show_pretraining

    with progress_line(quiet=as_json) as listener:
        from leaven import api

        made = api.pretrain(
            data,
            label=label,
            modality=modality,
            id=id,
            group=group,
            time=time,
            labels=labels,
            pretext=pretext,
            encoder=encoder,
            budget=budget,
            seed=seed,
            against=against or [],
            recipe=recipe,
            settings=settings_of(changed or []),
            out=out,
            fresh=fresh,
            progress=listener,
        )
    if as_json:
        left_out = ("map", "environment", "recipe_toml")
        print_json({key: value for key, value in made.story.items() if key not in left_out})
    else:
        show_pretraining(made.story, made.folder / "report.html")


@app.command()
def pretexts(
    table: Annotated[
        bool,
        typer.Option(
            "--table", metavar="", help="The pretexts that are rows of choices, as one table."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """List what an encoder can learn from records without labels, with the papers."""
    from leaven.cli.progress import progress_line
    from leaven.cli.show import show_pretexts, show_table_of_methods

    with progress_line(quiet=True):
        from leaven import api

        known = api.pretexts()
    if as_json:
        print_json({"pretexts": known})
    elif table:
        show_table_of_methods(known)
    else:
        show_pretexts(known)


@app.command()
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN RUN… | DATA", help="Two run folders or more, or one data set."),
    ],
    label: Label = None,
    modality: Modality = None,
    pretext: Pretext = None,
    encoder: Encoder = None,
    against: Against = None,
    budget: Budget = None,
    seed: Seed = None,
    out: Out = "runs",
    as_json: Json = False,
) -> None:
    """Set runs side by side and test their differences; or, for a data set, ways to begin.

    For a data set: an encoder from scratch, one that was pretrained on the data itself, and those
    named by --against, with the same head on the same folds.
    """
    from leaven.cli.progress import progress_line
    from leaven.cli.show import show_comparison, show_pretraining

    if len(runs) == 1 and not _is_data(runs[0]):
        wanted = "give at least two runs to compare, or one data set that is there."
        raise typer.BadParameter(wanted, param_hint="RUN RUN…")
    with progress_line(quiet=as_json or len(runs) > 1) as listener:
        from leaven import api

        if len(runs) > 1:
            comparison = api.compare(runs)
        else:
            made = api.pretrain(
                runs[0],
                label=label,
                modality=modality,
                pretext=pretext,
                encoder=encoder,
                against=against or [],
                budget=budget,
                seed=seed,
                out=out,
                progress=listener,
            )
    if len(runs) > 1:
        print_json(comparison) if as_json else show_comparison(comparison)
    elif as_json:
        print_json({"run": made.story["run"], "comparison": made.story["comparison"]})
    else:
        show_pretraining(made.story, made.folder / "report.html")


def _is_data(path: str) -> bool:
    """Whether it is a file, a folder that holds no run, or a URL."""
    place = Path(path)
    if not place.is_dir():
        return place.exists() or "://" in path
    return not any((place / name).is_file() for name in ("run.json", "pretraining.json"))
