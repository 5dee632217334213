"""Exported folders: asked as processes without Leaven, held against the run, and replaced whole."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from leaven import exporting, releasing
from leaven.cli import app
from leaven.core.errors import DataError, MissingExtraError, RunError, UnknownNameError
from leaven.data.dataset import Dataset
from leaven.evaluate.run import Run
from leaven.operate.export import exported, network
from leaven.operate.export.bundle import write_code, write_description
from leaven.operate.export.graph import quantised
from leaven.operate.export.parity import as_given
from leaven.operate.export.served import PORTABLE, attach, served
from leaven.operate.manifest import verified
from leaven.operate.registry import Registry
from leaven.store.store import Store
from tests.operate.test_export_graphs import model_of
from tests.serve.models.released import copied, said, texts

__all__ = ["texts"]

#: Nothing of these may be imported where an exported model is asked.
BARRED = ("leaven", "torch", "sklearn", "pyarrow", "pandas")
#: Runs in an exported folder: its first line bars, its last prints what was asked for as JSON.
SCRIPT = f"""
import sys, time
class Bar:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BARRED!r}:
            raise ImportError(name + " is barred")
sys.meta_path.insert(0, Bar())
began = time.perf_counter()
import base64, json
sys.path.insert(0, ".")
given = json.load(sys.stdin)
{{body}}
"""
ASK = """
from leaven_model.model import Model
found, why = Model.load(".").probabilities(given)
print(json.dumps([found.tolist(), sorted(sys.modules)]))
"""
HANDLE = """
from handler import handler
first = handler(given[0], None)
cold = time.perf_counter() - began
print(json.dumps([[first] + [handler(one, None) for one in given[1:]], cold, sorted(sys.modules)]))
"""


def process(folder: Path, body: str, given: Any) -> Any:
    """What a process says that runs in an exported folder and sees nothing of Leaven."""
    ran = subprocess.run(
        [sys.executable, "-I", "-c", SCRIPT.format(body=body)], cwd=folder, input=json.dumps(given),
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert not ran.returncode, ran.stderr
    return json.loads(ran.stdout)


def records(count: int = 60) -> Dataset:
    """Texts that the run has not seen, all with their classes."""
    return Dataset.from_arrays(*said(count, seed=9), name="more")


def test_a_folder_answers_as_the_run_does_and_says_how_exactly(texts: Run, tmp_path: Path) -> None:
    told = exporting.export(texts, data=records(), out=tmp_path / "there")
    folder = Path(told["folder"])
    assert told["parity"]["largest"] < 1e-5
    assert (told["parity"]["records"], told["parity"]["made"]) == (60, False)
    assert told["sentence"].startswith("On 60 records of the data its probabilities differ")
    assert verified(folder).run == texts.story["run"]["id"]
    assert json.loads((folder / "export.json").read_text())["parity"] == told["parity"]
    assert "leaven_model.model" in (folder / "README.md").read_text()
    assert (folder / "requirements.txt").read_text().split() == ["numpy>=1.26", "onnxruntime>=1.18"]
    given = [{"text": "card refund"}, "late parcel"]
    found, modules = process(folder, ASK, given)
    np.testing.assert_allclose(found, texts.predict(["card refund", "late parcel"]), atol=1e-5)
    assert not {"scipy", "PIL", *BARRED} & set(modules)


@pytest.mark.parametrize("name", ["pixel-components", "mel-components"])
def test_pictures_and_sounds_are_read_without_leaven(name: str, tmp_path: Path) -> None:
    predictor, dataset = model_of(name, 12)
    about = network.described(predictor, dataset.columns)
    (tmp_path / "model.onnx").write_bytes(network.graph_of(predictor))
    write_description(tmp_path, about)
    write_code(tmp_path, about, "onnx", "0")
    given = as_given(dataset.select(np.arange(4)))
    [column] = about["columns"]
    sent = [{column: base64.b64encode(one[column]).decode()} for one in given]
    found, _ = process(tmp_path, ASK, sent)
    wanted = predictor.predict(dataset.select(np.arange(4)))[1]
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_a_handler_starts_with_little_and_answers_events(texts: Run, tmp_path: Path) -> None:
    told = exporting.export(texts, "serverless", out=tmp_path / "there")
    assert told["parity"]["made"]  # the run's own records are not at hand
    events: list[Any] = [
        {"records": [{"text": "card refund"}, {"text": " "}]},
        {"text": "card refund"},
        {"body": '{"text": "card refund"}'},
        {"body": "eyJ0ZXh0IjogImNhcmQgcmVmdW5kIn0=", "isBase64Encoded": True},
        {"body": "{"},
        {"body": None},
        {"records": ["x"] * 257},
        7,
    ]
    answers, cold, modules = process(Path(told["folder"]), HANDLE, events)
    print(f"cold start, imports and first answer: {cold:.2f} s")
    assert not {"scipy", "PIL", *BARRED} & set(modules)
    several, one, gateway, encoded, broken, empty, many, number = answers
    wanted = texts.predict(["card refund"])[0]
    assert list(several["predictions"][0]["probabilities"].values()) == pytest.approx(wanted, 1e-4)
    assert several["predictions"][1] == {"error": "empty record: no feature has a value"}
    assert one["predictions"] == several["predictions"][:1]
    assert (gateway["statusCode"], encoded["statusCode"]) == (200, 200)
    assert json.loads(gateway["body"]) == json.loads(encoded["body"]) == one
    assert [broken["statusCode"], empty["statusCode"]] == [400, 400]
    assert "256 records at most: 257 came" in many["error"]
    assert "label" in number["predictions"][0]  # a number is a text of digits


def test_what_eight_bits_lose_is_told_on_records_that_did_not_teach(
    texts: Run, tmp_path: Path
) -> None:
    told = exporting.export(texts, "edge", data=records(), out=tmp_path / "there")
    loss = told["loss"]
    assert loss["agreement"]["n"] == loss["accuracy"]["int8"]["n"] <= 60
    assert loss["accuracy"]["difference"]["value"] == pytest.approx(0, abs=0.1)
    assert told["bytes"]["int8"] < told["bytes"]["float"]
    assert "In 8 bits it names the same class for" in told["sentence"]
    described = json.loads((tmp_path / "there" / "preprocess.json").read_text())
    assert described["graph"] == "model.int8.onnx"
    found, _ = process(tmp_path / "there", ASK, ["card refund"])
    np.testing.assert_allclose(found, texts.predict(["card refund"]), atol=0.1)
    with pytest.raises(DataError, match=r"Say with --data where they are\."):
        exporting.export(texts, "edge", out=tmp_path / "other")
    with pytest.raises(DataError, match="at least 30 records"):
        exporting.export(texts, "edge", data=records(20), out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_model_that_differs_is_not_written(
    texts: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = copied(texts, tmp_path, "other", 1.01).predictor
    monkeypatch.setattr(exported, "graph_of", lambda *_: network.graph_of(other))
    with pytest.raises(RunError, match=r"at most 0\.0001 is let pass\. Nothing was written"):
        exporting.export(texts, data=records(), out=tmp_path / "there")
    assert not list(tmp_path.glob("there*"))


def test_a_folder_is_replaced_whole_and_no_other_is_touched(texts: Run, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "thesis.txt").write_text("mine")
    with pytest.raises(Exception, match="must be a new or empty folder"):
        exporting.export(texts, out=own)
    assert (own / "thesis.txt").read_text() == "mine"
    there = tmp_path / "there"
    (tmp_path / "there.part").mkdir()  # what a process left that was killed
    (tmp_path / "there.part" / "half").touch()
    exporting.export(texts, "serverless", out=there)
    exporting.export(texts, "onnx", out=there)
    assert not (there / "handler.py").exists()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["own", "there"]
    with pytest.raises(UnknownNameError, match="Did you mean 'serverless'"):
        exporting.export(texts, "serverles", out=there)


def test_the_command_tells_what_it_wrote(texts: Run, tmp_path: Path) -> None:
    words = ["export", str(texts.folder), "--out", str(tmp_path / "there")]
    shown = CliRunner().invoke(app, words)
    assert not shown.exit_code, shown.output
    assert "made records, for the run's own are not at hand" in " ".join(shown.output.split())
    told = json.loads(CliRunner().invoke(app, [*words, "--target", "onnx", "--json"]).stdout)
    assert told["parity"]["records"] == 64
    assert Path(told["folder"]) == tmp_path / "there"


def test_a_release_carries_its_exported_form(texts: Run, tmp_path: Path) -> None:
    run = copied(texts, tmp_path, "one", 1.0)
    place = str(tmp_path / "leaven.db")
    state = releasing.release(run, by="ada", override="a test", store=place)
    digest = state["live"]["digest"]
    manifest = verified(run.folder / "model", digest)
    assert {f"{PORTABLE}/model.onnx", f"{PORTABLE}/preprocess.json"} <= set(manifest.files)
    model = served(run.folder / "model")
    assert model is not None
    found, _ = model.probabilities(["card refund"])
    np.testing.assert_allclose(found, run.predict(["card refund"]), atol=1e-5)
    kept = (run.folder / "model" / PORTABLE / "model.onnx").stat().st_mtime_ns
    assert attach(run) == ""  # it is there
    assert (run.folder / "model" / PORTABLE / "model.onnx").stat().st_mtime_ns == kept
    (run.folder / "model" / PORTABLE / "model.onnx").write_bytes(b"other")
    with pytest.raises(RunError, match=r"'portable/model\.onnx' was changed"):
        Registry(Store(place)).load("one", digest)
    assert served(run.folder / "model") is None  # as where ONNX Runtime is too old for it
    told = json.loads((run.folder / "model" / "predictor.json").read_text())
    (run.folder / "model" / "predictor.json").write_text(json.dumps(told | {"temperature": 9.0}))
    assert served(run.folder / "model") is None  # it is the form of another model
    assert attach(Run.load(run.folder)) == ""
    assert served(run.folder / "model") is not None


def test_without_the_packages_a_run_is_released_and_served_by_torch(
    texts: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied(texts, tmp_path, "one", 1.0)
    assert attach(run) == ""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert served(run.folder / "model") is None
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"leaven\[export\]"):
        exporting.export(run, out=tmp_path / "there")
    other = copied(texts, tmp_path, "two", 2.0)
    assert "leaven[export]" in attach(other)
    assert not (other.folder / "model" / PORTABLE).exists()
    with pytest.raises(MissingExtraError):
        quantised(b"")


def test_a_server_of_exported_models_imports_no_torch(texts: Run, tmp_path: Path) -> None:
    store = str(tmp_path / "leaven.db")
    releasing.release(
        copied(texts, tmp_path, "one", 1.0), by="ada", override="a test", store=store, service="t"
    )
    script = f"""
import sys
import leaven.serve.models.app
from leaven.operate.registry import Registry
from leaven.operate.releases import Releases
from leaven.serve.models.limits import Limits
from leaven.serve.models.loading import load
from leaven.store.store import Store
store = Store({store!r})
model = load(Registry(store), Releases(store, "t").state().live, Limits())
[one] = model.ask([model.reader.checked("card refund")])
print(one.source.show()["text"], one.probabilities.tolist(), model.seconds < 1)
assert not {{"torch", "sklearn", "onnx"}} & set(sys.modules)
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=Path.cwd()
    )
    assert not ran.returncode, ran.stderr
    assert ran.stdout.startswith("card refund [")
