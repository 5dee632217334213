"""A small model that answers where it is sure, and a large one that answers the rest.

How sure is enough is chosen by records that taught neither model as it answered them, and that do
not judge either: out-of-fold answers, or labelled records from elsewhere. A record costs accuracy
where the small model answers it wrong and the large one would have been right; the rate of these
is bounded by Clopper and Pearson (1934), threshold after threshold from the safe side, until the
bound passes what may be lost. Testing in a fixed order makes all of them hold together ("Learn then
Test", Angelopoulos et al. 2021, arXiv:2110.01052, fixed-sequence testing). Records where only the
small model is right are not set against the others, so the loss is, if anything, less than stated.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from leaven.core.errors import DataError, RunError, SettingError
from leaven.core.files import first_bytes
from leaven.core.wording import count, percent, points, records
from leaven.data.dataset import Dataset
from leaven.evaluate.folder import write_json
from leaven.evaluate.run import Run
from leaven.evaluate.tables import read_parquet

__all__ = [
    "Cascade",
    "Evidence",
    "Threshold",
    "asked_evidence",
    "by_loss",
    "by_share",
    "check_fit",
    "fold_evidence",
    "has_folds",
    "is_cascade",
    "unsure",
]

_FORMAT = 1
_LEVEL = 0.05
_STEPS = 200  # thresholds that are tried

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Evidence:
    """Records by which a threshold is chosen, each with what either model says of it.

    `confidence` (n,) is the small model's; `small` and `large` (n,) whether it is right. `source`
    says in words which records these are.
    """

    confidence: Floats
    small: Bools
    large: Bools
    source: str


@dataclass(frozen=True)
class Threshold:
    """How sure the small model must be, and what that costs.

    `share` of the records go to the large model; `lost` of all are wrong for it that the large
    model has right, `at_most` so many with 95 %; `gained` are the other way round. The accuracies
    are those on the same `n` records, None where none has a label.
    """

    value: float
    share: float
    n: int
    lost: float | None
    at_most: float | None
    gained: float | None
    small: float | None
    large: float | None
    both: float | None
    source: str

    @property
    def sentence(self) -> str:
        """What it does, for people."""
        said = (
            f"The small model answers where it is at least {percent(self.value)} sure; "
            f"{percent(self.share)} of the records go to the large one."
        )
        if self.both is None or self.lost is None:
            return said
        return (
            f"{said} Accuracy {percent(self.both)} (small alone {percent(self.small)}, large alone "
            f"{percent(self.large)}) on {records(self.n)}; at most "
            f"{points(self.at_most, sign=False)} points are lost, with 95 %."
        )


def unsure(probabilities: Floats, threshold: float) -> Bools:
    """(n,) which records the large model is to answer: the small one's (n, k) are not sure enough.

    >>> unsure(np.array([[0.95, 0.05], [0.6, 0.4]]), 0.9).tolist()
    [False, True]
    """
    return np.asarray(probabilities.max(1) < threshold, np.bool_)


def by_loss(evidence: Evidence, lose: float) -> Threshold:
    """The lowest threshold that is shown to lose no more than a share `lose` of all records.

    Raises DataError where the records are too few to show it for any, or it holds for none.
    """
    if not 0 < lose < 1:
        raise SettingError("lose", "a share of the records in (0, 1)", lose)
    n = len(evidence.confidence)
    needed = math.ceil(math.log(_LEVEL) / math.log1p(-lose))
    if n < needed:
        raise DataError(
            f"{records(n)} cannot show a loss of {points(lose, sign=False)} points or less; "
            f"{count(needed)} can. Allow more, or give labelled records that neither has seen."
        )
    costs = evidence.large & ~evidence.small
    kept: float | None = None
    for value in _thresholds(evidence.confidence):
        if _upper(int(costs[evidence.confidence >= value].sum()), n) > lose:
            break
        kept = float(value)
    if kept is None:
        raise DataError(
            f"Even where it is surest the small model loses more than {points(lose, sign=False)} "
            "points. Allow more, or serve the large model alone."
        )
    return _told(evidence, kept)


def by_share(confidence: Floats, share: float, evidence: Evidence | None = None) -> Threshold:
    """The threshold by which a share of such records goes to the large model.

    Parameters
    ----------
    confidence : (n,) of the small model, on records of the kind that will come.
    evidence : what that costs, where it is known.
    """
    if not 0 <= share <= 1:
        raise SettingError("share", "a share of the records in [0, 1]", share)
    if not len(confidence):
        raise DataError("There are no records to choose by. Give some with --data.")
    ordered = np.sort(confidence)
    sent = min(int(share * len(ordered)), len(ordered))
    value = 1.01 if sent == len(ordered) else float(ordered[sent])
    if evidence is not None and len(evidence.confidence):
        return _told(evidence, value)
    return Threshold(
        value, sent / len(ordered), len(ordered), None, None, None, None, None, None,
        "the records that the small model's run answered",
    )  # fmt: skip


def fold_evidence(small: Run, large: Run) -> Evidence:
    """What both runs said, out of fold, of the labelled records that they share.

    Raises DataError for runs that were judged on a holdout, which must choose nothing.
    """
    told = []
    for run in (small, large):
        if not has_folds(run):
            raise DataError(
                f"The run '{run.folder}' kept its holdout to judge by, and has no answers out of "
                "fold to choose by. Give labelled records that neither run has seen: --data FILE "
                "--label COLUMN."
            )
        table, kept = read_parquet(run.folder / "evidence.parquet"), run.verdict.kept
        keys = zip(table["id"].to_pylist(), table["content"].to_pylist(), strict=True)
        label, said = table["label"].to_pylist(), table[kept].to_pylist()
        sure = table[f"{kept} confidence"].to_pylist()
        right = [one == other for one, other in zip(label, said, strict=True)]
        told.append(dict(zip(keys, zip(right, sure, strict=True), strict=True)))
    shared = sorted(told[0].keys() & told[1].keys())
    if not shared:
        raise DataError("The two runs judged no record in common. Fit both on the same data.")
    return Evidence(
        np.array([told[0][key][1] for key in shared]),
        np.array([told[0][key][0] for key in shared]),
        np.array([told[1][key][0] for key in shared]),
        "out of fold",
    )


def asked_evidence(small: Run, large: Run, dataset: Dataset) -> Evidence:
    """What both runs say of labelled records that neither was taught or judged by.

    Records that either run knows the label of are left out. Raises DataError where none is left.
    """
    known: set[str] = set()
    for run in (small, large):
        known |= set(
            read_parquet(run.folder / "labels.parquet", ["content"])["content"].to_pylist()
        )
    fresh = [int(i) for i in dataset.labelled if str(dataset.content[i]) not in known]
    chosen = dataset.select(np.array(fresh, np.int64))
    place = {name: i for i, name in enumerate(small.classes)}
    truths = np.array([place.get(name, -1) for name in chosen.labels.to_pylist()], np.int64)
    first, second = small.predict(chosen), _ordered(large.predict(chosen), large, small)
    there = (truths >= 0) & np.isfinite(first).all(1) & np.isfinite(second).all(1)
    if not there.any():
        raise DataError(
            "No labelled record is left that neither run has seen. Give others with --data."
        )
    return Evidence(
        first[there].max(1),
        first[there].argmax(1) == truths[there],
        second[there].argmax(1) == truths[there],
        "labelled records that neither run had seen",
    )


class Cascade:
    """Two runs that answer together; `predict` is that of a `Predictor`.

    Parameters
    ----------
    small, large : runs of the same classes and kind of records.
    threshold : how sure the small one must be.

    Raises DataError for runs that do not fit.
    """

    def __init__(self, small: Run, large: Run, threshold: Threshold) -> None:
        check_fit(small, large)
        self.small, self.large, self.threshold = small, large, threshold

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the columns of its probabilities, in the small run's order."""
        return self.small.classes

    @property
    def supposed(self) -> tuple[float, ...]:
        """The classes' shares that its answers suppose: the small model's."""
        return self.small.predictor.supposed

    @cached_property
    def digest(self) -> str:
        """Of both models and the threshold."""
        told = hashlib.sha256(repr(self.threshold.value).encode())
        for run in (self.small, self.large):
            told.update(_digest(run).encode())
        return told.hexdigest()

    def predict(self, dataset: Dataset) -> tuple[Dataset, Floats]:
        """The records that could be read, and (n, k) probabilities of them, each by one model.

        Where only the large model cannot read a record, the small one's answer stands.
        """
        kept, found = self.small.predictor.predict(dataset)
        if not len(kept):
            return kept, found
        rows = np.flatnonzero(unsure(found, self.threshold.value))
        if len(rows):
            asked = kept.select(rows)
            answered, told = self.large.predictor.predict(asked)
            found = found.copy()
            found[rows[np.isin(asked.ids, answered.ids)]] = _ordered(told, self.large, self.small)
        return kept, found

    def save(self, path: Path) -> None:
        """Write the plan; runs are named by the way to them from its folder."""
        home = path.absolute().parent
        told: dict[str, Any] = {"format": _FORMAT, "threshold": asdict(self.threshold)}
        for name, run in (("small", self.small), ("large", self.large)):
            where = os.path.relpath(run.folder.absolute(), home)
            told[name] = {"run": where, "digest": _digest(run)}
        home.mkdir(parents=True, exist_ok=True)
        write_json(path, told, plain=True)

    @classmethod
    def load(cls, path: str | Path) -> Cascade:
        """Read what `save` wrote; RunError where it is damaged or a model is another than then."""
        home = Path(path).absolute().parent
        try:
            told = json.loads(Path(path).read_text("utf-8"))
            if told["format"] != _FORMAT:
                raise ValueError(f"its format is {told['format']}, this Leaven reads {_FORMAT}")
            threshold = Threshold(**told["threshold"])
            where = [home / told[name]["run"] for name in ("small", "large")]
            digests = [str(told[name]["digest"]) for name in ("small", "large")]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as broken:
            raise RunError(
                f"'{path}' is no plan of a cascade: {broken}. Make one with leaven cascade."
            ) from broken
        small, large = (Run.load(folder) for folder in where)
        for run, digest in zip((small, large), digests, strict=True):
            if _digest(run) != digest:
                raise RunError(
                    f"The model of '{run.folder}' is another than the one that the cascade was "
                    "made with. Make the cascade anew."
                )
        return cls(small, large, threshold)


