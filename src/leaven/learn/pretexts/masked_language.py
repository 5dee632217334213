"""Masked language: some words of a text are hidden, and the rest of it must tell which they were.

BERT's first task (Devlin et al. 2019, arXiv:1810.04805, section 3.1, task 1): 15 % of the words of
a text are chosen; of these 80 % are masked, 10 % replaced by a word drawn at random, and 10 % left
as they are; the network names the chosen words, and no others, by a softmax over all words whose
weights are the words' own vectors.

Departures. Words are whole words, not pieces of words; a word that is not among the encoder's
known ones is never chosen. The logits are divided by the root of the width, as in T5 (Raffel et al.
2020), for our words' vectors are longer than BERT's. At most 2,048 words a step are asked about.

Use it first for texts: it asks about each text many things that a label may hang on, and needs
neither views nor other records.

It fails on texts of one or two words, where nothing is left to tell the hidden one by; and where
most words occur once, for those are not asked about.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from leaven.core.errors import SettingError
from leaven.data.views.draws import uniform
from leaven.learn.hiding import picked
from leaven.learn.method import Problem
from leaven.learn.models.text_transformer import TextTransformer
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment
from leaven.learn.pretext import PRETEXTS, Pretext, PretextObjective
from leaven.learn.word_guessing import FIRST, Hidden, disguise, guessed, thinned, word_encoder

__all__ = ["MaskedLanguage"]


@dataclass(frozen=True)
class MaskedLanguage(PretextObjective):
    """The cross-entropy of the chosen words: `share` of each text's known words, one at least.

        loss = mean over chosen places i of -log p(word_i | the text with chosen words disguised)

    Raises SettingError for a share outside (0, 1).
    """

    share: float = 0.15

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise SettingError("share", "a share of the words in (0, 1)", self.share)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """The mask's vector, and the guess's weights."""
        return Hidden(network)

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        encoder, rng = word_encoder(now.network), now.draw.rng
        slots = encoder.slots(now.draw.unlabelled("plain"))
        chosen = picked(slots >= FIRST, self.share, rng)
        luck = uniform(tuple(slots.shape), rng)
        shown, masked = disguise(slots, chosen, luck, encoder.known, rng)
        asked = thinned(chosen, rng)
        with now.precision():
            states = encoder.states(now.state.enter(encoder, shown, masked))
            logits = now.state.guess(states[asked], encoder.embedding)
        loss, right = guessed(logits, slots[asked])
        return Loss({"words": loss}, {"named": right})


PRETEXTS.add(
    "masked-language",
    Pretext(
        name="masked-language",
        summary="names the words that are hidden in a text",
        paper="Devlin et al. 2019, arXiv:1810.04805",
        family="masked",
        objective=MaskedLanguage(),
        modalities=("text",),
        asks=TextTransformer,
        encoders={"text": "text-transformer"},
    ),
)
