"""Rewriting by a masked language model of the Hugging Face family, from a local folder.

Imports transformers (extra `text`), and nothing but what the folder holds: weights are read from
safetensors alone, nothing is downloaded, and code that comes with a model is never run.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from leaven.core.errors import MissingExtraError, SettingError
from leaven.learn.pretrained import LOADING

__all__ = ["MaskedModelRewriter"]

_BATCH = 64
_TOKENS = 256
_CHARACTERS = 64 * _TOKENS  # tokenising a book takes seconds, and no more of it is rewritten
_WANTED = "a folder of a masked language model with safetensors weights"
# By what tokenisers tell a piece that goes on a word, or one that begins it.
_MARKS = ("##", "Ġ", "▁")


class MaskedModelRewriter:
    """Puts, for a share of a text's words, what a masked language model reads in their places.

    The words are masked together, and each is drawn from the model's `best` likeliest ones, by
    their probabilities (as contextual augmentation does: Kobayashi 2018, arXiv:1805.06201,
    section 2, without the label). Only words that are one token for the model are masked, and
    only such are put: no mark, no special token and not the word itself. The rest of the text
    stays as it was written; of a long one, only what the model can hold at once is rewritten.

    The same texts in the same order and the same seed give the same rewritings. Raises
    SettingError where the folder holds no such model.
    """

    def __init__(
        self, folder: str | Path, share: float = 0.15, seed: int = 0, best: int = 10
    ) -> None:
        if not 0 <= share <= 1:
            raise SettingError("share", "a share of the words in [0, 1]", share)
        if best < 1:
            raise SettingError("best", "a number of words of at least 1", best)
        self.share, self.seed, self.best = share, seed, best
        self._tokenizer, self._model, self._tokens = _load(Path(folder))
        self._kind = _kinds(self._tokenizer, self._model.config.vocab_size)

    @torch.inference_mode()
    def __call__(self, texts: list[str]) -> list[str]:
        """As many texts, rewritten. Texts of like length share a batch."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model.to(device)
        said = zlib.crc32("\0".join(texts).encode(errors="replace"))
        rng = np.random.default_rng((self.seed, said))
        draws = torch.Generator().manual_seed(int(rng.integers(2**62)))
        order = np.argsort([-len(text) for text in texts], kind="stable")
        new = list(texts)
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH].tolist()
            found = self._batch([texts[row] for row in rows], rng, draws, device)
            for row, text in zip(rows, found, strict=True):
                new[row] = text
        return new

    def _batch(
        self,
        texts: list[str],
        rng: np.random.Generator,
        draws: torch.Generator,
        device: torch.device,
    ) -> list[str]:
        """One batch of texts, rewritten."""
        read = self._tokenizer(
            [text[:_CHARACTERS] for text in texts],
            padding=True,
            truncation=True,
            max_length=self._tokens,
            return_offsets_mapping=True,
            return_tensors="pt",
        )
        offsets = read.pop("offset_mapping").tolist()
        tokens = read["input_ids"]
        masked = torch.stack([self._chosen(read, row, rng) for row in range(len(texts))])
        if not masked.any():
            return texts
        inputs = {name: tensor.to(device) for name, tensor in read.items()}
        inputs["input_ids"] = tokens.masked_fill(masked, self._tokenizer.mask_token_id).to(device)
        logits = self._model(**inputs).logits[masked.to(device)].float().cpu()  # (masked, words)
        own = tokens[masked]
        logits[self._kind != self._kind[own][:, None]] = -torch.inf
        logits.scatter_(1, own[:, None], -torch.inf)
        top = logits.topk(min(self.best, logits.shape[1]))
        possible = top.values[:, 0] > -torch.inf
        shares = top.values.softmax(1).masked_fill(~possible[:, None], 1.0)
        drawn = torch.multinomial(shares, 1, generator=draws)
        words = torch.where(possible, top.indices.gather(1, drawn).squeeze(1), own).tolist()
        places: list[list[tuple[int, int, int]]] = [[] for _ in texts]
        for (row, place), word in zip(masked.nonzero().tolist(), words, strict=True):
            places[row].append((*offsets[row][place], word))
        return [self._put(text, where) for text, where in zip(texts, places, strict=True)]

    def _chosen(self, read: Any, row: int, rng: np.random.Generator) -> torch.Tensor:
        """(tokens,) true at a share of a text's words, counted among all of them."""
        words = read.word_ids(row)
        pieces: dict[int, list[int]] = {}
        for place, word in enumerate(words):
            if word is not None:
                pieces.setdefault(word, []).append(place)
        kinds = self._kind[read["input_ids"][row]].tolist()
        spoken = [p for p in pieces.values() if any(kinds[place] for place in p)]
        possible = [p[0] for p in spoken if len(p) == 1]
        wanted = int(self.share * len(spoken) + rng.random())
        chosen = torch.zeros(len(words), dtype=torch.bool)
        chosen[rng.permutation(possible)[:wanted].astype(np.int64)] = True
        return chosen

    def _put(self, text: str, where: list[tuple[int, int, int]]) -> str:
        """The text with words (begin, end, token) in it; a space before a word stays."""
        for begin, end, word in sorted(where, reverse=True):
            token = self._tokenizer.convert_ids_to_tokens(word)
            spoken = self._tokenizer.convert_tokens_to_string([token]).strip()
            old = text[begin:end]
            space = old[: len(old) - len(old.lstrip())]
            text = text[:begin] + space + spoken + text[end:]
        return text


