"""Generative losses against slow transcriptions in NumPy and float64; decoders of all forms."""

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
from lightning_fabric import Fabric
from scipy.stats import norm
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.core.recipe import Training
from leaven.data.arrays import Batch
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.learn.decoders import decoder, fit_length, whole
from leaven.learn.encoder import ENCODERS
from leaven.learn.method import METHODS, Problem
from leaven.learn.objective import Draw, Loss, Moment, Objective
from leaven.learn.objectives.gan import GAN
from leaven.learn.objectives.reconstruction import Reconstruction
from leaven.learn.objectives.vae import VAE, GenerativeModel
from leaven.learn.task import TASKS

Floats = npt.NDArray[np.float64]

LABELLED, UNLABELLED, CLASSES, ENTRIES, FEATURES = 5, 7, 4, 6, 9


class Small(nn.Module):
    """A network of one layer, whose entering has a parameter too, as word vectors have."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.layer = nn.Linear(ENTRIES, FEATURES)
        self.head = nn.Linear(FEATURES, CLASSES)
        self.encoder = SimpleNamespace(width=FEATURES)

    def enter(self, batch: Batch) -> Tensor:
        return self.scale * batch["x"]

    def forward(self, view: Batch | Tensor, features: bool = False) -> Any:
        entered = view if isinstance(view, Tensor) else self.enter(view)
        seen = self.layer(entered).tanh()
        output = 3 * self.head(seen)
        return (output, seen) if features else output


class Views:
    """Views that draw nothing, so that the transcriptions know them."""

    def plain(self, batch: Batch) -> Batch:
        return batch

    def weak(self, batch: Batch, spec: Any, rng: torch.Generator) -> Batch:
        return {"x": batch["x"] + 0.25}

    def strong(self, batch: Batch, spec: Any, rng: torch.Generator) -> Batch:
        return {"x": 0.5 * batch["x"]}


class Case:
    """A small network, random records, and the state of an objective that is trained on them."""

    def __init__(self, objective: Objective, seed: int, dtype: torch.dtype = torch.float64) -> None:
        torch.manual_seed(seed)
        self.objective = objective
        self.network = Small().to(dtype)
        self.labelled = torch.randn(LABELLED, ENTRIES, dtype=dtype)
        self.unlabelled = torch.randn(UNLABELLED, ENTRIES, dtype=dtype)
        self.targets = torch.randint(CLASSES, (LABELLED,))
        views: Any = Views()
        problem: Any = SimpleNamespace(
            arrays=SimpleNamespace(batch=lambda index: {"x": self.labelled}),
            train=np.arange(LABELLED),
            views=views,
            classes=CLASSES,
        )
        network: Any = self.network
        state = objective.state(problem, network)
        assert state is not None
        self.state: Any = state.to(dtype)
        for parameter in self.state.parameters():  # biases and gains that are not 0 and 1
            nn.init.normal_(parameter, std=0.4)
        self.draw = Draw(
            views, {}, torch.Generator(), {"x": self.labelled}, self.targets,
            {"x": self.unlabelled}, torch.arange(LABELLED), torch.arange(UNLABELLED),
        )  # fmt: skip

    def loss(self, network: Any = None) -> Loss:
        """The objective's, with the randomness of seed 1."""
        torch.manual_seed(1)
        network = network or self.network
        task = TASKS["classification"]
        return self.objective.loss(Moment(network, network, self.draw, task, 3, 10, self.state))

    def answers(self, view: Tensor) -> tuple[Floats, Floats]:
        """Logits and features of what has entered."""
        with torch.no_grad():
            output, features = self.network(view, features=True)
        return output.numpy(), features.numpy()

    def entered(self, x: Tensor) -> Tensor:
        return (self.network.scale * x).detach()

    def weight(self, name: str) -> Floats:
        values: Floats = self.state.get_parameter(name).detach().numpy()
        return values


def softmax(logits: Floats) -> Floats:
    powers: Floats = np.exp(logits - logits.max())
    return powers / powers.sum()


def cross_entropy(logits: Floats, targets: Tensor) -> float:
    pairs = zip(logits, targets.tolist(), strict=True)
    return float(np.mean([-math.log(softmax(row)[target]) for row, target in pairs]))


def gelu(values: Floats) -> Floats:
    return np.array([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in values])


def decoded(case: Case, stem: str, vector: Floats) -> Floats:
    """One vector through a dense decoder: linear, normalised, GELU, linear."""
    hidden = case.weight(f"{stem}0.weight") @ vector + case.weight(f"{stem}0.bias")
    hidden = (hidden - hidden.mean()) / math.sqrt(hidden.var() + 1e-5)
    hidden = gelu(case.weight(f"{stem}1.weight") * hidden + case.weight(f"{stem}1.bias"))
    out: Floats = case.weight(f"{stem}3.weight") @ hidden + case.weight(f"{stem}3.bias")
    return out


