"""Shares of the classes from unlabelled records: found where labels hide them, left where not."""

from __future__ import annotations

import numpy as np
import pytest

from leaven.core.errors import SettingError, UnknownNameError
from leaven.evaluate import shares as module
from leaven.evaluate.shares import drawn_evenly, estimate_shares, expected_shares, given_shares
from leaven.learn.out_of_fold import folds
from leaven.learn.temperature import fit_temperature


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
    named = (pool + np.log(np.divide(found.used(pool), found.labelled))).argmax(1).mean()
    plain = (pool + np.log(np.divide(found.estimated, found.labelled))).argmax(1).mean()
    assert named >= 0.4 * found.estimated[1] > plain
    assert found.estimated[1] < found.used(pool)[1] < 0.5


def taught(per, shares, seed, apart=2.0, width=8):
    """Gaussian clouds, and a model that `per` labels of each have taught where they lie.

    Outputs for labelled records left out in folds, their classes, outputs for unlabelled records
    and for test records, and the classes of these.
    """
    rng = np.random.default_rng([seed, 1])
    k = len(shares)
    centres = rng.normal(size=(k, width))
    centres *= apart / np.linalg.norm(centres - centres.mean(0), axis=1).mean() / np.sqrt(2)
    y, test = np.repeat(np.arange(k), per), rng.choice(k, 2000, p=shares)
    x, pool, new = (
        centres[of] + rng.normal(size=(len(of), width))
        for of in (y, rng.choice(k, 500, p=shares), test)
    )

    def say(known, records):
        means = np.array([x[known][y[known] == c].mean(0) for c in range(k)])
        return records @ means.T - (means**2).sum(1) / 2

    every, left_out = np.arange(len(y)), np.zeros((len(y), k))
    for held in folds(y, seed):
        left_out[held] = say(np.setdiff1d(every, held), x[held])
    temperature = fit_temperature(left_out, y)
    told = (left_out, y, say(every, pool), say(every, new))
    return *(one if one is y else one / temperature for one in told), test


@pytest.fixture
def brief(monkeypatch):
    """Ten draws in place of thirty: many problems are asked."""
    monkeypatch.setattr(module, "_DRAWS", 10)


SHARES = [(0.5, 0.5), (0.8, 0.2), (0.1, 0.9), (0.25,) * 4, (0.6, 0.2, 0.1, 0.1)]


def gains(per, seeds):
    """Points of accuracy by the estimate, and by the true shares, over taking all for equal."""
    found = []
    for shares in SHARES:
        for seed in range(seeds):
            left_out, y, pool, test, truth = taught(per, shares, seed)
            names = tuple(map(str, range(len(shares))))
            used = estimate_shares(left_out, y, pool, names, seed).used(pool)
            plain, ours, best = (
                100 * ((test + np.log(np.multiply(one, len(shares)))).argmax(1) == truth).mean()
                for one in (np.full(len(shares), 1 / len(shares)), used, shares)
            )
            found.append((ours - plain, best - plain))
    return np.array(found)


@pytest.mark.usefixtures("brief")
def test_few_labels_lose_nothing_by_an_estimate():
    """Four of a class do not tell where the classes part, and so not how frequent they are."""
    ours = gains(4, seeds=3)[:, 0]
    assert ours.mean() > -0.3
    assert ours.min() > -6


@pytest.mark.usefixtures("brief")
def test_enough_labels_keep_most_of_what_the_true_shares_would_give():
    ours, best = gains(25, seeds=2).T
    assert best.mean() > 2
    assert ours.mean() > 0.6 * best.mean()
    assert ours.min() > -2


@pytest.mark.usefixtures("brief")
def test_what_could_be_chance_is_no_shift():
    """Four labels of each in 40 dimensions: the draws agree, are wrong, and are not trusted."""
    found = []
    for seed in range(20):
        left_out, y, pool, _, _ = taught(4, (0.5, 0.5), seed, width=40)
        found.append(estimate_shares(left_out, y, pool, ("a", "b"), seed).shifted)
    assert np.mean(found) <= 0.1


