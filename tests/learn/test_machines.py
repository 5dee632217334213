"""S3VM and LapSVM against slow transcriptions of their objectives, and what both promise."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import asdict
from inspect import signature
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.datasets import make_moons

from leaven.core.errors import DataError, LeavenError, SettingError, UnknownNameError
from leaven.learn.classic.lapsvm import LapSVM, fit_lapsvm, laplacian
from leaven.learn.classic.s3vm import S3VM, fit_s3vm, objective
from leaven.learn.classic.svm import SVM
from leaven.learn.classic_method import Frozen
from leaven.learn.graphs.neighbours import nearest
from leaven.learn.graphs.weights import affinity
from leaven.learn.head import HEADS
from leaven.learn.kernels import Basis, Kernel, basis_of
from leaven.learn.machines import Machine, Rows, fit_svm, newton

Floats = npt.NDArray[np.float64]
Fit = Callable[..., Machine]

BOTH = pytest.mark.parametrize("fit", [fit_s3vm, fit_lapsvm], ids=["s3vm", "lapsvm"])
KERNELS = pytest.mark.parametrize("kernel", ["linear", "rbf", "poly"])


def clouds(n: int = 90, classes: int = 3, per: int = 2, width: int = 5, seed: int = 0) -> Any:
    """Records (n, width), targets with `per` labels a class, and the truth."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % classes
    centres = 3 * np.eye(classes, width) + rng.normal(size=(classes, width)) / 2
    records = centres[truth] + rng.normal(size=(n, width))
    return records, np.where(np.arange(n) < per * classes, truth, -1), truth


def moons(seed: int) -> Any:
    """Two moons, one label each: the records at their outer tips."""
    records, truth = make_moons(300, noise=0.05, random_state=seed)
    targets = np.full(300, -1)
    for one, tip in ((0, records[:, 0]), (1, -records[:, 0])):
        targets[np.where(truth == one, tip, np.inf).argmin()] = one
    return records, targets, truth


def accuracy(machine: Machine, records: Any, truth: npt.NDArray[np.int64]) -> float:
    return float((machine.decision(records).argmax(1) == truth).mean())


# --- Objectives and gradients ------------------------------------------------------------------


def s3vm_by_hand(
    v: Floats, known: Floats, signs: Floats, share: Floats, unknown: Floats, penalty: float,
    weight: float,
) -> float:  # fmt: skip
    """Chapelle & Zien 2005, eq. 7, record by record, with the squared hinge."""
    w, b = v[:-1], v[-1]
    total = penalty * sum(float(one) ** 2 for one in w)
    for x, y, p in zip(known, signs, share, strict=True):
        total += p * max(0.0, 1 - y * (float(w @ x) + b)) ** 2
    for x in unknown:
        total += weight / len(unknown) * float(np.exp(-3 * (float(w @ x) + b) ** 2))
    return total


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), sparsely=st.booleans(), weight=st.floats(0, 5))
def test_the_objective_of_s3vm_is_the_papers_and_its_gradient_the_difference(
    seed: int, sparsely: bool, weight: float
):
    rng = np.random.default_rng(seed)
    known, unknown = rng.normal(size=(6, 4)), rng.normal(size=(11, 4))
    signs = np.where(rng.random(6) < 0.5, 1.0, -1.0)
    share = rng.dirichlet(np.ones(6))
    shift, v = rng.normal(size=4), rng.normal(size=5)
    wrap = sparse.csr_matrix if sparsely else np.asarray
    rows = [Rows(wrap(part), shift) for part in (known, unknown)]

    def ours(v: Floats) -> Any:
        return objective(v, rows[0], signs, share, rows[1], 0.1, weight)

    def slow(v: Floats) -> float:
        return s3vm_by_hand(v, known - shift, signs, share, unknown - shift, 0.1, weight)

    cost, gradient = ours(v)
    assert cost == pytest.approx(slow(v), rel=1e-10)
    for place, step in enumerate(1e-5 * np.eye(5)):
        difference = (slow(v + step) - slow(v - step)) / 2e-5
        assert gradient[place] == pytest.approx(difference, rel=1e-4, abs=1e-6)


