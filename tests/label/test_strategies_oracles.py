"""Each strategy against a slow transcription of its paper's formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chisquare
from sklearn.cluster import KMeans

from leaven.label.asking.clusters import clustered
from leaven.label.asking.covering import Euclidean
from leaven.label.asking.pool import Pool
from leaven.label.asking.strategies.class_balanced import ClassBalanced
from leaven.label.asking.strategies.density_weighted import DensityWeighted
from leaven.label.asking.strategies.diverse import Diverse
from leaven.label.asking.strategies.probcover import ProbCover, radius
from leaven.label.asking.strategy import STRATEGIES


def made(
    n: int = 60, d: int = 5, k: int = 4, known: int = 6, members: int = 3, seed: int = 0
) -> Pool:
    """A pool at random; its first records have labels."""
    rng = np.random.default_rng(seed)
    labelled = np.full(n, -1)
    labelled[:known] = rng.integers(k, size=known)
    return Pool(
        labelled,
        probabilities=rng.dirichlet(np.full(k, 0.7), n),
        embeddings=rng.normal(size=(n, d)).astype(np.float32) + 3,
        members=rng.dirichlet(np.full(k, 0.7), (members, n)),
        seed=seed,
    )


def entropy(p: list[float]) -> float:
    return -sum(q * math.log(q) for q in p if q > 0)


def kl(p: list[float], q: list[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def least_confidence(pool: Pool, i: int) -> float:
    return 1 - max(pool.probabilities[i].tolist())


def margin(pool: Pool, i: int) -> float:
    first, second = sorted(pool.probabilities[i].tolist(), reverse=True)[:2]
    return 1 - (first - second)


def expected_gradient_length(pool: Pool, i: int) -> float:
    p, x = pool.probabilities[i], pool.embeddings[i].astype(float)
    return sum(
        p[y] * math.sqrt(sum((((p[c] - (c == y)) * x) ** 2).sum() for c in range(len(p))))
        for y in range(len(p))
    )


def vote_entropy(pool: Pool, i: int) -> float:
    votes = [member[i].tolist().index(max(member[i])) for member in pool.members]
    return entropy([votes.count(c) / len(votes) for c in range(pool.classes)])


def consensus_kl(pool: Pool, i: int) -> float:
    """BALD's number by the other road: mean divergence of the members to their mean."""
    answers = [member[i].tolist() for member in pool.members]
    mean = [sum(of_class) / len(answers) for of_class in zip(*answers, strict=True)]
    return sum(kl(p, mean) for p in answers) / len(answers)


def information_density(pool: Pool, i: int, beta: float = 1) -> float:
    x, among = pool.embeddings.astype(float), np.flatnonzero(pool.labelled < 0)
    cosines = [x[i] @ x[j] / (np.linalg.norm(x[i]) * np.linalg.norm(x[j])) for j in among]
    return entropy(pool.probabilities[i].tolist()) * (sum(cosines) / len(cosines) / 2 + 0.5) ** beta


MEASURES = {
    "least-confidence": least_confidence,
    "margin": margin,
    "entropy": lambda pool, i: entropy(pool.probabilities[i].tolist()),
    "expected-gradient-length": expected_gradient_length,
    "vote-entropy": vote_entropy,
    "bald": consensus_kl,
    "density-weighted": information_density,
}


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("seed", range(3))
def test_the_records_of_the_highest_measure_come_first(name: str, seed: int):
    pool = made(seed=seed, members=5)
    asked = STRATEGIES[name].rank(pool, 12)
    slow = {i: MEASURES[name](pool, i) for i in np.flatnonzero(pool.open).tolist()}
    best = sorted(slow.values(), reverse=True)[:12]
    assert asked.scores == pytest.approx(best, abs=1e-6)
    assert [slow[i] for i in asked.index.tolist()] == pytest.approx(best, abs=1e-6)


def test_density_counts_as_much_as_it_is_told_to():
    pool = made()
    asked = DensityWeighted(beta=3).rank(pool, 5)
    slow = [information_density(pool, i, 3) for i in np.flatnonzero(pool.open)]
    assert asked.scores == pytest.approx(sorted(slow, reverse=True)[:5], abs=1e-6)


def furthest_first(x: np.ndarray, chosen: list[int], open_: np.ndarray, count: int) -> list[int]:
    """The plain greedy algorithm: all distances, each time."""
    x, found = x.astype(float), []
    if not chosen:
        found.append(int(np.where(open_, ((x - x.mean(0)) ** 2).sum(1), np.inf).argmin()))
    while len(found) < count:
        squared = ((x[:, None] - x[chosen + found][None]) ** 2).sum(-1).min(1)
        squared[~open_] = -1
        squared[found] = -1
        found.append(int(squared.argmax()))
    return found


