"""Figures of features: against slow transcriptions, and on features whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from leaven.learn.probes import (
    cluster_usage,
    linear_probe,
    neighbour_probe,
    rank,
    separability,
    spread,
)


def slow_rank(features: np.ndarray) -> float:
    """Garrido et al. 2023, eq. 1 and 2, one singular value at a time."""
    sizes = np.sqrt(np.linalg.eigvalsh(features.T @ features).clip(0))
    total, entropy = sizes.sum(), 0.0
    for size in sizes:
        share = size / total + 1e-7
        entropy -= share * math.log(share)
    return math.exp(entropy)


@pytest.mark.parametrize("seed", range(3))
def test_rank_is_the_papers(seed: int):
    features = np.random.default_rng(seed).normal(size=(40, 7)) @ np.diag([5, 4, 3, 2, 1, 1, 1])
    assert rank(features) == pytest.approx(slow_rank(features), rel=1e-3)


def test_a_collapse_shows_in_rank_and_spread():
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(200, 16))
    point = 1.0 + 1e-4 * rng.normal(size=(200, 16))
    line = rng.normal(size=(200, 1)) * rng.normal(size=(1, 16))
    assert rank(whole) > 14
    assert rank(point) < 1.1
    assert rank(line) < 1.1
    assert spread(whole) == pytest.approx(1.0, abs=0.05)
    assert spread(point) < 0.01
    assert cluster_usage(whole) > 0.8
    assert cluster_usage(np.ones((200, 16))) < 0.1


def test_probes_answer_for_records_they_have_not_seen():
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    told = rng.normal(size=(120, 8)) + 4 * np.eye(8)[labels]
    noise = rng.normal(size=(120, 40))
    for probe in (neighbour_probe, linear_probe):
        assert (probe(told, labels) == labels).mean() > 0.95
        # A probe that saw the record it answers for would be right about noise as well.
        assert (probe(noise, labels) == labels).mean() < 0.5


def test_a_lone_record_of_a_class_is_never_right():
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2])
    features = np.eye(3)[labels]
    said = linear_probe(features, labels)
    assert said[-1] == -1
    assert (said[:8] == labels[:8]).all()


def test_separability_is_half_for_alike_and_none_for_few():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(300, 5)), rng.normal(size=(300, 5))
    assert separability(one, other) == pytest.approx(0.5, abs=0.08)
    moved = separability(one, other + 3)
    assert moved is not None
    assert moved > 0.95
    assert separability(one[:5], other) is None
