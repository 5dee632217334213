"""The plain features that one would give a peer, by name; each is made once for all peers.

They are learnt from all training records, the unlabelled ones too, which favours the peers. The
vectors of a sentence encoder are those that Leaven's fits get, from the same store.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa

    from benchmarks.sets import Task

__all__ = ["Graph", "View", "Views", "cpu_seconds"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """Features of training and test records, and the seconds that they took."""

    train: Any
    test: Any
    seconds: float
    cpu: float


@dataclass(frozen=True)
class Graph:
    """A given graph as features: those of its nodes (n, d), and its edges (2, m).

    What a test record is, beside it, is its node's position.
    """

    nodes: Floats
    edges: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.nodes)


class Views:
    """The views of a task, each made when it is first asked for.

    `encoder` is the folder of a sentence encoder, empty for none.
    """

    def __init__(self, task: Task, seed: int, encoder: str = "") -> None:
        self.task, self.seed, self.encoder = task, seed, encoder
        self._made: dict[str, View] = {}

    def get(self, name: str) -> View:
        """The view of that name; KeyError where there is none."""
        if name not in self._made:
            began, used = time.monotonic(), cpu_seconds()
            train, test = _VIEWS[name](self)
            self._made[name] = View(
                train, test, time.monotonic() - began, cpu_seconds() - used
            )  # fmt: skip
        return self._made[name]


def cpu_seconds() -> float:
    """Processor time of this process, its threads and the processes that it waited for."""
    parts = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in parts)


def _texts(of: Views) -> tuple[list[str], list[str]]:
    train, test = (part["text"].to_pylist() for part in (of.task.train, of.task.test))
    return [text or "" for text in train], [text or "" for text in test]


def _words(of: Views) -> tuple[Any, Any]:
    """TF-IDF."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    train, test = _texts(of)
    words = TfidfVectorizer()
    return words.fit_transform(train), words.transform(test)


def _topics(of: Views) -> tuple[Any, Any]:
    """100 singular components of TF-IDF."""
    from sklearn.decomposition import TruncatedSVD

    words = of.get("words")
    found = TruncatedSVD(min(100, words.train.shape[1] - 1), random_state=of.seed)
    return found.fit_transform(words.train), found.transform(words.test)


def _vectors(of: Views) -> tuple[Floats, Floats]:
    """Of the sentence encoder, read by Leaven's adapter."""
    from leaven.data.dataset import Dataset
    from leaven.data.modality import MODALITIES
    from leaven.learn.extractor import find_extractor

    found = find_extractor(of.encoder, "text")
    if found is None:
        raise ValueError(f"'{of.encoder}' is no folder of a sentence encoder.")
    train, test = (
        Dataset.from_frame(part, label=False, modality="text")
        for part in (of.task.train, of.task.test)
    )
    spec = MODALITIES["text"].describe(train)
    pooled = found.description["width"] - found.description.get("inner", 0)
    return found.extract(train, spec)[:, :pooled], found.extract(test, spec)[:, :pooled]


def _pixels(of: Views) -> tuple[Floats, Floats]:
    """(n, pixels) in 0 to 1."""
    train, test = (
        part.reshape(len(part), -1).astype(np.float32) / 255
        for part in (of.task.train, of.task.test)
    )
    return train, test


def _components(of: Views) -> tuple[Any, Any]:
    """50 principal components of the pixels."""
    from sklearn.decomposition import PCA

    pixels = of.get("pixels")
    found = PCA(min(50, *pixels.train.shape), random_state=of.seed)
    return found.fit_transform(pixels.train), found.transform(pixels.test)


def _channels(of: Views) -> tuple[Floats, Floats]:
    """(n, channels, steps); where lengths differ, all stretched to the median one."""
    train, test = of.task.train, of.task.test
    if train.dtype == object:
        length = int(np.median([series.shape[1] for series in train]))
        train, test = (
            np.stack([_stretched(series, length) for series in part]) for part in (train, test)
        )
    return np.nan_to_num(train.astype(np.float32)), np.nan_to_num(test.astype(np.float32))


