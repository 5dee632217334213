"""Questions about labels that are there: those that are doubted, and those that judge people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leaven.core.errors import DataError
from leaven.core.wording import percent
from leaven.data.dataset import Dataset, Index
from leaven.evaluate.run import Run
from leaven.label.asking.querying import Queried
from leaven.label.asking.seen import Seen
from leaven.label.asking.strategy import EXPLORES
from leaven.label.asking.unmarked import places
from leaven.learn.label_noise import Noise, cross_fitted, label_noise
from leaven.learn.predictions import Floats

__all__ = ["doubt", "gold"]


def doubt(
    run: Run,
    dataset: Dataset,
    count: int,
    *,
    wanted: int = 1,
    waiting: Sequence[str] = (),
    seed: int = 0,
) -> Queried:
    """The `count` labelled records whose label is most probably wrong, see `label_noise`.

    No label is judged by a model that was taught it. Raises DataError where there are too few
    labels to tell, or none is doubted.
    """
    seen, _ = Seen.by(run, dataset)
    known = _known(seen, len(run.classes), seed)
    rows, y, said, noise = known.rows, known.labels, known.said, known.noise
    if noise is None:
        raise DataError(
            f"'{dataset.name}' has too few labels to doubt any: it takes 60, and 8 of each class."
        )
    asked = np.isin(seen.dataset.ids[rows], list(waiting))
    flagged = [int(one) for one in noise.flagged if not asked[one]][:count]
    if not flagged:
        raise DataError(f"No label of '{dataset.name}' is doubted that was not asked about before.")
    asks = []
    for rank, one in enumerate(flagged):
        given = run.classes[y[one]]
        share = percent(float(said[one].max()), 0)
        other = run.classes[int(said[one].argmax())]
        reason = f"Labelled {given}; a model that was not taught this label says {other} ({share})"
        asks.append(
            seen.ask(
                int(rows[one]), said[one], reason, len(flagged) - rank, wanted=wanted,
                kind="suspect", origin={"strategy": "suspects", "given": given},
            )
        )  # fmt: skip
    marked = seen.marked(asks, rows[flagged].tolist())
    return Queried("suspects", marked, len(dataset) - len(seen.dataset), noise.precision)


def gold(
    run: Run,
    dataset: Dataset,
    count: int,
    *,
    waits: Sequence[float],
    wanted: int = 1,
    waiting: Sequence[str] = (),
    seed: int = 0,
) -> Queried:
    """Labelled records by which people are judged: they look like any other question.

    The guess that is shown is of a model that was not taught the label, and half of the questions,
    as far as there are so many, are some on which that model errs: who confirms whatever is guessed
    is seen by these. Records whose label is doubted itself are left out.

    Parameters
    ----------
    waits : priorities of the tasks that wait, among which these are put anywhere.

    Raises DataError where no labelled record is left.
    """
    seen, _ = Seen.by(run, dataset)
    known = _known(seen, len(run.classes), seed)
    free = ~np.isin(seen.dataset.ids[known.rows], list(waiting))
    if known.noise is not None:
        free[known.noise.flagged] = False
    order = np.random.default_rng((seed, 2)).permutation(np.flatnonzero(free))
    if not len(order):
        raise DataError(f"No label of '{dataset.name}' is left that people could be judged by.")
    errs = known.said[order].argmax(1) != known.labels[order]
    first = order[errs][: (count + 1) // 2]
    chosen = np.concatenate([first, order[~errs], order[errs][len(first) :]])[:count]
    asks = [
        seen.ask(
            int(known.rows[one]), known.said[one], EXPLORES, place, wanted=wanted, kind="gold",
            origin={"strategy": "gold"}, truth=run.classes[known.labels[one]],
        )
        for one, place in zip(chosen.tolist(), places(waits, len(chosen), seed), strict=True)
    ]  # fmt: skip
    marked = seen.marked(asks, known.rows[chosen].tolist())
    return Queried("gold", marked, len(dataset) - len(seen.dataset))


@dataclass(frozen=True)
class _Known:
    """Labelled records: where they are, (n,) classes, (n, k) what a model says that was not taught
    them, and which are doubted; None where they are too few to tell."""

    rows: Index
    labels: Index
    said: Floats
    noise: Noise | None


def _known(seen: Seen, classes: int, seed: int) -> _Known:
    rows = np.flatnonzero(seen.labelled >= 0)
    features = np.asarray(seen.embeddings[rows], np.float64)
    features = (features - features.mean(0)) / (features.std(0) + 1e-9)
    y = seen.labelled[rows]
    said, _ = cross_fitted(features, y, features[:0], classes, seed)
    return _Known(rows, y, said, label_noise(features, y, classes, said, seed))
