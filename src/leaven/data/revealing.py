"""Columns that give the label away."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier

from leaven.data.dataset import Dataset, Finding

__all__ = ["revealing_columns", "revealing_text"]

#: The share of right answers from one column alone that is too good to be honest.
_SUSPECT = 0.98
_LEAST = 50
_MOST = 20_000


def revealing_columns(dataset: Dataset) -> list[Finding]:
    """One finding a column from which alone a small tree predicts nearly every label.

    Asked only where at least 50 records of two or more classes, each of five or more records,
    are labelled, and several columns compete. The share is cross-validated, and must beat the
    share of the largest class by half of what is left.
    """
    labelled = dataset.labelled
    targets = dataset.targets[labelled]
    counts = np.bincount(targets, minlength=len(dataset.classes))
    frequent = np.flatnonzero(counts >= 5)
    chosen = np.isin(targets, frequent)
    labelled, targets = labelled[chosen], targets[chosen]
    if len(labelled) < _LEAST or len(frequent) < 2 or dataset.modality != "tabular":
        return []
    if len(labelled) > _MOST:
        drawn = np.random.default_rng(0).choice(len(labelled), _MOST, replace=False)
        labelled, targets = labelled[drawn], targets[drawn]
    most = counts[frequent].max() / counts[frequent].sum()
    bar = max(_SUSPECT, most + (1 - most) / 2)
    found = []
    for column in dataset.columns:
        if column.kind in ("text", "vector", "image", "audio"):
            continue
        values = _as_numbers(dataset.records[column.name].take(pa.array(labelled)))
        if len(np.unique(values)) < 2:
            continue
        share = _predicted_by(values, targets, bar)
        if share >= bar:
            found.append(
                Finding(
                    "revealing-column",
                    "warning",
                    f"Column {column.name!r} alone predicts {100 * share:.1f} % of the labels.",
                    1,
                    (column.name,),
                    "Leave it out if it is only known once the label is.",
                )
            )
    return found


def _as_numbers(values: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """(n,) the rank of each number, or the code of each word; missing has one of its own."""
    if pa.types.is_floating(values.type):
        _, ranks = np.unique(values.to_numpy(), return_inverse=True)
        return ranks.astype(np.float64)
    codes = pc.dictionary_encode(values.combine_chunks()).indices
    return np.asarray(pc.fill_null(codes, -1), dtype=np.float64)


def _predicted_by(
    values: npt.NDArray[np.float64], targets: npt.NDArray[np.int64], bar: float
) -> float:
    """The share of right answers of a small tree, in five folds.

    0 where the tree is below `bar` on the very records it grew from: it will not be better on
    others, and thousands of honest columns need not be folded.
    """
    leaves = int(min(64, 2 * len(np.unique(targets))))
    tree = DecisionTreeClassifier(max_leaf_nodes=max(leaves, 4), min_samples_leaf=2, random_state=0)
    column = values[:, None].astype(np.float32)
    if np.mean(tree.fit(column, targets).predict(column) == targets) < bar:
        return 0.0
    folds = StratifiedKFold(min(5, int(np.bincount(targets)[np.unique(targets)].min())))
    return float(np.mean(cross_val_predict(tree, column, targets, cv=folds) == targets))


def revealing_text(dataset: Dataset) -> list[Finding]:
    """Texts that begin with the name of their own label, such as `spam: you have won`."""
    if dataset.modality != "text" or len(dataset.labelled) < _LEAST or len(dataset.classes) < 2:
        return []
    taken = pa.array(dataset.labelled)
    texts = pc.utf8_lower(pc.fill_null(dataset.records.column(0).take(taken), ""))
    texts = pc.utf8_trim_whitespace(pc.replace_substring_regex(texts, r"[^\p{L}\p{N}]+", " "))
    names = pc.utf8_lower(dataset.labels.take(taken))
    names = pc.utf8_trim_whitespace(pc.replace_substring_regex(names, r"[^\p{L}\p{N}]+", " "))
    hits = 0
    for name in pc.unique(names).to_pylist():
        if len(name) > 1:
            ours = pc.filter(texts, pc.equal(names, name))
            begun = pc.starts_with(pc.binary_join_element_wise(ours, "", " "), f"{name} ")
            hits += pc.sum(begun).as_py() or 0
    share = hits / len(dataset.labelled)
    if share < 0.5:
        return []
    return [
        Finding(
            "revealing-text",
            "warning",
            f"{100 * share:.1f} % of the labelled texts begin with the name of their label.",
            hits,
            (dataset.columns[0].name,),
            "Cut it off: records to be scored later will not have it.",
        )
    ]
