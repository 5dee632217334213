"""Texts: words, lengths, empty ones, and texts from people who did not read the manual."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from leaven.core.errors import DataError, SettingError
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.data.words import MASK, VOCABULARY, word_codes

Make = Callable[..., Dataset]
text = MODALITIES["text"]


def codes(*texts: str | None) -> list[list[int]]:
    """Each text's codes."""
    column = pa.chunked_array([pa.array(texts, pa.string())])
    parts = [np.split(found, ends[:-1]) for _, found, ends in word_codes(column)]
    return [row.tolist() for part in parts for row in part]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("HELLO World", "hello, world..."),
        ("ｆｕｌｌ ﬁsh", "full fish"),
        ("it\u2019s", "it's"),
        ("user_id=5", "user id 5"),
        ("cafe\u0301", "caf\u00e9"),
        ("a\0b", "a b"),
        ("«привет»", "ПРИВЕТ"),
        ("مرحبا، كيف", "مرحبا كيف"),
    ],
)
def test_written_differently_and_the_same_words(one: str, other: str) -> None:
    first, second = codes(one, other)
    assert first == second
    assert first


@pytest.mark.parametrize(
    ("sentence", "count"),
    [
        ("don't pay 3.14 or 1,000.50", 5),
        ("今天天气", 4),
        ("हिन्दी में लिखा", 3),
        ("really?! ok.", 4),
        ("great 👍", 2),
        ("-- ... ;;", 0),
        ("", 0),
    ],
)
def test_word_count(sentence: str, count: int) -> None:
    assert len(codes(sentence)[0]) == count


@given(st.lists(st.none() | st.text(max_size=30), max_size=20))
def test_texts_together_are_texts_alone(texts: list[str | None]) -> None:
    together = codes(*texts)
    assert len(together) == len(texts)
    for one, found in zip(texts, together, strict=True):
        assert codes(one) == [found]
        assert all(0 < code < MASK for code in found)


def test_no_word_has_the_code_of_the_mask() -> None:
    # Two of the few words whose hash is the last one.
    assert codes("w1110327 w1165392") == [[VOCABULARY - 2] * 2]
    assert MASK == VOCABULARY - 1


def test_slices_join_without_a_seam() -> None:
    texts = [f"word{i % 7} " * (i % 4) for i in range(9000)]
    assert [len(row) for row in codes(*texts)] == [i % 4 for i in range(9000)]


def test_spec_and_tokens(make_dataset: Make) -> None:
    texts = ["one two three"] * 97 + ["w " * 500] * 3
    data = make_dataset("text", body=("text", texts))
    spec = text.describe(data)
    assert spec == {"column": "body", "length": 8}
    arrays, rejected = text.decode(data, spec)
    assert not rejected
    assert arrays["tokens"].shape == (100, 8)
    assert arrays["tokens"].dtype == np.int32
    assert arrays["tokens"][0].tolist() == codes("one two three")[0] + [0] * 5
    long = make_dataset("text", body=("text", ["w " * 5000]))
    assert text.describe(long)["length"] == 256


def test_a_long_text_keeps_head_and_tail(make_dataset: Make) -> None:
    numbered = [f"n{i}" for i in range(50)]
    data = make_dataset("text", body=("text", [" ".join(numbered), " ".join(numbered[:16])]))
    arrays, _ = text.decode(data, {"column": "body", "length": 16})
    every = codes(" ".join(numbered))[0]
    assert arrays["tokens"].tolist() == [every[:12] + every[-4:], every[:16]]


def test_a_huge_text_is_read_from_its_ends(make_dataset: Make) -> None:
    huge = "first " + "x" * 3_000_000 + " last"
    arrays, _ = text.decode(
        make_dataset("text", body=("text", [huge])), {"column": "body", "length": 8}
    )
    found = arrays["tokens"][0].tolist()
    assert found[0] == codes("first")[0][0]
    assert codes("last")[0][0] in found
    assert len(codes("w " * 1_000_000)[0]) == 10_000


def test_empty_texts_are_rejected_by_position(make_dataset: Make) -> None:
    data = make_dataset("text", body=("text", ["fine", None, "  \n", "...", "ok"]))
    arrays, rejected = text.decode(data, {"column": "body", "length": 8})
    assert [(i, reason) for i, reason, _ in rejected] == [(i, "empty text") for i in (1, 2, 3)]
    assert [detail for _, _, detail in rejected] == [
        "the text is missing",
        "the text is blank",
        "no words in '...'",
    ]
    assert len(arrays) == 5
    assert not arrays["tokens"][1:4].any()


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["a b", "c"]).dictionary_encode(),
        pa.chunked_array([["a b"], ["c"]]),
        pa.array(["a b", "c"], pa.large_string()),
    ],
    ids=["dictionary", "chunks", "large"],
)
def test_any_storage_of_strings(make_dataset: Make, values: object) -> None:
    data = make_dataset("text", body=("text", values))
    arrays, rejected = text.decode(data, text.describe(data))
    assert not rejected
    assert arrays["tokens"][0, :2].tolist() == codes("a b")[0]


