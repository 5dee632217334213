"""Each command is one library call, and says its result in words and in JSON."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import fake_api
import pytest
from typer.testing import CliRunner, Result

import leaven
from leaven.cli import app
from leaven.core.wording import THIN
from leaven.operate.scoring.bulk import Scored

COMMANDS = [
    *("check", "fit", "predict", "compare", "pretrain"),
    *("methods", "pretexts", "encoders", "report"),
]


def use(monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
    api = fake_api.build(**options)
    monkeypatch.setitem(sys.modules, "leaven.api", api)
    monkeypatch.setattr(leaven, "api", api, raising=False)
    return api


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Any:
    return use(monkeypatch)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def spoken(*arguments: str) -> str:
    """Stdout as it is read aloud: thin spaces as plain ones."""
    return run(*arguments).stdout.replace(THIN, " ")


def test_help_lists_every_command():
    result = run("--help")
    assert result.exit_code == 0
    listed = re.findall(r"^│ (\w+) {2,}", result.stdout, re.MULTILINE)
    assert [name for name in listed if name in COMMANDS] == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_json(command: str):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "--json" in result.stdout
    assert f"Usage: leaven {command}" in result.stdout


def test_version():
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"leaven {leaven.__version__}\n")


def test_no_command_is_wrong_use():
    result = run()
    assert result.exit_code == 2
    assert "Commands" in result.stdout


def test_check_hands_on_its_options(api):
    result = run(
        *("check", "x.csv", "--label", "y", "--modality", "text", "--id", "k"),
        *("--group", "g", "--time", "t", "--audit", "a", "--labels", "l.csv"),
    )
    assert result.exit_code == 0
    (name, options) = api.calls[0]
    assert name == "check"
    assert options.pop("progress") is not None
    assert options == {
        "data": "x.csv",
        "label": "y",
        "modality": "text",
        "id": "k",
        "group": "g",
        "time": "t",
        "audit": "a",
        "labels": "l.csv",
    }


def test_check_says_what_is_there_and_what_is_wrong(api):
    said = spoken("check", "x.csv")
    assert said.startswith("intents: 9 974 records (text), 616 labelled in 20 classes, 9 358 unlab")
    assert "3 records are quarantined: empty text 3." in said
    assert "! warning" in said
    assert "x.csv row 812" in said
    assert "and 8 more." in said
    assert "Advice: semi-supervised" in said


def test_output_holds_no_escape_sequences_and_no_markup_is_obeyed(api):
    said = run("check", "x.csv").stdout
    assert "\x1b" not in said
    assert "[bold]may[/bold]" in said


@pytest.mark.parametrize(("clean", "code"), [(False, 1), (True, 0)])
def test_check_strict_fails_on_findings(monkeypatch, clean: bool, code: int):
    use(monkeypatch, clean=clean)
    assert run("check", "x.csv", "--strict").exit_code == code
    assert run("check", "x.csv").exit_code == 0


def test_check_json_is_the_librarys_answer(api):
    assert json.loads(run("check", "x.csv", "--json").stdout) == api.check("x.csv")


def test_fit_hands_on_its_options(api):
    result = run(
        *("fit", "x.csv", "--label", "y", "--method", "fixmatch", "--encoder", "enc"),
        *("--budget", "400steps", "--seed", "3", "--out", "o"),
        *("--recipe", "r.toml", "--audit", "truth", "--rewrite", "context", "--fresh", "--json"),
        *("--answers", "more.csv", "--rules", "rules.toml"),
        *("--set", "accept=AtLeast(0.8)", "--set", "accept=Steady", "--set", "weight=2"),
        *("--pretrain", "simclr", "--tune", "--share", "a=4%"),
        *("--cpu-hours", "0.5", "--memory", "8", "--money", "2", "--prices", "p.toml"),
    )
    assert result.exit_code == 0
    assert api.calls[0][1] == {
        "data": "x.csv",
        "pretext": "simclr",
        "tune": True,
        "shares": {"a": 0.04},
        "cpu_hours": 0.5,
        "memory": 8.0,
        "money": 2.0,
        "prices": "p.toml",
        "label": "y",
        "modality": None,
        "id": None,
        "group": None,
        "time": None,
        "audit": "truth",
        "labels": None,
        "method": "fixmatch",
        "encoder": "enc",
        "budget": "400steps",
        "seed": 3,
        "out": "o",
        "recipe": "r.toml",
        "rewrite": "context",
        "settings": {"accept": ["AtLeast(0.8)", "Steady"], "weight": 2},
        "answers": "more.csv",
        "rules": "rules.toml",
        "fresh": True,
        "metrics": None,
        "progress": None,
    }


def test_fit_says_the_verdict_first_and_the_report_last(api):
    result = run("fit", "x.csv")
    said = result.stdout.replace(THIN, " ")
    lines = said.splitlines()
    assert lines[0] == fake_api.STORY["verdict"]["sentence"]
    assert re.search(r"accuracy +71\.2 % \(68\.9 to 73\.4\) +65\.1 %", said)
    assert re.search(r"calibration error \(ECE\) +0\.041 \(0\.030 to 0\.050\) +–", said)
    assert lines[-1].split() == ["Report", "runs/intents-a1/report.html"]
    assert "2 min left" in result.stderr.replace(THIN, " ")
    assert "chatter" in result.stderr


def test_fit_json_keeps_stdout_for_the_object(api):
    result = run("fit", "x.csv", "--json")
    story = json.loads(result.stdout)
    assert list(story) == ["run", "dataset", "metrics", "baseline", "verdict"]
    assert story["metrics"]["log_loss"]["value"] is None
    assert "left" not in result.stderr


AUDIT = {
    "records": 400,
    "unknown": 12,
    "threshold": 0.95,
    "precision": {"value": 0.971, "low": 0.946, "high": 0.985, "n": 312},
    "accuracy": {"value": 0.91, "low": 0.878, "high": 0.934, "n": 400},
}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (
            {},
            "Audit: precision of confident pseudo-labels 97.1 % (94.6 to 98.5) on 312 audited",
        ),
        (
            {},
            " accuracy 91.0 % (87.8 to 93.4) on all 400. 12 of them bear a label that is no class",
        ),
        (
            {"precision": None, "unknown": 0},
            "Audit: no prediction has a confidence of 95 %; accuracy 91.0 % (87.8 to 93.4) on all",
        ),
        (
            {"records": 0, "precision": None, "accuracy": None},
            "Audit: the column holds no label of an unlabelled record.",
        ),
    ],
)
def test_fit_says_what_the_audit_found(monkeypatch, told: dict[str, Any], said: str):
    monkeypatch.setattr(fake_api, "STORY", {**fake_api.STORY, "audit": {**AUDIT, **told}})
    use(monkeypatch)
    assert said in spoken("fit", "x.csv")
    assert json.loads(run("fit", "x.csv", "--json").stdout)["audit"] == {**AUDIT, **told}


@pytest.mark.parametrize(("outcome", "code"), [("better", 0), ("unproven", 1), ("worse", 1)])
def test_fit_require_better(monkeypatch, outcome: str, code: int):
    use(monkeypatch, outcome=outcome)
    assert run("fit", "x.csv").exit_code == 0
    result = run("fit", "x.csv", "--require", "better", "--json")
    assert result.exit_code == code
    assert json.loads(result.stdout)["verdict"]["outcome"] == outcome


def test_fit_shows_the_methods_figures_where_the_baseline_is_kept(monkeypatch):
    verdict = {**fake_api.STORY["verdict"], "kept": "supervised", "outcome": "unproven"}
    story = {**fake_api.STORY, "verdict": verdict, "method_metrics": {"accuracy": {"value": 0.5}}}
    monkeypatch.setattr(fake_api, "STORY", story)
    use(monkeypatch, outcome="unproven")
    said = spoken("fit", "x.csv")
    assert re.search(r"^ +fixmatch +supervised \(baseline\) · kept", said, re.MULTILINE)
    assert re.search(r"^accuracy +50\.0 % +65\.1 %", said, re.MULTILINE)


def test_predict_writes_and_counts(monkeypatch: pytest.MonkeyPatch):
    calls = []

    def predict_file(run: str, data: str, out: str, **options: Any) -> Scored:
        calls.append((run, data, out, options["label"]))
        return Scored(out, 2, 1, 0, 0.8, {"a": 2}, (), {})

    monkeypatch.setattr("leaven.scoring.predict_file", predict_file)
    assert "By class: a 2." in run("predict", "r", "d.csv", "--out", "p.csv").stdout
    assert calls == [("r", "d.csv", "p.csv", None)]
    summary = json.loads(run("predict", "r", "d.csv", "--out", "p.csv", "--json").stdout)
    assert (summary["records"], summary["quarantined"]) == (2, 1)
    assert summary["predictions"] == {"a": 2}
    assert summary["mean_confidence"] == pytest.approx(0.8)


def test_compare_shows_rows_pairs_and_warnings(api):
    said = run("compare", "one", "two").stdout
    assert "one against two: Not shown to be better." in said
    assert "! The holdouts differ." in said
    assert json.loads(run("compare", "one", "two", "--json").stdout) == api.compare(["one", "two"])


def test_a_change_that_says_nothing_is_told(api):
    result = run("fit", "x.csv", "--set", "accept")
    assert result.exit_code == 2
    assert "KEY=VALUE, such as accept=AtLeast(0.8)" in result.stderr


def test_choices_are_listed_by_part(api):
    said = run("methods", "--choices").stdout
    assert re.search(r"teacher +SelfTeacher\(weak\) +The network itself", said)
    assert re.search(r"accept +AtLeast\(0\.95\) ", said)
    assert json.loads(run("methods", "--choices", "--json").stdout) == {"choices": fake_api.CHOICES}


def test_a_wide_table_of_methods_keeps_its_columns_in_a_file(api):
    said = run("methods", "--table").stdout
    assert all(len(line.split()) >= 2 for line in said.splitlines())


def test_pretrain_hands_on_its_options_and_says_what_to_do_with_it(api):
    result = run(
        *("pretrain", "x.csv", "--label", "y", "--pretext", "byol", "--encoder", "mlp"),
        *("--budget", "40steps", "--against", "a", "--against", "b", "--set", "predictor=none"),
    )
    assert result.exit_code == 0
    told = api.calls[0][1]
    assert (told["data"], told["label"], told["pretext"]) == ("x.csv", "y", "byol")
    assert told["against"] == ["a", "b"]
    assert told["settings"] == {"predictor": "none"}
    said = result.stdout.replace(THIN, " ")
    assert said.startswith("simclr learnt from 900 records")
    assert "+3.1 (1.0 to 5.2)" in said
    assert "step 12: all records get the same" in said
    assert "\x1b[31m" not in said
    assert "leaven fit DATA --encoder runs/p1" in said
    as_json = json.loads(run("pretrain", "x.csv", "--json").stdout)
    assert as_json["sentence"].startswith("simclr")
    assert "map" not in as_json


def test_compare_takes_a_data_set_instead_of_runs(api, tmp_path):
    table = tmp_path / "x.csv"
    table.write_text("a,label\n1,x\n")
    said = run("compare", str(table), "--against", "enc").stdout
    assert "tuned, self-supervised" in said
    assert api.calls[0][0] == "pretrain"
    told = json.loads(run("compare", str(table), "--json").stdout)
    assert set(told) == {"run", "comparison"}


def test_pretexts_are_listed(api):
    assert "Gidaris et al. 2018" in run("pretexts").stdout
    table = run("pretexts", "--table").stdout
    assert "NTXent(0.2)" in table
    assert "rotation" not in table
    assert json.loads(run("pretexts", "--json").stdout)["pretexts"][0]["name"] == "simclr"


def test_methods_and_encoders(api):
    said = run("methods").stdout
    assert "Sohn et al. 2020" in said
    assert "label-spreading" in said
    table = run("methods", "--table").stdout
    assert "fixed 0.95" in table
    assert "label-spreading" not in table
    assert json.loads(run("methods", "--json").stdout) == {"methods": fake_api.METHODS}
    assert "ngram-bag" in run("encoders").stdout
    assert json.loads(run("encoders", "--json").stdout)["encoders"][0]["modality"] == "text"


def test_report_prints_the_path_alone(api):
    assert run("report", "r").stdout == "r/report.html\n"
    written = json.loads(run("report", "r", "--out", "x.html", "--json").stdout)
    assert written == {"run": "r", "report": "x.html"}
