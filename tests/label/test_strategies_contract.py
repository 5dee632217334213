"""What every registered strategy keeps, built in or added by others."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaven.label.asking.pool import Pool
from leaven.label.asking.strategy import STRATEGIES, ask

NAMES = list(STRATEGIES)
#: Those whose answer hangs neither on a draw nor on the order of the records.
FIRM = [
    "bald", "class-balanced", "density-weighted", "entropy", "expected-gradient-length",
    "k-centre", "least-confidence", "margin",
]  # fmt: skip


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    """Small and awkward: one class, copies, all alike, all labelled, huge and tiny numbers."""
    n, k = draw(st.integers(1, 40)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    embeddings = rng.normal(size=(n, draw(st.integers(1, 6)))).astype(np.float32)
    embeddings *= np.float32(10.0 ** draw(st.sampled_from([-30, -3, 0, 3, 15])))
    if draw(st.booleans()):
        embeddings[:] = embeddings[rng.integers(n, size=n) // draw(st.sampled_from([1, 4, 40]))]
    sharp = draw(st.booleans())
    p = np.eye(k)[rng.integers(k, size=n)] if sharp else rng.dirichlet(np.ones(k), n)
    share = draw(st.sampled_from([0.0, 0.3, 0.9, 1.0]))
    labelled = np.where(rng.random(n) < share, rng.integers(k, size=n), -1)
    members = np.stack([p, rng.dirichlet(np.ones(k), n)]) if draw(st.booleans()) else p[None]
    askable = rng.random(n) < 0.8 if draw(st.booleans()) else None
    return Pool(labelled, p, embeddings, members, askable, seed=draw(st.integers(0, 9)))


@pytest.mark.parametrize("name", NAMES)
@given(pool=pools(), count=st.integers(1, 50))
@settings(max_examples=25, deadline=None)
def test_a_batch_holds_open_records_once(name: str, pool: Pool, count: int):
    asked = STRATEGIES[name].rank(pool, count)
    assert len(asked) == len({*asked.index.tolist()}) == len(asked.scores) == len(asked.reasons)
    assert len(asked) <= min(count, pool.open.sum())
    assert pool.open[asked.index].all()
    assert all(reason and reason[0].isalpha() for reason in asked.reasons)
    assert name == "random" or np.isfinite(asked.scores).all()
    again = STRATEGIES[name].rank(pool, count)
    assert again.index.tolist() == asked.index.tolist()
    assert again.reasons == asked.reasons
    whole = ask(pool, count, name)
    assert len(whole) == len({*whole.index.tolist()}) == min(count, pool.open.sum())
    assert pool.open[whole.index].all()


@pytest.mark.parametrize("name", NAMES)
def test_a_strategy_says_what_it_is(name: str):
    strategy = STRATEGIES[name]
    assert strategy.name == name
    assert any(character.isdigit() for character in strategy.paper)
    assert strategy.summary[0].islower()
    assert {*strategy.needs} <= {"probabilities", "embeddings", "members"}


def pool_of(n: int, d: int = 6, seed: int = 0) -> Pool:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(3), n)
    labelled = np.full(n, -1)
    labelled[rng.permutation(n)[:9]] = rng.integers(3, size=9)
    members = rng.dirichlet(np.ones(3), (4, n))
    return Pool(labelled, p, rng.normal(size=(n, d)).astype(np.float32), members)


@pytest.mark.parametrize("name", FIRM)
def test_the_order_of_the_records_does_not_matter(name: str):
    pool = pool_of(120)
    order = np.random.default_rng(1).permutation(120)
    turned = Pool(
        pool.labelled[order],
        pool.probabilities[order],
        pool.embeddings[order],
        pool.members[:, order],
        seed=5,
    )
    asked, again = STRATEGIES[name].rank(pool, 20), STRATEGIES[name].rank(turned, 20)
    assert order[again.index].tolist() == asked.index.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_a_memory_map_and_other_floats_give_the_same(name: str, tmp_path: Path):
    pool = pool_of(700)
    rounded = pool.embeddings.astype(np.float16)
    np.save(tmp_path / "embeddings.npy", rounded)
    on_disk = np.load(tmp_path / "embeddings.npy", mmap_mode="r")
    index = [
        STRATEGIES[name].rank(replace(pool, embeddings=embeddings), 30).index.tolist()
        for embeddings in (on_disk, rounded.astype(np.float32), rounded.astype(np.float64))
    ]
    assert index[0] == index[1] == index[2]


@pytest.mark.parametrize("name", ["badge", "k-centre", "typiclust", "density-weighted"])
def test_the_embeddings_are_never_copied_whole(name: str):
    pool = pool_of(100_000, 64)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        STRATEGIES[name].rank(pool, 20)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak < 0.75 * pool.embeddings.nbytes


def test_coverage_takes_no_more_memory_for_more_records():
    peaks = []
    for n in (20_000, 200_000):
        pool = pool_of(n, 4)
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            STRATEGIES["probcover"].rank(pool, 20)
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
        finally:
            tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
