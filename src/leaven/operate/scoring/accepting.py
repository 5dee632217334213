"""Pseudo-labels that are accepted while records come, and the gate that pauses them.

A rule of the consistency table says which guesses are sure enough (`AtLeast`, `PerClass`,
`SelfAdaptive`); it looks at one record after the other, so nothing hangs on which came together.
Where a gate is set, a class is accepted only while the truths among the records show its precision,
see `leaven.label.trust.gate`: each truth of a record that the rule accepts is an audited answer.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from leaven.core.errors import RunError, SettingError
from leaven.label.trust.gate import Gate, Verdict
from leaven.learn.choices.accept import AtLeast, PerClass, SelfAdaptive
from leaven.learn.choices.choice import Accept, Seen
from leaven.learn.choices.compose import read_choice

__all__ = ["Acceptance"]

_RULES = (AtLeast, PerClass, SelfAdaptive)
_TOTAL = 10_000  # steps that a rule is told of: its running means hold the last thousand records
_BATCH = 100  # answers of a class that the gate takes for a batch
_GROWTH = 1.01  # of the answers, until the gate looks again

Floats = npt.NDArray[np.float64]


class Acceptance:
    """Which guesses become pseudo-labels.

    Parameters
    ----------
    rule : as a method's row prints it: "AtLeast(0.95)".
    classes : the names of the model's classes.
    gate : None accepts all that the rule does.
    hold : says why nothing may be accepted now, "" where it may; asked of each that would be.
        None lets all be.

    Raises SettingError for another rule.
    """

    def __init__(
        self,
        rule: str,
        classes: tuple[str, ...],
        gate: Gate | None = None,
        hold: Callable[[], str] | None = None,
    ) -> None:
        accept = read_choice("accept", rule)
        if not isinstance(accept, _RULES):
            names = ", ".join(kind.__name__ for kind in _RULES)
            raise SettingError("accept", f"one of {names}: a stream has no training", rule)
        self._rule: Accept = accept
        self._classes, self._gate, self._hold = classes, gate, hold
        #: Guesses that were held back, though rule and gate would have them.
        self.held = 0
        problem: Any = SimpleNamespace(classes=len(classes))
        network: Any = None
        self._memory: Any = accept.state(problem, network)
        self._moment: Any = SimpleNamespace(total=_TOTAL)
        self._named: list[int] = []
        self._right: list[bool] = []
        self._looked = 0
        self._verdicts: list[Verdict] = [] if gate is None else gate.judge([], [], names=classes)

    def __call__(self, answer: Floats, truth: int | None) -> bool:
        """Whether a record's guess, the likeliest of (k,), is accepted; a truth is never one.

        Parameters
        ----------
        truth : the position of its class, where it is known: it then audits the rule.
        """
        guess = torch.from_numpy(np.asarray(answer, np.float32))[None]
        nothing = torch.zeros(0, len(answer))
        seen = Seen(self._moment, guess, nothing, guess.clamp_min(1e-30).log(), nothing, nothing)
        sure = bool(self._rule(seen, self._memory).item() > 0)
        if not sure:
            return False
        named = int(answer.argmax())
        if truth is not None:
            self._audit(named, truth)
            return False
        if self._gate is not None and not self._verdicts[named].accepts:
            return False
        held = self._hold is not None and bool(self._hold())
        self.held += held
        return not held

    def told(self) -> list[dict[str, Any]]:
        """What the gate says of each class; empty without one."""
        return [
            {"class": name, "state": one.state, "n": one.n, "right": one.right, "low": one.low}
            | {"sentence": one.sentence}
            for name, one in zip(self._classes, self._verdicts, strict=False)
        ]

    def state(self) -> dict[str, Any]:
        """All of it, as plain JSON."""
        memory = {} if self._memory is None else self._memory.state_dict()
        return {
            "memory": {name: value.tolist() for name, value in memory.items()},
            "named": self._named,
            "right": [int(one) for one in self._right],
            "held": self.held,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """As it was when `state` was taken; RunError for one that is damaged or another rule's."""
        try:
            held = {name: torch.tensor(value) for name, value in state["memory"].items()}
            if self._memory is not None:
                self._memory.load_state_dict(held)
            self._named = [int(one) for one in state["named"]]
            self._right = [bool(one) for one in state["right"]]
            self.held = int(state.get("held", 0))  # states of before have none
            if len(self._named) != len(self._right):
                raise ValueError("its answers do not fit together")
            if self._named and not 0 <= min(self._named) <= max(self._named) < len(self._classes):
                raise ValueError("its classes are others")
        except (KeyError, TypeError, ValueError, RuntimeError) as broken:
            raise RunError(
                f"The state of the acceptance cannot be used: {broken}. Give an empty folder."
            ) from broken
        self._look()

    def _audit(self, named: int, truth: int) -> None:
        self._named.append(named)
        self._right.append(named == truth)
        if len(self._named) >= self._looked * _GROWTH:
            self._look()

    def _look(self) -> None:
        self._looked = len(self._named)
        if self._gate is None:
            return
        named = np.array(self._named, np.int64)
        batches = np.zeros(len(named), np.int64)
        for one in np.unique(named):
            here = named == one
            batches[here] = np.arange(here.sum()) // _BATCH
        self._verdicts = self._gate.judge(named, self._right, batches, self._classes)
