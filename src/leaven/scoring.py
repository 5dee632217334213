"""The verbs for answers in number: predict_file, stream, stream_topics, cascade."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leaven.core.progress import Progress
    from leaven.evaluate.run import Run
    from leaven.operate.scoring.bulk import Scored
    from leaven.operate.scoring.stream import Stream

__all__ = ["cascade", "predict_file", "stream", "stream_topics"]


def predict_file(
    run: Run | str | Path,
    data: str | Path,
    out: str | Path,
    *,
    label: str | None = None,
    id: str | None = None,
    compared: bool = False,
    decide: str = "accuracy",
    distilled: bool = False,
    workers: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Scored:
    """Score a file or folder of any size in bounded memory, one row a record, in order.

    Parameters
    ----------
    run : a run, its folder, or the plan of a cascade.
    data : a table, a folder of tables, of pictures, sounds or texts, or a URL of a table.
    out : CSV, Parquet or JSON Lines by its ending. Records that cannot be read have an empty row,
        and are listed with their reason in `<out>.quarantine.parquet`.
    label, id : columns of the true labels, by which `metrics` are measured, and of ids; without
        `id` a column called id serves, else the digest of the record.
    compared, decide, distilled : as for `leaven.predict`.
    workers : threads; by default one a core, four at most.

    What a killed call has made is gone on with by the next, to the same bits. Raises LeavenError.
    """
    from leaven.operate.scoring.answering import open_answering
    from leaven.operate.scoring.bulk import score_file

    answering = open_answering(run, compared=compared, distilled=distilled, decide=decide)
    return score_file(
        answering,
        data,
        Path(out),
        label=label,
        id=id,
        workers=workers,
        listen=progress or (lambda _: None),
    )


def stream(
    run: Run | str | Path,
    source: int | str | Path,
    write: Callable[[bytes], None],
    *,
    label: str = "label",
    recalibrate: bool = False,
    accept: str | None = None,
    target: float | None = None,
    state: str | Path | None = None,
    service: str | None = None,
    store: str | Path | None = None,
    tell: Callable[[str], None] | None = None,
    ends: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Answer JSON lines as they come, one line each, in order.

    Parameters
    ----------
    run : a run, its folder, or the plan of a cascade.
    source : a file descriptor that is read to its end, or a file that is followed as it grows.
    write : takes the answers, whole lines.
    label : the name by which a record may bring its true class.
    recalibrate : temperature and shares of the classes follow the truths that come.
    accept : a rule by which pseudo-labels are accepted, such as "AtLeast(0.95)"; they are written
        to `accepted.jsonl` in the folder `state`, which it needs.
    target : accept those of a class only while truths show this precision.
    state : a folder that keeps what was learnt, and where a followed file is read on.
    service, store : nothing is accepted while a person has paused automatic labelling of this
        service (`leaven loop pause --labelling`) in this store, a file or URL, by default
        `runs/leaven.db`; nor while that cannot be read.
    tell : is called with a sentence when such a pause begins or ends, from another thread.
    ends : asked while a followed file does not grow; true ends it. Ctrl-C does too.

    Returns how many lines, errors, truths and accepted labels there were, and how many a pause
    `held` back, with `recalibration` (calibration error before and after) and `gate` (the state of
    each class). Raises LeavenError.
    """
    from leaven.operate.scoring.lines import followed, piped

    with _stream(run, label, recalibrate, accept, target, state, service, store, tell) as opened:
        if isinstance(source, int):
            batches = piped(source)
        else:
            batches = followed(Path(source), opened.after, ends)
        with suppress(KeyboardInterrupt):  # how whoever follows a file ends it
            for batch in batches:
                for lines in opened.answered(batch.lines, batch.ends):
                    write(b"".join(lines))
    return asdict(opened.summary())


