"""What of an encoder a fit changes: all of it, nothing, its top layers, or a little that is added.

- `LowRank`: Hu et al. 2021, arXiv:2106.09685, section 4.1, of linear layers, of attention's
  joint projection and of kernels, which are matrices of outputs by all else. At the end the
  changes are added to the weights, and nothing of them is left.
- `Bottleneck`: Houlsby et al. 2019, arXiv:1902.00751, section 2.1, after each layer that
  `Encoder.layers` names. They stay in the model. The paper trains the layer normalisations too;
  here they stay as they are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from leaven.core.errors import SettingError
from leaven.core.recipe import Training
from leaven.data.arrays import Batch
from leaven.learn.encoder import Encoder
from leaven.learn.message_passing import Projection

__all__ = [
    "Bottleneck",
    "LowRank",
    "adapt",
    "add_adapters",
    "adapters_of",
    "merge",
    "rates_of",
    "renewed",
]

_ALPHA = 16.0  # twice the default rank; the step's size then hardly hangs on the rank


def adapt(encoder: Encoder, training: Training, view: Callable[[], Batch]) -> tuple[nn.Module, ...]:
    """Let of the encoder learn what `training.adapt` says; returns what stays in evaluation mode.

    `view` gives a few plain records, by which adapters learn where they fit; what is added draws
    from torch's global generator and leaves the encoder's output as it was. SettingError where
    there is nothing that could be changed so.
    """
    if training.adapt == "full":
        return ()
    learning = {id(p) for p in encoder.parameters() if p.requires_grad}
    if training.adapt == "partial":
        return _hold_below(encoder, training.unfrozen)
    encoder.requires_grad_(False)
    if training.adapt == "head":
        return (encoder,)
    if training.adapt == "lora":
        for module, name in _matrices(encoder, learning):
            change = LowRank(module.get_parameter(name), training.rank)
            parametrize.register_parametrization(module, name, change)
        changed = any(isinstance(module, LowRank) for module in encoder.modules())
    else:
        if not adapters_of(encoder):
            add_adapters(encoder, _places(encoder, training.rank, view()))
        for adapter in getattr(encoder, "adapters", ()):
            adapter.requires_grad_(True)
        changed = bool(adapters_of(encoder))
    if not changed:
        wanted = f"full or head, for {encoder.name} has no layer to change"
        raise SettingError("training.adapt", wanted, training.adapt)
    return ()


def merge(encoder: Encoder) -> None:
    """Add low-rank changes to their weights, which are then plain parameters again."""
    for module in list(encoder.modules()):
        name = _changed(module)
        if name:
            weight = getattr(module, name).detach().clone()
            kept = module.get_parameter(f"parametrizations.{name}.original")
            # What torch has for it takes the property from the class too, which copies share.
            del module._modules["parametrizations"]
            module.__class__ = type(module).__bases__[0]
            with torch.no_grad():
                kept.copy_(weight)
            module.register_parameter(name, kept)


def rates_of(encoder: Encoder, decay: float) -> dict[int, float]:
    """By `id` of a parameter, the factor on its rate: the encoder's, and `decay` a layer down.

    What belongs to no layer (positions, say) goes with the lowest one.
    """
    layers = encoder.layers()
    rates = dict.fromkeys(map(id, encoder.parameters()), _rate(encoder, decay, 0, len(layers)))
    for number, layer in enumerate(layers):
        own = _rate(encoder, decay, number, len(layers))
        rates |= dict.fromkeys(map(id, layer.parameters()), own)
    for adapter in getattr(encoder, "adapters", ()):
        own = _rate(encoder, decay, adapter.config["layer"], len(layers))
        rates |= dict.fromkeys(map(id, adapter.parameters()), own)
    return rates


def adapters_of(encoder: Encoder) -> list[dict[str, int]]:
    """The adapters in an encoder as plain JSON, which `add_adapters` reads; empty without any."""
    return [adapter.config for adapter in getattr(encoder, "adapters", ())]


def add_adapters(encoder: Encoder, places: Sequence[dict[str, int]]) -> None:
    """Put new adapters where they are told to be: `layer`, `width`, `axis` and `rank` of each."""
    if not places:
        return
    ends = [_end(layer) for layer in encoder.layers()]
    adapters = [Bottleneck(**place) for place in places]
    encoder.add_module("adapters", nn.ModuleList(adapters))
    for adapter in adapters:
        ends[adapter.config["layer"]].register_forward_hook(adapter.after)


def renewed(encoder: Encoder) -> Encoder:
    """A copy, of which learns what would learn in a new encoder; its tensors are the same."""
    fresh = type(encoder)(**encoder.config)
    learns = {name: p.requires_grad for name, p in fresh.named_parameters()}
    again = copy.deepcopy(encoder)
    for name, parameter in again.named_parameters():
        parameter.requires_grad_(learns.get(name, True))  # adapters are in no new encoder
    return again


class LowRank(nn.Module):
    """A weight W, still, and its change: W + (alpha / rank) · up · down, in full precision.

    W is (outputs, …), `up` (outputs, r) and begins at zero, `down` (r, …), r at most `rank`.
    """

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        outputs, inputs = weight.shape[0], weight[0].numel()
        self.scale = _ALPHA / rank
        kept = min(rank, outputs, inputs)
        self.down = nn.Parameter(torch.randn(kept, inputs) * inputs**-0.5)
        self.up = nn.Parameter(torch.zeros(outputs, kept))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with its change, of the same shape."""
        with torch.autocast(weight.device.type, enabled=False):
            changed: Tensor = weight + (self.scale * (self.up @ self.down)).view_as(weight)
        return changed


