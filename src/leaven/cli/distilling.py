"""The command that makes a small model of a run's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from leaven.cli.app import app, print_json
from leaven.cli.options import TRAINING, Data, Json, RunFolder, Seed
from leaven.cli.words import interval
from leaven.core.wording import count, decimal

__all__ = ["distil"]


@app.command()
def distil(
    run: RunFolder,
    data: Data,
    label: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The true labels, to say how right both models are."),
    ] = None,
    seed: Seed = None,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            metavar="",
            help="Make it anew where there is one.",
            rich_help_panel=TRAINING,
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Make one small model that says what the run's says, and state what that loses."""
    from leaven.cli.progress import progress_line

    with progress_line(quiet=as_json) as listener:
        from leaven import api

        told = api.distil(run, data, label=label, seed=seed or 0, fresh=fresh, progress=listener)
    print_json(told) if as_json else _show(told)


def _show(told: Mapping[str, Any]) -> None:
    """The loss in a sentence, both models side by side, and what to type next."""
    from rich.table import Table

    from leaven.cli.console import new_console, say

    console = new_console()
    say(console, told["sentence"], "bold")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    for name in ("the run's model", "the small model"):
        table.add_column(name, justify="right")
    for row in _rows(told):
        table.add_row(*row)
    console.print(table)
    dealt = told["records"]
    console.print(
        f"A {told['head']} head, taught by {count(dealt['taught'])} records, chosen by "
        f"{count(dealt['chose'])} and judged on {count(dealt['held'])} others.",
        soft_wrap=not console.is_terminal,
    )
    if not told["new"]:
        console.print("Made before; --fresh makes it anew, from these records.")
    console.print(
        f"Ask it: leaven predict {told['run']} DATA --distilled --out FILE",
        soft_wrap=True,
    )


def _rows(told: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Figure by figure, both models."""
    pairs = ("teacher", "student")
    rows: list[tuple[str, ...]] = []
    if told["accuracy"] is not None:
        rows.append(("accuracy (95 %)", *(interval(told["accuracy"][one]) for one in pairs)))
    confidence, size, cpu = told["confidence"], told["bytes"], told["cpu"]
    rows.append(("mean confidence", *(f"{decimal(100 * confidence[one])} %" for one in pairs)))
    rows.append(("size, kB", *(count(size[one] / 1000) for one in pairs)))
    rows.append(("CPU a record, µs", *(count(1e6 * cpu[one]) for one in pairs)))
    return rows
