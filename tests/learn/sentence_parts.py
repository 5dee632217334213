"""A sentence encoder of random weights that knows some words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import transformers

WORDS = ["card", "lost", "stolen", "bank", "blocked", "money", "transfer", "pending", "rate"]


def tiny_encoder(folder: Path, words: Sequence[str] = WORDS) -> Path:
    """Written into the folder, as Hugging Face's files."""
    folder.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    torch.manual_seed(0)
    body = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), intermediate_size=32, max_position_embeddings=40, **body
    )
    transformers.BertModel(config).save_pretrained(folder)
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder
