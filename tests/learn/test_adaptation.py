"""AdaBN, CORAL and DANN: the papers' formulas, record by record, and digits seen elsewhere."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from leaven.core.errors import SettingError
from leaven.core.recipe import Training
from leaven.data.arrays import Arrays
from leaven.learn.choices.ramps import LinearRamp
from leaven.learn.encoder import Encoder
from leaven.learn.heads.normalised import NormalisedHead
from leaven.learn.method import METHODS, Problem
from leaven.learn.models.small_convnet import SmallConvNet
from leaven.learn.network import Network
from leaven.learn.objective import Loss
from leaven.learn.objectives.adabn import AdaBN, adapt
from leaven.learn.objectives.coral import CORAL
from leaven.learn.objectives.dann import DANN
from tests.learn.oracle_parts import (
    CLASSES,
    HIDDEN,
    WIDTH,
    Floats,
    Small,
    Views,
    certain,
    cross_entropy,
    moment,
    slope,
)

LABELLED, UNLABELLED = 6, 11


class Case:
    """Random weak views, a small network, and a domain classifier over its features."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.labelled = rng.normal(size=(LABELLED, WIDTH))
        self.others = rng.normal(0.7, 1.5, size=(UNLABELLED, WIDTH))
        self.labels = rng.integers(0, CLASSES, LABELLED)
        self.network = Small(seed)
        torch.manual_seed(seed)
        self.domains = nn.Sequential(nn.Linear(HIDDEN, 7), nn.ReLU(), nn.Linear(7, 1)).double()

    def loss(self, objective: Any, progress: float) -> Loss:
        views = Views(weak=[self.labelled, self.others])
        now = moment(
            self.network, self.network, views, self.labels, UNLABELLED, 0, progress, self.domains
        )
        return objective.loss(now)

    def supervised(self) -> float:
        rows = zip(self.labelled, self.labels, strict=True)
        return float(np.mean([cross_entropy(self.network.answer(x), certain(y)) for x, y in rows]))

    def features(self, records: Floats, body: Floats | None = None) -> Floats:
        own = self.network.body.detach().numpy() if body is None else body
        return np.stack([np.tanh(record @ own) for record in records])


# --- CORAL ----------------------------------------------------------------------------------------


def covariance(values: Floats) -> Floats:
    """Sun & Saenko 2016, eq. 2: (DᵀD - (1ᵀD)ᵀ(1ᵀD) / n) / (n - 1)."""
    n, ones = len(values), np.ones((1, len(values)))
    total = ones @ values
    return (values.T @ values - total.T @ total / n) / (n - 1)


def coral(case: Case, body: Floats | None = None) -> float:
    """Eq. 1."""
    apart = covariance(case.features(case.labelled, body)) - covariance(
        case.features(case.others, body)
    )
    return sum(entry**2 for entry in apart.ravel()) / (4 * HIDDEN**2)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("progress", [0.1, 0.9])
def test_coral_is_the_distance_of_two_covariances(progress: float, seed: int):
    case = Case(seed)
    loss = case.loss(CORAL(weight=3.0, ramp=LinearRamp(0.0, 0.4)), progress)
    wanted = coral(case)
    assert wanted > 1e-4
    ramp = min(progress / 0.4, 1.0)
    assert loss.terms["alignment"].item() == pytest.approx(3.0 * ramp * wanted, rel=1e-9)
    assert loss.terms["supervised"].item() == pytest.approx(case.supervised(), rel=1e-9)
    assert loss.figures["distance"].item() == pytest.approx(wanted, rel=1e-9)


def test_coral_moves_the_features_of_both_sides():
    case = Case(1)
    case.loss(CORAL(weight=1.0), 0.5).terms["alignment"].backward()
    body = case.network.body.detach().numpy()
    np.testing.assert_allclose(
        case.network.body.grad, slope(lambda at: coral(case, at), body), atol=1e-8
    )
    assert case.network.matrix.grad is None


def test_coral_has_no_ramp_unless_asked():
    case = Case(2)
    early, late = (case.loss(CORAL(), t).terms["alignment"].item() for t in (0.01, 0.99))
    assert early == late > 0


# --- DANN -----------------------------------------------------------------------------------------


def domain_loss(case: Case, body: Floats | None = None, first: Floats | None = None) -> float:
    """Ganin et al. 2016, eq. 9: the mean over each domain of the classifier's logistic loss."""
    layers = [p.detach().numpy() for p in case.domains.parameters()]
    one = layers[0] if first is None else first
    total = 0.0
    for records, unlabelled in ((case.labelled, 0), (case.others, 1)):
        for seen in case.features(records, body):
            hidden = np.maximum(one @ seen + layers[1], 0)
            said = 1 / (1 + math.exp(-float(layers[2][0] @ hidden + layers[3][0])))
            total += -math.log(said if unlabelled else 1 - said) / len(records)
    return total


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("progress", [0.0, 0.1, 0.9])
def test_dann_is_the_logistic_loss_of_both_domains(progress: float, seed: int):
    case = Case(seed)
    loss = case.loss(DANN(weight=0.3), progress)
    assert loss.terms["domain"].item() == pytest.approx(0.3 * domain_loss(case), rel=1e-9)
    assert loss.terms["supervised"].item() == pytest.approx(case.supervised(), rel=1e-9)


