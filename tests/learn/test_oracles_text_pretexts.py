"""The losses of the text pretexts against slow transcriptions, and what they may ask about."""

from __future__ import annotations

import math
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from leaven.core.errors import DataError, SettingError
from leaven.data.arrays import Batch
from leaven.learn.heads.bare import BareHead
from leaven.learn.hiding import picked
from leaven.learn.models.text_transformer import TextTransformer
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment
from leaven.learn.pretext import PretextObjective
from leaven.learn.pretexts import masked_language, next_sentence, next_token, span
from leaven.learn.word_guessing import FIRST, Hidden, WordGuess, disguise, thinned
from tests.learn.oracle_parts import Floats, moment, softmax

KNOWN, LENGTH, WIDTH = 20, 24, 8
#: Slot 1 is an unknown word, 0 none.
TEXTS = [
    [5, 9, 1, 4, 20, 7, 3, 21, 6, 6, 12, 8, 19, 2],
    [11, 1, 2],
    [17, 16, 15, 14, 13, 12, 11],
    [1, 1, 1, 1],
    [3],
    [8, 4, 2, 7, 7, 9],
]


def _rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _slots(texts: list[list[int]]) -> Tensor:
    longest = max(map(len, texts))
    return torch.tensor([text + [0] * (longest - len(text)) for text in texts])


def _network(seed: int = 0) -> Network:
    """A small transformer in float64 without chance, whose tokens are the slots themselves."""
    torch.manual_seed(seed)
    encoder = TextTransformer(LENGTH, KNOWN, WIDTH, 1, 2)
    encoder.slot[: KNOWN + FIRST] = torch.arange(KNOWN + FIRST, dtype=torch.int32)
    return Network(encoder, BareHead(WIDTH)).double().eval()


class _Texts:
    """A modality of ready slots."""

    def __init__(self, texts: list[list[int]]) -> None:
        tokens = torch.zeros(len(texts), LENGTH, dtype=torch.int32)
        slots = _slots(texts)
        tokens[:, : slots.shape[1]] = slots
        self.tokens = tokens

    def plain(self, batch: Batch) -> Batch:
        return {"tokens": self.tokens}


def _state(objective: PretextObjective, network: Network) -> nn.Module:
    torch.manual_seed(1)
    state = objective.state(None, network)  # type: ignore[arg-type]  # none of these reads it
    assert state is not None
    for parameter in state.parameters():
        if not parameter.any():  # biases begin at 0, which would hide that they are left out
            nn.init.normal_(parameter)
    return state.double()


def _moment(network: Network, state: nn.Module, texts: list[list[int]], seed: int = 0) -> Moment:
    none = np.zeros(0, np.int64)
    return moment(network, network, _Texts(texts), none, len(texts), seed, state=state)


