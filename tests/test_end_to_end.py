"""From records on disk or in memory to a model, its figures, its files and its predictions."""

from __future__ import annotations

import csv
import json
import shlex
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits, load_wine
from threadpoolctl import threadpool_limits
from typer.testing import CliRunner

import leaven
from leaven import Dataset, Run
from leaven.cli import app
from leaven.cli.show import show_fit
from leaven.core.errors import DataError, SettingError

STORY = {"run", "dataset", "metrics", "baseline", "verdict"}


@pytest.fixture(scope="module", autouse=True)
def no_network_and_one_thread() -> Iterator[None]:
    """Whoever opens a connection fails the test; small networks do not gain from threads."""

    def refuse(*arguments: Any) -> None:
        raise AssertionError(f"a connection was opened: {arguments[1:]}")

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1), pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket.socket, "connect_ex", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("house")


def command(*words: Any, code: int = 0) -> dict[str, Any]:
    """A command's JSON; its exit code is checked."""
    result = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert result.exit_code == code, result.stdout + result.stderr
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def fit(data: Any, home: Path, *words: Any, code: int = 0) -> dict[str, Any]:
    return command("fit", data, "--out", home / "runs", *words, code=code)


# --- pictures -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures(home: Path) -> Path:
    """Digits 0 to 3 as files, 8 of each labelled; a text and half a picture among them."""
    folder, (images, labels) = home / "digits", load_digits(n_class=4, return_X_y=True)
    for number, (pixels, label) in enumerate(zip(images[:200], labels[:200], strict=True)):
        place = folder / (str(label) if number < 32 else "unlabelled") / f"{number:03d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels.reshape(8, 8) * 15.9).astype(np.uint8)).save(place)
    whole = (folder / "unlabelled" / "100.png").read_bytes()
    (folder / "unlabelled" / "half.png").write_bytes(whole[: len(whole) // 2])
    (folder / "unlabelled" / "notes.txt").write_text("scanned in spring")
    return folder


@pytest.fixture(scope="module")
def digits(pictures: Path, home: Path) -> dict[str, Any]:
    return fit(pictures, home, "--method", "fixmatch", "--budget", "6steps")


def test_pictures_are_checked(pictures: Path):
    told = command("check", pictures)
    assert told["dataset"]["modality"] == "image"
    assert told["dataset"]["classes"] == ["0", "1", "2", "3"]
    assert (told["dataset"]["records"], told["dataset"]["labelled"]) == (200, 32)
    assert told["dataset"]["quarantined"] == 2
    command("check", pictures, "--strict", code=1)


def test_pictures_make_a_run(digits: dict[str, Any], pictures: Path):
    assert set(digits) == STORY
    assert digits["dataset"]["records"] == 200
    assert digits["baseline"]["method"] == "supervised"
    assert digits["metrics"]["accuracy"]["n"] == 32
    run = Path(digits["run"]["folder"])
    rejected = pq.read_table(run / "quarantine.parquet").to_pylist()
    files = {Path(row["source"]).name: row["reason"] for row in rejected}
    assert set(files) == {"half.png", "notes.txt"}, rejected
    predictions = pq.read_table(run / "predictions.parquet")
    assert predictions.num_rows == 168
    page = (run / "report.html").read_text()
    assert digits["verdict"]["sentence"][:30] in page


def test_a_runs_folder_holds_no_pickle(digits: dict[str, Any]):
    run = Path(digits["run"]["folder"])
    files = {p.name for p in (run / "model").iterdir()}
    assert files == {"model.safetensors", "model.json", "predictor.json"}
    endings = {p.suffix for p in run.rglob("*") if p.is_file()}
    assert endings == {".safetensors", ".json", ".parquet", ".toml", ".html"}
    assert not (run / "work").exists()


def test_pictures_in_memory_are_those_in_files(
    digits: dict[str, Any], pictures: Path, tmp_path: Path
):
    """The same records, whatever they come in: the same hash, the same figures."""
    files = [place for place in sorted(pictures.rglob("*.png")) if place.name != "half.png"]
    labels = [None if p.parent.name == "unlabelled" else p.parent.name for p in files]
    frame = pa.table({"image": [p.read_bytes() for p in files], "label": labels})
    dataset = Dataset.from_frame(frame, modality="image")
    assert dataset.hash == digits["dataset"]["hash"]
    run = leaven.fit(dataset, method="fixmatch", budget="6steps", out=tmp_path)
    for name, estimate in digits["metrics"].items():
        assert run.metrics[name].value == pytest.approx(estimate["value"]), name
    pixels = np.stack([np.asarray(Image.open(place)) for place in files[:20]])
    one = Run.load(digits["run"]["folder"]).predict(pixels)
    np.testing.assert_allclose(one, run.predict(dataset.select(np.arange(20))), atol=1e-5)


# --- texts ----------------------------------------------------------------------------------

TOPICS = {
    "card": ["card", "blocked", "pin", "stolen", "machine", "swallowed"],
    "transfer": ["transfer", "late", "pending", "recipient", "account", "sent"],
    "rate": ["exchange", "rate", "currency", "wrong", "dollar", "euro"],
}
FILLER = ["my", "the", "is", "was", "again", "please", "help", "today", "why", "how"]


def messages(count: int = 90, labelled: int = 36) -> list[dict[str, str | None]]:
    rng, rows = np.random.default_rng(0), []
    for i in range(count):
        topic = list(TOPICS)[i % 3]
        words = rng.choice(TOPICS[topic] + FILLER, 9)
        rows.append({"text": f"{' '.join(words)} n{i}", "intent": topic if i < labelled else None})
    return rows


@pytest.fixture(scope="module")
def letters(home: Path) -> Path:
    """A table with a mistyped label, a row of too many cells, an empty one and two encodings."""
    path = home / "letters.csv"
    lines = ["text,intent"]
    lines += [f"{row['text']},{row['intent'] or ''}" for row in messages()]
    lines[2] = lines[2].replace(",transfer", ",tranfser")
    raw = "\n".join([*lines, "one,two,three,four", ",card"]).encode()
    raw += "\nder Kurs ist für mich falsch,\n".encode("latin-1")
    raw += "der Kurs ist für mich spät,\n".encode()
    path.write_bytes(raw)
    return path


def test_a_table_with_faults_is_read_and_each_fault_is_told(letters: Path, home: Path):
    told = command("check", letters, "--label", "intent")
    findings = {finding["name"]: finding["message"] for finding in told["findings"]}
    assert "'tranfser'" in findings["label-typo"]
    assert "Windows-1252" in findings["encoding"]
    assert told["dataset"]["quarantined"] >= 2

    story = fit(
        letters, home, "--label", "intent", "--method", "label-spreading", "--budget", "10steps"
    )
    assert story["dataset"]["records"] >= 90
    run = Path(story["run"]["folder"])
    reasons = pq.read_table(run / "quarantine.parquet")["reason"].to_pylist()
    assert len(reasons) == story["dataset"]["quarantined"]
    assert story["metrics"]["accuracy"]["value"] > 0.6


@pytest.fixture(scope="module")
def lines(home: Path) -> Path:
    path = home / "letters.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in messages()))
    return path


@pytest.fixture(scope="module")
def spread(lines: Path, home: Path) -> Run:
    story = fit(
        lines, home, "--label", "intent", "--method", "label-spreading", "--budget", "10steps"
    )
    return Run.load(story["run"]["folder"])


def _read_csv(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="") as file:
        return [{k: _number(v) for k, v in row.items()} for row in csv.DictReader(file)]


def _number(cell: str) -> str | float:
    try:
        return float(cell)
    except ValueError:
        return cell


READERS: dict[str, Callable[[Path], list[dict[str, Any]]]] = {
    "csv": _read_csv,
    "parquet": lambda path: pq.read_table(path).to_pylist(),
    "jsonl": lambda path: [json.loads(line) for line in path.read_text().splitlines()],
}


@pytest.mark.parametrize("ending", list(READERS))
def test_predictions_are_written_as_what_the_model_says(
    spread: Run, lines: Path, tmp_path: Path, ending: str
):
    out = tmp_path / f"predictions.{ending}"
    summary = command("predict", spread.folder, lines, "--out", out)
    assert summary["records"] == 90
    rows = READERS[ending](out)
    columns = ["p_card", "p_rate", "p_transfer"]
    assert all(list(row) == ["id", "prediction", "confidence", *columns] for row in rows)
    found = np.array([[row[name] for name in columns] for row in rows])
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-9)
    texts = [row["text"] for row in messages()]
    np.testing.assert_allclose(found, spread.predict(texts), atol=1e-6)
    for row, said in zip(rows, found, strict=True):
        assert row["prediction"] == columns[said.argmax()].removeprefix("p_")
        assert row["confidence"] == said.max()
    assert len({row["id"] for row in rows}) == 90


def test_predict_refuses_what_it_cannot_write_or_read(spread: Run, lines: Path, tmp_path: Path):
    told = command("predict", spread.folder, lines, "--out", tmp_path / "p.xlsx", code=2)
    assert ".parquet" in told["error"]["message"]
    told = command("predict", tmp_path, lines, "--out", tmp_path / "p.csv", code=2)
    assert "is no run" in told["error"]["message"]
    assert not (tmp_path / "p.csv").exists()


def test_formats_and_frames_of_the_same_records_are_one_dataset(lines: Path, tmp_path: Path):
    frame = pd.DataFrame(messages())
    frame.sample(frac=1, random_state=0).to_csv(tmp_path / "m.csv", index=False)
    pq.write_table(pa.Table.from_pandas(frame), tmp_path / "m.parquet")
    wanted = Dataset.read(lines, label="intent").hash
    assert Dataset.read(tmp_path / "m.csv", label="intent").hash == wanted
    assert Dataset.read(tmp_path / "m.parquet", label="intent").hash == wanted
    assert Dataset.from_frame(frame, label="intent").hash == wanted


def test_texts_in_memory_give_the_same_run(spread: Run, tmp_path: Path):
    rows = messages()
    dataset = Dataset.from_arrays(
        [row["text"] for row in rows], [row["intent"] for row in rows], modality="text"
    )
    assert dataset.hash == spread.story["dataset"]["hash"]
    run = leaven.fit(dataset, method="label-spreading", budget="10steps", out=tmp_path)
    assert run.metrics == spread.metrics
    assert run.verdict == spread.verdict


# --- tables ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wine(home: Path) -> Path:
    """Numbers with gaps and a category, 36 of 178 rows labelled."""
    path, data = home / "wine.csv", load_wine(as_frame=True)
    rng = np.random.default_rng(0)
    frame = data.data.drop(columns=["od280/od315_of_diluted_wines"])
    frame["bottle"] = rng.choice(["green", "brown", "clear"], len(frame))
    frame.loc[rng.random(len(frame)) < 0.1, "ash"] = None
    frame.loc[rng.random(len(frame)) < 0.1, "bottle"] = None
    frame["cultivar"] = data.target.map({0: "barolo", 1: "grignolino", 2: "barbera"})
    shuffled = frame.sample(frac=1, random_state=1).reset_index(drop=True)
    shuffled.loc[36:, "cultivar"] = None
    shuffled.to_csv(path, index=False)
    return path


def test_a_table_makes_a_run_by_each_kind_of_method(wine: Path, home: Path, tmp_path: Path):
    runs = []
    for method in ("mean-teacher", "label-spreading"):
        story = fit(wine, home, "--label", "cultivar", "--method", method, "--budget", "30steps")
        assert story["dataset"]["modality"] == "tabular"
        assert story["metrics"]["accuracy"]["value"] > 0.8
        runs.append(story["run"]["folder"])
    compared = command("compare", *runs)
    assert [row["method"] for row in compared["rows"]] == ["mean-teacher", "label-spreading"]
    (pair,) = compared["pairs"]
    assert pair["difference"]["n"] == 36
    # A column that the model does not know is no matter, a category it has not seen neither.
    frame = pd.read_csv(wine).drop(columns="cultivar").assign(extra=1.0)
    frame.loc[0, "bottle"] = "blue"
    probabilities = Run.load(runs[0]).predict(frame)
    assert probabilities.shape == (178, 3)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-9)
    table = leaven.predict(runs[0], frame).table
    assert table["prediction"].to_pylist() == [
        Run.load(runs[0]).classes[best] for best in probabilities.argmax(1)
    ]


