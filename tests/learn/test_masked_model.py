"""Rewriting by a masked language model, with a tiny BERT made on the spot."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from leaven.core.errors import MissingExtraError, SettingError
from leaven.data.rewriting import rewritten
from leaven.learn.masked_model import MaskedModelRewriter

transformers = pytest.importorskip("transformers")

WORDS = ["card", "lost", "stolen", "bank", "blocked", "money", "transfer", "today"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]", *WORDS, "##s", "!", ","]


def save(model: Callable[[Any], Any], folder: Path) -> None:
    """A model of two layers with random weights, as the library saves it."""
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=24,
        initializer_range=0.5,
    )
    model(config).save_pretrained(folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masked") / "tiny-bert"
    folder.mkdir()
    words = folder / "vocab.txt"
    words.write_text("\n".join(VOCABULARY))
    save(transformers.BertForMaskedLM, folder)
    transformers.BertTokenizerFast(str(words)).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(made, tmp_path / "model"))


def test_words_are_replaced_by_words_and_the_rest_stays(made: Path) -> None:
    text = "Card lost,  cards STOLEN!  zzz"
    changed = 0
    for said in MaskedModelRewriter(made, share=0.6)([text] * 40):
        first, second, gap, plural, third, rest = (
            *said[:-5].replace(",", " , ").split(),
            said[-5:],
        )
        assert first in {"Card", *WORDS}
        assert second in {"lost", *WORDS}
        assert gap == ","
        assert plural == "cards", "of more than one token"
        assert third in {"STOLEN!", *(word + "!" for word in WORDS)}
        assert rest == "  zzz"
        assert ",  cards" in said
        changed += (first != "Card") + (second != "lost") + (third != "STOLEN!")
    # 2.4 of the four words, of which three can be replaced.
    assert 70 < changed < 120


def test_the_words_are_the_models_likeliest(made: Path) -> None:
    """Each masked word by itself, through the model as the library gives it."""
    texts = ["card lost today", "money transfer blocked bank"]
    model = transformers.BertForMaskedLM.from_pretrained(made).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(made)
    rewriter = MaskedModelRewriter(made, share=0.34, best=1)
    seen = set()
    for copy in range(12):
        for text, said in zip(texts, rewriter([*texts, "!" * copy])[:2], strict=True):
            own, new = text.split(), said.split()
            places = [i for i, (a, b) in enumerate(zip(own, new, strict=True)) if a != b]
            masked = [w if i not in places else "[MASK]" for i, w in enumerate(own)]
            with torch.no_grad():
                logits = model(**tokenizer(" ".join(masked), return_tensors="pt")).logits[0]
            for place in places:
                allowed = [w for w in WORDS if w != own[place]]
                numbers = tokenizer.convert_tokens_to_ids(allowed)
                assert new[place] == allowed[int(logits[1 + place, numbers].argmax())]
                seen.add((text, place))
    assert len(seen) > 4


def test_one_seed_gives_one_rewriting_and_copies_differ(made: Path) -> None:
    texts = [" ".join(WORDS[i:] + WORDS[:i]) for i in range(8)]
    one = MaskedModelRewriter(made, 0.4, seed=1)
    assert one(texts) == MaskedModelRewriter(made, 0.4, seed=1)(texts)
    assert one(texts) != MaskedModelRewriter(made, 0.4, seed=2)(texts)
    (copies,) = rewritten(texts[:1], one, 20)
    assert len(set(copies.to_pylist())) > 10


def test_empty_and_long_texts_and_none(made: Path) -> None:
    long = " ".join(["bank today"] * 500)
    rewriter = MaskedModelRewriter(made, share=0.5)
    empty, marks, said = rewriter(["", "!! ,", long])
    assert (empty, marks) == ("", "!! ,")
    assert len(said.split()) == 1000
    assert said.split()[30:] == long.split()[30:], "what the model cannot hold stays"
    assert said != long
    assert rewriter([]) == []
    assert MaskedModelRewriter(made, share=0.0)([long]) == [long]


def _no_folder(folder: Path) -> str:
    shutil.rmtree(folder)
    return "There is no such folder"


def _no_head(folder: Path) -> str:
    save(transformers.BertModel, folder)
    return "lack .* tensors of such a model: cls"


def _pickle(folder: Path) -> str:
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return "It cannot be loaded"


def _no_mask(folder: Path) -> str:
    words = folder / "vocab.txt"
    words.write_text("\n".join(VOCABULARY))
    tokenizer = transformers.BertTokenizerFast(str(words), mask_token=None)
    tokenizer.save_pretrained(folder)
    return "no mask token"


@pytest.mark.parametrize("damage", [_no_folder, _no_head, _pickle, _no_mask])
def test_a_folder_that_cannot_be_used_is_refused(
    folder: Path, damage: Callable[[Path], str]
) -> None:
    said = damage(folder)
    with pytest.raises(SettingError, match=f"'rewriter' must be a folder of a masked .*{said}"):
        MaskedModelRewriter(folder)


def test_settings_have_bounds_and_the_extra_is_named(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingError, match="'share' must be"):
        MaskedModelRewriter(made, share=-0.1)
    with pytest.raises(SettingError, match="'best' must be"):
        MaskedModelRewriter(made, best=0)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match="needs the extra 'text'"):
        MaskedModelRewriter(made)
