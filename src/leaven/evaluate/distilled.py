"""The small model of a run: made from the one that ships, and what it loses by being small.

The records are dealt by their content into those that teach the small model, those by which it is
chosen and calibrated, and those that are held back for the figures.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven import __version__
from leaven.core.errors import DataError, RunError, SettingError
from leaven.core.files import first_bytes
from leaven.core.holding import held
from leaven.core.progress import Listener, Progress
from leaven.core.wording import decimal, percent, points, records, span
from leaven.data.arrays import Arrays
from leaven.data.dataset import Dataset, Index
from leaven.evaluate.calibration import apply, transfer_temperature
from leaven.evaluate.comparison import paired
from leaven.evaluate.folder import read_json, write_json
from leaven.evaluate.intervals import Estimate, percentiles, resampled_sums, wilson
from leaven.evaluate.run import DISTILLED, Run
from leaven.evaluate.tables import read_parquet
from leaven.learn.distilling import distil
from leaven.learn.predictor import Predictor

__all__ = ["Distilled", "Parts", "deal", "make_distilled", "taught_by_label"]

_LEAST = 100  # records that differ and have not taught
_HELD, _HELD_LEAST = 5, 50  # one in five is held back, and as many at least
_CHOOSE = 5  # of the others one in five chooses
_TIMED, _ROUNDS = 512, 5
_TOLD = "distilled.json"


@dataclass(frozen=True)
class Distilled:
    """A run's small model: the run's folder, the figures, and whether it was made just now."""

    folder: Path
    told: dict[str, Any]
    new: bool

    @property
    def predictor(self) -> Predictor:
        """The small model; RunError where it is damaged."""
        return Predictor.load(self.folder / DISTILLED)


@dataclass(frozen=True)
class Parts:
    """Positions of the records that teach, of those that choose, and of those held back.

    They stand in an order that follows from the records' contents.
    """

    teach: Index
    choose: Index
    held: Index


def deal(content: npt.NDArray[np.str_], taught: npt.NDArray[np.bool_], seed: int) -> Parts:
    """Deal records by their content (n,); equal ones stay together, the order of rows is not felt.

    Those that taught the large model, `taught` (n,), teach the small one. Of the others a fifth is
    held back, at least 50 where that leaves as many, and of the rest a fifth chooses.

    Raises DataError where fewer than 100 different records have not taught the large model.
    """
    contents, same = np.unique(content, return_inverse=True)
    known = np.zeros(len(contents), bool)
    np.logical_or.at(known, same, taught)
    drawn = np.array([hashlib.sha256(f"{seed}{one}".encode()).hexdigest() for one in contents])
    free = np.flatnonzero(~known)
    free = free[np.argsort(drawn[free])]
    if len(free) < _LEAST:
        raise DataError(
            f"A small model needs at least {_LEAST} different records that can be read and have "
            f"not taught the run's model. Got {len(free)}. Give more; they need no labels."
        )
    held = max(len(free) // _HELD, _HELD_LEAST)
    choose = held + (len(free) - held) // _CHOOSE
    part = np.zeros(len(contents), np.int64)
    part[free[:held]], part[free[held:choose]] = 2, 1
    order = np.argsort(drawn[same], kind="stable")
    teach, choosing, back = (order[part[same[order]] == number] for number in range(3))
    return Parts(teach, choosing, back)


def make_distilled(
    run: Run,
    dataset: Dataset,
    *,
    seed: int = 0,
    fresh: bool = False,
    listen: Listener = lambda _: None,
) -> Distilled:
    """Make the small model of a run, or return the one that is there.

    Parameters
    ----------
    run : whose model teaches.
    dataset : records as `Run.dataset` reads them. Labels are no lesson: on records held back they
        say how right both models are, where they have not taught the run's model.
    seed : of the parts, of the mixed pairs and of the training.
    fresh : make it anew where there is one.

    Writes `distilled/`, as `Predictor.save` does, and `distilled.json` with the figures into the
    run's folder. A kill leaves what was there before.

    Raises DataError for records of another modality or fewer than 100, SettingError for a graph,
    RunError where the small model is damaged or another process makes it.
    """
    with _alone(run.folder):
        _mend(run.folder)
        there = None if fresh else _there(run)
        if there is not None:
            return there
        teacher = run.predictor
        if dataset.modality != teacher.front.modality:
            raise DataError(
                f"The model reads {teacher.front.modality} records. Got {dataset.modality} records "
                f"from '{dataset.source or dataset.name}'."
            )
        if dataset.modality == "graph":
            raise SettingError(
                "run", "one whose records stand alone", "one of a graph",
                "Its model reads the whole graph for each answer, and no head makes that small.",
            )  # fmt: skip
        listen(Progress("reading the records"))
        dataset, arrays = teacher.front.readable(dataset)
        taught = taught_by_label(run, dataset)
        parts = deal(dataset.content, taught, seed)
        listen(Progress("teaching the small model"))
        student = distil(
            teacher.network,
            arrays,
            parts.teach,
            parts.choose,
            temperature=teacher.temperature,
            seed=seed,
        )
        network = student.network
        sure = apply(teacher.network.logits(arrays, parts.choose), teacher.temperature).max(1)
        said = network.logits(arrays, parts.choose)
        warmth = transfer_temperature(said, float(sure.mean()))
        small = replace(teacher, network=network, temperature=warmth)
        listen(Progress("measuring what is lost"))
        partial = run.folder / f"{DISTILLED}.part"
        shutil.rmtree(partial, ignore_errors=True)
        small.save(partial)
        labels = dataset.labels.to_pylist()
        told = _figures(teacher, small, arrays, parts.held, labels, taught, seed)
        told |= {
            "run": str(run.folder),
            "head": student.kind,
            "chosen": {
                "agreement": dict(student.agreement),
                "n": len(parts.choose),
            },
            "records": {
                "taught": len(parts.teach),
                "chose": len(parts.choose),
                "held": len(parts.held),
                "quarantined": dataset.quarantine.num_rows,
            },
            "bytes": {
                "teacher": _size(run.folder / "model"),
                "student": _size(partial),
            },
            "temperature": warmth,
            "seed": seed,
            "leaven": __version__,
            "sha256": _digest(partial),
        }
        told["sentence"] = _sentence(told)
        _replace(run.folder, partial, told)
        return Distilled(run.folder, told, True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the run's folder, so that no two processes write its small model."""
    with ExitStack() as stack:
        try:
            stack.enter_context(held(folder))
        except BlockingIOError as busy:
            raise RunError(
                f"Another process is making the small model of '{folder}'. Wait for it."
            ) from busy
        yield