@pytest.mark.parametrize("progress", [0.0, 0.2, 0.7])
def test_dann_turns_the_gradient_round_below_the_classifier_and_not_in_it(progress: float):
    """Eq. 13 to 15, with the strength of section 5.2.2."""
    case = Case(3)
    case.loss(DANN(weight=0.3, steepness=10.0), progress).terms["domain"].backward()
    strength = 2 / (1 + math.exp(-10 * progress)) - 1
    body = case.network.body.detach().numpy()
    uphill = slope(lambda at: domain_loss(case, body=at), body)
    assert np.abs(uphill).max() > 1e-3
    np.testing.assert_allclose(case.network.body.grad, -0.3 * strength * uphill, atol=1e-8)
    first: Any = case.domains[0].weight
    downhill = slope(lambda at: domain_loss(case, first=at), first.detach().numpy())
    np.testing.assert_allclose(first.grad, 0.3 * downhill, atol=1e-8)


def test_dann_tells_how_well_the_domains_are_told_apart():
    case = Case(0)
    with torch.no_grad():
        for parameter in case.domains.parameters():
            parameter.zero_()
        case.domains[2].bias.fill_(-1.0)  # says "labelled" of every record: half right
    assert case.loss(DANN(), 0.5).figures["told apart"].item() == pytest.approx(0.5)


@pytest.mark.parametrize("wrong", [{"weight": -1.0}, {"steepness": 0.0}, {"hidden": 0}])
def test_dann_refuses_settings_that_mean_nothing(wrong: dict[str, float]):
    with pytest.raises(SettingError):
        DANN(**wrong)  # type: ignore[arg-type]


# --- AdaBN ----------------------------------------------------------------------------------------


