"""Texts: how they become tokens, and a frozen encoder's features as nodes."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from leaven.learn.extractors.subwords import SubwordReader
from leaven.learn.extractors.text import SentenceEncoder, inner_states
from leaven.learn.sentence_pooling import SentencePooling
from leaven.operate.export.encoder_kinds import Entered
from leaven.operate.export.extractor_kinds import EXTRACTOR_GRAPHS, Elsewhere, Inputs
from leaven.operate.export.families import layers, places, vectors, written
from leaven.operate.export.graph import Value
from leaven.operate.export.layers import unsupported
from leaven.operate.export.token_states import of_tokens

__all__ = ["FrozenText", "TrainedText"]


class TrainedText(Elsewhere):
    """Tokens alone: the model that reads them was trained on, and is the run's own."""

    @cached_property
    def reader(self) -> SubwordReader | SentenceEncoder:
        """What makes tokens."""
        return SubwordReader.open(self.front.extractor or {})

    def reading(self) -> dict[str, Any]:
        """As `portable.Subwords` wants it."""
        tokenizer, told = self.reader.tokenizer, self.reader.limits
        if not tokenizer.is_fast or tokenizer.split_special_tokens:
            raise unsupported("tokeniser", type(tokenizer).__name__)
        if {tokenizer.padding_side, tokenizer.truncation_side} != {"right"}:
            raise unsupported(
                "tokeniser", f"{type(tokenizer).__name__}, which pads or cuts in front"
            )
        return {"subwords": told | {"tokenizer": tokenizer.backend_tokenizer.to_str()}}

    def inputs(self) -> Inputs:
        """Each token one more than its number, and 0 for padding."""
        return {"tokens": (np.int32, ["n", "words"])}

    def extracted(self, arrays: Entered) -> Entered:
        """The tokens."""
        return arrays

    def made(self, count: int, rng: np.random.Generator) -> list[Any]:
        """Texts of 1 to 40 pieces of words that the tokeniser knows."""
        tokenizer = self.reader.tokenizer
        drawn = [rng.integers(0, len(tokenizer), rng.integers(1, 41)) for _ in range(count)]
        return [f"{number} {tokenizer.decode(ids.tolist())}" for number, ids in enumerate(drawn)]


class FrozenText(TrainedText):
    """Tokens, and what a frozen model makes of them."""

    @cached_property
    def reader(self) -> SentenceEncoder:
        """The encoder."""
        return SentenceEncoder.open(self.front.extractor or {})

    def extracted(self, arrays: Entered) -> Entered:
        """(n, width) of tokens (n, length)."""
        tokens, loaded = arrays["tokens"], self.reader.loaded
        graph, model = tokens.graph, loaded.model
        there = graph.op("Greater", tokens, np.int32(0))
        ids = graph.op("Max", tokens.cast(np.int64) - np.int64(1), np.int64(0))
        share, known = there.cast(np.float32), there.cast(np.int64)
        if written(model):
            states = layers(vectors(ids, model), places(ids, model, known), share, model)
        else:
            name = self.reader.description["name"]
            states = of_tokens(ids, known, model, name, int(model.config.num_hidden_layers))
        there = share.unsqueeze(2)
        found = {"features": _pooled(states[-1], there, loaded.pooling)}
        if self.reader.description.get("inner"):
            inner = [_pooled(one, there, SentencePooling()) for one in inner_states(states)]
            found["inner"] = sum(inner[1:], inner[0]) * (1 / len(inner))
        return found


def _pooled(states: Value, there: Value, pooling: SentencePooling) -> Value:
    """As `SentencePooling` has it: states (n, length, width), there (n, length, 1)."""
    graph = states.graph
    joined = graph.concat(*(_way(way, states, there) for way in pooling.ways), axis=1)
    return joined.unit() if pooling.unit else joined


def _way(way: str, states: Value, there: Value) -> Value:
    graph = states.graph
    if way == "cls":
        return states.cut(1, 0, 1).squeeze(1)
    if way == "max":
        return graph.where(there.cast(np.bool_), states, np.float32(-np.inf)).max(1)
    if way == "lasttoken":
        following = graph.op("Pad", there, np.array([0, 0, 0, 0, 1, 0])).cut(1, 1)
        return (states * (there - following)).sum(1)
    if way == "weightedmean":
        weights = graph.op("CumSum", there, np.int64(1)) * there
        return (states * weights).sum(1) / weights.sum(1)
    total, count = (states * there).sum(1), there.sum(1)
    return total / (count.apply("Sqrt") if way == "mean_sqrt_len_tokens" else count)


EXTRACTOR_GRAPHS.add(SentenceEncoder.__name__, FrozenText)
EXTRACTOR_GRAPHS.add(SubwordReader.__name__, TrainedText)