def test_predictions_of_labelled_records_are_measured(wine: Path, home: Path, tmp_path: Path):
    fitted = command(
        "fit",
        wine,
        "--label",
        "cultivar",
        "--method",
        "label-spreading",
        "--budget",
        "5steps",
        "--out",
        home,
    )
    folder, truth = fitted["run"]["folder"], pd.read_csv(wine)["cultivar"]
    for words, model in (((), "predictor"), (("--compared",), "compared")):
        told = command(
            "predict", folder, wine, "--label", "cultivar", "--out", tmp_path / "p.csv", *words
        )
        known = truth.notna().to_numpy()
        probabilities = getattr(Run.load(folder), model).predict(Run.load(folder).dataset(wine))[1]
        said = np.array(Run.load(folder).classes)[probabilities.argmax(1)]
        right = (said[known] == truth[known].astype(str)).mean()
        assert told["metrics"]["accuracy"]["n"] == known.sum()
        assert told["metrics"]["accuracy"]["value"] == pytest.approx(right)
        assert told["quarantined"] == 0
    odd = pd.read_csv(wine).assign(cultivar="merlot")
    odd.to_csv(tmp_path / "odd.csv", index=False)
    told = command(
        "predict", folder, tmp_path / "odd.csv", "--label", "cultivar", "--out", tmp_path / "p.csv"
    )
    assert told["metrics"] == {}
    assert any("label" in finding["name"] for finding in told["findings"])


