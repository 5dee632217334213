"""What of an encoder learns is what was asked for, whatever the encoder and the method."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from math import erf, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.learn.adapt import Bottleneck, LowRank, adapt, adapters_of, merge, rates_of, renewed
from leaven.learn.contracts.made_records import MADE_RECORDS
from leaven.learn.encoder import ENCODERS, Encoder, listed
from leaven.learn.method import METHODS, Problem
from leaven.learn.network import Network
from leaven.learn.pretext import PRETEXTS
from tests.learn.adapt_parts import begun, ended, fit, made, seen

pytestmark = pytest.mark.usefixtures("few_words")

#: Encoders that are another one of these with other numbers, and would take seconds a step.
_TWINS = {"resnet-50", "vit-tiny", "tcn-large", "text-transformer-large"}
_FORMS = ("head", "partial", "lora", "adapters")


def _trains(name: str) -> bool:
    kind = ENCODERS[name]
    return not kind.ready and kind.modality in {*MADE_RECORDS, "graph"} and name not in _TWINS


TRAINED = [name for name in listed() if _trains(name)]


def _adapted(problem: Problem) -> Encoder:
    torch.manual_seed(0)
    encoder = problem.build_encoder()
    adapt(encoder, problem.training, lambda: seen(problem))
    return encoder.eval()


def _stir(encoder: nn.Module) -> None:
    """Give all that learns other values, so that what is added has an effect."""
    with torch.no_grad():
        for parameter in encoder.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn_like(parameter)


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {
        name.replace("parametrizations.", "").replace(".original", ""): tensor.clone()
        for name, tensor in module.state_dict().items()
    }


@dataclass(frozen=True)
class _Held:
    """Of an encoder before a fit: what may not change in it, by the plain names."""

    tensors: dict[str, Tensor]

    @classmethod
    def of(cls, problem: Problem) -> _Held:
        torch.manual_seed(0)
        encoder = problem.build_encoder()
        kept = encoder.state_dict(keep_vars=True)
        if problem.training.adapt == "partial":
            *lower, top = encoder.layers()
            below = {id(t) for m in lower for t in m.state_dict(keep_vars=True).values()}
            learns = {id(t) for t in (top if lower else encoder).parameters()}
            kept = {
                name: tensor
                for name, tensor in kept.items()
                if id(tensor) in below or (tensor.requires_grad and id(tensor) not in learns)
            }
        if problem.training.adapt in ("lora", "adapters"):  # where norms follow what they see
            kept = {n: t for n, t in kept.items() if t.requires_grad}
        return cls({name: tensor.detach().clone() for name, tensor in kept.items()})

    def moved(self, tensors: dict[str, Tensor]) -> list[str]:
        return [name for name, before in self.tensors.items() if not before.equal(tensors[name])]


@pytest.mark.parametrize("form", _FORMS)
@pytest.mark.parametrize("encoder", TRAINED)
def test_what_is_held_stays_to_the_bit_the_rest_learns_and_all_is_saved(
    encoder: str, form: str, tmp_path: Path
):
    problem = made(encoder, adapt=form, rank=2)
    # The same for each fit: what is drawn for the encoder hangs on the loop's seed.
    problem = replace(problem, start=problem.build_encoder())
    held = _Held.of(problem)
    assert held.tensors or (form == "partial" and len(problem.build_encoder().layers()) == 1)
    fitting, state = begun(problem)
    for one in (state.network, state.average):
        assert not held.moved(_tensors(one.encoder))
    learning = {n for n, p in state.network.encoder.named_parameters() if p.requires_grad}
    before = {n: state.network.encoder.get_parameter(n).detach().clone() for n in learning}
    averaged = {n: state.average.encoder.get_parameter(n).detach().clone() for n in learning}
    assert bool(learning) == (form != "head")
    network = ended(fitting)
    assert not held.moved(_tensors(state.network.encoder))
    after = dict(state.network.encoder.named_parameters())
    assert not [n for n in learning if torch.equal(after[n], before[n])]
    if form != "lora":  # whose changes are no longer in the average
        kept = dict(state.average.encoder.named_parameters())
        assert not [n for n in learning if torch.equal(kept[n], averaged[n])]
    trained = [p for group in state.optimiser.param_groups for p in group["params"]]
    assert all(p.requires_grad for p in trained)
    _assert_saved_whole(problem, network, form, tmp_path)


def _assert_saved_whole(problem: Problem, network: Network, form: str, folder: Path) -> None:
    network.save(folder)
    again = Network.load(folder)
    assert np.array_equal(network.logits(problem.arrays), again.logits(problem.arrays))
    assert adapters_of(again.encoder) == adapters_of(network.encoder)
    assert bool(adapters_of(again.encoder)) == (form == "adapters")
    assert not [m for m in again.modules() if isinstance(m, LowRank)]


@pytest.mark.parametrize("form", ["lora", "adapters"])
@pytest.mark.parametrize("encoder", TRAINED)
def test_what_is_added_begins_with_no_effect_and_then_has_one(encoder: str, form: str):
    problem = made(encoder, adapt=form, rank=2)
    torch.manual_seed(0)
    plain, changed = problem.build_encoder().eval(), _adapted(problem)
    batch = seen(problem)
    with torch.no_grad():
        assert torch.allclose(plain(batch), changed(batch), rtol=0, atol=1e-6)
        _stir(changed)
        assert not torch.allclose(plain(batch), changed(batch), rtol=0, atol=1e-3)


@pytest.mark.parametrize("encoder", TRAINED)
def test_merged_changes_are_plain_weights_that_say_the_same(encoder: str):
    problem = made(encoder, adapt="lora", rank=2)
    changed = _adapted(problem)
    _stir(changed)
    other = copy.deepcopy(changed)
    batch = seen(problem)
    with torch.no_grad():
        said = changed(batch)
        merge(changed)
        assert torch.allclose(changed(batch), said, rtol=1e-5, atol=1e-5)
        assert torch.equal(other(batch), said)  # the copy is as it was
    plain = ENCODERS[encoder](**changed.config)
    assert plain.state_dict().keys() == changed.state_dict().keys()
    assert {type(m) for m in changed.modules()} == {type(m) for m in plain.modules()}


@pytest.mark.parametrize("form", _FORMS)
@pytest.mark.parametrize("encoder", ["mlp", "small-convnet", "text-transformer", "gcn"])
def test_it_resumes_exactly(encoder: str, form: str, tmp_path: Path):
    problem = made(encoder, steps=4, adapt=form, dropout=0.2, layer_decay=0.7, label_smoothing=0.1)
    whole, _ = fit(problem)
    fitting, state = begun(problem)
    state.save(tmp_path / "checkpoint.safetensors")
    fitting.close()
    resumed, steps = fit(problem, checkpoint=tmp_path / "checkpoint.safetensors")
    assert [step.number for step in steps] == [2, 3, 4]
    mine, theirs = whole.state_dict(), resumed.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


LOOPED = [n for n, m in METHODS.items() if m.stepped and not m.modalities]


@pytest.mark.parametrize("form", _FORMS)
@pytest.mark.parametrize("method", LOOPED)
def test_every_method_of_the_loop_takes_it(method: str, form: str):
    problem = made("mlp", steps=4, adapt=form, dropout=0.1, label_smoothing=0.1)
    network, steps = fit(problem, method)
    assert all(torch.isfinite(term) for step in steps for term in step.terms.values())
    assert np.isfinite(network.logits(problem.arrays)).all()


@pytest.mark.parametrize("form", _FORMS)
@pytest.mark.parametrize("encoder", ["small-convnet", "text-transformer", "wrn-28-2"])
def test_it_trains_in_half_precision_too(encoder: str, form: str):
    problem = made(encoder, steps=3, adapt=form, precision="bf16-mixed")
    network, steps = fit(problem)
    assert all(torch.isfinite(term) for step in steps for term in step.terms.values())
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert np.isfinite(network.logits(problem.arrays)).all()


def test_adapters_along_the_channels_are_found_by_the_layers():
    for encoder, axis in (("small-convnet", 1), ("text-transformer", -1), ("mlp", -1)):
        changed = _adapted(made(encoder, adapt="adapters", rank=3))
        told = adapters_of(changed)
        assert {place["axis"] for place in told} == {axis}
        assert {place["rank"] for place in told} == {3}
    convnet = _adapted(made("small-convnet", adapt="adapters"))
    assert [place["width"] for place in adapters_of(convnet)] == [
        layer[0].out_channels  # type: ignore[index]
        for layer in convnet.layers()
    ]


@given(st.integers(1, 5), st.integers(1, 7), st.integers(1, 6), st.booleans())
def test_a_low_rank_change_is_its_formula(outputs: int, inputs: int, rank: int, kernel: bool):
    rng = np.random.default_rng((outputs, inputs, rank))
    weight = rng.normal(size=(outputs, inputs, 3) if kernel else (outputs, inputs))
    change = LowRank(torch.from_numpy(weight).float(), rank)
    flat = weight.reshape(outputs, -1)
    kept = min(rank, *flat.shape)
    up, down = rng.normal(size=(outputs, kept)), rng.normal(size=(kept, flat.shape[1]))
    with torch.no_grad():
        change.up.copy_(torch.from_numpy(up))
        change.down.copy_(torch.from_numpy(down))
        changed = change(torch.from_numpy(weight).float()).numpy()
    wanted = flat.copy()
    for row in range(outputs):
        for column in range(flat.shape[1]):
            added = sum(up[row, r] * down[r, column] for r in range(kept))
            wanted[row, column] += 16 / rank * added
    np.testing.assert_allclose(changed, wanted.reshape(weight.shape), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("axis", [1, -1])
def test_a_bottleneck_is_its_formula_at_each_place(axis: int):
    rng = np.random.default_rng(0)
    adapter = Bottleneck(0, 4, axis, 2)
    _stir(adapter)
    values = rng.normal(size=(3, 4, 5, 4)).astype(np.float32)
    with torch.no_grad():
        said = adapter(torch.from_numpy(values)).numpy()
    told = {name: t.detach().double().numpy() for name, t in adapter.named_parameters()}
    moved, found = np.moveaxis(values, axis, -1), np.moveaxis(said, axis, -1)
    for place in np.ndindex(moved.shape[:-1]):
        inner = told["down.weight"] @ moved[place] + told["down.bias"]
        active = np.array([_gelu(one) for one in inner])
        wanted = moved[place] + told["up.weight"] @ active + told["up.bias"]
        np.testing.assert_allclose(found[place], wanted, rtol=1e-4, atol=1e-5)


def _gelu(value: float) -> float:
    return value * 0.5 * (1 + erf(value / sqrt(2)))


@pytest.mark.parametrize("encoder", TRAINED)
def test_layers_name_all_matrices_once_and_rates_fall_a_layer_down(encoder: str):
    problem = made(encoder)
    built = problem.build_encoder()
    layers = [[id(p) for p in layer.parameters()] for layer in built.layers()]
    flat = [one for layer in layers for one in layer]
    assert layers
    assert all(layers)
    assert len(flat) == len(set(flat))
    rates = rates_of(built, 0.5)
    for number, layer in enumerate(reversed(layers)):
        assert {rates[one] for one in layer} == {built.rate * 0.5**number}
    lowest = built.rate * 0.5 ** (len(layers) - 1)
    assert {rates[id(p)] for p in built.parameters() if id(p) not in flat} <= {lowest}
    assert set(rates_of(built, 1.0).values()) == {built.rate}


def test_the_optimiser_takes_the_rates_of_the_layers():
    _, state = begun(made("small-convnet", adapt="full", layer_decay=0.5, rate=1e-3))
    peaks = {
        id(p): group["peak"] for group in state.optimiser.param_groups for p in group["params"]
    }
    encoder = state.network.encoder
    stem, top = encoder.layers()[0], encoder.layers()[-1]
    assert {peaks[id(p)] for p in top.parameters()} == {1e-3}
    assert {peaks[id(p)] for p in stem.parameters()} == {1e-3 * 0.5 ** (len(encoder.layers()) - 1)}
    assert {peaks[id(p)] for p in state.network.head.parameters()} == {1e-3}


def test_a_network_in_the_state_has_the_rates_of_its_encoder(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ENCODERS["mlp"], "rate", 0.25)
    _, state = begun(made("mlp", rate=1e-3), "meta-pseudo-labels")
    peaks = {
        id(p): group["peak"] for group in state.optimiser.param_groups for p in group["params"]
    }
    for network in (state.network, state.objective.teacher):
        assert {peaks[id(p)] for p in network.encoder.parameters()} == {0.25e-3}
        assert {peaks[id(p)] for p in network.head.parameters()} == {1e-3}


def test_partial_lets_so_many_layers_learn_from_the_top():
    for unfrozen in (1, 3, 7, 50):
        encoder = _adapted(made("small-convnet", adapt="partial", unfrozen=unfrozen))
        learns = [any(p.requires_grad for p in layer.parameters()) for layer in encoder.layers()]
        top = min(unfrozen, len(learns))
        assert learns == [False] * (len(learns) - top) + [True] * top


def test_statistics_of_held_layers_do_not_drift():
    problem = made("wrn-28-2", steps=3, adapt="partial", unfrozen=2)
    start = problem.build_encoder()
    for name, statistic in start.named_buffers():
        if name.startswith("blocks") and name.endswith(".mean"):
            statistic += 0.1  # as if it had been trained
    problem = replace(problem, start=start)
    network, _ = fit(problem)
    assert problem.start is not None
    before, after = _tensors(problem.start), _tensors(network.encoder)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.split(".")[0] for name in moved} == {"blocks", "last", "passes"}
    assert {name.split(".")[1] for name in moved if name.startswith("blocks")} == {"10", "11"}


def test_an_encoder_without_layers_takes_the_head_alone():
    for form in ("lora", "adapters"):
        with pytest.raises(SettingError, match="head, for standardised has no layer to change"):
            fit(made("standardised", adapt=form))
    assert fit(made("standardised", adapt="head"))
    assert fit(made("standardised", adapt="partial"))


def test_a_pretext_changes_all_of_the_encoder():
    plain = replace(made("mlp", pretrain_batch=8), train=np.zeros(0, np.int64))
    settings = {"adapt": "head", "dropout": 0.5, "layer_decay": 0.5}
    other = replace(plain, training=plain.training.model_copy(update=settings))
    found = []
    for problem in (plain, other):
        found.append(_tensors(ended(PRETEXTS["simclr"].fit(problem))))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_a_start_learns_again_and_brings_its_adapters(tmp_path: Path):
    problem = made("mlp", steps=3, adapt="adapters", rank=3)
    first, _ = fit(problem)
    assert not any(p.requires_grad for p in first.parameters())
    again = renewed(first.encoder)
    assert all(p.requires_grad for p in again.parameters())
    assert torch.equal(again(seen(problem)), first.encoder(seen(problem)))
    problem = replace(problem, start=first.encoder)
    second, _ = fit(problem)
    assert adapters_of(second.encoder) == adapters_of(first.encoder)
    before, after = _tensors(first.encoder), _tensors(second.encoder)
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"adapters"}
    for form in ("full", "lora"):
        training = problem.training.model_copy(update={"adapt": form})
        third, _ = fit(replace(problem, training=training))
        third.save(tmp_path)
        said = Network.load(tmp_path).logits(problem.arrays)
        assert np.array_equal(said, third.logits(problem.arrays))


def test_frozen_tensors_of_a_start_stay_frozen():
    encoder = made("mlp").build_encoder()
    assert not any(p.requires_grad for p in renewed(_Part(4)).body.parameters())
    assert all(p.requires_grad for p in renewed(encoder.requires_grad_(False)).parameters())


class _Part(Encoder):
    """An encoder with a frozen layer."""

    name, modality, summary = "part", "embedding", ""

    def __init__(self, width: int) -> None:
        super().__init__(width=width)
        self.body = nn.Linear(width, width).requires_grad_(False)
        self.width = width

    @classmethod
    def configure(cls, spec: dict[str, Any]) -> dict[str, Any]:
        return {"width": spec["width"]}

    def enter(self, batch: dict[str, Tensor]) -> Tensor:
        return batch["features"]
