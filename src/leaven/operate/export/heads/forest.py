"""Forests of decision trees, by the operator that ONNX has for them."""

from __future__ import annotations

import numpy as np

from leaven.learn.heads.forest import ForestHead
from leaven.operate.export.graph import Value
from leaven.operate.export.head_kinds import HEAD_GRAPHS

__all__ = ["forest"]

_FLOOR = 1e-7  # as `ForestHead` has it


def forest(features: Value, head: ForestHead) -> Value:
    """The logarithm of the trees' mean leaf probabilities.

    A leaf is a node that leads to itself. Ids of nodes count within their tree.
    """
    left, right = head.left.numpy().astype(np.int64), head.right.numpy().astype(np.int64)
    nodes = np.arange(len(left))
    leaf = left == nodes
    roots = head.roots.numpy().astype(np.int64)
    tree = np.searchsorted(roots, nodes, side="right") - 1
    own = nodes - roots[tree]
    shares = head.probabilities.numpy()[head.row.numpy()[leaf]]  # (leaves, classes)
    at, kind = np.nonzero(shares)
    leaves = nodes[leaf]
    branch = np.where(leaf, 0, 1)
    mean = features.graph.op(
        "TreeEnsembleRegressor",
        features,
        domain="ai.onnx.ml",
        n_targets=head.outputs,
        aggregate_function="SUM",
        nodes_treeids=tree.tolist(),
        nodes_nodeids=own.tolist(),
        nodes_featureids=head.feature.tolist(),
        nodes_values=head.threshold.tolist(),
        nodes_modes=["BRANCH_LEQ" if one else "LEAF" for one in branch],
        nodes_truenodeids=(np.where(leaf, 0, left - roots[tree])).tolist(),
        nodes_falsenodeids=(np.where(leaf, 0, right - roots[tree])).tolist(),
        target_treeids=tree[leaves[at]].tolist(),
        target_nodeids=own[leaves[at]].tolist(),
        target_ids=kind.tolist(),
        target_weights=(shares[at, kind] / len(roots)).tolist(),
    )
    return ((mean + _FLOOR) / (1 + _FLOOR * head.outputs)).apply("Log")


HEAD_GRAPHS.add(ForestHead.kind, forest)
