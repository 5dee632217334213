"""The sets: few labelled and many unlabelled training records, and an untouched test split.

A data folder holds `index.json`, a list of objects with `name`, `modality`, `format` and perhaps
`classes`, `splits` and `files`; `benchmarks.formats` says which formats are read, and how. A set
whose records have no one label each is skipped, with a reason.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.formats import FORMATS, MODALITIES, has_one_label

if TYPE_CHECKING:  # the harness reads the index alone, and stays small without these
    import numpy as np
    import numpy.typing as npt

__all__ = ["MODALITIES", "MOST_RECORDS", "Task", "find_set", "list_sets", "load"]

#: Training records at most, labelled ones included.
MOST_RECORDS = 10_000

#: Pictures or series (an array) or a table of Arrow; which one follows from the modality.
Records = Any


@dataclass(frozen=True)
class Task:
    """A set with few labels.

    `train` and `test` are uint8 pictures (n, h, w) or (n, h, w, 3); series (n, channels, steps), or
    (n,) objects of (channels, steps) where lengths differ; or tables, which for texts have the one
    column `text` and for sounds `audio`. `labels` are those of `train`, None where unlabelled;
    `truth` those of `test`.

    Of a graph, `train` and `test` both are the features (n, d) of all its nodes, with `edges`
    (2, m); `truth` are the labels of the nodes `judged`, which have none in `labels`.
    """

    name: str
    modality: str
    train: Records
    labels: list[str | None]
    test: Records
    truth: list[str]
    edges: npt.NDArray[np.int64] | None = None
    judged: npt.NDArray[np.int64] | None = None


def list_sets(data: Path) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Entries of the sets that can be used, the cheapest first, and why each other one is skipped.

    What a set costs is told by its records, at most `MOST_RECORDS`, and its classes. ValueError
    where the folder has no index.
    """
    index = data / "index.json"
    if not index.is_file():
        raise ValueError(f"'{data}' holds no index.json. Name the folder of the sets with --data.")
    usable, skipped = {}, {}
    for entry in json.loads(index.read_text(encoding="utf-8")):
        reason = _unfit(data, entry)
        if reason:
            skipped[entry["name"]] = reason
        else:
            usable[entry["name"]] = entry
    return dict(sorted(usable.items(), key=lambda pair: _size(pair[1]))), skipped


def _unfit(data: Path, entry: dict[str, Any]) -> str:
    """Why a set is no classification that can be read here; empty where it is one."""
    if entry["modality"] not in MODALITIES:
        return f"records of modality {entry['modality']!r} are not classified here"
    if entry["format"] not in FORMATS:
        return f"the format {entry['format']!r} is not one of {', '.join(FORMATS)}"
    if entry.get("classes", 2) is None:
        return "its records have no class"
    return "" if has_one_label(data, entry) else "its records have no one label"


def _size(entry: dict[str, Any]) -> int:
    records = entry.get("splits", {}).get("train", 0)
    return int(min(records, MOST_RECORDS) * entry.get("classes", 2))


def find_set(data: Path, name: str) -> dict[str, Any]:
    """The set's entry in the index; ValueError where there is none that can be used."""
    usable, skipped = list_sets(data)
    if name in skipped:
        raise ValueError(f"The set {name!r} cannot be used: {skipped[name]}.")
    if name not in usable:
        raise ValueError(f"There is no set {name!r} to use. There are: {', '.join(usable)}.")
    return usable[name]


def load(
    data: Path,
    name: str,
    per: int,
    seed: int,
    most: int = MOST_RECORDS,
    most_test: int | None = None,
) -> Task:
    """The set with `per` labels a class, drawn by `seed`, of at most `most` training records.

    Labels are drawn first, from the whole training split, so that rare classes have theirs too;
    then others fill up. A class with fewer records gives all it has. Classes of texts are called
    what the set calls them. Of more than `most_test` test records the same ones are taken for every
    seed. A graph is whole, whatever its size.
    """
    import numpy as np

    entry = find_set(data, name)
    whole = FORMATS[entry["format"]](data, entry)
    random, told = np.random.default_rng(seed), whole.told
    known = np.array(["" if label is None else label for label in told])
    named = np.array([label is not None for label in told])
    chosen = np.concatenate(
        [
            random.permutation(np.flatnonzero(named & (known == one)))[:per]
            for one in np.unique(known[named])
        ]
    )
    others = random.permutation(np.setdiff1d(np.arange(len(known)), chosen))
    if whole.edges is None:
        others = others[: max(most - len(chosen), 0)]
    kept = np.sort(np.concatenate([chosen, others]))
    seen = set(chosen.tolist())
    labels = [told[i] if i in seen else None for i in kept.tolist()]
    train, test, truth = whole.train.take(kept, **_along(whole.train)), whole.test, whole.truth
    if most_test is not None and most_test < len(truth) and whole.edges is None:
        asked = np.sort(np.random.default_rng(0).permutation(len(truth))[:most_test])
        test, truth = test.take(asked, **_along(test)), [truth[i] for i in asked.tolist()]
    labels = [label and whole.called.get(label, label) for label in labels]
    truth = [whole.called.get(label, label) for label in truth]
    modality = MODALITIES[entry["modality"]]
    opened = (whole.opened(train), labels, whole.opened(test), truth)
    return Task(name, modality, *opened, whole.edges, whole.judged)


def _along(records: Any) -> dict[str, int]:
    """Arrays are taken from along their first axis; tables know no other."""
    return {"axis": 0} if hasattr(records, "ndim") else {}
