"""A kernel machine as a head: how like the landmarks a record is, then one matrix."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from leaven.core.errors import SettingError
from leaven.learn.head import HEADS, Head

__all__ = ["KernelHead"]


class KernelHead(Head):
    """Features to outputs, k(x, landmark) · coefficients + bias.

    `kernel` is "rbf", exp(-gamma |x - z|²), or "poly", (gamma x·z + 1)^degree. Buffers: `landmarks`
    (m, width), `coefficients` (m, classes), `bias` (classes,).
    """

    kind = "kernel"
    landmarks: Tensor
    coefficients: Tensor
    bias: Tensor

    def __init__(
        self, landmarks: int, width: int, classes: int, kernel: str, gamma: float, degree: int
    ) -> None:
        super().__init__()
        if kernel not in ("rbf", "poly"):
            raise SettingError("kernel", "rbf or poly", kernel)
        self.kernel, self.gamma, self.degree = kernel, gamma, degree
        self.register_buffer("landmarks", torch.zeros(landmarks, width))
        self.register_buffer("coefficients", torch.zeros(landmarks, classes))
        self.register_buffer("bias", torch.zeros(classes))

    @property
    def config(self) -> dict[str, Any]:
        """Sizes of the buffers, and the kernel."""
        landmarks, width = self.landmarks.shape
        sizes = {"landmarks": landmarks, "width": width, "classes": self.outputs}
        return {**sizes, "kernel": self.kernel, "gamma": self.gamma, "degree": self.degree}

    @property
    def outputs(self) -> int:
        """The number of classes."""
        return self.coefficients.shape[1]

    def forward(self, features: Tensor) -> Tensor:
        """(batch, classes)."""
        features, marks = features.float(), self.landmarks
        if self.kernel == "rbf":
            centre = marks.mean(0)  # differences of large numbers would lose their digits
            apart = torch.cdist(features - centre, marks - centre).square()
            like = (-self.gamma * apart).exp()
        else:
            like = (self.gamma * features @ marks.T + 1) ** self.degree
        return like @ self.coefficients + self.bias


HEADS.add(KernelHead.kind, KernelHead)
