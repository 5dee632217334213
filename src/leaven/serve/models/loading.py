"""A released run in memory, ready to be asked."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from leaven.core.errors import DataError, LeavenError, RunError
from leaven.data.dataset import Column
from leaven.data.shown import shown_row, shown_text
from leaven.evaluate.folder import read_json
from leaven.operate.export.served import served
from leaven.operate.manifest import verified
from leaven.operate.registry import Registry
from leaven.operate.releases import Named
from leaven.serve.models.limits import Limits
from leaven.serve.models.nodes import NodeReader
from leaven.serve.models.records import Reader, Record

if TYPE_CHECKING:
    from leaven.learn.predictor import Predictor

__all__ = ["Answer", "Loaded", "Source", "load"]


class Source(NamedTuple):
    """A record that was answered, so that it can be shown to a person."""

    reader: Reader
    record: Record

    def show(self) -> dict[str, Any]:
        """As a page shows it, see `Modality.show`."""
        modality = self.reader.modality
        if isinstance(self.reader, NodeReader):
            return self.reader.show(self.record)
        dataset = self.reader.dataset([self.record])[0]
        if modality == "tabular":
            return shown_row(dataset, 0)
        if modality == "text" and (only := self.reader.only) is not None:
            return shown_text(dataset.records[only.name][0].as_py())
        # The others' views stand in the same files, and with them torch.
        from leaven.data.modality import MODALITIES

        return dict(MODALITIES[modality].show(dataset, 0))


class Answer(NamedTuple):
    """What a model says of one record: (k,) calibrated probabilities and the record's content.

    `why` is a sentence where the record cannot be read; the rest is then empty. `larger` says that
    the larger model of a cascade answered.
    """

    probabilities: npt.NDArray[np.floating[Any]]
    content: str
    source: Source | None
    why: str = ""
    larger: bool = False


_NOTHING = np.zeros(0)
#: Times that one record is asked about, of which the shortest counts.
_TRIES = 5


class Answering(Protocol):
    """What answers: the exported form of a model, or the model itself by torch."""

    classes: tuple[str, ...]
    modality: str
    spec: dict[str, Any]

    def probabilities(
        self, records: Sequence[Record]
    ) -> tuple[npt.NDArray[np.floating[Any]], dict[int, str]]:
        """(n, k) of records, and why some cannot be read, by their place."""


class ByTorch:
    """A model that has no exported form."""

    def __init__(self, predictor: Predictor, columns: Sequence[Column], limits: Limits) -> None:
        import torch

        torch.set_num_threads(1)  # a batch is small, and the cores are for other requests
        self._predictor = predictor
        self.classes, self.modality = predictor.classes, predictor.front.modality
        self.spec = predictor.front.spec
        self._reader = _reader(columns, self, limits)

    def probabilities(
        self, records: Sequence[Record]
    ) -> tuple[npt.NDArray[np.floating[Any]], dict[int, str]]:
        """See `Answering`."""
        dataset, why = self._reader.dataset(records)
        found = np.full((len(records), len(self.classes)), np.nan)
        if len(dataset):
            kept, said = self._predictor.predict(dataset)
            found[kept.ids.astype(np.int64)] = said
            for one in kept.quarantine.select(["id", "reason", "detail"]).to_pylist():
                why[int(one["id"])] = f"{one['reason']}: {one['detail']}"
        return found, why


class Loaded:
    """A model of a release: `run` and `digest` say which."""

    def __init__(
        self, named: Named, model: Answering, columns: Sequence[Column], limits: Limits
    ) -> None:
        self.run, self.digest = named.run, named.digest
        self.classes, self.modality, self.spec = model.classes, model.modality, model.spec
        self.reader = _reader(columns, model, limits)
        #: About how long a record takes, once it was found out by `warm`.
        self.seconds = math.inf
        self._model = model
        #: What is asked where this one is not sure, and how sure it must be; see `back`.
        self.larger: Loaded | None = None
        self._sure = 0.0

    def back(self, larger: Loaded, sure: float) -> None:
        """Leave records of which this model is less than so sure to a larger one (a cascade).

        Raises RunError where the two have other classes or read other columns.
        """
        alike = (larger.classes, larger.reader.columns), (self.classes, self.reader.columns)
        if sorted(alike[0][0]) != sorted(alike[1][0]) or alike[0][1] != alike[1][1]:
            raise RunError(
                f"'{larger.run}' has other classes or columns than '{self.run}', so it cannot "
                "answer in its place. Fit both on the same data."
            )
        self.larger, self._sure = larger, sure
        self.seconds = math.inf  # nobody knows beforehand which one is asked

    def who(self, larger: bool) -> str:
        """The run that answers: this one, or the one behind it."""
        return self.larger.run if larger and self.larger is not None else self.run

    def is_named(self, version: str) -> bool:
        """Whether this is the version: its digest, 12 or more digits of it, or the run's id."""
        return version == self.run or (len(version) >= 12 and self.digest.startswith(version))

    def ask(self, records: Sequence[Record]) -> list[Answer]:
        """What it says of each record, in order."""
        found, why = self._model.probabilities(records)
        larger = self._by_larger(records, found, why)
        return [
            Answer(_NOTHING, "", None, why[place])
            if place in why
            else Answer(
                larger.get(place, found[place]), self.reader.content(one),
                Source(self.reader, one), larger=place in larger,
            )
            for place, one in enumerate(records)
        ]  # fmt: skip

    def _by_larger(
        self,
        records: Sequence[Record],
        found: npt.NDArray[np.floating[Any]],
        why: Mapping[int, str],
    ) -> dict[int, npt.NDArray[np.floating[Any]]]:
        """What the larger model says, in the order of these classes, by the record's place.

        Where it alone cannot read a record, the small one's answer stands.
        """
        if self.larger is None:
            return {}
        unsure = [i for i in range(len(records)) if i not in why and found[i].max() < self._sure]
        if not unsure:
            return {}
        order = [self.larger.classes.index(name) for name in self.classes]
        told, cannot = self.larger._model.probabilities([records[i] for i in unsure])
        return {i: told[k][order] for k, i in enumerate(unsure) if k not in cannot}

    def warm(self) -> None:
        """Answer made records, so that the first request does not pay for what is done once.

        And see how long one takes: by torch, whose threads are its own, it is never called quick.
        RunError where the model cannot answer.
        """
        if isinstance(self.reader, NodeReader):
            made = self.reader.made
        else:
            made = {column.name: _made(column, self.spec) for column in self.reader.columns}
        took = math.inf
        try:
            for records in ([made] * 8, *[[made]] * _TRIES):
                began = time.perf_counter()
                for answer in self.ask(records):
                    if answer.source is not None and not np.isfinite(answer.probabilities).all():
                        raise RunError("its probabilities are no numbers")
                took = min(took, (time.perf_counter() - began) / len(records))
            if not isinstance(self._model, ByTorch):
                self.seconds = took
        except Exception as failed:
            raise RunError(
                f"The model of '{self.run}' cannot answer: {failed}. Fit again, or release another."
            ) from failed


