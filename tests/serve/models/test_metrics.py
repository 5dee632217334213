"""GET /metrics of a real server, scraped by a real Prometheus, and every query of every board."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from leaven.evaluate.run import Run
from leaven.operate.metrics.grafana import BOARDS
from leaven.prometheus import prometheus
from leaven.serve.listening import listening
from leaven.serve.models.answering import Settings
from leaven.store.people import People
from leaven.store.store import Store
from tests.serve.models.released import Client, eventually, release, served

#: What a server without canary, loop, alerts and truth has nothing to show of.
EMPTY = {
    "Which alerts stand?", "Where is the retraining loop?", "Right, where truth came back",
    'leaven_canary_decision{model=~"$model"} == 1',
}  # fmt: skip


def values(client: Client) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    told = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {series: float(value) for series, _, value in told}


@contextmanager
def scraping(folder: Path, address: str) -> Iterator[str]:
    """A Prometheus with our rules that scrapes a server every second."""
    prometheus(folder, targets=[address.removeprefix("http://")])
    config = folder / "prometheus.yml"
    config.write_text(config.read_text().replace("15s", "1s").replace("30s", "1s"))
    with listening("127.0.0.1", [0]) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [str(shutil.which("prometheus")), f"--config.file={config}",
         f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}",
         "--log.level=error"],
    )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def asked(address: str, query: str) -> list:
    got = httpx.get(f"{address}/api/v1/query", params={"query": query}, timeout=20).json()
    assert got["status"] == "success", (query, got)
    return got["data"]["result"]


def test_what_is_asked_is_counted_with_bounded_labels(pair: tuple[Run, Run], store: str):
    release(pair[0], store)
    with served(store) as client:
        client.ask()
        client.post("/predict", json={"records": [{"text": "parcel"}, {"text": "invoice"}]})
        client.post("/predict", content="{", headers={"content-type": "application/json"})
        for number in range(5):
            client.get(f"/elsewhere/{number}")
            client.post("/v2/models/tickets/versions/nothing-like-it/infer", json={})
        client.request("PURGE", "/predict")
        told = values(client)
        text = client.get("/metrics")

    def requests(method: str, route: str, status: int) -> float:
        labels = f'model="tickets",method="{method}",route="{route}",status="{status}"'
        return told[f"leaven_http_requests_total{{{labels}}}"]

    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert requests("POST", "/predict", 200) == 2
    assert requests("POST", "/predict", 400) == 1
    assert requests("other", "other", 404) == 5
    assert sum(v for k, v in told.items() if k.startswith("leaven_predictions_total")) == 3
    assert told['leaven_batch_records_count{model="tickets"}'] == 2
    assert told['leaven_batch_records_sum{model="tickets"}'] == 3
    assert told['leaven_ready{model="tickets"}'] == 1
    assert told['leaven_review_backlog{model="tickets"}'] == 0
    assert 'leaven_release_info{model="tickets",run="first"' in text.text
    assert "leaven_run_fit_seconds" in text.text
    assert "nothing-like-it" not in text.text
    assert "PURGE" not in text.text


def test_metrics_are_for_who_has_a_token_where_tokens_are_needed(pair: tuple[Run, Run], store: str):
    release(pair[0], store)
    token = People(Store(store)).new_token("prometheus", "viewer", by="ann")
    with served(store, tokens=True, hosts=None) as client:
        assert client.get("/metrics").status_code == 401
        headers = {"authorization": f"Bearer {token}"}
        assert client.get("/metrics", headers=headers).status_code == 200


def test_programs_of_this_machine_may_be_let_in_without_one(pair: tuple[Run, Run], store: str):
    release(pair[0], store)
    with served(store, tokens=True, hosts=None, local_metrics=True) as client:
        assert client.get("/metrics").status_code == 200
        assert client.get("/status").status_code == 401
        for name in ("x-forwarded-for", "forwarded"):
            assert client.get("/metrics", headers={name: "203.0.113.9"}).status_code == 401


def test_what_another_worker_counted_is_told_and_the_folder_goes_with_the_last(
    pair: tuple[Run, Run], store: str, tmp_path: Path
):
    release(pair[0], store)
    folder = tmp_path / "counts"
    with served(store, counts=str(folder)) as client:
        client.ask()
        labels = {"model": "tickets", "method": "POST", "route": "/predict", "status": "200"}
        name = "leaven_http_requests_total"
        other = folder / f"{os.getppid()}-other.json"
        other.write_text(json.dumps([[name, name, [*labels.values()], "", 41]]))
        series = ",".join(f'{key}="{value}"' for key, value in labels.items())
        assert values(client)[f"{name}{{{series}}}"] == 42
        other.unlink()
    assert not folder.exists()


def test_a_release_that_cannot_be_followed_is_seen(pair: tuple[Run, Run], store: str):
    release(pair[0], store)
    failing, failures = (
        f'leaven_swap_{name}{{model="tickets"}}' for name in ("failing", "failures_total")
    )
    with served(store, every=60) as client:
        assert values(client)[failing] == 0
        release(pair[1], store, canary=0.5)
        broken = pair[1].folder / "model" / "predictor.json"
        broken.write_text(broken.read_text() + " ")
        client.service.watch.look()
        told = values(client)
        assert (told[failing], told[failures]) == (1, 1)
        assert client.ask().json()["run"] == "first"


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed")
def test_a_real_prometheus_answers_every_query_of_every_board(
    pair: tuple[Run, Run], store: str, tmp_path: Path
):
    release(pair[0], store)
    with (
        served(store, settings=Settings(abstain=1.0)) as client,
        scraping(tmp_path / "p", str(client.base_url)) as address,
    ):

        def is_scraped() -> bool:
            client.ask()
            try:
                return len(asked(address, "increase(leaven_predictions_total[1m]) > 2")) > 0
            except (httpx.TransportError, ValueError):  # it does not listen yet, or is not ready
                return False

        assert eventually(is_scraped, 60)
        for board in BOARDS:
            for panel in (*board.numbers, *board.charts):
                for query, _ in panel.queries:
                    plain = query.replace("$model", ".*").replace("$__rate_interval", "1m")
                    found = asked(address, plain)
                    assert found or query in EMPTY or panel.title in EMPTY, (panel.title, query)
        groups = httpx.get(f"{address}/api/v1/rules").json()["data"]["groups"]
        every = [rule for group in groups for rule in group["rules"]]
        assert {rule["health"] for rule in every} <= {"ok", "unknown"}
        recorded = asked(address, '{__name__=~"model:leaven_.*"}')
        assert len({one["metric"]["__name__"] for one in recorded}) > 10
