"""A blend: right weights, no label seen that it was not shown, and better than its parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from leaven.core.errors import SettingError, UnknownNameError
from leaven.learn.blending import member
from leaven.learn.classic.blend import Blend
from leaven.learn.classic.supervised_blend import SupervisedBlend
from leaven.learn.classic_method import Frozen
from leaven.learn.head import HEADS, LinearHead
from leaven.learn.heads.blend import BlendHead
from leaven.learn.history import expected, gained, shipped
from leaven.learn.method import METHODS
from leaven.learn.out_of_fold import answers, fitted, folds, out_of_fold
from leaven.learn.weighing import agreement, weigh


def digits(per: int, unlabelled: int = 400, seed: int = 0) -> tuple[Frozen, np.ndarray, np.ndarray]:
    """Frozen pixels, and features and classes of records held out."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(y))
    labelled = np.concatenate([drawn[y[drawn] == c][:per] for c in range(10)])
    others = np.setdiff1d(drawn, labelled)
    pool, held = others[:unlabelled], others[unlabelled : unlabelled + 600]
    targets = np.r_[y[labelled], np.full(len(pool), -1)]
    rows = np.r_[labelled, pool]
    known = Frozen(X[rows], targets, 10, seed, np.arange(len(pool)), modality="tabular")
    return known, X[held], y[held]


def right(method, known, X, y) -> float:
    return float((answers(fitted(method, known), X).argmax(1) == y).mean())


def test_a_blend_is_near_its_best_part_and_above_its_supervised_one():
    known, X, y = digits(3)
    few = replace(Blend(), members="logistic,ridge,poisson-learning,label-spreading", repeats=1)
    alone = replace(SupervisedBlend(), members=few.members, repeats=1)
    parts = {name: right(member(name), known, X, y) for name in few.members.split(",")}
    whole = right(few, known, X, y)
    assert whole > max(parts.values()) - 0.03, parts
    assert whole > right(alone, known, X, y) + 0.02


def test_records_left_out_are_never_taught():
    """A label that is held back may be anything: what is said of its record stays the same."""
    known, _, _ = digits(3, 60)
    parts = folds(known.targets[: known.labelled], 0)
    wrong = known.targets.copy()
    wrong[parts[0]] = (wrong[parts[0]] + 1) % 10
    for name in ("logistic", "poisson-learning", "self-training-ridge"):
        told = out_of_fold(member(name), known, parts[:1])[parts[0]]
        also = out_of_fold(member(name), replace(known, targets=wrong), parts[:1])[parts[0]]
        np.testing.assert_array_equal(told, also)


def test_a_part_finds_the_neighbours_that_the_whole_has():
    known, _, _ = digits(3, 80)
    noise = np.random.default_rng(0).normal(size=known.features.shape)  # no two as near
    known = replace(known, features=known.features + noise.astype(np.float32))
    held = np.array([0, 5, 29])
    part = known.without(held)
    order, position, distance = part.nearest(5, False)
    fresh = replace(part, rows=None, near={}).nearest(5, False)
    own = np.empty((len(order), 5), int)
    own[order] = order[position]
    other = np.empty((len(order), 5), int)
    other[fresh[0]] = fresh[0][fresh[1]]
    np.testing.assert_array_equal(own, other)
    assert (part.targets[part.labelled :] == -1).all()
    assert len(part.near) == 1, "found once, and kept for the whole"
    assert part.near is known.near
    assert (distance >= 0).all()


@given(st.integers(2, 6), st.integers(2, 9), st.integers(0, 1000))
def test_folds_part_the_records_and_hold_every_class(classes, per, seed):
    targets = np.tile(np.arange(classes), per)
    parts = folds(targets, seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(targets)))
    for held in parts:
        assert set(np.delete(targets, held)) == set(range(classes)), "each class is still taught"


def test_a_class_with_one_record_leaves_experience_alone():
    known, X, y = digits(1, 100)
    assert folds(known.targets[: known.labelled], 0) == []
    assert right(replace(Blend(), members="logistic,poisson-learning"), known, X, y) > 0.3


def test_one_class_is_named_always():
    known, X, _ = digits(3, 50)
    alone = known.among(np.flatnonzero(known.targets == 4), np.zeros(0, np.int64))
    assert (answers(fitted(SupervisedBlend(), alone), X).argmax(1) == 4).all()


