"""The arithmetic of a canary: bounds that hold at all looks, what a signal says, what follows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaven.core.errors import LeavenError, SettingError
from leaven.operate.canary.betting import (
    Bets,
    difference_bounds,
    mean_bounds,
    times_until,
)
from leaven.operate.canary.decision import HOLD, PROMOTE, RAMP, ROLL_BACK, decide
from leaven.operate.canary.policy import NAMES, Policy
from leaven.operate.canary.signals import OTHERS, Arms, Evidence, Signal, judged
from leaven.operate.canary.tally import Tally

SHARES = st.lists(st.floats(0, 1), max_size=30)


# Bounds


def directly(values: list[float], m: float) -> float:
    """The logarithm of the wealth of the docstring, bet by bet, on a mean above m."""
    stakes = [0.0, *np.geomspace(5e-4, 0.95, 31)]
    weights = [1 / 8, *[7 / 8 / 31] * 31]
    return math.log(
        sum(
            weight * math.prod(1 + stake * (round(x, 2) / m - 1) for x in values)
            for stake, weight in zip(stakes, weights, strict=True)
        )
    )


def test_the_wealth_is_that_of_the_formula():
    values = [0.31, 0.9, 1.0, 0.0, 0.55]
    found = Bets(values)
    for place in (50, 250, 499):
        m = place / 500
        assert found.above()[place] == pytest.approx(directly(values, m))
        turned = [1 - x for x in values]
        assert found.below()[place] == pytest.approx(directly(turned, 1 - m))
    assert Bets([0.5]).above()[0] == math.inf  # a mean of 0 is refuted
    assert found.above(3)[250] == pytest.approx(Bets(values * 3).above()[250])


@settings(max_examples=40, deadline=None)
@given(SHARES, SHARES)
def test_bounds_hold_the_estimate_and_are_those_of_the_other_side_turned(
    a: list[float], b: list[float]
):
    one, other = Bets(a), Bets(b)
    low, high = mean_bounds(one, 0.05)
    mean = float(np.mean(np.rint(np.array(a) * 100) / 100)) if a else 0.5
    assert 0 <= low <= mean + 1e-9
    assert mean - 1e-9 <= high <= 1
    low, high = difference_bounds(one, other, 0.05)
    assert difference_bounds(other, one, 0.05) == (pytest.approx(-high), pytest.approx(-low))
    assert low <= high
    if not a or not b:
        assert (low, high) == (-1, 1) or bool(a) != bool(b)


def test_bounds_are_wrong_at_any_look_as_seldom_as_they_say_and_find_what_is_there():
    """Of 100 streams, looked at 13 times each; what holds at one look only fails far oftener."""
    rng = np.random.default_rng(3)
    level, n, wrong, once, found = 0.1, 400, 0, 0, 0
    for _ in range(100):
        a, b = (rng.random(n) < 0.1) * 1.0, (rng.random(3 * n) < 0.1) * 1.0
        ends = [
            difference_bounds(Bets(a[:k]), Bets(b[: 3 * k]), level)[0] for k in range(10, n, 30)
        ]
        wrong += max(ends) > 0
        means = [
            a[:k].mean() - b[: 3 * k].mean() - 1.28 * 0.3 * math.sqrt(4 / 3 / k)
            for k in range(10, n, 30)
        ]
        once += max(means) > 0
        bad = (rng.random(n) < 0.3) * 1.0
        found += difference_bounds(Bets(bad), Bets(b), level)[0] > 0
    assert wrong / 100 <= level
    assert once / 100 > 2 * level
    assert found / 100 > 0.95


def test_a_difference_is_bounded_more_closely_than_by_two_bounds():
    a, b = Bets([1] * 60 + [0] * 140), Bets([1] * 90 + [0] * 210)
    low, high = difference_bounds(a, b, 0.05)
    apart = mean_bounds(a, 0.025)[1] - mean_bounds(b, 0.025)[0]
    assert low < 0 < high < apart


def test_how_many_more_would_do():
    assert times_until(lambda times: times >= 5.2) == pytest.approx(5.2, rel=0.05)
    assert times_until(lambda _: True) == 1
    assert times_until(lambda _: False) == math.inf
    for bad in ([2.0], [[0.1]], [float("nan")]):
        with pytest.raises(SettingError, match="'values'"):
            Bets(bad)
    with pytest.raises(SettingError, match="'level'"):
        mean_bounds(Bets([1]), 0)


# Policy


def test_a_policy_is_read_and_says_what_is_wrong(tmp_path: Path):
    file = tmp_path / "p.toml"
    file.write_text('[canary]\nerrors = 0.1\nignore = "classes"\n[other]\nx = 1\n')
    told = Policy.read(file, {"errors": 0.3})
    assert (told.errors, told.ignore, "classes" in told.names) == (0.3, ("classes",), False)
    assert Policy.build(told.model_dump(mode="json")) == told
    for text, said in (
        ("[canary]\neror = 1", "Did you mean 'errors'"),
        ("[canary]\nsteps = [50, 25, 100]", "'steps' must be rising"),
        ("[canary]\nsteps = [10, 50]", "'steps' must be rising"),
        ("[canary]\ntruth = 'perhaps'", "'truth' must be 'step', 'promotion' or 'never'"),
        ("[canary]\nerrors = 'many'", "'errors' must be"),
        ('[canary]\nignore = ["agrement"]', "Did you mean 'agreement'"),
        ("[other]\nx = 1", "'policy' must be a TOML file with a table"),
        ("canary = 3", "'policy' must be a TOML file with a table"),
        ("[canary", "'policy' must be valid TOML"),
    ):
        file.write_text(text)
        with pytest.raises(LeavenError, match=said):
            Policy.read(file)
    with pytest.raises(SettingError, match="'policy' must be a readable"):
        Policy.read(tmp_path)


# Signals


def ones(number: int, of: int) -> np.ndarray:
    return np.array([1.0] * number + [0.0] * (of - number))


def same(values: np.ndarray) -> Arms:
    return Arms(values, np.tile(values, 3))


def evidence(**changes: Any) -> Evidence:
    """A canary that is as good as the live run, and shown to be."""
    told: dict[str, Any] = {
        "errors": same(ones(0, 1000)), "slow": same(ones(10, 1000)), "slow_from": 0.02,
        "confidence": same(np.full(1000, 0.8)), "otherwise": ones(60, 1000),
        "classes": {"a": same(ones(400, 1000)), "b": same(1 - ones(400, 1000))},
        "accuracy": np.array([0.0] * 940 + [1.0] * 30 + [-1.0] * 30),
        "calibration": np.zeros(1000), "ninety_five": (0.01, 0.01),
    }  # fmt: skip
    return Evidence(**(told | changes))


def states(told: Evidence, **changes: Any) -> dict[str, str]:
    return {one.name: one.state for one in judged(told, Policy.build(changes))}


BAD: dict[str, dict[str, Any]] = {
    "errors": {"errors": Arms(ones(80, 1000), ones(0, 3000))},
    "latency": {"slow": Arms(ones(200, 1000), ones(10, 1000))},
    "agreement": {"otherwise": ones(500, 1000)},
    "classes": {"classes": {"a": Arms(ones(700, 1000), ones(1200, 3000))}},
    "confidence": {"confidence": Arms(np.full(1000, 0.6), np.full(1000, 0.8))},
    "accuracy": {"accuracy": np.array([0.0] * 800 + [1.0] * 200)},
    "calibration": {"calibration": np.array([0.3] * 1000)},
}


def test_each_signal_tells_a_good_canary_from_a_bad_one():
    assert states(evidence()) == dict.fromkeys(NAMES, "fine")
    assert states(Evidence()) == dict.fromkeys(NAMES, "unseen")
    for name, changes in BAD.items():
        assert states(evidence(**changes)) == dict.fromkeys(NAMES, "fine") | {name: "worse"}
    assert set(states(evidence(), ignore=["classes"])) == {*NAMES} - {"classes"}


def test_a_harm_that_is_shown_and_within_the_margin_is_fine():
    told = evidence(errors=Arms(ones(40, 4000), ones(0, 40_000)))
    one = next(one for one in judged(told, Policy()) if one.name == "errors")
    assert one.low >= 0
    assert (one.state, one.needed) == ("fine", 0)
    other = evidence(accuracy=np.full(1000, -1.0), otherwise=ones(150, 1000))
    assert states(other)["accuracy"] == "fine"  # better is not worse


def test_what_is_needed_would_do():
    few = Evidence(errors=same(ones(0, 100)))
    one = next(one for one in judged(few, Policy()) if one.name == "errors")
    assert one.state == "open"
    more = Evidence(errors=same(ones(0, 100 + one.needed)))
    assert next(one for one in judged(more, Policy()) if one.name == "errors").state == "fine"
    unseen = next(one for one in judged(few, Policy()) if one.name == "accuracy")
    seen = Evidence(accuracy=np.zeros(unseen.needed))
    assert next(o for o in judged(seen, Policy()) if o.name == "accuracy").state == "fine"
    hopeless = Evidence(accuracy=np.array([0.0] * 80 + [1.0] * 8))
    assert next(o for o in judged(hopeless, Policy()) if o.name == "accuracy").needed is None


def test_many_rare_classes_are_looked_at_together():
    n = 1000
    codes = np.arange(n) % 50
    classes = {str(c): same((codes == c) * 1.0) for c in range(50)}
    told = judged(evidence(classes=classes), Policy())
    found = next(one for one in told if one.name == "classes")
    assert found.state == "fine"
    one_sided = {str(c): Arms((codes == c) * 1.0, np.zeros(n)) for c in range(50)}
    found = next(
        one for one in judged(evidence(classes=one_sided), Policy()) if one.name == "classes"
    )
    assert found.state == "worse"
    assert repr(OTHERS) in found.sentence


# Decisions


def decision(told: Evidence, share: float = 0.1, **changes: Any) -> Any:
    policy = Policy.build({"minutes": 5} | changes)
    how = {"share": share, "answered": 1000, "seconds": 301.0}
    return decide(judged(told, policy), policy, **how)


def test_a_good_canary_goes_through_the_steps_and_a_bad_one_back():
    for share, after in ((0.05, 0.1), (0.1, 0.25), (0.25, 0.5)):
        told = decision(evidence(), share)
        assert (told.action, told.share, told.waits) == (RAMP, after, ())
    told = decision(evidence(), 0.5)
    assert (told.action, told.share) == (PROMOTE, 1.0)
    assert "Accuracy: Of 1 000 explored records".replace(" 000", "\u202f000") in told.reason
    for name, changes in BAD.items():
        changes = changes | ({} if name == "accuracy" else {"accuracy": np.zeros(0)})
        told = decision(evidence(**changes))
        assert (told.action, told.share) == (ROLL_BACK, 0.0)
        assert told.reason.startswith(f"{name.capitalize()}: ")


def test_truth_that_is_missing_is_said_and_the_policy_decides():
    blind = evidence(accuracy=np.zeros(0), calibration=np.zeros(0))
    told = decision(blind, 0.1)
    assert told.action == RAMP
    assert told.reason.endswith("Not shown yet, for want of truth: accuracy, calibration.")
    told = decision(blind, 0.5)
    assert told.action == HOLD
    assert any("accuracy: about" in one and "leaven promote" in one for one in told.waits)
    assert decision(blind, 0.1, truth="step").action == HOLD
    assert decision(blind, 0.5, truth="never").action == PROMOTE


def test_shifts_count_for_nothing_once_truth_shows_the_accuracy():
    for name in ("agreement", "classes", "confidence"):
        told = decision(evidence(**BAD[name]))
        assert told.action == RAMP
        assert told.reason.endswith(f"{name} may differ.")


def test_a_step_takes_its_keys_and_minutes():
    policy = Policy()
    signals = judged(evidence(), policy)
    told = decide(signals, policy, share=0.1, answered=150, seconds=30)
    assert (told.action, told.share) == (HOLD, 0.1)
    assert [one.replace("\u202f", " ") for one in told.waits] == [
        "50 more keys that ask the canary", "10 min more at this step",
    ]  # fmt: skip
    bad = judged(evidence(**BAD["errors"]), policy)
    assert decide(bad, policy, share=0.1, answered=150, seconds=30).action == ROLL_BACK


# The tally


def answer(place: str, key: float, request: str, **more: Any) -> dict[str, Any]:
    return {
        "place": place, "position": key, "request": request, "label": "a", "probability": 0.8,
        "seconds": 0.01,
    } | more  # fmt: skip


def named(told: Evidence, policy: Policy) -> dict[str, Signal]:
    return {one.name: one for one in judged(told, policy)}


def test_each_key_counts_once_by_the_mean_of_its_first_request():
    tally = Tally(1.5, 0.02)
    tally.add_answers(
        [
            answer("canary", 0.1, "r1"),
            answer("canary", 0.1, "r1", label="b", probability=0.4),
            *[answer("canary", 0.1, f"later {i}", probability=0.1) for i in range(50)],
            answer("canary", 0.2, "r2", status=503, label=None),
            answer("canary", 0.2, "r3"),
            answer("live", 0.7, "r4"),
        ]
    )
    tally.add_pairs(
        [
            {"position": 0.1, "request": "r1", "agrees": True},
            {"position": 0.1, "request": "r1", "agrees": False},
            {"position": 0.1, "request": "r9", "agrees": False},
        ]
    )
    told = {"truth": "a", "canary_sure": 0.9, "live_sure": 0.6}
    tally.set_truths(
        [
            {"position": 0.1, "canary": "a", "live": "b"} | told,
            {"position": 0.1, "canary": "b", "live": "a"} | told,
        ]
    )
    found = tally.evidence()
    assert tally.answered == 2
    assert found.errors.canary.tolist() == [0, 1]
    assert found.confidence.canary.tolist() == [pytest.approx(0.6)]
    assert {name: arms.canary.tolist() for name, arms in found.classes.items()} == {
        "a": [0.5], "b": [0.5],
    }  # fmt: skip
    assert found.otherwise.tolist() == [0.5]
    assert found.accuracy.tolist() == [-1]  # the canary alone was right
    assert found.calibration.tolist() == [pytest.approx(0.1**2 - 0.6**2)]
    tally.new_step()
    assert tally.answered == 0
    assert tally.evidence().otherwise.tolist() == [0.5]  # pairs count on


def test_slow_is_told_by_the_first_of_the_live_run_which_do_not_judge():
    tally = Tally(2.0, 0.001)
    tally.add_answers([answer("live", i / 1000, f"l{i}") for i in range(100)])
    tally.add_answers([answer("canary", 0.5 + i / 100, f"c{i}", seconds=0.03) for i in range(9)])
    assert tally.evidence().slow_from is None
    tally.add_answers([answer("live", 0.9, "last", seconds=0.019)])
    found = tally.evidence()
    assert found.slow_from == pytest.approx(0.02)
    assert found.slow.canary.tolist() == [1] * 9
    assert found.slow.live.tolist() == [0]
    assert "took over 20" in named(found, Policy())["latency"].sentence
