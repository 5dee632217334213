"""A released run in memory, ready to be asked."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from leaven.core.errors import DataError, LeavenError, RunError
from leaven.data.dataset import Column, Dataset
from leaven.data.modality import MODALITIES
from leaven.data.sounds import wave_file
from leaven.learn.predictor import Predictor
from leaven.operate.registry import Registry
from leaven.operate.releases import Named
from leaven.serve.models.limits import Limits
from leaven.serve.models.records import Reader, Record

__all__ = ["Answer", "Loaded", "Source", "load"]


@dataclass(frozen=True)
class Source:
    """Where a record that was answered still is, so that it can be shown to a person."""

    dataset: Dataset
    row: int

    def show(self) -> dict[str, Any]:
        """As a page shows it, see `Modality.show`."""
        return dict(MODALITIES[self.dataset.modality].show(self.dataset, self.row))


@dataclass(frozen=True)
class Answer:
    """What a model says of one record: (k,) calibrated probabilities and the record's content.

    `why` is a sentence where the record cannot be read; the rest is then empty.
    """

    probabilities: npt.NDArray[np.float64]
    content: str
    source: Source | None
    why: str = ""


class Loaded:
    """A model of a release: `run` and `digest` say which."""

    def __init__(
        self, named: Named, predictor: Predictor, columns: Sequence[Column], limits: Limits
    ) -> None:
        self.run, self.digest, self.predictor = named.run, named.digest, predictor
        self.classes = predictor.classes
        self.modality = predictor.front.modality
        width = int(predictor.front.spec.get("width", 0)) if self.modality == "embedding" else 0
        self.reader = Reader(columns, self.modality, limits, width)

    def is_named(self, version: str) -> bool:
        """Whether this is the version: its digest, 12 or more digits of it, or the run's id."""
        return version == self.run or (len(version) >= 12 and self.digest.startswith(version))

    def ask(self, records: Sequence[Record]) -> list[Answer]:
        """What it says of each record, in order."""
        dataset, why = self.reader.dataset(records)
        nothing = np.zeros(0)
        answers = [Answer(nothing, "", None, why.get(i, "")) for i in range(len(records))]
        if not len(dataset):
            return answers
        kept, found = self.predictor.predict(dataset)
        for row, place in enumerate(kept.ids.tolist()):
            content = str(kept.content[row])
            answers[int(place)] = Answer(found[row], content, Source(kept, row))
        if len(kept) < len(dataset):
            told = kept.quarantine.select(["id", "reason", "detail"]).to_pylist()
            for one in told:
                said = f"{one['reason']}: {one['detail']}"
                answers[int(one["id"])] = Answer(nothing, "", None, said)
        return answers

    def warm(self) -> None:
        """Answer made records, so that the first request does not pay for what is done once.

        RunError where the model cannot answer.
        """
        made = {column.name: _made(column, self.predictor) for column in self.reader.columns}
        try:
            for records in ([made], [made] * 8):
                for answer in self.ask(records):
                    if answer.source is not None and not np.isfinite(answer.probabilities).all():
                        raise RunError("its probabilities are no numbers")
        except Exception as failed:
            raise RunError(
                f"The model of '{self.run}' cannot answer: {failed}. Fit again, or release another."
            ) from failed


def load(registry: Registry, named: Named, limits: Limits) -> Loaded:
    """Read a released model, its files held against what was registered, and warm it.

    Raises LeavenError for a model that is not what was released or cannot answer.
    """
    run = registry.load(named.run, named.digest)
    if run.story["dataset"]["modality"] == "graph":
        raise DataError("A graph's nodes are answered together, by leaven predict: no requests.")
    try:
        columns = [Column(**told) for told in run.story["dataset"]["columns"]]
        found = Loaded(named, run.predictor, columns, limits)
        found.warm()
    except LeavenError:
        raise
    except Exception as failed:
        raise RunError(f"The model of '{named.run}' cannot be loaded: {failed}.") from failed
    return found


def _made(column: Column, predictor: Predictor) -> Any:
    """A cell that any model of this kind of column can read."""
    if column.kind == "image":
        stream = io.BytesIO()
        Image.new("L", (32, 32), 128).save(stream, "PNG")
        return stream.getvalue()
    if column.kind == "audio":
        rate = 16_000
        tone = np.sin(np.arange(rate // 2, dtype=np.float64) / 10)
        return wave_file(tone, rate, exact=True)
    if column.kind == "vector":
        return [0.5] * int(predictor.front.spec.get("width", 1))
    if column.kind == "series":
        channels = int(predictor.front.spec.get("channels", 1))
        return np.sin(np.arange(channels * 64, dtype=np.float64)).reshape(channels, 64)
    made = {"numeric": 1.0, "boolean": True, "datetime": "2020-01-01", "text": "a made record"}
    return made.get(column.kind, "a")