def _spied(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> list[tuple[Any, Any]]:
    """Arguments and results of each call of a module's function."""
    inner, calls = getattr(module, name), []

    def spy(*arguments: Any) -> Any:
        result = inner(*arguments)
        calls.append((arguments, result))
        return result

    monkeypatch.setattr(module, name, spy)
    return calls


# --- What the oracles need of layers, on one vector in NumPy -----------------------------------


def _numbers(tensor: Tensor) -> Floats:
    found: Floats = tensor.detach().double().numpy()
    return found


def _linear(layer: Any, x: Floats) -> Floats:
    return _numbers(layer.weight) @ x + _numbers(layer.bias)


def _gelu(x: Floats) -> Floats:
    return np.array([v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x])


def _normed(layer: Any, x: Floats) -> Floats:
    scaled = (x - x.mean()) / np.sqrt(x.var() + layer.eps)
    return scaled * _numbers(layer.weight) + _numbers(layer.bias)


def _surprise(guess: WordGuess, encoder: TextTransformer, vector: Floats, slot: int) -> float:
    """-log p of a slot, from a vector that is compared with all known words'."""
    words = _numbers(encoder.embedding.weight)[FIRST : FIRST + KNOWN]
    chances = softmax(words @ vector / math.sqrt(WIDTH) + _numbers(guess.bias))
    return -math.log(chances[slot - FIRST])


def _changed(guess: WordGuess, state: Floats) -> Floats:
    dense, _, norm = guess.change
    return _normed(norm, _gelu(_linear(dense, state)))


def _read(
    encoder: TextTransformer, hidden: Hidden | None, text: Tensor, masked: Tensor, **how: Any
) -> Floats:
    """(words, width) states of one text by itself, without padding."""
    words = int((text > 0).sum())
    entered = encoder.embed(text[None, :words])
    for place in range(words):
        if hidden is not None and masked[place]:
            entered[0, place, :-1] = hidden.mask
    return _numbers(encoder.states(entered, **how)[0])


# --- Which words are hidden --------------------------------------------------------------------


@given(
    st.lists(st.lists(st.booleans(), min_size=13, max_size=13), min_size=1, max_size=5),
    st.floats(0.01, 0.99),
    st.integers(0, 99),
)
def test_the_share_that_is_hidden_is_exact(parts: list[list[bool]], share: float, seed: int):
    found = picked(torch.tensor(parts), share, _rng(seed))
    for record, hidden in zip(parts, found.tolist(), strict=True):
        assert not any(h and not p for h, p in zip(hidden, record, strict=True))
        exact = share * sum(record)
        if not any(record):
            assert sum(hidden) == 0
        elif exact >= 1:
            assert abs(sum(hidden) - exact) <= 0.5 + 1e-4
        else:
            assert sum(hidden) == 1


def test_each_part_is_as_likely_as_any_other():
    parts = torch.ones(20_000, 8, dtype=torch.bool)
    share = picked(parts, 0.25, _rng()).float().mean(0)
    assert (share - 0.25).abs().max() < 5 * math.sqrt(0.25 * 0.75 / 20_000)


def test_eight_tenths_are_masked_one_is_changed_and_one_stays():
    rng = _rng()
    slots = torch.full((200, 300), 7)
    chosen = torch.rand(slots.shape, generator=rng) < 0.5
    shown, masked = disguise(slots, chosen, torch.rand(slots.shape, generator=rng), KNOWN, rng)
    assert torch.equal(shown[~chosen], slots[~chosen])
    assert not (masked & ~chosen).any()
    n = int(chosen.sum())
    other = chosen & ~masked & (shown != 7)
    # A word drawn at random is the one that stood there once in KNOWN times.
    for found, wanted in [(masked.sum() / n, 0.8), (other.sum() / n, 0.1 * (1 - 1 / KNOWN))]:
        assert abs(float(found) - wanted) < 5 * math.sqrt(wanted * (1 - wanted) / n)
    drawn = torch.bincount(shown[other], minlength=KNOWN + 2)
    assert drawn[:FIRST].sum() == 0
    expected = n * 0.1 / KNOWN
    rest = torch.cat([drawn[FIRST:7], drawn[8:]])
    assert len(rest) == KNOWN - 1
    assert (rest - expected).abs().max() < 5 * math.sqrt(expected)


def test_of_many_places_a_random_part_is_asked_about():
    asked = torch.rand(40, 50, generator=_rng()) < 0.5
    rows, places = thinned(asked, _rng(), 300)
    assert len(rows) == 300
    assert len({*zip(rows.tolist(), places.tolist(), strict=True)}) == 300
    assert asked[rows, places].all()
    assert rows.min() < 5  # not the first ones
    assert rows.max() > 34
    assert len(thinned(asked, _rng(), 5000)[0]) == int(asked.sum())


# --- Masked language ---------------------------------------------------------------------------


def test_masked_language_is_its_formula(monkeypatch: pytest.MonkeyPatch):
    calls = _spied(monkeypatch, masked_language, "disguise")
    objective, network = masked_language.MaskedLanguage(share=0.4), _network()
    encoder: Any = network.encoder
    state: Any = _state(objective, network)
    loss = objective.loss(_moment(network, state, TEXTS, seed=3))
    (slots, chosen, *_), (shown, masked) = calls[0]
    assert masked.any()
    assert (chosen & ~masked).any()
    terms = []
    for text, seen, asked, gone in zip(slots, shown, chosen, masked, strict=True):
        states = _read(encoder, state, seen, gone)
        for place in np.flatnonzero(asked.numpy()):
            assert int(text[place]) >= FIRST, "an unknown word, or none, is asked about"
            vector = _changed(state.guess, states[place])
            terms.append(_surprise(state.guess, encoder, vector, int(text[place])))
    # 13, 2, 7, 0, 1 and 6 known words.
    assert [int(asked.sum()) for asked in chosen] == [5, 1, 3, 0, 1, 2]
    assert loss.total.item() == pytest.approx(np.mean(terms), rel=1e-5)


def test_no_gradient_comes_from_words_that_are_not_asked_about():
    objective, network = masked_language.MaskedLanguage(), _network()
    state = _state(objective, network)
    loss = objective.loss(_moment(network, state, [[1, 1, 1], [1]]))
    assert loss.total.item() == 0
    loss.total.backward()
    assert all(p.grad is None or not p.grad.any() for p in network.parameters())


@pytest.mark.parametrize("module", [masked_language, next_token, span])
def test_texts_without_a_known_word_are_refused(module: ModuleType):
    network = _network()
    network.encoder.slot.clamp_(max=1)  # type: ignore[operator, union-attr]
    kind = {"masked_language": "MaskedLanguage", "next_token": "NextToken", "span": "Span"}
    objective = getattr(module, kind[module.__name__.split(".")[-1]])()
    with pytest.raises(DataError, match="no word occurs twice"):
        objective.state(None, network)


def test_settings_that_make_no_sense_are_refused():
    for share in (0.0, 1.0):
        for kind in (masked_language.MaskedLanguage, span.Span):
            with pytest.raises(SettingError, match="share"):
                kind(share)
    with pytest.raises(SettingError, match="words"):
        next_sentence.NextSentence(words=-1.0)


# --- Next token --------------------------------------------------------------------------------


def test_next_token_is_its_formula():
    objective, network = next_token.NextToken(), _network()
    encoder: Any = network.encoder
    guess: Any = _state(objective, network)
    loss = objective.loss(_moment(network, guess, TEXTS))
    terms = []
    for text in _slots(TEXTS):
        states = _read(encoder, None, text, text, causal=True)
        for place in range(1, len(states)):
            if text[place] >= FIRST:
                vector = _changed(guess, states[place - 1])
                terms.append(_surprise(guess, encoder, vector, int(text[place])))
    assert loss.total.item() == pytest.approx(np.mean(terms), rel=1e-5)


def test_a_state_of_the_causal_pass_knows_nothing_of_later_words():
    encoder: Any = _network().encoder
    one, other = _slots([TEXTS[0]]), _slots([TEXTS[0]])
    other[0, 6:] = torch.tensor([2, 3, 4, 5, 2, 3, 4, 5])
    for causal in (True, False):
        before, after = (encoder.states(encoder.embed(s), causal=causal) for s in (one, other))
        same = [torch.allclose(before[0, i], after[0, i], atol=1e-12) for i in range(14)]
        assert same == [causal] * 6 + [False] * 8
    assert torch.allclose(
        encoder.states(encoder.embed(one), causal=True)[0, :4],
        encoder.states(encoder.embed(one[:, :4]), causal=True)[0],
        atol=1e-12,
    )


# --- Spans -------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=6),
    st.floats(0.05, 0.6),
    st.integers(0, 99),
)
def test_spans_lie_apart_and_within_their_text(counts: list[int], share: float, seed: int):
    there = torch.arange(40) < torch.tensor(counts)[:, None]
    first, last = span.draw_spans(there, share, _rng(seed))
    for words, starts, ends in zip(counts, first.tolist(), last.tolist(), strict=True):
        spans = sorted({(a, b) for a, b in zip(starts, ends, strict=True) if a >= 0})
        covered = [place for place, start in enumerate(starts) if start >= 0]
        assert covered == [place for a, b in spans for place in range(a, b + 1)]
        assert all(1 <= b - a + 1 <= 10 for a, b in spans)
        # A word outside each span, none of them hidden.
        assert all(a >= 1 and b <= words - 2 for a, b in spans)
        assert all(b + 1 < c for (_, b), (c, _) in pairwise(spans))
        budget = max(math.floor(share * words + 0.5), 1)
        assert len(covered) <= budget
        if words < 3:
            assert not spans
        elif len(covered) < budget:  # then no place is left
            free = [0 <= p < words and p not in covered for p in range(-1, words + 2)]
            assert not any(all(free[p + 1 + i] for i in (-1, 0, 1)) for p in range(words))


