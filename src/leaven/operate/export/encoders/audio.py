"""Encoders of sounds: log-mel (n, frames, mels), and how many frames there are (n,)."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from leaven.learn.cepstra import CepstraOfParts
from leaven.learn.models.mel_cnn import MelCNN, TinyMelCNN
from leaven.learn.models.mel_components import MelComponents
from leaven.learn.models.mel_patches import MelPatches
from leaven.operate.export.codes import averages, coded, rooted, softened
from leaven.operate.export.encoder_kinds import ENCODER_GRAPHS, Entered
from leaven.operate.export.graph import Value
from leaven.operate.export.layers import through

__all__ = ["cnn", "components", "patches"]

_BANDS, _PATCH = 2, 8  # as `MelPatches` has them


def components(arrays: Entered, encoder: MelComponents) -> Value:
    """Cepstra of the parts, standardised, on their components."""
    told = _cepstra(arrays["mel"], _there(arrays), encoder.cepstra)
    return ((told - encoder.centre) / encoder.deviation) @ encoder.components


def patches(arrays: Entered, encoder: MelPatches) -> Value:
    """Components of the cepstra, and of codes of patches."""
    mel, there = arrays["mel"], _there(arrays)
    graph = mel.graph
    parts = _equal_parts(mel, there, encoder.cepstra.parts)
    parts = parts / parts.sum(2, keep=True).clip(1e-6)
    codes = coded(_map(mel, there), encoder.codes, parts.unsqueeze(1), encoder.regions)
    spoken = softened(_cepstra(mel, there, encoder.cepstra), encoder.spoken)
    seen = softened(rooted(codes.reshape(0, -1)), encoder.seen)
    return graph.concat(spoken, seen, axis=1) * encoder.shares


def cnn(arrays: Entered, encoder: MelCNN) -> Value:
    """Mean and largest value over time of the last maps' mean over the bands."""
    mel = arrays["mel"]
    graph, there = mel.graph, _there(arrays).cast(np.float32)
    scaled = (mel - encoder.mean) / encoder.deviation * there.unsqueeze(2)
    shown = graph.op("Expand", there.unsqueeze(2), graph.op("Shape", mel))
    entered = graph.concat(scaled.unsqueeze(1), shown.unsqueeze(1), axis=1)
    states = through(entered, encoder.body).mean(3)
    frames = int(mel.shape[1])
    share = (there @ averages(frames, _places(frames, encoder)).T.copy()).unsqueeze(1)
    heard = states * share
    mean = heard.sum(2) / share.sum(2).clip(1e-4)
    return graph.concat(mean, heard.max(2), axis=1)


def _places(frames: int, encoder: MelCNN) -> int:
    """How many places in time the last maps have."""
    for layer in encoder.body.modules():
        if isinstance(layer, nn.Conv2d):
            size, stride, edge = layer.kernel_size[0], layer.stride[0], int(layer.padding[0])
            frames = (frames + 2 * edge - size) // stride + 1
    return frames


def _there(arrays: Entered) -> Value:
    """(n, frames) whether there is a frame."""
    mel, length = arrays["mel"], arrays["length"]
    place = np.arange(int(mel.shape[1]))
    return mel.graph.op("Greater", length.unsqueeze(1), place)


def _equal_parts(mel: Value, there: Value, parts: int) -> Value:
    """(n, parts, frames) how much of a frame's loudness each part has, see `cepstra`."""
    graph = mel.graph
    level = mel.mean(2)
    quiet = graph.where(there, level, np.float32(np.inf)).min(1, keep=True)
    over = level - quiet
    loud = (over * over + 1e-3) * there.cast(np.float32)
    after = graph.op("CumSum", loud, np.int64(1))
    before, whole = after - loud, after.cut(1, -1)
    shares = []
    for first, last in itertools.pairwise(torch.linspace(0, 1, parts + 1).tolist()):
        end, start = graph.op("Min", after, whole * last), graph.op("Max", before, whole * first)
        shares.append((end - start).clip(0.0).unsqueeze(1))
    return graph.concat(*shares, axis=1)


def _cepstra(mel: Value, there: Value, told: CepstraOfParts) -> Value:
    """(n, width) see `CepstraOfParts`."""
    graph, weight = mel.graph, there.cast(np.float32)
    cepstra = mel @ told.cosines
    whole = weight.unsqueeze(1)
    mean = _mean(cepstra, whole)  # (n, 1, cepstra)
    parts = _mean(cepstra, _equal_parts(mel, there, told.parts))
    means = graph.concat(parts.cut(2, 0, 1) - mean.cut(2, 0, 1), parts.cut(2, 1), axis=2)
    off = cepstra - mean
    spread = _mean(off * off, whole).apply("Sqrt")
    step = cepstra.cut(1, 1) - cepstra.cut(1, 0, -1)
    moved = _mean(step * step, whole.cut(2, 1)).apply("Sqrt")
    return graph.concat(means, spread, moved, axis=1).reshape(0, -1)


def _mean(values: Value, weights: Value) -> Value:
    """(n, parts, width) weighted means over time of values (n, frames, width)."""
    return (weights @ values) / weights.sum(2, keep=True).clip(1e-6)


def _map(mel: Value, there: Value) -> Value:
    """(n, 1, frames + 7, columns) half as many bands; the ends go on as silence."""
    graph, inside = mel.graph, there.unsqueeze(2)
    quiet = graph.where(inside, mel, np.float32(np.inf)).min(1, 2, keep=True)
    heard = graph.where(inside, mel, quiet)
    halved = heard @ _bands(int(mel.shape[2]))
    before = _PATCH // 2
    edges = np.array([0, 0, before, 0, 0, 0, _PATCH - 1 - before, 0])
    return graph.op("Pad", halved.unsqueeze(1), edges, mode="edge")


def _bands(mels: int) -> npt.NDArray[np.float32]:
    """(mels, columns) the means of neighbouring bands; an odd one is a column of its own."""
    columns = -(-mels // _BANDS)
    found = np.zeros((mels, columns), np.float32)
    found[np.arange(mels), np.arange(mels) // _BANDS] = 1
    found /= found.sum(0)
    return found


ENCODER_GRAPHS.add(MelComponents.name, components)
ENCODER_GRAPHS.add(MelPatches.name, patches)
for _kind in (MelCNN, TinyMelCNN):
    ENCODER_GRAPHS.add(_kind.name, cnn)
