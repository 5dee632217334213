"""Encoders of a graph's nodes: of one new node among them, (1, width)."""

from __future__ import annotations

from leaven.learn.models.appnp import APPNP
from leaven.learn.models.gat import GAT
from leaven.learn.models.gcn import GCN
from leaven.learn.models.grand import Grand
from leaven.learn.models.graph_hops import GraphHops
from leaven.operate.export.encoder_kinds import ENCODER_GRAPHS
from leaven.operate.export.graph import Value
from leaven.operate.export.passing import Joined

__all__ = ["appnp", "gat", "gcn", "grand", "hops"]

_SLOPE = 0.2  # as `GAT` has it


def gcn(nodes: Joined, encoder: GCN) -> Value:
    """Two convolutions."""
    first, last = nodes.rounds(2)
    hidden = nodes.spread(nodes.projected(encoder.first), first) + encoder.bias
    return nodes.new(nodes.spread(hidden.apply("Relu"), last))


def grand(nodes: Joined, encoder: Grand) -> Value:
    """The mean over all hops, and the nonlinearity."""
    power = nodes.projected(encoder.first)
    total = nodes.new(power)
    for along in nodes.rounds(encoder.hops):
        power = nodes.spread(power, along)
        total = total + nodes.new(power)
    return (total / float(encoder.hops + 1) + encoder.bias).apply("Relu")


def appnp(nodes: Joined, encoder: APPNP) -> Value:
    """A hidden layer, spread by personalised PageRank."""
    hidden = (nodes.projected(encoder.first) + encoder.bias).apply("Relu")
    back, spread = hidden * float(encoder.restart), hidden
    for along in nodes.rounds(encoder.hops):
        spread = nodes.spread(spread, along) * float(1 - encoder.restart) + back
    return nodes.new(spread)


def gat(nodes: Joined, encoder: GAT) -> Value:
    """Two layers of attention."""
    first, last = nodes.rounds(2)
    values = nodes.projected(encoder.first)
    hidden = nodes.attended(values, encoder.own, encoder.other, _SLOPE, first) + encoder.bias
    hidden = hidden.apply("Elu")
    return nodes.new(nodes.attended(hidden, encoder.last_own, encoder.last_other, _SLOPE, last))


def hops(nodes: Joined, encoder: GraphHops) -> Value:
    """Smoothed features, centred, of unit length."""
    values = nodes.dense()
    for along in nodes.rounds(encoder.hops):
        values = nodes.spread(values, along)
    return (nodes.new(values) - encoder.centre).unit()


ENCODER_GRAPHS.add(GCN.name, gcn)
ENCODER_GRAPHS.add(GAT.name, gat)
ENCODER_GRAPHS.add(Grand.name, grand)
ENCODER_GRAPHS.add(APPNP.name, appnp)
ENCODER_GRAPHS.add(GraphHops.name, hops)
