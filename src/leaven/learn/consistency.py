"""The engine of the consistency methods: most of the field's papers are a row of its choices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.learn.choices.choice import (
    Accept,
    Align,
    Distance,
    Fairness,
    Ramp,
    Seen,
    Target,
    Teacher,
)
from leaven.learn.choices.compose import in_words
from leaven.learn.method import Problem
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment, Objective, PseudoLabels, concatenate

__all__ = ["Consistency"]


@dataclass(frozen=True)
class Consistency(Objective):
    """Supervised loss on labelled records, plus agreement with a teacher on unlabelled ones.

        loss = mean_l CE(f(weak(x_l)), y_l)
             + weight · ramp(t) · mean_u accept(q_u) · distance(f(view(x_u)), target(q_u))
             + fairness

    where q_u are the teacher's aligned probabilities. The mean over unlabelled records counts the
    rejected ones, as in FixMatch (Sohn et al. 2020, eq. 4). Of several choices to align, each
    takes what the one before gave; of several to accept, the weights are multiplied. Without a
    teacher only the first term is left: the supervised baseline is the same code on the same
    batches.
    """

    teacher: Teacher | None = None
    align: Align | tuple[Align, ...] = ()
    target: Target | None = None
    accept: Accept | tuple[Accept, ...] = ()
    distance: Distance | None = None
    weight: float = 1.0
    ramp: Ramp | None = None
    fairness: Fairness | None = None

    def __post_init__(self) -> None:
        if self.teacher is not None and not self.teacher.repeats:
            for rule in _several(self.accept):
                if rule.asks_spread:
                    raise SettingError(
                        "objective.teacher",
                        f"one that answers several times, for {type(rule).__name__} asks how far "
                        "its answers are apart: RepeatedTeacher, CommitteeTeacher, SnapshotTeacher",
                        in_words(self.teacher),
                    )

    @property
    def unlabelled(self) -> bool:  # type: ignore[override]
        """A row without a teacher is supervised."""
        return self.teacher is not None

    @property
    def row(self) -> dict[str, str] | None:
        """The choices in words, for tables."""
        return {f.name: in_words(getattr(self, f.name)) for f in fields(self)}

    def state(self, problem: Problem, network: Network) -> nn.Module | None:
        """The states of the choices that have one, by part and place."""
        parts = {
            _place(part, number): state
            for part in ("teacher", "align", "accept", "fairness")
            for number, choice in enumerate(_several(getattr(self, part)))
            if (state := choice.state(problem, network)) is not None
        }
        return nn.ModuleDict(parts) if parts else None

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        weight = self.weight * (self.ramp(now.progress) if self.ramp else 1.0)
        labelled, targets, task = now.draw.labelled(), now.draw.targets, now.task
        if self.teacher is None or weight == 0:
            return Loss({"supervised": task.loss(now.network(labelled), targets).mean()})
        assert self.target is not None and self.distance is not None
        # Labelled and student views share one pass; the teacher's needs no gradient, so it has
        # one of its own, a third as dear.
        views = concatenate(labelled, now.draw.unlabelled(self.distance.view))
        both, features = now.network(views, features=True)
        supervised, output = both[: len(targets)], both[len(targets) :]
        given = self._guess(_seen(now, supervised, output, features.detach()))
        judged = given
        for number, align in enumerate(_several(self.align)):
            judged = replace(judged, guess=align(judged, _state(now, "align", number)))
            given = given if align.judges_only else judged
        accepted = self._weights(judged)
        distance = self.distance(output, self.target(given.guess))
        terms = {
            "supervised": task.loss(supervised, targets).mean(),
            "unlabelled": weight * (accepted * distance).mean(),
        }
        if self.fairness is not None:
            terms["fairness"] = self.fairness(judged, output, accepted, _state(now, "fairness"))
        taught = PseudoLabels(now.draw.records, given.guess, accepted, output.detach().argmax(-1))
        return Loss(terms, taught=taught)

    def _guess(self, seen: Seen) -> Seen:
        assert self.teacher is not None
        return self.teacher(seen, _state(seen.now, "teacher"))

    def _weights(self, seen: Seen) -> Tensor:
        """(u,) the product of all acceptances; zero where the teacher has no answer yet."""
        weights = seen.guess.new_ones(len(seen.guess)) if seen.known is None else seen.known
        for number, rule in enumerate(_several(self.accept)):
            weights = weights * rule(seen, _state(seen.now, "accept", number))
        return weights


def _seen(now: Moment, supervised: Tensor, output: Tensor, features: Tensor) -> Seen:
    """What the choices may look at, with the student's own answers as the guess."""
    labelled, own = supervised.detach(), output.detach()
    return Seen(
        now=now,
        guess=now.task.probabilities(own),
        labelled=now.task.probabilities(labelled),
        output=own,
        features=features[len(labelled) :],
        labelled_features=features[: len(labelled)],
    )


def _several(choice: Any) -> Sequence[Any]:
    """The choices of one part."""
    if choice is None:
        return ()
    return choice if isinstance(choice, tuple) else (choice,)


def _place(part: str, number: int = 0) -> str:
    return f"{part}-{number}"


def _state(now: Moment, part: str, number: int = 0) -> Any:
    """The state of one choice, None where it has none."""
    place = _place(part, number)
    return now.state[place] if now.state is not None and place in now.state else None
