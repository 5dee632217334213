"""A forest of decision trees as flat tables of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from leaven.learn.head import HEADS, Head

__all__ = ["ForestHead"]

#: What a class has at least, so that its logarithm is a number.
_FLOOR = 1e-7


class ForestHead(Head):
    """Features to the logarithm of the trees' mean leaf probabilities.

    The nodes of all trees stand in one list. Buffers: `feature` (nodes,) the column that a node
    compares, `threshold` (nodes,), `left` and `right` (nodes,) where to go on if it is at most
    the threshold or above, the node itself at a leaf, `row` (nodes,) a leaf's row in
    `probabilities` (leaves, classes), `roots` (trees,). No tree is deeper than `depth`.
    """

    kind = "forest"
    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    row: Tensor
    probabilities: Tensor
    roots: Tensor

    def __init__(self, trees: int, nodes: int, leaves: int, classes: int, depth: int) -> None:
        super().__init__()
        self.depth = depth
        for name in ("feature", "left", "right", "row"):
            self.register_buffer(name, torch.zeros(nodes, dtype=torch.int32))
        self.register_buffer("threshold", torch.zeros(nodes))
        self.register_buffer("probabilities", torch.zeros(leaves, classes))
        self.register_buffer("roots", torch.zeros(trees, dtype=torch.int32))

    @classmethod
    def of(cls, fitted: Any, classes: int) -> ForestHead:
        """Of a fitted RandomForestClassifier or ExtraTreesClassifier.

        Its `classes_` are numbers below `classes`; the others have probability zero.
        """
        trees = [one.tree_ for one in fitted.estimators_]
        sizes = [tree.node_count for tree in trees]
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        left = np.concatenate([t.children_left + s for t, s in zip(trees, starts, strict=True)])
        right = np.concatenate([t.children_right + s for t, s in zip(trees, starts, strict=True)])
        leaf = np.concatenate([t.children_left < 0 for t in trees])
        nodes = np.arange(len(leaf))
        shares = np.concatenate([t.value[:, 0, :] for t in trees])[leaf]
        probabilities = np.zeros((len(shares), classes))
        probabilities[:, fitted.classes_] = shares / shares.sum(1, keepdims=True)
        depth = max(int(tree.max_depth) for tree in trees)
        head = cls(len(trees), len(leaf), len(shares), classes, depth)
        given = {
            "feature": np.where(leaf, 0, np.concatenate([t.feature for t in trees])),
            "left": np.where(leaf, nodes, left),
            "right": np.where(leaf, nodes, right),
            "row": np.where(leaf, np.cumsum(leaf) - 1, 0),
            "threshold": np.where(leaf, 0, _below(np.concatenate([t.threshold for t in trees]))),
            "probabilities": probabilities,
            "roots": starts,
        }
        for name, value in given.items():
            buffer: Tensor = getattr(head, name)
            buffer.copy_(torch.from_numpy(np.ascontiguousarray(value)))
        return head

    @property
    def config(self) -> dict[str, Any]:
        """Sizes of the buffers."""
        leaves, classes = self.probabilities.shape
        return {
            "trees": len(self.roots),
            "nodes": len(self.feature),
            "leaves": leaves,
            "classes": classes,
            "depth": self.depth,
        }

    @property
    def outputs(self) -> int:
        """The number of classes."""
        return self.probabilities.shape[1]

    def forward(self, features: Tensor) -> Tensor:
        """(batch, classes) log-probabilities: all trees go down one level at a time."""
        at = self.roots.expand(len(features), -1)  # (batch, trees)
        for _ in range(self.depth):
            value = features.float().gather(1, self.feature[at].long())
            at = torch.where(value <= self.threshold[at], self.left[at], self.right[at])
        mean = self.probabilities[self.row[at]].mean(1)
        return ((mean + _FLOOR) / (1 + _FLOOR * self.outputs)).log()


def _below(threshold: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """The largest float32 that is not above, so that a float32 is compared as before."""
    near = threshold.astype(np.float32)
    lower = np.nextafter(near, np.float32(-np.inf))
    return np.where(near > threshold, lower, near)


HEADS.add(ForestHead.kind, ForestHead)