def test_an_audit_column_is_only_read_to_say_how_right_the_pseudo_labels_are(
    home: Path, tmp_path: Path
):
    rng, y = np.random.default_rng(0), np.arange(150) % 2
    frame = pd.DataFrame(rng.normal(size=(150, 3)) + 2.5 * y[:, None], columns=list("abc"))
    frame["kind"] = [f"k{t}" if i < 30 else None for i, t in enumerate(y)]
    frame["truth"] = [f"k{t}" if i >= 90 else None for i, t in enumerate(y)]
    frame.loc[149, "truth"] = "unheard"
    frame.to_csv(tmp_path / "audited.csv", index=False)
    words = ("--label", "kind", "--method", "fixmatch", "--budget", "20steps")
    told = fit(tmp_path / "audited.csv", home, *words, "--audit", "truth")
    assert set(told) == STORY | {"audit"}
    assert (told["audit"]["records"], told["audit"]["unknown"]) == (60, 1)
    assert told["audit"]["accuracy"]["n"] == 60
    assert told["audit"]["accuracy"]["value"] > 0.8
    assert [column["name"] for column in told["dataset"]["columns"]] == ["a", "b", "c"]
    run = Run.load(told["run"]["folder"])
    assert "--audit truth" in run.story["run"]["command"]
    assert "Audit:" in (run.folder / "report.html").read_text()
    log = run.story["training"]["pseudo_history"]
    assert [point["step"] for point in log] == list(range(1, 21))
    assert run.predict(frame.drop(columns=["truth", "kind"])).shape == (150, 2)


