"""Next token: each word of a text is named from the words before it.

Generative pretraining (Radford et al. 2018, "Improving Language Understanding by Generative
Pre-Training", section 3.1, eq. 1): the likelihood of each word given those before, with attention
that sees no later place.

Departures. The whole text before a word is seen, not a window of k words. Words that are not among
the encoder's known ones are not asked about. At most 2,048 places a step are, drawn at random.
After the training the encoder looks in both directions, as for any other pretext: its features
are the mean of such states.

Use it where texts are short and order matters, and in the place of `masked-language` where each
text has few words: all but the first of them are asked about, not 15 %.

It fails where what tells a word stands behind it, and gives somewhat poorer features than
`masked-language` where that can be had, for its states never saw a whole text.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from leaven.learn.method import Problem
from leaven.learn.models.text_transformer import TextTransformer
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment
from leaven.learn.pretext import PRETEXTS, Pretext, PretextObjective
from leaven.learn.word_guessing import FIRST, WordGuess, guessed, thinned, word_encoder

__all__ = ["NextToken"]


@dataclass(frozen=True)
class NextToken(PretextObjective):
    """The cross-entropy of each known word but the first, given the words before it.

    loss = mean over texts and places i of -log p(word_{i+1} | word_1 … word_i)
    """

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """The guess's weights."""
        return WordGuess(network)

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        encoder = word_encoder(now.network)
        slots = encoder.slots(now.draw.unlabelled("plain"))
        rows, places = thinned(slots[:, 1:] >= FIRST, now.draw.rng)
        with now.precision():
            states = encoder.states(encoder.embed(slots), causal=True)
            logits = now.state(states[rows, places], encoder.embedding)
        loss, right = guessed(logits, slots[rows, places + 1])
        return Loss({"words": loss}, {"named": right})


PRETEXTS.add(
    "next-token",
    Pretext(
        name="next-token",
        summary="names each word from the words before it",
        paper="Radford et al. 2018",
        family="predictive",
        objective=NextToken(),
        modalities=("text",),
        asks=TextTransformer,
        encoders={"text": "text-transformer"},
    ),
)
