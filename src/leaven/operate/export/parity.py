"""Whether an exported model says what the run's own says."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from leaven.core.errors import RunError
from leaven.data.arrays import Arrays
from leaven.data.dataset import Column, Dataset, Index
from leaven.data.pictures import Unreadable
from leaven.learn.predictor import Predictor
from leaven.operate.export import elsewhere, frozen_graph

if TYPE_CHECKING:
    from leaven.data.portable.model import Model

__all__ = [
    "TOLERANCE",
    "Parity",
    "as_given",
    "as_new",
    "in_32_bits",
    "made_arrays",
    "on_arrays",
    "on_made",
    "on_nodes",
    "on_records",
    "required",
]

#: The largest difference of a probability that is let pass.
TOLERANCE = 1e-4
_MADE_RECORDS = 64
_COPIES = 4  # of nodes, that are asked as new ones: the run passes over the graph for each


@dataclass(frozen=True)
class Parity:
    """How far probabilities lie apart.

    Attributes
    ----------
    records : how many were compared.
    made : whether they are made up, because the run's own are not at hand.
    largest : the largest difference of a probability.
    agreement : the share of the records of which both name the same class.
    copies : of a graph's nodes, that were asked besides as if they were new.
    """

    records: int
    made: bool
    largest: float
    agreement: float
    copies: int = 0

    @property
    def told(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)


def on_records(predictor: Predictor, model: Model, dataset: Dataset) -> Parity:
    """Both asked about records, from what a file holds to the answer.

    Raises RunError where one reads a record that the other cannot.
    """
    kept, wanted = predictor.predict(dataset)
    found, why = model.probabilities(as_given(dataset))
    read = np.isin(dataset.ids, kept.ids)
    for place, own in enumerate(read.tolist()):
        if own != (place not in why):
            said = why.get(place, "by the run's own model alone")
            raise RunError(
                f"The exported model reads other records than the run's: '{dataset.ids[place]}' "
                f"cannot be read ({said}). Report this, and serve the run by leaven serve."
            )
    return _apart(wanted, found[read], made=False)


def on_nodes(predictor: Predictor, model: Model, dataset: Dataset) -> Parity:
    """Both asked about all nodes of a graph, and about copies of some as nodes that are new.

    The run's model is given the graph with the copy in it.
    """
    wanted = predictor.predict(dataset)[1]
    found = model.probabilities(as_given(dataset))[0]
    some = np.linspace(0, len(dataset) - 1, _COPIES * model.spec["new"]).astype(np.int64)
    if len(some):
        joined = [predictor.predict(frozen_graph.joined_by(dataset, at))[1][-1:] for at in some]
        wanted = np.concatenate([wanted, *joined])
        found = np.concatenate([found, model.probabilities(as_new(dataset, some))[0]])
    parity = _apart(wanted, found, made=False)
    return replace(parity, records=len(dataset), copies=len(some))


def in_32_bits(predictor: Predictor) -> Predictor:
    """The same model; what it asks of elsewhere in single precision, as an exported one has it."""
    return replace(predictor, front=elsewhere.in_32_bits(predictor.front))


def on_made(predictor: Predictor, model: Model) -> Parity:
    """Both asked about records that are made up: decoded ones, or cells for an encoder."""
    other = elsewhere.elsewhere(predictor.front)
    if other is None:
        return on_arrays(predictor, model, made_arrays(predictor))
    cells = other.made(_MADE_RECORDS, np.random.default_rng(0))
    return replace(on_records(predictor, model, _dataset(cells, predictor, model)), made=True)


def on_arrays(predictor: Predictor, model: Model, arrays: Arrays) -> Parity:
    """Both asked about decoded records that are made up."""
    plain = {name: np.asarray(arrays[name]) for name in arrays.names}
    given = {
        name: array.astype(np.float32) if array.dtype == np.float16 else array
        for name, array in plain.items()
    }
    return _apart(predictor.probabilities(arrays), model.answers(given), made=True)


def required(parity: Parity) -> Parity:
    """The same; RunError where the difference is larger than what is let pass."""
    if not parity.largest <= TOLERANCE:
        raise RunError(
            f"The exported model differs from the run's by {parity.largest:.2g} in a probability, "
            f"on {parity.records} records; at most {TOLERANCE:g} is let pass. Nothing was written. "
            "Report this, and serve the run by leaven serve."
        )
    return parity


def _apart(
    wanted: npt.NDArray[np.floating[Any]], found: npt.NDArray[np.floating[Any]], made: bool
) -> Parity:
    if not len(wanted):
        return Parity(0, made, 0.0, 1.0)
    largest = float(np.abs(wanted - found).max())
    same = float((wanted.argmax(1) == found.argmax(1)).mean())
    return Parity(len(wanted), made, largest, same)


def as_given(dataset: Dataset) -> list[dict[str, Any]]:
    """The records as a request would give them: JSON values, files as their bytes, nodes' ids."""
    return frozen_graph.own(dataset) if dataset.modality == "graph" else _cells(dataset)


def as_new(dataset: Dataset, places: Index) -> list[dict[str, Any]]:
    """Copies of a graph's nodes as a request would give them, were they not in it."""
    cells = _cells(dataset.select(places))
    pairs = zip(places.tolist(), cells, strict=True)
    return [frozen_graph.as_new(dataset, at, own) for at, own in pairs]