def check_fit(small: Run, large: Run) -> None:
    """Raise DataError for two runs whose models cannot answer the same records."""
    if sorted(small.classes) != sorted(large.classes):
        raise DataError(
            f"The two runs have other classes: {', '.join(small.classes[:10])} and "
            f"{', '.join(large.classes[:10])}. A cascade needs the same."
        )
    first, second = (
        (run.story["dataset"]["modality"], run.story["dataset"]["columns"])
        for run in (small, large)
    )
    if first != second:
        raise DataError(
            "The two runs read other columns, or as other kinds. A cascade needs records that "
            "both can read: fit them on the same data."
        )
    if first[0] == "graph":
        raise DataError("A graph's nodes are answered together, so no cascade can part them.")


def has_folds(*runs: Run) -> bool:
    """Whether all of them have answers out of fold."""
    return all(run.story["split"]["rule"] == "folds" for run in runs)


def is_cascade(path: str | Path) -> bool:
    """Whether a path may be that of a cascade's plan: a file, where a run is a folder."""
    return Path(path).is_file() and Path(path).name != "run.json"


def _thresholds(confidence: Floats) -> Floats:
    """Confidences from the highest down, some hundred at most."""
    distinct = np.unique(confidence)[::-1]
    if len(distinct) <= _STEPS:
        return distinct
    return distinct[np.linspace(0, len(distinct) - 1, _STEPS).astype(np.int64)]


