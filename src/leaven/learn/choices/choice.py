"""What a choice is, what it may look at, and the registries in which choices stand by name.

Shapes: `l` labelled and `u` unlabelled records of the step, `k` classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.core.registry import Registry
from leaven.learn.method import Problem
from leaven.learn.network import Network
from leaven.learn.objective import Moment

__all__ = [
    "PARTS",
    "Accept",
    "Align",
    "Choice",
    "Distance",
    "Fairness",
    "Ramp",
    "Seen",
    "Target",
    "Teacher",
    "part",
    "within",
]

C = TypeVar("C", bound=type)

#: One registry for each part of a row: the classes that may stand there, by name.
PARTS: dict[str, Registry[type]] = {
    name: Registry(name, "leaven.learn.choices", group="leaven.choices")
    for name in (
        *("teacher", "align", "target", "accept", "distance", "ramp", "fairness"),
        *("views", "projector", "predictor", "branch", "agreement"),
    )
}


def part(name: str) -> Callable[[C], C]:
    """A decorator: the class may stand in this part of a row, under its own name."""

    def keep(cls: C) -> C:
        PARTS[name].add(cls.__name__, cls)
        return cls

    return keep


def within(name: str, value: float, low: float, high: float) -> None:
    """Raise SettingError unless `low` ≤ `value` ≤ `high`."""
    if not low <= value <= high:
        raise SettingError(name, f"a number from {low:g} to {high:g}", value)


@dataclass(frozen=True)
class Seen:
    """What is known in a step when the unlabelled records are to be judged; without gradient.

    `guess` (u, k) are the teacher's probabilities, `labelled` (l, k) the student's of weak views
    of the labelled records. `output` (u, k) are the student's logits and `features` (u, width),
    `labelled_features` (l, width) what heads were given: the teacher's and the student's.
    `known` (u,) is zero where the teacher has no answer yet; `spread` (u,) is the standard
    deviation of a repeated answer, of the probability of the class it names.
    """

    now: Moment
    guess: Tensor
    labelled: Tensor
    output: Tensor
    features: Tensor
    labelled_features: Tensor
    known: Tensor | None = None
    spread: Tensor | None = None


class Choice:
    """A part of a row: a small frozen dataclass. What it must remember is in its state."""

    #: Whether it asks the network itself, so that it serves no method without one.
    asks_network: ClassVar[bool] = False
    #: Whether it reads `Seen.labelled`.
    asks_labelled: ClassVar[bool] = False
    #: Whether it reads `Seen.features`.
    asks_features: ClassVar[bool] = False

    def state(self, problem: Problem, network: Network) -> nn.Module | None:
        """Buffers that it updates when it is called, or None; they are in the checkpoint."""
        return None


class Teacher(Choice, ABC):
    """Whose answers teach."""

    #: Whether it answers several times, so that `Seen.spread` is known.
    repeats: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, seen: Seen, state: Any) -> Seen:
        """`seen` with the teacher's guess; it comes with the student's own."""


class Align(Choice, ABC):
    """What is done to the guesses of a batch as a whole."""

    @abstractmethod
    def __call__(self, seen: Seen, state: Any) -> Tensor:
        """(u, k) other probabilities."""

    @property
    def judges_only(self) -> bool:
        """Whether only the acceptance is judged by the aligned guesses, and the target is not."""
        return False


class Target(Protocol):
    """What is made of a guess: (u, k) → (u, k)."""

    def __call__(self, guess: Tensor) -> Tensor:
        """The probabilities to learn."""


class Accept(Choice, ABC):
    """Which guesses count, and how much."""

    #: Whether it needs a teacher that answers several times.
    asks_spread: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, seen: Seen, state: Any) -> Tensor:
        """(u,) weights."""


class Distance(Protocol):
    """How far the student's output (u, k) on its `view` is from the target (u, k): (u,)."""

    @property
    def view(self) -> str:
        """`weak` or `strong`."""

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """(u,) the loss of each record."""


class Fairness(Choice, ABC):
    """A further term against a collapse into few classes."""

    @abstractmethod
    def __call__(self, seen: Seen, output: Tensor, weights: Tensor, state: Any) -> Tensor:
        """A scalar; `output` (u, k) are the student's logits, `weights` (u,) as accepted."""


class Ramp(Protocol):
    """How the unlabelled weight grows."""

    def __call__(self, progress: float) -> float:
        """The factor at this share of the training."""
