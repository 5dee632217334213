"""Self-training and refinement: rules say what they say in the loop, and what is taught counts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from leaven.core.errors import SettingError
from leaven.learn.choices.accept import AtLeast, FallingLoss
from leaven.learn.choices.align import Calibrated
from leaven.learn.choices.choice import PARTS, Seen
from leaven.learn.choices.filters import Easiest, EasiestOfEach, NeighboursAgree, Steady
from leaven.learn.classic.iterative_refinement import refine
from leaven.learn.classic.self_training import self_train
from leaven.learn.judging import Judge
from leaven.learn.method import Problem
from leaven.learn.objective import Draw, Moment
from leaven.learn.task import TASKS
from leaven.learn.wrapping import Wrapping, dealt
from tests.learn.wrapping_parts import Floats, clouds, finished


def test_the_only_record_of_its_class_stays_in_every_fit():
    X, targets, _ = clouds(per=3)
    targets[np.flatnonzero(targets == 2)[1:]] = -1
    wrapping = Wrapping(GaussianNB(), X, targets, 3)
    judge = Judge(wrapping, AtLeast(), (), 10, 1, 4)
    said = judge.ask_labelled(wrapping.targets, wrapping.weights, 1)
    assert said[wrapping.targets[wrapping.labelled] == 2].argmax(1).tolist() == [2]


@given(
    kinds=st.lists(st.integers(0, 3), min_size=1, max_size=60),
    folds=st.integers(2, 7),
    seed=st.integers(0, 99),
)
def test_folds_are_even_in_every_kind(kinds: list[int], folds: int, seed: int):
    fold = dealt(np.array(kinds), folds, np.random.default_rng(seed))
    for chosen in [np.full(len(kinds), True), *(np.array(kinds) == k for k in set(kinds))]:
        counts = np.bincount(fold[chosen], minlength=folds)
        assert counts.max() - counts.min() <= 1


def in_loop(
    guess: Floats, known: Floats, X: Floats, targets: Any, spread: Floats, step: int, total: int
) -> Seen:
    """What the loop would show a rule in a step whose batch is all unlabelled records."""
    labelled = targets >= 0
    anything: Any = None
    draw = Draw(
        anything, {}, torch.Generator(), {}, torch.tensor(targets[labelled]), None,
        torch.arange(int(labelled.sum())), torch.arange(len(guess)),
    )  # fmt: skip
    now = Moment(anything, anything, draw, TASKS["classification"], step, total)

    def tensor(values: Floats) -> Any:
        return torch.tensor(values, dtype=torch.float32)

    return Seen(
        now, tensor(guess), tensor(known), tensor(guess).log(), tensor(X[~labelled]),
        tensor(X[labelled]), spread=tensor(spread),
    )  # fmt: skip


def asked_by_hand(kind: str) -> list[str]:
    return [name for name, rule in PARTS[kind].items() if not rule.asks_network]


@pytest.mark.parametrize(
    ("kind", "name"), [(k, name) for k in ("accept", "align") for name in asked_by_hand(k)]
)
def test_rules_say_what_they_say_in_the_loop(kind: str, name: str):
    X, targets, _ = clouds(seed=4)
    wrapping = Wrapping(GaussianNB(), X, targets, 3)
    rule = PARTS[kind][name]()
    given: dict[str, Any] = {"accept": AtLeast(0.0), "align": ()} | {kind: rule}
    judge = Judge(wrapping, given["accept"], given["align"], 6, 2, 4)
    problem: Any = object.__new__(Problem)
    told = {
        "classes": 3, "targets": targets, "train": np.flatnonzero(targets >= 0),
        "unlabelled": np.flatnonzero(targets < 0),
    }  # fmt: skip
    for field, value in told.items():
        object.__setattr__(problem, field, value)
    nothing: Any = None
    state = rule.state(problem, nothing)
    rng = np.random.default_rng(5)
    for number in range(1, 7):
        guess = rng.dirichlet(np.full(3, 0.3), int((targets < 0).sum()))
        known = rng.dirichlet(np.full(3, 0.3), int((targets >= 0).sum()))
        spread = rng.random(len(guess)) * 0.1
        learnt, weights = judge(number, guess, known, spread)
        wanted = rule(in_loop(guess, known, X, targets, spread, number - 1, 6), state)
        if kind == "accept":
            np.testing.assert_array_equal(weights, wanted.numpy())
            np.testing.assert_allclose(learnt, guess, rtol=1e-6)
        elif not rule.judges_only:
            np.testing.assert_array_equal(learnt, wanted.numpy())
        else:
            np.testing.assert_allclose(learnt, guess, rtol=1e-6)


def test_weights_of_several_rules_are_multiplied():
    X, targets, _ = clouds()
    wrapping = Wrapping(GaussianNB(), X, targets, 3)
    guess = np.random.default_rng(0).dirichlet(np.full(3, 0.3), len(wrapping.unlabelled))
    one, other, both = (
        Judge(wrapping, rules, (), 4, 1, 0)(2, guess)[1]
        for rules in (AtLeast(0.7), Easiest(0.3), (AtLeast(0.7), Easiest(0.3)))
    )
    np.testing.assert_array_equal(both, one * other)


def test_rules_that_cannot_be_answered_are_refused():
    X, targets, _ = clouds()
    with pytest.raises(SettingError, match=r"'align' must be one of: .*ToPrior.*network"):
        next(self_train(GaussianNB(), X, targets, 3, align=Calibrated()))
    with pytest.raises(SettingError, match="'repeats' must be 2 or more, for Steady"):
        next(self_train(GaussianNB(), X, targets, 3, accept=Steady()))
    finished(self_train(GaussianNB(), X, targets, 3, accept=Steady(), repeats=2))
    wide = sparse.csr_matrix((len(X), 10_000_000))
    with pytest.raises(SettingError, match="TruncatedSVD"):
        next(self_train(GaussianNB(), wide, targets, 3, accept=NeighboursAgree()))


def test_the_easiest_of_each_class_are_its_surest():
    X, targets, _ = clouds()
    wrapping = Wrapping(GaussianNB(), X, targets, 3)
    judge = Judge(wrapping, EasiestOfEach(0.2, 0.6), (), 4, 1, 0)
    guess = np.random.default_rng(2).dirichlet(np.full(3, 0.3), len(wrapping.unlabelled))
    _, weights = judge(3, guess)  # half of the way
    for label in range(3):
        own = np.flatnonzero(guess.argmax(1) == label)
        kept = math.ceil((0.2 + 0.4 * 0.5) * len(own))
        surest = sorted(own, key=lambda r: -guess[r, label])[:kept]
        assert sorted(surest) == own[weights[own] > 0].tolist()


def test_what_is_taught_is_what_is_fitted():
    X, targets, _ = clouds()
    wrapped, rounds = finished(
        self_train(LogisticRegression(), X, targets, 3, accept=AtLeast(0.7), align=(), weight=0.5)
    )
    last = rounds[-1]
    np.testing.assert_array_equal(wrapped.labels[targets >= 0], targets[targets >= 0])
    named = np.where(last.weight > 0, last.guess.argmax(1), -1)
    np.testing.assert_array_equal(wrapped.labels[last.places], named)
    np.testing.assert_array_equal(wrapped.weights[last.places], last.weight)
    assert set(np.unique(last.weight)) == {0.0, 0.5}
    used = wrapped.labels >= 0
    alone = LogisticRegression().fit(X[used], wrapped.labels[used], wrapped.weights[used])
    np.testing.assert_allclose(wrapped.probabilities(X), alone.predict_proba(X))
    assert wrapped.rounds == len(rounds) < 10, "it ends where nothing changes"


def test_it_waits_for_a_rule_that_moves():
    X, targets, _ = clouds()
    base = LogisticRegression()
    _, rounds = finished(self_train(base, X, targets, 3, accept=FallingLoss(), rounds=6))
    assert len(rounds) == 6
    assert not rounds[0].weight.any(), "its first round is a warm-up"
    _, rounds = finished(self_train(base, X, targets, 3, accept=AtLeast(1.0), align=()))
    assert len(rounds) < 10


def test_a_label_that_is_kept_never_changes():
    X, targets, _ = clouds(far=1.0)
    base = LogisticRegression()
    _, rounds = finished(
        self_train(base, X, targets, 3, accept=Easiest(0.1, 1.0), align=(), keep=True)
    )
    weights = np.array([one.weight for one in rounds])
    assert (np.diff(weights, axis=0) >= 0).all()
    assert weights[-1].sum() > weights[0].sum()


def test_refinement_teaches_all_records_with_soft_weights_that_grow():
    X, targets, _ = clouds(far=1.5)
    wrapped, rounds = finished(refine(LogisticRegression(), X, targets, 3))
    assert all((one.weight > 0).all() for one in rounds)
    assert rounds[0].weight.max() <= 0.2 + 1e-9, "a tenth of the rounds is a fifth of the ramp"
    assert ((rounds[-1].weight > 0) & (rounds[-1].weight < 1)).any()
    assert (wrapped.labels >= 0).all()


def test_records_that_were_named_otherwise_before_count_less():
    X, targets, _ = clouds(far=1.0, others=60)
    settings: Any = {"accept": AtLeast(0.0), "align": (), "ramp": None, "memory": 0.5}
    _, rounds = finished(refine(GaussianNB(), X, targets, 3, rounds=4, **settings))
    names = np.array([one.guess.argmax(1) for one in rounds])  # (rounds, u)
    assert (names[1:] != names[:-1]).any()
    for record in range(names.shape[1]):
        share = np.eye(3)[names[0, record]]
        for name in names[1:, record]:
            share = 0.5 * share + 0.5 * np.eye(3)[name]
        assert rounds[-1].weight[record] == pytest.approx(share[names[-1, record]], abs=1e-6)


def test_doubted_labels_count_less():
    X, targets, _ = clouds(per=8)
    wrong = np.flatnonzero(targets == 0)[0]
    targets[wrong] = 1
    wrapped, _ = finished(refine(GaussianNB(), X, targets, 3, doubt=1.0))
    rest = (targets >= 0) & (np.arange(len(X)) != wrong)
    assert wrapped.weights[wrong] < 0.2 < 0.8 < wrapped.weights[rest].mean()
    plain, _ = finished(refine(GaussianNB(), X, targets, 3))
    assert (plain.weights[targets >= 0] == 1).all()