def _upper(found: int, n: int) -> float:
    """The upper end of the exact interval of a share, with 95 %."""
    return 1.0 if found >= n else float(beta.ppf(1 - _LEVEL, found + 1, n - found))


def _told(evidence: Evidence, value: float) -> Threshold:
    """What a threshold does to the records of the evidence."""
    alone = evidence.confidence >= value
    costs = alone & evidence.large & ~evidence.small
    gains = alone & evidence.small & ~evidence.large
    n = len(alone)
    return Threshold(
        value,
        float(1 - alone.mean()),
        n,
        float(costs.mean()),
        _upper(int(costs.sum()), n),
        float(gains.mean()),
        float(evidence.small.mean()),
        float(evidence.large.mean()),
        float(np.where(alone, evidence.small, evidence.large).mean()),
        evidence.source,
    )


def _ordered(found: Floats, of: Run, like: Run) -> Floats:
    """The columns of one run in the order of the other's classes."""
    return found[:, [of.classes.index(name) for name in like.classes]]


def _digest(run: Run) -> str:
    """Of the two descriptions of a run's model, one of which holds the digest of its weights."""
    told = hashlib.sha256()
    for name in ("model.json", "predictor.json"):
        told.update(first_bytes(run.folder / "model" / name))
    return told.hexdigest()
