"""Watching a pretraining: what its features are worth as they come about, and a collapse alarm.

The watch looks at features of a fixed sample of records at some twenty points of the training. A
loss says little of features: the collapse in which all records get the same ones has the lowest
loss of all.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.data.dataset import Index
from leaven.learn.choices.compose import in_words
from leaven.learn.encoder import Encoder, encode
from leaven.learn.joint_embedding import JointEmbedding
from leaven.learn.method import Problem, Step
from leaven.learn.pretext import PretextObjective
from leaven.learn.probes import cluster_usage, linear_probe, neighbour_probe, rank, spread

__all__ = ["Alarm", "Collapsed", "Watch"]

_POINTS = 20
_BEGIN = 0.08  # share of the training in which figures may be anything
_FLAT = 0.05  # projections with less spread than this are all alike
_SHRUNK = 0.1  # of the untrained encoder's spread
_NARROW = 0.1  # of the untrained encoder's rank


@dataclass(frozen=True)
class Alarm:
    """What went wrong, why, and the settings with which to begin again, empty where there are none.

    `kind` is `diverged`, `collapsed`, `narrow` or `idle`; the first two end a training.
    """

    kind: str
    step: int
    cause: str
    advice: str
    mended: dict[str, Any] = field(default_factory=dict)


class Collapsed(Exception):
    """Raised by a watch to end a training that learns nothing more."""

    def __init__(self, alarm: Alarm) -> None:
        super().__init__(alarm.cause)
        self.alarm = alarm


@dataclass
class Watch:
    """Follows a pretraining, see `follow`; `points` are what it saw, the first almost untrained.

    `sample` are the records looked at; `known` (m,) those with a label that may be asked about
    and `labels` (m,) their classes.
    """

    problem: Problem
    objective: PretextObjective
    sample: Index
    known: Index
    labels: npt.NDArray[np.int64]
    points: list[dict[str, float]] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def watch(self, step: Step) -> None:
        """Look at the encoder at every twentieth of the training; may raise Collapsed."""
        due = step.number * _POINTS // step.total > (step.number - 1) * _POINTS // step.total
        if not due and step.number > 1:
            return
        assert step.state is not None
        loss = sum(float(term) for term in step.terms.values())
        if not math.isfinite(loss):
            raise Collapsed(self._diverged(step.number))
        figures = {name: float(value) for name, value in step.figures.items()}
        seen = self.look(step.state.network.encoder) | {"step": step.number, "loss": loss}
        if "spread" in figures:
            seen["projected"] = round(figures["spread"], 5)
        self.points.append(seen)
        self.losses.append(loss)
        if step.number > _BEGIN * step.total:
            self._judge(step)

    def look(self, encoder: Encoder, linear: bool = False) -> dict[str, float]:
        """The figures of an encoder as it is; with `linear` those of a linear probe as well."""
        plain = self.problem.views.plain
        features = encode(encoder, self.problem.arrays, self.sample, plain)
        if not np.isfinite(features).all():
            return {"rank": 1.0, "spread": 0.0, "usage": 0.0}
        told = {
            "rank": round(rank(features), 3),
            "spread": round(spread(features), 5),
            "usage": round(cluster_usage(features, self.problem.seed), 4),
        }
        if len(self.known) > 2 and len(np.unique(self.labels)) > 1:
            own = encode(encoder, self.problem.arrays, self.known, plain)
            answers = {"neighbours": neighbour_probe(own, self.labels)}
            if linear:
                answers["linear"] = linear_probe(own, self.labels, self.problem.seed)
            told |= {n: round(float((a == self.labels).mean()), 5) for n, a in answers.items()}
        return told

    def point(self, step: int, total: int) -> dict[str, float]:
        """The last figures, for the history and the progress line."""
        told = self.points[-1] if self.points else {}
        return {name: told[name] for name in ("rank", "neighbours") if name in told}

    @property
    def note(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "points": self.points,
            "alarms": [asdict(alarm) for alarm in self.alarms],
            "losses": self.losses,
        }

    def restore(self, note: dict[str, Any]) -> None:
        """Take over what `note` gave."""
        self.points, self.losses = note["points"], note["losses"]
        self.alarms = [Alarm(**alarm) for alarm in note["alarms"]]

    def _judge(self, step: Step) -> None:
        first, now = self.points[0], self.points[-1]
        flat = now.get("projected", 1.0) < _FLAT or now["spread"] < _SHRUNK * first["spread"]
        if flat:
            raise Collapsed(self._collapsed(step.number))
        told = {alarm.kind for alarm in self.alarms}
        if now["rank"] < max(2.0, _NARROW * first["rank"]) and "narrow" not in told:
            self.alarms.append(self._narrow(step.number, first["rank"], now["rank"]))
        if step.number == step.total and "idle" not in told and self._idle():
            self.alarms.append(
                Alarm(
                    "idle",
                    step.number,
                    f"the loss went from {self.losses[0]:.3g} to {self.losses[-1]:.3g} only: "
                    "little was learnt",
                    "Give a longer --budget, or a higher training.rate.",
                )
            )

    def _idle(self) -> bool:
        last = float(np.mean(self.losses[-3:]))
        return len(self.losses) > 6 and last > self.losses[0] - 0.01 * abs(self.losses[0])

    def _slower(self) -> dict[str, Any]:
        return {"training.rate": self.problem.training.rate / 4}

    def _diverged(self, step: int) -> Alarm:
        rate = self.problem.training.rate
        return Alarm(
            "diverged",
            step,
            f"the loss is no finite number: the rate of {rate:g} is too high",
            "Begin again with a quarter of it.",
            self._slower(),
        )

    def _collapsed(self, step: int) -> Alarm:
        """Who is to blame can be read from the row."""
        objective = self.objective
        if isinstance(objective, JointEmbedding) and not objective.agreement.repels:
            row = in_words(objective.agreement)
            if objective.branch.learns:
                return Alarm(
                    "collapsed",
                    step,
                    f"all records get the same projection: {row} asks for agreement only, and with "
                    f"the branch {in_words(objective.branch)} both sides may learn to say the same "
                    "of everything",
                    "Begin again with a side that takes no gradient, and a predictor on the other.",
                    {"branch": "Stopped", "predictor": "Perceptron"},
                )
            if objective.predictor is None:
                return Alarm(
                    "collapsed",
                    step,
                    f"all records get the same projection: {row} asks for agreement only, and no "
                    "predictor stands between the two sides",
                    "Begin again with a predictor.",
                    {"predictor": "Perceptron"},
                )
        return Alarm(
            "collapsed",
            step,
            "all records get nearly the same features, though the row has what should keep them "
            f"apart: the rate of {self.problem.training.rate:g} is too high for it",
            "Begin again with a quarter of it.",
            self._slower(),
        )

    def _narrow(self, step: int, before: float, now: float) -> Alarm:
        return Alarm(
            "narrow",
            step,
            f"the features use {now:.1f} directions, the untrained encoder's {before:.1f}: most of "
            "what tells records apart is given up",
            "Compare the probes below; vicreg and barlow-twins keep directions apart by design.",
        )


def mended(problem: Problem, alarm: Alarm) -> Problem:
    """The problem with the settings that an alarm asks for."""
    training = {
        name.removeprefix("training."): value
        for name, value in alarm.mended.items()
        if name.startswith("training.")
    }
    own = {n: v for n, v in alarm.mended.items() if not n.startswith("training.")}
    return replace(
        problem,
        settings=problem.settings | own,
        training=problem.training.model_copy(update=training),
    )
