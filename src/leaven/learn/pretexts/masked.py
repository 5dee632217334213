"""Masked: parts of what a network has entered are hidden, and the rest must tell them.

The plainest of the masked pretexts, for any records: a denoising autoencoder (Vincent et al. 2008)
that is judged by what was hidden alone, as SimMIM is (Xie et al. 2022, arXiv:2111.09886, sections
3.2-3.4). Pictures, and spectrograms that are entered as such, are divided into eight blocks a side
and whole blocks are hidden; of sequences spans of three places; of vectors and the scores of a
table single entries. What is hidden shows a value that is learnt, as SimMIM's mask token is, and a
decoder (`leaven.learn.decoders`) tells it from the features.

Encoders of sequences tell each place from its own state by one layer, as SimMIM does; for all
others one vector of features must tell the whole record, by a hidden layer or transposed
convolutions, so that any encoder serves.

Departures. The error is squared, not absolute. Half is hidden, not 60 %. Where an encoder learns
what it enters (vectors of words, tokens of cells), a copy of it from before the training says what
stood there: what is asked about must not move to where it is easily told.

Use it where no pretext is made for the records, or no view of them leaves the label as it is:
vectors, measurements, series.

It fails where most of what can be told is not what labels hang on, and where entries have nothing
to do with each other. Pictures and spectrograms are the worst case: one vector must then find room
for where things lie and for their ground, at the cost of what they are.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.learn.decoders import decoder, entered
from leaven.learn.encoder import SequenceEncoder
from leaven.learn.hiding import picked
from leaven.learn.method import Problem
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment
from leaven.learn.pretext import PRETEXTS, Pretext, PretextObjective

__all__ = ["Masked", "hidden"]

_BLOCKS = 8  # a side of a picture
_SPAN = 3  # places of a sequence


@dataclass(frozen=True)
class Masked(PretextObjective):
    """loss = mean over hidden entries of (decoder(features or states of the rest) - entry)²

    `share` of each record's blocks, spans or entries is hidden. Raises SettingError for a share
    outside (0, 1).
    """

    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise SettingError("share", "a share of a record in (0, 1)", self.share)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """The decoder, what stands for the hidden, and what tells it where that would move."""
        return _Kept(problem, network)

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        kept: _Kept = now.state
        plain = now.draw.unlabelled("plain")
        given = now.network.enter(plain)
        hide = hidden(given.detach(), self.share, now.draw.rng)
        with torch.no_grad():
            record = given.detach() if kept.before is None else kept.before.enter(plain)
        shown = kept.show(given, hide)
        with now.precision():
            encoder: Any = now.network.encoder
            by_place = isinstance(encoder, SequenceEncoder)
            seen = encoder.states(shown) if by_place else now.network(shown)
            told = kept.decoder(seen).float()
        if record.ndim == 3:
            record, told = record[..., :-1], told[..., : record.shape[-1] - 1]
        wrong = (told - record).square() * hide
        return Loss({"hidden": wrong.sum() / hide.expand_as(wrong).sum().clamp_min(1)})


class _Kept(nn.Module):
    """The decoder, `fill` for what is hidden, and perhaps the encoder as it was."""

    def __init__(self, problem: Problem, network: Network) -> None:
        super().__init__()
        with torch.enable_grad():
            learns = network.enter(
                problem.views.plain(problem.arrays.batch(problem.unlabelled[:1]))
            )
        shape = tuple(entered(problem, network).shape[1:])
        width = network.encoder.width
        by_place = isinstance(network.encoder, SequenceEncoder)
        self.decoder = nn.Linear(width, shape[1] - 1) if by_place else decoder(width, shape)
        self.fill = nn.Parameter(torch.zeros(_channels(shape)))
        self.before = copy.deepcopy(network.encoder) if learns.requires_grad else None
        if self.before is not None:
            self.before.requires_grad_(False).eval()

    def show(self, given: Tensor, hide: Tensor) -> Tensor:
        """What has entered, the hidden filled in; how much of a place is there stays."""
        if given.ndim != 3:
            return torch.where(hide, self.fill, given)
        vectors = torch.where(hide, self.fill, given[..., :-1])
        return torch.cat([vectors, given[..., -1:]], -1)


def hidden(given: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """True where what has entered is hidden, in `share` of each record's parts, one at least.

    (n, 1, h, w) for pictures (n, c, h, w), in blocks of an eighth of a side; (n, length, 1) for
    sequences (n, length, w + 1), in spans of three places that are there; (n, w) for vectors.
    """
    if given.ndim == 2:
        return picked(torch.ones_like(given, dtype=torch.bool), share, rng)
    if given.ndim == 3:
        there = given[..., -1] > 0
        spans = picked(there[:, ::_SPAN], share, rng)
        places = spans.repeat_interleave(_SPAN, 1)[:, : given.shape[1]] & there
        return places.unsqueeze(-1)
    sides = [max(side // _BLOCKS, 1) for side in given.shape[2:]]
    counts = [-(-side // block) for side, block in zip(given.shape[2:], sides, strict=True)]
    whole = torch.ones(len(given), counts[0] * counts[1], dtype=torch.bool, device=given.device)
    blocks = picked(whole, share, rng).reshape(-1, counts[0], counts[1])
    large: Tensor = blocks.repeat_interleave(sides[0], 1).repeat_interleave(sides[1], 2)
    return large[:, None, : given.shape[2], : given.shape[3]]


def _channels(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a fill: one value a channel, an entry, or a number of a place."""
    if len(shape) == 3:
        return (shape[0], 1, 1)
    return (shape[1] - 1,) if len(shape) == 2 else shape


PRETEXTS.add(
    "masked",
    Pretext(
        name="masked",
        summary="tells the hidden parts of a record from the rest",
        paper="Xie et al. 2022, arXiv:2111.09886",
        family="masked",
        objective=Masked(),
    ),
)
