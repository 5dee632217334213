"""Known labels that spread over whatever graph a batch brings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from leaven.data.arrays import Batch
from leaven.data.modality import Spec
from leaven.data.views.graph_ops import whole
from leaven.learn.choices.compose import composed
from leaven.learn.encoder import ENCODERS, Encoder
from leaven.learn.head import LinearHead
from leaven.learn.message_passing import adjacency
from leaven.learn.method import METHODS, Problem, Step
from leaven.learn.network import Network
from leaven.learn.objective import PseudoLabels

__all__ = ["GraphAnswers", "answering", "spread_once"]

Floats = npt.NDArray[np.float64]

_LEAST = 1e-6  # of every answer is shared out evenly


def answering(
    problem: Problem, method: str, settings: Mapping[str, Any], base: LinearHead | None = None
) -> Network:
    """The network in which a method that spreads labels over a given graph ends.

    It keeps the ids and labels of the problem's labelled nodes, and spreads them anew over the
    graph of each batch by `METHODS[method]` with these settings: its `scores(graph, seeds)`, and
    `probabilities(values, seeds)` of what they give. Held-out nodes and nodes that come later are
    so answered alike. With `base`, a head on the features of `graph-hops`, `scores` is given the
    probabilities of that one too.
    """
    encoder = GraphAnswers(
        inputs=problem.spec["width"],
        classes=problem.classes,
        labelled=len(problem.train),
        method=method,
        settings=dict(settings),
        base=base is not None,
    )
    if base is not None:
        known = np.sort(np.concatenate([problem.train, problem.unlabelled]))
        encoder.hops.prepare(problem.arrays, known, problem.seed)
        encoder.first.load_state_dict(base.state_dict())
    keys = problem.arrays["@key"][problem.arrays["node"][problem.train].astype(np.int64)]
    encoder.keys.copy_(torch.from_numpy(np.asarray(keys)))
    encoder.answers.copy_(torch.from_numpy(problem.targets[problem.train]))
    head = LinearHead(problem.classes, problem.classes).requires_grad_(False)
    head.weight.copy_(torch.eye(problem.classes))
    head.bias.zero_()
    return Network(encoder, head).eval()


def spread_once(problem: Problem, network: Network) -> Step:
    """The one step of such a fit: what the unlabelled nodes are taught."""
    assert isinstance(network.encoder, GraphAnswers)
    places = problem.unlabelled
    batch = problem.views.plain(problem.arrays.batch(places))
    guess = torch.from_numpy(network.encoder.probabilities(batch))[batch["node"]].float()
    weight, records = torch.ones(len(places)), torch.arange(len(places))
    return Step(1, 1, taught=PseudoLabels(records, guess, weight, guess.argmax(1)))


class GraphAnswers(Encoder):
    """The logarithms of what a method's spreading gives each class at a node, (batch, classes).

    A labelled node is known by a hash of its id; which of them are in the batch's graph is seen
    there. Frozen. Unless a method has filled it, it knows no label and says what an untrained
    base does.
    """

    name = "graph-answers"
    modality = "graph"
    summary = "labels spread over the graph"
    listed = False
    ready = True
    keys: Tensor
    answers: Tensor

    def __init__(
        self,
        inputs: int,
        classes: int = 2,
        labelled: int = 0,
        method: str = "correct-smooth",
        settings: Mapping[str, Any] | None = None,
        base: bool = True,
    ) -> None:
        given = dict(settings or {})
        super().__init__(
            inputs=inputs, classes=classes, labelled=labelled, method=method, settings=given,
            base=base,
        )  # fmt: skip
        self.width, self.based = classes, base
        self.method, self.settings = method, given
        self.register_buffer("keys", torch.zeros(labelled, dtype=torch.int64))
        self.register_buffer("answers", torch.zeros(labelled, dtype=torch.int64))
        if base:
            self.hops = ENCODERS["graph-hops"](inputs=inputs).requires_grad_(False)
            self.first = LinearHead(inputs, classes).requires_grad_(False)

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """As many inputs as the nodes have features."""
        return {"inputs": spec["width"]}

    @torch.no_grad()
    def enter(self, batch: Batch) -> Tensor:
        """(batch, classes) of the nodes asked for."""
        spread = torch.from_numpy(self.probabilities(batch)).log().float()
        return spread.to(batch["node"].device)[batch["node"]]

    def probabilities(self, batch: Batch) -> Floats:
        """(n, classes) of all nodes of the batch's graph, each of row sum one."""
        seeds = self._seeds(batch)
        method: Any = composed(METHODS[self.method], self.settings)
        graph = adjacency(batch)
        given = (self._base(batch),) if self.based else ()
        said: Floats = method.probabilities(method.scores(graph, seeds, *given).values, seeds)
        raised = said + _LEAST / self.width  # so that each has a logarithm
        shares: Floats = raised / raised.sum(1, keepdims=True)
        return shares

    def _seeds(self, batch: Batch) -> Floats:
        """(n, classes) one-hot at the nodes whose labels are known, else zero."""
        keys = batch["@key"].cpu().numpy()
        known, answers = self.keys.cpu().numpy(), self.answers.cpu().numpy()
        order = np.argsort(keys, kind="stable")
        place = np.minimum(np.searchsorted(keys[order], known), len(keys) - 1)
        node = order[place]
        there = keys[node] == known
        seeds = np.zeros((len(keys), self.width))
        seeds[node[there], answers[there]] = 1.0
        return seeds

    def _base(self, batch: Batch) -> Floats:
        """(n, classes) the base's probabilities of all nodes."""
        everyone = torch.arange(len(batch["@offsets"]), device=batch["node"].device)
        seen = self.hops(whole({**batch, "node": everyone}))
        said: Floats = self.first(seen).softmax(-1).cpu().numpy().astype(np.float64)
        return said


ENCODERS.add(GraphAnswers.name, GraphAnswers)
