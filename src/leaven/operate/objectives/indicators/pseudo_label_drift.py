"""Pseudo-labels that drift: right less often from batch to batch, or ever more of one class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from leaven.core.errors import DataError, LeavenError
from leaven.core.wording import many, percent
from leaven.operate.objectives.indicator import INDICATORS, Figure, FigureIndicator, Subject
from leaven.store.tables import queues, tasks

if TYPE_CHECKING:
    from leaven.label.trust.auditing import Audited

_FALLEN, _GROWN = 0.03, 0.10  # what matters: of the precision, and of all pseudo-labels
_SURE = 0.9  # from here on an answer is a pseudo-label, as of `leaven label audit`
_BANDS = (0.95, 0.99)
_LEVEL, _SIDE = 0.05, 0.025
_FEW = 50  # audits, or pseudo-labels, under which a mix is not told


def _falling(subject: Subject, settings: Mapping[str, Any]) -> Figure:
    """By how much the live run's precision has fallen since the batch at which that shows most.

    Where it has no audits they are those of the run that was audited last.
    """
    from leaven.operate.objectives.falling import ALL, largest_drop

    every = _audits(subject)
    if not every:
        raise DataError("No audit of a pseudo-label is answered yet: leaven label audit.")
    at_least = max(every, key=lambda one: one.at).at_least
    kept = [one for one in every if one.at_least <= at_least <= one.confidence]
    order = {name: i for i, name in enumerate(dict.fromkeys(one.batch for one in kept))}
    run = subject.run if any(one.run == subject.run for one in kept) else kept[-1].run
    drop = largest_drop(
        [one.named == one.said for one in kept], [order[one.batch] for one in kept],
        [one.run == run for one in kept], _groups(kept, at_least), level=_LEVEL,
        most=settings["target"],
    )  # fmt: skip
    if drop is None:
        return Figure(0.0, 0.0, 0.0, 0, f"Nothing was audited before '{run}'.")
    names = list(order)
    of = "" if drop.group == ALL else f"Of {drop.group} "
    note = (
        f"{of}{_share(drop.before)} were right before '{names[drop.since]}', "
        f"{_share(drop.after)} since."
    )
    fallen = drop.shown and drop.value > settings["target"]
    verdict = "broken" if fallen else "met" if drop.high <= settings["target"] else "unsure"
    n = drop.before[1] + drop.after[1]
    return Figure(drop.value, drop.low, drop.high, n, note, verdict=verdict)


def _groups(kept: Sequence[Audited], at_least: float) -> dict[str, Any]:
    """Which audits are of each class, and of each band of confidence."""
    import numpy as np

    named = np.array([one.named for one in kept])
    sure = np.array([one.confidence for one in kept])
    edges = [at_least, *(edge for edge in _BANDS if edge > at_least), 1.01]
    bands = {
        f"those of {percent(low, 0)} or more": (sure >= low) & (sure < high)
        for low, high in pairwise(edges)
    }
    return {f"class '{name}'": named == name for name in np.unique(named)} | bands


def _share(told: tuple[int, int]) -> str:
    return f"{told[0]} of {many(told[1], 'audit', 'audits')}"


def _mix(subject: Subject, settings: Mapping[str, Any]) -> Figure:
    """By how much more of the live run's pseudo-labels are of a class than should be, of the class
    of which that is shown most.

    By its audits where there are enough: more than people say. Else more than the labels have and
    than the run before had, for either alone may differ by rights.
    """
    now = _guesses(Path(subject.folder))
    if len(now) < _FEW:
        raise DataError(f"The live run has {many(len(now), 'pseudo-label', 'pseudo-labels')}.")
    audits = [
        one
        for one in _audits(subject)
        if one.run == subject.run and one.at_least <= _SURE <= one.confidence
    ]
    if len(audits) >= _FEW:
        return _beyond_audits(now, audits)
    return _beyond_before(subject, now, settings["target"])


def _beyond_audits(now: Sequence[str], audits: Sequence[Audited]) -> Figure:
    """What people say of audited ones, which were drawn by chance: (1 + named - said) / 2 of each
    is bounded at all looks together."""
    import numpy as np

    from leaven.operate.canary.betting import Bets, mean_bounds

    named, said = (np.array([getattr(one, name) for one in audits]) for name in ("named", "said"))
    classes = np.unique(now)
    found = []
    for name in classes.tolist():
        excess = (1.0 + (named == name) - (said == name)) / 2
        low, high = mean_bounds(Bets(excess), _SIDE / len(classes))
        found.append((2 * low - 1, 2 * float(excess.mean()) - 1, 2 * high - 1, name))
    low, value, high, name = max(found)
    shares = ((side == name).mean() for side in (named, said))
    note = "Class '{}': {} of the audited ones, and {} by what people say.".format(
        name, *(percent(float(share)) for share in shares)
    )
    return Figure(value, low, high, len(audits), note)


def _beyond_before(subject: Subject, now: Sequence[str], most: float) -> Figure:
    """What the labels have, and what the run before had, whichever is more.

    Where there is no run before, more than `most` is not shown to be wrong.
    """
    import numpy as np

    from leaven.operate.canary.betting import Bets, difference_bounds

    sides = {"of the labels": _labels(Path(subject.folder))}
    if (folder := _folder_before(subject)) is not None:
        sides["in the run before"] = _guesses(folder)
    if min(map(len, sides.values())) < _FEW:
        raise DataError("The run before has too few pseudo-labels, or this one labels, to compare.")
    ours, others = np.array(now), {said: np.array(side) for said, side in sides.items()}
    classes = np.unique(ours)
    found = []
    for name in classes.tolist():
        mine, share = Bets(ours == name), float((ours == name).mean())
        theirs = [one == name for one in others.values()]
        ends = [difference_bounds(mine, Bets(one), _SIDE / len(classes)) for one in theirs]
        value = min(share - float(one.mean()) for one in theirs)
        found.append((min(low for low, _ in ends), value, min(high for _, high in ends), name))
    low, value, high, name = max(found)
    shares = [f"{percent(float((one == name).mean()))} {said}" for said, one in others.items()]
    own = percent(float((ours == name).mean()))
    note = f"Class '{name}': {own} of the pseudo-labels, {' and '.join(shares)}."
    verdict = "" if folder is not None or low <= most else "unsure"
    return Figure(value, min(low, value), max(high, value), len(now), note, verdict=verdict)


def _audits(subject: Subject) -> list[Audited]:
    """All that are answered in the queues of the service and of its data, by time."""
    if "audits" not in subject.seen:
        query = (
            select(queues.c.name)
            .join(tasks, tasks.c.queue == queues.c.id)
            .where(queues.c.name.in_((subject.service, subject.dataset)), tasks.c.kind == "audit")
        )
        with subject.store.read() as connection:
            names = sorted(connection.execute(query.distinct()).scalars())
        subject.seen["audits"] = _answered(subject, names) if names else []
    found: list[Audited] = subject.seen["audits"]
    return found


def _answered(subject: Subject, names: Sequence[str]) -> list[Audited]:
    """Loads torch, which is done without where nothing is audited."""
    from leaven.label.queue import Queue
    from leaven.label.trust.auditing import audited

    every = [one for name in names for one in audited(Queue(subject.store, name))]
    return sorted(every, key=lambda one: one.at)


def _guesses(folder: Path) -> list[str]:
    """The classes of a run's pseudo-labels: its answers about records without a label that are sure
    enough."""
    table = _read(folder / "predictions.parquet", ["prediction", "confidence"])
    sure = table["confidence"].to_numpy() >= _SURE
    return [str(name) for name in table["prediction"].filter(sure).to_pylist()]


def _labels(folder: Path) -> list[str]:
    """The labels that people gave a run; rules guess."""
    from leaven.evaluate.lineage import FILE

    table = _read(folder / FILE, ["label", "origin"])
    rows = zip(table["label"].to_pylist(), table["origin"].to_pylist(), strict=True)
    return [label for label, origin in rows if origin != "rule" and label is not None]


def _read(file: Path, names: list[str]) -> Any:
    """Columns of a file of a run; DataError where it is gone or damaged."""
    from leaven.evaluate.tables import read_parquet

    try:
        return read_parquet(file, names)
    except (OSError, KeyError, ValueError) as gone:
        raise DataError(f"The files of the run cannot be read at '{file.parent}'.") from gone


def _folder_before(subject: Subject) -> Path | None:
    """The folder of the run that was live before; None where none was."""
    from leaven.operate.registry import Registry
    from leaven.operate.releases import Releases

    before = Releases(subject.store, subject.service).state().before
    if not before:
        return None
    try:
        return Registry(subject.store).get(before[-1].run, before[-1].digest).folder
    except LeavenError as gone:
        raise DataError(f"The run before is not registered: {gone}") from gone


INDICATORS.add(
    "pseudo-label-drift",
    FigureIndicator(
        "pseudo-label-drift",
        "Precision of pseudo-labels has fallen by",
        "leaven label audit {folder}",
        _FALLEN,
        measure=_falling,
        most=True,
    ),
)

INDICATORS.add(
    "pseudo-label-mix",
    FigureIndicator(
        "pseudo-label-mix",
        "Pseudo-labels of one class beyond what they should be",
        "leaven label audit {folder}",
        _GROWN,
        measure=_mix,
        most=True,
    ),
)
