"""Equal rows taken together, as NumPy takes them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from leaven.learn.answers import counted, distinct


@given(st.integers(0, 40), st.integers(0, 90), st.sampled_from([2, 1000, 2**40]), st.integers(0, 9))
def test_equal_rows_are_numpys(n: int, m: int, top: int, seed: int):
    """Many wide columns hold more rows than a number does."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(-1, top, (n, m))
    if n:
        rows = rows[rng.integers(0, max(1, n // 2), n)]
    found = distinct(rows)
    np.testing.assert_array_equal(found.rows[found.place], rows)
    assert found.times.sum() == n
    if n and m:
        unique, times = np.unique(rows, axis=0, return_counts=True)
        np.testing.assert_array_equal(found.rows, unique)
        np.testing.assert_array_equal(found.times, times)


def test_classes_are_counted():
    assert counted(np.array([[0, 2, -1], [2, 2, 2]]), 3).tolist() == [[1, 0, 1], [0, 0, 3]]
    assert counted(np.zeros((0, 4), int), 2).shape == (0, 2)
