"""Shares of the classes from unlabelled records: found where labels hide them, left where not."""

from __future__ import annotations

import numpy as np
import pytest

from leaven.evaluate.shares import drawn_evenly, estimate_shares


def outputs(y, sharpness, rng, bias=(0.0, 0.0)):
    """What a model says that is right by nature: two clouds on a line, `sharpness` apart."""
    x = rng.normal(size=len(y)) + sharpness * (y - 0.5)
    return np.column_stack([-sharpness * x / 2 + bias[0], sharpness * x / 2 + bias[1]])


def problem(per, share, sharpness=2.0, seed=0, bias=(0.0, 0.0)):
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1], per)
    pool = (rng.random(1500) < share).astype(int)
    return outputs(y, sharpness, rng, bias), y, outputs(pool, sharpness, rng, bias)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.9])
def test_shares_are_found_from_labels_that_were_drawn_evenly(share):
    found = estimate_shares(*problem(100, share), ("no", "yes"))
    assert found.estimated[1] == pytest.approx(share, abs=0.06)
    assert found.low[1] - 0.02 <= share <= found.high[1] + 0.02
    assert sum(found.estimated) == pytest.approx(1)


def test_a_bias_of_the_model_is_not_taken_for_a_share():
    """It leans to the second class by a nat, on labelled records as on others."""
    left_out, y, pool = problem(150, 0.5, bias=(0.0, 1.0))
    found = estimate_shares(left_out, y, pool, ("no", "yes"))
    assert found.estimated[1] == pytest.approx(0.5, abs=0.1)


def test_few_labels_leave_the_estimate_nearer_to_equal_shares():
    many = [estimate_shares(*problem(100, 0.05, seed=s), ("a", "b")) for s in range(5)]
    few = [estimate_shares(*problem(4, 0.05, seed=s), ("a", "b")) for s in range(5)]
    assert np.mean([f.estimated[1] for f in few]) > np.mean([m.estimated[1] for m in many]) + 0.02
    width = [np.mean([f.high[1] - f.low[1] for f in found]) for found in (few, many)]
    assert width[0] > width[1], "and it says that it is less sure"


def test_labels_that_came_as_they_are_tell_the_shares_themselves():
    left_out, y, pool = problem(50, 0.1)
    kept = np.r_[np.arange(50), np.arange(50, 57)]
    found = estimate_shares(left_out[kept], y[kept], pool, ("a", "b"))
    assert not found.shifted
    assert found.estimated == found.labelled


def test_a_model_that_knows_nothing_moves_nothing():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 10)
    found = estimate_shares(
        rng.normal(size=(30, 3)), y, rng.normal(size=(1000, 3)), ("a", "b", "c")
    )
    assert np.abs(np.subtract(found.estimated, found.labelled)).max() < 0.15


def test_few_unlabelled_records_are_not_asked():
    left_out, y, pool = problem(50, 0.1)
    found = estimate_shares(left_out, y, pool[:40], ("a", "b"))
    assert not found.shifted
    assert "not estimated" in found.sentence


def test_how_labels_were_drawn_is_read_from_their_counts():
    assert drawn_evenly([25, 25, 25, 25]) > 0.99
    assert drawn_evenly([4, 4]) > 0.8
    assert drawn_evenly([30, 21]) == 0
    assert drawn_evenly([25, 25, 25, 25, 3]) > 0.99, "a rare class gave all it had"
    assert drawn_evenly([12]) == 0
    rng = np.random.default_rng(0)
    at_random = [drawn_evenly(rng.multinomial(40, [0.25] * 4)) for _ in range(200)]
    assert np.mean(np.array(at_random) > 0.8) < 0.05


def test_no_class_is_given_up_where_the_model_is_sure_of_little():
    """Under shares of 3 % the rare class would never be likelier; it is named all the same."""
    left_out, y, pool = problem(100, 0.03, sharpness=1.2)
    found = estimate_shares(left_out, y, pool, ("no", "yes"))
    assert found.estimated[1] < 0.15
    named = (pool + np.log(np.divide(found.used, found.labelled))).argmax(1).mean()
    plain = (pool + np.log(np.divide(found.estimated, found.labelled))).argmax(1).mean()
    assert named >= 0.4 * found.estimated[1] > plain
    assert found.estimated[1] < found.used[1] < 0.5
