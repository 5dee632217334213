"""The batch that is asked for, the choice of a strategy, and what a pool refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from leaven.core.errors import SettingError, UnknownNameError
from leaven.label.asking.pool import Pool
from leaven.label.asking.strategy import STRATEGIES, Asked, Strategy, ask, chosen, highest

EXPLORED = "Drawn at random, so that the model's blind spots are seen too"


def pool_of(n: int = 200, known: int = 0, k: int = 3, **changed: Any) -> Pool:
    rng = np.random.default_rng(0)
    labelled = np.full(n, -1)
    labelled[:known] = np.arange(known) % k
    arrays = {
        "probabilities": rng.dirichlet(np.ones(k), n),
        "embeddings": rng.normal(size=(n, 4)).astype(np.float32),
    }
    return Pool(labelled, **{**arrays, **changed})


def test_a_share_is_drawn_at_random_and_the_rest_keeps_its_order():
    pool = pool_of(known=30)
    asked = ask(pool, 40, "margin", explore=0.25)
    random = np.array([reason == EXPLORED for reason in asked.reasons])
    assert random.sum() in (10, 11)
    assert np.isnan(asked.scores[random]).all()
    ranked = STRATEGIES["margin"].rank(pool, 40 - int(random.sum()))
    assert asked.index[~random].tolist() == ranked.index.tolist()
    assert asked.scores[~random].tolist() == ranked.scores.tolist()
    assert random[:20].any()


def test_explored_records_stand_anywhere_in_the_batch():
    places = [
        ask(pool_of(known=30, seed=seed), 10, "margin", explore=0.1).reasons.index(EXPLORED)
        for seed in range(60)
    ]
    assert {0, 9} < {*places}


def test_small_batches_explore_now_and_then():
    asked = [ask(pool_of(known=30, seed=seed), 1, "margin", explore=0.25) for seed in range(200)]
    assert 25 <= sum(one.reasons == (EXPLORED,) for one in asked) <= 75


@pytest.mark.parametrize(("explore", "expected"), [(0, 0), (1, 12)])
def test_none_or_all_may_be_drawn(explore: float, expected: int):
    reasons = ask(pool_of(known=30), 12, "entropy", explore=explore).reasons
    assert reasons.count(EXPLORED) == expected


def test_the_draw_differs_from_round_to_round():
    last = np.arange(200) >= 100
    pools = (pool_of(known=n, askable=last) for n in (30, 31))
    one, other = (ask(pool, 20, "margin", explore=1) for pool in pools)
    assert one.index.tolist() != other.index.tolist()


def test_copies_are_asked_once_and_not_where_one_has_a_label():
    pool = pool_of(60, known=6)
    groups = np.arange(60) % 12  # each of twelve texts five times; six of them have a label
    asked = ask(pool, 50, "k-centre", groups=groups)
    assert sorted(groups[asked.index].tolist()) == [6, 7, 8, 9, 10, 11]
    named = ask(pool, 50, "k-centre", groups=[f"text {g}" for g in groups.tolist()])
    assert named.index.tolist() == asked.index.tolist()


def test_a_copy_that_may_not_be_asked_does_not_hide_one_that_may():
    askable = np.array([False, True, True])
    pool = Pool(np.full(3, -1), askable=askable)
    assert sorted(ask(pool, 3, groups=[7, 7, 8]).index.tolist()) == [1, 2]


def test_what_a_strategy_leaves_is_drawn():
    pool = pool_of(50, embeddings=np.ones((50, 3), np.float32))
    asked = ask(pool, 5, "k-centre", explore=0)
    assert len({*asked.index.tolist()}) == 5
    assert asked.reasons[0] == "In the middle of the records"
    assert set(asked.reasons[1:]) == {"Drawn at random, for the strategy finds nothing more to ask"}


@pytest.mark.parametrize("name", ["k-centre", "badge"])
def test_copies_of_what_was_asked_are_at_no_distance(name: str):
    x = np.random.default_rng(0).normal(size=(7, 64)).astype(np.float32) + 5
    p = np.random.default_rng(1).dirichlet(np.ones(3), 7)
    pool = Pool(np.full(700, -1), np.repeat(p, 100, axis=0), np.repeat(x, 100, axis=0))
    asked = STRATEGIES[name].rank(pool, 50)
    assert sorted((asked.index // 100).tolist()) == [0, 1, 2, 3, 4, 5, 6]


def test_no_record_comes_twice_where_its_distance_to_itself_is_rounding():
    x = np.random.default_rng(0).normal(size=(80, 64)).astype(np.float32) + 1e5
    pool = Pool(np.full(240, -1), embeddings=np.repeat(x, 3, axis=0))
    asked = STRATEGIES["k-centre"].rank(pool, 240)
    assert len(asked) == len({*asked.index.tolist()}) >= 80


def test_a_record_with_a_label_is_never_open():
    pool = Pool(np.array([-1, 0, -1]), askable=np.array([True, True, False]))
    assert pool.open.tolist() == [True, False, False]
    assert not pool.only(np.array([False, True, True])).open.any()


def test_fewer_records_than_asked_are_all_of_them():
    pool = pool_of(10, known=4)
    for name in ("auto", "badge", "random"):
        assert sorted(ask(pool, 99, name).index.tolist()) == [4, 5, 6, 7, 8, 9]
    assert not len(ask(pool_of(5, known=5), 3))
    assert not len(ask(Pool(np.zeros(0, np.int64)), 3))


@pytest.mark.parametrize(
    ("pool", "name"),
    [
        (pool_of(), "typiclust"),
        (pool_of(known=11), "typiclust"),
        (pool_of(known=12), "diverse"),
        (pool_of(known=24, embeddings=None), "margin"),
        (pool_of(known=24, probabilities=None), "typiclust"),
        (pool_of(probabilities=None, embeddings=None), "random"),
        (pool_of(embeddings=None, probabilities=None, members=np.full((2, 200, 2), 0.5)), "bald"),
    ],
)
def test_the_strategy_hangs_on_how_many_labels_there_are(pool: Pool, name: str):
    assert chosen(pool) == name
    asked, same = ask(pool, 9), ask(pool, 9, name)
    assert asked.index.tolist() == same.index.tolist()


def test_a_strategy_of_ones_own_is_asked_like_any_other():
    class Last(Strategy):
        name, paper, summary, needs = "last", "none", "the last records", ()

        def rank(self, pool: Pool, count: int) -> Asked:
            rows = np.flatnonzero(pool.open)[::-1][:count]
            return Asked.of(rows, -np.arange(len(rows)), lambda row, _: f"Record {row}")

    asked = ask(pool_of(20), 2, Last(), explore=0)
    assert asked.reasons == ("Record 19", "Record 18")


def test_of_equals_no_file_order_decides():
    ties = np.zeros(1000)
    drawn = highest(ties, 100, np.ones(1000, bool), 0)
    assert 300 < drawn.mean() < 700
    whole = highest(ties, 1000, np.ones(1000, bool), 0)
    assert sorted(whole.tolist()) == list(range(1000))
    assert whole.tolist() != list(range(1000))


def test_reasons_name_the_classes():
    p = np.array([[0.41, 0.39, 0.2], [0.9, 0.05, 0.05]])
    asked = ask(Pool(np.array([-1, 2]), p, names=("ham", "spam", "egg")), 1, "margin", explore=0)
    assert asked.reasons[0].replace("\u202f", " ") == "Least sure: 41 % ham, 39 % spam"


def wrong_sum(n: int = 200) -> np.ndarray:
    p = np.full((n, 2), 0.5)
    p[137] = [0.5, 0.6]
    return p


def with_hole(value: float, n: int = 200) -> np.ndarray:
    x = np.zeros((n, 3), np.float32)
    x[77, 1] = value
    return x


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"probabilities": wrong_sum()}, r"shares that sum to 1.*'\[0.5, 0.6\] of record 137"),
        ({"probabilities": with_hole(np.nan)}, "'probabilities' must be rows of shares"),
        ({"probabilities": np.full((199, 2), 0.5)}, r"shape \(200, …\).*Got \(199, 2\)"),
        ({"probabilities": np.ones((200, 1), int)}, "floating-point numbers. Got 'int"),
        ({"embeddings": with_hole(np.nan)}, "'embeddings' must be finite.*of record 77"),
        ({"embeddings": with_hole(np.inf)}, "of record 77"),
        ({"embeddings": with_hole(1e30)}, "of record 77"),
        ({"embeddings": np.zeros((200, 0))}, r"shape \(200, features\)"),
        ({"embeddings": np.zeros(200)}, r"shape \(200, features\)"),
        ({"members": np.full((200, 3), 1 / 3)}, r"shape \(…, 200, …\)"),
        ({"members": np.zeros((0, 200, 3))}, r"shape \(…, 200, …\)"),
        ({"members": np.full((2, 200, 2), 0.5)}, "one number of classes everywhere"),
        ({"names": ("one", "two")}, "one number of classes everywhere"),
        ({"askable": np.ones(3, bool)}, "'askable' must be 200 times True or False"),
        ({"askable": np.ones(200)}, "'askable' must be"),
    ],
)
def test_a_pool_refuses_what_is_no_pool(changed: dict[str, Any], message: str):
    with pytest.raises(SettingError, match=message):
        pool_of(**changed)


@pytest.mark.parametrize(
    ("labelled", "message"),
    [
        (np.array([0.0, 1.0]), "'labelled' must be .records,. class positions"),
        (np.array([[0]]), "'labelled' must be"),
        (np.array([0, -2]), "'labelled' must be .* Got -2"),
        (np.array([0, 2]), "from 0 to 1, or -1, of 2 records. Got 2"),
    ],
)
def test_labels_are_class_positions(labelled: np.ndarray, message: str):
    with pytest.raises(SettingError, match=message):
        Pool(labelled, np.full((2, 2), 0.5))


def test_ask_refuses_what_makes_no_sense():
    pool = pool_of(embeddings=None)
    with pytest.raises(SettingError, match="'count' must be a number of records from 1. Got 0"):
        ask(pool, 0)
    with pytest.raises(SettingError, match="'explore' must be a share from 0 to 1. Got 1.5"):
        ask(pool, 1, explore=1.5)
    with pytest.raises(SettingError, match="one of .*margin, random, for the pool has no embedd"):
        ask(pool, 1, "badge")
    with pytest.raises(UnknownNameError, match="Did you mean 'badge'"):
        ask(pool, 1, "bagde")
    with pytest.raises(SettingError, match="'groups' must be one value for each of 200 records"):
        ask(pool, 1, groups=[1, 2])
    for settings in ({"beta": -1}, {"beta": float("nan")}):
        with pytest.raises(SettingError, match="'beta'"):
            type(STRATEGIES["density-weighted"])(**settings)
