"""Which records each step reads: fair over passes, a function of the seed and the step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leaven.core.recipe import Training
from leaven.learn.contracts.methods import made_problem
from leaven.learn.method import METHODS, Problem
from leaven.learn.streams import Labelled, Unlabelled, _shuffled, nearness


def problem(**training: object) -> Problem:
    made = made_problem(METHODS["fixmatch"]).problem
    return replace(made, training=Training.model_validate({"labelled_batch": 8} | training))


@pytest.mark.parametrize(("records", "size"), [(10, 4), (7, 7), (3, 8), (100, 16), (1, 5)])
def test_each_pass_covers_every_record_once(records: int, size: int):
    steps = 3 * records
    drawn = _shuffled(records, np.arange(steps * size), 0, 1)
    passes = drawn[: len(drawn) // records * records].reshape(-1, records)
    assert all(sorted(one) == list(range(records)) for one in passes)


def test_seeds_streams_and_passes_are_shuffled_differently():
    orders = {
        tuple(_shuffled(30, np.arange(30 * number, 30 * number + 30), seed, stream))
        for number in range(3)
        for seed in range(3)
        for stream in range(2)
    }
    assert len(orders) == 18


def test_every_labelled_record_comes_once_a_pass():
    stream = Labelled(problem(labelled_batch=3))
    seen = np.concatenate([stream(step) for step in range(8)])  # 24 places, 8 records
    for start in (0, 8, 16):
        assert sorted(seen[start : start + 8]) == list(range(8))
    assert (seen[:8] != seen[8:16]).any()


def test_balanced_labelled_records_are_balanced_in_every_pass_over_the_classes():
    made = problem(labelled_draw="balanced")
    targets = np.full(len(made.targets), -1)
    targets[:8] = [0, 0, 0, 0, 0, 1, 2, 3]
    made = replace(made, targets=targets)
    stream = Labelled(made)
    seen = np.concatenate([stream(step) for step in range(10)])
    assert np.bincount(targets[made.train[seen]]).tolist() == [20, 20, 20, 20]
    # Within a class all records come equally often.
    assert np.bincount(seen, minlength=8).tolist() == [4, 4, 4, 4, 4, 20, 20, 20]


def test_a_step_needs_no_step_before_it():
    for made in (problem(), problem(labelled_draw="balanced"), problem(unlabelled_draw="near")):
        late = (Labelled(made)(7).tolist(), Unlabelled(made)(7).tolist())
        labelled, unlabelled = Labelled(made), Unlabelled(made)
        for step in range(8):
            seen = (labelled(step).tolist(), unlabelled(step).tolist())
        assert seen == late
        other = replace(made, seed=1)
        assert Unlabelled(other)(7).tolist() != late[1]


def test_a_cap_is_one_random_part():
    made = problem(most_unlabelled=50)
    stream = Unlabelled(made)
    seen = {int(place) for step in range(20) for place in stream(step)}
    assert len(seen) == 50
    assert seen != set(range(50))
    other = Unlabelled(replace(made, seed=1))
    assert seen != {int(place) for step in range(20) for place in other(step)}


def test_nearness_falls_with_the_distance_to_the_nearest_labelled_record():
    made = problem()
    near = nearness(made, made.unlabelled)
    features = made.arrays["features"].astype(np.float64)
    known = np.concatenate([made.train, made.unlabelled])
    unit = features - features[np.sort(known)].mean(0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    distance = np.array(
        [min(np.linalg.norm(unit[i] - unit[j]) for j in made.train) for i in made.unlabelled]
    )
    np.testing.assert_allclose(near, np.exp(-((distance / np.median(distance)) ** 2)), rtol=1e-4)


def test_near_records_are_drawn_more_often_and_far_ones_now_and_then():
    made = problem(unlabelled_draw="near", unlabelled_ratio=64)
    stream = Unlabelled(made)
    counts = np.bincount(np.concatenate([stream(s) for s in range(200)]), minlength=240)
    near = nearness(made, made.unlabelled)
    wanted = 0.2 / 240 + 0.8 * near / near.sum()
    share = counts / counts.sum()
    assert counts.min() > 0
    np.testing.assert_allclose(share, wanted, atol=5 * np.sqrt(wanted.max() / counts.sum()))


@pytest.mark.parametrize(
    "training",
    [{"labelled_draw": "balanced"}, {"unlabelled_draw": "near"}, {"most_unlabelled": 40}],
)
def test_draws_change_the_training(training: dict[str, object]):
    def weights(made: Problem) -> np.ndarray:
        fit = METHODS["pi-model"].fit(replace(made, steps=5))
        while True:
            try:
                next(fit)
            except StopIteration as done:
                return done.value.head.weight.detach().numpy()

    assert not np.array_equal(weights(problem()), weights(problem(**training)))