def load(registry: Registry, named: Named, limits: Limits) -> Loaded:
    """Read a released model, its files held against what was registered, and warm it.

    By its exported form where it has one, else by torch. Raises LeavenError for a model that is not
    what was released or cannot answer.
    """
    folder = registry.get(named.run, named.digest).folder
    verified(folder / "model", named.digest)
    try:
        told = read_json(folder / "run.json")["dataset"]
        columns = [Column(**column) for column in told["columns"]]
        model: Answering | None = served(folder / "model")
        if model is None and told["modality"] == "graph":
            raise DataError(
                "A graph's nodes are answered by the run's exported form, and it has none: when it "
                "was released its graph was not at hand, or leaven[export] not installed. Release "
                "it again."
            )
        if model is None:
            predictor = registry.load(named.run, named.digest).predictor
            model = ByTorch(predictor, columns, limits)
        found = Loaded(named, model, columns, limits)
        found.warm()
    except LeavenError:
        raise
    except Exception as failed:
        raise RunError(f"The model of '{named.run}' cannot be loaded: {failed}.") from failed
    return found


def _reader(columns: Sequence[Column], model: Answering, limits: Limits) -> Reader:
    if model.modality == "graph":
        return NodeReader(columns, limits, model.spec)
    width = int(model.spec.get("width", 0)) if model.modality == "embedding" else 0
    return Reader(columns, model.modality, limits, width)


def _made(column: Column, spec: dict[str, Any]) -> Any:
    """A cell that any model of this kind of column can read."""
    if column.kind == "image":
        stream = io.BytesIO()
        Image.new("L", (32, 32), 128).save(stream, "PNG")
        return stream.getvalue()
    if column.kind == "audio":
        from leaven.data.sounds import wave_file

        rate = 16_000
        tone = np.sin(np.arange(rate // 2, dtype=np.float64) / 10)
        return wave_file(tone, rate, exact=True)
    if column.kind == "vector":
        return [0.5] * int(spec.get("width", 1))
    if column.kind == "series":
        channels = int(spec.get("channels", 1))
        return np.sin(np.arange(channels * 64, dtype=np.float64)).reshape(channels, 64)
    made = {"numeric": 1.0, "boolean": True, "datetime": "2020-01-01", "text": "a made record"}
    return made.get(column.kind, "a")
