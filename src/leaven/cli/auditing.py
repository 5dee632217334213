"""The commands for trust in labels: audits, the finished set, money, where labels come from."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from leaven.cli.app import print_json
from leaven.cli.labelling import Person, QueueName, RunOrData, Store, label
from leaven.cli.options import Json, RunFolder, Seed
from leaven.cli.words import interval, plain
from leaven.core.wording import count, decimal, many, percent

__all__ = ["audit", "finish", "lineage", "revoke", "worth"]

Records = Annotated[
    str | None,
    typer.Argument(metavar="DATA", help="Records; those of the run if not given."),
]
Confidence = Annotated[
    float,
    typer.Option(metavar="SHARE", help="From which confidence on an answer is a pseudo-label."),
]
Target = Annotated[
    float, typer.Option(metavar="SHARE", help="The precision that a class must be shown to have.")
]


@label.command()
def audit(
    run: RunFolder,
    data: Records = None,
    draw: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", help="Put so many pseudo-labels into the queue, unmarked."),
    ] = None,
    confidence: Confidence = 0.9,
    target: Target = 0.9,
    people: Annotated[
        int, typer.Option(metavar="NUMBER", help="How many people are to answer each.")
    ] = 1,
    store: Store = None,
    queue: QueueName = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Have people judge a random sample of pseudo-labels, and say which classes may be accepted."""
    from leaven.cli.console import new_console, print_rows, say
    from leaven.cli.progress import progress_line

    with progress_line(quiet=as_json) as listener:
        from leaven import auditing

        told = auditing.audit(
            run, data, draw=draw, confidence=confidence, target=target, wanted=people,
            store=store, queue=queue, seed=seed or 0, progress=listener,
        )  # fmt: skip
    if as_json:
        print_json(asdict(told))
        return
    console = new_console()
    if draw is not None:
        whole = percent(sum(told.coverage.values()))
        say(
            console,
            f"{many(told.added, 'pseudo-label is', 'pseudo-labels are')} in the queue "
            f"'{plain(told.queue)}', unmarked among {count(told.open)} records that wait. The "
            f"model is {percent(confidence)} sure of {whole} of the records. Answer them: "
            f"leaven review {run}",
            "bold",
        )
    _verdicts(console, told.classes)
    if told.batches:
        head = (
            "draw",
            "run",
            "last answer",
            "judged",
            "right",
            "covers",
            "agreement beyond chance",
        )
        print_rows(console, head, [_batch(one) for one in told.batches])


@label.command()
def finish(
    run: RunFolder,
    out: Annotated[
        str, typer.Argument(metavar="FILE", help="Ends in .csv, .parquet or .jsonl.")
    ] = "finished.csv",
    data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Records; those of the run if not given."),
    ] = None,
    confidence: Confidence = 0.9,
    target: Target = 0.9,
    store: Store = None,
    queue: QueueName = None,
    as_json: Json = False,
) -> None:
    """Write every record with its label: given, a person's, or the model's where audits allow."""
    from leaven.cli.console import new_console, say
    from leaven.cli.progress import progress_line

    with progress_line(quiet=as_json) as listener:
        from leaven import auditing

        told = auditing.finish(
            run, out, data, confidence=confidence, target=target, store=store, queue=queue,
            by=getpass.getuser(), progress=listener,
        )  # fmt: skip
    if as_json:
        print_json(told)
        return
    console = new_console()
    say(
        console,
        f"{out}: of {many(told['records'], 'record', 'records')} {count(told['given'])} had a "
        f"label, {count(told['person'])} got one of people and {count(told['model'])} of the "
        f"model; {count(told['none'])} have none.",
        "bold",
    )
    if told["unreadable"]:
        say(
            console, f"{many(told['unreadable'], 'record', 'records')} could not be read.", "yellow"
        )
    _verdicts(console, told["classes"])