def test_spans_take_a_share_of_long_texts():
    there = torch.ones(200, 200, dtype=torch.bool)
    first, _ = span.draw_spans(there, 0.15, _rng())
    assert ((first >= 0).sum(1) == 30).all()
    # Any inner place may be hidden, those in the middle alike.
    middle = (first >= 0).float().mean(0)[20:180]
    assert middle.min() > 0.02
    assert abs(float(middle.mean()) - 0.15) < 0.02


def test_lengths_of_spans_are_geometric_up_to_ten():
    lengths = span._lengths(torch.rand(50_000, generator=_rng()))
    chances = 0.2 * 0.8 ** np.arange(10)
    chances /= chances.sum()
    found = np.bincount(lengths.numpy(), minlength=11)[1:] / 50_000
    assert np.abs(found - chances).max() < 5 * math.sqrt(0.25 / 50_000)
    assert float(lengths.double().mean()) == pytest.approx(3.8, abs=0.05)  # the paper's section 3.1


def test_a_span_is_masked_changed_or_left_as_a_whole(monkeypatch: pytest.MonkeyPatch):
    calls = _spied(monkeypatch, span, "disguise")
    objective, network = span.Span(share=0.4), _network()
    texts = [list(np.random.default_rng(i).integers(2, 22, 24)) for i in range(60)]
    objective.loss(_moment(network, _state(objective, network), texts))
    (_, chosen, luck, *_), (_, masked) = calls[0]
    for row in range(60):
        edges = np.flatnonzero(np.diff(np.pad(chosen[row].int().numpy(), 1)))
        for start, end in edges.reshape(-1, 2):
            assert len(masked[row, start:end].unique()) == 1
            assert len(luck[row, start:end].unique()) == 1
    assert 0.6 < float(masked.sum() / chosen.sum()) < 0.95


