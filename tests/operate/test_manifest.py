"""What is loaded to serve is what was released: files, their digests, and who signed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from leaven.core.errors import RunError, SettingError
from leaven.core.signing import new_key, public_key
from leaven.operate.manifest import FILE, read_manifest, verified, write_manifest


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "parts").mkdir(parents=True)
    (folder / "model.json").write_text("{}")
    (folder / "parts" / "weights").write_bytes(os.urandom(3_000_000))
    return folder


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LEAVEN_SIGNING_KEY", "LEAVEN_PUBLIC_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    private, public = new_key()
    monkeypatch.setenv("LEAVEN_SIGNING_KEY", private)
    monkeypatch.setenv("LEAVEN_PUBLIC_KEY", public)
    return private, public


def test_a_model_that_is_as_it_was_is_verified(model: Path):
    written = write_manifest(model, "run1")
    assert set(written.files) == {"model.json", "parts/weights"}
    assert verified(model, written.digest) == written == read_manifest(model)
    assert write_manifest(model, "run1").digest == written.digest, "it says nothing of itself"
    assert write_manifest(model, "run2").digest != written.digest


def change(model: Path) -> None:
    path = model / "parts" / "weights"
    told = bytearray(path.read_bytes())
    told[2_500_000] ^= 1
    path.write_bytes(told)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (change, "'parts/weights' was changed"),
        (lambda m: (m / "model.json").unlink(), "'model.json' is missing"),
        (lambda m: (m / "more.py").write_text("x"), "'more.py' was added"),
        (lambda m: (m / FILE).write_text("{"), "no readable manifest"),
        (lambda m: (m / FILE).write_text("[]"), "no readable manifest"),
        (lambda m: (m / FILE).unlink(), "no readable manifest"),
        (lambda m: (m / "out").symlink_to("/etc/hostname"), "leads out of it"),
    ],
)
def test_a_model_that_is_not_as_it_was_is_refused(model: Path, harm, said: str):
    write_manifest(model, "run1")
    harm(model)
    with pytest.raises(RunError, match=said):
        verified(model)


def test_a_manifest_written_anew_is_not_the_one_released(model: Path):
    released = write_manifest(model, "run1").digest
    change(model)
    write_manifest(model, "run1")
    verified(model)
    with pytest.raises(RunError, match="another than the one that was released"):
        verified(model, released)


def test_a_signature_is_of_these_files_and_of_this_key(
    model: Path, keys: tuple[str, str], monkeypatch: pytest.MonkeyPatch
):
    written = write_manifest(model, "run1")
    assert written.key == keys[1] == public_key()
    verified(model)
    told = json.loads((model / FILE).read_text())
    (model / "model.json").write_text("{ }")
    forged = write_manifest(model, "run1")
    (model / FILE).write_text(json.dumps({**told, "files": forged.files}))
    with pytest.raises(RunError, match="does not hold: it is of something else"):
        verified(model)
    monkeypatch.setenv("LEAVEN_SIGNING_KEY", new_key()[0])
    write_manifest(model, "run1")
    with pytest.raises(RunError, match="of another key"):
        verified(model)
    monkeypatch.delenv("LEAVEN_SIGNING_KEY")
    write_manifest(model, "run1")
    with pytest.raises(RunError, match="is not signed"):
        verified(model)


@pytest.mark.parametrize("harm", [("signature", "AAAA"), ("signature", "?"), ("key", "AAAA")])
def test_a_broken_signature_is_told(model: Path, keys: tuple[str, str], harm: tuple[str, str]):
    write_manifest(model, "run1")
    told = json.loads((model / FILE).read_text())
    (model / FILE).write_text(json.dumps({**told, harm[0]: harm[1]}))
    with pytest.raises(RunError, match="does not hold"):
        verified(model)


def test_keys_may_lie_in_files_and_what_is_none_is_told(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    private, public = new_key()
    (tmp_path / "key").write_text(private + "\n")
    monkeypatch.setenv("LEAVEN_SIGNING_KEY", str(tmp_path / "key"))
    assert write_manifest(model, "run1").key == public
    for wrong in ("hunter2", "AAAA", str(tmp_path)):
        monkeypatch.setenv("LEAVEN_SIGNING_KEY", wrong)
        with pytest.raises(SettingError, match="32 bytes in base64") as told:
            write_manifest(model, "run1")
        assert wrong not in str(told.value), "a key is not repeated"