EXPECTED = expected_shares(("no", "yes"))


def test_where_records_tell_nothing_most_answers_are_expected_to_be_no():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 4)
    left_out, pool = 0.3 * rng.normal(size=(8, 2)), 0.3 * rng.normal(size=(1000, 2))
    found = estimate_shares(left_out, y, pool, ("no", "yes"), expected=EXPECTED)
    assert found.shifted
    assert found.estimated == pytest.approx((0.75, 0.25))
    assert "'no'" in found.sentence
    assert found.low[0] <= 0.75 <= found.high[0]
    named = (pool + np.log(np.divide(found.used(pool), found.labelled))).argmax(1).mean()
    assert 0.1 <= named < 0.4, "a yes is rarer, and named all the same"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_records_that_tell_the_shares_count_before_the_names(share):
    found = estimate_shares(*problem(100, share, 3.0), ("no", "yes"), expected=EXPECTED)
    assert found.estimated[1] == pytest.approx(share, abs=0.08)
    assert ("the records are not" in found.sentence) == (share != 0.5)


def test_eight_labels_do_not_overrule_the_names():
    """That one fit says otherwise of the pool is too often chance."""
    said = problem(4, 0.9, 4.0)
    assert estimate_shares(*said, ("spring", "autumn")).estimated[1] > 0.6
    found = estimate_shares(*said, ("no", "yes"), expected=EXPECTED)
    assert found.estimated == pytest.approx((0.75, 0.25))
    assert found.untold


def test_names_do_not_count_where_labels_tell_the_shares_themselves():
    left_out, y, pool = problem(50, 0.5)
    kept = np.r_[np.arange(40), np.arange(50, 100)]
    found = estimate_shares(left_out[kept], y[kept], pool, ("no", "yes"), expected=EXPECTED)
    assert not found.shifted


def test_what_nothing_tells_is_called_untold():
    few = problem(4, 0.5)
    assert estimate_shares(*few, ("a", "b")).untold
    assert estimate_shares(few[0], few[1], few[2][:40], ("a", "b")).untold
    rng = np.random.default_rng(0)
    unsure = 0.3 * rng.normal(size=(8, 2)), few[1], 0.3 * rng.normal(size=(1000, 2))
    assert estimate_shares(*unsure, ("no", "yes"), expected=EXPECTED).untold, "a guess by names"
    assert not estimate_shares(*problem(100, 0.1, 3.0), ("a", "b")).untold
    assert not estimate_shares(*problem(100, 0.5, 3.0), ("a", "b")).untold, "equal, as many tell"
    uneven = np.r_[np.arange(3), 4]
    assert not estimate_shares(few[0][uneven], few[1][uneven], few[2], ("a", "b")).untold
    assert not estimate_shares(*few, ("a", "b"), given=np.array([0.9, 0.1])).untold


def test_shares_that_are_given_are_taken():
    left_out, y, pool = problem(4, 0.3)
    three = np.r_[np.arange(3), 4]
    for records, others in ((three, pool), (np.arange(8), pool[:0])):
        told = (left_out[records], y[records], others, ("no", "yes"))
        found = estimate_shares(*told, given=np.array([0.9, 0.1]))
        assert found.given
        assert found.estimated == (0.9, 0.1), "whatever labels or records say"
    assert found.used(pool[:0]) == (0.9, 0.1)


def test_given_shares_are_checked():
    classes = ("a", "b", "c")
    assert given_shares({"a": 0.5}, classes) == pytest.approx([0.5, 0.25, 0.25])
    assert given_shares({"a": 0.33, "b": 0.33, "c": 0.33}, classes).sum() == pytest.approx(1)
    with pytest.raises(UnknownNameError, match="Did you mean 'fraud'"):
        given_shares({"frawd": 0.5}, ("fraud", "honest"))
    wrong = ({"a": 0.0}, {"a": 1.5}, {"a": float("nan")}, {"a": 0.6, "b": 0.4})
    for one in (*wrong, {"a": 0.5, "b": 0.2, "c": 0.2}):
        with pytest.raises(SettingError, match="share"):
            given_shares(one, classes)
