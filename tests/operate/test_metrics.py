"""Metrics: counted, told in Prometheus' format, bounded, shared by workers; rules and boards."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from leaven.core.errors import SettingError
from leaven.operate.metrics.catalogue import COUNTER, HISTOGRAM, METRICS
from leaven.operate.metrics.counting import Counter, Histogram
from leaven.operate.metrics.exposition import exposition, gauge, merged
from leaven.operate.metrics.grafana import BOARDS, board_json
from leaven.operate.metrics.rules import rules
from leaven.operate.metrics.sharing import Shared
from leaven.operate.objectives.config import Objectives
from leaven.prometheus import prometheus

ROOT = Path(__file__).parents[2]
SCHEMAS = Path(os.environ.get("LEAVEN_SCHEMAS", ROOT.parent / "shared" / "schemas"))
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")


def promtool(*words: str, told: str | None = None) -> str:
    done = subprocess.run(
        [str(PROMTOOL), *words], input=told, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_histogram_tells_all_that_lie_below_each_bound():
    times = Histogram("leaven_http_request_duration_seconds")
    for seconds in (0.001, 0.3, 20):
        times.add(("tickets", "/predict"), seconds)
    told = {one.last or one.name: one.value for one in times.samples()}
    assert (told["0.001"], told["0.25"], told["0.5"], told["10"], told["+Inf"]) == (1, 1, 2, 2, 3)
    name = "leaven_http_request_duration_seconds"
    assert (told[f"{name}_sum"], told[f"{name}_count"]) == (pytest.approx(20.301), 3)


def test_series_are_bounded():
    counter = Counter("leaven_log_written_total", most=3)
    for number in range(10):
        counter.add((str(number),))
    counter.add(("9",), 4)
    assert {one.labels: one.value for one in counter.samples()} == {("7",): 1, ("8",): 1, ("9",): 5}


@needs_promtool
def test_names_values_and_escapes_are_those_of_prometheus():
    odd = 'a "quoted"\\back\nslash ünï'
    times = Histogram("leaven_batch_records")
    times.add((odd,), 3)
    every = [
        gauge(name, 1.5, *(odd for _ in one.labels))
        for name, one in METRICS.items()
        if one.kind != HISTOGRAM
    ]
    told = exposition([*every, *times.samples()])
    promtool("check", "metrics", told=told)
    assert r'model="a \"quoted\"\\back\nslash ünï"' in told
    assert told.count("# HELP") == told.count("# TYPE") == len(every) + 1


def test_counters_and_only_they_end_in_total():
    for name, one in METRICS.items():
        assert name.endswith("_total") == (one.kind == COUNTER)


def test_of_a_worker_that_ended_counts_remain_and_gauges_do_not():
    def of(number: int) -> list:
        return [
            gauge("leaven_log_written_total", number, "tickets"),
            gauge("leaven_waiting_records", number, "tickets"),
        ]

    told = {one.name: one.value for one in merged(of(1), [(of(10), True), (of(100), False)])}
    assert told == {"leaven_log_written_total": 111, "leaven_waiting_records": 11}


def test_workers_share_what_they_count(tmp_path: Path):
    folder = tmp_path / "counts"
    own = Shared(folder, lambda: [gauge("leaven_log_written_total", 5, "tickets")], every=60)
    own.start()
    ended = subprocess.run(["true"], check=True) and subprocess.Popen(["true"])
    ended.wait()
    others = {
        f"{ended.pid}-a.json": [["leaven_log_written_total"] * 2 + [["tickets"], "", 7]],
        "x.json": "not ours",
        "1-b.json": [["unknown", "unknown", [], "", 1]],
    }
    for name, samples in others.items():
        (folder / name).write_text(json.dumps(samples))
    assert own.samples() == [gauge("leaven_log_written_total", 12, "tickets")]
    mine = next(folder.glob(f"{os.getpid()}-*.json"))
    assert json.loads(mine.read_text())[0][-1] == 5
    for name in others:
        (folder / name).unlink()
    own.stop()
    assert not folder.exists()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prometheus")
    told = prometheus(folder, targets=["127.0.0.1:8080", "[::1]:8081"])
    assert {path for path in told["written"] if not (folder / path).is_file()} == set()
    return folder


@pytest.mark.parametrize("kind", ["PrometheusRule", "ServiceMonitor"])
def test_what_is_for_the_operator_fits_its_schema(written: Path, kind: str):
    file = SCHEMAS / f"monitoring.coreos.com_v1_{kind}.json.gz"
    if not file.is_file():
        pytest.skip("the schemas of the Prometheus Operator are not here")
    told = yaml.safe_load((written / "kubernetes" / f"{kind.lower()}.yaml").read_text())
    schema = json.loads(gzip.decompress(file.read_bytes()))
    assert [one.message for one in Draft202012Validator(schema).iter_errors(told)] == []


@needs_promtool
def test_promtool_takes_rules_and_configuration_and_runs_their_tests(written: Path):
    promtool("check", "rules", str(written / "leaven.rules.yml"))
    promtool("check", "config", str(written / "prometheus.yml"))
    assert "SUCCESS" in promtool("test", "rules", str(written / "leaven.rules.test.yml"))


@needs_promtool
@pytest.mark.parametrize(
    ("was", "becomes", "name"),
    [
        ("leaven_log_failing) > 0", "leaven_log_failing) > 9", "states"),
        (">= 0.0144", ">= 0.2", "1h, fast"),
        (">= 0.0144", ">= 0.01", "1h, slow"),
        ("and model:leaven_requests_failed:ratio_rate5m >= 0.0144", "", "1h, fast"),
    ],
)
def test_the_tests_of_the_rules_can_fail(
    written: Path, tmp_path: Path, was: str, becomes: str, name: str
):
    text = (written / "leaven.rules.yml").read_text()
    assert was in text
    (tmp_path / "leaven.rules.yml").write_text(text.replace(was, becomes))
    tests = yaml.safe_load((written / "leaven.rules.test.yml").read_text())
    tests["tests"] = [one for one in tests["tests"] if one["name"] == name]
    (tmp_path / "test.yml").write_text(yaml.safe_dump(tests))
    with pytest.raises(AssertionError, match="got:"):
        promtool("test", "rules", str(tmp_path / "test.yml"))


def test_every_alert_has_a_severity_a_summary_and_a_runbook_that_is_there():
    docs = Path(__file__).parents[2] / "docs"
    ours = {"server-down.md", "no-live-model.md", "canary.md", "log.md"}
    alerts = rules(Objectives())["groups"][1]["rules"]
    for alert in alerts:
        assert alert["labels"]["severity"] in ("page", "ticket")
        assert alert["annotations"]["summary"]
        runbook = alert["annotations"]["runbook_url"]
        assert runbook.startswith("docs/runbooks/")
        if Path(runbook).name in ours:
            assert (docs.parent / runbook).is_file(), runbook
    assert {Path(one["annotations"]["runbook_url"]).name for one in alerts} >= ours


def test_rules_and_boards_ask_for_metrics_that_there_are():
    found = rules(Objectives())["groups"]
    recorded = {one["record"] for one in found[0]["rules"]}
    told = [one["expr"] for group in found for one in group["rules"]]
    told += [query for board in BOARDS for one in (*board.numbers, *board.charts)
             for query, _ in one.queries]  # fmt: skip
    known = set(METRICS) | {
        f"{name}{end}" for name, one in METRICS.items() if one.kind == HISTOGRAM
        for end in ("_bucket", "_sum", "_count")
    }  # fmt: skip
    for query in told:
        for name in re.findall(r"\b(?:model:)?leaven_\w+(?::\w+)?", query):
            assert name in known | recorded, (name, query)


def test_the_promises_of_a_file_are_in_the_rules(tmp_path: Path):
    file = tmp_path / "leaven.toml"
    file.write_text(
        '[[slo]]\nname = "quick"\nindicator = "latency"\nwithin = "0.3s"\ntarget = 0.9\n'
        'services = ["a.b", "c\\"d"]\n[alerts]\nrunbooks = "https://x.example/"\n'
    )
    told = prometheus(tmp_path / "out", config=file)
    text = (tmp_path / "out" / "leaven.rules.yml").read_text()
    assert 'le=\\"0.25\\"' in text
    assert "https://x.example/latency.md" in text
    assert "LeavenErrors" not in text
    if PROMTOOL:
        promtool("check", "rules", str(tmp_path / "out" / "leaven.rules.yml"))
    again = prometheus(tmp_path / "out", config=file)
    assert (told["kept"], again["kept"]) == ((), ("prometheus.yml",))


@pytest.mark.parametrize("target", ["8080", "http://a:80", "a:b", ":80"])
def test_a_target_is_a_host_and_port(tmp_path: Path, target: str):
    with pytest.raises(SettingError, match="HOST:PORT"):
        prometheus(tmp_path, targets=[target])


def test_a_bound_below_all_buckets_is_refused(tmp_path: Path):
    told = {"slo": [{"name": "a", "indicator": "latency", "within": "0.0001s"}]}
    with pytest.raises(SettingError, match="within"):
        rules(Objectives.build(told))


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path):
    (tmp_path / "a").write_text("")
    with pytest.raises(SettingError, match="can be written"):
        prometheus(tmp_path / "a")


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_a_board_is_four_numbers_and_a_chart_a_question(board):
    told = json.loads(board_json(board))
    assert len({one["id"] for one in told["panels"]}) == len(told["panels"])
    assert [one["type"] for one in told["panels"][:4]] == ["stat"] * 4
    assert all(one["title"].endswith("?") for one in told["panels"][4:])
    assert len(told["links"]) == 2