def _kinds(tokenizer: Any, size: int) -> torch.Tensor:
    """(size,) 0 for tokens that are no words, else one number for words that begin alike."""
    kinds = torch.zeros(size, dtype=torch.long)
    special = set(tokenizer.all_special_ids)
    for token, number in tokenizer.get_vocab().items():
        mark = next((i for i, mark in enumerate(_MARKS) if token.startswith(mark)), len(_MARKS))
        if number < size and number not in special and any(sign.isalnum() for sign in token):
            # BERT keeps places for words that never came.
            kinds[number] = 0 if token.startswith("[unused") else mark + 1
    return kinds


def _load(folder: Path) -> tuple[Any, Any, int]:
    """Tokeniser, model, and how many tokens it can hold; SettingError where there is none."""
    try:
        from transformers import AutoModelForMaskedLM, AutoTokenizer
        from transformers.utils import logging
    except ImportError as absent:
        raise MissingExtraError("text", f"rewriting by '{folder}'") from absent
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if not (folder / "config.json").is_file():
        fix = (
            "There is no such folder, or it holds no config.json. Name what save_pretrained wrote."
        )
        raise SettingError("rewriter", _WANTED, str(folder), fix)
    how = {"local_files_only": True, "trust_remote_code": False}
    try:
        with LOADING:
            tokenizer = AutoTokenizer.from_pretrained(folder, **how)
            model, told = AutoModelForMaskedLM.from_pretrained(
                folder, use_safetensors=True, output_loading_info=True, **how
            )
    except Exception as failed:  # Rust parsers and model code raise anything
        said = " ".join(str(failed).split())[:300]
        raise SettingError(
            "rewriter", _WANTED, str(folder), f"It cannot be loaded: {said}"
        ) from failed
    if missing := sorted(told["missing_keys"]):
        # The library would fill them with random numbers and only whisper about it.
        fix = f"The weights lack {len(missing)} tensors of such a model: {missing[0]} …"
        raise SettingError("rewriter", _WANTED, str(folder), fix)
    if not tokenizer.is_fast or tokenizer.mask_token_id is None:
        fix = "Its tokeniser has no mask token, or cannot say where its tokens stand."
        raise SettingError("rewriter", _WANTED, str(folder), fix)
    # Some families keep the first two places of their table for padding.
    places = getattr(model.config, "max_position_embeddings", None) or _TOKENS + 2
    tokens = min(_TOKENS, tokenizer.model_max_length, places - 2)
    return tokenizer, model.float().eval().requires_grad_(False), tokens