def _cells(dataset: Dataset) -> list[dict[str, Any]]:
    columns = {}
    for column in dataset.columns:
        cells = dataset.records[column.name]
        if column.kind == "datetime":
            cells = cells.cast(pa.string())
        columns[column.name] = cells.to_pylist()
        if column.kind in ("image", "audio"):
            columns[column.name] = [_bytes(one, dataset) for one in columns[column.name]]
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _bytes(cell: str | bytes | None, dataset: Dataset) -> bytes | None:
    """Of a file, whose name leads to nothing outside its folder; None where it cannot be read."""
    from leaven.data.files import source

    try:
        found = source(cell, dataset.root.absolute() if dataset.root else None, "file")
    except Unreadable:
        return None
    return found.read_bytes() if not hasattr(found, "getvalue") else found.getvalue()


def made_arrays(predictor: Predictor, count: int = _MADE_RECORDS, seed: int = 0) -> Arrays:
    """Decoded records of any content that the model's encoder reads."""
    rng = np.random.default_rng(seed)
    spec, modality = predictor.front.spec, predictor.front.modality
    return Arrays(_MADE[modality](predictor, spec, count, rng))


def _dataset(cells: list[Any], predictor: Predictor, model: Model) -> Dataset:
    """Records of the one column that the encoder reads."""
    front, kinds = predictor.front, model.columns
    own = (name for name, kind in kinds.items() if kind == front.modality)
    name = front.spec.get("column") or next(own, front.modality)
    columns = [Column(name, kinds[name])]
    table = pa.table({name: cells})
    return Dataset.from_frame(table, label=False, columns=columns, modality=front.modality)


def _tokens(
    predictor: Predictor, spec: dict[str, Any], count: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Words that the encoder knows, where it has a table of them, and one in five unknown."""
    known = np.arange(1, 1 << 20)
    for name, table in predictor.network.encoder.named_buffers():
        if name.endswith("slot"):
            known = np.flatnonzero(table.numpy() > int(table.min()))
    drawn = rng.choice(known if len(known) else np.arange(1, 1 << 20), (count, spec["length"]))
    other = rng.integers(1, (1 << 20) - 2, drawn.shape)
    tokens = np.where(rng.random(drawn.shape) < 0.2, other, drawn)
    length = rng.integers(1, spec["length"] + 1, (count, 1))
    return {"tokens": np.where(np.arange(spec["length"]) < length, tokens, 0).astype(np.int32)}


def _table(
    predictor: Predictor, spec: dict[str, Any], count: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Numbers among the quantiles that the encoder has learnt, and beyond; some missing."""
    width = len(spec["numeric"]) + 64 * len(spec["text"])
    numeric = rng.normal(size=(count, width))
    for name, grid in predictor.network.encoder.named_buffers():
        if name.endswith("grid") and len(grid) == width:
            table = grid.double().numpy()
            low, high = table.min(1), table.max(1)
            numeric = low + (high - low) * rng.uniform(-0.2, 1.2, (count, width))
            equal = rng.random((count, width)) < 0.3
            own = table[np.arange(width), rng.integers(0, table.shape[1], (count, width))]
            numeric = np.where(equal, own, numeric)
    numeric[rng.random(numeric.shape) < 0.1] = np.nan
    sizes = np.array([len(levels) + 1 for levels in spec["categorical"].values()], np.int64)
    codes = (rng.random((count, len(sizes))) * sizes).astype(np.int32)
    return {"numeric": numeric.astype(np.float32), "codes": codes}


def _vectors(
    predictor: Predictor, spec: dict[str, Any], count: int, rng: np.random.Generator
) -> dict[str, Any]:
    return {"features": rng.normal(size=(count, spec["width"])).astype(np.float32)}


def _series(
    predictor: Predictor, spec: dict[str, Any], count: int, rng: np.random.Generator
) -> dict[str, Any]:
    shape = (count, spec["length"], spec["channels"])
    there = np.arange(spec["length"])[:, None] < rng.integers(1, spec["length"] + 1, (count, 1, 1))
    there = np.broadcast_to(there, shape)
    values = np.where(there, rng.normal(size=shape).cumsum(1), 0)
    return {"values": values.astype(np.float32), "there": there.astype(np.uint8)}


def _pictures(
    predictor: Predictor, spec: dict[str, Any], count: int, rng: np.random.Generator
) -> dict[str, Any]:
    shape = (count, spec["channels"], spec["height"], spec["width"])
    return {"pixels": rng.integers(0, 256, shape, np.uint8)}


def _sounds(
    predictor: Predictor, spec: dict[str, Any], count: int, rng: np.random.Generator
) -> dict[str, Any]:
    length = rng.integers(1, spec["frames"] + 1, count)
    there = np.arange(spec["frames"]) < length[:, None]
    loud = rng.uniform(-13, 3, (count, spec["frames"], spec["mels"]))
    mel = np.where(there[..., None], loud, np.log(1e-6)).astype(np.float16)
    return {"mel": mel, "length": length}


_MADE = {
    "text": _tokens, "tabular": _table, "embedding": _vectors, "series": _series,
    "image": _pictures, "audio": _sounds,
}  # fmt: skip
