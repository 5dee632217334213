"""TS2Vec: each step of a series is known again in another crop, at every scale of time.

Yue et al. 2022, arXiv:2106.10466, section 3: two crops that overlap, steps of both hidden by
chance, and on the overlap two contrasts: a step against the same step of other series (instance,
eq. 2) and against other steps of the same series (temporal, eq. 1), halved in length by maximum
pooling until one step is left (algorithm 1), the mean over all levels.

Departures: steps are hidden as they enter, with their flags, so that what is hidden is not taken
for a nought, and not behind the first layer; steps beyond a series' end count neither as a pair nor
as others; crops are at most `longest` steps, since the temporal contrast grows with their square;
no dropout on the representation.

Use it for series whose label shows in how they run, with a few hundred unlabelled ones or more, and
where a label is wanted for each step as well: the states are the representation.

It fails where series of different classes are alike but for one event, or where the batch holds
many copies of one pattern, which are then told apart all the same; measured on the UCR archive,
frozen random convolutions (`rocket`) are often as good, and cheaper.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from leaven.learn.encoder import SequenceEncoder
from leaven.learn.objective import Loss, Moment
from leaven.learn.pretext import PRETEXTS, Pretext, PretextObjective

__all__ = ["TS2Vec", "hierarchical"]


@dataclass(frozen=True)
class TS2Vec(PretextObjective):
    """`hidden` is the share of steps that each crop does not show, `instance` that of eq. 2.

    `longest` is how many steps a crop has at most.
    """

    hidden: float = 0.5
    instance: float = 0.5
    longest: int = 256

    def loss(self, now: Moment) -> Loss:
        """The hierarchical contrast over the overlap of two crops."""
        encoder = now.network.encoder
        assert isinstance(encoder, SequenceEncoder)
        entered = now.network.enter(now.draw.unlabelled("plain"))
        one, other, overlap = _crops(entered, now.draw.rng, self.longest)
        with now.precision():
            first = encoder.states(_hidden(one, self.hidden, now.draw.rng))[:, -overlap:]
            second = encoder.states(_hidden(other, self.hidden, now.draw.rng))[:, :overlap]
        there = other[:, :overlap, -1] > 0
        levels = hierarchical(first.float(), second.float(), there)
        instance = torch.stack([level for level, _ in levels]).sum() / len(levels)
        temporal = torch.stack([level for _, level in levels]).sum() / len(levels)
        return Loss(
            {"instance": self.instance * instance, "temporal": (1 - self.instance) * temporal}
        )


def hierarchical(first: Tensor, second: Tensor, there: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The instance and the temporal contrast at each level, from all steps down to one.

    `first` and `second` (n, steps, width) are the states of the same steps, `there` (n, steps)
    whether a step is one. At the last level, of one step, there is nothing temporal: 0.
    """
    levels = []
    while True:
        pairs = torch.stack([first, second])
        instance = _contrast(pairs.permute(2, 0, 1, 3), there.T)
        if first.shape[1] == 1:
            levels.append((instance, instance.new_zeros(())))
            return levels
        levels.append((instance, _contrast(pairs.transpose(0, 1), there)))
        first, second = (_halved(states, there) for states in (first, second))
        there = F.max_pool1d(there.float(), 2) > 0


def _contrast(pairs: Tensor, there: Tensor) -> Tensor:
    """Mean over sets of the cross-entropy of finding one's pair among all others of the set.

    `pairs` (sets, 2, m, width) holds m things twice, `there` (sets, m) which of them count. A
    thing that is alone in its set has only its pair to find, and costs nothing.
    """
    sets, _, m, _ = pairs.shape
    things, counted = pairs.flatten(1, 2), there.repeat(1, 2)
    alike = things @ things.mT
    own = torch.eye(2 * m, dtype=torch.bool, device=pairs.device)
    alike = alike.masked_fill(own | ~counted[:, None], float("-inf"))
    partner = (torch.arange(2 * m, device=pairs.device) + m) % (2 * m)
    # A row that does not count has no partner that is there: its cost is dropped, not infinite.
    alike = torch.where(counted[..., None], alike, 0.0)
    costs = F.cross_entropy(alike.flatten(0, 1), partner.repeat(sets), reduction="none").view(
        sets, 2 * m
    )
    return (costs * counted).sum() / counted.sum().clamp_min(1)


def _halved(states: Tensor, there: Tensor) -> Tensor:
    """(n, steps // 2, width) the larger state of two steps, of those that are there."""
    lowest = torch.finfo(states.dtype).min
    pooled = F.max_pool1d(
        states.masked_fill(~there[..., None], lowest).transpose(1, 2), 2
    ).transpose(1, 2)
    return torch.where(pooled > lowest / 2, pooled, 0.0)


def _crops(entered: Tensor, rng: torch.Generator, longest: int) -> tuple[Tensor, Tensor, int]:
    """Two crops (n, steps, …) and how many steps they share: the last of one, the first of other.

    The lengths are drawn for the batch, where the crops begin for each record.
    """
    n, whole, _ = entered.shape
    size = min(whole, longest)
    shared = _between(min(2, size), size, rng)
    left = _between(0, size - shared, rng)
    ahead, behind = _between(0, left, rng), _between(0, size - shared - left, rng)
    room = whole - (ahead + shared + behind)
    begin = (torch.rand((n, 1), generator=rng, device=rng.device) * (room + 1)).long()
    begin = begin.clamp_(max=room)
    one = _taken(entered, begin, ahead + shared)
    return one, _taken(entered, begin + ahead, shared + behind), shared


def _between(low: int, high: int, rng: torch.Generator) -> int:
    """A whole number from low to high, both included."""
    return int(torch.randint(low, high + 1, (1,), generator=rng, device=rng.device))


def _taken(entered: Tensor, begin: Tensor, steps: int) -> Tensor:
    """(n, steps, …) from where each record's crop begins."""
    places = begin + torch.arange(steps, device=begin.device)
    return entered.gather(1, places[..., None].expand(-1, -1, entered.shape[2]))


def _hidden(entered: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """The crop with a share of its steps at nought, all but the column that says they are steps."""
    drawn = torch.rand(entered.shape[:2], generator=rng, device=rng.device)
    shown = (drawn >= share).to(entered.dtype)[..., None]
    return torch.cat([entered[..., :-1] * shown, entered[..., -1:]], -1)


PRETEXTS.add(
    "ts2vec",
    Pretext(
        name="ts2vec",
        summary="each step is found again in another crop, at every scale of time",
        paper="Yue et al. 2022, arXiv:2106.10466",
        family="contrastive",
        objective=TS2Vec(),
        modalities=("series",),
        asks=SequenceEncoder,
        trained_by={"pretrain_batch": 8, "rate": 1e-3},
    ),
)
