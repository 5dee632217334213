"""What is wrong with the data, or may be, said so that a person can act on it."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leaven.core import wording
from leaven.data.dataset import Dataset, Finding, Index
from leaven.data.duplicates import exact, groups, near_images, near_rows, near_texts
from leaven.data.revealing import revealing_columns, revealing_text
from leaven.data.splits import Split

if TYPE_CHECKING:
    from leaven.data.arrays import Arrays

__all__ = ["check", "unseen_finding", "unseen_labels"]

Numbers = npt.NDArray[np.float64]
_Check = Callable[[Dataset, "Arrays | None", "Split | None"], Iterator[Finding]]
_CHECKS: list[_Check] = []

#: Vectors whose order is looked at, least width, and correlation of neighbours that is no accident.
_LOOKED_AT, _ORDERED, _ALIKE = 1000, 16, 0.5


def check(
    dataset: Dataset, arrays: Arrays | None = None, split: Split | None = None
) -> list[Finding]:
    """All findings about a dataset, the gravest first; those made while reading are among them.

    With `arrays` (the decoded records) images that look alike are found too; with `split`,
    records that judge and also teach. A check that fails on odd data is itself a finding.
    """
    found = list(dataset.findings)
    for run in _CHECKS:
        try:
            found += run(dataset, arrays, split)
        except Exception as error:  # noqa: BLE001 - a strange dataset must not cost its owner the other checks
            name = run.__name__.strip("_").replace("_", " ")
            message = f"The check for {name} could not be made: {type(error).__name__}: {error}."
            found.append(Finding("check-failed", "info", message[:400]))
    grave = {"error": 0, "warning": 1, "info": 2}
    return sorted(found, key=lambda f: grave.get(f.severity, 3))


def unseen_labels(dataset: Dataset, classes: Sequence[str]) -> Finding | None:
    """Labels of `dataset` that are not among the `classes` a model knows."""
    unseen = [name for name in dataset.classes if name not in set(classes)]
    if not unseen:
        return None
    count = int(np.isin(dataset.targets, [dataset.classes.index(u) for u in unseen]).sum())
    return unseen_finding(unseen, count)


def unseen_finding(unseen: Sequence[str], count: int) -> Finding:
    """What is said of `count` records whose labels a model does not know."""
    said = "a label" if len(unseen) == 1 else f"{len(unseen)} labels"
    return Finding(
        "unseen-labels",
        "error",
        f"{_records(count)} bear {said} that the model does not know.",
        count,
        tuple(unseen[:20]),
        "Mend them if they are slips; train again if they are new classes.",
    )


def _check(function: _Check) -> _Check:
    _CHECKS.append(function)
    return function


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{wording.count(count)} records"


def _ids(dataset: Dataset, index: Index | Sequence[int]) -> tuple[str, ...]:
    return tuple(str(dataset.ids[i]) for i in list(index)[:5])


@_check
def _quarantine(dataset: Dataset, arrays: Arrays | None, split: Split | None) -> Iterator[Finding]:
    reasons = Counter(dataset.quarantine["reason"].to_pylist())
    for reason, count in reasons.most_common():
        rows = dataset.quarantine.filter(pc.equal(dataset.quarantine["reason"], reason))
        where = [
            f"{row['source']} row {row['row']}" if row["row"] else row["source"]
            for row in rows.slice(0, 5).to_pylist()
        ]
        yield Finding(
            "quarantine",
            "warning",
            f"{_records(count)} could not be used: {reason}.",
            count,
            tuple(where),
            "See the quarantine table for each; mend them in the source.",
        )


@_check
def _columns(dataset: Dataset, arrays: Arrays | None, split: Split | None) -> Iterator[Finding]:
    n = len(dataset)
    for column in dataset.columns:
        values = dataset.records[column.name]
        share = values.null_count / n if n else 0.0
        if share:
            yield Finding(
                "missing-values",
                "warning" if share > 0.5 else "info",
                f"Column {column.name!r} has no value in {_records(values.null_count)} "
                f"({100 * share:.1f} %).",
                values.null_count,
                (column.name,),
                "Find out why it is missing, or leave it out." if share > 0.5 else "",
            )
        if column.kind in ("vector", "image", "audio", "series") or values.null_count == n or n < 2:
            continue
        counts = pc.value_counts(values.combine_chunks().drop_null()).field("counts")
        most = pc.max(counts).as_py()
        if len(counts) == 1 and not values.null_count:
            message, advice = "has the same value in every record", "Leave it out."
            name, severity = "constant-column", "warning"
        elif most >= 0.995 * n and n >= 200:
            message = f"has one value in {100 * most / n:.1f} % of the records"
            name, severity, advice = "nearly-constant-column", "info", ""
        else:
            continue
        yield Finding(
            name, severity, f"Column {column.name!r} {message}.", most, (column.name,), advice
        )


@_check
def _in_order(dataset: Dataset, arrays: Arrays | None, split: Split | None) -> Iterator[Finding]:
    """Vectors in which neighbouring numbers go together, which those of an embedding do not."""
    if dataset.modality != "embedding" or arrays is None or arrays["features"].shape[1] < _ORDERED:
        return
    found = np.asarray(arrays["features"][:_LOOKED_AT], np.float64)
    apart = found - found.mean(0)  # what all records share says nothing of order
    apart -= apart.mean(1, keepdims=True)
    spread = np.square(apart).sum(1)
    along = (apart[:, 1:] * apart[:, :-1]).sum(1)[spread > 0] / spread[spread > 0]
    if len(along) > 1 and np.median(along) > _ALIKE:
        name = next(column.name for column in dataset.columns if column.kind == "vector")
        yield Finding(
            "vectors-in-order",
            "warning",
            f"Neighbouring numbers of {name!r} are alike, as in a series (median correlation "
            f"{np.median(along):.2f}), and are read as an embedding, without any order.",
            len(along),
            (name,),
            "If their order means something, time or wavelength, say --modality series.",
        )


@_check
def _revealing(dataset: Dataset, arrays: Arrays | None, split: Split | None) -> Iterator[Finding]:
    yield from revealing_columns(dataset)
    yield from revealing_text(dataset)


@_check
def _duplicates(dataset: Dataset, arrays: Arrays | None, split: Split | None) -> Iterator[Finding]:
    same = exact(dataset.content)
    yield from _repeats(dataset, same, "duplicates", "equal")
    yield from _conflicts(dataset, same)
    near = _near(dataset, arrays)
    if near is not None:
        close = [g for g in groups(near) if len(np.unique(same[g])) > 1]
        count = sum(len(np.unique(same[g])) - 1 for g in close)
        if close:
            yield Finding(
                "near-duplicates",
                "info",
                f"{_records(count)} nearly repeat another, in {len(close)} groups.",
                count,
                _ids(dataset, close[0]),
                "Keep one of each group if they are copies rather than kin.",
            )
    if split is not None:
        yield from _across(dataset, split, same, "equal", "error")
        if near is not None:
            yield from _across(dataset, split, near, "nearly equal", "warning", besides=same)


def _near(dataset: Dataset, arrays: Arrays | None) -> Index | None:
    if dataset.modality == "text":
        return near_texts(dataset.records.column(0))
    if dataset.modality in ("tabular", "embedding"):
        return near_rows(dataset.records, dataset.columns)
    if dataset.modality == "image" and arrays is not None and "pixels" in arrays.names:
        return near_images(np.asarray(arrays["pixels"], dtype=np.uint8))
    return None


def _repeats(dataset: Dataset, same: Index, name: str, how: str) -> Iterator[Finding]:
    found = groups(same)
    if found:
        count = sum(len(group) - 1 for group in found)
        yield Finding(
            name,
            "info",
            f"{_records(count)} repeat another that is {how}, in {len(found)} groups.",
            count,
            _ids(dataset, found[0]),
            "They are kept together in every split, so they cannot flatter the figures.",
        )


def _conflicts(dataset: Dataset, same: Index) -> Iterator[Finding]:
    labelled = dataset.labelled
    pairs = np.unique(np.stack([same[labelled], dataset.targets[labelled]]), axis=1)
    number, labels = np.unique(pairs[0], return_counts=True)
    torn = number[labels > 1]
    if not len(torn):
        return
    members = labelled[np.isin(same[labelled], torn)]
    yield Finding(
        "conflicting-labels",
        "error",
        f"{_records(len(members))} are equal to another and labelled differently, "
        f"in {len(torn)} groups.",
        len(members),
        _ids(dataset, members[np.argsort(same[members], kind="stable")]),
        "Decide on one label for each group.",
    )


def _across(
    dataset: Dataset,
    split: Split,
    same: Index,
    how: str,
    severity: str,
    besides: Index | None = None,
) -> Iterator[Finding]:
    """Records that teach and are equal to one that judges."""
    if not len(split.holdout):
        return
    teaches = np.concatenate([split.train, split.calibration, split.unlabelled, split.proxy])
    leaking = teaches[np.isin(same[teaches], same[split.holdout])]
    if besides is not None:
        leaking = leaking[~np.isin(besides[leaking], besides[split.holdout])]
    if len(leaking):
        yield Finding(
            "holdout-duplicates" if besides is None else "holdout-near-duplicates",
            severity,
            f"{_records(len(leaking))} outside the holdout are {how} to one in it.",
            len(leaking),
            _ids(dataset, leaking),
            "The figures on the holdout are too good. Remove one side, or split by group.",
        )


@_check
def _labels(dataset: Dataset, arrays: Arrays | None, split: Split | None) -> Iterator[Finding]:
    n, labelled = len(dataset), len(dataset.labelled)
    if not labelled:
        yield Finding("no-labels", "warning", "No record is labelled.", n, (), "Label some.")
        return
    counts = dict(
        zip(
            dataset.classes,
            np.bincount(dataset.targets[dataset.labelled], minlength=len(dataset.classes)).tolist(),
            strict=True,
        )
    )
    yield Finding(
        "unlabelled-share",
        "info",
        f"{wording.count(labelled)} of {wording.count(n)} records are labelled "
        f"({wording.percent(labelled / n)}).",
        n - labelled,
        (),
        ""
        if labelled < n
        else "Without unlabelled records only the supervised model can be fitted.",
    )
    if len(counts) == 1:
        message = f"All labels are {dataset.classes[0]!r}: there is nothing to tell apart."
        yield Finding("single-class", "error", message, labelled, dataset.classes, "Label others.")
        return
    if len(counts) > max(20, labelled / 2):
        yield Finding(
            "many-classes",
            "warning",
            f"{len(counts)} different labels on {labelled} labelled records.",
            len(counts),
            dataset.classes[:5],
            "Is this the label column? Numbers and free text make poor classes.",
        )
        return
    typos = {name: meant for name in counts if (meant := _meant(name, counts)) is not None}
    for name, meant in typos.items():
        yield Finding(
            "label-typo",
            "warning",
            f"Label {name!r} occurs {_times(counts[name])} and {meant!r} {_times(counts[meant])}. "
            f"Did you mean {meant!r}?",
            counts[name],
            (name, meant),
            "Mend it in the source if it is a slip; the records are kept as labelled.",
        )
    single = [name for name, count in counts.items() if count == 1 and name not in typos]
    if single:
        said = "1 class has" if len(single) == 1 else f"{len(single)} classes have"
        yield Finding(
            "single-record-classes",
            "warning",
            f"{said} a single labelled record and cannot be measured.",
            len(single),
            tuple(single[:20]),
            "Label more of them, or merge them.",
        )
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[most] >= 10 * counts[least] and counts[most] >= 20:
        yield Finding(
            "imbalance",
            "info",
            f"Class {most!r} has {counts[most]} labelled records, {least!r} {counts[least]}.",
            0,
            (most, least),
            "Read the figures of each class beside the accuracy.",
        )
    few = [name for name, count in counts.items() if 1 < count < 4]
    if few:
        said = "1 class has" if len(few) == 1 else f"{len(few)} classes have"
        yield Finding(
            "few-labels",
            "warning",
            f"{said} fewer than 4 labelled records.",
            len(few),
            tuple(few[:20]),
            "A handful more labels there buys the most.",
        )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _meant(name: str, counts: dict[str, int]) -> str | None:
    """The frequent label of which a rare one is probably a misspelling."""
    if len(counts) > 2000 or name.replace(".", "").lstrip("-").isdigit():
        return None
    frequent = {o.casefold(): o for o in counts if counts[o] >= 10 * counts[name]}
    same = frequent.get(name.casefold())
    if same or len(name) < 4:
        return same
    close = difflib.get_close_matches(name.casefold(), frequent, n=1, cutoff=0.84)
    if not close or _digits(close[0]) != _digits(name):
        return None
    return frequent[close[0]]


def _digits(name: str) -> str:
    """`route_1` is no misspelling of `route_2`."""
    return "".join(c for c in name if c.isdigit())


@_check
def _leaks(dataset: Dataset, arrays: Arrays | None, split: Split | None) -> Iterator[Finding]:
    """Groups on both sides of the holdout; training records later than it."""
    if split is None or not len(split.holdout) or dataset.meta is None:
        return
    names = dataset.meta.column_names
    teaches = np.concatenate([split.train, split.calibration])
    if "group" in names:
        group = dataset.meta["group"].combine_chunks()
        held = pc.unique(group.take(pa.array(split.holdout)).drop_null())
        shared = teaches[
            pc.is_in(group.take(pa.array(teaches)), held).to_numpy(zero_copy_only=False)
        ]
        if len(shared):
            yield Finding(
                "group-leak",
                "error",
                f"{_records(len(shared))} belong to a group that the holdout judges.",
                len(shared),
                _ids(dataset, shared),
                "Split with the strategy grouped.",
            )
    if "time" in names and len(teaches):
        time = dataset.meta["time"]
        first = pc.min(time.take(pa.array(split.holdout))).as_py()
        late = pc.fill_null(pc.greater(time.take(pa.array(teaches)), first), False)
        later = teaches[np.asarray(late)]
        if len(later) > 0.01 * len(teaches):
            yield Finding(
                "time-leak",
                "warning",
                f"{_records(len(later))} that teach are later than the first that judges.",
                len(later),
                _ids(dataset, later),
                "Split with the strategy time if the model is to foretell.",
            )


@_check
def _unlike(dataset: Dataset, arrays: Arrays | None, split: Split | None) -> Iterator[Finding]:
    """Columns in which unlabelled records obviously differ from labelled ones."""
    ours, theirs = dataset.labelled, dataset.unlabelled
    if min(len(ours), len(theirs)) < 30:
        return
    for column in dataset.columns:
        values = dataset.records[column.name]
        empty = np.asarray(values.is_null())
        gap = abs(empty[ours].mean() - empty[theirs].mean())
        said = f"is missing in {100 * empty[ours].mean():.1f} % of the labelled and "
        said += f"{100 * empty[theirs].mean():.1f} % of the unlabelled records"
        if gap < 0.3 and column.kind == "numeric":
            x = values.to_numpy()
            gap, said = _overlap_gap(x[ours], x[theirs])
            gap = gap if gap > 0.5 else 0.0
        if gap >= 0.3:
            yield Finding(
                "unlike-unlabelled",
                "warning",
                f"Column {column.name!r} {said}.",
                0,
                (column.name,),
                "The unlabelled records may be of another kind; they will help less, or harm.",
            )


def _overlap_gap(a: Numbers, b: Numbers) -> tuple[float, str]:
    """The Kolmogorov-Smirnov distance of two samples, missing values left out, in words."""
    a, b = np.sort(a[~np.isnan(a)]), np.sort(b[~np.isnan(b)])
    if min(len(a), len(b)) < 30:
        return 0.0, ""
    points = np.concatenate([a, b])
    below = np.searchsorted(a, points, "right") / len(a) - np.searchsorted(
        b, points, "right"
    ) / len(b)
    medians = f"{np.median(a):.3g} among the labelled and {np.median(b):.3g} among the unlabelled"
    return float(np.abs(below).max()), f"has the median {medians} records"
