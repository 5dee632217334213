"""Views of texts: operations on words.

Tokens are (n, length) int32, 0 after the last word. Every operation says `draw(tokens, rng)` and
`apply(tokens, drawn)`; `apply` is a pure function. Words that go leave no gap, a record with words
keeps at least one, and a record without any stays empty. Deletion and swapping follow EDA (Wei
and Zou 2019), borrowing words UDA's replacement (Xie et al. 2020, section 3.2) without its TF-IDF.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from leaven.data.views.draws import others, uniform
from leaven.data.words import MASK

__all__ = [
    "BorrowWords",
    "DropSpan",
    "DropWords",
    "MaskSpan",
    "SwapNeighbours",
    "compact",
    "lengths",
]


#: Chance that a span ends after a word: SpanBERT's p.
_CUT = 0.2


def lengths(tokens: torch.Tensor) -> torch.Tensor:
    """(n,) number of words."""
    return (tokens != 0).sum(1)


def compact(tokens: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    """The words where `keep` is true, in order, moved to the left over those that go.

    >>> compact(torch.tensor([[7, 8, 9, 0]]), torch.tensor([[True, False, True, False]]))
    tensor([[7, 9, 0, 0]])
    """
    keep = keep & (tokens != 0)
    n, length = tokens.shape
    # Each word to the place that counts the words kept before it; the others past the end.
    place = (keep.cumsum(1) - 1).masked_fill_(~keep, length)
    return tokens.new_zeros(n, length + 1).scatter_(1, place, tokens)[:, :length]


def _rates(tokens: torch.Tensor, rng: torch.Generator, low: float, high: float) -> torch.Tensor:
    """(n, 1) one rate a record."""
    return uniform((len(tokens), 1), rng, low, high)


@dataclass(frozen=True)
class DropWords:
    """Delete each word with a rate drawn a record from [low, high)."""

    low: float
    high: float

    def draw(self, tokens: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """(n, length) true where a word stays; each record with words keeps one at least."""
        rate = _rates(tokens, rng, self.low, self.high)
        luck = uniform(tuple(tokens.shape), rng).masked_fill(tokens == 0, -1)
        luckiest = luck.amax(1, keepdim=True)
        return ((luck >= rate) | (luck == luckiest)) & (tokens != 0)

    def apply(self, tokens: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """The words that stay."""
        return compact(tokens, drawn)

    def __call__(self, tokens: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Draw and apply."""
        return self.apply(tokens, self.draw(tokens, rng))


@dataclass(frozen=True)
class DropSpan:
    """Delete neighbouring words, a share of the record drawn from [low, high) below 1."""

    low: float
    high: float

    def draw(self, tokens: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """(n, 2) the first word to go and the first to stay after it."""
        words = lengths(tokens)
        size = (_rates(tokens, rng, self.low, self.high).squeeze(1) * words).long()
        first = (uniform((len(tokens),), rng) * (words - size + 1)).long()
        return torch.stack([first, first + size], 1)

    def apply(self, tokens: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """The words outside the span."""
        place = torch.arange(tokens.shape[1], device=tokens.device)
        return compact(tokens, (place < drawn[:, :1]) | (place >= drawn[:, 1:]))

    def __call__(self, tokens: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Draw and apply."""
        return self.apply(tokens, self.draw(tokens, rng))


@dataclass(frozen=True)
class SwapNeighbours:
    """Exchange words with the next one: each pair with a rate drawn a record from [low, high).

    A record's pairs begin at its first or its second word, by chance, and do not overlap.
    """

    low: float
    high: float

    def draw(self, tokens: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """(n, length) the place that each word is taken from."""
        n, length = tokens.shape
        rate = _rates(tokens, rng, self.low, self.high)
        begin = (uniform((n,), rng) < 0.5).long()
        place = torch.arange(length, device=tokens.device)
        first = torch.arange(2, device=tokens.device)[:, None]
        partner = ((place - first) ^ 1) + first  # (2, length): of pairs from either beginning
        left, right = torch.minimum(place, partner), torch.maximum(place, partner)
        inside = (left >= 0)[begin] & (right[begin] < lengths(tokens)[:, None])
        lucky = uniform((n, length), rng) < rate
        swap = lucky.gather(1, left.clamp(min=0)[begin]) & inside
        return torch.where(swap, partner[begin], place)

    def apply(self, tokens: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """The same words in the new order."""
        return tokens.gather(1, drawn)

    def __call__(self, tokens: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Draw and apply."""
        return self.apply(tokens, self.draw(tokens, rng))


@dataclass(frozen=True)
class BorrowWords:
    """Replace each word, with a rate drawn a record from [low, high), by one of another record.

    The lender is a random other record of the batch and the word a random one of its words, so
    replacements are about as frequent as they are in the data.
    """

    low: float
    high: float

    def draw(self, tokens: torch.Tensor, rng: torch.Generator) -> tuple[torch.Tensor, ...]:
        """Where to replace (n, length), the lenders (n, length) and the places in them."""
        shape = tuple(tokens.shape)
        rate = _rates(tokens, rng, self.low, self.high)
        lender = others(shape, rng)
        words = lengths(tokens)[lender]
        place = (uniform(shape, rng) * words).long()
        replace = (uniform(shape, rng) < rate) & (tokens != 0) & (words > 0)
        return replace, lender, place

    def apply(self, tokens: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """The records with the borrowed words."""
        replace, lender, place = drawn
        return torch.where(replace, tokens[lender, place], tokens)

    def __call__(self, tokens: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Draw and apply."""
        return self.apply(tokens, self.draw(tokens, rng))


@dataclass(frozen=True)
class MaskSpan:
    """Put `MASK` for whole spans, a share of the record's words drawn from [low, high).

    SpanBERT (Joshi et al. 2020, arXiv:1907.10529, section 3.1): lengths are geometric, 5 words in
    the mean, and spans are taken until the share is reached. Here a record is first cut into
    such spans, which are taken in random order, and the last one taken may be cut short; there
    is no longest span.
    To an encoder a mask is a word that it has never seen: a bag counts it as nothing and gains
    no false pair of the words beside it, a sequence keeps every other word's place.
    """

    low: float
    high: float

    def draw(self, tokens: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """(n, length) true where a word is masked; each record with words keeps one at least."""
        n, length = tokens.shape
        words = lengths(tokens)[:, None]
        wanted = _rates(tokens, rng, self.low, self.high) * words + uniform((n, 1), rng)
        wanted = torch.minimum(wanted.long(), words - 1)
        span = (uniform((n, length), rng) < _CUT).cumsum(1)
        luck = uniform((n, length + 1), rng).gather(1, span)
        # Words in the order of their spans' luck, within a span from either side: the last one
        # is cut short, and always at its end would spare the end of a text.
        place = torch.arange(length, device=tokens.device)
        side = uniform((n, 1), rng) < 0.5
        within = torch.where(side, place, length - 1 - place)
        key = (luck * 2**24).long() * length + within
        order = key.masked_fill_(tokens == 0, length << 24).argsort(dim=1)
        return torch.zeros_like(tokens, dtype=torch.bool).scatter(1, order, place < wanted)

    def apply(self, tokens: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """The records with their masks, as long as before."""
        return tokens.masked_fill(drawn, MASK)

    def __call__(self, tokens: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Draw and apply."""
        return self.apply(tokens, self.draw(tokens, rng))