def lapsvm_by_hand(
    values: Floats, norm: float, signs: Floats, share: Floats, graph: Floats, penalty: float,
    smoothness: float, normalised: bool,
) -> float:  # fmt: skip
    """Belkin et al. 2006, eq. 8, edge by edge: f (n,) with the labelled first, |w|² = norm."""
    total = penalty * norm
    for f, y, p in zip(values, signs, share, strict=False):
        total += p * max(0.0, 1 - y * f) ** 2
    degree = graph.sum(1)
    trace = len(values) if normalised else degree.sum()
    per = values / np.sqrt(degree) if normalised else values
    for i in range(len(values)):
        for j in range(len(values)):
            total += smoothness * 0.5 * graph[i, j] * (per[i] - per[j]) ** 2 / trace
    return total


@KERNELS
@pytest.mark.parametrize("normalised", [False, True])
def test_no_small_move_lowers_what_lapsvm_minimises(kernel: str, normalised: bool):
    """Stationary, by the transcription: coefficients and bias moved in random ways."""
    records, targets, _ = clouds(40, 2, 4)
    weights = np.random.default_rng(1).uniform(0.5, 2, 8)
    machine = fit_lapsvm(
        records, targets, 2, weights=weights, kernel=kernel, penalty=0.02, smoothness=3.0,
        normalised=normalised,
    )  # fmt: skip
    graph = affinity(*nearest(records.astype(np.float32), 10))[0].toarray().astype(float)
    signs, share = np.where(targets[:8] == 1, 1.0, -1.0), weights / weights.sum()
    if kernel == "linear":  # |w|² in units of the records' mean squared length
        values, inner = records, np.eye(5) * records.var(0).sum()
    else:  # f = Σ c_i k(x_i, ·) + b, |w|² = c'Kc
        values = inner = machine.kernel.between(records, records)

    def cost(c: Floats, b: float) -> float:
        f, norm = values @ c + b, c @ inner @ c
        return lapsvm_by_hand(f, norm, signs, share, graph, 0.02, 3.0, normalised)

    c, b = machine.coefficients[:, 1], machine.bias[1]
    least = cost(c, b)
    assert machine.objective == pytest.approx(least, rel=1e-6)
    for seed in range(8):
        move = np.random.default_rng(seed).normal(size=len(c) + 1)
        for size in (1e-2, 1e-3, -1e-3, -1e-2):
            assert cost(c + size * move[:-1], b + size * move[-1]) > least


@pytest.mark.parametrize("direct", [True, False])
def test_where_all_records_are_inside_the_margin_newton_is_the_closed_form(
    monkeypatch: pytest.MonkeyPatch, direct: bool
):
    """There the hinge is a square: (Z'PZ + penalty D + M) v = Z'Py, as for LapRLS."""
    if not direct:
        monkeypatch.setattr("leaven.learn.machines.DIRECT", 0)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(12, 4)) / 10
    signs = np.where(np.arange(12) % 2, 1.0, -1.0)
    root = rng.normal(size=(5, 5))
    smooth = root @ root.T
    ones = np.column_stack([features, np.ones(12)])
    penalties = np.diag([5.0] * 4 + [0.0])
    closed = np.linalg.solve(ones.T @ ones / 12 + penalties + smooth, ones.T @ signs / 12)
    assert (signs * (ones @ closed) < 1).all()
    found = newton(Rows(features, np.zeros(4)), signs, np.ones(12), 5.0, smooth)
    np.testing.assert_allclose(found.v, closed, atol=1e-8)


@pytest.mark.parametrize("normalised", [False, True])
def test_the_laplacian_has_trace_one_and_the_right_kernel(normalised: bool):
    records, _, _ = clouds()
    found = laplacian(records, 5, normalised).toarray()
    assert np.trace(found) == pytest.approx(1)
    assert np.linalg.eigvalsh(found).min() > -1e-12
    flat = found @ np.ones(90)
    assert np.allclose(flat, 0, atol=1e-12) != normalised