# --- M2 -------------------------------------------------------------------------------------


def negative_bound(case: Case, x: Floats, features: Floats, y: int, noise: Floats) -> float:
    """Kingma et al. 2014, eq. 6: L(x, y), with one draw of z."""
    hidden = case.weight("features.weight") @ features + case.weight("features.bias")
    hidden = gelu(hidden + case.weight("label.weight")[y])
    posterior = case.weight("posterior.weight") @ hidden + case.weight("posterior.bias")
    size = len(noise)
    mean, deviation = posterior[:size], np.exp(posterior[size:])
    z = mean + deviation * noise
    one_hot = np.zeros(CLASSES)
    one_hot[y] = math.sqrt(size)
    told = decoded(case, "decode.", np.concatenate([z, one_hot]))
    spread = math.exp(float(case.weight("log_variance")) / 2)
    log_likelihood = norm.logpdf(x, told, spread).sum()
    divergence = -0.5 * sum(
        1 + math.log(s**2) - m**2 - s**2 for m, s in zip(mean, deviation, strict=True)
    )
    return float(-math.log(1 / CLASSES) - log_likelihood + divergence)


def m2(case: Case, size: int, most: int) -> tuple[float, float, list[Floats]]:
    """Eq. 7 and 8 by record and class: both bounds an entry, and what is taught."""
    torch.manual_seed(1)
    known = torch.randn(LABELLED, 1, size, dtype=torch.float64).numpy()
    noise = torch.randn(UNLABELLED, most, size, dtype=torch.float64).numpy()
    views = [case.entered(case.labelled + 0.25), case.entered(case.unlabelled + 0.25)]
    (_, features), (logits, others) = (case.answers(view) for view in views)
    labelled = [
        negative_bound(case, views[0][i].numpy(), features[i], int(y), known[i, 0])
        for i, y in enumerate(case.targets)
    ]
    unlabelled, taught = [], []
    for i, row in enumerate(logits):
        named = np.argsort(-row)[:most]
        guess = softmax(row[named])
        bounds = [
            negative_bound(case, views[1][i].numpy(), others[i], int(y), noise[i, place])
            for place, y in enumerate(named)
        ]
        entropy = -sum(q * math.log(q) for q in guess)
        unlabelled.append(sum(q * b for q, b in zip(guess, bounds, strict=True)) - entropy)
        judged = np.zeros(CLASSES)
        judged[named] = softmax(-np.array(bounds))
        taught.append(judged)
    return float(np.mean(labelled)) / ENTRIES, float(np.mean(unlabelled)) / ENTRIES, taught


@pytest.mark.parametrize(("size", "most"), [(3, 20), (1, 20), (3, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_the_bounds_are_kingmas(seed: int, size: int, most: int):
    case = Case(VAE(weight=0.7, size=size, most=most), seed)
    loss = case.loss()
    likelihood, unlabelled, taught = m2(case, size, min(most, CLASSES))
    logits, _ = case.answers(case.entered(case.labelled + 0.25))
    assert loss.terms["supervised"].item() == pytest.approx(cross_entropy(logits, case.targets))
    assert loss.terms["likelihood"].item() == pytest.approx(0.7 * likelihood, rel=1e-9)
    assert loss.terms["unlabelled"].item() == pytest.approx(0.7 * unlabelled, rel=1e-9)
    assert loss.taught is not None
    np.testing.assert_allclose(loss.taught.guess.numpy(), taught, rtol=1e-8, atol=1e-12)


def test_the_likelihood_teaches_the_generative_model_and_not_the_network():
    """Else the encoder could make its features, or the record itself, easy to tell."""
    case = Case(VAE(), 0)
    for parameter in case.state.parameters():  # so that no class is ruled out
        parameter.data.mul_(0.2)
    loss = case.loss()
    network, state = list(case.network.parameters()), list(case.state.parameters())
    reached = torch.autograd.grad(
        loss.terms["likelihood"], network, retain_graph=True, allow_unused=True
    )
    assert reached == (None,) * len(network)
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(loss.total, state, retain_graph=True))
    # The unlabelled bound moves the network by its guess alone: q (B + log q - mean).
    head = torch.autograd.grad(loss.terms["unlabelled"], case.network.head.bias)[0].numpy()
    assert loss.taught is not None
    logits, _ = case.answers(case.entered(case.unlabelled + 0.25))
    wanted = np.zeros(CLASSES)
    for row, judged in zip(logits, loss.taught.guess.numpy(), strict=True):
        guess = softmax(row)
        apart = np.log(guess) - np.log(judged)  # bounds but for a constant, which cancels
        wanted += 3 * guess * (apart - guess @ apart) / UNLABELLED / ENTRIES
    np.testing.assert_allclose(head, wanted, rtol=1e-8)


def test_the_bound_is_one():
    """On average over z no more than the evidence, which draws from the prior estimate."""
    torch.manual_seed(0)
    model = GenerativeModel(FEATURES, CLASSES, 1, (2,)).double()
    x, features = torch.randn(1, 2).double(), torch.randn(1, FEATURES).double()
    named, draws = torch.tensor([[2]]), 20_000
    with torch.no_grad():
        bound = model(x.expand(draws, -1), features.expand(draws, -1), named.expand(draws, 1))
        z = torch.randn(draws, 1).double()
        label = torch.zeros(draws, CLASSES).double()
        label[:, 2] = 1
        told = model.decode(torch.cat([z, label], 1))
    each = norm.logpdf(x.numpy(), told.numpy(), 1.0).sum(1)
    evidence = math.log(np.mean(np.exp(each))) - math.log(CLASSES)
    error = 3 * float(bound.std()) / draws**0.5 + 0.01
    assert evidence > -float(bound.mean()) - error
    assert evidence < -float(bound.mean()) + 1.0, "and not far above it"


# --- GAN ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_real_and_generated_are_told_as_in_salimans(seed: int):
    case = Case(GAN(weight=0.5, size=3), seed)
    loss = case.loss()
    torch.manual_seed(1)
    noise = torch.randn(UNLABELLED, 3, dtype=torch.float64).numpy()
    made = np.array([decoded(case, "", z) for z in noise])
    logits, features = case.answers(case.entered(case.unlabelled + 0.25))
    false, reached = case.answers(torch.tensor(made))
    real_terms, false_terms = [], []
    for row in logits:
        total = sum(math.exp(value) for value in row)
        real_terms.append(-math.log(total / (total + 1)))
    for row in false:
        total = sum(math.exp(value) for value in row)
        false_terms.append(-math.log(1 - total / (total + 1)))
    told = np.mean(real_terms) + np.mean(false_terms)
    matched = ((features.mean(0) - reached.mean(0)) ** 2).mean()
    known, _ = case.answers(case.entered(case.labelled + 0.25))
    assert loss.terms["supervised"].item() == pytest.approx(cross_entropy(known, case.targets))
    assert loss.terms["unlabelled"].item() == pytest.approx(0.5 * told, rel=1e-9)
    assert loss.terms["generator"].item() == pytest.approx(matched, rel=1e-9)


@pytest.mark.parametrize("wrapped", [False, True])
def test_each_player_is_moved_by_its_own_term(wrapped: bool):
    case = Case(GAN(), 0, torch.float32)
    loss = case.loss(Fabric(accelerator="cpu").setup_module(case.network) if wrapped else None)
    network, state = list(case.network.parameters()), list(case.state.parameters())

    def reached(term: str, by: list[nn.Parameter]) -> set[bool]:
        gradients = torch.autograd.grad(loss.terms[term], by, retain_graph=True, allow_unused=True)
        return {g is not None and bool(g.abs().sum() > 0) for g in gradients}

    assert reached("unlabelled", network) == {True}
    assert reached("unlabelled", state) == {False}
    assert reached("generator", state) == {True}
    assert reached("generator", network) == {False}
    assert all(p.requires_grad for p in network), "the network learns on"
    assert loss.total.item() == pytest.approx(case.loss().total.item())


# --- reconstruction -------------------------------------------------------------------------


def denoising(case: Case, scale: float | None = None) -> tuple[float, float]:
    """Errors an entry by record; of the views, not of the target, the scale can be another."""
    known = case.network.scale.item()
    below, top = [], []
    for record in case.unlabelled:
        view = (known if scale is None else scale) * 0.5 * record
        logits, features = case.answers(view[None])
        target = known * record.numpy()
        below.append(((decoded(case, "features.", features[0]) - target) ** 2).mean())
        top.append(((decoded(case, "top.", softmax(logits[0])) - target) ** 2).mean())
    return float(np.mean(below)), float(np.mean(top))


@pytest.mark.parametrize("seed", range(4))
def test_both_decoders_tell_the_plain_record(seed: int):
    case = Case(Reconstruction(weight=0.8, top=0.3), seed)
    loss = case.loss()
    below, top = denoising(case)
    assert loss.terms["unlabelled"].item() == pytest.approx(0.8 * below, rel=1e-9)
    assert loss.terms["top"].item() == pytest.approx(0.8 * 0.3 * top, rel=1e-9)


def test_what_is_to_be_told_takes_no_gradient():
    """Else records could be entered as nothing, and nothing is easily told."""
    case = Case(Reconstruction(), 0)
    terms = case.loss().terms
    gradient = torch.autograd.grad(terms["unlabelled"] + terms["top"], case.network.scale)[0]
    tiny, known = 1e-6, case.network.scale.item()
    up, down = denoising(case, known + tiny), denoising(case, known - tiny)
    wanted = (up[0] - down[0] + 0.2 * (up[1] - down[1])) / (2 * tiny)
    assert gradient.item() == pytest.approx(wanted, rel=1e-5)


# --- decoders, and records of all forms -----------------------------------------------------


@given(
    channels=st.integers(1, 3), height=st.integers(1, 40), width=st.integers(1, 40),
)  # fmt: skip
def test_images_of_any_size_are_decoded(channels: int, height: int, width: int):
    made = decoder(5, (channels, height, width))(torch.randn(2, 5))
    assert made.shape == (2, channels, height, width)
    assert made.std() > 0


@pytest.mark.parametrize("shape", [(7,), (4, 9), (3, 12, 20)])
def test_every_part_of_a_decoder_learns(shape: tuple[int, ...]):
    torch.manual_seed(0)
    module = decoder(5, shape)
    made = module(torch.randn(3, 5))
    assert made.shape == (3, *shape)
    made.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())
    if len(shape) == 2:
        assert float(made[..., -1].detach().min()) > 0
        assert float(made[..., -1].detach().max()) < 1


def test_of_sequences_the_mean_of_the_words_is_told():
    values = torch.randn(3, 5, 4)
    values[..., -1] = torch.tensor([[1, 1, 0, 0, 0], [1, 0.5, 0.5, 0, 0], [1, 1, 1, 1, 1]])
    told = whole(values)
    assert told.shape == (3, 3)
    torch.testing.assert_close(told[0], values[0, :2, :3].mean(0))
    mixed = (values[1, 0, :3] + 0.5 * values[1, 1, :3] + 0.5 * values[1, 2, :3]) / 2
    torch.testing.assert_close(told[1], mixed)
    image = torch.randn(2, 3, 4, 4)
    assert whole(image) is image
    longer = fit_length(values, 7)
    assert torch.equal(longer[:, :5], values)
    assert float(longer[:, 5:].abs().sum()) == 0
    assert torch.equal(fit_length(values, 2), values[:, :2])


def _records(modality: str) -> Dataset:
    rng = np.random.default_rng(0)
    if modality == "image":
        return Dataset.from_arrays(rng.integers(0, 256, (24, 11, 18), dtype=np.uint8))
    if modality == "text":
        words = ["card", "cash", "bank", "late", "lost", "fee", "rate", "how", "why"]
        texts = [" ".join(rng.choice(words, int(rng.integers(2, 12)))) for _ in range(24)]
        return Dataset.from_arrays(texts, modality="text")
    values = rng.normal(size=(24, 6)).astype(np.float32)
    return Dataset.from_arrays(values, modality=modality)


@pytest.mark.parametrize("name", ["vae", "gan", "reconstruction"])
@pytest.mark.parametrize(
    "encoder", ["small-convnet", "ngram-bag", "text-transformer", "mlp", "tabular-mlp"]
)
def test_records_of_all_forms_are_generated(name: str, encoder: str):
    modality = ENCODERS[encoder].modality
    views, dataset = MODALITIES[modality], _records(modality)
    spec = views.describe(dataset)
    arrays, _ = views.decode(dataset, spec)
    targets = np.full(24, -1)
    targets[:8] = np.arange(8) % 2
    problem = Problem(
        arrays, spec, modality, "classification", 2, targets, np.arange(8), np.arange(8, 24),
        encoder, steps=3, training=Training(labelled_batch=4, precision="32-true"),
    )  # fmt: skip
    method = METHODS[name]
    steps = list(method.fit(problem))
    assert len(steps) == 3
    for step in steps:
        assert all(term.isfinite() for term in step.terms.values())
        assert len(step.terms) > 1


def test_settings_that_make_no_model_are_refused():
    with pytest.raises(SettingError, match="size of vae"):
        VAE(size=0)
    with pytest.raises(SettingError, match="most of vae"):
        VAE(most=1)
    with pytest.raises(SettingError, match="size of gan"):
        GAN(size=0)