def stream_topics(
    run: Run | str | Path,
    servers: str,
    source: str,
    target_topic: str,
    *,
    group: str = "leaven",
    settings: str | Path | None = None,
    label: str = "label",
    recalibrate: bool = False,
    accept: str | None = None,
    target: float | None = None,
    state: str | Path | None = None,
    service: str | None = None,
    store: str | Path | None = None,
    tell: Callable[[str], None] | None = None,
    ends: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """The same from one topic of Kafka to another (extra `kafka`).

    Parameters
    ----------
    servers : host:port of brokers, parted by commas.
    source, target_topic : where records come from, and where answers go, with their keys.
    group : the consumer group, which goes on where it stopped.
    settings : a file of further settings of librdkafka, name=value a line.
    """
    from leaven.operate.scoring.kafka import Topics, read_settings

    more = {} if settings is None else read_settings(settings)
    topics = Topics(servers, source, target_topic, group, more)
    with (
        _stream(run, label, recalibrate, accept, target, state, service, store, tell) as opened,
        suppress(KeyboardInterrupt),
    ):  # how it is ended

        def answer(messages: Sequence[bytes]) -> list[bytes]:
            return [line.rstrip(b"\n") for lines in opened.answered(messages) for line in lines]

        topics.run(answer, ends)
    return asdict(opened.summary())


def cascade(
    small: Run | str | Path,
    large: Run | str | Path,
    out: str | Path,
    *,
    lose: float | None = None,
    share: float | None = None,
    data: str | Path | None = None,
    label: str | None = None,
) -> dict[str, Any]:
    """Plan that a small model answers where it is sure, and a large one the rest.

    Parameters
    ----------
    out : the file of the plan, which `predict_file` and `stream` take for a run.
    lose : the share of records that may be answered wrong though the large model has them right;
        0.01 if neither this nor `share` is given.
    share : the share of records that may go to the large model.
    data, label : labelled records that neither run has seen, to choose by; without them the runs'
        answers out of fold, where they have some.

    Returns the threshold and what it does; `sentence` says it. Raises LeavenError where nothing
    can be shown, or the runs do not fit.
    """
    from leaven.core.errors import SettingError
    from leaven.evaluate import cascade as plan
    from leaven.evaluate.run import Run
    from leaven.evaluate.tables import read_parquet

    if lose is not None and share is not None:
        raise SettingError("share", "given alone", "with lose", "Choose one of them.")
    first, second = (run if isinstance(run, Run) else Run.load(run) for run in (small, large))
    plan.check_fit(first, second)
    evidence = None
    if data is not None:
        evidence = plan.asked_evidence(first, second, first.dataset(data, label or "label"))
    elif share is None or plan.has_folds(first, second):
        evidence = plan.fold_evidence(first, second)
    if share is None:
        assert evidence is not None
        threshold = plan.by_loss(evidence, 0.01 if lose is None else lose)
    else:
        told = read_parquet(first.folder / "predictions.parquet", ["confidence"])
        sure = told["confidence"].to_numpy()
        if not len(sure) and evidence is not None:
            sure = evidence.confidence
        threshold = plan.by_share(sure, share, evidence)
    plan.Cascade(first, second, threshold).save(Path(out))
    return asdict(threshold) | {"out": os.fspath(out), "sentence": threshold.sentence}


@contextmanager
def _stream(
    run: Run | str | Path,
    label: str,
    recalibrate: bool,
    accept: str | None,
    target: float | None,
    state: str | Path | None,
    service: str | None,
    store: str | Path | None,
    tell: Callable[[str], None] | None,
) -> Iterator[Stream]:
    from leaven.core.errors import SettingError
    from leaven.label.trust.gate import Gate
    from leaven.operate.scoring.accepting import Acceptance
    from leaven.operate.scoring.answering import open_answering
    from leaven.operate.scoring.holding import Hold
    from leaven.operate.scoring.recalibrating import Recalibration
    from leaven.operate.scoring.stream import Stream

    if accept is not None and state is None:
        raise SettingError("state", "a folder, for the labels that are accepted", state)
    for name, given in (("a target", target), ("the pause of a service", service)):
        if given is not None and accept is None:
            raise SettingError("accept", f"a rule, such as AtLeast(0.95), for {name}", accept)
    if store is not None and service is None:
        raise SettingError("service", "the name of the one whose pause is looked for", service)
    answering = open_answering(run)
    with ExitStack() as opened:
        acceptance = None
        if accept is not None:
            hold = None
            if service is not None:
                hold = opened.enter_context(closing(Hold(store, service, tell=tell)))
            gate = None if target is None else Gate(target)
            why = None if hold is None else hold.why
            acceptance = Acceptance(accept, answering.classes, gate, why)
        stream = Stream(
            answering,
            label=label,
            recalibration=Recalibration(answering.shares) if recalibrate else None,
            acceptance=acceptance,
            home=None if state is None else Path(state),
        )
        yield opened.enter_context(closing(stream))
