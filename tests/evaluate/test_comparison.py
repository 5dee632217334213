"""The verdict: right numbers, right words, and seldom a false promise."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from scipy.stats import binomtest

from leaven.core.errors import SettingError
from leaven.core.wording import THIN
from leaven.evaluate.comparison import compare, mcnemar, paired, unmeasured
from leaven.learn.history import Gain

NAMES = {"method": "fixmatch", "baseline": "supervised"}


def split(won: int, lost: int, both: int, neither: int = 0):
    """Two models on records of class 0 and 1 that are right as often as told."""
    ours = np.array([1] * won + [0] * lost + [1] * both + [0] * neither, bool)
    theirs = np.array([0] * won + [1] * lost + [1] * both + [0] * neither, bool)
    y = np.arange(len(ours)) % 2
    eye = np.eye(2)
    return eye[np.where(ours, y, 1 - y)], eye[np.where(theirs, y, 1 - y)], y


def words(verdict):
    return verdict.sentence.replace(THIN, " ")


@pytest.mark.parametrize(("won", "lost"), [(6, 0), (5, 0), (12, 3), (0, 0), (40, 40), (3, 17)])
def test_mcnemar_is_the_binomial_test_of_the_disagreements(won, lost):
    expected = binomtest(won, won + lost, 0.5).pvalue if won + lost else 1.0
    assert mcnemar(won, lost) == pytest.approx(expected)
    assert compare(*split(won, lost, 50), **NAMES).p_value == pytest.approx(expected)


def test_better():
    verdict = compare(*split(80, 19, 800, 101), **NAMES)
    assert verdict.outcome == "better"
    assert verdict.kept == "fixmatch"
    assert verdict.difference.value == pytest.approx(0.061)
    half = 1.96 * np.sqrt((0.099 - 0.061**2) / 1000)
    assert verdict.difference.low == pytest.approx(0.061 - half, abs=0.002)
    assert verdict.difference.high == pytest.approx(0.061 + half, abs=0.002)
    assert words(verdict).startswith("The unlabelled data helped: +6.1 points (95 %: 4.")
    assert words(verdict).endswith("). Use it.")
    assert verdict.needed is None


def test_unproven_keeps_the_baseline_and_says_what_would_settle_it():
    verdict = compare(*split(4, 2, 30, 4), **NAMES)
    assert (verdict.outcome, verdict.kept, verdict.n) == ("unproven", "supervised", 40)
    assert words(verdict).startswith("Not shown to be better: +5.0 points (95 %: −7.5 to 17.5) on ")
    assert "on 40 labelled records; the supervised model is kept. About " in words(verdict)
    assert verdict.needed > 40
    assert f"About {verdict.needed} labelled".replace(" ", "") in words(verdict).replace(" ", "")


def test_the_records_said_to_be_needed_are_enough():
    verdict = compare(*split(6, 2, 30, 2), **NAMES)
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(verdict.needed, [6 / 40, 2 / 40, 32 / 40], size=400)
    power = np.mean([won > lost and mcnemar(int(won), int(lost)) < 0.05 for won, lost, _ in drawn])
    assert 0.7 < power < 0.95


def test_three_of_three_is_no_proof():
    assert compare(*split(3, 0, 7), **NAMES).outcome == "unproven"


def test_worse():
    verdict = compare(*split(8, 40, 900, 52), **NAMES)
    assert (verdict.outcome, verdict.kept) == ("worse", "supervised")
    assert words(verdict).startswith("Worse by 3.2 points (95 %: 1.")
    assert words(verdict).endswith("); the supervised model is kept.")


def test_the_same_predictions():
    verdict = compare(*split(0, 0, 9, 1), **NAMES)
    assert verdict.outcome == "unproven"
    assert verdict.needed is None
    assert "both are right on the same of 10 labelled records" in words(verdict)


def test_a_majority_class_won_at_the_cost_of_the_others_is_not_better():
    y = np.array([0] * 900 + [1] * 50)
    ours, theirs = np.zeros(950, int), np.array([0] * 780 + [1] * 120 + [1] * 50)
    verdict = compare(np.eye(2)[ours], np.eye(2)[theirs], y, **NAMES)
    assert verdict.difference.low > 0
    assert (verdict.outcome, verdict.kept) == ("unproven", "supervised")
    assert "balanced accuracy" in verdict.sentence


def test_supervised_against_itself():
    p, _, y = split(3, 0, 7)
    verdict = compare(p, p, y, method="supervised", baseline="supervised")
    assert (verdict.outcome, verdict.kept, verdict.p_value) == ("supervised", "supervised", None)
    assert "labelled records alone" in verdict.sentence


def test_nothing_to_compare_on():
    empty = np.empty((0, 2))
    verdict = compare(empty, empty, np.empty(0, int), **NAMES)
    assert verdict == unmeasured(**NAMES)
    assert (verdict.outcome, verdict.kept, verdict.difference) == ("unmeasured", "supervised", None)
    assert "one label a class" in unmeasured(**NAMES, reason="one label a class").sentence


def test_verdicts_are_plain_json():
    for verdict in (compare(*split(4, 2, 30), **NAMES), unmeasured(**NAMES)):
        assert json.loads(json.dumps(asdict(verdict), allow_nan=False))["kept"] == "supervised"


def test_under_the_null_a_promise_is_seldom_made():
    """Two models of equal worth: `better` at most 1 time in 40, any claim 1 in 20."""
    rng = np.random.default_rng(0)
    for n, disagree in ((40, 0.3), (200, 0.1)):
        outcomes = []
        for won, lost, same in rng.multinomial(n, [disagree / 2] * 2 + [1 - disagree], size=300):
            outcomes.append(compare(*split(won, lost, same), **NAMES).outcome)
        # 300 runs: three standard errors above the nominal level.
        assert outcomes.count("better") / 300 <= 0.025 + 0.027
        assert (outcomes.count("better") + outcomes.count("worse")) / 300 <= 0.05


def test_paired_is_what_compare_compares():
    ours, theirs = np.array([1, 1, 1, 0, 1], bool), np.array([1, 0, 0, 1, 1], bool)
    difference, p_value = paired(ours, theirs)
    verdict = compare(*split(2, 1, 2), **NAMES)
    assert (difference, p_value) == (verdict.difference, verdict.p_value)
    for one, other in (([], []), ([True], [True, False])):
        with pytest.raises(SettingError, match="same records"):
            paired(one, other)


def test_arrays_that_do_not_match_are_refused():
    p, q, y = split(1, 1, 4)
    with pytest.raises(SettingError, match="targets"):
        compare(p, q[:3], y, **NAMES)


def test_experience_ships_what_few_records_cannot_show():
    """Two won and none lost on twelve: nothing is shown, but others like it have gained."""
    arms = split(2, 0, 8, 2)
    assert compare(*arms, **NAMES).outcome == "unproven"
    verdict = compare(*arms, **NAMES, experience=Gain(0.06, 0.04, 30))
    assert (verdict.outcome, verdict.kept) == ("likely", "fixmatch")
    assert verdict.expected.low > -0.02
    assert 0.05 < verdict.expected.value < 0.10, "what was seen is drawn towards what others saw"
    assert words(verdict).startswith("Likely better: +16.7 points")
    assert "30 other problems" in words(verdict)


@pytest.mark.parametrize(
    "experience", [Gain(0.0, 0.03, 30), Gain(-0.02, 0.03, 30), Gain(0.01, 0.2, 30)]
)
def test_experience_of_little_gain_ships_nothing(experience):
    assert compare(*split(2, 1, 9), **NAMES, experience=experience).outcome == "unproven"


def leaning(gains: list[float], n: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both are right on all of n records of two classes, the method surer by these gains."""
    theirs = np.tile([0.6, 0.4], (n, 1))
    ours = theirs + np.resize(gains, n)[:, None] * [1, -1]
    return ours, theirs, np.zeros(n, np.int64)