class Bottleneck(nn.Module):
    """x + up(GELU(down(x))) at each place, along the axis of `width`; `up` begins at zero.

    It is called by a hook after the layer of this number, whose output it changes.
    """

    def __init__(self, layer: int, width: int, axis: int, rank: int) -> None:
        super().__init__()
        self.config = {"layer": layer, "width": width, "axis": axis, "rank": rank}
        self.axis = axis
        self.down = nn.Linear(width, rank)
        self.up = nn.Linear(rank, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, values: Tensor) -> Tensor:
        """Of the shape of what is given."""
        # Laid out anew, for else torch rounds by whether the weights take a gradient.
        inner = F.gelu(self.down(values.movedim(self.axis, -1).contiguous()))
        added: Tensor = values + self.up(inner).movedim(-1, self.axis)
        return added

    def after(self, layer: nn.Module, given: Any, output: Tensor) -> Tensor:
        """The hook: a bound method, so that a copy of the encoder calls the copy of the adapter."""
        adapted: Tensor = self(output)
        return adapted


def _hold_below(encoder: Encoder, unfrozen: int) -> tuple[nn.Module, ...]:
    """Hold all but the topmost layers; returns those that are held."""
    layers = encoder.layers()
    held = layers[: max(len(layers) - unfrozen, 0)]
    if held or not layers:
        top = {id(p) for layer in layers[len(held) :] for p in layer.parameters()}
        for parameter in encoder.parameters():
            if id(parameter) not in top:
                parameter.requires_grad_(False)
    return tuple(held)


def _matrices(encoder: Encoder, learning: set[int]) -> list[tuple[nn.Module, str]]:
    """The modules whose matrix may learn, with its name."""
    found: list[tuple[nn.Module, str]] = []
    for module in encoder.modules():
        name = "weight"
        if isinstance(module, nn.MultiheadAttention):
            name = "in_proj_weight"
        elif not isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | Projection):
            continue
        # A weight that is computed already (weight normalisation) is left as it is.
        if parametrize.is_parametrized(module):
            continue
        if id(dict(module.named_parameters(recurse=False)).get(name)) in learning:
            found.append((module, name))
    return found


def _changed(module: nn.Module) -> str:
    """The name of the weight that is changed by a low rank; empty where none is."""
    if parametrize.is_parametrized(module):
        listed: Any = module.parametrizations
        for name, changes in listed.items():
            if isinstance(changes[0], LowRank):
                return str(name)
    return ""


@torch.no_grad()
def _places(encoder: Encoder, rank: int, view: Batch) -> list[dict[str, int]]:
    """Where adapters fit: after each layer that gives one tensor, on the axis of its channels.

    Not after word vectors: those are what enters, not yet a layer's answer.
    """
    places: dict[int, dict[str, int]] = {}
    hooks = []
    for number, layer in enumerate(encoder.layers()):
        channels = {c.out_channels for c in layer.modules() if isinstance(c, nn.Conv1d | nn.Conv2d)}

        def see(
            module: nn.Module, given: Any, output: Any, at: int = number, of: set[int] = channels
        ) -> None:
            if isinstance(output, Tensor) and output.ndim > 1 and output.is_floating_point():
                axis = 1 if output.ndim > 2 and output.shape[1] in of else -1
                width = output.shape[axis]
                places[at] = {"layer": at, "width": width, "axis": axis, "rank": rank}

        if not isinstance(_end(layer), nn.Embedding):
            hooks.append(_end(layer).register_forward_hook(see))
    before = encoder.training
    encoder.eval()(view)
    encoder.train(before)
    for hook in hooks:
        hook.remove()
    return [places[number] for number in sorted(places)]


def _end(layer: nn.Module) -> nn.Module:
    """The module whose answer is the layer's: itself, or the last one of a mere list."""
    return _end(layer[-1]) if isinstance(layer, nn.ModuleList) else layer


def _rate(encoder: Encoder, decay: float, number: int, layers: int) -> float:
    """The factor of layer `number` of so many."""
    return encoder.rate * decay ** max(layers - 1 - number, 0)
