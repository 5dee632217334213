"""Joint embeddings against slow transcriptions of their papers, record by record, in float64."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.data.arrays import Batch
from leaven.learn.choices.agreements import Bilinear, Cosine, InBatch, NTXent, Queued
from leaven.learn.choices.branches import Momentum, Same, Stopped
from leaven.learn.choices.choice import PARTS
from leaven.learn.choices.compose import composed, in_words, read_choice
from leaven.learn.choices.decorrelating import CrossCorrelation, VarianceCovariance
from leaven.learn.choices.grouping import Centred, Clustered, Swapped, cluster, even_codes
from leaven.learn.choices.joint import Projected
from leaven.learn.choices.projections import Perceptron, Prototypes, Squashed
from leaven.learn.choices.views import MultiCrop, Pair
from leaven.learn.joint_embedding import JointEmbedding
from leaven.learn.method import Problem
from leaven.learn.models.text_transformer import TextTransformer
from leaven.learn.objective import Draw, Moment
from leaven.learn.pretext import PRETEXTS
from leaven.learn.task import TASKS

Floats = npt.NDArray[np.float64]

U, D = 6, 4


def drawn(seed: int, *shape: int) -> Floats:
    return np.random.default_rng((seed, 5)).normal(size=shape)


def seen(online: list[Floats], target: list[Floats] | None = None) -> Projected:
    """Tensors of them, the online ones with gradient."""
    given = [torch.tensor(view, requires_grad=True) for view in online]
    if target is None:
        return Projected(given, list(given[:2]))
    return Projected(given, [torch.tensor(view) for view in target])


def moment(step: int = 500, total: int = 1000, records: Any = range(U), seed: int = 0) -> Moment:
    """As much of a step as an agreement asks for."""
    rng = torch.Generator().manual_seed(seed)
    draw = SimpleNamespace(records=torch.tensor(list(records)), rng=rng)
    now: Any = SimpleNamespace(step=step, total=total, progress=step / total, draw=draw)
    return now


def problem(unlabelled: int, most: int = 0) -> Problem:
    training = SimpleNamespace(most_unlabelled=most)
    given: Any = SimpleNamespace(unlabelled=np.arange(unlabelled), training=training)
    return given


def unit(vector: Floats) -> Floats:
    return vector / math.sqrt(sum(vector**2))


def cosine(one: Floats, other: Floats) -> float:
    return float(unit(one) @ unit(other))


def softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def total(loss: Any) -> float:
    return float(loss.total.detach())


@given(seed=st.integers(0, 20), temperature=st.floats(0.05, 2))
def test_ntxent(seed: int, temperature: float) -> None:
    """SimCLR eq. 1 and the sum of algorithm 1, over all 2u views."""
    views = [drawn(seed, U, D), drawn(seed + 100, U, D)]
    every = [*views[0], *views[1]]
    expected = 0.0
    for i, one in enumerate(every):
        partner = (i + U) % (2 * U)
        powers = [math.exp(cosine(one, k) / temperature) for j, k in enumerate(every) if j != i]
        own = math.exp(cosine(one, every[partner]) / temperature)
        expected -= math.log(own / sum(powers)) / (2 * U)
    # `NTXent` computes in single precision.
    assert total(NTXent(temperature)(seen(views), moment(), None)) == pytest.approx(expected, 1e-4)


@pytest.mark.parametrize("tempered", [False, True])
def test_in_batch_is_infonce_both_ways(tempered: bool) -> None:
    online, target = [drawn(1, U, D), drawn(2, U, D)], [drawn(3, U, D), drawn(4, U, D)]
    expected = 0.0
    for queries, keys in ((online[0], target[1]), (online[1], target[0])):
        for i, query in enumerate(queries):
            powers = [math.exp(cosine(query, key) / 0.3) for key in keys]
            expected -= math.log(powers[i] / sum(powers)) / (2 * U)
    if tempered:
        expected *= 2 * 0.3
    loss = InBatch(0.3, tempered)(seen(online, target), moment(), None)
    assert total(loss) == pytest.approx(expected, 1e-9)


def test_bilinear_is_cola_s_product() -> None:
    torch.manual_seed(0)
    rule = Bilinear()
    state = rule.build(problem(9), D).double()
    (weight,) = state.parameters()
    np.testing.assert_allclose(weight.detach(), np.eye(D) / math.sqrt(D))
    matrix = drawn(7, D, D)  # neither symmetric nor what it begins as
    weight.data.copy_(torch.tensor(matrix))
    views = [drawn(1, U, D), drawn(2, U, D)]
    expected = 0.0
    for queries, keys in (views, views[::-1]):
        for i, query in enumerate(queries):
            powers = [math.exp(query @ matrix @ key) for key in keys]
            expected -= math.log(powers[i] / sum(powers)) / (2 * U)
    assert total(rule(seen(views), moment(), state)) == pytest.approx(expected, 1e-9)


def test_queued_asks_the_queue_as_it_was_and_drops_the_oldest() -> None:
    """MoCo, algorithm 1, both ways, over steps until the queue has turned over."""
    rule = Queued(0.2, places=10)
    state: Any = rule.build(problem(100), D)
    state = state.double()
    queue: list[Floats] = []
    for step in range(5):
        online = [drawn(10 * step + i, U, D) for i in (0, 1)]
        target = [drawn(10 * step + i, U, D) for i in (2, 3)]
        expected = 0.0
        for queries, keys in ((online[0], target[1]), (online[1], target[0])):
            for query, key in zip(queries, keys, strict=True):
                own = math.exp(cosine(query, key) / 0.2)
                others = sum(math.exp(cosine(query, k) / 0.2) for k in queue)
                expected -= math.log(own / (own + others)) / (2 * U)
        loss = rule(seen(online, target), moment(), state)
        assert total(loss) == pytest.approx(expected, 1e-9, 1e-12)
        assert float(loss.figures["queue_filled"]) == pytest.approx(len(queue) / 10)
        loss.total.backward()
        queue = [*queue, *(unit(row) for view in target for row in view)][-10:]
        held = {tuple(np.round(row, 9)) for row in state.keys.numpy()}
        assert held == {tuple(np.round(row, 9)) for row in queue}
    assert not state.keys.requires_grad


def test_a_queue_holds_half_of_the_records_at_most() -> None:
    few: Any = Queued(0.2, places=4096).build(problem(31), D)
    many: Any = Queued(0.2, places=4096).build(problem(10**5), D)
    assert (len(few.keys), len(many.keys)) == (15, 4096)


def test_cosine_is_byol_s_and_simsiam_s() -> None:
    online, target = [drawn(1, U, D), drawn(2, U, D)], [drawn(3, U, D), drawn(4, U, D)]
    byol = np.mean(
        [
            sum((unit(p) - unit(t)) ** 2)  # eq. 2
            for said, wanted in ((online[0], target[1]), (online[1], target[0]))
            for p, t in zip(said, wanted, strict=True)
        ]
    )
    siamese = -np.mean(
        [
            cosine(p, t)  # SimSiam eq. 1 and 2
            for said, wanted in ((online[0], target[1]), (online[1], target[0]))
            for p, t in zip(said, wanted, strict=True)
        ]
    )
    found = total(Cosine()(seen(online, target), moment(), None))
    assert found == pytest.approx(byol, 1e-9)
    assert found == pytest.approx(2 + 2 * siamese, 1e-9)


def test_cross_correlation_is_barlow_twins() -> None:
    views = [3 + 2 * drawn(1, U, D), drawn(2, U, D) - 1]
    loss = CrossCorrelation(0.3)(seen(views), moment(), None)
    means, spreads = [v.mean(0) for v in views], [v.std(0) for v in views]
    on, off = 0.0, 0.0
    for i in range(D):
        for j in range(D):
            entry = 0.0
            for a, b in zip(*views, strict=True):
                one = (a[i] - means[0][i]) / math.sqrt(spreads[0][i] ** 2 + 1e-5)
                entry += one * (b[j] - means[1][j]) / math.sqrt(spreads[1][j] ** 2 + 1e-5) / U
            if i == j:
                on += (1 - entry) ** 2
            else:
                off += entry**2
    assert float(loss.terms["invariance"]) == pytest.approx(on, 1e-9)
    assert float(loss.terms["redundancy"]) == pytest.approx(0.3 * off, 1e-9)


def test_variance_covariance_is_vicreg() -> None:
    views = [0.5 * drawn(1, U, D), 1.5 * drawn(2, U, D)]
    loss = VarianceCovariance(5, 6, 7)(seen(views), moment(), None)
    invariance = sum(
        (a - b) ** 2
        for x, y in zip(*views, strict=True)
        for a, b in zip(x, y, strict=True)
    ) / (U * D)  # fmt: skip
    variance, covariance = 0.0, 0.0
    for view in views:
        table = sum(np.outer(row - view.mean(0), row - view.mean(0)) for row in view) / (U - 1)
        assert isinstance(table, np.ndarray)
        for i in range(D):
            variance += max(0.0, 1 - math.sqrt(table[i, i] + 1e-4)) / D / 2
            covariance += sum(table[i, j] ** 2 for j in range(D) if j != i) / D
    assert float(loss.terms["invariance"]) == pytest.approx(5 * invariance, 1e-9)
    assert float(loss.terms["variance"]) == pytest.approx(6 * variance, 1e-9)
    assert float(loss.terms["covariance"]) == pytest.approx(7 * covariance, 1e-9)


def test_centred_is_dino_s_over_several_steps() -> None:
    """Eq. 1 and 3, algorithm 1: the centre of former steps, and the target's temperature."""
    rule = Centred(0.1, sharp=0.07, first=0.04, warm_up=0.5, decay=0.9)
    state: Any = rule.build(problem(9), D)
    state = state.double()
    centre, parts = np.zeros(D), 4
    for step in (0, 200, 400, 600):
        online = [drawn(step + i, U, D) / 5 for i in range(parts)]
        target = [drawn(step + i + 50, U, D) / 5 for i in range(2)]
        sharp = 0.04 + min(step / 500, 1) * 0.03
        expected, pairs = 0.0, 0
        for i in range(parts):
            for j in range(2):
                if i != j:
                    pairs += 1
                    for p, t in zip(online[i], target[j], strict=True):
                        wanted = softmax((t - centre) / sharp)
                        expected -= float(wanted @ np.log(softmax(p / 0.1))) / U
        loss = rule(seen(online, target), moment(step), state)
        assert total(loss) == pytest.approx(expected / pairs, 1e-9)
        centre = 0.9 * centre + 0.1 * np.concatenate(target).mean(0)
        np.testing.assert_allclose(state.centre, centre, atol=1e-12)
    assert pairs == parts * 2 - 2


