"""Words hidden from a text's encoder, and the guess of which they were.

What the pretexts of masked words, masked spans and next words share. Words are the encoder's
slots, see `TextTransformer`: 0 no word, 1 an unknown word, from 2 on the known ones.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.core.errors import DataError
from leaven.data.views.draws import uniform
from leaven.learn.encoder import Encoder
from leaven.learn.models.text_transformer import TextTransformer
from leaven.learn.network import Network

__all__ = [
    "FIRST",
    "Hidden",
    "WordGuess",
    "disguise",
    "guessed",
    "thinned",
    "word_encoder",
]

#: The slot of the first known word.
FIRST = 2

_MASKED, _OTHER = 0.8, 0.9  # up to here a chosen word is masked, and up to here another one
_MOST = 2048  # places asked about in a step: each costs as many numbers as there are words


def word_encoder(network: Network) -> TextTransformer:
    """The network's encoder, which reads words."""
    encoder: Encoder = network.encoder
    assert isinstance(encoder, TextTransformer), type(encoder)
    return encoder


class WordGuess(nn.Module):
    """From states to the known words: a layer, then the words' own vectors, and a bias a word.

    BERT's output (Devlin et al. 2019, appendix A.1 and its code): dense, GELU, normalisation, tied
    weights. Logits are divided by √width, for the words' vectors are that long. Raises DataError
    where the encoder knows no word.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        encoder = word_encoder(network)
        if not encoder.known:
            raise DataError(
                "no word occurs twice in the texts to learn from, so none can be asked about. "
                "Give more texts, or choose a pretext that asks about no words."
            )
        width = encoder.width
        self.change = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.bias = nn.Parameter(torch.zeros(encoder.known))

    def forward(self, states: Tensor, embedding: nn.Embedding) -> Tensor:
        """(m, known) logits of the slots from FIRST on, from states (m, width)."""
        return self.named(self.change(states), embedding)

    def named(self, changed: Tensor, embedding: nn.Embedding) -> Tensor:
        """(m, known) logits from vectors (m, width) that are compared with the words' as is."""
        words = embedding.weight[FIRST : FIRST + len(self.bias)]
        scale: float = changed.shape[-1] ** -0.5
        return scale * (changed @ words.T) + self.bias


class Hidden(nn.Module):
    """What stands at masked places, and `guess`, which says what stood there."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.guess = WordGuess(network)
        self.mask = nn.Parameter(torch.randn(network.encoder.width) * 0.5)

    def enter(self, encoder: TextTransformer, slots: Tensor, masked: Tensor) -> Tensor:
        """(u, places, width + 1) what the encoder reads: the words, but `mask` where masked."""
        entered = encoder.embed(slots)
        vectors = torch.where(masked.unsqueeze(-1), self.mask, entered[..., :-1])
        return torch.cat([vectors, entered[..., -1:]], -1)


def disguise(
    slots: Tensor, chosen: Tensor, luck: Tensor, known: int, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The slots with some of the chosen words changed, and (u, places) which are to be masked.

    By `luck` (u, places), uniform in [0, 1): 80 % are masked, 10 % become a word drawn from all
    known ones, 10 % stay (Devlin et al. 2019, section 3.1).
    """
    masked = chosen & (luck < _MASKED)
    drawn = FIRST + (uniform(tuple(slots.shape), rng) * known).long().clamp_(max=known - 1)
    other = chosen & (luck >= _MASKED) & (luck < _OTHER)
    return torch.where(other, drawn, slots), masked


def thinned(asked: Tensor, rng: torch.Generator, most: int = _MOST) -> tuple[Tensor, Tensor]:
    """Rows (m,) and places (m,) that are true in `asked`; of many a random `most`."""
    rows, places = asked.nonzero(as_tuple=True)
    if len(rows) > most:
        kept = torch.randperm(len(rows), generator=rng, device=rng.device)[:most]
        rows, places = rows[kept], places[kept]
    return rows, places


def guessed(logits: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
    """The mean cross-entropy of the words at `slots` (m,), and the share that was named right.

    Both are 0 where nothing was asked.
    """
    logits = logits.float()
    if not len(slots):
        return logits.sum(), logits.new_zeros(())
    right = (logits.detach().argmax(-1) == slots - FIRST).float().mean()
    return F.cross_entropy(logits, slots - FIRST), right
