"""Text encoders from elsewhere, tiny ones with random weights: the same as a graph, tokens too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import leaven
from leaven import exporting
from leaven.core.errors import SettingError
from leaven.data.dataset import Dataset
from leaven.learn import reduced
from leaven.learn.adapt import add_adapters
from leaven.learn.extractors.text import SentenceEncoder
from leaven.learn.predictor import Predictor
from leaven.learn.subwords import trainable
from leaven.operate.export.bundle import write_code, write_description
from leaven.operate.export.families import KNOWN
from leaven.operate.export.network import described, graph_of
from leaven.operate.export.parity import in_32_bits, on_made, on_records, required
from leaven.operate.export.runtime import opened
from leaven.operate.export.served import attach, served
from tests.operate.frozen_encoders import frozen, headed
from tests.operate.test_export import ASK, process
from tests.serve.models.released import said as made_texts

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

WORDS = ("card", "lost", "stolen", "bank", "blocked", "money", "transfer", "##ed", "##s", "rate")
#: What no tokeniser may read otherwise than the run's does.
ODD = [
    "Card, lost!", "CARD stolen\nbank\tmoney  rate", "[SEP] lost [PAD] </s> <pad> card [MASK]",
    "naïve café résumé", "日本 の card", "🙂 bank 🇪🇺", "a\u200bb c\u0301", "x" * 300, "1 000,00 €",
    "\ufffd\x00\x07 lost", "rates transfered", "card " * 60,
]  # fmt: skip


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "cache"))


def exact(monkeypatch: pytest.MonkeyPatch, *, bf16: bool = False) -> None:
    """As on a processor with these instructions."""
    monkeypatch.setattr(reduced, "has_bf16", lambda: bf16)
    monkeypatch.setattr(reduced, "_has_int8", lambda: False)


def wordpiece() -> Any:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [*"abcdefghijklmnopqrstuvwxyz.,!", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz")]
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys([*special, *letters, *WORDS]))}
    made = tokenizers.BertWordPieceTokenizer(vocab=vocabulary)
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made._tokenizer, **dict(zip(names, special, strict=True))
    )


def byte_pairs() -> Any:
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    made = tokenizers.ByteLevelBPETokenizer()
    made.train_from_iterator([" ".join(WORDS)] * 3, 320, 1, False, special)
    ends = [("</s>", 2), ("<s>", 0)]
    made._tokenizer.post_processor = tokenizers.processors.RobertaProcessing(*ends)
    names = ("bos_token", "pad_token", "eos_token", "unk_token", "mask_token")
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made._tokenizer, **dict(zip(names, special, strict=True))
    )


def pieces() -> Any:
    """Of whole words after a mark, as sentencepiece has them."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    scores = [(word, -1.0 - i) for i, word in enumerate(["▁", *"abcdefghilmnorstu", "▁card"])]
    made = tokenizers.Tokenizer(
        tokenizers.models.Unigram([(s, 0.0) for s in special] + scores, unk_id=3)
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", eos_token="</s>"
    )