def test_the_centre_s_memory_is_a_tenth_of_a_short_training() -> None:
    rule = Centred(decay=0.9)
    state: Any = rule.build(problem(9), D)
    state = state.double()
    target = drawn(1, U, D)
    rule(seen([target, target]), moment(0, total=40), state)
    np.testing.assert_allclose(state.centre, 10 / 40 * target.mean(0))


@pytest.mark.parametrize("iterations", [1, 3, 7])
def test_even_codes_are_sinkhorn_knopp_s(iterations: int) -> None:
    """SwAV's algorithm: so many rounds exactly, the prototypes first and then the records."""
    scores = drawn(iterations, U, D) / 3
    table = np.exp(scores / 0.05).T  # (prototypes, records)
    table /= table.sum()
    for _ in range(iterations):
        for k in range(D):
            table[k] /= table[k].sum() * D
        for i in range(U):
            table[:, i] /= table[:, i].sum() * U
    got = even_codes(torch.tensor(scores), 0.05, iterations).numpy()
    np.testing.assert_allclose(got, (table * U).T, rtol=1e-8)
    np.testing.assert_allclose(got.sum(1), 1)


def test_even_codes_come_to_fill_all_prototypes_alike_however_sharp() -> None:
    scores = drawn(1, 40, D).clip(-1, 1)
    assert torch.isfinite(even_codes(torch.tensor(scores), 0.001, 3)).all()
    np.testing.assert_allclose(even_codes(torch.tensor(scores), 0.5, 200).sum(0), 40 / D, rtol=1e-6)


