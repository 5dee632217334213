"""The engine of the consistency methods: most of the field's papers are a row of its choices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from leaven.learn.choices import AveragedTeacher, Distance, SelfTeacher
from leaven.learn.objective import Loss, Moment, Objective, concatenate

__all__ = ["Consistency"]


@dataclass(frozen=True)
class Consistency(Objective):
    """Supervised loss on labelled records, plus agreement with a teacher on unlabelled ones.

        loss = mean_l CE(f(weak(x_l)), y_l)
             + weight · ramp(t) · mean_u accept(q_u) · distance(f(view(x_u)), target(q_u))

    where q_u are the teacher's probabilities. The mean over unlabelled records counts the
    rejected ones, as in FixMatch (Sohn et al. 2020, eq. 4). Without a teacher only the first
    term is left: the supervised baseline is the same code on the same batches.
    """

    teacher: SelfTeacher | AveragedTeacher | None = None
    target: Callable[[Tensor], Tensor] | None = None
    accept: Callable[[Tensor], Tensor] | None = None
    distance: Distance | None = None
    weight: float = 1.0
    ramp: Callable[[float], float] | None = None

    @property
    def unlabelled(self) -> bool:  # type: ignore[override]
        """A row without a teacher is supervised."""
        return self.teacher is not None

    @property
    def row(self) -> dict[str, str] | None:
        """The choices in words, for tables."""
        return {
            f.name: "–" if (value := getattr(self, f.name)) is None else _name(value)
            for f in fields(self)
        }

    def loss(self, now: Moment) -> Loss:
        """See the class; `agreement` is how often student and teacher name the same class."""
        weight = self.weight * (self.ramp(now.progress) if self.ramp else 1.0)
        labelled, targets, task = now.draw.labelled(), now.draw.targets, now.task
        if self.teacher is None or weight == 0:
            return Loss({"supervised": task.loss(now.network(labelled), targets).mean()})
        assert self.target is not None and self.accept is not None and self.distance is not None
        student = now.draw.unlabelled(self.distance.view)
        guess = self._guess(self.teacher, now)
        # Labelled and student views share one pass; the teacher's needs no gradient, so it has
        # one of its own, a third as dear.
        output = now.network(concatenate(labelled, student))
        supervised, output = output[: len(targets)], output[len(targets) :]
        if guess is None:
            guess = task.probabilities(output.detach())
        accepted = self.accept(guess)
        distance = self.distance(output, self.target(guess))
        return Loss(
            {
                "supervised": task.loss(supervised, targets).mean(),
                "unlabelled": weight * (accepted * distance).mean(),
            },
            {
                "coverage": accepted.mean(),
                "agreement": (guess.argmax(-1) == output.argmax(-1)).float().mean(),
            },
        )

    @torch.no_grad()
    def _guess(self, teacher: SelfTeacher | AveragedTeacher, now: Moment) -> Tensor | None:
        """(u, k) the teacher's probabilities; None where the student's own pass serves."""
        if teacher.view == "same":
            return None
        network = now.average if isinstance(teacher, AveragedTeacher) else now.network
        return now.task.probabilities(network(now.draw.unlabelled(teacher.view)))


def _name(choice: object) -> str:
    if isinstance(choice, float):
        return f"{choice:g}"
    settings = ", ".join(f"{getattr(choice, f.name)}" for f in fields(choice))  # type: ignore[arg-type]
    name = type(choice).__name__
    return f"{name}({settings})" if settings else name