def test_calibration_is_told_before_and_after(spread: Run):
    told = spread.story["calibration"]
    for side in ("before", "after"):
        assert set(told[side]) == {"ece", "adaptive_ece", "brier"}
        assert all(0 <= error <= 2 for error in told[side].values())


def test_the_report_is_written_again(spread: Run, tmp_path: Path):
    told = command("report", spread.folder, "--out", tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text() == (spread.folder / "report.html").read_text()
    assert told["report"] == str(tmp_path / "again.html")


def test_methods_are_listed():
    listed = {row["name"]: row for row in command("methods")["methods"]}
    assert {"supervised", "fixmatch", "label-spreading"} <= set(listed)
    assert listed["fixmatch"]["baseline"] == "supervised"
    assert "Sohn" in listed["fixmatch"]["paper"]


# --- what cannot be done, and what ends in another way --------------------------------------


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([None] * 60, "no labelled record"),
        (["one"] * 20 + [None] * 40, "labels of one class only"),
    ],
)
def test_too_little_to_learn_from_is_said(labels: list[str | None], said: str, tmp_path: Path):
    dataset = Dataset.from_arrays(np.random.default_rng(0).normal(size=(60, 3)), labels)
    with pytest.raises(DataError, match=said):
        leaven.fit(dataset, out=tmp_path)
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_a_column_without_labels_is_wrong_input(tmp_path: Path):
    rows = [f"{i},{i * i % 7}," for i in range(40)]
    (tmp_path / "none.csv").write_text("\n".join(["a,b,label", *rows]))
    told = command("fit", tmp_path / "none.csv", "--label", "label", "--out", tmp_path, code=2)
    assert told["error"]["type"] == "DataError"
    assert "label" in told["error"]["message"]