def test_swapped_is_swav_s() -> None:
    online = [drawn(i, U, D) / 3 for i in range(4)]
    expected = []
    for j in range(2):
        codes = even_codes(torch.tensor(online[j]), 0.05, 3).numpy()
        for i in range(4):
            if i != j:
                rows = zip(online[i], codes, strict=True)
                expected.append(-sum(q @ np.log(softmax(p / 0.1)) for p, q in rows) / U)
    views = seen(online)
    loss = Swapped(0.1)(views, moment(), None)
    assert total(loss) == pytest.approx(np.mean(expected), 1e-9)
    # The codes take no gradient: with them held still, the slope of a prediction is p - q.
    (slope,) = torch.autograd.grad(loss.total, views.online[3])
    wanted = sum(
        (softmax_rows(online[3] / 0.1) - even_codes(torch.tensor(online[j]), 0.05, 3).numpy())
        for j in range(2)
    )
    np.testing.assert_allclose(slope, wanted / 0.1 / U / len(expected), atol=1e-9)


def softmax_rows(logits: Floats) -> Floats:
    return np.stack([softmax(row) for row in logits])


def oracle_cluster(points: Floats, clusters: int, rounds: int, start: list[int]) -> tuple[Floats, list[int]]:  # fmt: skip  # noqa: E501
    """Spherical k-means by loops, from the points at `start`."""
    centres = [points[start[k % len(points)]] for k in range(clusters)]
    for _ in range(rounds):
        cosines = [[float(point @ centre) for centre in centres] for point in points]
        named = [int(np.argmax(row)) for row in cosines]
        farthest = sorted(range(len(points)), key=lambda i: cosines[i][named[i]])
        for k in range(clusters):
            members = [point for point, name in zip(points, named, strict=True) if name == k]
            if members:
                centres[k] = unit(np.sum(members, 0))
        empty = [k for k in range(clusters) if k not in named]
        for number, k in enumerate(empty):
            centres[k] = points[farthest[number % len(points)]]
    named = [int(np.argmax([point @ centre for centre in centres])) for point in points]
    return np.array(centres), named


