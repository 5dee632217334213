"""The peers, at their defaults, on the plain features that one would give them.

Texts are TF-IDF, tables standardised numbers and one-hot categories, pictures their pixels.
Features are learnt from all training records, the unlabelled ones too, which favours the peers.
LabelSpreading and LabelPropagation have 7 neighbours; GraphLearning has an interpreter of its own.
Where a peer needs few dense columns, texts have 100 singular and pictures 50 principal components.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from benchmarks.sets import Task

__all__ = ["PEERS", "Peer", "fit_peer"]


@dataclass(frozen=True)
class Peer:
    """An estimator: its name on the page, whether it reads unlabelled records, how to make it.

    `few` are the modalities of which it is given components in place of all features. A fit takes
    very roughly `seconds` on two cores, for estimates before any fit alike is done. It `needs` a
    variable of the environment.
    """

    title: str
    semi: bool
    make: Callable[[int], Any]
    few: frozenset[str] = frozenset()
    seconds: float = 10.0
    needs: str = ""


def _logistic(seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(random_state=seed)


def _forest(seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(random_state=seed)


def _boosting(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(random_state=seed)


def _self_training(base: Callable[[int], Any]) -> Callable[[int], Any]:
    def make(seed: int) -> Any:
        from sklearn.semi_supervised import SelfTrainingClassifier

        return SelfTrainingClassifier(base(seed))

    return make


def _spreading(_seed: int) -> Any:
    from sklearn.semi_supervised import LabelSpreading

    return LabelSpreading(kernel="knn", n_neighbors=7)


def _propagation(_seed: int) -> Any:
    from sklearn.semi_supervised import LabelPropagation

    return LabelPropagation(kernel="knn", n_neighbors=7, max_iter=10_000)


def _graph_learning(model: str) -> Callable[[int], Any]:
    def make(_seed: int) -> Any:
        from benchmarks.graphlearning_peer import GraphLearning

        return GraphLearning(model)

    return make


#: Names the interpreter that has GraphLearning.
_OTHER = "GRAPHLEARNING_PYTHON"
#: What a graph is made of: few dense columns.
_FEW = frozenset({"text", "image"})

PEERS = {
    "logistic-regression": Peer("LogisticRegression", False, _logistic),
    "random-forest": Peer("RandomForest", False, _forest),
    "boosted-trees": Peer(
        "HistGradientBoosting", False, _boosting, few=frozenset({"text"}), seconds=40
    ),
    "self-training-logistic": Peer(
        "SelfTraining (logistic)", True, _self_training(_logistic), seconds=120
    ),
    "self-training-forest": Peer("SelfTraining (forest)", True, _self_training(_forest)),
    "spreading": Peer("LabelSpreading", True, _spreading, few=_FEW),
    "propagation": Peer("LabelPropagation", True, _propagation, few=_FEW),
    "graphlearning-poisson": Peer(
        "GraphLearning Poisson", True, _graph_learning("poisson"), few=_FEW, needs=_OTHER
    ),
    "graphlearning-laplace": Peer(
        "GraphLearning Laplace", True, _graph_learning("laplace"), few=_FEW, needs=_OTHER
    ),
}


def fit_peer(name: str, task: Task, seed: int) -> Callable[[], dict[str, list[str]]]:
    """Fit the features and the peer; returns what answers for the test records, as `shipped`."""
    import numpy as np

    peer = PEERS[name]
    train, of_test = _features(task, task.modality in peer.few, seed)
    classes = sorted({label for label in task.labels if label is not None})
    place = {label: i for i, label in enumerate(classes)}
    targets = np.array([-1 if label is None else place[label] for label in task.labels])
    seen = np.arange(len(targets)) if peer.semi else np.flatnonzero(targets >= 0)
    model = peer.make(seed).fit(train[seen], targets[seen])
    return lambda: {"shipped": [classes[i] for i in model.predict(of_test())]}


def _features(task: Task, few: bool, seed: int) -> tuple[Any, Callable[[], Any]]:
    """Features of the training records, and what makes those of the test records."""
    from sklearn.decomposition import PCA, TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    if task.modality == "tabular":
        rows = _Rows()
        return rows.fit(task.train), lambda: rows.transform(task.test)
    if task.modality == "text":
        words = TfidfVectorizer()
        found: Any = words.fit_transform(task.train["text"].to_pylist())
        parts: list[Any] = [words]
        if few:
            parts.append(TruncatedSVD(min(100, found.shape[1] - 1), random_state=seed))
            found = parts[-1].fit_transform(found)
        return found, lambda: make_pipeline(*parts).transform(task.test["text"].to_pylist())
    pixels = _flat(task.train)
    if not few:
        return pixels, lambda: _flat(task.test)
    components = PCA(min(50, *pixels.shape), random_state=seed)
    return components.fit_transform(pixels), lambda: components.transform(_flat(task.test))


def _flat(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.floating[Any]]:
    """(n, pixels) in 0 to 1, single precision."""
    flat: npt.NDArray[np.floating[Any]] = (
        pictures.reshape(len(pictures), -1).astype("float32") / 255
    )
    return flat


class _Rows:
    """Numbers with the median in their gaps, standardised; everything else one-hot."""

    def __init__(self) -> None:
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        self._numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
        self._words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)

    def fit(self, table: pa.Table) -> npt.NDArray[np.float64]:
        """Learn from a table, and return its features (n, columns)."""
        import pyarrow as pa

        numeric = (pa.types.is_integer, pa.types.is_floating)
        self._numeric = [f.name for f in table.schema if any(is_(f.type) for is_ in numeric)]
        self._worded = [name for name in table.column_names if name not in self._numeric]
        numbers, words = self._split(table)
        if self._numeric:
            self._numbers.fit(numbers)
        if self._worded:
            self._words.fit(words)
        return self.transform(table)

    def transform(self, table: pa.Table) -> npt.NDArray[np.float64]:
        """(n, columns) features."""
        import numpy as np

        numbers, words = self._split(table)
        parts: list[Any] = [self._numbers.transform(numbers)] if self._numeric else []
        parts += [self._words.transform(words)] if self._worded else []
        return np.hstack(parts)

    def _split(self, table: pa.Table) -> tuple[Any, Any]:
        """The numbers (n, a) with NaN in gaps and the rest (n, b) as text, a gap being empty."""
        import numpy as np

        numbers: list[Any] = [table[name].to_numpy().astype(np.float64) for name in self._numeric]
        words: list[Any] = [
            np.array(["" if v is None else str(v) for v in table[name].to_pylist()], object)
            for name in self._worded
        ]
        joined = [np.column_stack(part) if part else None for part in (numbers, words)]
        return joined[0], joined[1]
