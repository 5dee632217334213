"""Encoders of pictures: pixels (n, channels, height, width) of 0 to 255."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from leaven.learn.models.gradients import DARK, FAINT, FLAT, SHARP, Gradients
from leaven.learn.models.patch_dictionary import PatchDictionary
from leaven.learn.models.pixel_components import PixelComponents
from leaven.learn.models.resnet import ResNet, ResNet50
from leaven.learn.models.small_convnet import SmallConvNet
from leaven.learn.models.vit import AttentionBlock, VisionTransformer, VisionTransformerTiny
from leaven.learn.models.wide_resnet import WideResNet
from leaven.learn.pixels import PixelEncoder
from leaven.operate.export.codes import area, coded, rooted, softened
from leaven.operate.export.encoder_kinds import ENCODER_GRAPHS, Entered
from leaven.operate.export.graph import Value
from leaven.operate.export.layers import (
    attended,
    by_channel,
    convolved,
    linear,
    normed,
    through,
    unsupported,
)

__all__ = [
    "convnet",
    "gradients",
    "patch_dictionary",
    "pixel_components",
    "resnet",
    "vit",
    "wide_resnet",
]

_SLOPE, _EPSILON = 0.1, 1e-3  # as `WideResNet` has them


def _unit(arrays: Entered) -> Value:
    return arrays["pixels"].cast(np.float32) / 255.0


def _standard(arrays: Entered, encoder: PixelEncoder) -> Value:
    return (_unit(arrays) - encoder.mean) / encoder.deviation


def _shape(arrays: Entered) -> tuple[int, int]:
    height, width = arrays["pixels"].shape[2:]
    return int(height), int(width)


def pixel_components(arrays: Entered, encoder: PixelComponents) -> Value:
    """The shrunken picture on its components."""
    small = area(_unit(arrays), _shape(arrays), (encoder.side, encoder.side))
    return (small.reshape(0, -1) - encoder.centre) @ encoder.components


def patch_dictionary(arrays: Entered, encoder: PatchDictionary) -> Value:
    """Roots of the pooled codes, on their components."""
    small = area(_unit(arrays), _shape(arrays), encoder.shape)
    codes = coded(small, encoder.codes, small.graph.constant(encoder.down), encoder.along)
    return softened(rooted(codes.reshape(0, -1)), encoder.components)


def gradients(arrays: Entered, encoder: Gradients) -> Value:
    """Histograms of the directions of edges, on their components."""
    pixels = _unit(arrays)
    wide = pixels.graph.op("Pad", pixels, np.array([0, 0, 1, 1, 0, 0, 1, 1]), mode="edge")
    inner, outer = wide.cut(2, 1, -1), wide.cut(3, 1, -1)
    across = inner.cut(3, 2) - inner.cut(3, 0, -2)
    down = outer.cut(2, 2) - outer.cut(2, 0, -2)
    square = across * across + down * down + FLAT
    even, mixed = (across * across - down * down) / square, across * down * 2.0 / square
    strength, parts = square.apply("Sqrt"), []
    for cosine, sine in encoder.turns.T.tolist():
        near = (even * cosine + mixed * sine).apply("Relu")
        parts.append((pixels.graph.op("Pow", near, np.float32(SHARP)) * strength).sum(1, keep=True))
    edges, found = pixels.graph.concat(*parts, axis=1), []
    for rows, columns in encoder.regions:
        told = pixels.graph.constant(rows) @ (edges @ columns.T.contiguous())
        length = (told * told).sum(1, keep=True).apply("Sqrt")
        faint = length.mean(2, 3, keep=True) * FAINT + DARK
        found += [one.reshape(0, -1) for one in (told, told / (length + faint))]
    return (pixels.graph.concat(*found, axis=1) - encoder.centre) @ encoder.components


def convnet(arrays: Entered, encoder: SmallConvNet) -> Value:
    """The mean over the places of the last maps."""
    return through(_standard(arrays, encoder), encoder.body).mean(2, 3)


def resnet(arrays: Entered, encoder: ResNet) -> Value:
    """The mean over the places of the last maps."""
    maps = through(_standard(arrays, encoder), encoder.stem).apply("Relu")
    if encoder.large:
        maps = maps.graph.op(
            "MaxPool", maps, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]
        )
    for block in encoder.blocks:
        shortcut = block.shortcut
        kept = maps if shortcut is None else through(maps, shortcut)  # type: ignore[arg-type]
        maps = (through(maps, block.body) + kept).apply("Relu")  # type: ignore[arg-type]
    return maps.mean(2, 3)


def wide_resnet(arrays: Entered, encoder: WideResNet) -> Value:
    """The mean over the places of the last maps."""
    maps = convolved(_standard(arrays, encoder), encoder.stem)
    for block in encoder.blocks:
        active = _active(maps, block.before)
        kept = active if block.first else maps
        if isinstance(block.shortcut, nn.Conv2d):
            kept = convolved(kept, block.shortcut)
        inner = _active(convolved(active, block.enter), block.between)  # type: ignore[arg-type]
        maps = kept + convolved(inner, block.leave)  # type: ignore[arg-type]
    return _active(maps, encoder.last).mean(2, 3)


def _active(maps: Value, norm: torch.Tensor | nn.Module) -> Value:
    """Batch normalisation by the running statistics, and leaky ReLU."""
    assert isinstance(norm, nn.Module)
    state = norm.state_dict()
    scale = state["weight"] * (state["variance"] + _EPSILON).rsqrt()
    normal = (maps - by_channel(state["mean"])) * by_channel(scale) + by_channel(state["bias"])
    return normal.graph.op("LeakyRelu", normal, alpha=_SLOPE)


def vit(arrays: Entered, encoder: VisionTransformer) -> Value:
    """The mean state of all patches."""
    entered, (height, width) = _standard(arrays, encoder), _shape(arrays)
    below, right = -height % encoder.patch, -width % encoder.patch
    if below or right:
        edges = np.array([0, 0, 0, 0, 0, 0, below, right])
        entered = entered.graph.op("Pad", entered, edges, mode="edge")
    project = encoder.embedding.project
    channels = encoder.config["channels"]
    # A linear layer over the pixels of a patch is a convolution with a stride as long as the patch.
    kernel = project.weight.reshape(-1, channels, encoder.patch, encoder.patch)
    side = [encoder.patch, encoder.patch]
    maps = entered.graph.op("Conv", entered, kernel, project.bias, kernel_shape=side, strides=side)
    states = maps.reshape(0, encoder.width, -1).transpose(0, 2, 1)
    states = states + encoder.positions(height, width)
    for block in encoder.blocks:
        states = _block(states, block)
    return normed(states, encoder.norm).mean(1)


def _block(states: Value, block: nn.Module) -> Value:
    """Self-attention, then a perceptron, each of what is normalised, and added."""
    if not isinstance(block, AttentionBlock):
        raise unsupported("layer", type(block).__name__)
    width = block.answered.in_features
    each = width // block.heads
    asked = linear(normed(states, block.before), block.asked)
    parts = asked.reshape(0, 0, 3, block.heads, each).transpose(2, 0, 3, 1, 4)
    query, key, value = (parts.cut(0, i, i + 1).squeeze(0) for i in range(3))
    states = states + linear(attended(query, key, value, each), block.answered)
    return states + through(normed(states, block.between), block.perceptron)


ENCODER_GRAPHS.add(PixelComponents.name, pixel_components)
ENCODER_GRAPHS.add(PatchDictionary.name, patch_dictionary)
ENCODER_GRAPHS.add(Gradients.name, gradients)
ENCODER_GRAPHS.add(SmallConvNet.name, convnet)
ENCODER_GRAPHS.add(WideResNet.name, wide_resnet)
for _kind in (ResNet, ResNet50):
    ENCODER_GRAPHS.add(_kind.name, resnet)
for _vit in (VisionTransformer, VisionTransformerTiny):
    ENCODER_GRAPHS.add(_vit.name, vit)
