"""Encoders of vectors."""

from __future__ import annotations

from leaven.learn.models.inner_states import InnerStates
from leaven.learn.models.mlp import MLP
from leaven.learn.models.standardised import Standardised
from leaven.operate.export.encoder_kinds import ENCODER_GRAPHS, Entered
from leaven.operate.export.graph import Value
from leaven.operate.export.layers import through

__all__ = ["inner_states", "mlp", "standardised"]


def standardised(arrays: Entered, encoder: Standardised) -> Value:
    """Centred, of unit length."""
    return (arrays["features"] - encoder.centre).unit()


def inner_states(arrays: Entered, encoder: InnerStates) -> Value:
    """Standardised."""
    return (arrays["inner"] - encoder.centre) * encoder.scale


def mlp(arrays: Entered, encoder: MLP) -> Value:
    """Standardised, and the hidden layer beside."""
    entered = (arrays["features"] - encoder.centre) / encoder.scale
    return entered.graph.concat(entered, through(entered, encoder.body), axis=1)


ENCODER_GRAPHS.add(Standardised.name, standardised)
ENCODER_GRAPHS.add(InnerStates.name, inner_states)
ENCODER_GRAPHS.add(MLP.name, mlp)
