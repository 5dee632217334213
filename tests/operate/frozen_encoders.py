"""Models on frozen encoders from elsewhere, for the tests of their exports."""

from __future__ import annotations

from pathlib import Path

import torch

from leaven.data.dataset import Dataset
from leaven.learn.encoder import ENCODERS, Encoder
from leaven.learn.extractor import find_extractor
from leaven.learn.front import Front
from leaven.learn.head import LinearHead
from leaven.learn.network import Network
from leaven.learn.predictor import Predictor

__all__ = ["CLASSES", "frozen", "headed"]

CLASSES = ("a", "b", "c")


def frozen(name: str | Path, dataset: Dataset) -> Predictor:
    """A linear head on the features of an encoder of that name or in that folder."""
    front = Front.describe(dataset, find_extractor(str(name), dataset.modality))
    kind = ENCODERS["standardised"]
    return headed(front, kind(**kind.configure(front.arrays_spec)))


def headed(front: Front, encoder: Encoder) -> Predictor:
    """A drawn linear head on an encoder."""
    head = LinearHead(encoder.width, len(CLASSES))
    torch.nn.init.normal_(head.weight, std=2)
    return Predictor(front, Network(encoder, head).eval(), CLASSES, 1.2)
