"""Encoders from elsewhere: which of them a run asks, and in which precision."""

from __future__ import annotations

from dataclasses import replace

from leaven.learn.front import Front
from leaven.operate.export.extractor_kinds import EXTRACTOR_GRAPHS, Elsewhere
from leaven.operate.export.layers import unsupported

__all__ = ["elsewhere", "in_32_bits", "precision"]


def elsewhere(front: Front) -> Elsewhere | None:
    """The encoder from elsewhere that reads a run's records; None where Leaven reads them.

    Raises SettingError for one that has no exported form.
    """
    if front.extractor is None:
        return None
    kind = str(front.extractor.get("kind"))
    if kind not in EXTRACTOR_GRAPHS:
        raise unsupported("encoder", str(front.extractor.get("name", "from elsewhere")))
    return EXTRACTOR_GRAPHS[kind](front)


def precision(front: Front) -> str:
    """Of the encoder from elsewhere that the run asks: `fp32`, `bf16` or `int8`."""
    return str((front.extractor or {}).get("precision", "fp32"))


def in_32_bits(front: Front) -> Front:
    """The same with its encoder from elsewhere in single precision, as graphs have it."""
    if precision(front) == "fp32" or front.extractor is None:
        return front
    whole = front.extractor["digest"].removesuffix(precision(front)) + "fp32"
    return replace(front, extractor=front.extractor | {"precision": "fp32", "digest": whole})
