"""The whole state of a training, as one file that a killed process can go on from."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

from leaven.core.errors import RunError, SealedError
from leaven.core.files import reading
from leaven.learn.network import Network
from leaven.learn.tensor_file import save_tensors

__all__ = ["TrainState"]


class TrainState:
    """Network, averaged network, optimiser, objective's state, and how many steps are done.

    Every random draw of step t is a function of the seed and t, so there is no generator and no
    sampler to save: the step's number is enough, and resuming is exact.
    """

    def __init__(
        self,
        network: Network,
        optimiser: torch.optim.Optimizer,
        objective: nn.Module | None,
        total: int,
    ) -> None:
        self.network = network
        self.average = copy.deepcopy(network).requires_grad_(False).eval()
        self.optimiser = optimiser
        self.objective = objective
        self.step = 0
        self.split = 1  # parts that each batch is computed in, more where memory does not suffice
        self.total = total
        self.note: dict[str, Any] = {}  # what the consumer of the steps wants kept, as JSON

    def update_average(self, decay: float) -> None:
        """Move the average towards the weights; early on faster, or it would lag at the start."""
        decay = min(decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
            moving = [(a, w) for a, w in pairs if w.requires_grad]
            torch._foreach_lerp_([a for a, _ in moving], [w.data for _, w in moving], 1 - decay)
            for a, w in zip(self.average.buffers(), self.network.buffers(), strict=True):
                a.copy_(w)

    def save(self, path: Path) -> None:
        """Write all of it beside `path` and then rename, so that a kill leaves old or new."""
        tensors: dict[str, torch.Tensor] = {}
        for part, module in self._modules().items():
            for name, tensor in module.state_dict().items():
                tensors[f"{part}.{name}"] = tensor
        groups = self.optimiser.state_dict()
        for number, values in groups["state"].items():
            for name, value in values.items():
                tensors[f"optimiser.{number}.{name}"] = torch.as_tensor(value)
        meta = {
            "step": self.step,
            "total": self.total,
            "split": self.split,
            "note": self.note,
        }
        copied = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
        save_tensors(path, copied, {"leaven": json.dumps(meta)}, durable=True)

    def load(self, path: Path) -> None:
        """Take over what `save` wrote. RunError when the file is damaged."""
        try:
            with reading(path) as plain, safe_open(plain, "pt") as file:
                meta = json.loads(file.metadata()["leaven"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            for part, module in self._modules().items():
                start = f"{part}."
                own = {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}
                module.load_state_dict(own)
            described = self.optimiser.state_dict()
            described["state"] = {}
            for name, tensor in tensors.items():
                if name.startswith("optimiser."):
                    _, number, key = name.split(".", 2)
                    described["state"].setdefault(int(number), {})[key] = tensor
            self.optimiser.load_state_dict(described)
        except SealedError:
            raise
        except Exception as broken:
            raise RunError(
                f"The checkpoint '{path}' cannot be read: {broken}. "
                "Delete it to begin this stage anew."
            ) from broken
        self.step, self.total, self.note = meta["step"], meta["total"], meta["note"]
        self.split = meta["split"]

    def _modules(self) -> dict[str, nn.Module]:
        modules: dict[str, nn.Module] = {"network": self.network, "average": self.average}
        if self.objective is not None:
            modules["objective"] = self.objective
        return modules
