"""Frozen sentence encoders: pooling by their own files, precision, batches and the store."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from leaven.core.errors import SettingError
from leaven.data.dataset import Dataset
from leaven.learn import reduced as bits
from leaven.learn.extractor import find_extractor, open_extractor
from leaven.learn.extractors import text as adapter
from leaven.learn.reduced import CLOSE, RowInt8
from leaven.learn.sentence_pooling import SentencePooling

transformers = pytest.importorskip("transformers")

from tests.learn.sentence_parts import WORDS, tiny_encoder  # noqa: E402

SPEC = {"column": "text"}


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("LEAVEN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bits, "has_bf16", lambda: False)
    monkeypatch.setattr(bits, "_has_int8", lambda: False)


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    return tiny_encoder(tmp_path / "model")


def texts(n: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, 1 + i % 20)) for i in range(n)]


def extract(folder: Path, said: list[str]) -> np.ndarray:
    """What is pooled, without the inner states behind it."""
    found = find_extractor(str(folder), "text")
    assert found is not None
    features = found.extract(Dataset.from_arrays(said, modality="text"), SPEC)
    return features[:, : -found.description["inner"]]


def steps(folder: Path, pooling: dict[str, object], *more: str) -> None:
    """The files by which an encoder says how it pools."""
    names = ["Transformer", "Pooling", *more]
    listed = [
        {"idx": i, "name": str(i), "path": f"{i}_{step}", "type": f"a.library.{step}"}
        for i, step in enumerate(names)
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))


def pooled(ways: list[str], states: np.ndarray) -> np.ndarray:
    """Of one text's (tokens, width) states, in the order in which ways are joined."""
    count = np.arange(1, len(states) + 1)[:, None]
    known = {
        "cls": states[0],
        "max": states.max(0),
        "mean": states.mean(0),
        "mean_sqrt_len_tokens": states.sum(0) / np.sqrt(len(states)),
        "weightedmean": (states * count).sum(0) / count.sum(),
        "lasttoken": states[-1],
    }
    return np.concatenate([value for name, value in known.items() if name in ways])


@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize(
    ("config", "ways"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, ["cls"]),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, ["mean"]),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}, ["max", "mean"]),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, ["mean_sqrt_len_tokens"]),
        ({"pooling_mode_weightedmean_tokens": True}, ["weightedmean"]),
        ({"pooling_mode_lasttoken": True}, ["lasttoken"]),
        ({"pooling_mode": "cls"}, ["cls"]),
    ],
)
def test_pooling_is_the_encoder_s_own(encoder, exact, config, ways, unit):
    steps(encoder, config, *(["Normalize"] if unit else []))
    said = texts(9)
    model = transformers.BertModel.from_pretrained(encoder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder)
    for found, one in zip(extract(encoder, said), said, strict=True):
        with torch.no_grad():
            states = model(**tokenizer(one, return_tensors="pt")).last_hidden_state[0].numpy()
        wanted = pooled(ways, states.astype(np.float64))
        wanted /= np.linalg.norm(wanted) if unit else 1
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_inner_states_are_those_of_the_layers_before_the_last(encoder, exact):
    found, said = find_extractor(str(encoder), "text"), texts(9)
    inner = found.extract(Dataset.from_arrays(said, modality="text"), SPEC)[
        :, -found.loaded.inner :
    ]
    model = transformers.BertModel.from_pretrained(encoder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder)
    assert model.config.num_hidden_layers > 1
    for own, one in zip(inner, said, strict=True):
        with torch.no_grad():
            seen = model(**tokenizer(one, return_tensors="pt"), output_hidden_states=True)
        means = [layer[0].mean(0).double().numpy() for layer in seen.hidden_states[1:-1]]
        wanted = np.mean([mean / np.linalg.norm(mean) for mean in means], 0)
        np.testing.assert_allclose(own, wanted, atol=1e-5)


def test_a_run_from_before_inner_states_were_read_has_its_own_features(encoder, exact):
    found, said = find_extractor(str(encoder), "text"), texts(9)
    before = {k: v for k, v in found.description.items() if k != "inner"}
    before["width"] = found.loaded.width
    features = open_extractor(before).extract(Dataset.from_arrays(said, modality="text"), SPEC)
    np.testing.assert_array_equal(features, extract(encoder, said))


def test_padding_on_the_left_changes_nothing():
    states = torch.randn(1, 4, 3)
    padded = torch.cat([torch.randn(1, 2, 3), states], 1)
    mask = torch.tensor([[0, 0, 1, 1, 1, 1]])
    for way in ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"):
        pooling = SentencePooling((way,))
        torch.testing.assert_close(pooling(padded, mask), pooling(states, mask[:, 2:]))


def test_longest_text_and_case_are_the_encoder_s_own(encoder, exact):
    steps(encoder, {"pooling_mode_mean_tokens": True})
    whole = extract(encoder, [" ".join(WORDS), " ".join(WORDS[:3]), "CARD", "card"])
    told = {"max_seq_length": 5, "do_lower_case": True}
    (encoder / "sentence_bert_config.json").write_text(json.dumps(told))
    cut = extract(encoder, [" ".join(WORDS), " ".join(WORDS[:3]), "CARD", "card"])
    assert np.abs(whole[0] - whole[1]).max() > 1e-3
    np.testing.assert_allclose(cut[0], cut[1], atol=1e-5)
    np.testing.assert_allclose(cut[2], cut[3], atol=1e-5)