def test_views_and_plain(make_dataset: Make) -> None:
    sentence = "the quick brown fox jumps over the lazy dog and runs away again"
    data = make_dataset("text", body=("text", [f"{sentence} {i}" for i in range(300)]))
    spec = text.describe(data)
    arrays, _ = text.decode(data, spec)
    batch = arrays.batch(np.arange(300))
    full = (batch["tokens"] != 0).sum().item()
    assert torch.equal(text.plain(batch)["tokens"], batch["tokens"])
    weak = (text.weak(batch, spec, rng())["tokens"] != 0).sum().item() / full
    strong = (text.strong(batch, spec, rng())["tokens"] != 0).sum().item() / full
    assert abs(weak - 0.9) < 0.02
    assert 0.58 < strong < 0.7  # 32.5 % of what a span of up to 15 % leaves


def numbered(texts: list[str]) -> list[str]:
    """Each text after the number of its place, so that copies differ."""
    return [f"say{i % 3} {text}" if text != "second" else "..." for i, text in enumerate(texts)]


def test_rewritings_are_read_as_texts_are(make_dataset: Make) -> None:
    long = " ".join(f"n{i}" for i in range(50))
    data = make_dataset("text", body=("text", ["first one", "second", None, long]))
    made = text.rewrite(data, {"column": "body", "length": 8}, numbered, 3)
    assert made.shape == (4, 3, 8)
    assert made.dtype == np.int32
    for time in range(3):
        expected = codes(f"say{time} first one")[0]
        assert made[0, time].tolist() == expected + [0] * (8 - len(expected))
        assert not made[1, time].any(), "a rewriting without a word"
        assert made[2, time].tolist() == codes(f"say{time}")[0] + [0] * 7
        whole = codes(f"say{time} {long}")[0]
        assert made[3, time].tolist() == whole[:6] + whole[-2:]
    none = make_dataset("text", body=("text", pa.array([], pa.string())))
    assert text.rewrite(none, {"column": "body", "length": 8}, numbered, 2).shape == (0, 2, 8)


def test_rewritings_are_made_slice_by_slice_in_order(make_dataset: Make) -> None:
    texts = [f"w{i} x" for i in range(5000)]
    data = make_dataset("text", body=("text", texts))
    spec = {"column": "body", "length": 8}
    arrays, _ = text.decode(data, spec)
    made = text.rewrite(data, spec, lambda texts: [t.upper() for t in texts], 2)
    assert (made == arrays["tokens"][:, None]).all()
    with pytest.raises(SettingError, match="'times' must be"):
        text.rewrite(data, spec, list, 0)


def test_strong_views_begin_with_a_rewriting_or_the_original(
    make_dataset: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leaven.data.modalities.text.STRONG", ())
    tokens = torch.arange(1, 9).int().repeat(6000, 1)
    rewritten = torch.stack([tokens + 100, tokens + 200], 1)
    rewritten[:3000, 1] = 0  # no words: the original counts for it
    batch = {"tokens": tokens, "rewritten": rewritten}
    spec = {"column": "body", "length": 8}
    view = text.strong(batch, spec, rng())
    assert set(view) == {"tokens"}
    way = (view["tokens"] - tokens) // 100
    assert (way == way[:, :1]).all()
    whole = torch.bincount(way[3000:, 0], minlength=3) / 3000
    assert (whole - 1 / 3).abs().max() < 0.03
    less = torch.bincount(way[:3000, 0], minlength=3) / 3000
    assert (less - torch.tensor([2 / 3, 1 / 3, 0.0])).abs().max() < 0.03
    assert torch.equal(view["tokens"], text.strong(batch, spec, rng())["tokens"])


def test_rewritings_change_no_other_view(make_dataset: Make) -> None:
    sentence = "the quick brown fox jumps over the lazy dog and runs away again"
    data = make_dataset("text", body=("text", [f"{sentence} {i}" for i in range(50)]))
    spec = text.describe(data)
    batch = text.decode(data, spec)[0].batch(np.arange(50))
    more = batch | {"rewritten": torch.ones(50, 2, spec["length"], dtype=torch.int32)}
    assert set(text.plain(more)) == {"tokens"}
    assert torch.equal(text.plain(more)["tokens"], batch["tokens"])
    weak = text.weak(more, spec, rng())
    assert set(weak) == {"tokens"}
    assert torch.equal(weak["tokens"], text.weak(batch, spec, rng())["tokens"])


def test_show_is_bounded(make_dataset: Make) -> None:
    data = make_dataset("text", body=("text", ["<b>short</b>", "x" * 5000, None]))
    assert text.show(data, 0) == {"kind": "text", "text": "<b>short</b>"}
    assert len(text.show(data, 1)["text"]) == 2000
    assert text.show(data, 2)["text"] == ""


def test_errors_say_what_to_do(make_dataset: Make) -> None:
    two = make_dataset("text", a=("text", ["x"]), b=("text", ["y"]))
    with pytest.raises(DataError, match=r"a \(text\), b \(text\)\. Keep one"):
        text.describe(two)
    with pytest.raises(DataError, match="'body' is missing. The columns are: a, b"):
        text.decode(two, {"column": "body", "length": 8})
    empty = make_dataset("text", body=("text", pa.array([], pa.string())))
    with pytest.raises(DataError, match="at least one record"):
        text.describe(empty)
    lists = make_dataset("text", body=("text", [[1, 2]]))
    with pytest.raises(DataError, match="must hold texts"):
        text.decode(lists, {"column": "body", "length": 8})
