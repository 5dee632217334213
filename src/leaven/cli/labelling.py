"""The commands with which people are asked, and what they said comes back."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from leaven.cli.app import app, print_json
from leaven.cli.options import READING, RESULT, Data, Json, Label, Modality, Seed
from leaven.cli.words import interval, plain
from leaven.core.wording import count, decimal, many, percent

__all__ = ["export", "import_", "label", "query", "queue", "review", "rules"]

Store = Annotated[
    str | None,
    typer.Option(
        metavar="FILE_OR_URL",
        help="Where answers are kept: a file, or the URL of a database. leaven.db beside the run "
        "if not given.",
        rich_help_panel=RESULT,
    ),
]
QueueName = Annotated[
    str | None,
    typer.Option(
        "--queue", metavar="NAME", help="Named as the data if not given.", rich_help_panel=RESULT
    ),
]
RunOrData = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's folder; or data of which there is no run yet.")
]
Person = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Who answers; your login name if not given."),
]

NETWORK = "Network"

label = typer.Typer(help="Labels out of the queue and into it.", no_args_is_help=True)
app.add_typer(label, name="label")


@app.command()
def query(
    run: RunOrData,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA", help="Records to choose from; those of the run if not given."
        ),
    ] = None,
    ask: Annotated[int, typer.Option(metavar="NUMBER", help="How many records to ask about.")] = 50,
    strategy: Annotated[
        str, typer.Option(metavar="NAME", help="How they are chosen; auto by the number of labels.")
    ] = "auto",
    explore: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="The share of them drawn at random; 0.1 with a run."),
    ] = None,
    people: Annotated[
        int, typer.Option(metavar="NUMBER", help="How many people are to answer each.")
    ] = 1,
    assign: Annotated[
        str | None, typer.Option(metavar="NAME", help="The one person who is to answer them.")
    ] = None,
    suspects: Annotated[
        bool, typer.Option("--suspects", help="Ask about labels that are probably wrong instead.")
    ] = False,
    gold: Annotated[
        bool,
        typer.Option("--gold", help="Ask about known labels instead, unmarked, to judge people."),
    ] = False,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME",
            help="What may be answered, for data without a run and without a label.",
            rich_help_panel=READING,
        ),
    ] = None,
    label: Label = None,
    modality: Modality = None,
    store: Store = None,
    queue: QueueName = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Choose the records worth a label most, and put them into the queue."""
    from leaven.cli.console import new_console, print_rows, say
    from leaven.cli.progress import progress_line

    with progress_line(quiet=as_json) as listener:
        from leaven import labelling

        told = labelling.query(
            run,
            data,
            count=ask,
            strategy=strategy,
            explore=explore,
            wanted=people,
            assigned=assign,
            suspects=suspects,
            gold=gold,
            classes=[name.strip() for name in (classes or "").split(",") if name.strip()],
            label=label,
            modality=modality,
            store=store,
            queue=queue,
            seed=seed or 0,
            progress=listener,
        )
    if as_json:
        print_json(asdict(told))
        return
    console = new_console()
    say(
        console,
        f"{many(told.added, 'record is', 'records are')} in the queue '{plain(told.queue)}', "
        f"chosen by {told.strategy}. Answer them: leaven review {run}",
        "bold",
    )
    if told.caution:
        say(console, told.caution, "yellow")
    if told.rehearsal:
        style = "yellow" if told.rehearsal["outcome"] == "no better" else ""
        say(console, plain(told.rehearsal["sentence"]), style)
    if told.precision:
        say(console, f"Expected to be wrong of these: {interval(told.precision)}.")
    if told.unreadable:
        say(console, f"{many(told.unreadable, 'record', 'records')} could not be read.", "yellow")
    print_rows(
        console,
        ("record", "the model says", "asked because"),
        [(one["record"], _guess(one["guess"]), one["reason"]) for one in told.asks[:10]],
    )
    if len(told.asks) > 10:
        say(console, f"and {count(len(told.asks) - 10)} more", "dim")


@app.command()
def queue(
    run: RunOrData,
    again: Annotated[
        bool, typer.Option("--ask-again", help="Ask one more person where people differ.")
    ] = False,
    store: Store = None,
    queue: QueueName = None,
    as_json: Json = False,
) -> None:
    """Say how the queue goes on: what waits, who answered, how far they agree."""
    from leaven import labelling
    from leaven.cli.console import new_console, print_rows, say

    if again:
        labelling.ask_again(run, person=getpass.getuser(), store=store, queue=queue)
    told = labelling.status(run, store=store, queue=queue)
    if as_json:
        print_json(told)
        return
    console = new_console()
    say(
        console,
        f"{plain(told['queue'])}: {many(told['open'], 'record waits', 'records wait')} for an "
        f"answer, {count(told['done'])} done, {count(told['skipped'])} skipped.",
        "bold",
    )
    if told["agreement"]:
        figure = interval(told["agreement"], shares=False)
        say(console, f"People agree beyond chance by {figure} (Krippendorff's alpha).")
    if told["disputed"]:
        some = ", ".join(plain(one) for one in told["disputed"][:5])
        say(
            console,
            f"People differ on {many(len(told['disputed']), 'record', 'records')}: {some}. "
            f"Settle them on the page (leaven review {run}), or ask one more person: "
            f"leaven queue {run} --ask-again",
            "yellow",
        )
    head = ("person", "answers", "skipped", "undone", "seconds", "gold right", "as the model said")
    print_rows(console, head, [_person(one) for one in told["people"]])


