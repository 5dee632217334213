"""The gate: its error over all looks reckoned exactly, its bounds, and what it does over time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from leaven.core.errors import SettingError
from leaven.label.trust.gate import Gate, Verdict, bounds


def judged(hits: list[int], batches: list[int] | None = None, gate: Gate | None = None) -> Verdict:
    (verdict,) = (gate or Gate()).judge([0] * len(hits), hits, batches)
    return verdict


def wealth(right: int, wrong: int, m: float, above: bool) -> float:
    """The mixture by numerical integration."""
    low, high = (m, 1.0) if above else (0.0, m)

    def ratio(q: float) -> float:
        return (q / m) ** right * ((1 - q) / (1 - m)) ** wrong

    return quad(ratio, low, high, epsabs=1e-12, limit=200)[0] / (high - low)


def ever(p: float, target: float, level: float, most: int, above: bool) -> float:
    """The exact probability that one who looks after each answer ever sees the wealth suffice.

    By all paths of right and wrong answers: chances of each count of right ones, of those paths
    that have not yet been stopped.
    """
    stake = 1.0 if above else 0.5
    alive = np.array([1.0])
    stopped = 0.0
    for n in range(1, most + 1):
        alive = np.append(alive * (1 - p), 0) + np.append(0, alive * p)
        for right in range(n + 1):
            if alive[right] < 1e-14:
                continue
            grown = stake * wealth(right, n - right, target, above) + (1 - stake)
            if grown >= 1 / level:
                stopped += alive[right]
                alive[right] = 0.0
    return stopped


@pytest.mark.parametrize(("target", "level"), [(0.9, 0.05), (0.7, 0.2)])
def test_a_class_that_reaches_the_target_is_hardly_ever_stopped(target: float, level: float):
    assert 0 < ever(target, target, level, 80, above=False) <= level
    assert ever(min(target + 0.05, 1), target, level, 80, above=False) < level / 2


def test_a_class_that_misses_the_target_hardly_ever_holds():
    assert 0 < ever(0.9, 0.9, 0.05, 120, above=True) <= 0.05
    assert ever(0.8, 0.9, 0.05, 80, above=True) < 0.001


def rate(states: list[Verdict], state: str) -> float:
    return float(np.mean([verdict.state == state for verdict in states]))


def simulated(
    p: np.ndarray, times: int, batches: np.ndarray | None = None, gate: Gate | None = None
) -> list[Verdict]:
    """`times` classes whose answers are right with chances `p` (s,)."""
    rng = np.random.default_rng(0)
    hits = (rng.random((times, len(p))) < p).astype(int)
    classes = np.repeat(np.arange(times), len(p))
    came = None if batches is None else np.tile(batches, times)
    return (gate or Gate()).judge(classes, hits.ravel(), came)


def test_looking_always_at_many_batches_stops_no_more_than_said():
    batches = np.repeat(np.arange(10), 30)
    at_target = simulated(np.full(300, 0.9), 200, batches)
    assert 0 < rate(at_target, "stopped") <= 0.05
    # The chance may change from answer to answer, as long as it is never under the target.
    better = np.where(batches % 2 == 0, 0.9, 0.97)
    assert rate(simulated(better, 100, batches), "stopped") <= 0.05


def test_auditing_whole_batches_stops_no_more_than_said():
    """Each batch has 36 right ones of 40 and is audited to the last, without replacement."""
    rng = np.random.default_rng(1)
    one = np.array([1] * 36 + [0] * 4)
    hits = np.stack([np.concatenate([rng.permutation(one) for _ in range(5)]) for _ in range(300)])
    classes = np.repeat(np.arange(300), 200)
    came = np.tile(np.repeat(np.arange(5), 40), 300)
    states = Gate().judge(classes, hits.ravel(), came)
    assert rate(states, "stopped") <= 0.05
    assert rate(states, "holding") <= 0.05


def test_a_good_class_holds_and_a_bad_one_stops():
    good = simulated(np.full(400, 0.97), 100)
    assert rate(good, "holding") > 0.95
    assert all(verdict.low >= 0.9 for verdict in good if verdict.accepts)
    bad = simulated(np.full(300, 0.8), 100)
    assert rate(bad, "stopped") > 0.9
    assert np.median([verdict.since for verdict in bad]) < 150


def test_a_class_that_turns_bad_is_stopped_soon():
    p = np.concatenate([np.full(500, 0.97), np.full(100, 0.5)])
    found = simulated(p, 60, np.repeat(np.arange(12), 50))
    late = [verdict for verdict in found if verdict.state == "stopped" and verdict.since > 500]
    assert len(late) > 55
    assert np.median([verdict.since - 500 for verdict in late]) < 50
    # By all answers together it would still be near the target.
    assert np.median([verdict.right / verdict.n for verdict in late]) > 0.88
    assert all("The latest miss" in verdict.sentence for verdict in late if verdict.high > 0.9)


def test_acceptance_stops_by_itself_when_the_bound_falls():
    hits = [1] * 50
    assert judged(hits).state == "holding"
    fallen = judged([*hits, 0, 0])
    assert (fallen.state, fallen.accepts, fallen.since) == ("paused", False, 51)
    assert fallen.low < 0.9 < fallen.high
    assert "under the target" in fallen.sentence
    back = judged([*hits, 0, 0, *[1] * 60])
    assert (back.state, back.accepts) == ("holding", True)
    assert 52 < back.since <= 112
    ended = judged([*hits, *[0] * 25])
    assert ended.state == "stopped"
    # What is stopped stays so.
    assert judged([*hits, *[0] * 25, *[1] * 1000]).state == "stopped"


@given(st.lists(st.booleans(), max_size=80), st.sampled_from([0.6, 0.8, 0.9]))
def test_the_state_is_that_of_a_slow_replay(hits: list[bool], target: float):
    gate = Gate(target, 0.1)
    batches = [i // 20 for i in range(len(hits))]
    state, since = "collecting", 0
    for t in range(1, len(hits) + 1):
        seen = hits[:t]
        grown = 0.5
        starts = [s for s in (0, 20, 40, 60) if s < t]
        for b, start in enumerate(starts):
            stake = 0.5 if b == 0 else 0.5 / (b * (b + 1))
            grown -= stake if b else 0
            right = sum(seen[start:])
            grown += stake * wealth(right, t - start - right, target, above=False)
        shown = wealth(sum(seen), t - sum(seen), target, above=True) >= 10
        if grown >= 10:
            state, since = "stopped", t
            break
        now = "holding" if shown else ("collecting" if state == "collecting" else "paused")
        if now != state:
            state, since = now, t
    verdict = judged([int(h) for h in hits], batches, gate) if hits else judged([0], gate=gate)
    if hits:
        assert (verdict.state, verdict.since) == (state, since)


@pytest.mark.parametrize("level", [0.05, 0.3])
def test_beyond_a_bound_everything_is_excluded(level: float):
    """The wealth is enough at each share beyond a bound and nowhere within: the ends are ends."""
    for n in (1, 2, 5, 13, 40):
        for right in range(n + 1):
            low, high = bounds(right, n - right, level)
            assert low <= right / n <= high
            for m in np.linspace(0.005, 0.995, 67):
                if abs(m - low) > 1e-6:
                    enough = wealth(right, n - right, float(m), above=True) >= 1 / level
                    assert enough == (m < low)
                if abs(m - high) > 1e-6:
                    enough = wealth(right, n - right, float(m), above=False) >= 1 / level
                    assert enough == (m > high)


def test_bounds_mirror_each_other():
    for right, wrong in ((0, 0), (3, 1), (50, 0), (10**7, 10), (0, 10**6)):
        low, high = bounds(right, wrong)
        mirrored = bounds(wrong, right)
        np.testing.assert_allclose([1 - high, 1 - low], mirrored, atol=1e-9)
        assert math.isfinite(low)
    assert bounds(0, 0) == (0.0, 1.0)


def test_holding_is_that_the_bound_reaches_the_target():
    for n in range(1, 120):
        verdict = judged([1] * (n - n // 30) + [0] * (n // 30))
        assert verdict.accepts == (verdict.low >= 0.9)


def test_classes_without_an_answer_are_told():
    found = Gate().judge([1], [1], names=["ham", "spam"])
    assert [verdict.state for verdict in found] == ["collecting"] * 2
    assert "none of its pseudo-labels is audited yet" in found[0].sentence
    assert "43 more would do" in found[0].sentence
    assert Gate().judge([], [], names=["a"])[0].n == 0
    assert Gate().judge([], []) == []


def test_settings_are_checked():
    for wrong in (
        lambda: Gate(1.0), lambda: Gate(0.9, 0.0), lambda: Gate().judge([0], [2]),
        lambda: Gate().judge([0, 1], [1]), lambda: Gate().judge([-1], [1]),
        lambda: Gate().judge([0], [1], [0, 1]), lambda: Gate().judge([3], [1], names=["a", "b"]),
        lambda: Gate().judge([0.5], [1]), lambda: bounds(-1, 0), lambda: bounds(1, 0, 1.0),
    ):  # fmt: skip
        with pytest.raises(SettingError):
            wrong()
