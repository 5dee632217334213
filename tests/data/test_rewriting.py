"""Rewriters are held to what they must give, and ours to its formula."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaven.core.errors import DataError, SettingError
from leaven.data.rewriting import ContextRewriter, rewritten

FEW = ["The red car is fast.", "A blue car is slow!", "The blue bike is fast.", "a red bus came"]


def all_of(texts: list[str | None], rewriter: Callable[[list[str]], list[str]], times: int) -> list:
    return [text for part in rewritten(texts, rewriter, times) for text in part.to_pylist()]


def test_rewritings_of_a_text_stand_together() -> None:
    calls: list[list[str]] = []

    def shout(texts: list[str]) -> list[str]:
        calls.append(texts)
        return [text.upper() for text in texts]

    assert all_of(["a", None, "b"], shout, 2) == ["A", "A", "", "", "B", "B"]
    assert calls == [["a", "a", "", "", "b", "b"]]
    assert all_of([], shout, 2) == []
    assert len(all_of(["x"] * 5000, shout, 1)) == 5000


def too_few(texts: list[str]) -> list[str]:
    return texts[1:]


def nothing(texts: list[str]) -> Any:
    return None


def one_text(texts: list[str]) -> Any:
    return "".join(texts)


def with_gaps(texts: list[str]) -> Any:
    return [texts[0], None]


class Translator:
    def __call__(self, texts: list[str]) -> Any:
        return (text for text in texts)


@pytest.mark.parametrize(
    ("rewriter", "said"),
    [
        (too_few, "'too_few' must give a list of 2 texts for as many. Got 1. Give back"),
        (nothing, "'nothing' must give .* Got NoneType. Return a list"),
        (one_text, "'one_text' must give .* Got str. Return a list"),
        (with_gaps, "'with_gaps' must give .* Got NoneType at place 1. Give back"),
        (Translator(), "'Translator' must give .* Got generator. Return a list"),
    ],
)
def test_a_rewriter_that_gives_something_else_is_named(rewriter: Any, said: str) -> None:
    with pytest.raises(DataError, match=f"the rewriter {said}"):
        all_of(["a", "b"], rewriter, 1)


def test_times_and_shares_have_bounds() -> None:
    with pytest.raises(SettingError, match="'times' must be a number of rewritings of at least 1"):
        all_of(["a"], too_few, 0)
    with pytest.raises(SettingError, match="'share' must be"):
        ContextRewriter(FEW, share=1.5)


def oracle(texts: list[list[str]], own: list[str], place: int) -> dict[str, float]:
    """The chances of each word at a place: counts between the same neighbours, with back-off."""

    def counts(fits: Callable[[str, str], bool]) -> Counter[str]:
        found: Counter[str] = Counter()
        for words in texts:
            row = ["", *words, ""]
            for i in range(1, len(row) - 1):
                if fits(row[i - 1], row[i + 1]):
                    found[row[i]] += 1
        found.pop(own[place], None)
        return found

    padded = ["", *own, ""]
    left, right = padded[place], padded[place + 2]
    both = Counter[str]() if left == right == "" else counts(lambda a, b: (a, b) == (left, right))
    if both:
        return {word: n / both.total() for word, n in both.items()}
    sides = [
        counts(lambda a, b: a == left) if left else Counter[str](),
        counts(lambda a, b: b == right) if right else Counter[str](),
    ]
    sides = [side for side in sides if side]
    chances: dict[str, float] = {}
    for side in sides:
        for word, n in side.items():
            chances[word] = chances.get(word, 0) + n / side.total() / len(sides)
    return chances


def test_words_are_drawn_as_the_counts_say() -> None:
    chance = np.random.default_rng(0)
    texts = [list(chance.choice(list("abcde"), chance.integers(1, 6))) for _ in range(40)]
    rewriter = ContextRewriter([" ".join(words) for words in texts], share=1.0)
    copies = 4000
    backed_off = 0
    for own in (*texts[:4], ["a", "zebra", "b"], ["e", "d", "zebra", "c"], ["zebra"]):
        said = rewriter([" ".join(own)] * copies)
        rows = [text.split() for text in said]
        assert {len(row) for row in rows} == {len(own)}
        for place, word in enumerate(own):
            expected = oracle(texts, own, place) or {word: 1.0}
            backed_off += "zebra" in own[max(place - 1, 0) : place + 2]
            found = Counter(row[place] for row in rows)
            for other in {*expected, *found}:
                gap = found[other] / copies - expected.get(other, 0.0)
                assert abs(gap) < 0.04, (own, place, other)
    assert backed_off


def test_no_word_comes_from_nowhere_and_the_rest_stays() -> None:
    rewriter = ContextRewriter(FEW, share=0.5)
    known = {word for text in FEW for word in text.lower().strip(".!").split()}
    for text, said in zip(FEW * 20, rewriter(FEW * 20), strict=True):
        own, new = text.lower().split(), said.split()
        assert len(own) == len(new)
        for before, after in zip(own, new, strict=True):
            assert after.strip(".!") in known
            signs = before.removeprefix(before.rstrip(".!"))
            assert after.removeprefix(after.rstrip(".!")) == signs, "punctuation stays"
    strange = ["", "wholly unknown words", "Ünïcode? \0 no."]
    assert rewriter(strange) == ["", "wholly unknown words", "ünïcode?   no."]
    marks = ContextRewriter(["so ? it ! is", "so a it b is", "so"], share=1.0)
    assert marks(["so ? it ! is"] * 9) == ["so ? it ! is"] * 9
    assert set(marks(["so a it b is"] * 9)) == {"so a it b is"}


def test_the_share_is_the_told_one() -> None:
    chance = np.random.default_rng(0)
    texts = [" ".join(f"w{k}" for k in chance.integers(0, 30, 20)) for _ in range(1000)]
    for share in (0.0, 0.15, 0.5):
        said = ContextRewriter(texts, share=share)(texts)
        changed = [
            sum(a != b for a, b in zip(one.split(), other.split(), strict=True))
            for one, other in zip(texts, said, strict=True)
        ]
        # Every word here can be replaced, so a record's share is that of whole words.
        assert set(changed) == {round(20 * share)}


def test_one_seed_gives_one_rewriting_and_copies_differ() -> None:
    texts = FEW * 5
    one, other = ContextRewriter(FEW, 0.5, seed=3), ContextRewriter(FEW, 0.5, seed=3)
    assert one(texts) == other(texts) == one(texts)
    assert one(texts) != ContextRewriter(FEW, 0.5, seed=4)(texts)
    assert len(set(all_of(FEW[:1], one, 30))) > 5


@given(st.lists(st.none() | st.text(max_size=20), max_size=8), st.integers(0, 9))
@settings(deadline=None)
def test_any_texts_can_be_learnt_from_and_rewritten(texts: list[str | None], seed: int) -> None:
    rewriter = ContextRewriter(texts, share=0.7, seed=seed)
    assert len(all_of(texts, rewriter, 2)) == 2 * len(texts)
    assert len(rewriter(FEW)) == len(FEW)