def test_probability_for_the_true_labels_is_evidence_where_whole_records_are_too_coarse():
    """Eight records, both right on all: who is surer of each of them is expected to win."""
    experience = Gain(0.03, 0.06, 30)
    verdict = compare(*leaning([0.15, 0.13]), **NAMES, experience=experience)
    assert (verdict.outcome, verdict.kept) == ("likely", "fixmatch")
    trust = 0.06**2 / (0.06**2 + 0.05**2 + np.var([0.15, 0.13] * 4, ddof=1) / 8 * 7 / 5)
    assert verdict.expected.value == pytest.approx(0.03 + trust * (0.14 - 0.03), abs=1e-9)
    assert "14.0 points more probability for their labels" in words(verdict)
    for gains in ([0.0], [-0.1], [0.35, -0.3]):
        assert compare(*leaning(gains), **NAMES, experience=experience).kept == "supervised"
    assert compare(*leaning([0.15]), **NAMES).kept == "supervised", "alone it shows nothing"


def test_on_many_records_it_counts_who_is_right():
    """Four hundred records tell that neither is right oftener: surer alone is no gain."""
    verdict = compare(*leaning([0.15, 0.13], 400), **NAMES, experience=Gain(0.0, 0.06, 30))
    assert verdict.kept == "supervised"
    assert verdict.expected.value == pytest.approx(0, abs=1e-9)


def test_two_models_that_say_the_same_are_not_likely_better():
    assert (
        compare(*split(0, 0, 40, 9), **NAMES, experience=Gain(0.1, 0.02, 50)).outcome == "unproven"
    )


def test_many_records_overrule_experience():
    """A hundred lost and ten won: whatever others have gained, here it does harm."""
    verdict = compare(*split(10, 100, 300), **NAMES, experience=Gain(0.1, 0.02, 50))
    assert (verdict.outcome, verdict.kept) == ("worse", "supervised")


def test_a_gain_on_the_whole_does_not_hide_a_loss_on_a_slice():
    won, lost = 60, 15
    ours, theirs, y = split(won, lost, 300)
    rare = np.zeros(len(y), bool)
    rare[won : won + lost] = True
    whole = compare(ours, theirs, y, **NAMES)
    sliced = compare(ours, theirs, y, **NAMES, parts={"age is high": rare})
    assert whole.outcome == "better"
    assert (sliced.outcome, sliced.kept) == ("unproven", "supervised")
    assert "age is high" in words(sliced)


def test_among_many_slices_none_is_blamed_by_chance():
    rng = np.random.default_rng(0)
    ours, theirs, y = split(60, 15, 300)
    parts = {f"slice {i}": rng.random(len(y)) < 0.3 for i in range(40)}
    assert compare(ours, theirs, y, **NAMES, parts=parts).outcome == "better"