def test_of_sparse_records_those_of_largest_cosine_are_neighbours():
    rng = np.random.default_rng(0)
    dense = rng.random((60, 12)) * (rng.random((60, 12)) < 0.4)
    dense[dense.sum(1) == 0, 0] = 1.0
    unit = dense / np.linalg.norm(dense, axis=1, keepdims=True)
    by_cosine, by_distance = laplacian(sparse.csr_matrix(dense), 4), laplacian(unit, 4)
    np.testing.assert_allclose(by_cosine.toarray(), by_distance.toarray(), atol=1e-5)


# --- Kernels -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["linear", "rbf", "poly"])
def test_kernel_values_are_the_formulas(name: str):
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))
    formula = {
        "linear": lambda x, z: x @ z,
        "rbf": lambda x, z: np.exp(-0.3 * ((x - z) ** 2).sum()),
        "poly": lambda x, z: (0.3 * x @ z + 1) ** 2,
    }[name]
    slow = [[formula(x, z) for z in other] for x in one]
    for wrap in (np.asarray, sparse.csr_matrix):
        found = Kernel(name, 0.3, 2).between(wrap(one), wrap(other))
        np.testing.assert_allclose(found, slow, atol=1e-12)


@pytest.mark.parametrize("kernel", ["rbf", "poly"])
def test_with_all_records_as_landmarks_inner_products_are_the_kernel(kernel: str):
    records, targets, _ = clouds()
    basis = basis_of(records, targets >= 0, kernel=kernel)
    features = basis.features(records)
    np.testing.assert_allclose(
        features @ features.T, basis.kernel.between(records, records), atol=1e-4
    )


def test_landmarks_are_bounded_and_half_of_them_may_be_labelled():
    records, _, _ = clouds(300)
    for known in (20, 200, 300):
        labelled = np.arange(300) < known
        basis = basis_of(records, labelled, kernel="rbf", landmarks=60)
        marks = {tuple(row) for row in basis.landmarks}
        mine = sum(tuple(row) in marks for row in records[labelled])
        assert len(marks) == 60
        assert mine == {20: 20, 200: 30, 300: 60}[known]


@KERNELS
def test_the_unit_of_the_records_does_not_matter(kernel: str):
    records, targets, _ = clouds()
    if kernel == "poly":  # it is not blind to the origin: only the unit is changed
        records = records - records.mean(0)
    offset = 0 if kernel == "poly" else 1000
    for fit in (fit_svm, fit_s3vm, fit_lapsvm):
        one = fit(records, targets, 3, kernel=kernel).decision(records)
        other = fit(100 * records + offset, targets, 3, kernel=kernel)
        np.testing.assert_allclose(other.decision(100 * records + offset), one, atol=2e-2)


# --- Supervised, unlabelled --------------------------------------------------------------------


@KERNELS
def test_weight_zero_is_exactly_the_supervised_machine(kernel: str):
    records, targets, _ = clouds()
    common: dict[str, Any] = {"kernel": kernel, "penalty": 0.05, "gamma": 0.1, "seed": 3}
    alone = fit_svm(records, targets, 3, **common).decision(records)
    for silent in (
        fit_s3vm(records, targets, 3, unlabelled_weight=0.0, **common),
        fit_lapsvm(records, targets, 3, smoothness=0.0, **common),
    ):
        assert np.array_equal(silent.decision(records), alone)
    for heard in (
        fit_s3vm(records, targets, 3, **common),
        fit_lapsvm(records, targets, 3, **common),
    ):
        assert not np.allclose(heard.decision(records), alone, atol=1e-3)


def test_a_faint_weight_is_nearly_the_supervised_machine():
    """With all records labelled or landmarks in one span, the limit is the same function."""
    records, targets, _ = clouds()
    exact: dict[str, Any] = {"kernel": "rbf", "gamma": 0.1, "penalty": 0.05}
    alone = fit_svm(records, targets, 3, **exact).decision(records)
    faint = [
        fit_s3vm(records, targets, 3, unlabelled_weight=1e-7, balance="none", **exact),
        fit_lapsvm(records, targets, 3, smoothness=1e-7, **exact),
    ]
    for machine in faint:
        np.testing.assert_allclose(machine.decision(records), alone, atol=2e-3)