def test_without_unlabelled_records_the_supervised_counterpart_is_fitted(
    home: Path, tmp_path: Path
):
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    dataset = Dataset.from_arrays(rng.normal(size=(40, 3)) + 2 * labels[:, None], labels)
    for method, counterpart in (("fixmatch", "supervised"), ("auto", "supervised-blend")):
        run = leaven.fit(dataset, method=method, budget="10steps", out=tmp_path / method)
        assert run.story["recipe"]["method"] == counterpart
        assert "every record has a label" in run.story["recipe"]["reason"]
        assert run.verdict.kept == counterpart
        assert run.predict(rng.normal(size=(5, 3))).shape == (5, 2)
        assert pq.read_table(run.folder / "predictions.parquet").num_rows == 0


def test_all_labels_teach_a_method_that_needs_no_steps(tmp_path: Path):
    """Folds would take most of the time of one that does: it keeps a holdout of its own."""
    rng, y = np.random.default_rng(0), np.arange(700) % 3
    x = rng.normal(size=(700, 4)) + 2 * np.eye(3, 4)[y]
    x[y == 2] = x[np.flatnonzero(y == 2)[np.arange((y == 2).sum()) % 8]]  # not to be dealt evenly
    dataset = Dataset.from_arrays(x, [str(c) if i < 600 else None for i, c in enumerate(y)])
    for method, rule, taught in (("ridge", "folds", 600), ("fixmatch", "holdout", 420)):
        run = leaven.fit(dataset, method=method, budget="2steps", out=tmp_path / method)
        assert run.story["split"]["rule"] == rule
        assert abs(run.story["split"]["train"] - taught) < 40
        # What it was taught are the shares of all labels, and not of those that judge it.
        assert run.predictor.taught == pytest.approx((1 / 3,) * 3, abs=1e-5)


def test_a_required_verdict_that_does_not_hold_is_exit_one(wine: Path, home: Path):
    words = ("--label", "cultivar", "--method", "logistic", "--require", "better")
    assert fit(wine, home, *words, code=1)["verdict"]["outcome"] != "better"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "fixmach"], "Did you mean 'fixmatch'?"),
        (["--budget", "soon"], "a time or steps"),
        (["--label", "colour"], "colour"),
        (["--audit", "bottles"], "Did you mean 'bottle'?"),
        (["--encoder", "no-such-encoder"], "no-such-encoder"),
        (["--share", "barollo=0.5"], "Did you mean 'barolo'?"),
        (["--share", "barolo"], "CLASS=SHARE"),
        (["--share", "barolo=half"], "CLASS=SHARE"),
        (["--share", "barolo=110%"], "less than 1"),
    ],
)
def test_wrong_settings_are_exit_two(wine: Path, home: Path, words: list[str], said: str):
    label = [] if "--label" in words else ["--label", "cultivar"]
    assert said in fit(wine, home, *label, *words, code=2)["error"]["message"]


def test_given_shares_move_the_answers(tmp_path: Path):
    """Labels drawn evenly from a table of which few are faults: nobody has to know, but may say."""
    rng, y = np.random.default_rng(0), np.r_[np.zeros(440, int), np.ones(60, int)]
    frame = pd.DataFrame(rng.normal(size=(500, 4)) + 0.7 * y[:, None], columns=list("abcd"))
    frame["part"] = np.where(y == 1, "cracked", "whole")
    frame.to_csv(tmp_path / "truth.csv", index=False)
    frame.loc[np.r_[10:440, 450:500], "part"] = None
    frame.to_csv(tmp_path / "parts.csv", index=False)
    right = {}
    for words in ((), ("--share", "cracked=12%")):
        story = fit(
            tmp_path / "parts.csv", tmp_path, "--label", "part", "--method", "ridge", *words
        )
        told = command(
            *("predict", story["run"]["folder"], tmp_path / "truth.csv", "--label", "part"),
            *("--out", tmp_path / "p.csv"),
        )
        right[words] = told["metrics"]["accuracy"]["value"]
        said = set(pd.read_csv(tmp_path / "p.csv")["prediction"])
        assert said == {"cracked", "whole"}, "no class is given up"
    assert right["--share", "cracked=12%"] > right[()] + 0.02


