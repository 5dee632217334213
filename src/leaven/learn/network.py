"""What every fit ends in: an encoder and a head, saved without pickle."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from leaven.core.errors import RunError
from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import MODALITIES
from leaven.learn.encoder import ENCODERS, Encoder, encode

__all__ = ["FORMAT", "LinearHead", "NeighbourHead", "Network", "NormalisedHead"]


class LinearHead(nn.Linear):
    """Features to outputs by one matrix."""

    kind = "linear"

    @property
    def config(self) -> dict[str, int]:
        """What rebuilds it."""
        return {"in_features": self.in_features, "out_features": self.out_features}

    @property
    def outputs(self) -> int:
        """The number of classes."""
        return self.out_features


class NormalisedHead(LinearHead):
    """Each feature brought to mean 0 and variance 1, then one matrix.

    In training by the mean and variance of the batch (batch normalisation, Ioffe & Szegedy 2015,
    arXiv:1502.03167, without its scale and offset, which the matrix holds), else by those of
    `norm`. One record alone has no variance: `norm` serves it in training as well.
    """

    kind = "normalised"

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.norm = nn.BatchNorm1d(in_features, affine=False)

    def forward(self, features: Tensor) -> Tensor:
        """(batch, classes)."""
        if self.training and len(features) == 1:
            norm = self.norm
            return super().forward(F.batch_norm(features, norm.running_mean, norm.running_var))
        return super().forward(self.norm(features))


class NeighbourHead(nn.Module):
    """Features to log-probabilities by the nearest of the reference records.

    The inductive step of label propagation (Delalleau, Bengio & Le Roux 2005): a new record
    takes the weighted mean of its `k` nearest references' class scores, with the self-tuning
    weights of the graph the scores were spread on.

    Buffers: `reference` (m, width) features, `scale` (m,) distance to each one's k-th
    neighbour, `scores` (m, classes) of row sum 1.
    """

    kind = "neighbours"
    reference: Tensor
    scale: Tensor
    scores: Tensor

    def __init__(self, references: int, width: int, classes: int, k: int) -> None:
        super().__init__()
        self.config = {"references": references, "width": width, "classes": classes, "k": k}
        self.k, self.outputs = k, classes
        self.register_buffer("reference", torch.zeros(references, width))
        self.register_buffer("scale", torch.ones(references))
        self.register_buffer("scores", torch.zeros(references, classes))

    def forward(self, features: Tensor) -> Tensor:
        """(batch, classes) log-probabilities."""
        distance = torch.cdist(features.float(), self.reference)  # (batch, references)
        near = distance.topk(min(self.k, len(self.reference)), dim=-1, largest=False)
        own = near.values[:, -1:].clamp_min(1e-6)
        weights = (-near.values.square() / (own * self.scale[near.indices])).softmax(-1)
        mixed = (weights.unsqueeze(-1) * self.scores[near.indices]).sum(1)
        floor = 1e-4  # a class no neighbour has seen is unlikely, not impossible
        return ((mixed + floor) / (1 + floor * mixed.shape[-1])).log()


#: Counts up when a saved model's files change meaning.
FORMAT = 1

_HEADS: dict[str, type[LinearHead] | type[NeighbourHead]] = {
    head.kind: head for head in (LinearHead, NormalisedHead, NeighbourHead)
}


class Network(nn.Module):
    """An encoder and a head: a view in, (batch, k) outputs out."""

    def __init__(self, encoder: Encoder, head: LinearHead | NeighbourHead) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def enter(self, batch: Batch) -> Tensor:
        """(batch, …) a view as the real numbers that `Encoder.represent` reads."""
        return self.encoder.enter(batch)

    def forward(self, view: Batch | Tensor, features: bool = False) -> Any:
        """(batch, k) outputs of a view, or of what has entered; with `features` those as well.

        With `features` a pair: outputs (batch, k), and features (batch, width).
        """
        entered = view if isinstance(view, Tensor) else self.encoder.enter(view)
        seen = self.encoder.represent(entered)
        output = self.head(seen)
        return (output, seen) if features else output

    def logits(self, arrays: Arrays, index: Index | None = None) -> np.ndarray[Any, Any]:
        """(n, k) float64 outputs of whole records, in evaluation mode; (0, 0) of none."""
        rows = np.arange(len(arrays)) if index is None else index
        plain = MODALITIES[self.encoder.modality].plain
        return encode(self, arrays, rows, plain).astype(np.float64)

    def save(self, folder: Path) -> None:
        """Write `model.safetensors` and `model.json`; the description comes last."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: t.detach().cpu().contiguous() for name, t in self.state_dict().items()}
        save_file(state, folder / "model.safetensors")
        described = {
            "format": FORMAT,
            "sha256": _digest(folder / "model.safetensors"),
            "encoder": {"name": self.encoder.name, "config": self.encoder.config},
            "head": {"kind": self.head.kind, "config": self.head.config},
        }
        partial = folder / "model.json.part"
        partial.write_text(json.dumps(described, indent=1))
        os.replace(partial, folder / "model.json")

    @classmethod
    def load(cls, folder: Path) -> Network:
        """Read what `save` wrote; RunError when it is missing or damaged."""
        try:
            described = json.loads((folder / "model.json").read_text())
            if described["format"] != FORMAT:
                raise ValueError(f"its format is {described['format']}, this Leaven reads {FORMAT}")
            if described["sha256"] != _digest(folder / "model.safetensors"):
                raise ValueError("model.safetensors is not the file that was saved")
            encoder = ENCODERS[described["encoder"]["name"]](**described["encoder"]["config"])
            head = _HEADS[described["head"]["kind"]](**described["head"]["config"])
            network = cls(encoder, head)
            network.load_state_dict(load_file(folder / "model.safetensors"))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as broken:
            raise RunError(
                f"No usable model in '{folder}': {broken}. Fit again, or restore the folder."
            ) from broken
        return network.eval()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