@pytest.mark.parametrize("seed", range(3))
def test_two_moons_are_separated_from_one_label_each(seed: int):
    records, targets, truth = moons(seed)
    common: dict[str, Any] = {"kernel": "rbf", "gamma": 5.0, "penalty": 1e-3}
    assert accuracy(fit_svm(records, targets, 2, **common), records, truth) < 0.9
    s3vm = fit_s3vm(records, targets, 2, unlabelled_weight=1.0, **common)
    lapsvm = fit_lapsvm(records, targets, 2, smoothness=100.0, **common)
    assert accuracy(s3vm, records, truth) > 0.95
    assert accuracy(lapsvm, records, truth) > 0.95


@pytest.mark.parametrize("balance", ["labelled", (0.2, 0.3, 0.5)])
@KERNELS
def test_the_balance_is_met(kernel: str, balance: Any):
    records, targets, _ = clouds()
    weights = np.array([1.0, 2, 1, 1, 2, 1])
    machine = fit_s3vm(records, targets, 3, weights=weights, kernel=kernel, balance=balance)
    shares = np.array([2, 4, 2]) / 8 if balance == "labelled" else np.array(balance)
    mean = machine.decision(records[targets < 0]).mean(0)
    np.testing.assert_allclose(mean, 2 * shares - 1, atol=1e-8)


def test_without_a_balance_the_bias_is_free():
    records, targets, _ = clouds()
    machine = fit_s3vm(records, targets, 3, balance="none")
    assert not np.allclose(machine.decision(records[targets < 0]).mean(0), -1 / 3, atol=1e-3)


# --- What both promise -------------------------------------------------------------------------


@BOTH
@KERNELS
def test_the_order_of_records_does_not_matter(fit: Fit, kernel: str):
    records, targets, _ = clouds()
    weights = np.random.default_rng(0).uniform(0.5, 2, 6)
    whole = np.zeros(90)
    whole[targets >= 0] = weights
    order = np.random.default_rng(1).permutation(90)
    one = fit(records, targets, 3, weights=weights, kernel=kernel)
    other = fit(
        records[order], targets[order], 3, kernel=kernel,
        weights=whole[order][targets[order] >= 0],
    )  # fmt: skip
    np.testing.assert_allclose(one.decision(records), other.decision(records), atol=5e-3)


def test_a_weight_of_two_is_the_record_twice():
    rng = np.random.default_rng(0)
    features, shift = rng.normal(size=(7, 3)), np.zeros(3)
    signs, unknown = np.array([1.0, -1, 1, -1, 1, -1, -1]), Rows(rng.normal(size=(9, 3)), shift)
    again = np.r_[0, np.arange(7)]
    one, weights = Rows(features, shift), np.array([2.0, 1, 1, 1, 1, 1, 1])
    other = Rows(features[again], shift)
    found = newton(one, signs, weights, 0.1)
    twice = newton(other, signs[again], np.ones(8), 0.1)
    np.testing.assert_allclose(found.v, twice.v, atol=1e-8)
    costs = [
        objective(found.v, one, signs, weights / 8, unknown, 0.1, 1.0)[0],
        objective(found.v, other, signs[again], np.ones(8) / 8, unknown, 0.1, 1.0)[0],
    ]
    assert costs[0] == pytest.approx(costs[1])


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_sparse_and_dense_records_give_one_s3vm(kernel: str):
    records, targets, _ = clouds()
    records = np.where(records > 0.5, records, 0.0)
    dense = fit_s3vm(records, targets, 3, kernel=kernel).decision(records)
    tight = sparse.csr_matrix(records)
    machine = fit_s3vm(tight, targets, 3, kernel=kernel)
    np.testing.assert_allclose(machine.decision(tight), dense, atol=5e-3)
    np.testing.assert_allclose(machine.decision(records), dense, atol=5e-3)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_sparse_records_of_length_one_give_the_lapsvm_of_dense_ones(kernel: str):
    records, targets, _ = clouds()
    records = np.where(records > 0.5, records, 0.0) + 0.01
    records /= np.linalg.norm(records, axis=1, keepdims=True)
    dense = fit_lapsvm(records, targets, 3, kernel=kernel).decision(records)
    tight = sparse.csr_matrix(records)
    machine = fit_lapsvm(tight, targets, 3, kernel=kernel)
    np.testing.assert_allclose(machine.decision(tight), dense, atol=1e-3)


