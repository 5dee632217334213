"""Pretraining from data to encoder: what it sees, says, mends and keeps; fits that begin there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leaven import Dataset, api
from leaven.core.errors import LeavenError, RunError, SettingError
from leaven.core.progress import Progress
from leaven.data.splits import split
from leaven.evaluate.pretrained import make_pretraining
from leaven.evaluate.pretraining import Pretraining
from leaven.learn.contracts.made_records import MADE_RECORDS
from leaven.learn.objective import Loss, Moment
from leaven.learn.pretext import PRETEXTS, Pretext, PretextObjective
from leaven.learn.start import Start


def vectors(seed: int = 0, labelled: int = 12, n: int = 320) -> Dataset:
    """Four kinds of vectors, some of which have their kind as label."""
    made, kinds = MADE_RECORDS["embedding"](n, seed)
    features = np.stack(made.records["features"].to_pylist()).astype(np.float32)
    labels = [f"kind {k}" if i < 4 * labelled else None for i, k in enumerate(kinds)]
    return Dataset.from_arrays(features, labels, modality="embedding")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Pretraining:
    folder = tmp_path_factory.mktemp("runs")
    return api.pretrain(vectors(), pretext="simclr", budget="40steps", out=folder)


def test_the_story_says_what_was_learnt_and_what_it_is_worth(made: Pretraining):
    story = json.loads((made.folder / "pretraining.json").read_text())
    assert story["pretext"]["name"] == "simclr"
    assert story["training"]["steps"] == 40
    assert len(story["watch"]) == 21
    assert {"rank", "spread", "usage", "neighbours", "loss"} <= set(story["watch"][-1])
    rows = {row["start"]: row for row in story["comparison"]["rows"]}
    assert set(rows) == {
        "from scratch",
        "frozen, untrained",
        "plain features",
        "frozen, self-supervised",
        "tuned, self-supervised",
    }
    for row in rows.values():
        assert row["accuracy"]["low"] <= row["accuracy"]["value"] <= row["accuracy"]["high"]
        assert row["accuracy"]["n"] == 48
    assert "difference" not in rows["from scratch"]
    assert story["mismatch"]["separability"] == pytest.approx(0.5, abs=0.15)
    assert len(story["map"]) > 100
    assert story["sentence"].startswith("simclr learnt from ")
    assert not (made.folder / "work").exists()


def test_the_same_call_reopens_it(made: Pretraining):
    again = api.pretrain(vectors(), pretext="simclr", budget="40steps", out=made.folder.parent)
    assert again.folder == made.folder
    assert again.story["run"]["created"] == made.story["run"]["created"]


def test_labels_change_no_weight(made: Pretraining, tmp_path: Path):
    dataset = vectors()
    swapped = [None if v is None else f"kind {3 - int(v[-1])}" for v in dataset.labels.to_pylist()]
    features = np.stack(dataset.records["features"].to_pylist()).astype(np.float32)
    other = Dataset.from_arrays(features, swapped, modality="embedding")
    told = api.pretrain(other, pretext="simclr", budget="40steps", out=tmp_path)
    name = "encoder/model.safetensors"
    assert (told.folder / name).read_bytes() == (made.folder / name).read_bytes()


def test_no_judged_record_is_learnt_from_where_others_suffice(made: Pretraining):
    dataset = vectors()
    parts = split(dataset, seed=0)
    assert made.story["seen"]["records"] <= len(parts.unlabelled)
    few = vectors(n=150)
    with_labelled = make_pretraining(
        few, made_recipe(), made.folder.parent, "", False, lambda _: None, worth=False
    )
    assert "too" in with_labelled.story["seen"]["rule"]


def made_recipe() -> Any:
    from leaven.core.recipe import Recipe

    return Recipe(pretext="simclr", budget="3steps")


def test_interrupted_it_goes_on_to_the_same_encoder(tmp_path: Path, monkeypatch: Any):
    monkeypatch.setattr("leaven.evaluate.stages.CHECKPOINT_SECONDS", 0.0)
    whole = api.pretrain(vectors(), pretext="byol", budget="30steps", out=tmp_path / "whole")

    def stop(line: Progress) -> None:
        if line.stage.startswith("pretraining") and line.done >= 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.pretrain(
            vectors(), pretext="byol", budget="30steps", out=tmp_path / "cut", progress=stop
        )
    with pytest.raises(RunError, match="no finished pretraining"):
        Pretraining.load(next((tmp_path / "cut").iterdir()))
    cut = api.pretrain(vectors(), pretext="byol", budget="30steps", out=tmp_path / "cut")
    name = "encoder/model.safetensors"
    assert (cut.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    assert cut.story["watch"] == whole.story["watch"]
    assert cut.story["comparison"] == whole.story["comparison"]


def test_a_row_that_collapses_is_mended_and_says_so(tmp_path: Path):
    """BYOL without its predictor and with gradient on both sides: the loss is lowest at a point."""
    made = api.pretrain(
        vectors(labelled=0),
        pretext="byol",
        budget="120steps",
        settings={"predictor": "none", "branch": "Same", "training.rate": 0.02},
        out=tmp_path,
    )
    first = made.story["training"]["restarts"][0]
    assert first["kind"] == "collapsed"
    assert "Cosine" in first["cause"]
    assert "Same" in first["cause"]
    assert first["mended"] == {"branch": "Stopped", "predictor": "Perceptron"}
    assert "Collapsed" in (made.folder / "report.html").read_text()


@dataclass(frozen=True)
class _Exploding(PretextObjective):
    def loss(self, now: Moment) -> Loss:
        features = now.network(now.draw.unlabelled("strong"))
        return Loss({"explodes": (features / 0.0).sum()})


def test_what_no_lower_rate_can_mend_ends_with_the_cause(tmp_path: Path, monkeypatch: Any):
    exploding = Pretext("exploding", "", "", "contrastive", _Exploding())
    monkeypatch.setitem(PRETEXTS._entries, "exploding", exploding)
    with pytest.raises(RunError, match=r"step 1: the loss is no finite number.*mended 2 times"):
        api.pretrain(vectors(), pretext="exploding", budget="20steps", out=tmp_path)


def test_data_without_a_label_are_pretrained_on_without_a_verdict(tmp_path: Path):
    made = api.pretrain(vectors(labelled=0), pretext="simclr", budget="5steps", out=tmp_path)
    assert made.story["comparison"] is None
    assert "too few labels" in made.story["sentence"]
    assert made.story["seen"]["records"] == 288  # a tenth is set aside


def test_files_need_no_label_unless_a_column_could_be_mistaken_for_a_feature(tmp_path: Path):
    texts, kinds = MADE_RECORDS["text"](30, 0)
    said = texts.records["text"].to_pylist()
    lines = [json.dumps({"text": t, "shelf": f"s{k}"}) for t, k in zip(said, kinds, strict=True)]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines))
    made = api.pretrain(
        tmp_path / "texts.jsonl",
        modality="text",
        pretext="simclr",
        encoder="ngram-bag",
        budget="2steps",
        out=tmp_path,
    )
    assert made.story["dataset"]["labelled"] == 0
    (tmp_path / "rows.csv").write_text("a,b,shelf\n" + "1,2,x\n3,4,y\n" * 20)
    with pytest.raises(LeavenError, match="label"):
        api.pretrain(tmp_path / "rows.csv", pretext="simclr", budget="2steps", out=tmp_path)


def test_a_fit_begins_with_it(made: Pretraining, tmp_path: Path):
    run = api.fit(
        vectors(), encoder=str(made.folder), method="supervised", budget="5steps", out=tmp_path
    )
    assert run.predictor.network.encoder.name == "mlp"
    start = Start.load(made.folder / "encoder").encoder.state_dict()
    fitted = run.predictor.network.encoder.state_dict()
    moved = max(float((fitted[n] - start[n]).abs().max()) for n in start)
    fresh = api.fit(vectors(), method="supervised", budget="5steps", out=tmp_path)
    apart = max(
        float((value - start[n]).abs().max())
        for n, value in fresh.predictor.network.encoder.state_dict().items()
    )
    assert 0 < moved < apart / 3
    assert any(f["name"] == "pretrained-on-alike" for f in run.story["dataset"]["findings"])


def test_records_from_elsewhere_are_told(made: Pretraining, tmp_path: Path):
    dataset = vectors(seed=1)
    features = np.stack(dataset.records["features"].to_pylist()).astype(np.float32) * 3 + 2
    other = Dataset.from_arrays(features, dataset.labels.to_pylist(), modality="embedding")
    run = api.fit(other, encoder=str(made.folder), method="logistic", out=tmp_path)
    told = {f["name"]: f for f in run.story["dataset"]["findings"]}
    assert told["pretrained-elsewhere"]["severity"] == "warning"


def test_one_command_does_both_and_compares_with_nothing(tmp_path: Path):
    run = api.fit(vectors(), pretext="simclr", method="supervised", budget="20steps", out=tmp_path)
    assert run.verdict.method == "simclr + supervised"
    assert run.verdict.baseline == "supervised"
    assert run.story["pretraining"]["pretext"]["name"] == "simclr"
    page = run.folder / run.story["pretraining"]["report"]
    assert page.is_file()
    assert run.story["pretraining"]["report"] in (run.folder / "report.html").read_text()
    tried, alone = (run.predictor, run.compared)
    weights = [p.network.encoder.state_dict() for p in (tried, alone)]
    assert any(not np.array_equal(weights[0][n], weights[1][n]) for n in weights[0])
    assert len(api.predict(run, vectors(seed=2)).table) == 320


def test_propagation_on_pretrained_features_is_held_against_plain_ones(tmp_path: Path):
    run = api.fit(
        vectors(), pretext="vicreg", method="poisson-learning", budget="20steps", out=tmp_path
    )
    assert run.verdict.method == "vicreg + poisson-learning"
    names = {p.network.encoder.name for p in (run.predictor, run.compared)}
    assert names == {"mlp", "standardised"}


def test_wrong_wishes_leave_no_folder_behind(made: Pretraining, tmp_path: Path):
    out = tmp_path / "runs"
    wishes: list[dict[str, Any]] = [
        {"pretext": "simcl"},
        {"pretext": "masked-language"},
        {"pretext": "simclr", "encoder": "small-convnet"},
        {"pretext": "simclr", "settings": {"tempersture": 1}},
        {"pretext": "simclr", "settings": {"agreement": "NTXent(-1)"}},
    ]
    for wish in wishes:
        with pytest.raises((SettingError, LeavenError)):
            api.pretrain(vectors(), budget="5steps", out=out, **wish)
    with pytest.raises(SettingError, match="pretext"):
        api.fit(vectors(), encoder=str(made.folder), pretext="simclr", out=out)
    texts, _ = MADE_RECORDS["text"](40, 0)
    labels = ["a", "b"] * 20
    told = Dataset.from_arrays(texts.records["text"].to_pylist(), labels)
    with pytest.raises(SettingError, match="pretrained on embedding records"):
        api.fit(told, encoder=str(made.folder), out=out)
    assert not out.exists()


def test_a_damaged_encoder_is_named(made: Pretraining, tmp_path: Path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(made.folder, copy)
    (copy / "encoder" / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(RunError, match="No usable encoder"):
        api.fit(vectors(), encoder=str(copy), out=tmp_path)


def test_the_report_loads_nothing_and_escapes_what_it_shows(tmp_path: Path):
    texts, _ = MADE_RECORDS["text"](60, 0)
    hostile = [f"<script>alert(1)</script> {t}" for t in texts.records["text"].to_pylist()]
    dataset = Dataset.from_arrays(hostile, ["<b>a</b>", "b"] * 30)
    made = api.pretrain(
        dataset, encoder="ngram-bag", pretext="simclr", budget="3steps", out=tmp_path
    )
    page = (made.folder / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert "<b>a</b>" not in page
