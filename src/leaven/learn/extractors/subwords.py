"""Texts as the numbers of a model's own tokens, for a transformer that is trained further."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from leaven.core.errors import SettingError
from leaven.data.dataset import Dataset
from leaven.data.modality import Spec
from leaven.learn.extractor import Extractor
from leaven.learn.pretrained import Stamp, changed, digest_of, load, placed, stamp
from leaven.learn.sentence_pooling import SentencePooling

__all__ = ["SubwordReader"]

_TOKENS = 128  # training is slower than reading, and the first sentences say most
_LETTERS = 64
_WANTED = "a folder or hub name of a text encoder with safetensors weights"


class SubwordReader(Extractor):
    """(n, width) int32 tokens and one, 0 after the last; special ones are left out.

    `width` is the number of tokens kept. The description's `encoder` is what
    `SubwordTransformer` is built from: the model's configuration and its special tokens.
    """

    def __init__(self, description: dict[str, Any]) -> None:
        self.description = description

    @classmethod
    def find(cls, name: str) -> SubwordReader:
        """Load by folder or hub name; SettingError when there is none."""
        place = placed(name)
        tokenizer, model, digest = read(place, stamp(place, _WANTED))
        before, after = _special(tokenizer)
        pooling = SentencePooling.of(place)
        places = getattr(model.config, "max_position_embeddings", None) or _TOKENS + 4
        room = min(pooling.tokens or _TOKENS, _TOKENS, places - 2) - len(before) - len(after)
        mask = tokenizer.mask_token_id
        built = {
            "model": json.loads(model.config.to_json_string(use_diff=False)),
            "before": before,
            "after": after,
            "mask": tokenizer.unk_token_id or 0 if mask is None else mask,
            "pooled": "cls" if pooling.ways == ("cls",) else "mean",
        }
        told = {"kind": cls.__name__, "name": place, "width": room, "digest": digest}
        return cls(told | {"gives": "tokens", "lower": pooling.lower, "encoder": built})

    @classmethod
    def open(cls, description: dict[str, Any]) -> SubwordReader:
        """Load what a run was made with; SettingError when it is gone or has changed since."""
        place = description["name"]
        digest = read(place, stamp(place, _WANTED))[2]
        if digest != description["digest"]:
            raise changed(description, digest)
        return cls(description)

    @property
    def tokenizer(self) -> Any:
        """What makes tokens of texts."""
        place = self.description["name"]
        return read(place, stamp(place, _WANTED))[0]

    @property
    def limits(self) -> dict[str, Any]:
        """How it reads a text, see `data/portable/subwords.py`."""
        width = self.description["width"]
        return {
            "most": width,
            "special": False,
            "blank": -1,
            "letters": _LETTERS * width,
            "lower": self.description["lower"],
        }

    def extract(self, dataset: Dataset, spec: Spec) -> npt.NDArray[Any]:
        """(n, width) tokens; of a longer text the first."""
        width, tokenizer = self.description["width"], self.tokenizer
        said = dataset.records[spec["column"]].to_pylist()
        texts = [(text or "")[: _LETTERS * width] for text in said]
        if self.description["lower"]:
            texts = [text.lower() for text in texts]
        found = np.zeros((len(texts), width), np.int32)
        if texts:
            ids = tokenizer(texts, add_special_tokens=False, truncation=True, max_length=width)
            for row, one in zip(found, ids["input_ids"], strict=True):
                row[: len(one)] = np.asarray(one, np.int32) + 1
        return found


@lru_cache(maxsize=1)
def read(name: str, at: Stamp) -> tuple[Any, Any, str]:
    """Tokeniser, model and digest, kept for the next call; `at` tells a changed folder apart."""
    found = load(name, _WANTED, "text", _tokenizer)
    if found.model.config.is_encoder_decoder:
        fix = "It is an encoder with a decoder, of which only the frozen features serve."
        raise SettingError("encoder", _WANTED, name, fix)
    words = sorted(found.reader.get_vocab().items())
    return found.reader, found.model, digest_of(found.model, words)


def _tokenizer(name: str, how: dict[str, Any]) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(name, **how)


def _special(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The tokens that stand before and after every text."""
    text = "a"
    inner = tokenizer(text, add_special_tokens=False)["input_ids"]
    whole = tokenizer(text)["input_ids"]
    for start in range(len(whole) - len(inner) + 1):
        if whole[start : start + len(inner)] == inner:
            return whole[:start], whole[start + len(inner) :]
    return [], []
