"""The verb and the command: what cannot be served is said before a port is taken."""

from __future__ import annotations

import gc
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import leaven.cli.serving
from leaven import serving
from leaven.cli.app import app
from leaven.core.errors import LeavenError
from leaven.evaluate.run import Run
from leaven.serve.models import workers
from leaven.serve.models.app import Plan
from leaven.store.store import Store
from tests.serve.models.released import release

assert leaven.cli.serving


def test_what_cannot_be_served_is_said(texts: Run, store: str, tmp_path: Path):
    def refused(**how: Any) -> str:
        with pytest.raises(LeavenError) as told:
            serving.serve(**({"store": store, "port": 0} | how))
        return f"{type(told.value).__name__} {told.value}"

    assert refused(store=tmp_path / "no.db").startswith("DataError Nothing was released yet")
    Store(store)
    assert "Released so far: none" in refused()
    release(texts, store)
    assert "Did you mean 'tickets'" in refused(service="tickts")
    for name, bad in (("abstain", 2), ("log_share", -0.1), ("explore", float("nan")), ("every", 0)):
        assert refused(**{name: bad}).startswith(f"SettingError '{name}' must be")
    assert "'keep_days' must be days, 0 for ever. Got -1." in refused(keep_days=-1)
    assert "'workers' must be a number from 1 to 64. Got 0." in refused(workers=0)
    assert "'tls_cert' must be given with its key" in refused(tls_key="key.pem")
    assert "'tls_cert' must be a PEM file" in refused(tls_cert=__file__, tls_key=__file__)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "Name another one" in refused(port=taken.getsockname()[1])
    assert "'port' must be one that can be listened on" in refused(port=99_999)
    release(texts, store, service="others")
    assert "Released so far: others, tickets" in refused()


def test_the_collector_of_garbage_passes_over_modules_and_not_over_models(
    store: str, monkeypatch: pytest.MonkeyPatch
):
    frozen: list[int] = []

    def made(*_: object) -> Any:
        frozen.append(gc.get_freeze_count())  # before a model is loaded
        return SimpleNamespace(run=lambda sockets: frozen.append(gc.get_freeze_count()))

    monkeypatch.setattr(workers, "server_of", made)
    try:
        workers.serve(Plan(store, "tickets"), opened=print, port=0)
    finally:
        gc.unfreeze()
    # Not one more with the model; whatever another thread has let go of since is one less.
    assert 10_000 < frozen[0] - 100 < frozen[1] <= frozen[0]


def test_the_command_asks_the_verb(tmp_path: Path):
    told = CliRunner().invoke(app, ["serve", "--store", str(tmp_path / "no.db"), "--port", "0"])
    assert told.exit_code == 2
    assert "Nothing was released yet" in " ".join(told.output.split())
    shown = CliRunner().invoke(app, ["serve", "--help"]).output
    for name in (
        "--host",
        "--port",
        "--abstain",
        "--log-share",
        "--explore",
        "--workers",
        "--keep-days",
        "--tls-cert",
    ):
        assert name in shown