def test_span_is_its_formula(monkeypatch: pytest.MonkeyPatch):
    calls = _spied(monkeypatch, span, "disguise")
    drawn = _spied(monkeypatch, span, "draw_spans")
    objective, network = span.Span(share=0.4), _network()
    encoder: Any = network.encoder
    state: Any = _state(objective, network)
    hidden, boundary = state["hidden"], state["boundary"]
    loss: Loss = objective.loss(_moment(network, state, TEXTS, seed=5))
    (slots, *_), (shown, masked) = calls[0]
    first, last = drawn[0][1]
    words, ends = [], []
    for row, text in enumerate(slots):
        states = _read(encoder, hidden, shown[row], masked[row])
        for place in np.flatnonzero(first[row].numpy() >= 0):
            if text[place] < FIRST:
                continue
            start, end = int(first[row, place]), int(last[row, place])
            vector = _changed(hidden.guess, states[place])
            words.append(_surprise(hidden.guess, encoder, vector, int(text[place])))
            where = _numbers(boundary.place)[place - start]
            h = np.concatenate([states[start - 1], states[end + 1], where])
            one, _, norm_one, two, _, norm_two = boundary.body
            h = _normed(norm_one, _gelu(_linear(one, h)))
            h = _normed(norm_two, _gelu(_linear(two, h)))
            ends.append(_surprise(hidden.guess, encoder, h, int(text[place])))
    assert len(words) >= 6
    assert loss.terms["words"].item() == pytest.approx(np.mean(words), rel=1e-5)
    assert loss.terms["boundary"].item() == pytest.approx(np.mean(ends), rel=1e-5)


