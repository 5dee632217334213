"""The sets: few labelled and many unlabelled training records, and an untouched test split.

A data folder holds `index.json`, a list of objects with `name`, `modality` (text, tabular or image)
and `format`, and one folder a set:

- `parquet`: `train.parquet` and `test.parquet` with the column `label`, and `text` or the features;
- `image-parquet`: the same with `image`, encoded pictures of one size;
- `npz`: `<name>.npz` with uint8 `x_train`, `x_test` and labels `y_train`, `y_test`.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the harness reads the index alone, and stays small without these
    import numpy as np
    import numpy.typing as npt

__all__ = ["MOST_RECORDS", "Task", "find_set", "load"]

#: Training records at most, labelled ones included.
MOST_RECORDS = 10_000
_MODALITIES = ("text", "tabular", "image")
_FORMATS = ("parquet", "image-parquet", "npz")

_PARTS = ("train", "test")

#: Pictures (an array) or a table of Arrow; which one follows from the modality.
Records = Any

#: Columns beside `label` that say the label in other words or come after it in time.
_NO_FEATURES = {
    "ai4i2020": {"TWF", "HDF", "PWF", "OSF", "RNF"},
    "bank_marketing": {"duration"},
    "nsl_kdd": {"attack", "difficulty"},
}


@dataclass(frozen=True)
class Task:
    """A set with few labels.

    `train` and `test` are uint8 pictures (n, h, w) or (n, h, w, 3), or tables, which for texts have
    the one column `text`. `labels` are those of `train`, None where unlabelled; `truth` those of
    `test`.
    """

    name: str
    modality: str
    train: Records
    labels: list[str | None]
    test: Records
    truth: list[str]


def find_set(data: Path, name: str) -> dict[str, Any]:
    """The set's entry in the index; ValueError where there is none that can be read."""
    index = data / "index.json"
    if not index.is_file():
        raise ValueError(f"'{data}' holds no index.json. Name the folder of the sets with --data.")
    entries = {entry["name"]: entry for entry in json.loads(index.read_text(encoding="utf-8"))}
    usable = [
        known
        for known, entry in entries.items()
        if entry["modality"] in _MODALITIES and entry["format"] in _FORMATS
    ]
    if name not in usable:
        raise ValueError(f"There is no set {name!r} to use. There are: {', '.join(usable)}.")
    return dict(entries[name])


def load(data: Path, name: str, per: int, seed: int, most: int = MOST_RECORDS) -> Task:
    """The set with `per` labels a class, drawn by `seed`, of at most `most` training records.

    Labels are drawn first, from the whole training split, so that rare classes have theirs too;
    then others fill up. A class with fewer records gives all it has.
    """
    import numpy as np

    modality = find_set(data, name)["modality"]
    read = _read_npz if (data / name / f"{name}.npz").exists() else _read_parquet
    (train, told), (test, truth) = (read(data / name, part, modality) for part in _PARTS)
    random = np.random.default_rng(seed)
    known = np.array(told)
    chosen = np.concatenate(
        [random.permutation(np.flatnonzero(known == one))[:per] for one in np.unique(known)]
    )
    others = np.setdiff1d(np.arange(len(known)), chosen)
    kept = np.sort(
        np.concatenate([chosen, random.permutation(others)[: max(most - len(chosen), 0)]])
    )
    seen = set(chosen.tolist())
    labels = [told[i] if i in seen else None for i in kept.tolist()]
    return Task(name, modality, train.take(kept, **_along(train)), labels, test, truth)


def _along(records: Any) -> dict[str, int]:
    """Arrays are taken from along their first axis; tables know no other."""
    return {"axis": 0} if hasattr(records, "ndim") else {}


def _read_npz(folder: Path, part: str, _modality: str) -> tuple[Any, list[str]]:
    import numpy as np

    with np.load(folder / f"{folder.name}.npz", allow_pickle=False) as file:
        return file[f"x_{part}"], [str(label) for label in file[f"y_{part}"].tolist()]


def _read_parquet(folder: Path, part: str, modality: str) -> tuple[Any, list[str]]:
    import pyarrow.parquet as pq

    table = pq.read_table(folder / f"{part}.parquet")
    if "label" not in table.column_names:
        raise ValueError(f"The set {folder.name!r} has no one label a record.")
    labels = [str(label) for label in table["label"].to_pylist()]
    if modality == "image":
        return _pixels(table["image"].to_pylist()), labels
    if modality == "text":
        return table.select(["text"]), labels
    other = {"label", "label_name", "source"} | _NO_FEATURES.get(folder.name, set())
    return table.select([column for column in table.column_names if column not in other]), labels


def _pixels(pictures: list[bytes]) -> npt.NDArray[np.uint8]:
    """(n, h, w) or (n, h, w, 3) of encoded pictures."""
    import numpy as np
    from PIL import Image

    opened = [Image.open(io.BytesIO(picture)) for picture in pictures]
    mode = "L" if all(picture.mode == "L" for picture in opened) else "RGB"
    return np.stack([np.asarray(picture.convert(mode)) for picture in opened])
