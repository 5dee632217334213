"""Sentence features from a transformer of the Hugging Face family, frozen, fast on a processor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.data.dataset import Dataset, Index
from leaven.data.modality import Spec
from leaven.learn.extractor import StoredExtractor, digests
from leaven.learn.pretrained import Stamp, changed, device, digest_of, load, placed, stamp
from leaven.learn.reduced import reduced, settled
from leaven.learn.sentence_pooling import SentencePooling

__all__ = ["Loaded", "SentenceEncoder", "inner_states"]

_TOKENS = 256  # sentence encoders are trained on about as many
_LETTERS = 64  # no token is longer in the mean: tokenising a book takes seconds
#: Tokens a batch, padding included: more do not stay in a processor's caches.
_BUDGET = {"cpu": 1024, "cuda": 32768}
_READ = 8192  # texts that are tokenised at a time, in parallel
_WANTED = "a folder or hub name of a text encoder with safetensors weights"
_PROBES = (4, 32)  # texts of random tokens, and tokens each
_MEAN = SentencePooling()

S = TypeVar("S")


@dataclass(frozen=True, eq=False)
class Loaded:
    """A tokeniser, a model in single precision, and what they are known by.

    `width` is of what is pooled, `inner` of the states before.
    """

    tokenizer: Any
    model: Any
    pooling: SentencePooling
    width: int
    inner: int
    tokens: int
    digest: str


class SentenceEncoder(StoredExtractor):
    """A text's token states, pooled as the encoder's own files say, and those of the layers before.

    The latter are the `inner` last features: what a sentence is about is in the pooled ones, and
    how it says so rather in the layers before (Jawahar, Sagot & Seddah 2019, "What does BERT learn
    about the structure of language?", ACL, section 5). Each layer's mean state has length one, and
    they are averaged.

    Texts of about the same number of tokens share a batch of at most so many tokens, so that
    little is padded and a record's features depend on its batch by no more than rounding. The
    weights are in bf16 or int8 where the processor multiplies those faster, if features of
    probes stay the same in them (`settled`). The description's `digest` is of weights,
    configuration, tokeniser, pooling and precision: another encoder under the same name is
    noticed when a run is opened.
    """

    def __init__(self, description: dict[str, Any]) -> None:
        self.description = description

    @classmethod
    def find(cls, name: str) -> SentenceEncoder:
        """Load by folder or hub name; SettingError when there is none."""
        place = placed(name)
        loaded = _load(place, stamp(place, _WANTED))
        precision = settled(loaded.model, lambda model: _probed(model, loaded))
        described = {
            "kind": cls.__name__, "name": place, "width": loaded.width + loaded.inner,
            "inner": loaded.inner,
        }  # fmt: skip
        return cls(described | {"precision": precision, "digest": f"{loaded.digest}-{precision}"})

    @classmethod
    def open(cls, description: dict[str, Any]) -> SentenceEncoder:
        """Load what a run was made with; SettingError when it is gone or has changed since."""
        place = description["name"]
        digest = f"{_load(place, stamp(place, _WANTED)).digest}-{description['precision']}"
        if digest != description["digest"]:
            raise changed(description, digest)
        return cls(description)

    def keys(self, dataset: Dataset, spec: Spec) -> npt.NDArray[np.bytes_]:
        """(n,) digests of the texts alone."""
        return digests(text or "" for text in dataset.records[spec["column"]].to_pylist())

    @property
    def loaded(self) -> Loaded:
        """What it consists of, the model in single precision."""
        place = self.description["name"]
        return _load(place, stamp(place, _WANTED))

    @property
    def tokenizer(self) -> Any:
        """What makes tokens of texts."""
        return self.loaded.tokenizer

    @property
    def limits(self) -> dict[str, Any]:
        """How it reads a text, see `data/portable/subwords.py`."""
        loaded = self.loaded
        return {
            "most": loaded.tokens,
            "special": True,
            "blank": loaded.tokenizer.pad_token_id,
            "letters": _LETTERS * loaded.tokens,
            "lower": loaded.pooling.lower,
        }

    @torch.inference_mode()
    def compute(self, dataset: Dataset, spec: Spec) -> Iterator[tuple[Index, npt.NDArray[Any]]]:
        """Batch by batch, long texts first."""
        place = self.description["name"]
        at = stamp(place, _WANTED)
        loaded, model = _load(place, at), _reduced(place, at, self.description["precision"])
        model = model.to(device())
        ids = _tokenised(loaded, dataset.records[spec["column"]].to_pylist())
        for rows in _batches([len(one) for one in ids], _BUDGET[device().type]):
            read = {"input_ids": [ids[row] for row in rows]}
            batch = loaded.tokenizer.pad(read, return_tensors="pt").to(device())
            found = _features(model, loaded, dict(batch))
            # Runs from before the inner states were read have only what is pooled.
            yield rows, found[:, : self.description["width"]].cpu().numpy()


@lru_cache(maxsize=1)
def _load(name: str, at: Stamp) -> Loaded:
    """The encoder of that name, kept for the next call; `at` tells a changed folder apart."""
    found = load(name, _WANTED, "text", _tokenizer)
    tokenizer, model = found.reader, found.model
    width = getattr(model.config, "hidden_size", None)
    if width is None:
        raise SettingError("encoder", _WANTED, name, "Its configuration names no hidden_size.")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.pad_token is None:
        raise SettingError("encoder", _WANTED, name, "Its tokeniser has no token for padding.")
    pooling = SentencePooling.of(name)
    # Some families keep the first two places of their table for padding.
    places = getattr(model.config, "max_position_embeddings", None) or _TOKENS + 2
    tokens = min(pooling.tokens or _TOKENS, tokenizer.model_max_length, places - 2)
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    words = sorted(tokenizer.get_vocab().items())
    digest = digest_of(model, [words, pooling.settings, tokens])
    widths = int(width) * len(pooling.ways), int(width)
    return Loaded(tokenizer, model, pooling, *widths, tokens, digest)


@lru_cache(maxsize=1)
def _reduced(name: str, at: Stamp, precision: str) -> nn.Module:
    """The model in that precision, kept for the next call."""
    return reduced(_load(name, at).model, precision)


def _tokenizer(name: str, how: dict[str, Any]) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(name, **how)


def _tokenised(loaded: Loaded, texts: list[str | None]) -> list[list[int]]:
    """Each text's tokens, special ones included, of a long one the first."""
    found: list[list[int]] = []
    for start in range(0, len(texts), _READ):
        part = [(text or "")[: _LETTERS * loaded.tokens] for text in texts[start : start + _READ]]
        if loaded.pooling.lower:
            part = [text.lower() for text in part]
        read = loaded.tokenizer(part, truncation=True, max_length=loaded.tokens)
        found += read["input_ids"]
    # A tokeniser without special tokens gives nothing for an empty text.
    return [ids or [loaded.tokenizer.pad_token_id] for ids in found]


def _batches(counts: list[int], budget: int) -> Iterator[Index]:
    """Positions of like counts, so many that the largest times their number fits the budget."""
    order = np.argsort(-np.asarray(counts, np.int64), kind="stable")
    start = 0
    while start < len(order):
        size = max(1, budget // counts[order[start]])
        yield order[start : start + size]
        start += size


def _features(model: nn.Module, loaded: Loaded, batch: dict[str, Tensor]) -> Tensor:
    """(rows, width + inner) of a padded batch."""
    known = {name: batch[name] for name in ("input_ids", "attention_mask")}
    seen, mask = model(**known, output_hidden_states=True), batch["attention_mask"]
    inner = torch.stack([_MEAN(one, mask) for one in inner_states(seen.hidden_states)])
    return torch.cat([loaded.pooling(seen.last_hidden_state, mask), inner.mean(0)], 1)


def inner_states(states: Sequence[S]) -> Sequence[S]:
    """Of what enters the first layer and what each gives, all but the first and the last.

    Of a model of one layer it is what enters.

    >>> inner_states("wabc"), inner_states("wa")
    ('ab', 'w')
    """
    return states[1:-1] or states[:1]


def _probed(model: nn.Module, loaded: Loaded) -> Tensor:
    """(probes, width) features of random tokens, what is pooled."""
    rng = torch.Generator().manual_seed(0)
    n, length = _PROBES[0], min(_PROBES[1], loaded.tokens)
    words = int(model.get_input_embeddings().num_embeddings)  # type: ignore[operator]
    ids = torch.randint(words, (n, length), generator=rng)
    read = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return _features(model, loaded, read)[:, : loaded.width]
