"""The rules of the consistency table, asked once a round about all unlabelled records.

A rule cannot tell the difference: its batch is all unlabelled records, its step is the round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from leaven.core.errors import SettingError
from leaven.learn.choices.choice import PARTS, Accept, Align, Seen
from leaven.learn.choices.compose import in_words
from leaven.learn.wrapping import Index, Wrapping, dealt

__all__ = ["Judge", "check_rules"]

Floats = npt.NDArray[np.float64]

_MOST = 100_000_000  # numbers of a dense copy of sparse features
_FOLDS = 5  # of labelled records, where the wrapper has none


class Judge:
    """Which guesses of a round count, and how much.

    Weights of several `accept` are multiplied; of several `align` each takes what the one before
    gave, as in the loop. `repeats` says how often each record is guessed.

    Raises SettingError as `check_rules` does.
    """

    def __init__(
        self, wrapping: Wrapping, accept: Accept | Sequence[Accept],
        align: Align | Sequence[Align], rounds: int, repeats: int, folds: int,
    ) -> None:  # fmt: skip
        self.wrapping, self.folds = wrapping, folds or _FOLDS
        self.accept, self.align = _several(accept), _several(align)
        check_rules(self.accept, self.align, repeats)
        problem: Any = SimpleNamespace(
            classes=wrapping.classes,
            targets=wrapping.targets,
            train=wrapping.labelled,
            unlabelled=wrapping.unlabelled,
        )
        network: Any = None
        self._rules = (*self.align, *self.accept)
        self._states = [rule.state(problem, network) for rule in self._rules]
        self._now = _Now(wrapping, rounds)
        self._features = self._labelled_features = torch.zeros(0, 0)
        if any(rule.asks_features for rule in self._rules):
            self._features = _dense(wrapping, wrapping.unlabelled)
            self._labelled_features = _dense(wrapping, wrapping.labelled)

    @property
    def asks_labelled(self) -> bool:
        """Whether a rule compares with answers about labelled records."""
        return any(rule.asks_labelled for rule in self._rules)

    @property
    def moves(self) -> bool:
        """Whether the same guesses may be judged otherwise in another round."""
        return self._now.was_asked or any(state is not None for state in self._states)

    def ask_labelled(self, labels: Index, weights: Floats, *key: int) -> Floats:
        """(l, k) of each labelled record what a model says that was fitted without it.

        The only record of its class is in every fit: a model without it would not know the class.
        """
        rows, targets = self.wrapping.labelled, self.wrapping.targets
        shared = np.bincount(targets[rows], minlength=self.wrapping.classes)[targets[rows]] > 1
        fold = np.full(len(targets), -1)
        fold[rows[shared]] = dealt(targets[rows[shared]], self.folds, self.wrapping.draw(*key))
        said = np.zeros((len(rows), self.wrapping.classes))
        if shared.any():
            said = self.wrapping.ask_others(labels, weights, fold, *key)[rows]
        if not shared.all():
            every = self.wrapping.fit(labels, weights, *key)
            said[~shared] = self.wrapping.ask(every, rows[~shared])
        return said

    def __call__(
        self, number: int, guess: Floats, labelled: Floats | None = None,
        spread: Floats | None = None,
    ) -> tuple[Floats, Floats]:  # fmt: skip
        """(u, k) the guesses to learn and (u,) their weights, in round `number`, from 1.

        `guess` (u, k) and their deviations `spread` (u,), `labelled` (l, k) the answers about
        labelled records; None where no rule asks for them.
        """
        self._now.done = number - 1
        now: Any = self._now
        seen = given = Seen(
            now=now,
            guess=_tensor(guess),
            labelled=_tensor(np.zeros((0, guess.shape[1])) if labelled is None else labelled),
            output=_tensor(guess).clamp_min(1e-30).log(),
            features=self._features,
            labelled_features=self._labelled_features,
            spread=None if spread is None else _tensor(spread),
        )
        states = iter(self._states)
        for align in self.align:
            seen = replace(seen, guess=align(seen, next(states)))
            given = given if align.judges_only else seen
        weights = torch.ones(len(guess))
        for rule in self.accept:
            weights = weights * rule(seen, next(states))
        return given.guess.double().numpy(), weights.double().numpy()


class _Now:
    """What rules read of `Moment`, and whether any asked for the time."""

    def __init__(self, wrapping: Wrapping, total: int) -> None:
        self.total, self.done, self.was_asked = total, 0, False
        self.draw = SimpleNamespace(
            records=torch.arange(len(wrapping.unlabelled)),
            targets=torch.from_numpy(wrapping.targets[wrapping.labelled]),
        )

    @property
    def progress(self) -> float:
        """The share of the rounds that is done, in [0, 1)."""
        self.was_asked = True
        return self.done / self.total


def check_rules(
    accept: Accept | Sequence[Accept], align: Align | Sequence[Align], repeats: int
) -> None:
    """Raise SettingError for rules that no wrapper can answer.

    They ask a network, or how far several answers are apart where there is one.
    """
    for part, rules in (("accept", _several(accept)), ("align", _several(align))):
        for rule in rules:
            if rule.asks_network:
                serve = [name for name, kind in PARTS[part].items() if not _asks_network(kind)]
                raise SettingError(
                    part, f"one of: {', '.join(serve)}", in_words(rule),
                    "It asks a network, and here is none.",
                )  # fmt: skip
            if repeats < 2 and getattr(rule, "asks_spread", False):
                raise SettingError(
                    "repeats", f"2 or more, for {in_words(rule)} compares several answers", repeats
                )


def _several(choice: Any) -> tuple[Any, ...]:
    return tuple(choice) if isinstance(choice, tuple | list) else (choice,)


def _asks_network(kind: Any) -> bool:
    return bool(kind.asks_network)


def _dense(wrapping: Wrapping, rows: Index) -> Tensor:
    X = wrapping.X[rows]
    if isinstance(X, np.ndarray):
        return _tensor(X)
    if X.shape[0] * X.shape[1] > _MOST:
        raise SettingError(
            "accept", f"without neighbours for sparse features of {X.shape[1]} columns",
            "NeighboursAgree", "Reduce them first, for instance by TruncatedSVD.",
        )  # fmt: skip
    return _tensor(X.toarray())


def _tensor(values: npt.NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