@pytest.mark.parametrize("known", [0, 1, 20])
@pytest.mark.parametrize("seed", range(4))
def test_k_centre_is_the_plain_greedy_algorithm(known: int, seed: int):
    pool = made(known=known, seed=seed)
    asked = STRATEGIES["k-centre"].rank(pool, 15)
    slow = furthest_first(pool.embeddings, pool.known.tolist(), pool.open, 15)
    assert asked.index.tolist() == slow
    assert (np.diff(asked.scores) <= 0).all()


def test_k_centre_is_the_greedy_algorithm_where_records_and_centres_come_in_parts():
    pool = made(n=9000, d=3, known=300)
    x = pool.embeddings.astype(float)
    nearest = ((x[:, None] - x[pool.known][None]) ** 2).sum(-1).min(1)
    nearest[~pool.open] = -1
    asked = STRATEGIES["k-centre"].rank(pool, 200)
    for row, score in zip(asked.index.tolist(), asked.scores.tolist(), strict=True):
        assert row == nearest.argmax()
        assert score == pytest.approx(math.sqrt(nearest[row]), rel=1e-4)
        nearest = np.minimum(nearest, ((x - x[row]) ** 2).sum(-1))
        nearest[row] = -1


def test_distances_do_not_suffer_where_records_lie_far_from_zero():
    pool = made(n=300, d=4, known=5)
    away = Pool(pool.labelled, embeddings=pool.embeddings + np.float32(2048), seed=0)
    slow = furthest_first(away.embeddings, pool.known.tolist(), pool.open, 40)
    assert STRATEGIES["k-centre"].rank(away, 40).index.tolist() == slow


def gradients(pool: Pool) -> np.ndarray:
    """(n, k * d), made."""
    residual = pool.probabilities.copy()
    residual[np.arange(len(pool)), pool.probabilities.argmax(1)] -= 1
    whole = residual[:, :, None] * pool.embeddings[:, None, :].astype(float)
    return whole.reshape(len(pool), -1)


@pytest.mark.parametrize("seed", range(5))
def test_badge_is_k_means_plus_plus_on_the_gradients(seed: int):
    pool = made(n=200, seed=seed)
    g = gradients(pool)
    chosen = [int(np.where(pool.open, (g**2).sum(1), -1).argmax())]
    rng = np.random.default_rng(seed)
    while len(chosen) < 25:
        squared = ((g[:, None] - g[chosen][None]) ** 2).sum(-1).min(1)
        squared[~pool.open] = 0
        chosen.append(int((squared / rng.standard_exponential(200, np.float32)).argmax()))
    assert STRATEGIES["badge"].rank(pool, 25).index.tolist() == chosen


def test_badge_draws_in_proportion_to_squared_distances():
    pool = made(n=8, known=2)
    g = gradients(pool)
    first = int(np.where(pool.open, (g**2).sum(1), -1).argmax())
    squared = np.where(pool.open, ((g - g[first]) ** 2).sum(1), 0)
    seconds = np.zeros(8)
    for seed in range(3000):
        again = Pool(pool.labelled, pool.probabilities, pool.embeddings, seed=seed)
        seconds[STRATEGIES["badge"].rank(again, 2).index[1]] += 1
    there = squared > 0
    assert not seconds[~there].any()
    assert chisquare(seconds[there], 3000 * (squared / squared.sum())[there]).pvalue > 0.001


@pytest.mark.parametrize(("known", "count"), [(0, 6), (5, 7), (40, 30)])
def test_typiclust_takes_the_most_typical_of_the_groups_with_the_fewest_labels(
    known: int, count: int
):
    pool = made(n=240, known=known)
    wanted = known + count
    cluster = clustered(pool.embeddings, wanted, pool.seed).tolist()
    groups = {c: [i for i in range(240) if cluster[i] == c] for c in set(cluster)}
    labels = {c: sum(pool.labelled[i] >= 0 for i in rows) for c, rows in groups.items()}
    order = [c for c in sorted(groups) if any(pool.open[i] for i in groups[c])]
    order = [c for c in order if len(groups[c]) >= 5] or order
    order.sort(key=lambda c: (labels[c], -len(groups[c])))

    def spread(i: int) -> float:
        x = pool.embeddings.astype(float)
        others = [math.dist(x[i], x[j]) for j in groups[cluster[i]] if j != i]
        near = sorted(others)[:20]
        return sum(near) / len(near)

    slow: list[int] = []
    while len(slow) < count:
        for c in order:
            left = [i for i in groups[c] if pool.open[i] and i not in slow]
            if left and len(slow) < count:
                slow.append(min(left, key=spread))
    asked = STRATEGIES["typiclust"].rank(pool, count)
    assert asked.index.tolist() == slow
    assert asked.scores.tolist() == [len(groups[cluster[i]]) for i in slow]


