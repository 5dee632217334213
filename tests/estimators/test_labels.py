"""Which labels are missing, in every way that people write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from leaven.sklearn.labels import read_labels, unlabelled

NAN = float("nan")


@pytest.mark.parametrize(
    ("y", "classes", "targets"),
    [
        ([2, -1, 7, 2], [2, 7], [0, -1, 1, 0]),
        (np.array([2.0, -1.0, NAN, 7.0]), [2.0, 7.0], [0, -1, -1, 1]),
        (np.array([2, 7, 2], np.uint8), [2, 7], [0, 1, 0]),
        ([True, False, True], [False, True], [1, 0, 1]),
        (["b", "", "a", "-1"], ["a", "b"], [1, -1, 0, -1]),
        (["b", None, "a", NAN, -1, -1.0], ["a", "b"], [1, -1, 0, -1, -1, -1]),
        (np.array(["b", -1, "a"]), ["a", "b"], [1, -1, 0]),  # NumPy makes words of it
        (np.array([2, None, 7], object), [2, 7], [0, -1, 1]),
        (np.array([True, None, False], object), [False, True], [1, -1, 0]),
        (pd.Series(["b", None, "a"]), ["a", "b"], [1, -1, 0]),
        (pd.Series(["b", pd.NA, "a"], dtype="string"), ["a", "b"], [1, -1, 0]),
        (pd.Series([2, pd.NA, 7], dtype="Int64"), [2, 7], [0, -1, 1]),
        (pd.Series(["b", None, "a"], dtype="category"), ["a", "b"], [1, -1, 0]),
        (pl.Series(["b", None, "a"]), ["a", "b"], [1, -1, 0]),
    ],
)
def test_labels_and_missing_ones(y: Any, classes: list[Any], targets: list[int]):
    found, places = read_labels(y)
    assert found.tolist() == classes
    assert places.tolist() == targets
    assert unlabelled(y).tolist() == [target < 0 for target in targets]


def test_a_class_may_be_called_nan_in_an_array_of_words():
    assert read_labels(np.array(["nan", "a"]))[0].tolist() == ["a", "nan"]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([-1, -1], "y has no label"),
        ([None, NAN, ""], "y has no label"),
        ([0.5, 1.5, -1.0], "Unknown label type"),
        ([0.0, np.inf], "infinity"),
        (np.array(["a", 1, None], object), "words or numbers"),
        (np.zeros((2, 2)), "1d array"),
    ],
)
def test_labels_that_cannot_be_used(y: Any, message: str):
    with pytest.raises(ValueError, match=message):
        read_labels(y)
