"""SetFit as a peer, of this interpreter or of another one: its own defaults, one epoch of pairs.

Tunstall et al. 2022, arXiv:2209.11055: the sentence encoder is tuned on pairs of labelled texts,
and a logistic regression stands on what it gives. The package is not made for the newest
transformers, so it may have an environment of its own; SETFIT_PYTHON names its interpreter.
"""

from __future__ import annotations

import json
import os
import tempfile
from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks.other_python import answer, ask

__all__ = ["SetFit"]


class SetFit:
    """An estimator of texts (n,); `encoder` is the folder that it begins with."""

    def __init__(self, seed: int, encoder: str) -> None:
        self._seed, self._encoder = seed, encoder

    def fit(self, texts: Any, targets: Any) -> SetFit:
        """Tune on the labelled texts; ModuleNotFoundError where the package is not there."""
        self._known = texts, np.asarray(targets)
        if "SETFIT_PYTHON" not in os.environ:
            self._model = _tuned(*self._known, self._encoder, self._seed)
        return self

    def predict(self, texts: Any) -> list[int]:
        """Classes of further texts; another interpreter tunes and answers at once."""
        if "SETFIT_PYTHON" not in os.environ:
            return [int(one) for one in self._model.predict([*texts])]
        known, targets = self._known
        job = {"known": _packed(known), "targets": targets, "texts": _packed(texts)}
        how = {"encoder": self._encoder, "seed": self._seed}
        return [int(one) for one in ask("SETFIT_PYTHON", __name__, **job, **how)]


def _tuned(texts: Any, targets: Any, encoder: str, seed: int) -> Any:
    if find_spec("setfit") is None:
        raise ModuleNotFoundError("SetFit is not installed.", name="setfit")
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    model = SetFitModel.from_pretrained(encoder)
    known = Dataset.from_dict({"text": [*texts], "label": [int(one) for one in targets]})
    with tempfile.TemporaryDirectory(prefix="leaven-peer-") as folder:
        how = TrainingArguments(output_dir=folder, seed=seed, save_strategy="no")
        Trainer(model=model, args=how, train_dataset=known).train()
    return model


def _packed(texts: Any) -> Any:
    """Texts as bytes: an array of texts would give each the room of the longest."""
    return np.frombuffer(json.dumps([*texts]).encode(), np.uint8)


def _classes(known: Any, targets: Any, texts: Any, encoder: Any, seed: Any) -> Any:
    known, texts = (json.loads(packed.tobytes()) for packed in (known, texts))
    model = _tuned(known, targets, str(encoder), int(seed))
    return [int(one) for one in model.predict(texts)]


if __name__ == "__main__":
    answer(_classes)
