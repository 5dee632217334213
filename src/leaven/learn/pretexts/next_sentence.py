"""Next sentence: does the second half of a text go on with its first, or is it another text's?

BERT (Devlin et al. 2019, arXiv:1810.04805, section 3.1 and appendix A.2): half of the time the
second part is the one that follows, half of the time it is a random text's, and the network says
which (task 2); beside it, 15 % of the words are hidden and named, as in `masked-language` (task 1);
the loss is the sum of both means.

Departures. The two parts are the halves of one record, by words, for records are what there is;
another record's second half comes from the same batch. In the paper the answer is read from the
state of a mark that stands before all words; here the states of each half are pooled as the
encoder pools those of a text, and the layer of tanh reads both with their product and distance
(Conneau et al. 2017, arXiv:1705.02364, section 3.1): read from one vector of the whole, features
came to tell whether halves fit and not what they are about. The words of the second half are
marked by a vector of their own, as in the paper. Texts of fewer than four words are not asked
about.

Use it for texts of several sentences that keep to their subject: it asks about the features of a
whole text, which guessed words alone do not. `words=0` leaves task 2 alone.

It fails where the answer is told by a trifle (the halves of one text share a name or a spelling),
and where texts are so short that their halves have little to do with each other. RoBERTa (Liu et
al. 2019, arXiv:1907.11692, section 4.2) found it of little use beside guessed words.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.data.views.draws import others, uniform
from leaven.learn.hiding import picked
from leaven.learn.method import Problem
from leaven.learn.models.text_transformer import TextTransformer
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment
from leaven.learn.pretext import PRETEXTS, Pretext, PretextObjective
from leaven.learn.word_guessing import FIRST, Hidden, disguise, guessed, thinned, word_encoder

__all__ = ["NextSentence", "joined"]

_FEWEST = 4  # words of a text that is asked about
_SHARE = 0.15  # of the words are hidden


@dataclass(frozen=True)
class NextSentence(PretextObjective):
    """Whether both halves are of one text, and which words were hidden.

        loss = mean over texts of BCE(answer(state of each half), whether they are of one)
             + words · mean over hidden places i of -log p(word_i | both halves)

    Raises SettingError for a negative weight.
    """

    words: float = 1.0

    def __post_init__(self) -> None:
        if self.words < 0:
            raise SettingError("words", "a weight of at least 0", self.words)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """What marks the second half, the answer, and what guesses words."""
        kept: dict[str, nn.Module] = {"answer": _Answer(network.encoder.width)}
        if self.words:
            kept["hidden"] = Hidden(network)
        return nn.ModuleDict(kept)

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        encoder, rng = word_encoder(now.network), now.draw.rng
        answer: _Answer = now.state["answer"]
        slots = encoder.slots(now.draw.unlabelled("plain"))
        slots = slots[(slots > 0).sum(1) >= _FEWEST]
        u = len(slots)
        if not u:  # all texts of the batch are short
            return Loss({"next": 0 * answer.second.sum()})
        own = torch.arange(u, device=slots.device)
        partner = torch.where(uniform((u,), rng) < 0.5, others((u,), rng), own)
        texts, second = joined(slots, partner)
        if self.words:
            chosen = picked(texts >= FIRST, _SHARE, rng)
            luck = uniform(tuple(texts.shape), rng)
            shown, masked = disguise(texts, chosen, luck, encoder.known, rng)
            asked = thinned(chosen, rng)
            entered = now.state["hidden"].enter(encoder, shown, masked)
        else:
            entered = encoder.embed(texts)
        entered = answer.mark(entered, second)
        with now.precision():
            states = encoder.states(entered)
            told = answer(*_halves(encoder, states, entered, second)).float()
        same = (partner == own).float()
        right = ((told.detach() > 0) == (same > 0)).float().mean()
        terms = {"next": F.binary_cross_entropy_with_logits(told, same)}
        figures = {"right": right}
        if self.words:
            with now.precision():
                logits = now.state["hidden"].guess(states[asked], encoder.embedding)
            loss, figures["named"] = guessed(logits, texts[asked])
            terms["words"] = self.words * loss
        return Loss(terms, figures)


def _halves(
    encoder: TextTransformer, states: Tensor, entered: Tensor, second: Tensor
) -> tuple[Tensor, Tensor]:
    """(u, width) the pooled states of the first half, and of the second."""
    vectors, there = entered[..., :-1], entered[..., -1]
    one, other = (
        encoder.pool(states, torch.cat([vectors, (there * half).unsqueeze(-1)], -1))
        for half in (~second, second)
    )
    return one, other


class _Answer(nn.Module):
    """BERT's pooling layer and its answer, with one output for the two."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.second = nn.Parameter(torch.randn(width) * 0.02)
        self.body = nn.Sequential(nn.Linear(4 * width, width), nn.Tanh(), nn.Linear(width, 1))

    def mark(self, entered: Tensor, second: Tensor) -> Tensor:
        """What has entered, with the places (u, places) of the second half marked."""
        marked = entered[..., :-1] + second.unsqueeze(-1) * self.second
        return torch.cat([marked, entered[..., -1:]], -1)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """(u,) the logit of being of one text, from states (u, width) of both halves."""
        both = torch.cat([one, other, one * other, (one - other).abs()], -1)
        told: Tensor = self.body(both).squeeze(-1)
        return told


def joined(slots: Tensor, partner: Tensor) -> tuple[Tensor, Tensor]:
    """The first half of each text with the second half of its partner, and where that stands.

    Slots (u, places) without gaps, and (u,) places of partners among them; the first half is the
    smaller one. Returns slots (u, any) and (u, any) true in the second half.
    """
    count = (slots > 0).sum(1)
    half = count // 2
    total = half + (count - half)[partner]
    place = torch.arange(int(total.max()), device=slots.device)
    own = place < half[:, None]
    there = place < total[:, None]
    source = torch.where(own, place, half[partner, None] + place - half[:, None])
    source = source.clamp_max(slots.shape[1] - 1)
    words = torch.where(own, slots.gather(1, source), slots[partner].gather(1, source))
    return words * there, there & ~own


PRETEXTS.add(
    "next-sentence",
    Pretext(
        name="next-sentence",
        summary="tells whether the second half of a text is its own, and names hidden words",
        paper="Devlin et al. 2019, arXiv:1810.04805",
        family="predictive",
        objective=NextSentence(),
        modalities=("text",),
        asks=TextTransformer,
        encoders={"text": "text-transformer"},
    ),
)
