"""A text transformer from a folder, trained further: nothing is downloaded."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from leaven.core.errors import SettingError
from leaven.core.recipe import Training
from leaven.data.dataset import Dataset
from leaven.data.words import MASK
from leaven.learn.front import Front
from leaven.learn.method import METHODS, Problem, Step
from leaven.learn.network import Network
from leaven.learn.subwords import trainable

transformers = pytest.importorskip("transformers")

WORDS = ["card", "lost", "stolen", "bank", "money", "transfer", "pending", "rate"]
SAID = ["card lost", "money transfer pending", "bank", "rate money"] * 6


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def saved(folder: Path, kind: str) -> Path:
    folder.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    torch.manual_seed(0)
    t, n = transformers, len(vocabulary)
    body = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    body |= {"vocab_size": n, "intermediate_size": 32, "max_position_embeddings": 24}
    model = {
        "bert": lambda: t.BertModel(t.BertConfig(**body)),
        "mpnet": lambda: t.MPNetModel(t.MPNetConfig(**body, pad_token_id=0)),
        "electra": lambda: t.ElectraModel(t.ElectraConfig(**body, embedding_size=8)),
        "distilbert": lambda: t.DistilBertModel(
            t.DistilBertConfig(
                vocab_size=n, dim=16, n_layers=2, n_heads=2, hidden_dim=32,
                max_position_embeddings=24,
            )
        ),
    }[kind]()  # fmt: skip
    model.save_pretrained(folder)
    t.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def dataset(said: list[str] = SAID) -> Dataset:
    labels = ["a", "b", "a", "b"] * 2 + [None] * len(said)
    return Dataset.from_arrays(said, labels[: len(said)], modality="text")


@pytest.mark.parametrize("kind", ["bert", "electra", "distilbert", "mpnet"])
def test_it_says_what_the_library_s_model_says(kind: str, tmp_path: Path):
    folder = saved(tmp_path / "model", kind)
    front, encoder = trainable(str(folder), dataset())
    assert front.views.name == "text"
    arrays, _ = front.decode(dataset())
    assert arrays["tokens"].shape == (len(SAID), front.arrays_spec["length"])
    encoder.eval()
    model = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        found = encoder(arrays.batch(np.arange(4)))
        for row, text in zip(found, SAID[:4], strict=True):
            wanted = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)
            torch.testing.assert_close(row, wanted, atol=1e-5, rtol=1e-4)


def test_a_mask_and_an_empty_text_enter_too(tmp_path: Path):
    _, encoder = trainable(str(saved(tmp_path / "model", "bert")), dataset())
    tokens = torch.tensor([[6, MASK, 0], [0, 0, 0]], dtype=torch.int32)
    entered = encoder.enter({"tokens": tokens})
    table = encoder.model.get_input_embeddings().weight
    for place, number in enumerate([2, 5, 4, 3]):  # [CLS] card [MASK] [SEP]
        torch.testing.assert_close(entered[0, place, :-1], table[number])
    assert entered[..., -1].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert torch.isfinite(encoder.represent(entered)).all()


def test_of_states_of_the_past_later_tokens_change_nothing(tmp_path: Path):
    _, encoder = trainable(str(saved(tmp_path / "model", "bert")), dataset())
    encoder.eval()
    one, other = (torch.tensor([[6, 7, last]], dtype=torch.int32) for last in (8, 9))
    with torch.no_grad():
        states = [encoder.states(encoder.enter({"tokens": t}), causal=True) for t in (one, other)]
    torch.testing.assert_close(states[0][:, :3], states[1][:, :3])
    assert (states[0][:, 3] - states[1][:, 3]).abs().max() > 1e-4


@pytest.mark.parametrize("adapt", ["full", "head", "partial", "lora"])
def test_it_is_trained_as_asked_saved_and_loaded_without_its_folder(adapt: str, tmp_path: Path):
    folder, records = saved(tmp_path / "model", "bert"), dataset()
    front, encoder = trainable(str(folder), records)
    arrays, _ = front.decode(records)
    problem = Problem(
        arrays=arrays,
        spec=front.arrays_spec,
        modality=front.views.name,
        targets=records.targets,
        task="classification",
        classes=2,
        train=records.labelled,
        unlabelled=records.unlabelled,
        encoder=encoder.name,
        steps=4,
        start=encoder,
        training=Training(adapt=adapt, labelled_batch=8),
    )
    before = {name: t.clone() for name, t in encoder.state_dict().items()}
    fit = METHODS["supervised"].fit(problem)
    network = _trained(fit)
    changed = {
        name.split(".layer.")[-1][0] if ".layer." in name else name.split(".")[1]
        for name, tensor in network.encoder.state_dict().items()
        if not torch.equal(tensor, before[name])
    }
    wanted = {"head": set(), "partial": {"1"}, "lora": {"0", "1"}}
    assert changed == wanted.get(adapt, {"embeddings", "0", "1"})
    network.save(tmp_path / "network")
    for path in sorted(folder.iterdir()):
        path.unlink()
    again = Network.load(tmp_path / "network")
    np.testing.assert_array_equal(again.logits(arrays), network.logits(arrays))


def test_texts_are_read_the_same_by_a_saved_front_and_another_folder_is_noticed(tmp_path: Path):
    folder = saved(tmp_path / "model", "bert")
    front, _ = trainable(str(folder), dataset())
    again = Front(**json.loads(json.dumps(asdict(front))))
    tokens = [one.decode(dataset())[0]["tokens"] for one in (front, again)]
    np.testing.assert_array_equal(*tokens)
    told = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(told.replace('"money"', '"honey"'))
    with pytest.raises(SettingError, match="the one of the run"):
        again.decode(dataset())


def _trained(fit: Generator[Step, None, Network]) -> Network:
    while True:
        try:
            next(fit)
        except StopIteration as done:
            network: Network = done.value
            return network


def test_a_fit_adapts_it_and_predicts(tmp_path: Path):
    """`adapt` says that it is trained; without, its features are frozen."""
    from leaven import api

    folder = saved(tmp_path / "model", "bert")
    rng = np.random.default_rng(0)
    kinds = np.arange(60) % 2
    texts = [" ".join(rng.choice(WORDS[k * 3 : k * 3 + 4], 6)) for k in kinds]
    labels = [f"kind {k}" if i < 24 else None for i, k in enumerate(kinds)]
    dataset = Dataset.from_arrays(texts, labels, modality="text")
    asked = {"encoder": str(folder), "method": "supervised", "budget": "3steps", "out": tmp_path}
    run = api.fit(dataset, settings={"training.adapt": "lora"}, **asked)
    assert run.predictor.network.encoder.name == "subword-transformer"
    assert len(api.predict(run, texts).table) == 60
    frozen = api.fit(dataset, **asked)
    assert frozen.predictor.network.encoder.modality == "embedding"
    with pytest.raises(SettingError, match="rewrite"):
        api.fit(dataset, settings={"training.adapt": "lora"}, rewrite="context", **asked)
