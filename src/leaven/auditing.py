"""The verbs for trust in labels: audit, finish, worth, lineage, revoke."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaven.core.errors import DataError, SettingError
from leaven.core.progress import Listener, Progress

if TYPE_CHECKING:
    from leaven.evaluate.run import Run

__all__ = ["Audit", "audit", "finish", "lineage", "revoke", "worth"]


@dataclass(frozen=True)
class Audit:
    """What the audits of a run's pseudo-labels say.

    `added` were put into the queue by this call; `classes` holds a verdict a class (see
    `leaven.label.trust.gate.Verdict`), `batches` what each draw has shown.
    """

    queue: str
    confidence: float
    added: int
    open: int
    classes: list[dict[str, Any]]
    batches: list[dict[str, Any]]
    coverage: dict[str, float] = field(default_factory=dict)


def audit(
    run: Run | str | Path,
    data: Any = None,
    *,
    draw: int | None = None,
    confidence: float = 0.9,
    target: float = 0.9,
    wanted: int = 1,
    store: str | Path | None = None,
    queue: str | None = None,
    seed: int = 0,
    progress: Listener | None = None,
) -> Audit:
    """Have people judge a random sample of the run's pseudo-labels, and say what they found.

    Parameters
    ----------
    draw : so many are put into the queue, unmarked among what waits there; None only tells.
    confidence : from which calibrated probability on the model's answer is a pseudo-label.
    target : the precision that a class must be shown to have; see `leaven.label.trust.gate.Gate`.

    Raises LeavenError for data or settings that cannot be used.
    """
    from leaven.label.place import place_of
    from leaven.label.results import standing, waiting
    from leaven.label.trust.auditing import batches, draw_audit, judge

    tell = progress or (lambda _: None)
    place = place_of(run, store, queue)
    opened = place.with_run()
    added, coverage = 0, {}
    if draw is None:
        found = place.open()
    else:
        tell(Progress("reading the records"))
        dataset = opened.records(data)
        found = place.made(opened.classes, dataset.modality)
        tell(Progress("drawing pseudo-labels by chance"))
        known = {one.record for one in standing(found)} | set(waiting(found))
        drawn = draw_audit(
            opened, dataset, draw, confidence=confidence, queue=found, leave_out=known,
            wanted=wanted, seed=seed,
        )  # fmt: skip
        added, coverage = found.add(drawn.asks), drawn.coverage
    verdicts = judge(found, opened.folder.name, confidence=confidence, target=target)
    return Audit(
        found.name,
        confidence,
        added,
        len(waiting(found)),
        [asdict(one) | {"class": found.classes[one.of]} for one in verdicts],
        [asdict(one) for one in batches(found)],
        coverage,
    )


def finish(
    run: Run | str | Path,
    out: str | Path,
    data: Any = None,
    *,
    confidence: float = 0.9,
    target: float = 0.9,
    store: str | Path | None = None,
    queue: str | None = None,
    by: str = "?",
    progress: Listener | None = None,
) -> dict[str, Any]:
    """Write the whole set with a label each, as far as it is known or shown to be good enough.

    Given labels and people's answers as they are; beyond these the model's answer where it is
    `confidence` sure and audits show that at least `target` of its class are right. The table has
    `id`, `content`, `label` (null where nothing may be said), `origin` (`given`, `person`,
    `model`) and `confidence` of the model's. Returns the counts, and the verdict on each class. The
    audit log notes it as done by `by`.
    """
    from leaven.evaluate.tables import write_table
    from leaven.label.place import place_of
    from leaven.label.results import labels
    from leaven.label.trust.auditing import judge
    from leaven.label.trust.finishing import finished
    from leaven.store.audit import AuditLog

    write_table(None, Path(out))
    tell = progress or (lambda _: None)
    place = place_of(run, store, queue)
    opened = place.with_run()
    found = place.open()
    tell(Progress("reading the records"))
    whole = opened.records(data)
    dataset, arrays = opened.predictor.front.readable(whole)
    verdicts = judge(found, opened.folder.name, confidence=confidence, target=target)
    said = labels(found)
    table = finished(
        dataset,
        opened.predictor.probabilities(arrays),
        opened.classes,
        answered=dict(zip(said["id"].to_pylist(), said["label"].to_pylist(), strict=True)),
        accepted={found.classes[one.of] for one in verdicts if one.accepts},
        confidence=confidence,
    )
    counts = Counter(one or "none" for one in table["origin"].to_pylist())
    told = {"file": Path(out).name, "run": opened.folder.name, "target": target, **counts}
    AuditLog(found.store).add(by, "labels.finished", found.name, told)
    write_table(table, Path(out))
    return {
        "records": len(dataset),
        "unreadable": len(whole) - len(dataset),
        **{origin: counts[origin] for origin in ("given", "person", "model", "none")},
        "classes": [asdict(one) | {"class": found.classes[one.of]} for one in verdicts],
    }


def worth(
    run: Run | str | Path,
    *,
    price: float,
    error: float = 0.0,
    decisions: int = 1000,
    budget: float | None = None,
    currency: str = "",
    target: float = 0.9,
    confidence: float = 0.9,
    store: str | Path | None = None,
    queue: str | None = None,
) -> dict[str, Any]:
    """What labels have cost, what the next are worth, and whether to stop.

    Parameters
    ----------
    price, error : of one label, and of one wrong decision, in one currency.
    decisions : how many decisions the model will make.
    budget : what may be spent on labels in all.

    Returns `spent`, `answers`, `hours` that people took, `worth` of the next labels by the run's
    forecast, and `rules`: what each rule for stopping says.
    """
    from leaven.core.wording import many
    from leaven.evaluate.intervals import Estimate
    from leaven.evaluate.lineage import rounds
    from leaven.label.place import place_of
    from leaven.label.results import answers_given
    from leaven.label.trust.auditing import judge
    from leaven.label.trust.stopping import (
        Price,
        audited_precision,
        budget_spent,
        forecast_below_price,
        stability,
    )
    from leaven.label.trust.stopping import worth as worth_of

    place = place_of(run, store, queue)
    opened = place.with_run()
    found = place.open()
    asked = Price(price, error, decisions, budget, currency)
    answers, seconds = answers_given(found)
    spent = answers * price
    growth = opened.story.get("growth") or {}
    gain = growth.get("expected")
    expected = Estimate(**gain) if gain else None
    ahead = int(growth.get("ahead") or 50)
    told = worth_of(expected, ahead, asked)
    verdicts = judge(found, opened.folder.name, confidence=confidence, target=target)
    rules = [
        budget_spent(asked, spent),
        forecast_below_price(told),
        stability(rounds(opened)),
        audited_precision(verdicts, target),
    ]
    return {
        "answers": answers,
        "spent": spent,
        "hours": seconds / 3600,
        "sentence": f"{many(answers, 'answer', 'answers')} cost {asked.said(spent)}.",
        "worth": asdict(told),
        "rules": [asdict(one) for one in rules],
    }


def lineage(
    run: Run | str | Path,
    record: str,
    *,
    store: str | Path | None = None,
    queue: str | None = None,
) -> dict[str, Any]:
    """Where a record's label comes from, and which runs it taught.

    `events` is all that happened to it in the queue, in order; `runs` those beside this one that
    were given its label. Raises DataError for a record that neither the queue nor a run knows.
    """
    from leaven.evaluate.lineage import taught_runs
    from leaven.label.place import place_of
    from leaven.label.results import history

    place = place_of(run, store, queue)
    try:
        events = history(place.open(), record)
    except DataError:  # nothing was asked yet
        events = []
    runs = [one for one in taught_runs(place.runs, ids=[record]) if one.labels]
    if not events and not runs:
        raise DataError(
            f"Neither the queue nor a run beside this one knows a record '{record}'. Its id stands "
            "in the predictions and on the review page."
        )
    return {"record": record, "events": events, "runs": [asdict(one) for one in runs]}


def revoke(
    run: Run | str | Path,
    *,
    by: str,
    person: str | None = None,
    file: str | None = None,
    reason: str,
    store: str | Path | None = None,
    queue: str | None = None,
) -> dict[str, Any]:
    """Take back all labels of one source, and list the runs that they taught.

    Parameters
    ----------
    by : who revokes.
    person, file : one of the two: whose answers, or which file's (an import, or the data or rules
        that a run was given, of which there is nothing to take back but the runs).
    reason : is kept with each.

    The answers stay in the history; their records are asked about again. Runs that keep no labels,
    made by an earlier version, are listed with `labels` null.
    """
    from leaven.evaluate.lineage import taught_runs
    from leaven.label.place import place_of
    from leaven.label.trust.revoking import revoke as take_back

    if (person is None) == (file is None):
        raise SettingError("person", "given, or `file`, and not both", person)
    place = place_of(run, store, queue)
    found = place.open()
    taken = take_back(found, by=by, person=person, file=file, reason=reason)
    runs = taught_runs(place.runs, by=person or file)
    return {
        "revoked": len(taken),
        "records": sorted({one.record for one in taken}),
        "runs": [asdict(one) for one in runs],
    }
