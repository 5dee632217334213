"""A text transformer from elsewhere that was trained on: tokens (n, any) of its own."""

from __future__ import annotations

import numpy as np

from leaven.data.words import MASK
from leaven.learn.models.subword_transformer import SubwordTransformer
from leaven.operate.export.encoder_kinds import ENCODER_GRAPHS, Entered
from leaven.operate.export.families import places, transformed, vectors, written
from leaven.operate.export.graph import Value
from leaven.operate.export.token_states import of_vectors

__all__ = ["subword_transformer"]


def subword_transformer(arrays: Entered, encoder: SubwordTransformer) -> Value:
    """The first token's last state, or the mean of all."""
    tokens, model = arrays["tokens"].cast(np.int64), encoder.model
    graph = tokens.graph
    count = graph.op("Greater", tokens, np.int64(0)).cast(np.int64).sum(1, keep=True)
    own = graph.op("Max", tokens - np.int64(1), np.int64(0))
    known = graph.op("Mod", own, np.int64(encoder.words))
    ids = graph.where(graph.op("Equal", tokens, np.int64(MASK)), np.int64(encoder.mask), known)
    before, after = len(encoder.before), len(encoder.after)
    rows = graph.op("Shape", tokens, start=0, end=1)
    around = [
        graph.op("Expand", np.array([told], np.int64), graph.concat(rows, [len(told)], axis=0))
        for told in (encoder.before, [0] * after)
    ]
    ids = graph.concat(around[0], ids, around[1], axis=1)
    place = places(ids, model)
    number = place - place.cut(1, 0, 1)
    for behind, special in enumerate(encoder.after):
        here = graph.op("Equal", number, count + np.int64(before + behind))
        ids = graph.where(here, np.int64(special), ids)
    length = graph.op("Max", count + np.int64(before + after), np.int64(1))
    inside = graph.op("Less", number, length)
    there, read = inside.cast(np.float32), vectors(ids, model)
    if written(model):
        states = transformed(read, place, there, model, getattr(encoder, "adapters", ()))
    else:  # its adapters hang on its layers, and are traced with it
        states = of_vectors(read, inside.cast(np.int64), model, model.config.model_type)
    if encoder.pooled == "cls":
        return states.cut(1, 0, 1).squeeze(1)
    return (states * (there / there.sum(1, keep=True)).unsqueeze(2)).sum(1)


ENCODER_GRAPHS.add(SubwordTransformer.name, subword_transformer)
