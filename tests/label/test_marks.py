"""What a person should look at first: the words a guess rests on, the values that stand out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaven.data.dataset import Dataset
from leaven.label.asking.marks import deciding_words, unusual_values


class ByWord:
    """A model that is sure of spam by each of its words, and reads no empty text."""

    classes = ("ham", "spam")

    def predict(self, dataset: Dataset) -> tuple[Dataset, np.ndarray]:
        texts = dataset.records["text"].to_pylist()
        kept = np.flatnonzero([bool(text.strip()) for text in texts])
        share = [0.1 + 0.4 * ("prize" in texts[i]) + 0.3 * ("win" in texts[i]) for i in kept]
        return dataset.select(kept), np.stack([1 - np.array(share), share], 1)


def texts(*told: str) -> Dataset:
    return Dataset.from_frame(pa.table({"text": list(told)}), label=False, modality="text")


def test_the_words_that_a_guess_rests_on_are_marked_the_weightiest_first():
    records = texts("you win a prize today", "see you at noon", "prize", "")
    found = deciding_words(records, [0, 1, 2], ByWord(), ["spam", "ham", "spam"])
    text = "you win a prize today"
    assert [text[a:b] for a, b in found[0]] == ["prize", "win"]
    assert found[1] == []
    assert found[2] == [], "a text of one word has nothing to choose from"


def test_rows_may_come_in_any_order_and_twice():
    records = texts("see you at noon", "you win a prize")
    found = deciding_words(records, [1, 0, 1], ByWord(), ["spam", "ham", "spam"])
    assert found[0] == found[2] == [(10, 15), (4, 7)]


def test_a_long_text_is_erased_by_runs_of_words():
    long = " ".join(["word"] * 200 + ["prize"] + ["word"] * 200)
    ((span,),) = deciding_words(texts(long, "x y"), [0], ByWord(), ["spam"])
    assert "prize" in long[slice(*span)]
    assert span[1] - span[0] < 120


@given(st.lists(st.text(max_size=60), min_size=1, max_size=5))
def test_spans_lie_in_their_text(told: list[str]):
    records = texts(*[one.replace("\0", " ") or " x" for one in told], "prize win")
    shown = records.records["text"].to_pylist()
    rows = list(range(len(records)))
    found = deciding_words(records, rows, ByWord(), ["spam"] * len(rows))
    for text, spans in zip(shown, found, strict=True):
        assert all(0 <= a < b <= len(text) for a, b in spans)


def table(n: int = 200) -> Dataset:
    rng = np.random.default_rng(0)
    price = rng.normal(10, 1, n)
    price[3] = 99.0
    kind = np.array(["a", "b"])[rng.integers(0, 2, n)]
    kind[5] = "odd"
    columns = {"price": price, "same": np.ones(n), "kind": kind, "key": [f"k{i}" for i in range(n)]}
    return Dataset.from_frame(pa.table(columns), label=False, modality="tabular")


def test_values_far_from_the_others_and_rare_names_are_marked():
    assert unusual_values(table(), [0, 3, 5]) == [[], ["price"], ["kind"]]


@pytest.mark.parametrize("n", [20, 99])
def test_few_records_have_no_usual(n: int):
    assert unusual_values(table(n), [3, 5]) == [[], []]
