"""Checks and duplicates: what is planted is found, what is sound is left alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaven.core.errors import DataError
from leaven.data.arrays import Arrays
from leaven.data.checks import check, unseen_labels
from leaven.data.dataset import Column, Dataset, Finding
from leaven.data.duplicates import exact, groups, near_images, near_rows, near_texts, simhash
from leaven.data.splits import Split, split

NONE = np.zeros(0, np.int64)


def named(found: list[Finding], name: str) -> Finding:
    """The one finding of that name."""
    hits = [f for f in found if f.name == name]
    assert len(hits) == 1, [f.name for f in found]
    return hits[0]


def absent(found: list[Finding], *names: str) -> bool:
    return not {f.name for f in found} & set(names)


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 3))


def test_a_sound_dataset_has_nothing_grave() -> None:
    dataset = Dataset.from_arrays(noise(600), np.arange(600) % 2)
    assert [f.name for f in check(dataset, None, split(dataset))] == ["unlabelled-share"]


def test_missing_and_constant_columns() -> None:
    n = 300
    table = pa.table(
        {
            "x": noise(n)[:, 0],
            "same": [1] * n,
            "nearly": ["a"] * (n - 1) + ["b"],
            "gone": [None] * 200 + [2.0] * 50 + [3.0] * 50,
            "y": [0, 1] * (n // 2),
        }
    )
    found = check(Dataset.from_frame(table))
    assert named(found, "constant-column").examples == ("same",)
    assert named(found, "nearly-constant-column").examples == ("nearly",)
    missing = named(found, "missing-values")
    assert (missing.examples, missing.count, missing.severity) == (("gone",), 200, "warning")


def test_vectors_whose_neighbours_are_alike_may_be_series() -> None:
    rng = np.random.default_rng(0)
    walks = rng.normal(size=(60, 40)).cumsum(1)
    for values, told in (
        (walks, True),
        (walks[:, rng.permutation(40)], False),  # the same numbers without their order
        (rng.normal(size=(60, 40)) + 9 * np.sin(np.arange(40) / 4), False),  # shared by all
        (walks[:, :12], False),  # too few numbers to tell
        (np.ones((60, 40)), False),
    ):
        dataset = Dataset.from_arrays(values, np.arange(60) % 2, modality="embedding")
        arrays = Arrays({"features": values.astype(np.float32)})
        found = check(dataset, arrays)
        assert absent(found, "check-failed")
        assert absent(found, "vectors-in-order") is not told
        if told:
            finding = named(found, "vectors-in-order")
            assert "--modality series" in finding.advice
            assert finding.count == 60
    assert absent(check(dataset), "vectors-in-order")


@pytest.mark.parametrize("kind", ["numbers", "words"])
def test_revealing_columns(kind: str) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 200)
    leak = y * 10 + rng.normal(size=200) if kind == "numbers" else np.array(["p", "q", "r"])[y]
    table = {"x": rng.normal(size=200), "leak": leak, "half": y + rng.normal(size=200)}
    dataset = Dataset.from_frame(pa.table({**table, "y": y}))
    found = named(check(dataset), "revealing-column")
    assert found.examples == ("leak",)
    assert "predicts" in found.message
    few = dataset.select(np.arange(40))
    assert absent(check(few), "revealing-column")


def test_a_rare_class_does_not_make_every_column_suspect() -> None:
    y = np.r_[np.ones(8, int), np.zeros(992, int)]
    assert absent(check(Dataset.from_arrays(noise(1000), y)), "revealing-column")


def test_texts_that_name_their_label() -> None:
    texts = [f"[{'ab'[i % 2] * 2}] some words that say {i}" for i in range(60)]
    found = named(check(Dataset.from_arrays(texts, ["aa", "bb"] * 30)), "revealing-text")
    assert found.count == 60
    assert absent(check(Dataset.from_arrays(texts, ["xx", "yy"] * 30)), "revealing-text")


def test_duplicates_and_conflicts() -> None:
    X = noise(40)
    X[5], X[6], X[9] = X[4], X[4], X[8]
    y = np.arange(40) % 2
    y[8] = y[9] = 1
    found = check(Dataset.from_arrays(X, y))
    assert named(found, "duplicates").count == 3
    conflict = named(found, "conflicting-labels")
    assert (conflict.severity, conflict.count) == ("error", 3)
    assert found[0] == conflict, "the gravest comes first"
    assert absent(found, "near-duplicates")


def test_duplicates_across_the_holdout() -> None:
    X = noise(40)
    X[30], X[31] = X[0], X[1] * (1 + 1e-9)
    dataset = Dataset.from_arrays(X, np.arange(40) % 2)
    bad = Split("holdout", "", np.arange(30), NONE, np.arange(30, 40), (), NONE, NONE)
    found = check(dataset, None, bad)
    assert (
        named(found, "holdout-duplicates").severity,
        named(found, "holdout-duplicates").count,
    ) == ("error", 1)
    assert named(found, "holdout-near-duplicates").count == 1


def test_labels_are_looked_at() -> None:
    labels = ["positive"] * 40 + ["positve"] + ["Negative"] * 45 + ["negative"] * 2 + ["odd"]
    labels += ["route_1"] * 40 + ["route_2"] + ["few"] * 3 + [""] * 40
    dataset = Dataset.from_arrays(noise(len(labels)), labels)
    found = check(dataset)
    typos = {f.examples: f.message for f in found if f.name == "label-typo"}
    assert set(typos) == {("positve", "positive"), ("negative", "Negative")}
    assert "Did you mean 'positive'?" in typos["positve", "positive"]
    assert named(found, "single-record-classes").examples == ("odd", "route_2")
    assert set(named(found, "few-labels").examples) == {"few", "negative"}
    assert named(found, "imbalance").examples[0] == "Negative"
    assert named(found, "unlabelled-share").count == 40
    assert len(dataset.labelled) == len(labels) - 40, "the records are kept as labelled"


def test_strange_label_columns() -> None:
    X = noise(60)
    assert named(check(Dataset.from_arrays(X, ["a"] * 60)), "single-class").severity == "error"
    assert named(check(Dataset.from_arrays(X, noise(60)[:, 0])), "many-classes")
    assert named(check(Dataset.from_arrays(X)), "no-labels")


def test_unseen_labels() -> None:
    dataset = Dataset.from_arrays(noise(5), ["a", "b", "c", "c", None])
    assert unseen_labels(dataset, ["a", "b", "c", "d"]) is None
    found = unseen_labels(dataset, ["a", "b"])
    assert found is not None
    assert (found.count, found.examples) == (2, ("c",))


def test_leaks_of_group_and_time() -> None:
    n = 40
    table = pa.table(
        {"x": noise(n)[:, 0], "g": ["p", "q"] * 20, "t": range(n), "y": [0, 1, 1, 0] * 10}
    )
    dataset = Dataset.from_frame(table, group="g", time="t")
    bad = Split("holdout", "", np.arange(10, 40), NONE, np.arange(10), (), NONE, NONE)
    found = check(dataset, None, bad)
    assert named(found, "group-leak").count == 30
    assert named(found, "time-leak").count == 30
    good = Split("holdout", "", np.arange(0, 30, 2), NONE, np.arange(31, 40, 2), (), NONE, NONE)
    assert absent(check(dataset, None, good), "group-leak", "time-leak")


def test_unlabelled_records_of_another_kind() -> None:
    X = noise(200)
    X[100:, 1] += 3
    X[100:170, 2] = np.nan
    found = check(Dataset.from_arrays(X, np.r_[np.arange(100) % 2, -np.ones(100, int)]))
    unlike = {f.examples[0] for f in found if f.name == "unlike-unlabelled"}
    assert unlike == {"x1", "x2"}


def test_quarantine_is_summed_up_by_reason() -> None:
    dataset = Dataset.from_arrays(noise(6), [0, 1] * 3)
    dataset = dataset.reject(np.array([1, 4]), [("undecodable", "cut"), ("undecodable", "cut")])
    found = named(check(dataset), "quarantine")
    assert (found.count, found.examples) == (2, ("data row 2", "data row 5"))
    assert len(dataset) == 4


def test_a_check_that_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("odd")

    monkeypatch.setattr("leaven.data.checks.revealing_columns", broken)
    found = check(Dataset.from_arrays(noise(5), [0, 1, 0, 1, 0]))
    assert "ZeroDivisionError" in named(found, "check-failed").message


CELL = st.one_of(st.none(), st.floats(), st.integers(-5, 5), st.text(max_size=5), st.booleans())


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.text(max_size=3), CELL, CELL), min_size=1, max_size=50),
    st.sampled_from(["text", "tabular"]),
)
def test_no_data_breaks_a_check(rows: list[tuple[object, ...]], modality: str) -> None:
    names = ("w", "c", "label")
    table = pa.table(
        {
            name: pa.array([None if row[i] is None else str(row[i]) for row in rows], pa.string())
            for i, name in enumerate(names)
        }
    )
    try:
        dataset = Dataset.from_frame(table, modality=modality)
    except DataError:
        return  # no record or no column is left
    assert absent(check(dataset, None, split(dataset)), "check-failed")


# Duplicates ---------------------------------------------------------------------------------------


def test_near_texts() -> None:
    long = "the committee met on tuesday to discuss the budget for the coming year and " * 6
    texts = [
        "Hello,   World! it is me",
        "hello world it is me",
        long + "one",
        long + "one " + "two",
        "", None, "!!!",
        "one word", "one", "two",
        "completely other words in this line",
    ]  # fmt: skip
    found = [g.tolist() for g in groups(near_texts(pa.array(texts)))]
    assert found == [[0, 1], [2, 3]]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text("ab c", max_size=20), min_size=1, max_size=20))
def test_equal_words_have_equal_hashes_wherever_they_stand(texts: list[str]) -> None:
    together = simhash(pa.array(texts))
    alone = [int(simhash(pa.array([text]))[0]) for text in texts]
    assert together.tolist() == alone
    for text, value in zip(texts, alone, strict=True):
        assert (value == 0) == (not text.strip())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 2))
def test_near_images_finds_every_close_pair(seed: int, change: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (30, 3, 12, 14), dtype=np.uint8)
    pixels[7] = pixels[3]
    pixels[7, 0, 0, 0] = (int(pixels[7, 0, 0, 0]) + change) % 256
    pixels[9] = pixels[3] // 2
    found = [g.tolist() for g in groups(near_images(pixels))]
    assert found == [[3, 7]]


def test_images_that_look_alike_are_reported() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (10, 1, 8, 8), dtype=np.uint8)
    pixels[4] = pixels[2] + (pixels[2] < 250)
    dataset = Dataset.from_arrays(pixels[:, 0], [0, 1] * 5)
    found = named(check(dataset, Arrays({"pixels": pixels})), "near-duplicates")
    assert set(found.examples) == {dataset.ids[2], dataset.ids[4]}


def test_near_rows() -> None:
    columns = (Column("x", "numeric"), Column("c", "categorical"))
    table = pa.table(
        {"x": [1.0, 1.0004, 1.006, None, None, 0.0, -0.0], "c": ["a"] * 5 + [None] * 2}
    )
    found = [g.tolist() for g in groups(near_rows(table, columns))]
    assert sorted(found) == [[0, 1], [3, 4], [5, 6]]


def test_many_are_searched_quickly_and_in_full() -> None:
    rng = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in range(5000)])
    texts = [" ".join(row) for row in words[rng.integers(0, 5000, (20_000, 8))]]
    texts[19_000:] = [text.upper() + "." for text in texts[:1000]]
    found = groups(near_texts(pa.array(texts)))
    assert {tuple(g) for g in found} == {(i, 19_000 + i) for i in range(1000)}


def test_exact() -> None:
    assert exact(np.array(["b", "a", "b", "a", "c"])).tolist() == [0, 1, 0, 1, 4]