def test_weights_follow_the_evidence_as_it_grows():
    prior = {"a": 0.2, "b": 0.8}
    few = weigh({"a": np.full(2, 0.6), "b": np.full(2, 0.5)}, prior)
    many = weigh({"a": np.full(60, 0.6), "b": np.full(60, 0.5)}, prior)
    assert few["b"] > few["a"]
    assert many["a"] > 0.85


@pytest.mark.parametrize("n", [2, 16, 100])
def test_weights_are_those_under_which_the_mixture_gives_most(n: int):
    rng = np.random.default_rng(n)
    seen = {name: rng.uniform(0.05, 1, n) for name in "abc"}
    prior = {"a": 0.5, "b": 0.3, "c": 0.2}
    weights = np.array([weigh(seen, prior).get(name, 0.0) for name in "abc"])
    given, before = np.column_stack([*seen.values()]), np.array([*prior.values()])

    def worth(w: np.ndarray) -> float:
        """The logarithm of the posterior: of the mixture, and of the prior as one record more."""
        return float(np.log(given @ w).sum() + (before * np.log(w)).sum())

    grid = np.linspace(0.01, 0.98, 98)
    every = [np.array([a, b, 1 - a - b]) for a in grid for b in grid if a + b < 0.995]
    best = max(every, key=worth)
    assert np.abs(best - weights).max() < 0.05  # what hardly counts is left out


def test_candidates_that_err_on_different_records_are_mixed():
    seen = {"a": np.tile([0.9, 0.2], 100), "b": np.tile([0.2, 0.9], 100), "c": np.full(200, 0.5)}
    weights = weigh(seen, dict.fromkeys(seen, 1 / 3))
    assert weights == {"a": pytest.approx(0.5, abs=0.02), "b": pytest.approx(0.5, abs=0.02)}


def test_who_agrees_with_the_others_counts_more():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 60)
    named = {n: np.where(rng.random(60) < s, truth, rng.integers(0, 3, 60)) for n, s in
             (("good", 0.9), ("fair", 0.8), ("bad", 0.1))}  # fmt: skip
    seen = dict.fromkeys(named, np.zeros(0))
    weights = weigh(seen, dict.fromkeys(named, 1 / 3), agreement(named))
    assert weights["good"] > weights.get("bad", 0) + 0.2


def test_the_head_mixes_calibrated_probabilities_and_is_saved_whole():
    torch.manual_seed(0)
    heads = [LinearHead(5, 3), LinearHead(5, 3)]
    blend = BlendHead.of(heads, [3.0, 1.0], [0.5, 2.0])
    x = torch.randn(7, 5)
    wanted = 0.75 * (heads[0](x) / 0.5).softmax(-1) + 0.25 * (heads[1](x) / 2).softmax(-1)
    torch.testing.assert_close(blend(x).exp(), wanted, atol=1e-5, rtol=1e-5)
    again = HEADS["blend"](**blend.config)
    again.load_state_dict(blend.state_dict())
    torch.testing.assert_close(again(x), blend(x))
    with pytest.raises(SettingError, match="not all zero"):
        BlendHead.of(heads, [0.0, 0.0], [1.0, 1.0])


def test_members_are_checked():
    for blend in (METHODS["blend"], METHODS["supervised-blend"]):
        with pytest.raises(UnknownNameError, match="Did you mean 'logistic'"):
            blend.check({"members": "logistc,ridge"})
        with pytest.raises(SettingError, match="frozen features"):
            blend.check({"members": "fixmatch"})
        with pytest.raises(SettingError, match="frozen features"):
            blend.check({"members": "blend"})


def test_the_shipped_table_knows_every_candidate_and_names_no_set():
    table = shipped()
    for kind, rows in table["weights"].items():
        for labels, weights in rows.items():
            assert set(weights) >= set(Blend.candidates), (kind, labels)
    for kind in table["weights"]:
        prior = expected(Blend.candidates, kind, 10)
        assert sum(prior.values()) == pytest.approx(1)
    assert expected(Blend.candidates, "no such kind", 4)
    assert gained("blend", "no such kind", 4) == gained("blend", "any", 4)
    assert gained("no such method", "tabular", 4) is None
    assert gained("blend", "tabular", 4) is not None
    assert gained("blend", "tabular", 500) is None, "nobody has seen as many labels"
