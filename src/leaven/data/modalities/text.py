"""Texts: one column of words.

To add a modality, write one file like this one: a class that implements `Modality`, registered
under its name. `describe` looks at the first records and says as plain JSON what decoding must
remember; `decode` turns records into arrays and names those it cannot; `plain`, `weak` and
`strong` turn a batch of those arrays into what the encoder reads; `show` is for people. Name the
encoders in `encoder` and `features`; if none reads your arrays, add one to the encoders.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from leaven.core.errors import DataError
from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES, Modality, Rejected, Shown, Spec
from leaven.data.rewriting import Rewriter, rewritten
from leaven.data.shown import shown_text
from leaven.data.views.draws import compose, uniform
from leaven.data.views.token_ops import BorrowWords, DropSpan, DropWords, SwapNeighbours
from leaven.data.words import word_codes

__all__ = ["Text"]

WEAK = (DropWords(0.1, 0.1),)
STRONG = (
    BorrowWords(0.0, 0.1),
    SwapNeighbours(0.0, 0.2),
    DropSpan(0.0, 0.15),
    DropWords(0.25, 0.4),
)
CONTRASTIVE = (DropSpan(0.0, 0.15), DropWords(0.1, 0.25))

_LONGEST = 256
_SAMPLE = 10_000


@MODALITIES.register("text")
class Text(Modality):
    """A text a record. Arrays: "tokens" (n, length) int32 hashed words, 0 after the last.

    Beside them there may be "rewritten" (n, times, length) int32, from `rewrite`: what strong
    views begin with. Spec: {"column": name, "length": words kept}.
    """

    name = "text"
    encoder = "ngram-bag"
    features = "ngram-components"

    def describe(self, dataset: Dataset) -> Spec:
        """Keep enough words for 95 % of (at most 10 000 evenly spaced) texts, 256 at most."""
        column = _column(dataset)
        every = max(1, -(-len(dataset) // _SAMPLE))
        sample = _texts(dataset, column).take(pa.array(np.arange(0, len(dataset), every)))
        counts = [np.diff(ends, prepend=0) for _, _, ends in word_codes(sample)]
        if not counts:
            raise DataError("there are no texts to look at. Give at least one record.")
        usual = float(np.percentile(np.concatenate(counts), 95))
        # A multiple of eight: lengths that differ a little give arrays of the same shape.
        return {"column": column, "length": min(_LONGEST, 8 * max(1, int(np.ceil(usual / 8))))}

    def decode(self, dataset: Dataset, spec: Spec) -> tuple[Arrays, Sequence[Rejected]]:
        """Words as codes. Of a longer text the first three and the last quarter are kept.

        Texts without a word are rejected. Raises DataError where the column is missing.
        """
        length: int = spec["length"]
        texts = _texts(dataset, spec["column"])
        tokens = np.zeros((len(texts), length), np.int32)
        words = np.zeros(len(texts), np.int64)
        for rows, codes, ends in word_codes(texts):
            words[rows] = np.diff(ends, prepend=0)
            tokens[rows] = _rows(codes, ends, length)
        empty = np.flatnonzero(words == 0)
        rejected = [(int(i), "empty text", _why(texts[int(i)].as_py())) for i in empty]
        return Arrays({"tokens": tokens}), rejected

    def rewrite(
        self, dataset: Dataset, spec: Spec, rewriter: Rewriter, times: int = 1
    ) -> npt.NDArray[np.int32]:
        """(n, times, length) rewritings of each text as codes, all zero for one without a word.

        Raises DataError for a rewriter that gives something else than a text for each, and
        SettingError for fewer times than one.
        """
        texts = _texts(dataset, spec["column"]).to_pylist()
        parts = [np.zeros((0, spec["length"]), np.int32)]
        for said in rewritten(texts, rewriter, times):
            parts += [_rows(codes, ends, spec["length"]) for _, codes, ends in word_codes(said)]
        return np.concatenate(parts).reshape(len(texts), times, spec["length"])

    def plain(self, batch: Batch) -> Batch:
        """The tokens."""
        return {"tokens": batch["tokens"]}

    def weak(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """A tenth of the words dropped."""
        return {"tokens": compose(WEAK, batch["tokens"], rng)}

    def strong(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """Words borrowed, swapped, a span and many single words dropped.

        Where there are rewritings, of one of them or of the original, each as likely.
        """
        return {"tokens": compose(STRONG, _said(batch, rng), rng)}

    def contrastive(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """A span and some single words dropped: milder than the strong view, in order.

        Where there are rewritings, of one of them or of the original, each as likely.
        """
        return {"tokens": compose(CONTRASTIVE, _said(batch, rng), rng)}

    def show(self, dataset: Dataset, position: int) -> Shown:
        """The text, at most 2000 characters of it; not escaped."""
        return shown_text(_texts(dataset, _column(dataset)).slice(position, 1)[0].as_py())


def _column(dataset: Dataset) -> str:
    """The one column of texts; a lone column of another kind is read as text."""
    names = [c.name for c in dataset.columns if c.kind == "text"]
    if not names and len(dataset.columns) == 1:
        names = [dataset.columns[0].name]
    if len(names) != 1:
        found = ", ".join(f"{c.name} ({c.kind})" for c in dataset.columns) or "none"
        raise DataError(
            f"text needs exactly one column of texts. The columns are: {found}. "
            "Keep one of them, or choose the modality 'tabular', which takes several."
        )
    return names[0]


def _texts(dataset: Dataset, column: str) -> pa.ChunkedArray:
    """The column as large strings."""
    if column not in dataset.records.column_names:
        found = ", ".join(dataset.records.column_names) or "none"
        raise DataError(
            f"the column of texts {column!r} is missing. The columns are: {found}. "
            f"Rename the column that holds the texts to {column!r}."
        )
    try:
        return dataset.records[column].cast(pa.large_string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        kind = dataset.records[column].type
        raise DataError(f"column {column!r} must hold texts. Got {kind}: {error}.") from error


def _rows(
    codes: npt.NDArray[np.int32], ends: npt.NDArray[np.int64], length: int
) -> npt.NDArray[np.int32]:
    """(texts, length): each text's words, of long ones the head and the tail."""
    starts = np.concatenate([[0], ends[:-1]])
    counts = (ends - starts)[:, None]
    place = np.arange(length)
    tail = np.where(place >= length - length // 4, np.maximum(counts - length, 0), 0)
    source = np.where(place < counts, starts[:, None] + place + tail, len(codes))
    return np.append(codes, np.int32(0))[source]


def _said(batch: Batch, rng: torch.Generator) -> torch.Tensor:
    """The tokens, or those of a rewriting where there are any."""
    if "rewritten" not in batch:
        return batch["tokens"]
    return _one_of(batch["tokens"], batch["rewritten"], rng)


def _one_of(tokens: torch.Tensor, rewritten: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """For each record its tokens or one of its rewritings; one without words counts for nothing."""
    n, times, _ = rewritten.shape
    which = (uniform((n,), rng) * (times + 1)).long().clamp_(max=times)
    all_ways = torch.cat([rewritten, tokens[:, None]], 1)
    chosen = all_ways[torch.arange(n, device=tokens.device), which]
    return torch.where((chosen != 0).any(1, keepdim=True), chosen, tokens)


def _why(text: str | None) -> str:
    """What an empty text is."""
    if text is None:
        return "the text is missing"
    return f"no words in {text[:60]!r}" if text.strip() else "the text is blank"
