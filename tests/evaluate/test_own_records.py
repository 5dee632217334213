"""What a run finds again: its own records, and its own files after it was killed."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

import leaven
from leaven.evaluate import made
from leaven.operate.health.reference import REFERENCE, keep_reference


def test_records_that_could_not_be_decoded_are_none_of_the_run(tmp_path: Path):
    texts = [f"{'late parcel' if i % 2 else 'wrong invoice'} number {i}" for i in range(60)]
    texts[40] = ":-)"  # read as a text, and rejected for it has no words
    labels = ["ab"[i % 2] if i < 30 else None for i in range(60)]
    pa_csv.write_csv(pa.table({"text": texts, "label": labels}), tmp_path / "mails.csv")
    run = leaven.fit(tmp_path / "mails.csv", method="logistic", budget="5s", out=tmp_path / "runs")
    assert run.story["dataset"]["records"] == 59
    own = run.records()
    assert len(own) == 59
    assert own.hash == run.story["dataset"]["hash"]
    assert len(run.records(tmp_path / "mails.csv")) == 60
    assert keep_reference(run) == ""
    assert (run.folder / REFERENCE).is_file()


def test_what_a_killed_process_left_beside_the_model_is_no_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fitted() -> leaven.Run:
        texts = [f"{'late parcel' if i % 2 else 'wrong invoice'} number {i}" for i in range(60)]
        frame = pa.table({"text": texts, "label": ["ab"[i % 2] if i < 30 else None
                                                   for i in range(60)]})  # fmt: skip
        return leaven.fit(frame, method="logistic", budget="20steps", out=tmp_path)

    def killed(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(made, "write_json", killed)
        with pytest.raises(RuntimeError, match="killed"):
            fitted()
    (model,) = tmp_path.glob("*/model")
    (model / ".tmp0rkX2M").write_bytes(b"half of a tensor")
    assert {path.name for path in fitted().folder.glob("model/*")} == {
        "model.json", "model.safetensors", "predictor.json",
    }  # fmt: skip
