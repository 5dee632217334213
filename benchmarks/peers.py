"""The peers, at their defaults, each on the plain features that one would give it.

`benchmarks.features` has these. LabelSpreading and LabelPropagation have 7 neighbours;
GraphLearning has an interpreter of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.features import View
    from benchmarks.sets import Task

__all__ = ["PEERS", "Peer", "fit_peer"]

Make = Callable[[int, str], Any]

#: By modality, features as they come …
_PLAIN = {
    "tabular": "rows", "text": "words", "image": "pixels", "series": "steps", "audio": "bands",
    "graph": "nodes",
}  # fmt: skip
#: … and few dense ones, of which a graph can be made; a given graph is one.
_DENSE = {**_PLAIN, "text": "topics", "image": "components"}
_GRAPH = {**_DENSE, "graph": "graph"}
#: Boosted trees read no sparse features.
_TREES = {**_PLAIN, "text": "topics"}
_ENCODED = {"text": "vectors"}


@dataclass(frozen=True)
class Peer:
    """An estimator: its name on the page, whether it reads unlabelled records, how to make it.

    `make` is given a seed and the folder of a sentence encoder. `views` names the features that it
    is given, by modality; it serves no other. A fit takes very roughly `seconds`, for estimates
    before any fit alike is done. It `needs` a variable of the environment, or is `encoded`: there
    only with a sentence encoder.
    """

    title: str
    semi: bool
    make: Make
    views: Mapping[str, str]
    seconds: float = 5.0
    needs: str = ""
    encoded: bool = False


def _logistic(seed: int, _encoder: str) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(random_state=seed)


def _forest(seed: int, _encoder: str) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(random_state=seed)


def _boosting(seed: int, _encoder: str) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(random_state=seed)


def _vectors_machine(seed: int, _encoder: str) -> Any:
    from sklearn.svm import SVC

    return SVC(random_state=seed)


def _nearest(_seed: int, _encoder: str) -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(1)


def _self_training(base: Make) -> Make:
    def make(seed: int, encoder: str) -> Any:
        from sklearn.semi_supervised import SelfTrainingClassifier

        return SelfTrainingClassifier(base(seed, encoder))

    return make


def _spreading(_seed: int, _encoder: str) -> Any:
    from sklearn.semi_supervised import LabelSpreading

    return LabelSpreading(kernel="knn", n_neighbors=7)


def _propagation(_seed: int, _encoder: str) -> Any:
    from sklearn.semi_supervised import LabelPropagation

    return LabelPropagation(kernel="knn", n_neighbors=7, max_iter=10_000)


def _poisson(_seed: int, _encoder: str) -> Any:
    from benchmarks.poisson_peer import PoissonLearning

    return PoissonLearning()


def _graph_learning(model: str) -> Make:
    def make(_seed: int, _encoder: str) -> Any:
        from benchmarks.graphlearning_peer import GraphLearning

        return GraphLearning(model)

    return make


def _minirocket(seed: int, _encoder: str) -> Any:
    from benchmarks.aeon_peer import MiniRocketRidge

    return MiniRocketRidge(seed)


def _graph_network(name: str) -> Make:
    def make(seed: int, _encoder: str) -> Any:
        from benchmarks import graph_peers

        return graph_peers.GraphNetwork(getattr(graph_peers, name), seed)

    return make


def _setfit(seed: int, encoder: str) -> Any:
    from benchmarks.setfit_peer import SetFit

    return SetFit(seed, encoder)


#: Names the interpreter that has GraphLearning.
_OTHER = "GRAPHLEARNING_PYTHON"
_LIBRARY = {modality: view for modality, view in _DENSE.items() if modality != "graph"}

PEERS = {
    "logistic-regression": Peer("LogisticRegression", False, _logistic, _PLAIN),
    "random-forest": Peer("RandomForest", False, _forest, _PLAIN),
    "boosted-trees": Peer("HistGradientBoosting", False, _boosting, _TREES, seconds=15),
    "self-training-logistic": Peer(
        "SelfTraining (logistic)", True, _self_training(_logistic), _PLAIN, seconds=40
    ),
    "self-training-forest": Peer(
        "SelfTraining (forest)", True, _self_training(_forest), _PLAIN, seconds=15
    ),
    "spreading": Peer("LabelSpreading", True, _spreading, _DENSE),
    "propagation": Peer("LabelPropagation", True, _propagation, _DENSE, seconds=20),
    "poisson": Peer("Poisson learning", True, _poisson, _GRAPH),
    "graphlearning-poisson": Peer(
        "GraphLearning Poisson", True, _graph_learning("poisson"), _LIBRARY, needs=_OTHER
    ),
    "graphlearning-laplace": Peer(
        "GraphLearning Laplace", True, _graph_learning("laplace"), _LIBRARY, needs=_OTHER
    ),
    "svc": Peer("SVC", False, _vectors_machine, {"audio": "bands"}),
    "nearest": Peer("1-NN", False, _nearest, {"series": "steps"}),
    "minirocket": Peer("MiniRocket + ridge", False, _minirocket, {"series": "channels"}),
    "gcn": Peer("GCN", True, _graph_network("Gcn"), {"graph": "graph"}),
    "appnp": Peer("APPNP", True, _graph_network("Appnp"), {"graph": "graph"}),
    "encoder-logistic": Peer("encoder + logistic", False, _logistic, _ENCODED, encoded=True),
    "encoder-self-training": Peer(
        "encoder + SelfTraining", True, _self_training(_logistic), _ENCODED, 40, encoded=True
    ),
    "encoder-spreading": Peer(
        "encoder + LabelSpreading", True, _spreading, _ENCODED, encoded=True
    ),
    "encoder-poisson": Peer("encoder + Poisson", True, _poisson, _ENCODED, encoded=True),
    "setfit": Peer("SetFit", False, _setfit, {"text": "texts"}, 60, encoded=True),
}  # fmt: skip


def fit_peer(
    name: str, task: Task, view: View, seed: int, encoder: str = ""
) -> Callable[[], dict[str, list[str]]]:
    """Fit the peer on its view of the task; what is returned answers for the test records.

    The answers are named `shipped`. ModuleNotFoundError where the peer is not installed.
    """
    import numpy as np

    peer = PEERS[name]
    classes = sorted({label for label in task.labels if label is not None})
    place = {label: i for i, label in enumerate(classes)}
    targets = np.array([-1 if label is None else place[label] for label in task.labels])
    train = view.train
    if not peer.semi:
        seen = np.flatnonzero(targets >= 0)
        train, targets = train[seen], targets[seen]
    model = peer.make(seed, encoder).fit(train, targets)
    return lambda: {"shipped": [classes[i] for i in model.predict(view.test)]}
