"""A run on a graph's nodes: the graph that it answers for is frozen into what is exported.

The answers for the graph's own nodes are a table. A new node is answered by the encoder's pass
over the graph that it has joined, as `leaven predict` answers where it is given that graph; a
method that spreads labels has no such pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from leaven.core.errors import DataError, SettingError
from leaven.data.dataset import EDGES_SCHEMA, Dataset
from leaven.data.portable.nodes import NODE, RESERVED
from leaven.learn.adapt import adapters_of
from leaven.learn.predictor import Predictor
from leaven.operate.export.encoder_kinds import ENCODER_GRAPHS
from leaven.operate.export.graph import Graph, Value
from leaven.operate.export.passing import Frozen, Joined

__all__ = ["answered", "as_new", "joined_by", "nodes_of", "own", "reading", "takes_new"]


def nodes_of(predictor: Predictor, dataset: Dataset | None) -> Dataset | None:
    """The graph that a model of a graph's nodes answers for; None for other models.

    Raises DataError where it is not at hand.
    """
    if predictor.front.modality != "graph":
        return None
    if dataset is None:
        raise DataError(
            "What is exported of a run on a graph holds the graph, and it is not where it was. "
            "Say with --data where it is."
        )
    return dataset


def takes_new(predictor: Predictor) -> bool:
    """Whether what is exported answers for nodes that are not in its graph."""
    encoder = predictor.network.encoder
    return encoder.name in ENCODER_GRAPHS and not adapters_of(encoder)


def answered(
    graph: Graph, predictor: Predictor, dataset: Dataset, said: Callable[[Value], Value]
) -> Value:
    """(n, k) probabilities of the nodes at the places that are given.

    Parameters
    ----------
    said : probabilities of features.
    """
    node = graph.input(NODE, np.int64, ["n"])
    kept, known = predictor.predict(dataset)
    if len(kept) != len(dataset):
        raise DataError("a node of the graph cannot be read.")
    table = graph.constant(known)
    if not takes_new(predictor):
        return table.take(node, exact=True)
    encoder, width = predictor.network.encoder, int(predictor.front.spec["width"])
    arrays, _ = predictor.front.decode(dataset)
    joined = Joined(
        Frozen.of(arrays, width),
        graph.input("features", np.float32, [1, width]),
        graph.input("neighbours", np.int64, ["d"]),
        graph.input("strength", np.float32, ["d"]),
    )
    new = said(ENCODER_GRAPHS[encoder.name](joined, encoder))
    return graph.concat(table, new, axis=0).take(node)


def reading(predictor: Predictor, dataset: Dataset) -> dict[str, Any]:
    """What `portable.decoding` must know of the graph besides the spec of its nodes.

    Raises SettingError where a column has a name by which a request means something else.
    """
    taken = sorted({column.name for column in dataset.columns} & set(RESERVED))
    if taken:
        raise SettingError(
            "run", "one whose model can be exported", taken[0],
            f"No column of a graph's nodes may be called {', '.join(RESERVED)}: rename it and fit "
            "again.",
        )  # fmt: skip
    return {"ids": dataset.ids.tolist(), "new": takes_new(predictor)}


def own(dataset: Dataset) -> list[dict[str, Any]]:
    """Each node as a request asks for it."""
    return [{NODE: name} for name in dataset.ids.tolist()]


def as_new(dataset: Dataset, place: int, cells: dict[str, Any]) -> dict[str, Any]:
    """A copy of a node as a request gives a new one: its cells, and who its neighbours are."""
    others, weights = _around(dataset, place)
    names = dataset.ids[others].tolist()
    return {**cells, "neighbours": names, "weights": weights.tolist()}


def joined_by(dataset: Dataset, place: int) -> Dataset:
    """The graph with a copy of a node behind all others."""
    size = len(dataset)
    both = replace(dataset, edges=None).select(np.append(np.arange(size), place))
    others, weights = _around(dataset, place)
    more = pa.table([others, np.full(len(others), size), weights], schema=EDGES_SCHEMA)
    return replace(
        both,
        ids=np.append(dataset.ids, f"{dataset.ids[place]} again"),
        edges=pa.concat_tables([dataset.edges, more]),
    )


def _around(dataset: Dataset, place: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Places of a node's neighbours, and the weights of the edges to them."""
    edges = dataset.edges
    assert edges is not None
    one, other, weight = (edges[n].to_numpy() for n in ("source", "target", "weight"))
    from_here, to_here = one == place, other == place
    others = np.concatenate([other[from_here], one[to_here]])
    return others, np.concatenate([weight[from_here], weight[to_here]])
