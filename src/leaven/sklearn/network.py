"""What the estimators that train a network share: records of any kind, one loop."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import validate_data

from leaven.core.errors import SettingError
from leaven.core.recipe import Recipe
from leaven.data.arrays import Arrays
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.learn.encoder import ENCODERS
from leaven.learn.front import Front
from leaven.learn.method import METHODS, Problem
from leaven.learn.network import Network
from leaven.sklearn.estimator import Floats, Given, Places, SemiSupervisedClassifier, outputs

__all__ = ["NetworkClassifier"]

#: Modalities of tables of numbers, whose networks answer in double precision. In single precision
#: the answer to a record would differ by the records beside it, for products of matrices of other
#: shapes, and rows elsewhere in them, are rounded otherwise.
_NUMBERS = ("tabular", "embedding")


class NetworkClassifier(SemiSupervisedClassifier):
    """A method of the one loop as a classifier.

    Parameters
    ----------
    steps : how many steps the network is trained for.
    encoder : name of the encoder (`leaven.encoders()`); None for the modality's trainable one.
    modality : "tabular" or "embedding" for X of numbers (n, d), "image" for uint8 pictures
        (n, h, w), (n, h, w, c) or (n, c, h, w), "text" for n strings. None finds it; numbers are
        then tabular, and NaN is a missing cell.
    settings : settings of the method by name, choices as `leaven methods --table` prints them,
        such as {"accept": "AtLeast(0.8)"}.
    training : settings of the loop by name, such as {"rate": 0.001, "labelled_batch": 64}; see
        `leaven.core.recipe.Training`.
    n_jobs : threads; None for as many as torch has, -1 for all.
    random_state : None, a seed or a RandomState; with a seed, two fits are the same.

    There is no `sample_weight`: the loop draws all labelled records alike.

    Attributes
    ----------
    network_ : the network, encoder and head.
    n_iter_ : steps taken.
    classes_, transduction_, n_features_in_, feature_names_in_ : as for every estimator here.
    """

    _threaded = True
    #: The name of the method.
    method: ClassVar[str]

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "steps": [Interval(Integral, 1, None, closed="left")],
        "encoder": [str, None],
        "modality": [StrOptions({"tabular", "embedding", "image", "text"}), None],
        "settings": [dict, None],
        "training": [dict, None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        steps: int = 1000,
        encoder: str | None = None,
        modality: str | None = None,
        settings: dict[str, Any] | None = None,
        training: dict[str, Any] | None = None,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.steps = steps
        self.encoder = encoder
        self.modality = modality
        self.settings = settings
        self.training = training
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Any:
        """Train on labelled and unlabelled records.

        Where every record has a label, the supervised counterpart is trained, with a warning.

        Parameters
        ----------
        X : n records; see `modality`.
        y : (n,) labels; -1, None, NaN and "" mean unlabelled.
        """
        return self._fit(X, y)

    def _learn(self, given: Given) -> Places:
        name, settings = self.method, dict(self.settings or {})
        METHODS[name].check(settings)
        if not len(given.unlabelled):
            name, settings = METHODS[name].baseline, {}
            warnings.warn(
                f"Every record has a label, so there is nothing for {self.method} to learn more "
                f"from: {name} is fitted instead.",
                stacklevel=4,
            )
        method = METHODS[name]
        arrays = self._describe(given.records)
        problem = Problem(
            arrays=arrays,
            spec=self._front.spec,
            modality=self._front.modality,
            task="classification",
            classes=len(self.classes_),
            targets=given.targets,
            train=given.labelled,
            unlabelled=given.unlabelled,
            encoder=self._encoder(self._front.modality),
            seed=given.seed,
            steps=self.steps,
            settings=settings,
            training=Recipe.build({"training": self.training or {}}).training,
        )
        # The loop seeds torch's own generator at each step; the caller's goes on undisturbed.
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            fit = method.fit(problem)
            while True:
                try:
                    self.n_iter_ = next(fit).number
                except StopIteration as finished:
                    self.network_: Network = finished.value.cpu().eval()
                    break
        if problem.modality in _NUMBERS:
            self.network_.double()
        guess: Places = self._probabilities(given.records).argmax(1)
        return guess

    def _probabilities(self, records: Any) -> Floats:
        arrays = self._decode(records, precise=True)
        network, plain = self.network_, MODALITIES[self._front.modality].plain
        said = outputs(lambda places: network(plain(arrays.batch(places))), len(arrays))
        probabilities: Floats = torch.from_numpy(said).softmax(-1).numpy()
        return probabilities

    def _encoder(self, modality: str) -> str:
        """The encoder asked for, or the modality's."""
        if self.encoder is None:
            return METHODS[self.method].default_encoder(MODALITIES[modality])
        if ENCODERS[self.encoder].modality != modality:
            fit = [name for name, kind in ENCODERS.items() if kind.modality == modality]
            raise SettingError(
                "encoder", f"one of those for {modality} records: {', '.join(fit)}", self.encoder
            )
        return self.encoder

    def _describe(self, records: Any) -> Arrays:
        """Find what decoding must know, and decode the records of a fit."""
        kind = self._kind(records)
        if kind == "tabular":
            # The rest of a spec is for columns that are no numbers.
            spec: dict[str, Any] = {"datetime": {}, "categorical": {}, "text": []}
            names = [f"x{number}" for number in range(records.shape[1])]
            self._front = Front(kind, {"numeric": names, **spec})
        elif kind == "embedding":
            self._front = Front(kind, {"column": "features", "width": records.shape[1]})
        else:
            self._front = Front.describe(Dataset.from_arrays(records, modality=kind), None)
        return self._decode(records)

    def _decode(self, records: Any, precise: bool = False) -> Arrays:
        """Arrays of records, decoded as those of the fit were; numbers in double if `precise`."""
        kind = self._front.modality
        if self._kind(records) != kind:
            raise ValueError(f"X must hold {kind} records, as in fit. Got {self._kind(records)}.")
        numbers = records.astype(np.float64) if precise and kind in _NUMBERS else records
        if kind == "tabular":
            no_codes = np.zeros((len(records), 0), np.int32)
            return Arrays({"numeric": numbers, "codes": no_codes})
        if kind == "embedding":
            return Arrays({"features": numbers})
        arrays, rejected = self._front.decode(Dataset.from_arrays(records, modality=kind))
        if rejected:
            place, reason, detail = rejected[0]
            raise ValueError(f"X[{place}] cannot be used: {reason} ({detail}).")
        return arrays

    def _records(self, X: Any, *, reset: bool) -> Any:
        """A list of texts, uint8 pictures, or a table of numbers."""
        kind = self._kind(X)
        if kind in ("text", "image"):
            if reset:  # a fit before may have counted columns
                for name in ("n_features_in_", "feature_names_in_"):
                    self.__dict__.pop(name, None)
            return _texts(X) if kind == "text" else np.asarray(X)
        finite: Any = "allow-nan" if kind == "tabular" else True
        return validate_data(self, X, reset=reset, dtype=np.float32, ensure_all_finite=finite)

    def _kind(self, X: Any) -> str:
        """The modality of records that are given."""
        if self.modality is not None:
            return self.modality
        shape = getattr(X, "shape", ())
        if getattr(X, "dtype", None) == np.uint8 and len(shape) > 2:
            return "image"
        if len(shape) == 1 or isinstance(X, list | tuple):
            first = next(iter(X), None)
            return "text" if isinstance(first, str) else "tabular"
        return "tabular"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = self.modality in (None, "tabular", "embedding")
        tags.input_tags.three_d_array = self.modality in (None, "image")
        tags.input_tags.string = self.modality in (None, "text")
        tags.input_tags.allow_nan = self.modality in (None, "tabular")
        return tags


def _texts(X: Sequence[Any]) -> list[str]:
    """Texts as a list; ValueError for what is none, and for blank ones."""
    texts = list(X)
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"X[{place}] must be a text. Got {text!r}.")
        if not text.strip():
            raise ValueError(f"X[{place}] is a blank text. Leave such records out.")
    if not texts:
        raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
    return texts
