"""Encoders from elsewhere: how their texts are read, and a frozen one's features as nodes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from leaven.learn.extractors.subwords import SubwordReader
from leaven.learn.extractors.text import SentenceEncoder
from leaven.learn.front import Front
from leaven.learn.sentence_pooling import SentencePooling
from leaven.operate.export.encoder_kinds import Entered
from leaven.operate.export.families import places, transformed, vectors
from leaven.operate.export.graph import Value
from leaven.operate.export.layers import unsupported

__all__ = ["extracted", "in_32_bits", "opened", "precision", "reading"]


def extracted(arrays: Entered, front: Front) -> Entered:
    """The arrays that the network reads: a frozen encoder's features, else what came.

    Raises SettingError for an encoder that has no exported form.
    """
    told = front.extractor
    if told is None or told.get("kind") == SubwordReader.__name__:
        return arrays
    encoder = opened(front)
    assert isinstance(encoder, SentenceEncoder)
    return {"features": _features(arrays["tokens"], encoder.loaded)}


def reading(front: Front) -> dict[str, Any]:
    """How a text becomes tokens, as `portable.Subwords` wants it; {} where words are hashed.

    Raises SettingError for an encoder that has no exported form, or is not where it was.
    """
    if front.extractor is None:
        return {}
    reader = opened(front)
    tokenizer, told = reader.tokenizer, reader.limits
    if not tokenizer.is_fast or tokenizer.split_special_tokens:
        raise unsupported("tokeniser", type(tokenizer).__name__)
    if {tokenizer.padding_side, tokenizer.truncation_side} != {"right"}:
        raise unsupported("tokeniser", f"{type(tokenizer).__name__}, which pads or cuts in front")
    return told | {"tokenizer": tokenizer.backend_tokenizer.to_str()}


def precision(front: Front) -> str:
    """Of the encoder from elsewhere that the run asks: `fp32`, `bf16` or `int8`."""
    return str((front.extractor or {}).get("precision", "fp32"))


def in_32_bits(front: Front) -> Front:
    """The same with its encoder from elsewhere in single precision, as graphs have it."""
    if precision(front) == "fp32" or front.extractor is None:
        return front
    whole = front.extractor["digest"].removesuffix(precision(front)) + "fp32"
    return replace(front, extractor=front.extractor | {"precision": "fp32", "digest": whole})


def opened(front: Front) -> SentenceEncoder | SubwordReader:
    """The encoder of a run; SettingError for one that reads no texts."""
    told = front.extractor or {}
    for kind in (SentenceEncoder, SubwordReader):
        if told.get("kind") == kind.__name__:
            return kind.open(told)
    raise unsupported("encoder", str(told.get("name", "from elsewhere")))


def _features(tokens: Value, loaded: Any) -> Value:
    """(n, width) of tokens (n, length), each one more than its number, and 0 for padding."""
    graph, model = tokens.graph, loaded.model
    there = graph.op("Greater", tokens, np.int32(0))
    ids = graph.op("Max", tokens.cast(np.int64) - np.int64(1), np.int64(0))
    place = places(ids, model, there.cast(np.int64))
    share = there.cast(np.float32)
    states = transformed(vectors(ids, model), place, share, model)
    return _pooled(states, share.unsqueeze(2), loaded.pooling)


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
