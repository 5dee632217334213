"""What answers records: the model of a run, one beside it, or a cascade of two."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from leaven.core.errors import SettingError, UnknownNameError
from leaven.core.files import first_bytes
from leaven.data.dataset import Column, Dataset
from leaven.data.pieces import Piece, Reading
from leaven.evaluate.cascade import Cascade, is_cascade
from leaven.evaluate.run import DISTILLED, Run
from leaven.evaluate.scored import DECISIONS

__all__ = ["Answering", "Answers", "Predicts", "answer", "open_answering"]


class Predicts(Protocol):
    """What turns records into probabilities."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the columns."""

    @property
    def supposed(self) -> tuple[float, ...]:
        """The classes' shares that the answers suppose; empty where they are not known."""

    def predict(self, dataset: Dataset) -> tuple[Dataset, npt.NDArray[np.float64]]:
        """The records that could be read, and (n, k) probabilities of them."""


@dataclass(frozen=True)
class Answering:
    """A model that answers, and how records come to it.

    `name` says which for people, `digest` for certain; `width` is the length of vectors where it
    reads these; `shares` (k,) are those of the classes that its answers suppose.
    """

    name: str
    digest: str
    model: Predicts
    columns: tuple[Column, ...]
    modality: str
    width: int = 0
    shares: tuple[float, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of the probabilities."""
        return self.model.classes

    def reading(self, label: str | None = None, id: str | None = None) -> Reading:
        """How its records are read; `label` and `id` name columns of the data."""
        return Reading(self.columns, self.modality, label, id, self.width)


@dataclass(frozen=True)
class Answers:
    """What a model says of a piece.

    `places` (m,) are those of the records that it could read, `probabilities` (m, k) what it says
    of them, `kept` the records themselves; `refused` says of all others in the piece why not.
    """

    piece: Piece
    kept: Dataset
    places: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    refused: dict[int, tuple[str, str]]


def open_answering(
    run: Run | str | Path,
    *,
    compared: bool = False,
    distilled: bool = False,
    decide: str = "accuracy",
) -> Answering:
    """The model of a run or of a cascade's plan, ready to be asked.

    Raises SettingError for two models at once, UnknownNameError for another way to decide, RunError
    where there is no usable model.
    """
    if compared and distilled:
        raise SettingError("distilled", "asked for alone", "with compared", "Choose one model.")
    if decide not in DECISIONS:
        raise UnknownNameError("decide", decide, DECISIONS)
    if not isinstance(run, Run) and is_cascade(run):
        if compared or distilled or decide != "accuracy":
            what = "compared" if compared else "distilled" if distilled else "decide"
            raise SettingError(what, "left alone: a cascade says which models answer", True)
        cascade = Cascade.load(run)
        return _of(cascade.large, cascade, cascade.digest, Path(run).stem)
    opened = run if isinstance(run, Run) else Run.load(run)
    where = DISTILLED if distilled else "compared" if compared else "model"
    model = opened.distilled if distilled else opened.compared if compared else opened.predictor
    model = model.balanced() if decide == "balanced" else model
    folder = opened.folder / where
    told = _digest(folder if folder.is_dir() else opened.folder / "model", where, decide)
    return _of(opened, model, told, str(opened.story["run"]["id"]))


def answer(answering: Answering, piece: Piece) -> Answers:
    """Ask the model about a piece of the data."""
    refused = dict(piece.refused)
    if not len(piece.dataset):
        nobody = np.zeros((0, len(answering.classes)))
        return Answers(piece, piece.dataset, np.zeros(0, np.int64), nobody, refused)
    kept, found = answering.model.predict(piece.dataset)
    if len(kept) < len(piece.dataset):
        for one in kept.quarantine.select(["id", "reason", "detail"]).to_pylist():
            refused[int(one["id"])] = (one["reason"], one["detail"])
    return Answers(piece, kept, kept.ids.astype(np.int64), found, refused)


def _of(run: Run, model: Predicts, digest: str, name: str) -> Answering:
    told = run.story["dataset"]
    columns: Sequence[Column] = [Column(**column) for column in told["columns"]]
    width = 0
    if told["modality"] == "embedding":
        width = int(run.predictor.front.spec.get("width", 0))
    counts = told["class_counts"]
    shares = model.supposed or tuple(float(counts.get(c, 0)) for c in model.classes)
    return Answering(name, digest, model, tuple(columns), str(told["modality"]), width, shares)


def _digest(folder: Path, *words: str) -> str:
    """Of the model's two descriptions, the one of which holds the digest of its weights."""
    told = hashlib.sha256("\0".join(words).encode())
    for name in ("model.json", "predictor.json"):
        told.update(first_bytes(folder / name))
    return told.hexdigest()
