"""What every fit ends in: an encoder and a head, saved without pickle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from leaven.core.errors import RunError, SettingError
from leaven.core.files import first_digest, read_bytes, write_bytes
from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.data.modality import MODALITIES
from leaven.learn.adapt import adapters_of, add_adapters
from leaven.learn.encoder import ENCODERS, Encoder, encode
from leaven.learn.head import HEADS, Head
from leaven.learn.remembered import fixed
from leaven.learn.tensor_file import load_tensors, save_tensors

__all__ = ["FORMAT", "Network", "View"]

#: A batch as an encoder is to see it.
View = Callable[[Batch], Batch]

_BLOCK = 1024  # records whose features a head is shown at once

#: Counts up when a saved model's files change meaning.
FORMAT = 1


class Network(nn.Module):
    """An encoder and a head: a view in, (batch, k) outputs out.

    In training the head is not shown a share `dropout` of the features, and what is `held` stays
    in evaluation mode.
    """

    def __init__(
        self,
        encoder: Encoder,
        head: Head,
        dropout: float = 0.0,
        held: tuple[nn.Module, ...] = (),
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.dropout = dropout
        self.held = held

    def enter(self, batch: Batch) -> Tensor:
        """(batch, …) a view as the real numbers that `Encoder.represent` reads."""
        return self.encoder.enter(batch)

    def forward(self, view: Batch | Tensor, features: bool = False) -> Any:
        """(batch, k) outputs of a view, or of what has entered; with `features` those as well.

        With `features` a pair: outputs (batch, k), and features (batch, width), all of them.
        """
        entered = view if isinstance(view, Tensor) else self.encoder.enter(view)
        seen = self.encoder.represent(entered)
        shown = F.dropout(seen, self.dropout, self.training) if self.dropout else seen
        output = self.head(shown)
        return (output, seen) if features else output

    def train(self, mode: bool = True) -> Network:
        """As any module; what is held stays in evaluation mode."""
        super().train(mode)
        for module in self.held:
            module.eval()
        return self

    def logits(
        self, arrays: Arrays, index: Index | None = None, view: View | None = None
    ) -> np.ndarray[Any, Any]:
        """(n, k) float64 outputs of whole records, in evaluation mode; (0, 0) of none.

        `view` makes of a batch what is looked at; by default the records unchanged.
        """
        rows = np.arange(len(arrays)) if index is None else index
        kept = arrays.remembered is not None and not arrays.shared
        if view is None and kept and fixed(self.encoder):
            return self._of_features(arrays, rows)
        view = view or MODALITIES[self.encoder.modality].plain
        return encode(self, arrays, rows, view).astype(np.float64)

    @torch.inference_mode()
    def _of_features(self, arrays: Arrays, rows: Index) -> np.ndarray[Any, Any]:
        """The same by way of features, which may be remembered."""
        features = encode(self.encoder, arrays, rows, MODALITIES[self.encoder.modality].plain)
        device = next(iter([*self.parameters(), *self.buffers()])).device
        was_training = self.training
        self.eval()
        parts = [
            self.head(torch.from_numpy(np.ascontiguousarray(part)).to(device)).float().cpu().numpy()
            for part in np.array_split(features, max(1, -(-len(features) // _BLOCK)))
            if len(part)
        ]
        self.train(was_training)
        return np.concatenate(parts or [np.zeros((0, 0))]).astype(np.float64)

    def save(self, folder: Path) -> None:
        """Write `model.safetensors` and `model.json`; the description comes last."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: t.detach().cpu().contiguous() for name, t in self.state_dict().items()}
        save_tensors(folder / "model.safetensors", state)
        described: dict[str, Any] = {
            "format": FORMAT,
            "sha256": first_digest(folder / "model.safetensors"),
            "encoder": {"name": self.encoder.name, "config": self.encoder.config},
            "head": {"kind": self.head.kind, "config": self.head.config},
        }
        if adapters := adapters_of(self.encoder):
            described["encoder"]["adapters"] = adapters
        write_bytes(folder / "model.json", json.dumps(described, indent=1).encode())

    @classmethod
    def load(cls, folder: Path) -> Network:
        """Read what `save` wrote; RunError when it is missing or damaged."""
        try:
            described = json.loads(read_bytes(folder / "model.json"))
            if described["format"] != FORMAT:
                raise ValueError(f"its format is {described['format']}, this Leaven reads {FORMAT}")
            if described["sha256"] != first_digest(folder / "model.safetensors"):
                raise ValueError("model.safetensors is not the file that was saved")
            encoder = ENCODERS[described["encoder"]["name"]](**described["encoder"]["config"])
            add_adapters(encoder, described["encoder"].get("adapters", ()))
            head = HEADS[described["head"]["kind"]](**described["head"]["config"])
            network = cls(encoder, head)
            network.load_state_dict(load_tensors(folder / "model.safetensors"))
        except (
            OSError, ValueError, LookupError, TypeError, RuntimeError, SettingError,
            SafetensorError,
        ) as broken:  # fmt: skip
            raise RunError(
                f"No usable model in '{folder}': {broken}. Fit again, or restore the folder."
            ) from broken
        return network.eval()
