"""The command that says what runs and services cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from leaven.cli.app import app, print_json
from leaven.cli.labelling import Store
from leaven.cli.options import RESULT, Json, Prices
from leaven.cli.words import interval, plain
from leaven.core.wording import MISSING, count, gained, money, seconds, size

__all__ = ["costs"]

_Said = Callable[[float | None], str]
_BESIDE = 3  # runs in a table


@app.command()
def costs(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN…|SERVICE…]",
            help="Folders of runs, or services; all services if not given, or the newest runs.",
        ),
    ] = None,
    prices: Prices = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page with charts.", rich_help_panel=RESULT),
    ] = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Say what runs and services cost, what a point of accuracy cost, and what more would buy."""
    from leaven.costs import costs as told_of

    told = told_of(names or (), prices=prices, store=store, report=report)
    print_json(told) if as_json else _show(told)


def _show(told: Mapping[str, Any]) -> None:
    """A table of the runs, and of each service, with what was bought below."""
    from leaven.cli.console import new_console, print_rows, say

    console = new_console()
    said = partial(money, currency=told["currency"])
    for start in range(0, len(told["runs"]), _BESIDE):
        some = told["runs"][start : start + _BESIDE]
        print_rows(console, ("", *(one["run"] for one in some)), _rows(some, said))
        for one in some:
            console.print()
            say(console, f"{plain(one['run'])}: {_sentence(one)}")
            if one["next"]:
                say(console, f"  {_more(one['next'])}")
        console.print()
    for group in told["budgets"]:
        say(console, f"{plain(group['dataset'])}, what larger budgets buy", "bold")
        for more in [*group["steps"], *([group["next"]] if group["next"] else [])]:
            say(console, f"  {_more(more)}")
    for service in told["services"]:
        _show_service(console, service, said)
    for sentence in told["advice"]:
        say(console, f"• {plain(sentence)}")
    if "report" in told:
        console.print(f"Report: {told['report']}", soft_wrap=True)


def _rows(runs: Sequence[Mapping[str, Any]], said: _Said) -> list[tuple[str, ...]]:
    """A row a figure, of each run beside the others."""
    figures: tuple[tuple[str, Callable[[Mapping[str, Any]], str]], ...] = (
        ("CPU", lambda one: seconds(one["cpu_seconds"])),
        ("GPU held", lambda one: seconds(one["gpu_seconds"])),
        ("memory at most", lambda one: size(one["peak_bytes"])),
        ("its files", lambda one: size(one["bytes"])),
        ("labels given", lambda one: count(one["given"])),
        ("labels bought", lambda one: count(one["bought"])),
        ("computing", lambda one: said(one["compute"])),
        ("labels", lambda one: said(one["labels"])),
        ("total", lambda one: said(one["total"])),
        ("storage a month", lambda one: said(one["storage"])),
        ("accuracy", lambda one: MISSING if not one["accuracy"] else interval(one["accuracy"])),
        ("above baseline", lambda one: gained(one["gain"])),
        ("cost of a point", lambda one: _value(one, said)),
    )
    return [(name, *(told(one) for one in runs)) for name, told in figures]


def _value(one: Mapping[str, Any], said: _Said) -> str:
    """What a point cost, as its sentence has it."""
    point = one["point"]
    if point["value"] is None:
        return MISSING
    return said(point["value"]) if one["compute"] is not None else seconds(point["value"])


def _sentence(one: Mapping[str, Any]) -> str:
    return plain(one["point"]["sentence"]).rstrip(".") + "."


def _more(one: Mapping[str, Any]) -> str:
    """What a unit more bought, or is expected to buy."""
    known = one["point"]["value"] is not None
    bought = f"{gained(one['gain'])} points, " if known else ""
    return f"{plain(one['what'])}: {bought}{_sentence(one)}"


def _show_service(console: Any, one: Mapping[str, Any], said: _Said) -> None:
    """What a service was spent on since it began, and each release."""
    from leaven.cli.console import print_rows, say

    total = said(one["total"]) if one["total"] is not None else "money not known"
    per = "" if one["per_thousand"] is None else f", {said(one['per_thousand'])} per 1000 answers"
    answered = f"{count(one['answered'])} records answered"
    say(console, f"{plain(one['service'])} since {_day(one['since'])}: {total}, {answered}{per}",
        "bold")  # fmt: skip
    rows = [(part["name"], _amount(part), said(part["cost"])) for part in one["parts"]]
    print_rows(console, ("spent on", "how much", "money"), rows)
    heads = ("release", "live since", "fit", "serving", "answered", "serving 1000", "labels bought",
             "labels cost", "against the one before")  # fmt: skip
    print_rows(console, heads, [_release(release, said) for release in one["releases"]])
    for release in one["releases"]:
        say(console, f"{plain(release['run'])}: {_sentence(release)}")


def _release(one: Mapping[str, Any], said: _Said) -> tuple[str, ...]:
    fitted = one["fitted"]
    return (
        one["run"], _day(one["live"][0][0]), _both(fitted["cpu_seconds"], fitted["compute"], said),
        _both(one["cpu_seconds"], one["serving"], said), count(one["answered"]),
        said(one["per_thousand"]), count(sum(one["answers"].values())), said(one["labels"]),
        gained(one["gain"]),
    )  # fmt: skip


def _both(took: float | None, cost: float | None, said: _Said) -> str:
    return seconds(took) if cost is None else f"{seconds(took)}, {said(cost)}"


def _amount(part: Mapping[str, Any]) -> str:
    words = {"CPU s": seconds, "bytes": size, "labels": count}
    return words[part["unit"]](part["amount"])


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
