"""SetFit as a peer, where the package `setfit` is installed: its own defaults, one epoch of pairs.

Tunstall et al. 2022, arXiv:2209.11055: the sentence encoder is tuned on pairs of labelled texts,
and a logistic regression stands on what it gives.
"""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from typing import Any

__all__ = ["SetFit"]


class SetFit:
    """An estimator of texts (n,); `encoder` is the folder that it begins with."""

    def __init__(self, seed: int, encoder: str) -> None:
        self._seed, self._encoder = seed, encoder

    def fit(self, texts: Any, targets: Any) -> SetFit:
        """Tune on the labelled texts; ModuleNotFoundError where the package is not there."""
        if find_spec("setfit") is None:
            raise ModuleNotFoundError("SetFit is not installed.", name="setfit")
        from datasets import Dataset
        from setfit import SetFitModel, Trainer, TrainingArguments

        self._model = SetFitModel.from_pretrained(self._encoder)
        known = Dataset.from_dict({"text": [*texts], "label": [int(one) for one in targets]})
        with tempfile.TemporaryDirectory(prefix="leaven-peer-") as folder:
            how = TrainingArguments(output_dir=folder, seed=self._seed, save_strategy="no")
            Trainer(model=self._model, args=how, train_dataset=known).train()
        return self

    def predict(self, texts: Any) -> list[int]:
        """Classes of further texts."""
        return [int(one) for one in self._model.predict([*texts])]
