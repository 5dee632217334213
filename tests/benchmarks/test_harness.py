"""The harness as it is typed: real fits, each in its own process, and what becomes of cut-offs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks import table
from benchmarks.few_labels import main
from benchmarks.fit import outcome
from benchmarks.forecast import expected
from benchmarks.grid import Cell, grid, jobs
from benchmarks.results import append, latest, read

ROOT = Path(__file__).resolve().parents[2]
SETS = {"points": "tabular", "notes": "text"}
FAST = ["--labels", "4", "--seeds", "0", "--methods", "none", "--peers", "logistic-regression"]


def command(sets: Path, out: Path, *options: str) -> list[str]:
    return [
        sys.executable, "-m", "benchmarks", "--data", str(sets), "--out", str(out), *options
    ]  # fmt: skip


def benchmark(sets: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(sets, out, *options), cwd=ROOT, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def results(sets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real rows: a fit of Leaven on points and on papers, and a peer beside each."""
    out = tmp_path_factory.mktemp("results") / "small.jsonl"
    options = ["--labels", "6", "--seeds", "0", "--peers", "spreading", "--budget", "3steps"]
    methods = ["--methods", "label-spreading", "--most-test", "39", "--workers", "2"]
    done = benchmark(sets, out, "--sets", "points,papers", *methods, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_a_fit_of_leaven_is_scored_with_its_baseline(results: Path) -> None:
    rows = {(row["set"], row["kind"]): row for row in read(results)}
    assert len(rows) == 4
    for name, unlabelled, test in (("points", 108, 39), ("papers", 148, 40)):
        row = rows[name, "ours"]
        assert row["scores"].keys() == {"shipped", "method", "baseline", "balanced"}
        assert row["scores"]["method"]["accuracy"] > 0.9
        assert row["run"]["method"] == "label-spreading"
        kept = "method" if row["run"]["kept"] == "label-spreading" else "baseline"
        assert row["scores"]["shipped"] == row["scores"][kept]
        largest = 1.0 if test == 40 else 1.05
        assert row["n"] == {
            "labelled": 12, "unlabelled": unlabelled, "test": test, "classes": 2,
            "largest_by_smallest": largest,
        }  # fmt: skip
    assert rows["points", "peer"]["scores"].keys() == {"shipped"}
    assert rows["points", "peer"]["budget"] == ""


def test_a_row_says_what_it_cost_and_where(results: Path) -> None:
    for row in read(results):
        assert row["wall_seconds"] > row["cost"]["fit_seconds"] > 0
        assert row["cost"]["cpu_seconds"] > 0
        assert row["cost"]["peak_mb"] > 50
        assert row["machine"]["cores"] >= 1
        assert row["versions"]["leaven"]


def test_the_page_has_figures_claims_and_the_command(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text("# Kept\n\n<!-- small -->\nstale figures\n<!-- /small -->\n\nand this\n")
    assert table.main([str(results), "--page", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("# Kept")
    assert text.endswith("and this\n")
    assert "stale figures" not in text
    assert "| set | best peer | labels | Leaven | peer | baseline | difference | gain |" in text
    assert text.count("| points | LabelSpreading | 6 |") == 1
    assert "the model that ships is" in text
    assert "at most 39, the same for every fit: points 39, papers 40." in text
    assert "--budget 3steps" in text
    plot = (page.parent / "images" / "small.svg").read_text()
    assert plot.count('class="few"') == 2
    table.main([str(results), "--page", str(page)])
    assert page.read_text() == text
    assert "Leaven" in capsys.readouterr().out


def test_a_killed_harness_goes_on_where_it_was(sets: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    options = ["--sets", "points,notes,squares", *FAST]
    first = subprocess.Popen(
        command(sets, out, *options), cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout is not None
    while not first.stdout.readline().startswith("1/3"):
        assert first.poll() is None
    workers = wait_for_worker(first.pid)
    first.send_signal(signal.SIGKILL)
    first.wait()
    first.stdout.close()
    for worker in workers:
        wait_until_gone(worker)
    before = out.read_bytes()
    assert before.count(b"\n") == 1
    out.write_bytes(before + b'{"set": "no')  # as if it had been cut off while writing
    done = benchmark(sets, out, *options)
    assert done.returncode == 0, done.stderr
    assert "1 of 3 fits are done" in done.stdout
    assert out.read_bytes().startswith(before)
    assert [row["set"] for row in read(out)] == ["points", "notes", "squares"]


def wait_for_worker(parent: int) -> list[int]:
    """The processes that the harness has started, once there is one."""
    threads = Path(f"/proc/{parent}/task")
    for _ in range(1000):
        lists = [file.read_text() for file in threads.glob("*/children")]
        found = [int(pid) for pids in lists for pid in pids.split()]
        if any(b"benchmarks.fit" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in found):
            return found
        time.sleep(0.02)
    raise AssertionError("no fit was started")


def wait_until_gone(pid: int) -> None:
    for _ in range(500):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]:
            return
        time.sleep(0.02)
    raise AssertionError(f"the fit {pid} outlived the harness")


def test_a_fit_that_takes_too_long_is_a_row(sets: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    late = benchmark(sets, out, "--sets", "points", *FAST, "--peer-timeout", "0.1")
    assert late.returncode == 1
    assert "Failed: points, 4 a class, seed 0, logistic-regression" in late.stdout
    assert [row["status"] for row in read(out)] == ["timeout"]
    again = benchmark(sets, out, "--sets", "points", *FAST)
    assert "1 of 1 fits are done" in again.stdout
    assert again.returncode == 1
    retried = benchmark(sets, out, "--sets", "points", *FAST, "--retry")
    assert retried.returncode == 0
    (row,) = latest(read(out)).values()
    assert row["status"] == "ok"


def test_rows_of_other_settings_are_not_mixed_in(sets: Path, tmp_path: Path) -> None:
    out, folder = tmp_path / "rows.jsonl", tmp_path / "encoder"
    folder.mkdir()
    options = ["--sets", "points", *FAST]
    assert benchmark(sets, out, *options, "--encoder", str(folder)).returncode == 0
    (row,) = read(out)
    assert row["settings"]["encoder"] == f"{tmp_path.name}/encoder"
    other = benchmark(sets, out, *options)
    assert other.returncode == 2
    assert "rows made with encoder" in other.stderr
    assert read(out) == [row]


def test_a_package_that_is_not_there_is_no_failure(sets: Path, tmp_path: Path) -> None:
    told = outcome(ModuleNotFoundError("No module named 'setfit'", name="setfit"))
    assert told == {"status": "absent", "error": "the package setfit is not installed"}
    assert outcome(ValueError("no"))["status"] == "error"
    out = tmp_path / "rows.jsonl"
    append(out, plain_row(status="absent", error="no such package"))
    done = benchmark(sets, out, "--sets", "points", *FAST)
    assert "1 of 1 fits are done" in done.stdout
    assert done.returncode == 0


def test_peers_share_a_process_and_one_that_is_late_leaves_the_rest(
    sets: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rows.jsonl"
    options = [*FAST[:6], "--peers", "logistic-regression,nearest", "--sets", "waves"]
    benchmark(sets, out, *options, "--peer-timeout", "0.1")
    late, quick = read(out)
    assert late["status"] == "timeout"
    assert quick["method"] == "nearest"
    assert quick["wall_seconds"] > late["wall_seconds"] * 0.1, "it had a process of its own"


def test_an_interrupted_race_ends_its_fits_and_says_how_to_go_on(
    sets: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rows.jsonl"
    options = ["--sets", "points,squares", *FAST, "--workers", "2"]
    race = subprocess.Popen(command(sets, out, *options), cwd=ROOT, stdout=subprocess.PIPE)
    workers = wait_for_worker(race.pid)
    race.send_signal(signal.SIGINT)
    said, _ = race.communicate(timeout=30)
    assert race.returncode == 130
    assert b"The same command goes on" in said
    for worker in workers:
        wait_until_gone(worker)


def test_jobs_are_single_fits_of_leaven_and_the_peers_of_a_place() -> None:
    sets = {"points": "tabular", "notes": "text"}
    cells = grid(sets, [4], [0, 1], ["auto"], ["spreading", "svc", "nearest", "poisson"], "1m")
    found = jobs(cells)
    assert [cell for job in found for cell in job] == cells
    assert [[cell.method for cell in job] for job in found[:2]] == [
        ["spreading", "poisson"], ["auto"],
    ]  # fmt: skip
    assert len(found) == 8


def test_an_error_is_a_row_with_its_words(sets: Path, tmp_path: Path) -> None:
    out, broken = tmp_path / "rows.jsonl", tmp_path / "sets"
    (broken / "points").mkdir(parents=True)
    (broken / "index.json").write_bytes((sets / "index.json").read_bytes())
    done = benchmark(broken, out, "--sets", "points", *FAST)
    assert done.returncode == 1
    (row,) = read(out)
    assert row["status"] == "error"
    assert "FileNotFoundError" in row["error"]
    assert "train.parquet" in row["error"]


def test_a_killed_fit_is_made_again(sets: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    append(out, plain_row(status="killed", error="ended by SIGKILL"))
    said = benchmark(sets, out, "--sets", "points", *FAST, "--dry-run").stdout
    assert "0 of 1 fits are done" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sets", "point"], "There is no set 'point'"),
        (["--sets", "points", "--methods", "fixmach"], "There is no method 'fixmach'"),
        (["--sets", "points", "--peers", "svm"], "There is no peer 'svm'"),
    ],
)
def test_a_wrong_name_is_said_before_anything_is_fitted(
    sets: Path, tmp_path: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rows.jsonl"
    assert main(["--data", str(sets), "--out", str(out), *options]) == 2
    assert words in capsys.readouterr().err
    assert not out.exists()


def test_the_duration_is_estimated_from_the_budget_and_then_from_rows_alike() -> None:
    fits = grid(SETS, [4, 25], [0], ["fixmatch"], [], "5m")
    assert expected(fits, []) == "about 21 min"  # 4 × (5 min and what a fit takes beside it)
    took = [fits[0].to_row() | {"wall_seconds": 60.0}]
    assert expected(fits, took) == "about 12 min"  # 2 on points as that one, 2 on notes
    assert expected(fits, took, workers=2) == "about 6 min"
    steps = grid({"points": "tabular"}, [4], [0], ["fixmatch"], ["spreading"], "20steps")
    assert expected(steps, []) == "about 5 s and 1 of unknown length"
    elsewhere = Cell("notes", 4, 0, "peer", "spreading", "").to_row() | {"wall_seconds": 80.0}
    assert expected(steps[:1], [elsewhere]) == "about 80 s"


def plain_row(**changed: Any) -> dict[str, Any]:
    """A row of a peer's fit that went well, with some fields changed."""
    row = {
        "set": "points", "labels": 4, "seed": 0, "kind": "peer", "method": "logistic-regression",
        "budget": "", "status": "ok", "wall_seconds": 2.0,
        "settings": {"most_records": 10_000, "most_test": 4000, "encoder": ""},
    }  # fmt: skip
    return json.loads(json.dumps(row | changed))