def vectors(n: int = 2500, width: int = 6, training: Training | None = None) -> Problem:
    """Twenty labelled vectors, and others with a scale and an offset of their own, in an order."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n, width))
    features[20:] = np.sort(features[20:], axis=0) * [1, 2, 3, 4, 5, 6][:width] + 7
    features[20::3] += 9  # of three blocks, one is unlike the others
    return Problem(
        arrays=Arrays({"features": features.astype(np.float32)}),
        spec={"width": width},
        modality="embedding",
        task="classification",
        classes=2,
        targets=np.where(np.arange(n) < 20, np.arange(n) % 2, -1),
        train=np.arange(20),
        unlabelled=np.arange(20, n),
        encoder="mlp",
        steps=3,
        training=training or Training(precision="32-true"),
    )


class Deep(Encoder):
    """A layer with a batch normalisation of its own, and with dropout."""

    name, modality, summary, width = "deep", "embedding", "", 6

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.5))

    @classmethod
    def configure(cls, spec: dict[str, Any]) -> dict[str, Any]:
        return {}

    def enter(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return batch["features"]

    def represent(self, entered: torch.Tensor) -> torch.Tensor:
        return self.inner(entered)


def fitted(name: str, problem: Problem) -> Network:
    fit = METHODS[name].fit(problem)
    while True:
        try:
            next(fit)
        except StopIteration as done:
            return done.value


def built(problem: Problem) -> Network:
    """An untrained network whose head has looked at some batches of other records."""
    torch.manual_seed(0)
    encoder = problem.build_encoder()
    network = Network(encoder, AdaBN().head(problem, encoder.width)).train()
    for _ in range(3):
        network({"features": torch.randn(16, problem.spec["width"])})
    return network.eval()


def test_the_head_is_the_formula_with_the_statistics_of_the_batch():
    torch.manual_seed(0)
    head, given = NormalisedHead(3, 2).double(), torch.randn(9, 3, dtype=torch.float64)
    values, weight, bias = given.numpy(), head.weight.detach().numpy(), head.bias.detach().numpy()
    mean = [sum(column) / 9 for column in values.T]
    variance = [sum((v - m) ** 2 for v in c) / 9 for c, m in zip(values.T, mean, strict=True)]
    even = (values - mean) / np.sqrt(np.array(variance) + 1e-5)
    np.testing.assert_allclose(head(given).detach().numpy(), even @ weight.T + bias, rtol=1e-9)


def test_one_record_is_normalised_by_the_running_statistics():
    head = NormalisedHead(3, 2)
    head(torch.randn(8, 3))
    kept = {name: value.clone() for name, value in head.state_dict().items()}
    trained = head(torch.ones(1, 3))
    assert all(torch.equal(kept[name], value) for name, value in head.state_dict().items())
    torch.testing.assert_close(trained, head.eval()(torch.ones(1, 3)))


def test_adapting_takes_mean_and_variance_of_the_unlabelled_records_and_of_no_others():
    problem = vectors()
    network = built(problem)
    plain = {"features": torch.from_numpy(problem.arrays["features"][problem.unlabelled])}
    with torch.no_grad():
        features = network.encoder(plain).numpy().astype(np.float64)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    adapt(network, problem)
    norm: Any = network.head.norm
    np.testing.assert_allclose(norm.running_mean.numpy(), features.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.running_var.numpy(), features.var(0, ddof=1), rtol=1e-4)
    changed = {n for n, value in network.state_dict().items() if not torch.equal(value, before[n])}
    assert changed <= {f"head.norm.{n}" for n in ("running_mean", "running_var")} | {
        "head.norm.num_batches_tracked"
    }
    assert not network.training


def test_adapting_changes_nothing_without_records_to_adapt_to():
    problem = vectors()
    network = built(problem)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    adapt(network, replace(problem, unlabelled=problem.unlabelled[:1]))
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_layers_behind_one_another_are_adapted_in_one_pass():
    """The second layer sees what the first makes with the new statistics, not with the old."""

    problem = vectors(500)  # one block, so that both layers' statistics are exact
    network = Network(Deep(), NormalisedHead(6, 2))
    adapt(network, problem)
    values = problem.arrays["features"][problem.unlabelled].astype(np.float64)
    first, last = network.encoder.inner[0], network.head.norm
    np.testing.assert_allclose(first.running_mean.numpy(), values.mean(0), rtol=1e-4)
    inner = np.tanh((values - values.mean(0)) / np.sqrt(values.var(0) + 1e-5))
    np.testing.assert_allclose(last.running_mean.numpy(), inner.mean(0), atol=1e-5)
    np.testing.assert_allclose(last.running_var.numpy(), inner.var(0, ddof=1), rtol=1e-4)


def test_a_fit_ends_adapted_and_is_loaded_as_it_was_saved(tmp_path: Path):
    problem = vectors(200, training=Training(labelled_batch=1, precision="32-true"))
    network: Any = fitted("adabn", problem)
    assert isinstance(network.head, NormalisedHead)
    adapted = network.head.norm.running_mean.clone()
    adapt(network, problem)
    torch.testing.assert_close(network.head.norm.running_mean, adapted)
    network.save(tmp_path)
    again = Network.load(tmp_path)
    assert isinstance(again.head, NormalisedHead)
    assert np.array_equal(again.logits(problem.arrays), network.logits(problem.arrays))


# --- Digits under another light -------------------------------------------------------------------


def shaded_digits(seed: int) -> tuple[Problem, Any, Any]:
    """100 labelled digits as they are; all others shaded away from one side of the picture."""
    pixels, truth = load_digits(return_X_y=True)
    order = np.random.default_rng((seed, 9)).permutation(len(truth))
    pixels, truth = pixels[order].reshape(-1, 8, 8), truth[order]
    across, down = np.meshgrid(np.linspace(-1, 1, 8), np.linspace(-1, 1, 8))
    light = np.exp(-1.5 * ((across + 0.5) ** 2 + (down - 0.5) ** 2))
    pixels[100:] = pixels[100:] * light + 10 * (1 - light)
    problem = Problem(
        arrays=Arrays({"pixels": (pixels * 15.9).clip(0, 255).astype(np.uint8)[:, None]}),
        spec={"channels": 1, "height": 8, "width": 8},
        modality="image",
        task="classification",
        classes=10,
        targets=np.where(np.arange(len(truth)) < 100, truth, -1),
        train=np.arange(100),
        unlabelled=np.arange(100, 1100),
        encoder="small-convnet",
        seed=seed,
        steps=150,
        training=Training(labelled_batch=16, unlabelled_ratio=1, precision="32-true"),
    )
    return problem, np.arange(1100, len(truth)), truth


def accuracy(name: str) -> float:
    """On digits that are held out, shaded as the unlabelled ones, of a narrow network."""
    problem, held, truth = shaded_digits(0)
    small = {"channels": 1, "widths": [24, 48, 96], "halve": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SmallConvNet, "configure", classmethod(lambda *_: small))
        said = fitted(name, problem).logits(problem.arrays, held).argmax(1)
    return float((said == truth[held]).mean())


@pytest.fixture(scope="module")
def unadapted() -> float:
    """What the labelled digits alone teach of the shaded ones."""
    return accuracy("supervised")


@pytest.mark.parametrize("name", ["adabn", "coral", "dann"])
def test_shaded_digits_are_read_better(name: str, unadapted: float):
    assert accuracy(name) > unadapted + 0.05
