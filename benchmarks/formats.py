"""How the files of a set are read: one function a format.

- `parquet`: `train.parquet` and `test.parquet` with the column `label`, and `text` or the features;
  `unlabeled.parquet` with `text` joins the training records;
- `image-parquet`, `audio-parquet`: the same with encoded pictures of one size, or sounds;
- `npz`: uint8 `x_train`, `x_test` and labels `y_train`, `y_test`;
- `npz-packed`: pictures of bits, `images_packed` with their `shape` and `y`;
- `npz-ts`: as `npz`, of series (n, channels, steps);
- `npz-ragged`: series one after another, `values` (steps, channels), `offsets`, `y` and `split`;
- `npz-graph`: a graph in the layout that Leaven reads.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["FORMATS", "MODALITIES", "Whole", "has_one_label"]

#: What the index calls a modality, and what Leaven does.
MODALITIES = {
    "text": "text",
    "tabular": "tabular",
    "image": "image",
    "time series": "series",
    "audio": "audio",
    "graph": "graph",
}

#: Columns beside `label` that say the label in other words or come after it in time.
_NO_FEATURES = {
    "ai4i2020": {"TWF", "HDF", "PWF", "OSF", "RNF"},
    "bank_marketing": {"duration"},
    "nsl_kdd": {"attack", "difficulty"},
}
#: The column that holds the record, where one does.
_COLUMNS = {"text": "text", "image": "image", "audio": "audio"}
#: Of sets that have no split of their own.
_TEST_SHARE = 0.3

Entry = dict[str, Any]


def _as_it_is(records: Any) -> Any:
    return records


@dataclass(frozen=True)
class Whole:
    """All records of a set. `told` are the labels of `train`, None where there never was one.

    `opened` turns chosen records into what `Task` holds. `edges` and `judged` are those of `Task`.
    `called` are the names of labels that are numbers, of sets whose models may read them.
    """

    train: Any
    told: list[str | None]
    test: Any
    truth: list[str]
    opened: Callable[[Any], Any] = _as_it_is
    edges: npt.NDArray[np.int64] | None = None
    judged: npt.NDArray[np.int64] | None = None
    called: Mapping[str, str] = field(default_factory=dict)


def has_one_label(data: Path, entry: Entry) -> bool:
    """Whether the records have one label each, by the files' columns; True where files are gone."""
    path = data / entry["name"] / "train.parquet"
    if "parquet" not in entry["format"] or not path.exists():
        return True
    import pyarrow.parquet as pq

    return "label" in pq.read_schema(path).names


def _parquet(data: Path, entry: Entry) -> Whole:
    import pyarrow as pa

    folder, column = data / entry["name"], _COLUMNS.get(entry["modality"])
    (train, told), (test, truth) = (_table(folder, part, column) for part in ("train", "test"))
    labels: list[str | None] = [*told]
    if (folder / "unlabeled.parquet").exists():
        more, _ = _table(folder, "unlabeled", column)
        train = pa.concat_tables([train, more])
        labels += [None] * len(more)
    opened = _pixels if entry["modality"] == "image" else _as_it_is
    called = _called(folder) if entry["modality"] == "text" else {}
    return Whole(train, labels, test, truth, opened, called=called)


def _table(folder: Path, part: str, column: str | None) -> tuple[Any, list[str]]:
    """The records' one column, or all that are features, and the labels."""
    import pyarrow.parquet as pq

    table = pq.read_table(folder / f"{part}.parquet")
    labels = [str(label) for label in table["label"].to_pylist()]
    if column is not None:
        return table.select([column]), labels
    other = {"label", "label_name", "source"} | _NO_FEATURES.get(folder.name, set())
    return table.select([name for name in table.column_names if name not in other]), labels


def _called(folder: Path) -> dict[str, str]:
    """The names of the labels by their numbers; empty where the set gives none."""
    import pyarrow.parquet as pq

    path = folder / "train.parquet"
    if "label_name" not in pq.read_schema(path).names:
        return {}
    table = pq.read_table(path, columns=["label", "label_name"])
    return {str(row["label"]): row["label_name"] for row in table.to_pylist()}


def _pixels(table: Any) -> npt.NDArray[np.uint8]:
    """(n, h, w) or (n, h, w, 3) of encoded pictures."""
    import numpy as np
    from PIL import Image

    opened = [Image.open(io.BytesIO(picture)) for picture in table["image"].to_pylist()]
    mode = "L" if all(picture.mode == "L" for picture in opened) else "RGB"
    return np.stack([np.asarray(picture.convert(mode)) for picture in opened])


def _arrays(data: Path, entry: Entry) -> dict[str, npt.NDArray[Any]]:
    """What the set's one .npz file holds; where it lies the index may say."""
    import numpy as np

    files = [file["path"] for file in entry.get("files", []) if file["path"].endswith(".npz")]
    path = data / (files[0] if files else f"{entry['name']}/{entry['name']}.npz")
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def _words(labels: npt.NDArray[Any]) -> list[Any]:
    return [str(label) for label in labels.tolist()]


def _npz(data: Path, entry: Entry) -> Whole:
    held = _arrays(data, entry)
    told, truth = _words(held["y_train"]), _words(held["y_test"])
    return Whole(held["x_train"], told, held["x_test"], truth)


def _packed(data: Path, entry: Entry) -> Whole:
    """Split here, for the set's own split has test classes that no training record has."""
    import numpy as np

    held = _arrays(data, entry)
    height, width = held["shape"].tolist()
    bits = np.unpackbits(held["images_packed"], axis=1)[:, : height * width]
    pictures, y = bits.reshape(-1, height, width) * np.uint8(255), held["y"]
    random = np.random.default_rng(0)
    asked = np.zeros(len(y), bool)
    for one in np.unique(y):
        own = random.permutation(np.flatnonzero(y == one))
        asked[own[: round(_TEST_SHARE * len(own))]] = True
    return Whole(pictures[~asked], _words(y[~asked]), pictures[asked], _words(y[asked]))


def _ragged(data: Path, entry: Entry) -> Whole:
    import numpy as np

    held = _arrays(data, entry)
    series = np.empty(len(held["y"]), object)
    for i, (start, end) in enumerate(zip(held["offsets"], held["offsets"][1:], strict=False)):
        series[i] = held["values"][start:end].T.astype(np.float32)
    parts = [held["split"] == part for part in ("train", "test")]
    (train, told), (test, truth) = ((series[i], _words(held["y"][i])) for i in parts)
    return Whole(train, told, test, truth)


def _graph(data: Path, entry: Entry) -> Whole:
    """Every node that is not judged may have its label drawn, whatever part it was in."""
    import numpy as np
    from scipy import sparse

    held = _arrays(data, entry)
    stored = (held["x_data"], held["x_indices"], held["x_indptr"])
    nodes = sparse.csr_matrix(stored, shape=held["x_shape"]).toarray().astype(np.float32)
    labels, judged = _words(held["y"]), held["test_idx"].astype(np.int64)
    asked = set(judged.tolist())
    told = [None if i in asked else label for i, label in enumerate(labels)]
    truth = [labels[i] for i in judged.tolist()]
    edges = held["edges"].astype(np.int64)
    return Whole(nodes, told, nodes, truth, edges=edges, judged=judged)


FORMATS: dict[str, Callable[[Path, Entry], Whole]] = {
    "parquet": _parquet,
    "image-parquet": _parquet,
    "audio-parquet": _parquet,
    "npz": _npz,
    "npz-ts": _npz,
    "npz-packed": _packed,
    "npz-ragged": _ragged,
    "npz-graph": _graph,
}
