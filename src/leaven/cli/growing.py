"""The command that draws learning curves and says what the next labels are worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from leaven.cli.app import app, print_json
from leaven.cli.options import (
    RESULT,
    TRAINING,
    Data,
    Encoder,
    Group,
    Id,
    Json,
    Label,
    Labels,
    Modality,
    Seed,
)
from leaven.cli.words import interval
from leaven.core.wording import count

__all__ = ["curve"]


@app.command()
def curve(
    data: Data,
    label: Label = None,
    modality: Modality = None,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="One on frozen features; chosen by modality if not given.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    encoder: Encoder = None,
    seed: Seed = None,
    id: Id = None,
    group: Group = None,
    labels: Labels = None,
    ahead: Annotated[
        int,
        typer.Option(metavar="NUMBER", help="Labels to look ahead.", rich_help_panel=RESULT),
    ] = 50,
    worth: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="The gain in accuracy that makes them worth it: 0.005 is half a point.",
            rich_help_panel=RESULT,
        ),
    ] = 0.005,
    seconds: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", help="Time for the curves at most.", rich_help_panel=TRAINING
        ),
    ] = 20.0,
    as_json: Json = False,
) -> None:
    """Measure accuracy by number of labels; say what the next ones are worth, and when to stop."""
    from leaven.cli.progress import progress_line

    with progress_line(quiet=as_json) as listener:
        from leaven import api

        told = api.curve(
            data,
            label=label,
            modality=modality,
            id=id,
            group=group,
            labels=labels,
            method=method or "auto",
            encoder=encoder or "",
            seed=seed or 0,
            seconds=seconds,
            ahead=ahead,
            worth=worth,
            progress=listener,
        )
    print_json(told) if as_json else _show(told)


def _show(told: Mapping[str, Any]) -> None:
    """The advice, the curves as tables, and how they were measured."""
    from rich.table import Table

    from leaven.cli.console import new_console, say

    console = new_console()
    say(console, told["sentence"], "bold")
    for head, rows in (("labels", _by_labels(told)), ("unlabelled", told["unlabelled"])):
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for name in (head, "accuracy (95 %)", ""):
            table.add_column(name, justify="right" if name == head else "left")
        for row in rows:
            table.add_row(count(row["size"]), interval(row), row.get("what", ""))
        if rows:
            console.print(table)
    for sentence in (told["unlabelled_sentence"], told["note"]):
        if sentence:
            console.print(sentence, soft_wrap=not console.is_terminal)


def _by_labels(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The measured points, and those that are forecast."""
    rows = list(told["labels"])
    if told["now"] is not None:
        labelled = told["labelled"]
        rows.append(told["now"] | {"size": labelled, "what": "forecast: with all labels"})
        rows.append(told["then"] | {"size": labelled + told["ahead"], "what": "forecast"})
    return rows