def _mend(folder: Path) -> None:
    """Put back what a process had put aside when it was killed."""
    old, now = folder / f"{DISTILLED}.old", folder / DISTILLED
    if old.is_dir() and not now.is_dir():
        os.replace(old, now)
    shutil.rmtree(old, ignore_errors=True)


def _replace(folder: Path, partial: Path, told: dict[str, Any]) -> None:
    """Put the new model into the place of the old one, then its figures."""
    old, now = folder / f"{DISTILLED}.old", folder / DISTILLED
    if now.is_dir():
        os.replace(now, old)
    os.replace(partial, now)
    write_json(folder / _TOLD, told)
    shutil.rmtree(old, ignore_errors=True)


def _there(run: Run) -> Distilled | None:
    """The model that was made before; None where there is none, or no figures of it."""
    path = run.folder / _TOLD
    if not path.is_file() or not (run.folder / DISTILLED).is_dir():
        return None
    try:
        found = Distilled(run.folder, read_json(path), False)
        _ = found.predictor
        _ = found.told["sentence"], found.told["agreement"]["value"]
        whole = bool(found.told["sha256"] == _digest(run.folder / DISTILLED))
    except (RunError, ValueError, KeyError, TypeError, OSError) as broken:
        raise RunError(
            f"The small model of '{run.folder}' is damaged: {broken} Make it anew with --fresh."
        ) from broken
    return found if whole else None


def taught_by_label(run: Run, dataset: Dataset) -> npt.NDArray[np.bool_]:
    """(n,) whether a record is known to have taught the run's model by its label.

    The run keeps the contents of the labelled records that judged it, most of which taught the
    final model, and the ids of its unlabelled ones: where the records are the run's own, all others
    had labels.
    """
    told = read_parquet(run.folder / "evidence.parquet", ["content"])
    taught = np.isin(dataset.content, told["content"].to_pylist())
    unlabelled = read_parquet(run.folder / "predictions.parquet", ["id"])["id"]
    own = np.isin(dataset.ids, unlabelled.to_pylist())
    if unlabelled and 2 * own.sum() > min(len(own), len(unlabelled)):
        taught |= ~own
    return np.asarray(taught, bool)


