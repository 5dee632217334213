"""A transformer's weights in fewer bits, where the processor multiplies those faster."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ["CLOSE", "PRECISIONS", "RowInt8", "has_bf16", "reduced", "settled"]

PRECISIONS = ("fp32", "bf16", "int8")
#: Least cosine between a record's features in fewer bits and in 32.
CLOSE = 0.99
_MARGIN = 0.3  # the probes are few: of the distance that is allowed, so much is used


def has_bf16() -> bool:
    """Whether the processor multiplies bf16 itself; emulated it is slower than fp32."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported())


def settled(model: nn.Module, features: Callable[[nn.Module], Tensor]) -> str:
    """The fastest precision in which the probes' features stay what they are in 32 bits.

    `features` gives a model's (n, width) features of the probes. bf16 where the processor has
    it, else int8 where it has that, else fp32.
    """
    wish = "bf16" if has_bf16() else "int8" if _has_int8() else "fp32"
    if wish != "fp32":
        with torch.inference_mode():
            pair = features(model).float(), features(reduced(model, wish)).float()
        near = torch.nn.functional.cosine_similarity(*pair).min().item()
        if not near >= 1 - _MARGIN * (1 - CLOSE):
            wish = "fp32"
    return wish


def reduced(model: nn.Module, precision: str) -> nn.Module:
    """A copy of a model in that precision; the model itself for fp32.

    bf16 is all of its weights; int8 is its linear layers alone, see `RowInt8`.
    """
    if precision == "fp32":
        return model
    if precision == "bf16":
        return copy.deepcopy(model).to(torch.bfloat16)
    fewer = copy.deepcopy(model)
    for module in list(fewer.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear:
                setattr(module, name, RowInt8(child))
    return fewer


class RowInt8(nn.Module):
    """A linear layer with weights and inputs of 8 bits, each row with a scale of its own.

    The inputs' scales are found as they come, a token at a time: with one scale for all of a
    batch, as it is common, a record's features would depend on what shares its batch.
    """

    weight: Tensor
    scale: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scale = _scales(weight)
        self.register_buffer("weight", (weight / scale).round_().to(torch.int8).t())
        self.register_buffer("scale", scale.squeeze(1))
        self.bias = linear.bias

    def forward(self, inputs: Tensor) -> Tensor:
        """(…, outputs) of (…, inputs)."""
        rows = inputs.reshape(-1, inputs.shape[-1])
        scale = _scales(rows)
        product = torch._int_mm((rows / scale).round_().to(torch.int8), self.weight)
        outputs = product.to(inputs.dtype).mul_(scale).mul_(self.scale)
        if self.bias is not None:
            outputs += self.bias
        return outputs.reshape(*inputs.shape[:-1], -1)


def _scales(rows: Tensor) -> Tensor:
    """(n, 1) what a step of 8 bits is worth in each row."""
    return rows.abs().amax(1, keepdim=True).clamp_min(1e-12) / 127


def _has_int8() -> bool:
    """Whether the processor adds up products of 8 bits in one instruction."""
    return not torch.cuda.is_available() and bool(torch.cpu._is_vnni_supported())
