"""A rehearsal says of a strategy what is so: of an oracle, of a saboteur, of a coin."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from leaven.core.errors import SettingError, UnknownNameError
from leaven.label.asking.pool import Pool
from leaven.label.asking.rehearsal import ENOUGH, Rehearsal, _interval, _leading, rehearse
from leaven.label.asking.strategy import Asked, Strategy


def made(n: int = 240, classes: int = 4, spare: int = 60, width: int = 6, seed: int = 0) -> Pool:
    """Clouds of unlike size, two of each class, and some records without a label."""
    rng = np.random.default_rng(seed)
    shares = np.array([0.5, *[0.5 / (2 * classes - 1)] * (2 * classes - 1)])
    cloud = rng.choice(2 * classes, n + spare, p=shares)
    centres = 2.5 * rng.normal(size=(2 * classes, width))
    x = (centres[cloud] + rng.normal(size=(n + spare, width))).astype(np.float32)
    y = cloud % classes
    y[rng.permutation(n + spare)[:spare]] = -1
    return Pool(y.astype(np.int64), embeddings=x, seed=seed)


class Fixed(Strategy):
    """Asks in an order of the records that it was given, by their first feature."""

    paper = "–"
    summary = "–"
    needs = ("embeddings",)

    def __init__(self, name: str, sign: float) -> None:
        self.name, self.sign = name, sign

    def rank(self, pool: Pool, count: int) -> Asked:
        assert pool.embeddings is not None
        rows = np.flatnonzero(pool.open)
        rows = rows[np.argsort(self.sign * pool.embeddings[rows, 0], kind="stable")][:count]
        return Asked.of(rows, np.zeros(len(rows)), lambda *_: "Because")


class Coin(Strategy):
    """Draws at random, by other draws than `random`."""

    name = "coin"
    paper = "–"
    summary = "–"
    needs = ()

    def rank(self, pool: Pool, count: int) -> Asked:
        rng = np.random.default_rng((pool.seed, 99))
        rows = rng.permutation(np.flatnonzero(pool.open))[:count]
        return Asked.of(rows, np.zeros(len(rows)), lambda *_: "Because")


def sorted_by_use() -> Pool:
    """Half the records are copies of one that teach nothing; the first feature tells which."""
    rng = np.random.default_rng(1)
    n, classes = 480, 3
    y = np.where(np.arange(n) < n // 2, 0, rng.integers(classes, size=n))
    centres = 0.8 * rng.normal(size=(classes, 30))
    x = centres[y] + 2 * rng.normal(size=(n, 30))
    x[: n // 2] = centres[0]
    order = np.where(np.arange(n) < n // 2, 40.0, 0.0)[:, None]
    return Pool(y, embeddings=np.hstack([order, x]))


def test_who_asks_for_what_teaches_is_better_and_who_asks_for_copies_is_not():
    pool = sorted_by_use()
    good = rehearse(pool, Fixed("useful", 1), replays=10)
    assert good.outcome == "better"
    assert good.difference is not None
    assert good.difference.low > 0
    assert good.sentence.startswith("useful beats labels drawn at random: +")
    bad = rehearse(pool, Fixed("copies", -1), replays=10)
    assert bad.outcome == "no better"
    assert bad.difference is not None
    assert bad.difference.high < 0
    assert bad.sentence.startswith("copies is worse than labels drawn at random: \N{MINUS SIGN}")
    assert "of your 480 labels" in bad.sentence


def test_a_coin_is_not_called_better():
    outcomes = [rehearse(made(n=90, seed=i), Coin(), replays=4, seed=i) for i in range(10)]
    assert sum(one.outcome == "better" for one in outcomes) <= 1
    values = [one.difference.value for one in outcomes if one.difference]
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    assert abs(np.mean(values)) < 3.2 * error, "no side is favoured"


@pytest.mark.parametrize("strategy", ["margin", "bald", "auto"])
def test_the_same_seed_says_the_same_and_records_without_a_label_play_no_part(strategy: str):
    pool = made(n=120)
    first = rehearse(pool, strategy, replays=3, rounds=2, seed=4)
    assert first.difference is not None
    assert first.difference.n == len(pool.known)
    assert rehearse(pool, strategy, replays=3, rounds=2, seed=4) == first
    assert rehearse(pool, strategy, replays=3, rounds=2, seed=5) != first
    assert pool.embeddings is not None
    without = Pool(pool.labelled[pool.known], embeddings=pool.embeddings[pool.known])
    assert rehearse(without, strategy, replays=3, rounds=2, seed=4) == first


def test_a_fifth_of_what_can_be_bought_is_bought():
    found = rehearse(made(n=300, classes=4), "margin", replays=2, rounds=4)
    assert found.start == 8
    assert found.bought == (200 - 8) // 5 // 4 * 4
    assert found.replays == 2


def test_the_interval_is_that_of_replays_and_records():
    rng = np.random.default_rng(0)
    gains = rng.normal(size=(5, 30))
    gains[rng.random((5, 30)) < 0.6] = np.nan
    gains[:, 7] = np.nan
    rows = [[float(g) for g in row if not math.isnan(g)] for row in gains]
    columns = [[float(g) for g in column if not math.isnan(g)] for column in gains.T]
    means = [sum(row) / len(row) for row in rows]
    each = [sum(column) / len(column) for column in columns if column]

    def spread(values: list[float]) -> float:
        mean = sum(values) / len(values)
        return sum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values)

    half = student.ppf(0.975, 4) * math.sqrt(spread(means) + spread(each))
    found = _interval(gains)
    assert found.value == pytest.approx(sum(means) / 5)
    assert found.low == pytest.approx(found.value - half)
    assert found.high == pytest.approx(found.value + half)
    assert found.n == 30


def test_leading_components_keep_the_distances():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 300)) + 50
    low = _leading(x)
    assert low.shape == (100, 100)
    apart = lambda z: ((z[:, None] - z[None]) ** 2).sum(-1)  # noqa: E731
    assert np.allclose(apart(low), apart(x))


@pytest.mark.parametrize(
    ("pool", "said"),
    [
        (made(n=ENOUGH - 1), f"{ENOUGH - 1} labels are too few to rehearse margin."),
        (Pool(np.full(9, -1), embeddings=np.ones((9, 2))), "0 labels are too few"),
        (Pool(np.zeros(80, np.int64), embeddings=np.ones((80, 2))), "with 1 class."),
        (Pool(np.arange(80) % 40, embeddings=np.ones((80, 2))), "with 40 classes."),
    ],
)
def test_where_there_is_nothing_to_replay_it_says_so(pool: Pool, said: str):
    found = rehearse(pool, "margin")
    assert said in found.sentence
    assert found.outcome == "too few labels to tell"
    assert found.difference is None


@pytest.mark.parametrize("strategy", ["typiclust", "k-centre", "bald"])
def test_records_all_alike_are_no_better_to_ask(strategy: str):
    pool = Pool(np.arange(90) % 3, embeddings=np.ones((90, 4), np.float32))
    found = rehearse(pool, strategy, replays=4)
    assert found.outcome != "better"
    assert np.isfinite([found.difference.low, found.difference.high]).all()  # type: ignore[union-attr]


def test_many_labels_are_drawn_from():
    pool = made(n=1500, spare=0)
    found = rehearse(pool, "margin", replays=2, rounds=2)
    assert found.difference is not None
    assert found.difference.n == 500


def test_wrong_settings_are_told():
    pool = made()
    with pytest.raises(UnknownNameError, match="margin"):
        rehearse(pool, "margn")
    with pytest.raises(SettingError, match="held against"):
        rehearse(pool, "random")
    with pytest.raises(SettingError, match="replays"):
        rehearse(pool, "margin", replays=1)
    with pytest.raises(SettingError, match="rounds"):
        rehearse(pool, "margin", rounds=0)
    with pytest.raises(SettingError, match="embeddings"):
        rehearse(replace(pool, embeddings=None), "margin")


@given(
    n=st.integers(60, 120),
    classes=st.integers(2, 8),
    skew=st.floats(0.2, 5),
    seed=st.integers(0, 9),
)
@settings(max_examples=8)
def test_whatever_the_labels_it_ends_and_its_parts_agree(
    n: int, classes: int, skew: float, seed: int
):
    rng = np.random.default_rng(seed)
    y = rng.choice(classes, n, p=rng.dirichlet(np.full(classes, skew)))
    pool = Pool(y, embeddings=rng.normal(size=(n, 3)).astype(np.float32))
    found: Rehearsal = rehearse(pool, "margin", replays=2, rounds=2, seed=seed)
    assert found.strategy == "margin"
    if found.difference is None:
        assert found.outcome == "too few labels to tell"
        return
    low, high = found.difference.low, found.difference.high
    assert low <= found.difference.value <= high
    assert (found.outcome == "better") == (low > 0)
    if found.outcome == "no better":
        assert high < 0.01