def test_clusters_are_those_that_there_are():
    rng = np.random.default_rng(0)
    truth = rng.integers(7, size=30_000)
    x = 100 * truth[:, None] + rng.normal(size=(30_000, 2)) + 1000
    found = clustered(x.astype(np.float32), 7, 0)
    assert len({*zip(truth.tolist(), found.tolist(), strict=True)}) == len({*found.tolist()}) == 7


@pytest.mark.parametrize("known", [0, 8])
@pytest.mark.parametrize("seed", range(3))
def test_probcover_is_greedy_coverage(known: int, seed: int):
    pool = made(n=150, known=known, seed=seed)
    x, delta = pool.embeddings.astype(float), 1.5
    near = [{j for j in range(150) if math.dist(x[i], x[j]) < delta} for i in range(150)]
    covered = set().union(*(near[i] for i in pool.known))
    slow: list[tuple[int, int]] = []
    while len(slow) < 12:
        gains = {i: len(near[i] - covered) for i in np.flatnonzero(pool.open).tolist()}
        best = max(gains, key=lambda i: (gains[i], -i))
        slow.append((best, gains[best]))
        covered |= near[best]
    asked = ProbCover(delta).rank(pool, 12)
    assert [*zip(asked.index.tolist(), asked.scores.tolist(), strict=True)] == slow


def test_probcover_asks_no_more_than_covers_something():
    asked = ProbCover(delta=1000).rank(made(known=0), 10)
    assert len(asked) == 1
    assert asked.scores.tolist() == [60]
    assert not len(ProbCover(delta=1000).rank(made(known=1), 10))


def test_the_radius_is_the_largest_at_which_the_balls_are_pure():
    x = made(n=400, d=2).embeddings
    found = radius(Euclidean(x), x, 3, 0)
    labels = KMeans(3, n_init=1, max_iter=50, random_state=0).fit(x).labels_
    apart = np.linalg.norm(x[:, None].astype(float) - x[None], axis=-1)

    def purity(delta: float) -> float:
        pure = [len({*labels[row < delta].tolist()}) == 1 for row in apart]
        return sum(pure) / len(pure)

    assert purity(found * 0.9999) >= 0.95
    assert purity(found * 1.0001) < 0.95


def test_diverse_takes_the_middles_of_clusters_of_the_unsure():
    pool = made(n=300)
    unsure = {i: margin(pool, i) for i in np.flatnonzero(pool.open).tolist()}
    likely = sorted(sorted(unsure, key=lambda i: -unsure[i])[:40])
    x = pool.embeddings[likely].astype(float)
    fitted = KMeans(8, n_init=1, max_iter=50, random_state=0).fit(
        x, sample_weight=[unsure[i] for i in likely]
    )
    middles = []
    for c, middle in enumerate(fitted.cluster_centers_):
        rows = [j for j in range(40) if fitted.labels_[j] == c]
        middles.append(likely[min(rows, key=lambda j: math.dist(x[j], middle))])
    asked = Diverse(times=5).rank(pool, 8)
    assert asked.index.tolist() == sorted(middles, key=lambda i: -unsure[i])


@pytest.mark.parametrize("balance", [0.0, 1.0, 5.0])
def test_class_balanced_lowers_its_sum_most_at_each_step(balance: float):
    pool = made(known=9)
    p, k, count = pool.probabilities, 4, 12
    held = [int((pool.labelled == c).sum()) for c in range(k)]
    omega = [max((9 + count) / k - h, 0) for h in held]

    def objective(batch: list[int]) -> float:
        unsure = sum(-entropy(p[i].tolist()) / math.log(k) for i in batch)
        return unsure + balance * sum(abs(omega[c] - sum(p[i, c] for i in batch)) for c in range(k))

    slow: list[int] = []
    for _ in range(count):
        left = [i for i in np.flatnonzero(pool.open).tolist() if i not in slow]
        slow.append(min(left, key=lambda i: objective([*slow, i])))
    asked = ClassBalanced(balance).rank(pool, count)
    assert asked.index.tolist() == slow
    gained = [objective(slow[:i]) - objective(slow[: i + 1]) for i in range(count)]
    assert asked.scores == pytest.approx(gained, abs=1e-5)


def test_class_balanced_asks_for_the_class_that_is_missing():
    labelled = np.array([0] * 6 + [1] * 6 + [-1] * 30)
    p = np.tile([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]], (14, 1))
    asked = STRATEGIES["class-balanced"].rank(Pool(labelled, p, names=("a", "b", "c")), 5)
    assert (p[asked.index].argmax(1) == 2).all()
    assert asked.reasons[0].startswith("c has too few labels: 80")


def test_random_draws_all_open_records_alike():
    drawn = np.zeros(10)
    for seed in range(2000):
        pool = Pool(np.array([0] * 2 + [-1] * 10), seed=seed)
        drawn[STRATEGIES["random"].rank(pool, 3).index - 2] += 1
    assert chisquare(drawn).pvalue > 0.001
