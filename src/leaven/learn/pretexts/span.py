"""Span: whole spans of a text are hidden, and the words at their two ends must tell what was there.

SpanBERT (Joshi et al. 2020, arXiv:1907.10529). Section 3.1: spans are drawn, their lengths from a
geometric distribution with p = 0.2 that ends at 10 (3.8 words on average), their starts uniformly,
until 15 % of the words are hidden; 80 % of the spans are masked, in 10 % each word is replaced by
one drawn at random, 10 % stay. Section 3.2, the span boundary objective: each word x_i of a span
s … e is also named from the states of the two words outside and its place in the span,

    h_0 = [state_{s-1}; state_{e+1}; place_{i-s+1}]
    h_1 = LayerNorm(GELU(W_1 h_0))    y_i = LayerNorm(GELU(W_2 h_1))

and both cross-entropies are added (eq. 2).

Departures. Our texts have no marks at their ends, so the first and the last word are never hidden,
nor two spans with no word between them: each span has two words outside it that are seen. Unknown
words are hidden with their span and not asked about. The logits are divided by the root of the
width, as in `masked-language`.

Use it where what matters is said in several words: names, products, places, reasons.

It fails on texts of few words, where a span of more than two leaves too little of the text, and
gains nothing over `masked-language` where single words say it all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.data.views.draws import uniform
from leaven.learn.method import Problem
from leaven.learn.models.text_transformer import TextTransformer
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment
from leaven.learn.pretext import PRETEXTS, Pretext, PretextObjective
from leaven.learn.word_guessing import FIRST, Hidden, disguise, guessed, thinned, word_encoder

__all__ = ["Boundary", "Span", "draw_spans"]

_END = 0.2  # chance that a span ends after a word
_LONGEST = 10


@dataclass(frozen=True)
class Span(PretextObjective):
    """The cross-entropies of the hidden words, by their own states and by their spans' ends.

    Spans take `share` of each text's words, one at least; texts of two words have none. Raises
    SettingError for a share outside (0, 1).
    """

    share: float = 0.15

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise SettingError("share", "a share of the words in (0, 1)", self.share)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """The mask's vector, the guess's weights and those of the boundary."""
        return nn.ModuleDict(
            {"hidden": Hidden(network), "boundary": Boundary(network.encoder.width)}
        )

    def loss(self, now: Moment) -> Loss:
        """See the module."""
        encoder, rng = word_encoder(now.network), now.draw.rng
        slots = encoder.slots(now.draw.unlabelled("plain"))
        first, last = draw_spans(slots > 0, self.share, rng)
        # A span is masked as a whole: its words share the luck of its first.
        luck = uniform(tuple(slots.shape), rng).gather(1, first.clamp_min(0))
        shown, masked = disguise(slots, first >= 0, luck, encoder.known, rng)
        rows, places = thinned((first >= 0) & (slots >= FIRST), rng)
        start, end = first[rows, places], last[rows, places]
        hidden, boundary = now.state["hidden"], now.state["boundary"]
        with now.precision():
            states = encoder.states(hidden.enter(encoder, shown, masked))
            own = hidden.guess(states[rows, places], encoder.embedding)
            outside = boundary(states[rows, start - 1], states[rows, end + 1], places - start)
            between = hidden.guess.named(outside, encoder.embedding)
        words, right = guessed(own, slots[rows, places])
        ends, told = guessed(between, slots[rows, places])
        return Loss({"words": words, "boundary": ends}, {"named": right, "named by ends": told})


class Boundary(nn.Module):
    """The two layers of the span boundary objective."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.randn(_LONGEST, width))
        self.body = nn.Sequential(
            nn.Linear(3 * width, width),
            nn.GELU(),
            nn.LayerNorm(width),
            nn.Linear(width, width),
            nn.GELU(),
            nn.LayerNorm(width),
        )

    def forward(self, before: Tensor, after: Tensor, place: Tensor) -> Tensor:
        """(m, width) from states (m, width) before and after, and places (m,) from 0."""
        told: Tensor = self.body(torch.cat([before, after, self.place[place]], -1))
        return told


def draw_spans(there: Tensor, share: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """(u, places) first and last place of the span that a place is in, -1 where it is in none.

    `there` (u, places) says where words are, without gaps. The last span of a text is cut to what
    is left of the share; one for which there is no room has one word, and if there is no room for
    that either, the text has its spans.
    """
    u, length = there.shape
    place = torch.arange(length, device=there.device)
    first = torch.full((u, length), -1, device=there.device)
    last = first.clone()
    left = (share * there.sum(1) + 0.5).long().clamp_min(1)
    while bool((left > 0).any()):
        wanted = _lengths(uniform((u,), rng)).minimum(left.clamp_min(1))
        luck = uniform((u, length), rng)
        free = there & (first < 0)
        fits = _room(free, wanted)
        wanted = torch.where(fits.any(1), wanted, 1)
        fits = torch.where(fits.any(1, keepdim=True), fits, _room(free, wanted))
        fits &= (left > 0)[:, None]
        start = luck.masked_fill(~fits, -1.0).argmax(1)
        end = start + wanted - 1
        inside = (place >= start[:, None]) & (place <= end[:, None]) & fits.any(1, keepdim=True)
        first = torch.where(inside, start[:, None], first)
        last = torch.where(inside, end[:, None], last)
        left = torch.where(fits.any(1), left - wanted, 0)
    return first, last


def _lengths(luck: Tensor) -> Tensor:
    """Geometric lengths up to the longest, by the inverse of their distribution at `luck`."""
    on = 1 - _END
    drawn = 1 + (torch.log1p(-luck * (1 - on**_LONGEST)) / math.log(on)).floor().long()
    return drawn.clamp_max(_LONGEST)


def _room(free: Tensor, lengths: Tensor) -> Tensor:
    """(u, places) where a span of that length may start: it and a word on each side are free."""
    size = free.shape[1]
    counted = nn.functional.pad(free.long().cumsum(1), (1, 0))
    before = torch.arange(size, device=free.device) - 1
    behind = before + lengths[:, None] + 2  # the first place after the word behind the span
    inside = counted.gather(1, behind.clamp_max(size)) - counted[:, before.clamp_min(0)]
    return (before >= 0) & (behind <= size) & (inside == lengths[:, None] + 2)


PRETEXTS.add(
    "span",
    Pretext(
        name="span",
        summary="names the words of hidden spans, also from the spans' ends",
        paper="Joshi et al. 2020, arXiv:1907.10529",
        family="masked",
        objective=Span(),
        modalities=("text",),
        asks=TextTransformer,
        encoders={"text": "text-transformer"},
    ),
)
