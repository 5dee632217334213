"""What became of the pseudo-labels: accepted, agreed with and right, per class and over time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from leaven.learn.method import Step
from leaven.learn.objective import PseudoLabels

__all__ = ["CLASS_POINTS", "PseudoLog"]

#: Points at which the classes are told apart; a hundred classes stay a small file.
CLASS_POINTS = 20

_COUNT, _WEIGHT, _AGREED, _ENTROPY, _AUDITED, _RIGHT = range(6)
_ROWS = 6

Floats = npt.NDArray[np.float64]


class PseudoLog:
    """Sums over the guesses of a stage: added up on the device, read at the points of its history.

    A guess is one unlabelled record in one step, as `PseudoLabels` tells of it: its class is the
    likeliest one, w its weight. Over the guesses since the point before:

        coverage   mean w
        agreement  share of the guesses whose class the student named too
        kappa      that, corrected for chance (Cohen 1960); left out where all is of one class
        entropy    mean entropy of the guess, in nats
        precision  sum of w over right guesses / sum of w, over guesses of known truth
        audited    records that the precision rests on: truth known, w > 0

    Per class the same but kappa, over the guesses of that class, beside `share`, their part of all.
    A record counts once in `audited`, in the class of its last accepted guess since the point
    before (of several in one step, the one latest in order of classes).

    `truth` (u,) are the true classes of the unlabelled records: -1 where not known; one that is no
    class, such as `classes` itself, makes every guess wrong. The log reads; it changes nothing.
    """

    def __init__(self, classes: int, truth: npt.NDArray[np.int64] | None = None) -> None:
        self.classes = classes
        #: One entry each point of the classes, for JSON: `step`; a list for each figure with an
        #: entry a class, None where it has no guess (or none whose truth is known); and `all`,
        #: the figures of all classes together.
        self.by_class: list[dict[str, Any]] = []
        self._truth = None if truth is None else torch.from_numpy(truth)
        self._sums = torch.zeros(_ROWS, classes)
        #: Of each record step · classes + class of its last accepted guess, -1 where none.
        self._last = torch.full((0 if truth is None else len(truth),), -1)
        self._before: Floats = np.zeros((_ROWS, classes))  # since the last point of the classes
        self._named = torch.zeros(classes)  # how often the student named each class
        self._named_before: Floats = np.zeros(classes)
        self._point, self._class_point = 0, 0  # the steps of the last points

    def watch(self, step: Step) -> None:
        """Count what a step taught, if it taught unlabelled records."""
        if step.taught is not None:
            self.add(step.number, step.taught)

    def add(self, step: int, taught: PseudoLabels) -> None:
        """Count the guesses of a step; waits for nothing on the device."""
        device = taught.guess.device
        if self._sums.device != device:
            self._sums, self._last = self._sums.to(device), self._last.to(device)
            self._named = self._named.to(device)
            self._truth = None if self._truth is None else self._truth.to(device)
        guess, weight = taught.guess.argmax(-1), taught.weight.float()
        entropy = torch.special.entr(taught.guess.float()).sum(-1)
        rows = [torch.ones_like(weight), weight, (guess == taught.answers).float(), entropy]
        if self._truth is None:
            rows += [torch.zeros_like(weight)] * 2
        else:
            truth = self._truth[taught.records]
            known = weight * (truth >= 0)
            rows += [known, known * (truth == guess)]
            last = torch.where(known > 0, step * self.classes + guess, -1)
            self._last.scatter_reduce_(0, taught.records, last, "amax")
        self._sums.index_add_(1, guess, torch.stack(rows))
        self._named.index_add_(0, taught.answers, torch.ones_like(weight))

    def point(self, step: int, total: int) -> dict[str, float]:
        """The figures since the last point, all classes together; empty where nothing was guessed.

        At `CLASS_POINTS` of the `total` steps an entry is added to `by_class`.
        """
        window = self._sums.double().cpu().numpy()
        named = self._named.double().cpu().numpy()
        self._sums.zero_()
        self._named.zero_()
        self._before += window
        self._named_before += named
        audited = int((self._last >= (self._point + 1) * self.classes).sum())
        self._point = step
        if step * CLASS_POINTS // total > (step - 1) * CLASS_POINTS // total:
            self._tell_classes(step)
        return _together(window, named, audited)

    @property
    def note(self) -> dict[str, Any]:
        """All of it as JSON, for a checkpoint; floats survive that to the bit."""
        recent = torch.nonzero(self._last >= (self._class_point + 1) * self.classes)[:, 0]
        return {
            "by_class": self.by_class,
            "sums": self._sums.tolist(),
            "before": self._before.tolist(),
            "named": [self._named.tolist(), self._named_before.tolist()],
            "records": recent.tolist(),
            "last": self._last[recent].tolist(),
            "points": [self._point, self._class_point],
        }

    def restore(self, note: dict[str, Any]) -> None:
        """Take over what `note` gave."""
        self.by_class = note["by_class"]
        self._sums = torch.tensor(note["sums"])
        self._before = np.array(note["before"])
        if "named" in note:  # a stage that an earlier version began goes on without
            named, before = note["named"]
            self._named, self._named_before = torch.tensor(named), np.array(before)
        self._last[_whole(note["records"])] = _whole(note["last"])
        self._point, self._class_point = note["points"]

    def _tell_classes(self, step: int) -> None:
        """One more entry of `by_class`, and a new beginning."""
        sums, self._before = self._before, np.zeros_like(self._before)
        named, self._named_before = self._named_before, np.zeros(self.classes)
        last = self._last[self._last >= (self._class_point + 1) * self.classes]
        self._class_point = step
        if not sums[_COUNT].any():
            return
        figures = {"share": sums[_COUNT] / sums[_COUNT].sum()} | _figures(sums)
        if self._truth is None:
            del figures["precision"]
        told: dict[str, Any] = {name: _listed(values) for name, values in figures.items()}
        if self._truth is not None:
            told["audited"] = torch.bincount(last % self.classes, minlength=self.classes).tolist()
        self.by_class.append({"step": step} | told | {"all": _together(sums, named, len(last))})


def _figures(sums: Floats) -> dict[str, Any]:
    """Figures of sums (rows, …), NaN where nothing was counted."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "coverage": sums[_WEIGHT] / sums[_COUNT],
            "agreement": sums[_AGREED] / sums[_COUNT],
            "entropy": sums[_ENTROPY] / sums[_COUNT],
            "precision": sums[_RIGHT] / sums[_AUDITED],
        }


def _together(sums: Floats, named: Floats, audited: int) -> dict[str, float]:
    """The figures of all classes, those of unknown truth left out; empty without a guess.

    `named` (classes,) is how often the student named each.
    """
    whole = sums.sum(1)
    if not whole[_COUNT]:
        return {}
    figures = {name: round(float(value), 6) for name, value in _figures(whole).items()}
    chance = float(sums[_COUNT] @ named / whole[_COUNT] ** 2)
    if chance < 1:
        agreed = float(whole[_AGREED] / whole[_COUNT])
        figures["kappa"] = round((agreed - chance) / (1 - chance), 6)
    if not whole[_AUDITED]:
        del figures["precision"]
        return figures
    return figures | {"audited": audited}


def _listed(values: Floats) -> list[float | None]:
    return [None if np.isnan(v) else round(float(v), 4) for v in values]


def _whole(values: list[int]) -> Tensor:
    return torch.tensor(values, dtype=torch.int64)