def _figures(
    teacher: Predictor,
    student: Predictor,
    arrays: Arrays,
    held: Index,
    labels: list[str | None],
    taught: npt.NDArray[np.bool_],
    seed: int,
) -> dict[str, Any]:
    """What both models say of the records held back, side by side."""
    theirs, ours = (one.probabilities(arrays, held) for one in (teacher, student))
    guess, own = theirs.argmax(1), ours.argmax(1)
    agreement = _share(guess == own)
    apart = np.abs(theirs - ours).sum(1) / 2
    (drawn,) = resampled_sums(apart[:, None], seed=seed)
    variation = percentiles(float(apart.mean()), drawn[:, 0] / len(held), len(held))
    place = {name: number for number, name in enumerate(teacher.classes)}
    truth = np.array([place.get(labels[row] or "", -1) for row in held], np.int64)
    judged = (truth >= 0) & ~taught[held]
    accuracy = None
    if judged.any():
        right = [(named == truth)[judged] for named in (guess, own)]
        difference, p_value = paired(right[1], right[0], seed=seed)
        accuracy = {
            "teacher": asdict(_share(right[0])),
            "student": asdict(_share(right[1])),
            "difference": asdict(difference),
            "p_value": p_value,
        }
    return {
        "agreement": asdict(agreement),
        "variation": asdict(variation),
        "confidence": {
            "teacher": float(theirs.max(1).mean()),
            "student": float(ours.max(1).mean()),
        },
        "accuracy": accuracy,
        "cpu": _cpu(teacher, student, arrays, held[:_TIMED]),
    }


def _share(hits: npt.NDArray[np.bool_]) -> Estimate:
    """A share with its Wilson interval."""
    low, high = wilson(hits.sum(), len(hits))
    return Estimate(float(hits.mean()), float(low), float(high), len(hits))


def _cpu(teacher: Predictor, student: Predictor, arrays: Arrays, rows: Index) -> dict[str, Any]:
    """CPU seconds a record, from the decoded record to its probabilities: the least of some rounds.

    The two take turns, so that what else the machine does is felt by both.
    """
    least = {"teacher": np.inf, "student": np.inf}
    for _ in range(_ROUNDS):
        for name, one in (("teacher", teacher), ("student", student)):
            began = time.process_time()
            one.probabilities(arrays, rows)
            least[name] = min(least[name], (time.process_time() - began) / len(rows))
    return {**least, "ratio": least["student"] / max(least["teacher"], 1e-12), "n": len(rows)}


def _sentence(told: dict[str, Any]) -> str:
    """The loss first, then what it buys."""
    agreement, size, accuracy = told["agreement"], told["bytes"], told["accuracy"]
    low, high = (points(agreement[end], sign=False) for end in ("low", "high"))
    lost, most = (points(1 - agreement[end], sign=False) for end in ("value", "low"))
    said = (
        f"It names the same class for {percent(agreement['value'])} ({low} to {high}) of "
        f"{records(agreement['n'])} that did not teach it: at most {lost} points of accuracy can "
        f"be lost on them, {most} at the end of the interval."
    )
    if accuracy is not None:
        difference = accuracy["difference"]
        said += (
            f" By their labels its accuracy is {percent(accuracy['student']['value'])} where the "
            f"run's model has {percent(accuracy['teacher']['value'])}: "
            f"{points(difference['value'])} points ({span(difference['low'], difference['high'])}) "
            f"on {records(difference['n'])}."
        )
    return said + (
        f" It takes {percent(size['student'] / size['teacher'])} of the bytes and "
        f"{percent(told['cpu']['ratio'])} of the CPU time of a decoded record, "
        f"{decimal(1e6 * told['cpu']['student'], 0)} µs."
    )


def _size(folder: Path) -> int:
    """Bytes of a saved model's files."""
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


def _digest(folder: Path) -> str:
    """By which the figures know their model: of its two descriptions, which hold the weights'."""
    told = hashlib.sha256()
    for name in ("model.json", "predictor.json"):
        told.update(first_bytes(folder / name))
    return told.hexdigest()
