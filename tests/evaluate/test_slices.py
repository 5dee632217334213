"""Slices: what the data offers, and honest p-values on each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaven.data.dataset import Dataset
from leaven.evaluate.report.slices import shares
from leaven.evaluate.slices import corrected, parts_of, sliced


def table(n=60):
    rng = np.random.default_rng(0)
    return Dataset.from_frame(
        pa.table(
            {
                "age": pa.array([float(i) for i in range(n)]),
                "town": pa.array([["rye", "oat", "spelt"][i % 3] for i in range(n)]),
                "same": pa.array([1.0] * n),
                "note": pa.array([" ".join(["word"] * int(rng.integers(1, 30))) for _ in range(n)]),
                "label": pa.array([["yes", "no"][i % 2] for i in range(n)]),
            }
        ),
        label="label",
    )


def test_classes_levels_and_thirds_are_slices():
    dataset = table()
    parts = parts_of(dataset, np.arange(60))
    assert {"class yes", "class no", "town = rye", "age is low", "age is high"} <= set(parts)
    assert not any(name.startswith("same") for name in parts)
    assert parts["age is low"].sum() == 20
    assert (parts["class yes"] == (np.array(dataset.labels.to_pylist()) == "yes")).all()


def test_slices_of_some_records_are_about_those():
    parts = parts_of(table(), np.arange(30, 60))
    assert all(len(mask) == 30 for mask in parts.values())
    assert parts["town = rye"].sum() == 10


def test_texts_are_sliced_by_length():
    texts = ["short"] * 30 + ["a much longer text than the others " * 3] * 30
    dataset = Dataset.from_arrays([f"{t} {i}" for i, t in enumerate(texts)], [0, 1] * 30)
    parts = parts_of(dataset, np.arange(60))
    assert any("is short" in name for name in parts)
    assert any("is long" in name for name in parts)


def test_a_loss_is_shown_only_where_it_is_one():
    ours = np.r_[np.ones(40, bool), np.zeros(20, bool)]
    theirs = np.r_[np.zeros(20, bool), np.ones(40, bool)]
    where = {"won": np.arange(60) < 20, "lost": np.arange(60) >= 40, "few": np.arange(60) >= 55}
    found = {one.name: one for one in sliced(ours, theirs, where)}
    assert set(found) == {"won", "lost"}, "five records are too few for a slice"
    assert found["lost"].lost
    assert not found["won"].lost
    assert (found["lost"].method, found["lost"].baseline) == (0.0, 1.0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_corrected_p_values_are_never_smaller_and_keep_their_order(p_values):
    mended = corrected(p_values)
    assert all(m >= p - 1e-6 for m, p in zip(mended, p_values, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(mended)[order]) >= 0).all()


@pytest.mark.parametrize(
    ("told", "title"),
    [
        ({"trust": 0.6}, "The classes are not as frequent as their labels"),
        ({"trust": 0.0}, "How frequent the classes are is guessed from their names"),
        ({"trust": 1.0, "given": True}, "How frequent the classes are was given"),
        ({"trust": 0.0, "shifted": False}, "How frequent the classes are"),
    ],
)
def test_the_report_says_who_tells_the_shares(told: dict[str, Any], title: str):
    pair, sentence = [0.75, 0.25], "So it is."
    story = {"labelled": [0.5, 0.5], "estimated": pair, "low": pair, "high": pair}
    story |= {"classes": ["no", "yes"], "sentence": sentence, "shifted": True} | told
    shown = shares({"shares": story})
    assert shown is not None
    assert shown["title"] == title
    assert [row["estimated"] for row in shown["rows"]] == (pair if story["shifted"] else [])