@given(seed=st.integers(0, 30), clusters=st.integers(2, 9))
def test_cluster_is_spherical_k_means(seed: int, clusters: int) -> None:
    points = np.array([unit(row) for row in drawn(seed, 15, D)])
    rng, same = (torch.Generator().manual_seed(seed) for _ in range(2))
    centres, named = cluster(torch.tensor(points), clusters, 5, rng)
    start = torch.randperm(15, generator=same).tolist()
    expected, names = oracle_cluster(points, clusters, 5, start)
    np.testing.assert_allclose(centres, expected, atol=1e-9)
    assert named.tolist() == names


def test_clusters_that_are_left_empty_begin_anew() -> None:
    """Six points in two places: the third cluster cannot stay at a place that it shares."""
    points = torch.tensor([[1.0, 0.0]] * 5 + [[0.6, 0.8]], dtype=torch.float64)
    for seed in range(9):
        rng = torch.Generator().manual_seed(seed)
        _, named = cluster(points, 2, 5, rng)
        assert len(named.unique()) == 2


def test_clustered_names_the_clusters_of_the_last_pass() -> None:
    """Two and a half passes over 12 records, six a step, by a transcription of the rule."""
    rule = Clustered(3, temperature=0.2, rounds=4)
    state: Any = rule.build(problem(12), D)
    state = state.double()
    memory: dict[int, Floats] = {}
    of_record: dict[int, int] = {}
    centres, sizes = np.zeros((3, D)), [0] * 3
    orders = [np.random.default_rng(turn).permutation(12) for turn in range(3)]
    for step in range(5):
        records = orders[step // 2][6 * (step % 2) : 6 * (step % 2) + 6].tolist()
        views = [drawn(step, U, D), drawn(step + 50, U, D)]
        fresh = [unit(unit(a) + unit(b)) for a, b in zip(*views, strict=True)]
        same = torch.Generator().manual_seed(step)
        if step == 0:
            start = torch.randperm(6, generator=same).tolist()
            centres, names = oracle_cluster(np.array(fresh), 3, 4, start)
        elif step % 2 == 0:
            known = sorted(memory)
            start = torch.randperm(len(known), generator=same).tolist()
            points = np.array([memory[record] for record in known])
            centres, names = oracle_cluster(points, 3, 4, start)
            of_record = dict(zip(known, names, strict=True))
        if step in (0, 2, 4):
            sizes = [names.count(k) for k in range(3)]
        terms, weights = [], []
        for record, now_at, a, b in zip(records, fresh, *views, strict=True):
            name = of_record.get(record, int(np.argmax(centres @ now_at)))
            weight = 1 / max(sizes[name], 1)
            said = [np.log(softmax(centres @ unit(view) / 0.2))[name] for view in (a, b)]
            terms.append(-weight * float(np.mean(said)))
            weights.append(weight)
            memory[record] = now_at
        loss = rule(seen(views), moment(step, 5, records, seed=step), state)
        assert total(loss) == pytest.approx(sum(terms) / sum(weights), 1e-9)
        for record, kept in memory.items():
            np.testing.assert_allclose(state.features[record], kept, atol=1e-9)


def test_a_record_that_comes_twice_is_remembered_as_it_was_last() -> None:
    rule = Clustered(2)
    state: Any = rule.build(problem(8, most=3), D)
    state = state.double()
    views = [drawn(1, U, D), drawn(2, U, D)]
    rule(seen(views), moment(0, 9, [0, 1, 2, 0, 1, 2]), state)
    for record in range(3):
        expected = unit(unit(views[0][record + 3]) + unit(views[1][record + 3]))
        np.testing.assert_allclose(state.features[record], expected)
    assert state.known.tolist() == [True] * 3 + [False] * 5
    assert state.turn == 3


class Made:
    """A modality whose views add a number of their own to the record."""

    name = "made"

    def plain(self, batch: Batch) -> Batch:
        return batch

    def contrastive(self, batch: Batch, spec: Any, rng: torch.Generator) -> Batch:
        noise = torch.randn(batch["x"].shape, generator=rng, dtype=torch.float64)
        return {"x": batch["x"] + noise}

    def local(self, batch: Batch, spec: Any, rng: torch.Generator) -> Batch:
        return {"x": self.contrastive(batch, spec, rng)["x"].round()}


class Tiny(nn.Module):
    """An encoder of one matrix behind a network that hands its features on."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _Matrix(5, 3)

    def forward(self, view: Batch) -> Any:
        return self.encoder(view)


class _Matrix(nn.Module):
    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(torch.tensor(drawn(inputs, width, inputs)))

    def forward(self, view: Batch) -> Tensor:
        return view["x"] @ self.weight.T


def begun(rule: JointEmbedding, step: int = 500, seed: int = 0) -> tuple[Moment, Any]:
    """A moment of a thousand steps, its network, and the state of the rule."""
    network: Any = Tiny()
    torch.manual_seed(0)
    state = rule.state(problem(40), network)
    assert state is not None
    return at(network, state.double(), step, seed), network


def at(network: Any, state: Any, step: int, seed: int = 0) -> Moment:
    modality: Any = Made()
    rng = torch.Generator().manual_seed(seed)
    records = {"x": torch.tensor(drawn(seed, U, 5))}
    none = torch.zeros(0, dtype=torch.long)
    draw = Draw(modality, {}, rng, {}, none, records, none, torch.arange(U))
    return Moment(network, network, draw, TASKS["classification"], step, 1000, state)


class Told(Cosine):
    """An agreement that keeps what it was shown."""

    def __call__(self, seen: Projected, now: Moment, state: Any) -> Any:
        SHOWN.append(seen)
        return super().__call__(seen, now, state)


SHOWN: list[Projected] = []

LINEAR = Perceptron(4, layers=1)


@pytest.mark.parametrize("rising", [False, True])
def test_the_momentum_branch_follows_by_its_paper_s_decay(rising: bool) -> None:
    """ξ ← d ξ + (1 - d) θ before each loss; d of BYOL, section 3.2."""
    rule = JointEmbedding(projector=LINEAR, branch=Momentum(0.98, rising), agreement=Told())
    now, network = begun(rule, 0)
    copies = {"encoder": network.encoder.weight.detach().numpy().copy()}
    copies["projector"] = next(now.state["projector"].parameters()).detach().numpy().copy()
    moved = np.random.default_rng(0)
    for step in (0, 1, 250, 600, 999):
        decay = 0.98
        if rising:
            decay = 1 - (1 - 0.98) * (math.cos(math.pi * step / 1000) + 1) / 2
        originals = {"encoder": network.encoder, "projector": now.state["projector"]}
        now = at(network, now.state, step, seed=step)
        rule.loss(now)
        copied = {"encoder": now.state["branch"].encoder, "projector": now.state["branch"].projector}  # fmt: skip  # noqa: E501
        for name, module in originals.items():
            weight = next(module.parameters())
            copies[name] = decay * copies[name] + (1 - decay) * weight.detach().numpy()
            (copy,) = copied[name].parameters()
            np.testing.assert_allclose(copy.detach(), copies[name], atol=1e-12)
            weight.data += torch.tensor(moved.normal(size=weight.shape))
        # What it says is said by the copies, of the same views.
        views = Pair()(at(network, now.state, step, seed=step).draw)
        for view, target in zip(views, SHOWN[-1].target, strict=True):
            for record, got in zip(view["x"].numpy(), target, strict=True):
                expected = copies["projector"] @ (copies["encoder"] @ record)
                np.testing.assert_allclose(got, expected, atol=1e-5)  # targets are in float32


@pytest.mark.parametrize("branch", [Stopped(), Momentum()])
def test_targets_without_gradient(branch: Any) -> None:
    rule = JointEmbedding(projector=LINEAR, predictor=LINEAR, branch=branch, agreement=Told())
    now, _ = begun(rule)
    now.state["predictor"].float()  # of projections, which are in single precision
    rule.loss(now)
    assert all(not target.requires_grad for target in SHOWN[-1].target)
    assert all(online.requires_grad for online in SHOWN[-1].online)
    followers = [n for n, p in now.state.named_parameters() if not p.requires_grad]
    assert bool(followers) == isinstance(branch, Momentum)
    assert all(name.startswith("branch.") for name in followers)


def test_both_sides_learn_with_the_same_branch() -> None:
    rule = JointEmbedding(projector=LINEAR, branch=Same(), agreement=Told())
    now, _ = begun(rule)
    rule.loss(now)
    assert all(target.requires_grad for target in SHOWN[-1].target)


def test_multi_crop_s_parts_are_seen_by_the_online_side_alone() -> None:
    rule = JointEmbedding(MultiCrop(3), LINEAR, branch=Stopped(), agreement=Told())
    now, network = begun(rule)
    rule.loss(now)
    shown = SHOWN[-1]
    assert (len(shown.online), len(shown.target), len(shown.pairs())) == (5, 2, 8)
    (projector,) = now.state["projector"].parameters()
    views = MultiCrop(3)(at(network, now.state, 500).draw)
    for view, online in zip(views, shown.online, strict=True):
        expected = (view["x"] @ network.encoder.weight.T @ projector.T).detach()
        torch.testing.assert_close(online.detach().double(), expected, atol=1e-5, rtol=1e-5)


def test_prototypes_are_cosines() -> None:
    torch.manual_seed(0)
    module: Any = Prototypes(7, hidden=6, width=3).build(5).double()
    features = torch.tensor(drawn(1, U, 5))
    inner = module[0](features).detach().numpy()
    prototypes = module[1].weight.detach().numpy()
    for row, scores in zip(inner, module(features).detach().numpy(), strict=True):
        np.testing.assert_allclose(scores, [cosine(row, p) for p in prototypes], atol=1e-9)
    assert Prototypes(7).outputs == 7


def test_squashed_by_definition() -> None:
    torch.manual_seed(0)
    module: Any = Squashed(4).build(5).double()
    features = drawn(1, U, 5)
    matrix = module[0].weight.detach().numpy()
    got = module(torch.tensor(features)).detach().numpy()
    inner = np.array([matrix @ row for row in features])
    for column, said in zip(inner.T, got.T, strict=True):
        expected = np.tanh((column - column.mean()) / math.sqrt(column.var() + 1e-5))
        np.testing.assert_allclose(said, expected, atol=1e-9)


def test_simcse_s_two_readings_differ_by_dropout_alone() -> None:
    rule: Any = PRETEXTS["simcse"].objective
    torch.manual_seed(0)
    encoder = TextTransformer(8, words=50)
    tokens = torch.randint(1, 50, (5, 8))
    encoder.slot[:50] = torch.arange(50, dtype=torch.int32)
    draw = SimpleNamespace(unlabelled=lambda view: {"tokens": tokens})
    one, other = rule.views(draw)
    assert torch.equal(one["tokens"], other["tokens"])
    both = {"tokens": torch.cat([one["tokens"], other["tokens"]])}
    first, second = encoder.train()(both).chunk(2)
    assert (first - second).abs().max() > 0.01
    first, second = encoder.eval()(both).chunk(2)
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (part, name)
        for part in ("views", "projector", "predictor", "branch", "agreement")
        for name in PARTS[part]
    ],
)
def test_choices_are_written_and_read(part: str, name: str) -> None:
    choice = PARTS[part][name]()
    assert read_choice(part, in_words(choice)) == choice


def test_rows_are_written_and_read() -> None:
    for _, pretext in PRETEXTS.items():
        if isinstance(pretext.objective, JointEmbedding):
            told = {name: words for name, words in (pretext.row or {}).items() if words != "–"}
            assert composed(JointEmbedding(), told) == pretext.objective


@pytest.mark.parametrize(
    "made",
    [
        lambda: Momentum(1.5),
        lambda: Centred(sharp=0),
        lambda: Centred(warm_up=2),
        lambda: Swapped(iterations=0),
        lambda: Queued(places=1),
        lambda: Clustered(1),
        lambda: CrossCorrelation(-1),
        lambda: VarianceCovariance(variance=-1),
        lambda: Prototypes(1),
        lambda: Squashed(0),
        lambda: InBatch(0),
    ],
)
def test_settings_out_of_range_are_told(made: Any) -> None:
    with pytest.raises(SettingError):
        made()