@label.command("export")
def export(
    run: RunOrData,
    out: Annotated[
        str, typer.Argument(metavar="FILE", help="Ends in .csv, .parquet or .jsonl.")
    ] = "labels.csv",
    store: Store = None,
    queue: QueueName = None,
    as_json: Json = False,
) -> None:
    """Write the labels that people gave, for leaven fit DATA --answers FILE."""
    from leaven import labelling
    from leaven.cli.console import new_console, say

    table = labelling.export(run, out, store=store, queue=queue, by=getpass.getuser())
    if as_json:
        print_json({"file": out, "labels": table.num_rows})
        return
    say(
        new_console(),
        f"{many(table.num_rows, 'record has', 'records have')} a label that people gave: {out}. "
        f"Train on them: leaven fit DATA --answers {out}",
    )


@label.command("import")
def import_(
    run: RunOrData,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A table with id and label, perhaps person.")
    ],
    person: Person = None,
    store: Store = None,
    queue: QueueName = None,
    as_json: Json = False,
) -> None:
    """Take answers that were given elsewhere into the queue."""
    from leaven import labelling
    from leaven.cli.console import new_console, say

    who = person or getpass.getuser()
    told = labelling.import_labels(run, file, person=who, store=store, queue=queue)
    if as_json:
        print_json(told)
        return
    again = f", {count(told['again'])} of them known" if told["again"] else ""
    console = new_console()
    say(console, f"{many(told['answers'], 'answer', 'answers')} taken{again}.")
    if told["unknown"]:
        some = many(told["unknown"], "is of a record", "are of records")
        say(console, f"{some} that cannot be read: check their ids.", "yellow")


@app.command()
def review(
    run: RunOrData,
    person: Person = None,
    port: Annotated[int, typer.Option(metavar="NUMBER", help="Any that is free if not given.")] = 0,
    team: Annotated[
        bool,
        typer.Option("--team", help="For many: everybody signs in whom leaven users has let in."),
    ] = False,
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Where to listen.", rich_help_panel=NETWORK),
    ] = "127.0.0.1",
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A host name under which it is reached. May be given several times.",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    tls_cert: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A certificate (PEM).", rich_help_panel=NETWORK),
    ] = None,
    tls_key: Annotated[
        str | None, typer.Option(metavar="FILE", help="Its key (PEM).", rich_help_panel=NETWORK)
    ] = None,
    proxy: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="A server before this one, whose word on where requests come from is taken.",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    store: Store = None,
    queue: QueueName = None,
) -> None:
    """Open the page on which records are answered, by keyboard, until Ctrl-C."""
    from leaven import labelling

    if labelling.is_exposed(host, tls_cert, proxy):
        warning = "Passwords and answers can be read on this network: give --tls-cert, --tls-key."
        typer.echo(warning, err=True)
    whose = "Everybody signs in with their own name." if team else "The link is yours alone."
    labelling.review(
        run,
        person=person or getpass.getuser(),
        port=port,
        team=team,
        host=host,
        names=name or [],
        tls_cert=tls_cert,
        tls_key=tls_key,
        proxy=proxy,
        store=store,
        queue=queue,
        opened=lambda url: typer.echo(f"Answer here: {url}\n{whose} Ctrl-C ends."),
    )


@app.command()
def rules(
    data: Data,
    file: Annotated[str, typer.Argument(metavar="RULES", help="A TOML file of rules.")],
    label: Label = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Soft labels: .csv, .parquet or .jsonl.", rich_help_panel=RESULT
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Weak labels: apply rules to the records, and say how far they cover, differ and are right."""
    from leaven.cli.console import new_console, print_rows, say
    from leaven.cli.progress import progress_line

    with progress_line(quiet=as_json):
        from leaven import labelling

        told = labelling.rules(data, file, label=label, out=out)
    if as_json:
        print_json(told)
        return
    console = new_console()
    say(
        console,
        f"{count(told['voted'])} of {many(told['records'], 'record', 'records')} get a vote, "
        f"{count(told['named'])} a class; rules are weighed by the {told['weighed_by']}.",
        "bold",
    )
    head = ("rule", "votes for", "covers", "with others", "against others", "right")
    print_rows(console, head, [_rule(one) for one in told["rules"]])
    for one in told["failures"][:5]:
        say(console, f"{plain(one['rule'])} failed on {plain(one['record'])}: "
             f"{plain(one['message'])}", "yellow")  # fmt: skip


def _rule(one: Mapping[str, Any]) -> tuple[str, ...]:
    shares = (percent(one[name]) for name in ("coverage", "overlap", "conflict"))
    right = f"{interval(one['accuracy'])} of {one['accuracy']['n']}" if one["accuracy"] else ""
    return (one["rule"], ", ".join(one["votes_for"]), *shares, right)


def _guess(guess: Sequence[Sequence[Any]]) -> str:
    return ", ".join(f"{name} {percent(share, 0)}" for name, share in guess[:2])


def _person(one: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        one["name"],
        count(one["answered"]),
        count(one["skipped"]),
        count(one["undone"]),
        decimal(one["seconds"]),
        interval(one["gold"]) if one["gold"] else "",
        interval(one["with_model"]) if one["with_model"] else "",
    )