def test_given_shares_count_where_nothing_can_be_judged(tmp_path: Path):
    rng, y = np.random.default_rng(0), np.arange(150) % 2
    labels = [str(c) if i < 2 else None for i, c in enumerate(y)]
    dataset = Dataset.from_arrays(rng.normal(size=(150, 3)) + y[:, None], labels)
    run = leaven.fit(dataset, method="ridge", shares={"1": 0.9}, out=tmp_path)
    assert run.verdict.outcome == "unmeasured"
    assert run.predictor.shares[1] > 0.5
    assert "accuracy" not in run.story["shares"]
    show_fit(run.story, run.folder / "report.html")


def test_a_dataset_without_any_form_is_refused():
    with pytest.raises(SettingError):
        Dataset.from_arrays(np.zeros((2, 2, 2, 2, 2)))


# --- composed methods -----------------------------------------------------------------------


@pytest.fixture
def points(tmp_path: Path) -> Path:
    rng, y = np.random.default_rng(0), np.arange(120) % 2
    frame = pd.DataFrame(rng.normal(size=(120, 3)) + 2.5 * y[:, None], columns=list("abc"))
    frame["label"] = [f"k{t}" if i < 30 else None for i, t in enumerate(y)]
    frame.to_csv(tmp_path / "points.csv", index=False)
    return tmp_path / "points.csv"


def test_the_told_command_makes_the_same_run(points: Path, tmp_path: Path):
    """Choices and training settings included: it finds the run that is there."""
    told = fit(
        points, tmp_path, "--method", "fixmatch", "--budget", "4steps",
        *("--set", "accept=AtLeast(0.6)", "--set", "accept=Certain", "--set", "weight=2"),
        *("--set", "align=Tempered(2.0)", "--set", "training.labelled_draw=balanced"),
        *("--share", "k0=0.8"),
    )  # fmt: skip
    run = Run.load(told["run"]["folder"])
    assert run.story["recipe"]["objective"] == {
        "accept": ["AtLeast(0.6)", "Certain"],
        "weight": 2,
        "align": "Tempered(2.0)",
    }
    assert run.story["recipe"]["training"]["labelled_draw"] == "balanced"
    assert run.story["shares"]["estimated"] == (run.story["shares"]["given"] and [0.8, 0.2])
    words = shlex.split(run.story["run"]["command"])
    again = command(*words[1:])
    assert again["run"]["folder"] == told["run"]["folder"]
    recipe = run.folder / "recipe.toml"
    third = fit(points, tmp_path, "--recipe", recipe)
    assert third["metrics"] == told["metrics"]


def test_settings_change_the_method_and_not_its_baseline(points: Path, tmp_path: Path):
    runs = [
        leaven.fit(points, method="fixmatch", budget="4steps", out=tmp_path, settings=settings)
        for settings in ({}, {"accept": "All"})
    ]
    baselines = [run.baseline["accuracy"] for run in runs]
    assert baselines[0] == baselines[1]
    last = [run.story["training"]["history"][-1]["coverage"] for run in runs]
    assert last[0] < last[1] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--method", "fixmatch", "--set", "accept=AtLest(0.9)"), "Did you mean 'AtLeast'?"),
        (("--method", "fixmatch", "--set", "weigth=2"), "Did you mean 'weight'?"),
        (("--method", "fixmatch", "--set", "training.rat=1"), "Did you mean 'rate'?"),
        (("--set", "accept=All"), "the name of the one whose objective is to change"),
        (("--method", "label-spreading", "--set", "accept=All"), "'setting of label-spreading'"),
        (("--method", "ridge", "--set", "alpha=1"), "this method has none"),
        (("--method", "fixmatch", "--rewrite", "context"), "not of modality text"),
    ],
)
def test_a_change_that_cannot_be_leaves_no_run(
    points: Path, tmp_path: Path, words: tuple[str, ...], said: str
):
    out = tmp_path / "runs"
    result = CliRunner().invoke(app, ["fit", str(points), *words, "--out", str(out)])
    assert result.exit_code == 2
    assert said in result.stderr
    assert not out.exists()