def _stretched(series: Floats, length: int) -> Floats:
    """(channels, length) by straight lines between the steps."""
    places = np.linspace(0, series.shape[1] - 1, length)
    steps = np.arange(series.shape[1])
    return np.stack([np.interp(places, steps, channel) for channel in series]).astype(np.float32)


def _steps(of: Views) -> tuple[Floats, Floats]:
    """(n, channels · steps), each channel less its mean and by its deviation over all series."""
    known, asked = (of.get("channels").train, of.get("channels").test)
    mean, scale = known.mean((0, 2), keepdims=True), known.std((0, 2), keepdims=True) + 1e-9
    train, test = (((part - mean) / scale).reshape(len(part), -1) for part in (known, asked))
    return train, test


def _bands(of: Views) -> tuple[Any, Any]:
    """(n, 128) mean and deviation of each of 64 log-mel bands over time, standardised."""
    from sklearn.preprocessing import StandardScaler

    from leaven.data.dataset import Dataset
    from leaven.data.modality import MODALITIES

    audio = MODALITIES["audio"]
    parts = [
        Dataset.from_frame(part, label=False, modality="audio")
        for part in (of.task.train, of.task.test)
    ]
    spec, told = audio.describe(parts[0]), []
    for part in parts:
        arrays, _ = audio.decode(part, spec)  # what cannot be read is as if it were silent
        pairs = zip(arrays["mel"].astype(np.float32), arrays["length"], strict=True)
        told.append(np.stack([np.r_[mel[:n].mean(0), mel[:n].std(0)] for mel, n in pairs]))
    scale = StandardScaler().fit(told[0])
    return scale.transform(told[0]), scale.transform(told[1])


def _nodes(of: Views) -> tuple[Floats, Floats]:
    """(n, d) each node's features by their sum, without the edges."""
    nodes = of.task.train / np.maximum(np.abs(of.task.train).sum(1, keepdims=True), 1e-9)
    return nodes, nodes[of.task.judged]


def _graph(of: Views) -> tuple[Graph, Any]:
    """The whole graph, and the positions of the nodes that are judged."""
    assert of.task.edges is not None
    return Graph(of.get("nodes").train, of.task.edges), of.task.judged


def _rows(of: Views) -> tuple[Any, Any]:
    """Numbers with the median in their gaps, standardised; everything else one-hot."""
    rows = _Rows()
    return rows.fit(of.task.train), rows.transform(of.task.test)


class _Rows:
    """What a table's columns become, learnt from one table."""

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
        numbers, words = self._split(table)
        parts: list[Any] = [self._numbers.transform(numbers)] if self._numeric else []
        parts += [self._words.transform(words)] if self._worded else []
        return np.hstack(parts)

    def _split(self, table: pa.Table) -> tuple[Any, Any]:
        """The numbers (n, a) with NaN in gaps and the rest (n, b) as text, a gap being empty."""
        numbers: list[Any] = [table[name].to_numpy().astype(np.float64) for name in self._numeric]
        words: list[Any] = [
            np.array(["" if v is None else str(v) for v in table[name].to_pylist()], object)
            for name in self._worded
        ]
        joined = [np.column_stack(part) if part else None for part in (numbers, words)]
        return joined[0], joined[1]


def _plain_texts(of: Views) -> tuple[Any, Any]:
    """(n,) objects, as they are."""
    train, test = _texts(of)
    return np.array(train, object), np.array(test, object)


_VIEWS: dict[str, Callable[[Views], tuple[Any, Any]]] = {
    "rows": _rows,
    "texts": _plain_texts,
    "words": _words,
    "topics": _topics,
    "vectors": _vectors,
    "pixels": _pixels,
    "components": _components,
    "channels": _channels,
    "steps": _steps,
    "bands": _bands,
    "nodes": _nodes,
    "graph": _graph,
}