@BOTH
def test_more_features_than_a_matrix_would_hold_are_solved_by_their_products(
    monkeypatch: pytest.MonkeyPatch, fit: Fit
):
    records, targets, _ = clouds()
    direct = fit(records, targets, 3, kernel="linear").decision(records)
    monkeypatch.setattr("leaven.learn.machines.DIRECT", 1)
    monkeypatch.setattr("leaven.learn.classic.lapsvm.DIRECT", 1)
    by_products = fit(records, targets, 3, kernel="linear").decision(records)
    np.testing.assert_allclose(by_products, direct, atol=2e-3)


@BOTH
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_memory_grows_with_the_records_and_not_with_their_pairs(fit: Fit, kernel: str):
    """A float64 matrix of all pairs of 20,000 records would take 3.2 GB."""
    records, targets, truth = clouds(20_000, 3, 5, width=20)
    records = records.astype(np.float32)
    tracemalloc.start()
    machine = fit(records, targets, 3, kernel=kernel, landmarks=50)
    machine.decision(records)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200e6
    assert accuracy(machine, records, truth) > 0.8


@BOTH
@pytest.mark.parametrize("kernel", ["linear", "rbf", "poly"])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_head_says_what_the_machine_says(fit: Fit, kernel: str, classes: int):
    records, targets, _ = clouds(90, classes)
    machine = fit(records, targets, classes, kernel=kernel, penalty=0.05)
    head = machine.head()
    again = HEADS[head.kind](**head.config)
    again.load_state_dict(head.state_dict())
    logits = again(torch.from_numpy(records).float())
    assert head.outputs == classes
    np.testing.assert_allclose(
        logits.softmax(-1).detach().numpy(), machine.probabilities(records), atol=2e-3
    )


def test_a_record_on_its_margins_has_nine_in_ten():
    for classes in (2, 3, 10):
        bias = np.where(np.arange(classes) == 1, 1.0, -1.0)
        nothing = np.zeros((2, classes))
        machine = Machine(Kernel("linear"), None, nothing, bias, 0, 0.0)
        likely = machine.probabilities(np.ones((1, 2)))
        assert likely[0, 1] == pytest.approx(0.9)
        assert likely.sum() == pytest.approx(1)


# --- Methods -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "fit"), [(S3VM(), fit_s3vm), (LapSVM(), fit_lapsvm), (SVM(), fit_svm)]
)
def test_settings_and_defaults_of_method_and_function_are_one(method: Any, fit: Fit):
    asked = {
        name: parameter.default
        for name, parameter in signature(fit).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in ("weights", "seed")
    }
    assert asked == asdict(method)


@pytest.mark.parametrize("method", [S3VM(), LapSVM()])
def test_a_method_tells_its_answers_and_how_it_went(method: Any):
    records, targets, _ = clouds()
    known = Frozen(records.astype(np.float32), targets, 3, 0, np.arange(84))
    learning = method.learn(known)
    step = next(learning)
    with pytest.raises(StopIteration) as done:
        next(learning)
    logits = done.value.value(torch.from_numpy(known.features[6:]))
    assert step.taught is not None
    np.testing.assert_allclose(step.taught.guess.sum(1), 1, atol=1e-5)
    assert torch.equal(step.taught.guess.argmax(1), logits.argmax(1))
    assert step.figures["iterations"] > 0
    assert step.figures["objective"] > 0


