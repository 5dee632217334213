"""The arithmetic of health: truths that are watched, confidences set right, counts in bins."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from leaven.core.errors import DataError, SettingError
from leaven.operate.drift.columns import Names
from leaven.operate.drift.distances import kolmogorov_smirnov
from leaven.operate.drift.reference import Reference
from leaven.operate.health.auditing import _BLOCK, _STAKES, watched
from leaven.operate.health.calibrated import Calibration
from leaven.operate.health.frame import Frame
from leaven.operate.health.promise import entropies


def test_the_wealth_is_the_sum_over_all_starts_and_stakes():
    rng = np.random.default_rng(0)
    n = 2 * _BLOCK + 7
    right, p = rng.random(n) < 0.8, rng.uniform(0.5, 0.95, n)
    gains = np.where(right[:, None], 1 - _STAKES, 1 + _STAKES * (p / (1 - p))[:, None])
    weights = [0.5] + [0.5 / (b * (b + 1)) for b in range(1, 100)]
    for end in (1, _BLOCK, _BLOCK + 1, n):
        whole = 0.0
        for block, weight in enumerate(weights):
            whole += weight * gains[block * _BLOCK : end].prod(axis=0).mean()
        whole += 0.5 / 100  # all that begins later still
        assert watched(right, p).wealth[end - 1] == pytest.approx(math.log(whole), abs=1e-9)


def test_a_promise_that_is_just_kept_is_rarely_called_broken():
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(60):
        p = rng.uniform(0.6, 0.95, 500)
        alarms += watched(rng.random(500) < p, p, level=0.2).alarm is not None
    assert alarms <= 18  # 12 expected at most; more than 18 by chance in 3 of 100 such tests


def test_a_concept_that_drifts_is_seen_soon_also_after_a_long_good_time():
    rng = np.random.default_rng(2)
    needed = []
    for _ in range(15):
        p = rng.choice([0.99, 0.9, 0.7], 1500)
        right = rng.random(1500) < p
        flipped = (rng.random(1500) < 0.2) & (np.arange(1500) >= 1000)
        seen = watched(right ^ flipped, p - 0.03)
        assert seen.alarm is None or seen.alarm > 1000
        needed.append((seen.alarm or 9999) - 1000)
        if seen.alarm:
            assert abs(seen.since - 1000) <= 5 * _BLOCK
    assert np.median(needed) <= 200
    assert max(needed) <= 400


def test_what_the_truths_say_does_not_hang_on_what_comes_later():
    rng = np.random.default_rng(3)
    right, p = rng.random(80) < 0.5, np.full(80, 0.9)
    whole, part = watched(right, p), watched(right[:40], p[:40])
    assert whole.alarm == part.alarm
    assert whole.since == part.since
    assert whole.wealth[:40] == pytest.approx(part.wealth)
    assert watched([], []).alarm is None


@pytest.mark.parametrize(
    ("right", "promised", "level"),
    [([2], [0.5], 0.05), ([1], [0.5, 0.5], 0.05), ([1], [1.5], 0.05), ([1], [0.5], 0.0)],
)
def test_truths_that_are_none_are_refused(right: list, promised: list, level: float):
    with pytest.raises(SettingError):
        watched(right, promised, level)


def _answered(rng: np.random.Generator, n: int, hard: bool) -> tuple[np.ndarray, np.ndarray]:
    """Confidences of a model that is too sure of itself, and whether it was right."""
    sure = 0.4 + 0.6 * rng.beta(*((3, 2) if hard else (4, 1.2)), n)
    return sure, rng.random(n) < 0.5 + 0.85 * (sure - 0.5)


@pytest.mark.parametrize("hard", [False, True])
def test_the_interval_of_the_estimated_accuracy_holds_it_also_in_another_mix(hard: bool):
    rng = np.random.default_rng(4)
    held = fell = 0
    for _ in range(150):
        judged_by, (sure, right) = Calibration.of(*_answered(rng, 300, False)), _answered(
            rng, 800, hard
        )  # fmt: skip
        found, change = judged_by.estimate(sure), judged_by.change(sure)
        held += found.low <= right.mean() <= found.high
        fell += change.high < 0
        assert found.high - found.low < 0.2
        assert change.high - change.low < 0.16
    assert held >= 132  # 142 expected
    assert fell >= 140 if hard else fell <= 10


def test_the_confidence_itself_is_taken_where_the_judged_records_bear_it_out():
    rng = np.random.default_rng(5)
    sure = rng.uniform(0.5, 1, 4000)
    made = Calibration.of(sure, rng.random(4000) < sure)
    assert np.abs(made.expected(sure) - sure).max() < 0.06
    with pytest.raises(DataError, match="20 are needed"):
        Calibration.of([0.5] * 19, [1] * 19)
    with pytest.raises(DataError, match="No record was answered"):
        made.estimate([])
    with pytest.raises(SettingError):
        made.estimate([1.2])


def _frame(rng: np.random.Generator, n: int = 3000) -> tuple[Frame, dict, dict]:
    before = {
        "size": np.where(rng.random(n) < 0.1, np.nan, rng.normal(5, 2, n)),
        "kind": Names.of(rng.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1]).tolist()),
    }
    now = {
        "size": np.where(rng.random(n) < 0.2, np.nan, rng.normal(6, 2, n)),
        "kind": Names.of(rng.choice(["a", "b", "d"], n, p=[0.5, 0.3, 0.2]).tolist()),
    }
    return Frame(Reference.of(before)), before, now


def test_counts_in_bins_tell_a_gap_as_the_fine_grid_does_and_add_up():
    frame, before, now = _frame(np.random.default_rng(6))
    fine = Reference.of(before)
    came, coarse = fine.sketch(now), frame.sketch(frame.count(now))
    gap = kolmogorov_smirnov(fine.own.counts["size"], came.counts["size"])
    assert gap > 0.1
    own = frame.reference.own.counts
    assert kolmogorov_smirnov(own["size"], coarse.counts["size"]) == pytest.approx(gap, abs=0.005)
    assert (own["kind"] == fine.own.counts["kind"]).all()
    assert (coarse.counts["kind"] == came.counts["kind"]).all()
    assert coarse.counts["size"][0] == came.counts["size"][0]  # the missing
    half = {"size": now["size"][:1000], "kind": Names(now["kind"].codes[:1000], now["kind"].names)}
    rest = {"size": now["size"][1000:], "kind": Names(now["kind"].codes[1000:], now["kind"].names)}
    whole, both = frame.count(now), frame.count(half) + frame.count(rest)
    assert (whole.n, whole.strange) == (both.n, both.strange) == (3000, whole.strange)
    read = frame.read(both.n, both.strange, json.loads(json.dumps(frame.told(both))))
    assert all((read.counts[name] == whole.counts[name]).all() for name in whole.counts)
    other = Frame(Reference.of(now))
    assert other.read(both.n, both.strange, frame.told(both)) is None


def test_strange_is_a_record_with_a_cell_unlike_any_of_the_reference():
    frame, before, now = _frame(np.random.default_rng(7))
    assert frame.count(before).strange == 0
    new = np.array([name == "d" for name in np.array(now["kind"].names)[now["kind"].codes]])
    beyond = (now["size"] < np.nanmin(before["size"])) | (now["size"] > np.nanmax(before["size"]))
    assert frame.count(now).strange == pytest.approx((new | beyond).sum(), abs=2)
    assert 0 < frame.expected < 0.01
    gone = {"size": np.array([5.0, 5.0]), "kind": Names.of([None, "a"])}
    assert frame.count(gone).strange == 1  # 'kind' was never missing


def test_entropies_are_shares_of_the_highest():
    found = entropies([[0.5, 0.5], [1.0, 0.0]])
    assert found == pytest.approx([1, 0], abs=1e-6)
    assert len(entropies([])) == 0
