"""The commands that answer records in number: predict, stream, cascade."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from leaven.cli.app import app, print_json
from leaven.cli.options import Data, Json
from leaven.cli.words import plain
from leaven.core.wording import count, decimal, many

__all__ = ["cascade", "predict", "stream"]

_LEARNING, _KAFKA = "Learning while it runs", "Kafka (extra kafka)"

Answering = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's folder, or the plan of a cascade.")
]


@app.command()
def predict(
    run: Answering,
    data: Data,
    out: Annotated[
        str, typer.Option(metavar="FILE", help="Where to write: .csv, .parquet or .jsonl.")
    ],
    label: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The true labels, to say how right it is."),
    ] = None,
    id: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Names the records; a column called id if not given."),
    ] = None,
    compared: Annotated[
        bool, typer.Option("--compared", help="Ask the model that the run did not keep.")
    ] = False,
    decide: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="accuracy (as many right as can be) or balanced (as much of each class).",
        ),
    ] = "accuracy",
    distilled: Annotated[
        bool, typer.Option("--distilled", help="Ask the small model that leaven distil made.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="Threads; one a core if not given, four at most."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Predict each record's class, with calibrated probabilities, in files of any size."""
    from leaven.cli.progress import progress_line
    from leaven.cli.show import show_predictions

    with progress_line(quiet=as_json) as listener:
        from leaven import scoring

        scored = scoring.predict_file(
            run,
            data,
            out,
            label=label,
            id=id,
            compared=compared,
            decide=decide,
            distilled=distilled,
            workers=workers,
            progress=listener,
        )
    summary = {
        "run": run,
        "data": data,
        "out": out,
        "records": scored.records,
        "resumed": scored.resumed,
        "mean_confidence": scored.mean_confidence,
        "predictions": scored.predictions,
        "quarantined": scored.rejected,
        "findings": [asdict(finding) for finding in scored.findings],
        "metrics": {name: asdict(figure) for name, figure in scored.metrics.items()},
    }
    print_json(summary) if as_json else show_predictions(summary)


@app.command()
def stream(
    run: Answering,
    follow: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Read this file as it grows, not stdin."),
    ] = None,
    label: Annotated[
        str, typer.Option(metavar="NAME", help="By which a record may bring its true class.")
    ] = "label",
    recalibrate: Annotated[
        bool,
        typer.Option(
            "--recalibrate",
            metavar="",
            help="Confidence and the classes' shares follow the truths that come.",
            rich_help_panel=_LEARNING,
        ),
    ] = False,
    accept: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="Accept pseudo-labels: AtLeast(0.95), PerClass(…) or SelfAdaptive().",
            rich_help_panel=_LEARNING,
        ),
    ] = None,
    target: Annotated[
        float | None,
        typer.Option(
            metavar="PERCENT",
            help="Accept those of a class only while truths show this precision.",
            rich_help_panel=_LEARNING,
        ),
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Keeps what was learnt, so that the next call goes on with it.",
            rich_help_panel=_LEARNING,
        ),
    ] = None,
    service: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Accept nothing while labelling of it is paused: leaven loop pause --labelling.",
            rich_help_panel=_LEARNING,
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="FILE_OR_URL",
            help="Where that pause is kept; runs/leaven.db if not given.",
            rich_help_panel=_LEARNING,
        ),
    ] = None,
    kafka: Annotated[
        str | None,
        typer.Option(
            metavar="SERVERS", help="host:port of brokers, not stdin.", rich_help_panel=_KAFKA
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="TOPIC", help="Of the records.", rich_help_panel=_KAFKA),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="TOPIC", help="For the answers.", rich_help_panel=_KAFKA),
    ] = None,
    group: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The consumer group; it goes on where it stopped.",
            rich_help_panel=_KAFKA,
        ),
    ] = "leaven",
    kafka_settings: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="More settings of librdkafka, name=value a line.",
            rich_help_panel=_KAFKA,
        ),
    ] = None,
) -> None:
    """Answer JSON lines as they come: one line each on stdout, in order."""
    from leaven.cli.progress import progress_line

    if kafka is not None and (source is None or to is None or follow is not None):
        raise typer.BadParameter("--kafka needs --from and --to, and goes without --follow")
    output = sys.stdout.buffer
    with progress_line(quiet=True):
        from leaven import scoring

        learning: dict[str, Any] = {
            "label": label,
            "recalibrate": recalibrate,
            "accept": accept,
            "target": None if target is None else target / 100,
            "state": state,
            "service": service,
            "store": store,
            "tell": lambda sentence: typer.echo(plain(sentence), err=True),
        }

        def write(lines: bytes) -> None:
            output.write(lines)
            output.flush()

        if kafka is None:
            told = scoring.stream(run, follow or sys.stdin.fileno(), write, **learning)
        else:
            assert source is not None and to is not None
            told = scoring.stream_topics(
                run, kafka, source, to, group=group, settings=kafka_settings, **learning
            )
    for sentence in _streamed(told):
        typer.echo(sentence, err=True)


@app.command()
def cascade(
    small: Annotated[str, typer.Argument(metavar="SMALL", help="The run that answers first.")],
    large: Annotated[
        str, typer.Argument(metavar="LARGE", help="The run that answers where it is unsure.")
    ],
    out: Annotated[str, typer.Option(metavar="FILE", help="Where to write the plan: .json.")],
    lose: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            help="Accuracy that may be lost against the large model alone; 1 if not given.",
        ),
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(metavar="PERCENT", help="Of the records that may go to the large model."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Labelled records that neither run has seen."),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The labels in --data; label if not given."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Plan that a small model answers where it is sure, and a large one the rest."""
    from leaven.cli.console import new_console, say
    from leaven.cli.progress import progress_line

    with progress_line(quiet=as_json):
        from leaven import scoring

        told = scoring.cascade(
            small,
            large,
            out,
            lose=None if lose is None else lose / 100,
            share=None if share is None else share / 100,
            data=data,
            label=label,
        )
    if as_json:
        print_json(told)
        return
    console = new_console()
    say(console, told["sentence"], "bold")
    say(console, f"Chosen by {count(told['n'])} records: {told['source']}.")
    say(console, f"Ask it: leaven predict {plain(out)} DATA --out FILE", whole=True)


def _streamed(told: Mapping[str, Any]) -> list[str]:
    """What a stream came to, in sentences."""
    said = [f"{many(told['lines'], 'line', 'lines')} answered, {count(told['errors'])} as errors."]
    learnt = told["recalibration"]
    if learnt is not None and learnt["n"]:
        before, after = (learnt[one]["ece"] for one in ("before", "after"))
        said.append(
            f"Calibration error on {many(learnt['n'], 'truth', 'truths')}: "
            f"{decimal(100 * before)} points without recalibration, {decimal(100 * after)} with; "
            f"temperature {decimal(learnt['temperature'], 2)}."
        )
    if told["accepted"]:
        said.append(f"{many(told['accepted'], 'pseudo-label', 'pseudo-labels')} accepted.")
    if told["held"]:
        held = many(told["held"], "pseudo-label was", "pseudo-labels were")
        said.append(f"{held} held back, for labelling was paused.")
    return [*said, *(plain(one["sentence"]) for one in told["gate"])]