# --- Degenerate --------------------------------------------------------------------------------


@BOTH
@KERNELS
def test_odd_problems_end_in_finite_decisions(fit: Fit, kernel: str):
    records, targets, truth = clouds()
    one_class = np.where(targets == 1, 1, -1)
    two_of_three = np.where(targets == 1, -1, targets)
    single = np.where(np.arange(90) == 3, -1, targets)
    problems = {
        "no unlabelled": (records, truth),
        "one class": (records, one_class),
        "a class without a label": (records, two_of_three),
        "a class with one label": (records, single),
        "one label a class": (records, np.where(np.arange(90) < 3, truth, -1)),
        "constant": (np.ones_like(records), targets),
        "one constant feature": (np.c_[records, np.full(90, 7.0)], targets),
        "copies": (
            np.repeat(records[:9], 10, 0),
            np.where(np.arange(90) % 10, -1, np.arange(90) // 30),
        ),
        "one unlabelled record": (records[:7], targets[:7]),
    }
    for name, (X, y) in problems.items():
        machine = fit(X, y, 3, kernel=kernel)
        assert np.isfinite(machine.decision(X)).all(), name
        assert np.isfinite(machine.probabilities(X)).all(), name
    alone = fit(records, one_class, 3, kernel=kernel)
    assert (alone.decision(records).argmax(1) == 1).all()
    unseen = fit(records, two_of_three, 3, kernel=kernel)
    assert (unseen.decision(records).argmax(1) != 1).all()
    assert accuracy(fit(records, single, 3, kernel=kernel), records, truth) > 0.8


@BOTH
@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"kernel": "gauss"}, UnknownNameError),
        ({"gamma": -1.0}, SettingError),
        ({"degree": 0, "kernel": "poly"}, SettingError),
        ({"penalty": 0.0}, SettingError),
        ({"landmarks": 0}, SettingError),
        ({"weights": [1.0]}, DataError),
        ({"weights": [0.0] * 6}, DataError),
    ],
)
def test_impossible_settings_are_refused(fit: Fit, asked: dict[str, Any], error: type[LeavenError]):
    records, targets, _ = clouds()
    with pytest.raises(error):
        fit(records, targets, 3, **asked)


def test_impossible_settings_of_one_of_them_are_refused():
    records, targets, _ = clouds()
    for asked in ({"smoothness": -1.0}, {"neighbours": 0}):
        with pytest.raises(SettingError):
            fit_lapsvm(records, targets, 3, **asked)  # type: ignore[arg-type]
    for asked in (
        {"unlabelled_weight": -1.0}, {"balance": "even"}, {"balance": (0.5, 0.5)},
        {"balance": (0.5, 0.5, 0.5)},
    ):  # fmt: skip
        with pytest.raises(SettingError):
            fit_s3vm(records, targets, 3, **asked)  # type: ignore[arg-type]


@BOTH
def test_impossible_data_are_refused(fit: Fit):
    records, targets, _ = clouds()
    with pytest.raises(DataError, match="No record has a label"):
        fit(records, np.full(90, -1), 3)
    with pytest.raises(SettingError, match="classes"):
        fit(records, targets, 2)
    with pytest.raises(DataError, match="90 records and 80"):
        fit(records, targets[:80], 3)
    with pytest.raises(DataError, match="missing or infinite"):
        fit(np.where(records > 2, np.nan, records), targets, 3)


def test_too_many_sparse_records_for_a_graph_are_told_what_to_do():
    many = sparse.csr_matrix((30_001, 3))
    with pytest.raises(DataError, match="TruncatedSVD"):
        fit_lapsvm(many, np.r_[0, 1, np.full(29_999, -1)], 2, kernel="linear")


def test_a_basis_of_numbers_without_landmarks_is_linear():
    records, targets, _ = clouds()
    basis = basis_of(records, targets >= 0)
    assert isinstance(basis, Basis)
    assert basis.landmarks is None
    assert np.square(basis.features(records)).sum(1).mean() == pytest.approx(1)
