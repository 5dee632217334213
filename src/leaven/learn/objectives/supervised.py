"""Labelled records alone: the baseline that every method of the loop is measured against."""

from __future__ import annotations

from leaven.learn.consistency import Consistency
from leaven.learn.method import METHODS
from leaven.learn.train import LoopMethod

METHODS.add(
    "supervised",
    LoopMethod(
        name="supervised",
        summary="labelled records alone; what the others are compared with",
        paper="–",
        family="supervised",
        objective=Consistency(),
    ),
)