@pytest.mark.parametrize(
    ("config", "more", "said"),
    [
        ({"pooling_mode_magic": True}, [], "pools by pooling_mode_magic"),
        ({"pooling_mode_mean_tokens": False}, [], "pools by nothing"),
        ({"pooling_mode_mean_tokens": True}, ["Dense"], "step Dense is not known"),
    ],
)
def test_a_step_that_is_not_known_is_refused(encoder, config, more, said):
    steps(encoder, config, *more)
    with pytest.raises(SettingError, match=said):
        find_extractor(str(encoder), "text")


@pytest.mark.parametrize("precision", ["bf16", "int8", "fp32"])
def test_features_do_not_hang_on_what_shares_their_batch(encoder, monkeypatch, precision):
    if precision == "int8" and not torch.cpu._is_vnni_supported():
        pytest.skip("the processor has no products of 8 bits")
    monkeypatch.setattr(bits, "has_bf16", lambda: precision == "bf16")
    monkeypatch.setattr(bits, "_has_int8", lambda: precision == "int8")
    found = find_extractor(str(encoder), "text")
    assert found.description["precision"] == precision
    assert found.description["digest"].endswith(precision)
    said = texts(40)
    together = found.extract(Dataset.from_arrays(said, modality="text"), SPEC)
    monkeypatch.setenv("LEAVEN_CACHE", "off")
    monkeypatch.setitem(adapter._BUDGET, "cpu", 1)
    alone = found.extract(Dataset.from_arrays(said, modality="text"), SPEC)
    near = {"fp32": 1e-5, "int8": 1e-4, "bf16": 2e-2}[precision]
    np.testing.assert_allclose(together, alone, atol=near)
    monkeypatch.setattr(bits, "has_bf16", lambda: False)
    monkeypatch.setattr(bits, "_has_int8", lambda: False)
    own = together[:, : -found.description["inner"]]
    assert (extract(encoder, said) * own).sum(1).min() >= CLOSE


def test_a_model_that_fewer_bits_change_keeps_all_of_them(monkeypatch):
    monkeypatch.setattr(bits, "has_bf16", lambda: True)
    probe = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))

    def features(model: torch.nn.Linear) -> torch.Tensor:
        return model(probe.to(model.weight.dtype)).float() - 100  # what is left is rounding

    linear = torch.nn.Linear(4, 3)
    assert bits.settled(linear, lambda model: model(probe.to(model.weight.dtype))) == "bf16"
    torch.nn.init.constant_(linear.bias, 100)
    assert bits.settled(linear, features) == "fp32"


@pytest.mark.skipif(not torch.cpu._is_vnni_supported(), reason="no products of 8 bits")
def test_rows_of_8_bits_are_what_they_say():
    rng = torch.Generator().manual_seed(0)
    linear = torch.nn.Linear(24, 8)
    inputs = torch.randn(2, 5, 24, generator=rng) * torch.tensor([0.01, 1, 9, 100, 0])[:, None]
    with torch.no_grad():
        found = RowInt8(linear)(inputs).numpy()
    weight, bias = linear.weight.detach().numpy(), linear.bias.detach().numpy()
    for row in np.ndindex(2, 5):
        x = inputs[row].numpy().astype(np.float64)
        step = max(np.abs(x).max(), 1e-12) / 127
        whole = [np.rint(x / step) @ np.rint(w * 127 / np.abs(w).max()) for w in weight]
        wanted = np.array(whole) * step * np.abs(weight).max(1) / 127 + bias
        # A number that lies between two steps may go either way in single precision.
        np.testing.assert_allclose(found[row], wanted, atol=2 * step * np.abs(weight).max() + 1e-6)


def test_only_new_texts_are_encoded_and_equal_ones_once(encoder, monkeypatch):
    seen: list[int] = []
    tokenised = adapter._tokenised

    def counted(loaded, said):
        seen.append(len(said))
        return tokenised(loaded, said)

    monkeypatch.setattr(adapter, "_tokenised", counted)
    first = extract(encoder, ["card lost", "money", "card lost", "rate"])
    assert seen == [3]
    np.testing.assert_array_equal(first[0], first[2])
    again = extract(encoder, ["rate", "bank", "card lost"])
    assert seen == [3, 1]
    np.testing.assert_array_equal(again[[0, 2]], first[[3, 0]])
    description = find_extractor(str(encoder), "text").description
    (encoder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 4}))
    (encoder / "modules.json").write_text("[]")
    with pytest.raises(SettingError, match="the one of the run"):
        open_extractor(description)
    extract(encoder, ["rate", "bank"])  # another encoder knows nothing yet
    assert seen == [3, 1, 2]


def test_missing_and_empty_texts_have_features_too(encoder):
    assert np.isfinite(extract(encoder, ["card", "", " "])).all()


MANY_AT_ONCE = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from leaven.learn.extractor import open_extractor

described = json.loads(sys.argv[1])
with ThreadPoolExecutor(8) as pool:
    print(len([*pool.map(lambda _: open_extractor(described), range(8))]))
"""


def test_many_threads_may_ask_for_it_at_once(encoder: Path) -> None:
    """The first import of a large package in several threads at a time fails."""
    found = find_extractor(str(encoder), "text")
    assert found is not None
    command = [sys.executable, "-c", MANY_AT_ONCE, json.dumps(found.description)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "8\n"), done.stderr
