"""Words and pairs of words of a text as a weighted bag, and its latent components."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from sklearn.utils.extmath import randomized_svd
from torch import Tensor, nn

from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Index
from leaven.learn.encoder import sample

__all__ = ["NgramBag"]

_BUCKETS = 1 << 20  # hashed words and pairs; the text modality hashes words into as many


class NgramBag(nn.Module):
    """Latent semantic analysis as a layer: (batch, length) hashed words → (batch, width).

    Each word and each pair of neighbours that occurs in at least two training texts has a row:
    the right singular vectors of the tf-idf matrix (Deerwester et al. 1990). The sum over a
    text's rows, weighted by idf, is the text's latent representation; unlike a fixed projection
    of whole texts it can be computed of a view with words left out.

    `rows` bounds the vocabulary; after `prepare` it is the vocabulary's size.
    """

    slot: Tensor
    idf: Tensor
    components: Tensor

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.rows, self.width = rows, width
        self.register_buffer("slot", torch.zeros(_BUCKETS, dtype=torch.int32))
        self.register_buffer("idf", torch.zeros(rows + 1))  # row 0: unknown, weight zero
        self.register_buffer("components", torch.zeros(rows + 1, width))

    def prepare(self, arrays: Arrays, index: Index, seed: int) -> None:
        """Vocabulary, idf and components of up to 50,000 texts."""
        chosen = sample(index, 50_000, seed)
        tokens = torch.from_numpy(np.ascontiguousarray(arrays["tokens"][chosen]))
        buckets = self._buckets(tokens).numpy()
        texts = np.broadcast_to(np.arange(len(buckets))[:, None], buckets.shape)[buckets > 0]
        flat = buckets[buckets > 0]
        pairs = np.unique(texts.astype(np.int64) * _BUCKETS + flat)  # each bucket once a text
        frequency = np.bincount(pairs % _BUCKETS, minlength=_BUCKETS)
        order = np.argsort(-frequency, kind="stable")[: self.rows]
        kept = order[frequency[order] >= min(2, len(chosen))]
        self.slot[torch.from_numpy(kept)] = torch.arange(1, len(kept) + 1, dtype=torch.int32)
        self.rows = len(kept)
        idf = np.log((1 + len(chosen)) / (1 + frequency[kept])) + 1
        self.idf = torch.from_numpy(np.concatenate([[0.0], idf]).astype(np.float32))
        self.components = torch.zeros(self.rows + 1, self.width)
        slots = self.slot.numpy()[flat]
        inside = slots > 0
        matrix = sparse.csr_matrix(
            (self.idf.numpy()[slots[inside]], (texts[inside], slots[inside])),
            shape=(len(chosen), len(kept) + 1),
        )
        norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(1))).ravel()
        matrix = sparse.diags(1 / np.maximum(norms, 1e-9)) @ matrix
        wanted = min(self.width, len(chosen) - 1, len(kept) - 1)
        if wanted > 0:
            _, _, vectors = randomized_svd(matrix, wanted, n_iter=3, random_state=seed)
            self.components[:, :wanted] = torch.from_numpy(vectors.T.astype(np.float32))

    def _buckets(self, tokens: Tensor) -> Tensor:
        """(batch, 2·length - 1) buckets of words and of neighbouring pairs, 0 where none."""
        words = tokens.long()
        first, second = words[:, :-1], words[:, 1:]
        # Knuth's multiplier spreads pairs over the buckets; 1 is added so that 0 stays "none".
        pairs = (first * 2654435761 + second * 40503) % (_BUCKETS - 1) + 1
        return torch.cat([words, pairs * ((first > 0) & (second > 0))], 1)

    def forward(self, batch: Batch) -> Tensor:
        """(batch, width) rows of unit length; zero for a text without any known word."""
        slots = self.slot[self._buckets(batch["tokens"])]
        weights = self.idf[slots.long()]
        summed = F.embedding_bag(slots, self.components, mode="sum", per_sample_weights=weights)
        return F.normalize(summed, dim=-1)