# --- Next sentence -----------------------------------------------------------------------------


@given(
    st.lists(
        st.lists(st.integers(1, 21), min_size=4, max_size=11), min_size=1, max_size=5
    ),
    st.integers(0, 99),
)  # fmt: skip
def test_halves_are_joined(texts: list[list[int]], seed: int):
    partner = np.random.default_rng(seed).integers(0, len(texts), len(texts))
    slots, second = next_sentence.joined(_slots(texts), torch.tensor(partner))
    for row, other in enumerate(partner):
        mine, theirs = texts[row][: len(texts[row]) // 2], texts[other][len(texts[other]) // 2 :]
        blank = slots.shape[1] - len(mine) - len(theirs)
        assert slots[row].tolist() == mine + theirs + [0] * blank
        told = [False] * len(mine) + [True] * len(theirs) + [False] * blank
        assert second[row].tolist() == told
    assert slots.shape[1] <= max(map(len, texts))  # places that the encoder has


def test_next_sentence_is_its_formula(monkeypatch: pytest.MonkeyPatch):
    joins = _spied(monkeypatch, next_sentence, "joined")
    hides = _spied(monkeypatch, next_sentence, "disguise")
    objective, network = next_sentence.NextSentence(words=0.5), _network()
    encoder: Any = network.encoder
    state: Any = _state(objective, network)
    answer, hidden = state["answer"], state["hidden"]
    loss = objective.loss(_moment(network, state, TEXTS, seed=2))
    (slots, partner), (texts, second) = joins[0]
    (_, chosen, *_), (shown, masked) = hides[0]
    assert [int((text > 0).sum()) for text in slots] == [14, 7, 4, 6]  # short ones are not asked
    same = [int(other) == row for row, other in enumerate(partner)]
    assert set(same) == {True, False}
    answers, words = [], []
    for row, text in enumerate(texts):
        count = int((text > 0).sum())
        entered = encoder.embed(shown[row, None, :count])
        for place in range(count):
            if masked[row, place]:
                entered[0, place, :-1] = hidden.mask
            if second[row, place]:
                entered[0, place, :-1] += answer.second
        states = _numbers(encoder.states(entered)[0])
        dense, _, out = answer.body
        half = int((~second[row, :count]).sum())
        one, other = states[:half].mean(0), states[half:].mean(0)
        both = np.concatenate([one, other, one * other, abs(one - other)])
        told = float(_linear(out, np.tanh(_linear(dense, both)))[0])
        answers.append(math.log1p(math.exp(-told if same[row] else told)))
        for place in np.flatnonzero(chosen[row].numpy()):
            vector = _changed(hidden.guess, states[place])
            words.append(_surprise(hidden.guess, encoder, vector, int(text[place])))
    assert loss.terms["next"].item() == pytest.approx(np.mean(answers), rel=1e-5)
    assert loss.terms["words"].item() == pytest.approx(0.5 * np.mean(words), rel=1e-5)


def test_half_of_the_second_halves_are_of_another_text(monkeypatch: pytest.MonkeyPatch):
    joins = _spied(monkeypatch, next_sentence, "joined")
    objective, network = next_sentence.NextSentence(words=0.0), _network()
    state = _state(objective, network)
    assert set(dict(state.named_children())) == {"answer"}
    texts: npt.NDArray[np.int64] = np.random.default_rng(0).integers(2, 22, (2000, 4))
    loss = objective.loss(_moment(network, state, texts.tolist()))
    assert set(loss.terms) == {"next"}
    own = (joins[0][0][1] == torch.arange(2000)).float().mean()
    assert abs(float(own) - 0.5) < 5 * math.sqrt(0.25 / 2000)


def test_a_batch_of_short_texts_asks_nothing():
    objective, network = next_sentence.NextSentence(), _network()
    loss = objective.loss(_moment(network, _state(objective, network), [[2, 3], [4]]))
    assert loss.total.item() == 0
    loss.total.backward()