def saved(family: str, folder: Path, **settings: Any) -> Path:
    """A folder of a model of the family with two layers."""
    torch.manual_seed(0)
    read = {"roberta": byte_pairs, "xlm-roberta": pieces, "camembert": pieces}.get(
        family, wordpiece
    )()
    read.save_pretrained(folder)
    body: dict[str, Any] = {"vocab_size": len(read), "max_position_embeddings": 60}
    if family == "distilbert":
        body |= {"dim": 16, "hidden_dim": 24, "n_layers": 2, "n_heads": 2}
    else:
        body |= {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
        body |= {"num_attention_heads": 2}
    if family in ("roberta", "xlm-roberta", "camembert", "mpnet"):
        body |= {"pad_token_id": 1}
    if family == "electra":
        body |= {"embedding_size": 8}
    config = transformers.AutoConfig.for_model(family, **body | settings)
    model = transformers.AutoModel.from_config(config)
    for name, weights in model.named_parameters():
        if not name.endswith("LayerNorm.weight"):
            torch.nn.init.normal_(weights, std=0.4)
    model.save_pretrained(folder)
    return folder


def texts(count: int = 40) -> Dataset:
    rng = np.random.default_rng(0)
    said = [" ".join(rng.choice(WORDS, 1 + i % 30)) for i in range(count)]
    return Dataset.from_arrays([*ODD, *said])


def trained(folder: Path, dataset: Dataset) -> Predictor:
    """The model itself under a head, as if it had been trained on."""
    return headed(*trainable(str(folder), dataset))


def exported(predictor: Predictor, dataset: Dataset) -> Any:
    return opened(graph_of(predictor), described(predictor, dataset.columns))


@pytest.mark.parametrize("family", KNOWN)
def test_a_family_answers_alike_frozen_and_trained_on(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact(monkeypatch)
    folder, dataset = saved(family, tmp_path / family), texts()
    for make in (frozen, trained):
        predictor = make(folder, dataset)
        model = exported(predictor, dataset)
        real, made = required(on_records(predictor, model, dataset)), on_made(predictor, model)
        assert real.records == len(dataset)
        assert required(made).made
        assert made.records > 50
        spread = predictor.predict(dataset)[1].std(0).max()
        assert spread > 100 * max(real.largest, made.largest)  # or equal answers would say nothing


def test_adapters_that_stay_in_the_model(tmp_path: Path) -> None:
    dataset = texts()
    predictor = trained(saved("bert", tmp_path / "m"), dataset)
    before = predictor.predict(dataset)[1]
    places = [{"layer": number, "width": 16, "axis": -1, "rank": 4} for number in (1, 2)]
    add_adapters(predictor.network.encoder, places)
    for weights in predictor.network.encoder.adapters.parameters():
        torch.nn.init.normal_(weights, std=0.3)
    assert np.abs(predictor.predict(dataset)[1] - before).max() > 0.1
    required(on_records(predictor, exported(predictor, dataset), dataset))


def test_other_families_are_traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxscript")
    exact(monkeypatch)
    dataset = texts()
    albert = saved("albert", tmp_path / "albert", embedding_size=8, num_hidden_layers=1)
    bert = saved("bert", tmp_path / "bert", hidden_act="relu6", num_hidden_layers=1)
    for make, folder in ((frozen, albert), (trained, bert)):
        predictor = make(folder, dataset)
        model = exported(predictor, dataset)
        real, made = required(on_records(predictor, model, dataset)), on_made(predictor, model)
        spread = predictor.predict(dataset)[1].std(0).max()
        assert spread > 100 * max(real.largest, required(made).largest)


@pytest.mark.parametrize("activation", ["gelu_new", "relu", "silu"])
def test_other_nonlinearities(
    activation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact(monkeypatch)
    dataset = texts()
    predictor = frozen(saved("bert", tmp_path / "m", hidden_act=activation), dataset)
    required(on_records(predictor, exported(predictor, dataset), dataset))


@pytest.mark.parametrize("unit", [True, False])
def test_all_ways_of_pooling(unit: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exact(monkeypatch)
    folder, dataset = saved("bert", tmp_path / "m"), texts()
    (folder / "pool").mkdir()
    ways = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
    steps = [{"type": "a.Transformer", "path": ""}, {"type": "a.Pooling", "path": "pool"}]
    steps += [{"type": "a.Normalize", "path": ""}] * unit
    (folder / "modules.json").write_text(json.dumps(steps))
    (folder / "pool" / "config.json").write_text(json.dumps({"pooling_mode": ways}))
    told = {"max_seq_length": 12, "do_lower_case": True}
    (folder / "sentence_bert_config.json").write_text(json.dumps(told))
    predictor = frozen(folder, dataset)
    assert predictor.front.arrays_spec["width"] == 6 * 16
    required(on_records(predictor, exported(predictor, dataset), dataset))


def test_an_answer_hangs_on_no_other_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exact(monkeypatch)
    dataset = texts(200)
    predictor = frozen(saved("mpnet", tmp_path / "m"), dataset)
    model = exported(predictor, dataset)
    given = dataset.records["text"].to_pylist() * 3  # several blocks
    together, why = model.probabilities(given)
    alone = np.concatenate([model.probabilities([one])[0] for one in given[:20]])
    assert not why
    np.testing.assert_allclose(together[:20], alone, atol=1e-5)
    again = together[len(dataset) : 2 * len(dataset)]
    np.testing.assert_allclose(together[: len(dataset)], again, atol=1e-5)


def test_a_run_in_fewer_bits_is_held_to_32_and_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact(monkeypatch, bf16=True)
    dataset = texts()
    predictor = frozen(saved("bert", tmp_path / "m"), dataset)
    assert predictor.front.extractor["precision"] == "bf16"
    model = exported(predictor, dataset)
    required(on_records(in_32_bits(predictor), model, dataset))
    assert on_records(predictor, model, dataset).largest > 1e-4


def test_an_exported_folder_reads_tokens_without_leaven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact(monkeypatch)
    dataset = texts()
    predictor = frozen(saved("distilbert", tmp_path / "m"), dataset)
    about = described(predictor, dataset.columns)
    there = tmp_path / "there"
    there.mkdir()
    (there / "model.onnx").write_bytes(graph_of(predictor))
    write_description(there, about)
    write_code(there, about, "onnx", "0")
    assert "tokenizers>=0.21" in (there / "requirements.txt").read_text().split()
    given = [*ODD, "\ud800 lost card", "..."]
    found, modules = process(there, ASK, given)
    wanted = predictor.predict(dataset)[1][: len(ODD)]
    np.testing.assert_allclose(found[:-2], wanted, atol=1e-4)
    assert np.isfinite(found[-2]).all()
    assert np.isnan(found[-1]).all()
    assert not {"transformers", "huggingface_hub"} & set(modules)


def test_a_run_is_exported_released_and_served_by_its_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact(monkeypatch)
    said, labels = made_texts(60)
    given = [label if i < 24 else None for i, label in enumerate(labels)]
    folder = saved("bert", tmp_path / "m")
    run = leaven.fit(
        Dataset.from_arrays(said, given, name="tickets"), encoder=str(folder), method="logistic",
        out=tmp_path / "runs", budget="5s",
    )  # fmt: skip
    told = exporting.export(run, "edge", data=Dataset.from_arrays(said, labels), label=None)
    assert told["parity"]["largest"] < 1e-5
    assert told["bytes"]["int8"] <= told["bytes"]["float"]
    assert "rounded" not in told
    assert attach(run) == ""
    model = served(run.folder / "model")
    assert model is not None
    folder.rename(tmp_path / "gone")  # the encoder is in the graph
    found, why = model.probabilities(said[:20])
    assert not why
    (tmp_path / "gone").rename(folder)
    np.testing.assert_allclose(found, run.predict(said[:20]), atol=1e-5)


def test_what_has_no_exported_form_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact(monkeypatch)
    dataset = texts()
    folder = saved("bert", tmp_path / "m")
    predictor = frozen(folder, dataset)
    told = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(told | {"padding_side": "left"}))
    with pytest.raises(SettingError, match="which pads or cuts in front"):
        described(predictor, dataset.columns)
    other = frozen(saved("bert", tmp_path / "other"), dataset)
    encoder = SentenceEncoder.open(other.front.extractor)
    with monkeypatch.context() as renamed:
        renamed.setattr(SentenceEncoder, "open", lambda _: encoder)
        renamed.delattr(encoder.loaded.model.encoder.layer[0], "intermediate")
        with pytest.raises(SettingError, match="bert, whose layers are not as expected"):
            graph_of(other)
