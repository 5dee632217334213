"""The comparison of starts: what an encoder is worth by what it begins with, k-fold."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.model_selection import StratifiedKFold

from leaven.core.progress import Progress
from leaven.data.dataset import Dataset, Index
from leaven.data.modality import MODALITIES
from leaven.evaluate.audit import share_right
from leaven.evaluate.comparison import paired
from leaven.evaluate.folder import RunFolder
from leaven.learn.encoder import Encoder, sample
from leaven.learn.extractor import find_extractor
from leaven.learn.front import Front
from leaven.learn.method import METHODS, Problem

__all__ = ["SCRATCH", "compare_starts"]

SCRATCH = "from scratch"
_FOLDS = 5
_MOST = 1000  # labelled records; more would make the intervals narrow and the wait long
_LABELLED, _TRAINED = "logistic", "supervised"


@dataclass(frozen=True)
class _Start:
    """One row: its name, how its head is fitted, and on what."""

    name: str
    note: str
    method: str
    problem: Problem


def compare_starts(
    dataset: Dataset,
    problem: Problem,
    labelled: Index,
    encoder: Encoder,
    against: Sequence[str],
    steps: int,
    folder: RunFolder,
) -> Generator[Progress, None, dict[str, Any] | None]:
    """Each start with the same linear head on the same folds; None for too few labels.

    `problem` is the pretraining's, `labelled` the records outside the holdout, `encoder` what the
    pretraining gave, and `against` the frozen encoders to hold it against, by name or folder.
    Trained starts take `steps` steps a fold, all of the encoder learning; frozen ones are features
    under a linear model. Every record is judged by fits that have not seen its label.
    """
    kept = folder.read("starts.json")
    if kept is not None:
        return kept["told"]  # type: ignore[no-any-return]
    rows, folds = _folds(dataset, labelled, problem.seed)
    if not len(rows):
        return None
    targets = dataset.targets
    right: dict[str, npt.NDArray[np.bool_]] = {}
    starts = _starts(dataset, problem, encoder, against)
    for number, start in enumerate(starts):
        hits = np.zeros(len(rows), bool)
        for fold in range(int(folds.max()) + 1):
            yield Progress(
                f"comparing starts: {start.name}", number * _FOLDS + fold, len(starts) * _FOLDS
            )
            held = folds == fold
            said = _fit(start, targets, rows[~held], rows[held], steps, len(dataset.classes))
            hits[held] = said == targets[rows[held]]
        right[start.name] = hits
        folder.tick()
    told = {
        "n": len(rows),
        "folds": int(folds.max()) + 1,
        "steps": steps,
        "rows": [_told(start, right, problem.seed) for start in starts],
    }
    folder.write("starts.json", {"told": told})
    return told


def _folds(dataset: Dataset, labelled: Index, seed: int) -> tuple[Index, npt.NDArray[np.int64]]:
    """Records and their folds; none where fewer than two classes have two records."""
    rows = sample(labelled, _MOST, seed)
    counts = np.bincount(dataset.targets[rows], minlength=len(dataset.classes))
    rows = rows[counts[dataset.targets[rows]] >= 2]
    targets = dataset.targets[rows]
    if len(np.unique(targets)) < 2:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    fewest = int(np.bincount(targets)[np.unique(targets)].min())
    split = StratifiedKFold(max(2, min(_FOLDS, fewest)), shuffle=True, random_state=seed)
    folds = np.zeros(len(rows), np.int64)
    for number, (_, held) in enumerate(split.split(rows, targets)):
        folds[held] = number
    return rows, folds


def _starts(
    dataset: Dataset, problem: Problem, encoder: Encoder, against: Sequence[str]
) -> list[_Start]:
    """The rows, from nothing to what was made elsewhere."""
    torch.manual_seed(problem.seed)
    untrained = problem.build_encoder()
    features = MODALITIES[problem.modality].features
    plain = replace(problem, encoder=features)
    name = problem.encoder
    made = [
        _Start(SCRATCH, f"{name}, trained by the labels alone", _TRAINED, problem),
        _Start(
            "frozen, untrained", f"{name} as it is drawn", _LABELLED,
            replace(problem, start=untrained),
        ),
        _Start(
            "plain features", f"{features}, no network", _LABELLED,
            replace(plain, start=plain.build_encoder()),
        ),
        _Start(
            "frozen, self-supervised", f"{name}, pretrained here", _LABELLED,
            replace(problem, start=encoder),
        ),
        _Start(
            "tuned, self-supervised", f"{name}, pretrained here, then trained by the labels",
            _TRAINED, replace(problem, start=encoder),
        ),
    ]  # fmt: skip
    return made + [_generic(one, dataset, problem) for one in against]


def _generic(name: str, dataset: Dataset, problem: Problem) -> _Start:
    """A frozen encoder made elsewhere, on the same records."""
    extractor = find_extractor(name, dataset.modality)
    if extractor is None:  # one of Leaven's own
        return _Start(name, "frozen", _LABELLED, replace(problem, encoder=name))
    short = Path(name).resolve().name if Path(name).is_dir() else name
    front = Front.describe(dataset, extractor)
    embedded = replace(
        problem,
        arrays=front.decode(dataset)[0],
        spec=front.arrays_spec,
        modality="embedding",
        encoder=MODALITIES["embedding"].features,
    )
    return _Start(short, "made elsewhere, frozen", _LABELLED, embedded)


def _fit(
    start: _Start,
    targets: npt.NDArray[np.int64],
    train: Index,
    held: Index,
    steps: int,
    classes: int,
) -> npt.NDArray[np.int64]:
    """What the start's model says of held-out records."""
    seen = np.full(len(targets), -1)
    seen[train] = targets[train]
    problem = replace(
        start.problem,
        targets=seen,
        train=train,
        classes=classes,
        steps=steps,
        settings={},
    )
    fit = METHODS[start.method].fit(problem)
    while True:
        try:
            next(fit)
        except StopIteration as done:
            said: npt.NDArray[np.int64] = done.value.logits(problem.arrays, held).argmax(1)
            return said


def _told(start: _Start, right: dict[str, npt.NDArray[np.bool_]], seed: int) -> dict[str, Any]:
    """Accuracy with its interval, and the paired difference to the first row."""
    hits = right[start.name]
    told: dict[str, Any] = {
        "start": start.name,
        "note": start.note,
        "accuracy": share_right(hits),
    }
    if start.name != SCRATCH:
        difference, p_value = paired(hits, right[SCRATCH], seed=seed)
        told |= {"difference": asdict(difference), "p_value": p_value}
    return told
