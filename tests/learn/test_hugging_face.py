"""The frozen encoder path, with a tiny BERT made on the spot: nothing is downloaded."""

from __future__ import annotations

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

import leaven
from leaven.core.errors import SettingError
from leaven.data.dataset import Dataset
from leaven.learn.extractor import find_extractor, open_extractor
from leaven.learn.pretrained import load
from leaven.learn.reduced import CLOSE

transformers = pytest.importorskip("transformers")

WORDS = ["card", "lost", "stolen", "bank", "blocked"]
WORDS += ["money", "transfer", "pending", "rate", "euro", "dollar", "today"]
TOPICS = {"card": WORDS[:5], "money": WORDS[5:]}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers with random weights, saved as the library saves it."""
    folder = tmp_path_factory.mktemp("encoder") / "tiny-bert"
    folder.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    words = folder / "vocab.txt"
    words.write_text("\n".join(vocabulary))
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=24,
        initializer_range=0.5,
    )
    transformers.BertModel(config).save_pretrained(folder)
    transformers.BertTokenizerFast(str(words)).save_pretrained(folder)
    return folder


@pytest.fixture
def encoder(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(made, tmp_path / "encoder"))


def test_threads_that_load_at_once_leave_torch_as_it_is(
    encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library replaces functions of torch while it loads, and puts back what it has met."""
    load_one, within, most = transformers.AutoModel.from_pretrained, [], []

    def slow(*args: object, **how: object) -> object:
        within.append(1)
        most.append(len(within))
        time.sleep(0.02)
        try:
            return load_one(*args, **how)
        finally:
            within.pop()

    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", slow)
    before = torch.linspace, torch.nn.init.normal_
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: load(str(encoder), "one", "text", read_nothing), range(4)))
    assert most == [1, 1, 1, 1]
    assert (torch.linspace, torch.nn.init.normal_) == before


def read_nothing(name: str, how: dict[str, object]) -> None:
    """In the place of a tokeniser."""


def texts(n: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(TOPICS["card" if i % 2 else "money"], 4)) for i in range(n)]


def frame() -> pd.DataFrame:
    labels = ["card" if i % 2 else "money" for i in range(16)] + [None] * 44
    return pd.DataFrame({"text": texts(60), "label": labels})


def extract(folder: Path, said: list[str]) -> np.ndarray:
    extractor = find_extractor(str(folder), "text")
    assert extractor is not None
    features = extractor.extract(Dataset.from_arrays(said, modality="text"), {"column": "text"})
    return features[:, : -extractor.description["inner"]]  # what is pooled


def change(folder: Path, tensor: str) -> None:
    weights = load_file(folder / "model.safetensors")
    weights[tensor] = weights[tensor] + 1.0
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_run_is_made_predicts_and_still_does_where_it_is_copied_to(encoder, tmp_path):
    told = {"label": "label", "method": "label-spreading", "budget": "5steps"}
    run = leaven.fit(frame(), encoder=str(encoder), out=tmp_path / "runs", **told)
    here = run.predict(texts(9, seed=1))
    assert here.shape == (9, 2)
    np.testing.assert_allclose(here.sum(1), 1)
    moved = shutil.move(run.folder, tmp_path / "elsewhere")
    np.testing.assert_array_equal(leaven.Run.load(moved).predict(texts(9, seed=1)), here)

    change(encoder, "encoder.layer.1.output.dense.weight")
    with pytest.raises(SettingError, match="'encoder' must be the one of the run"):
        leaven.Run.load(moved).predict(texts(3))
    shutil.rmtree(encoder)
    with pytest.raises(SettingError, match="no such folder"):
        leaven.Run.load(moved).predict(texts(3))


def test_features_are_the_mean_of_the_last_states_over_the_words(made, monkeypatch):
    said = ["card lost", "money transfer pending today", "euro"]
    model = transformers.BertModel.from_pretrained(made).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(made)
    wanted = []
    for text in said:  # one at a time, so without padding
        with torch.no_grad():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        wanted.append(torch.nn.functional.normalize(states.mean(0), dim=0).numpy())
    assert (extract(made, said) * np.stack(wanted)).sum(1).min() >= CLOSE
    monkeypatch.setattr("leaven.learn.reduced.has_bf16", lambda: False)
    monkeypatch.setattr("leaven.learn.reduced._has_int8", lambda: False)
    np.testing.assert_allclose(extract(made, said), np.stack(wanted), atol=1e-5)


def test_long_texts_are_cut_to_what_the_model_can_hold(made):
    long = " ".join(WORDS * 5000)
    assert len(long) > 300_000
    features = extract(made, [long, " ".join(WORDS * 3)])
    np.testing.assert_allclose(features[0], features[1], atol=1e-2)


def test_the_digest_knows_weights_words_and_shape_but_not_the_place(encoder, tmp_path):
    first = find_extractor(str(encoder), "text").description["digest"]
    moved = Path(shutil.copytree(encoder, tmp_path / "moved"))
    assert find_extractor(str(moved), "text").description["digest"] == first
    change(moved, "encoder.layer.0.attention.self.query.weight")
    assert find_extractor(str(moved), "text").description["digest"] != first
    config = json.loads((encoder / "config.json").read_text())
    (encoder / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 0.1}))
    assert find_extractor(str(encoder), "text").description["digest"] != first


def test_a_changed_word_list_is_another_encoder(encoder):
    description = find_extractor(str(encoder), "text").description
    told = (encoder / "tokenizer.json").read_text()
    (encoder / "tokenizer.json").write_text(told.replace('"money"', '"honey"'))
    with pytest.raises(SettingError, match="'encoder' must be the one of the run"):
        open_extractor(description)


def _cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-40])


def _pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def _fewer(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _garbage(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")


def _no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def _own_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "evil.C", "AutoModel": "evil.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    ran = folder / "ran"
    (folder / "evil.py").write_text(f"open({str(ran)!r}, 'w').close()")


@pytest.mark.parametrize("damage", [_cut, _pickle, _fewer, _garbage, _no_config, _own_code])
def test_a_folder_that_cannot_be_used_is_refused_and_none_of_its_code_run(encoder, damage):
    damage(encoder)
    with pytest.raises(SettingError, match="'encoder' must be a folder or hub name"):
        find_extractor(str(encoder), "text")
    assert not (encoder / "ran").exists()


def test_an_encoder_is_loaded_once_for_a_run_and_its_predictions(encoder, monkeypatch):
    loaded = []
    load = transformers.AutoModel.from_pretrained

    def counted(name, **how):
        loaded.append(name)
        return load(name, **how)

    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", counted)
    description = find_extractor(str(encoder), "text").description
    open_extractor(description)
    open_extractor(description)
    assert loaded == [str(encoder)]


def test_names_that_fit_nothing_are_refused(made):
    with pytest.raises(SettingError, match="Did you mean 'ngram-bag'"):
        find_extractor("ngram-bog", "text")
    with pytest.raises(SettingError, match="one that reads text records .*ngram-bag.*tabular-mlp"):
        find_extractor("tabular-mlp", "text")
    with pytest.raises(SettingError, match="Folders and hub names serve text, image"):
        find_extractor(str(made), "tabular")
    assert find_extractor("base", "text") is None
    assert find_extractor("ngram-bag", "text") is None
    assert find_extractor("", "image") is None


def test_an_encoder_of_ours_goes_before_a_folder_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ngram-bag").mkdir()
    assert find_extractor("ngram-bag", "text") is None
    with pytest.raises(SettingError, match=r"no config\.json"):
        find_extractor("./ngram-bag", "text")
