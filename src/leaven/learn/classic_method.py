"""What the methods on frozen features share: encode all records once, then fit a head."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from leaven.data.modality import Modality
from leaven.learn.choices.compose import composed
from leaven.learn.encoder import Encoder, encode, sample
from leaven.learn.graphs.cells import Rows
from leaven.learn.graphs.neighbours import nearest_in_order
from leaven.learn.head import Head
from leaven.learn.method import Method, Problem, Step
from leaven.learn.network import Network
from leaven.learn.objective import PseudoLabels

__all__ = ["ClassicMethod", "Frozen", "unit"]

Floats = npt.NDArray[np.float32]
#: An order of the records, each one's nearest others in it, and their squared distances.
Near = tuple[Rows, Rows, Floats]


@dataclass(frozen=True)
class Frozen:
    """A problem on the features of a frozen encoder.

    `features` (n, width) of the labelled records first, then of the unlabelled ones that are
    read; `targets` (n,) classes, -1 where unlabelled; `places` (n - labelled,) says which of the
    problem's unlabelled records the latter are. `weights` (labelled,) is how much each labelled
    record counts, one by default, and `modality` what the records are. Neighbours are looked for
    once and kept in `near`, for this problem and its parts; `rows` (n,) says where a part's records
    stand in the whole. `votes` (n, rules) are what rules say of the records, see `Problem`. The
    features of one kind stand in `columns`, see `Encoder.columns`; where these are those of one
    kind only, `block` names it. `names` (classes, width) are features of what the classes are
    called, see `Problem`.
    """

    features: Floats
    targets: npt.NDArray[np.int64]
    classes: int
    seed: int
    places: npt.NDArray[np.int64]
    weights: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    rows: npt.NDArray[np.int64] | None = field(default=None, repr=False)
    modality: str = ""
    votes: npt.NDArray[np.int16] | None = field(default=None, repr=False, compare=False)
    columns: Mapping[str, tuple[int, int]] = field(default_factory=dict, repr=False)
    block: str = ""
    names: Floats | None = field(default=None, repr=False, compare=False)
    near: dict[tuple[str, int, bool], Near] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not len(self.weights):
            object.__setattr__(self, "weights", np.ones(self.labelled, np.float32))

    @property
    def labelled(self) -> int:
        """How many records, the first ones, have a label."""
        return len(self.targets) - len(self.places)

    def without(self, held: npt.NDArray[np.int64]) -> Frozen:
        """The same problem where the labelled records at `held` have lost their labels.

        They stand behind the labelled records that are left, before the unlabelled ones. What rules
        say of them is gone too: of new records nobody asks the rules.
        """
        left = np.setdiff1d(np.arange(self.labelled), held)
        others = np.concatenate([held, np.arange(self.labelled, len(self.targets))])
        part = self._part(left, others)
        if part.votes is not None:
            part.votes[len(left) : len(left) + len(held)] = -1  # a copy, as all of a part is
        return part

    def of(self, block: str) -> Frozen:
        """The same problem on one block of the features, on all where they are not in blocks.

        KeyError for a block that there is not.
        """
        if not self.columns:
            return self
        first, end = self.columns[block]
        names = None if self.names is None else self.names[:, first:end]
        features = self.features[:, first:end]
        return replace(self, features=features, names=names, columns={}, block=block)

    def with_names(self) -> Frozen:
        """The same problem with what each class is called as one more labelled record of it.

        These stand behind the labelled records; neighbours are looked for anew. Where the classes
        are called nothing that can be read it is this problem.
        """
        if self.names is None:
            return self
        count = len(self.names)
        behind = [self.labelled] * count
        votes = None if self.votes is None else np.insert(self.votes, behind, -1, axis=0)
        return replace(
            self,
            features=np.insert(self.features, behind, self.names, axis=0),
            targets=np.insert(self.targets, behind, np.arange(count)),
            weights=np.append(self.weights, np.ones(count, np.float32)),
            votes=votes,
            names=None,
            rows=None,
            near={},
        )

    def among(self, taught: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> Frozen:
        """A smaller problem: labelled records at `taught`, unlabelled ones at `others`.

        Both are positions in `features`; of records at `others` the labels are gone. Neighbours
        are looked for anew.
        """
        part = self._part(taught, others)
        return replace(part, rows=None, near={})

    def _part(self, taught: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> Frozen:
        rows = np.concatenate([taught, others])
        targets = np.full(len(rows), -1, np.int64)
        targets[: len(taught)] = self.targets[taught]
        return replace(
            self,
            features=self.features[rows],
            targets=targets,
            places=np.arange(len(others)),
            weights=self.weights[taught],
            votes=None if self.votes is None else self.votes[rows],
            rows=rows if self.rows is None else self.rows[rows],
        )

    def nearest(self, k: int, angles: bool) -> Near:
        """`nearest_in_order` of the features, or of these brought to length one for `angles`."""
        if (self.block, k, angles) not in self.near:
            whole = self.features
            if self.rows is not None:
                whole = np.empty_like(self.features)
                whole[self.rows] = self.features
            for other in [key for key in self.near if key[0] == self.block]:
                del self.near[other]  # one graph of a block at a time: it may be large
            told = unit(whole) if angles else whole
            self.near[self.block, k, angles] = nearest_in_order(told, k, self.seed)
        order, position, distance = self.near[self.block, k, angles]
        if self.rows is None:
            return order, position, distance
        own = np.empty_like(order)
        own[self.rows] = np.arange(len(order), dtype=order.dtype)
        return own[order], position, distance

    def taught(
        self, guess: npt.NDArray[np.floating[Any]], weight: npt.NDArray[np.floating[Any]],
        answers: npt.NDArray[np.int64],
    ) -> PseudoLabels:  # fmt: skip
        """For the log: what the unlabelled records were taught.

        `guess` (u, k) probabilities, `weight` (u,) with which each counted, `answers` (u,) what
        the model that was taught names.
        """
        return PseudoLabels(
            torch.from_numpy(self.places),
            torch.from_numpy(np.asarray(guess, np.float32)),
            torch.from_numpy(np.asarray(weight, np.float32)),
            torch.from_numpy(np.asarray(answers, np.int64)),
        )


def unit(features: Floats) -> Floats:
    """Features brought to length one; zeros stay."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    brought: Floats = (features / np.where(length > 0, length, 1)).astype(np.float32)
    return brought


class ClassicMethod(Method):
    """A method over the features of a frozen encoder.

    Subclasses are frozen dataclasses: their fields are the settings that a recipe may change.
    """

    baseline = "logistic"
    stepped = False
    #: Records fitted on at most; of more unlabelled ones a sample is drawn.
    most: ClassVar[int] = 30_000

    def default_encoder(self, modality: Modality) -> str:
        """The modality's frozen one."""
        return modality.features

    def suits(self, known: Frozen) -> bool:
        """Whether it can be asked about such records, with what is installed."""
        return True

    @abstractmethod
    def learn(self, known: Frozen) -> Generator[Step, None, Head]:
        """Fit a head, and yield a step for each round that it takes."""

    def frozen(self, problem: Problem) -> tuple[Encoder, Frozen]:
        """The encoder, and the problem on its features as this method reads it."""
        encoder = problem.build_encoder().requires_grad_(False).eval()
        places = np.zeros(0, np.int64)
        if self.unlabelled:
            room = max(self.most - len(problem.train), 0)
            places = sample(np.arange(len(problem.unlabelled)), room, problem.seed)
        used = np.concatenate([problem.train, problem.unlabelled[places]])
        features = encode(encoder, problem.arrays, used, problem.views.plain)
        targets: Any = np.full(len(used), -1, np.int64)
        targets[: len(problem.train)] = problem.targets[problem.train]
        votes = None if problem.votes is None else problem.votes[used]
        names = None
        if problem.names is not None:
            every = np.arange(len(problem.names))
            names = encode(encoder, problem.names, every, problem.views.plain)
        known = Frozen(
            features, targets, problem.classes, problem.seed, places, modality=problem.modality,
            votes=votes, columns=encoder.columns, names=names,
        )  # fmt: skip
        return encoder, known

    def fit(
        self, problem: Problem, checkpoint: Path | None = None
    ) -> Generator[Step, None, Network]:
        """Encode once, and learn. A baseline follows the settings that it shares."""
        encoder, known = self.frozen(problem)
        known = known.with_names() if self.reads_names else known
        head = yield from composed(self, self._own(problem.settings)).learn(known)
        return Network(encoder, head).eval()

    def check(self, settings: Mapping[str, Any]) -> None:
        """Compose once."""
        composed(self, settings)

    def _own(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """All settings; of a baseline those that are its own: a kernel, a penalty."""
        if self.unlabelled:
            return settings
        known = {f.name for f in fields(self)} if is_dataclass(self) else ()
        return {name: value for name, value in settings.items() if name in known}