@label.command()
def worth(
    run: RunFolder,
    price: Annotated[float, typer.Option(metavar="AMOUNT", help="What a label costs.")],
    error: Annotated[
        float, typer.Option(metavar="AMOUNT", help="What a wrong decision costs.")
    ] = 0.0,
    decisions: Annotated[
        int, typer.Option(metavar="NUMBER", help="How many decisions the model will make.")
    ] = 1000,
    budget: Annotated[
        float | None, typer.Option(metavar="AMOUNT", help="What may be spent on labels in all.")
    ] = None,
    currency: Annotated[str, typer.Option(metavar="NAME", help="Stands behind amounts.")] = "",
    confidence: Confidence = 0.9,
    target: Target = 0.9,
    store: Store = None,
    queue: QueueName = None,
    as_json: Json = False,
) -> None:
    """Say what labels have cost, what the next are worth, and whether to stop."""
    from leaven import auditing
    from leaven.cli.console import new_console, say

    told = auditing.worth(
        run, price=price, error=error, decisions=decisions, budget=budget, currency=currency,
        target=target, confidence=confidence, store=store, queue=queue,
    )  # fmt: skip
    if as_json:
        print_json(told)
        return
    console = new_console()
    hours = f" People took {decimal(told['hours'])} h over them." if told["hours"] else ""
    say(console, f"{told['sentence']}{hours}")
    say(console, plain(told["worth"]["sentence"]), "bold")
    for one in told["rules"]:
        if one["sentence"] == told["worth"]["sentence"]:
            continue  # it has been said
        style = "yellow" if one["stop"] else ""
        say(console, f"{one['rule']}: {plain(one['sentence'])} {one['todo']}", style)


@label.command()
def lineage(
    run: RunOrData,
    record: Annotated[str, typer.Argument(metavar="RECORD", help="Its id.")],
    store: Store = None,
    queue: QueueName = None,
    as_json: Json = False,
) -> None:
    """Say where a record's label comes from, and which runs it taught."""
    from leaven import auditing
    from leaven.cli.console import new_console, print_rows, say

    told = auditing.lineage(run, record, store=store, queue=queue)
    if as_json:
        print_json(told)
        return
    console = new_console()
    if told["events"]:
        head = ("when", "who", "what", "label", "the model had said", "note")
        print_rows(console, head, [_event(one) for one in told["events"]])
    say(console, f"It taught {many(len(told['runs']), 'run', 'runs')}.", "bold")
    _runs(console, told["runs"])


@label.command()
def revoke(
    run: RunOrData,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept with each label.")],
    of: Annotated[
        str | None, typer.Option(metavar="NAME", help="The person whose answers are revoked.")
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The file whose labels are revoked, as imported."),
    ] = None,
    person: Person = None,
    store: Store = None,
    queue: QueueName = None,
    as_json: Json = False,
) -> None:
    """Take back all labels of one source, and list the runs that must be made anew."""
    from leaven import auditing
    from leaven.cli.console import new_console, say

    told = auditing.revoke(
        run, by=person or getpass.getuser(), person=of, file=file, reason=reason, store=store,
        queue=queue,
    )  # fmt: skip
    if as_json:
        print_json(told)
        return
    console = new_console()
    say(
        console,
        f"{many(told['revoked'], 'answer is', 'answers are')} revoked, of "
        f"{many(len(told['records']), 'record', 'records')}, which want a label again.",
        "bold",
    )
    if told["runs"]:
        say(console, "Make these runs anew, without those labels:")
        _runs(console, told["runs"])


def _verdicts(console: Any, classes: list[dict[str, Any]]) -> None:
    from leaven.cli.console import say

    for one in classes:
        style = {"holding": "green", "stopped": "red", "paused": "yellow"}.get(one["state"], "")
        say(console, f"{one['state']}: {plain(one['sentence'])}", style)


def _batch(one: Mapping[str, Any]) -> tuple[str, ...]:
    agreed = interval(one["agreement"], shares=False) if one["agreement"] else ""
    return (
        one["name"], one["run"], _when(one["at"]), count(one["n"]), percent(one["precision"]),
        percent(one["coverage"]), agreed,
    )  # fmt: skip


def _event(one: Mapping[str, Any]) -> tuple[str, ...]:
    guess = f"{one['guess']} {percent(one['confidence'], 0)}" if one["guess"] else ""
    return (
        _when(one["at"]), one["person"], one["kind"], one["label"] or "", guess, one["note"] or "",
    )  # fmt: skip


def _runs(console: Any, runs: list[dict[str, Any]]) -> None:
    from leaven.cli.console import print_rows

    told = [
        (one["run"], one["created"], "not kept" if one["labels"] is None else count(one["labels"]),
         one["command"])
        for one in runs
    ]  # fmt: skip
    print_rows(console, ("run", "made", "labels", "made by"), told)


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
