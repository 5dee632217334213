"""Vision transformers: attention over the patches of a picture."""

from __future__ import annotations

import math
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.data.modality import Spec
from leaven.learn.encoder import ENCODERS
from leaven.learn.patches import patchified, sine_positions
from leaven.learn.pixels import PixelEncoder

__all__ = ["AttentionBlock", "VisionTransformer", "VisionTransformerTiny"]


class VisionTransformer(PixelEncoder):
    """Patches and their positions through pre-norm layers; the mean of the last states.

    Dosovitskiy et al. 2021, arXiv:2010.11929, eq. 1 to 4. The mean over patches stands where the
    paper reads a class token, which is as good (its appendix D.3; Beyer et al. 2022,
    arXiv:2205.01580). Positions are learnt; they begin as sines and cosines of row and column, for
    some hundred steps would not find out which patches are neighbours, and are interpolated
    bicubically for pictures of another size (section 3.2). A picture whose side is no multiple of
    `patch` is continued by its last row and column.

    `rows` and `columns` are those of the patches at configuration. SettingError where `width` is
    not a multiple of `heads` and of 4, or a number is not positive.
    """

    name = "vit-mini"
    summary = "a vision transformer of 6 layers of width 96, 0.7 M weights"

    def __init__(
        self,
        channels: int,
        rows: int,
        columns: int,
        patch: int,
        width: int,
        layers: int,
        heads: int,
    ) -> None:
        config = {"rows": rows, "columns": columns, "patch": patch}
        config |= {"width": width, "layers": layers, "heads": heads}
        super().__init__(channels, **config)
        for name, value in config.items():
            if value < 1:
                raise SettingError(name, "at least 1", value)
        if width % heads or width % 4:
            raise SettingError("width", f"a multiple of {heads} heads and of 4", width)
        self.patch, self.width = patch, width
        self.embedding = _Embedding(channels * patch**2, width, rows, columns)
        self.blocks = nn.ModuleList([AttentionBlock(width, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """Six layers of width 96; patches of 4 pixels, of 8 above 48 pixels, of 16 above 96."""
        return _config(spec, width=96, layers=6, heads=3)

    def patches(self, entered: Tensor) -> Tensor:
        """(batch, rows · columns, channels · patch²) of what has entered, row by row."""
        return patchified(entered, self.patch)

    def positions(self, height: int, width: int) -> Tensor:
        """(rows · columns, width) the positions of a picture of so many pixels."""
        rows, columns = math.ceil(height / self.patch), math.ceil(width / self.patch)
        return self.embedding.positions_of(rows, columns)

    def states(self, patches: Tensor, positions: Tensor) -> Tensor:
        """(batch, p, width) the last states of any p patches (batch, p, channels · patch²).

        `positions` is (p, width), or (batch, p, width) where each record shows patches of its own.
        """
        states = self.embedding.project(patches) + positions
        for block in self.blocks:
            states = block(states)
        normed: Tensor = self.norm(states)
        return normed

    def represent(self, entered: Tensor) -> Tensor:
        """(batch, width) the mean state of all patches."""
        positions = self.positions(entered.shape[2], entered.shape[3])
        return self.states(self.patches(entered), positions).float().mean(1)

    def layers(self) -> list[nn.Module]:
        """Patches and positions, then a layer a block, then the last normalisation."""
        return [self.embedding, *self.blocks, self.norm]


class VisionTransformerTiny(VisionTransformer):
    """The smallest of DeiT (Touvron et al. 2021, arXiv:2012.12877, table 1)."""

    name = "vit-tiny"
    summary = "a vision transformer of 12 layers of width 192 (DeiT-Ti), 5 M weights"

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """Twelve layers of width 192; patches of 4 pixels, of 8 above 48, of 16 above 96."""
        return _config(spec, width=192, layers=12, heads=3)


class AttentionBlock(nn.Module):
    """Self-attention, then a perceptron four times as wide; each of what is normalised, and added.

    Dosovitskiy et al. 2021, eq. 2 and 3. The width is a multiple of the number of heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(width)
        self.asked = nn.Linear(width, 3 * width)  # queries, keys and values
        self.answered = nn.Linear(width, width)
        self.between = nn.LayerNorm(width)
        wide, narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.perceptron = nn.Sequential(wide, nn.GELU(), narrow)
        for layer in (self.asked, self.answered, wide, narrow):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, states: Tensor) -> Tensor:
        """(batch, p, width) new states."""
        n, p, width = states.shape
        asked = self.asked(self.before(states)).view(n, p, 3, self.heads, width // self.heads)
        query, key, value = asked.permute(2, 0, 3, 1, 4)
        seen = _attended(query, key, value)
        states = states + self.answered(seen.transpose(1, 2).reshape(n, p, width))
        new: Tensor = states + self.perceptron(self.between(states))
        return new


def _attended(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(query keyᵀ / √d) value, of (batch, heads, p, d) each.

    On a processor two products: the fused kernel's backward pass takes 3 to 10 times as long under
    bf16, at 16 to 256 patches.
    """
    if query.is_cuda:
        return F.scaled_dot_product_attention(query, key, value)
    shares = (query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2)).softmax(-1)
    seen: Tensor = shares.to(value.dtype) @ value
    return seen


class _Embedding(nn.Module):
    """From the pixels of a patch to a vector, and the positions that are added."""

    def __init__(self, pixels: int, width: int, rows: int, columns: int) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns
        self.project = nn.Linear(pixels, width)
        nn.init.xavier_uniform_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        self.positions = nn.Parameter(sine_positions(rows, columns, width))

    def positions_of(self, rows: int, columns: int) -> Tensor:
        """(rows · columns, width), interpolated where the picture is of another size."""
        if (rows, columns) == (self.rows, self.columns):
            return self.positions
        grid = self.positions.T.reshape(1, -1, self.rows, self.columns)
        grid = F.interpolate(grid, (rows, columns), mode="bicubic", align_corners=False)
        return grid[0].flatten(1).T


def _config(spec: Spec, width: int, layers: int, heads: int) -> dict[str, Any]:
    side = max(spec["height"], spec["width"])
    patch = 4 if side <= 48 else 8 if side <= 96 else 16
    return {
        "channels": spec["channels"],
        "rows": math.ceil(spec["height"] / patch),
        "columns": math.ceil(spec["width"] / patch),
        "patch": patch,
        "width": width,
        "layers": layers,
        "heads": heads,
    }


ENCODERS.add(VisionTransformer.name, VisionTransformer)
ENCODERS.add(VisionTransformerTiny.name, VisionTransformerTiny)
