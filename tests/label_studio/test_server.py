"""Push, pull and the model behind it, with a real Label Studio."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

import leaven.cli.label_studio  # noqa: F401 - registers its commands
from leaven.core.errors import DataError
from leaven.data.sounds import wave_file
from leaven.evaluate.run import Run
from leaven.label.queue import Ask, Queue
from leaven.label.results import labels, people, standing
from leaven.label.studio.answers import pull
from leaven.label.studio.client import Client, StudioError
from leaven.label.studio.config import Config, labelling_config, problems
from leaven.label.studio.known import Known
from leaven.label.studio.pushing import Pushed, push
from leaven.store.store import Store
from tests.label_studio.make_server import python
from tests.label_studio.server import LEGACY, MAIL, MISSING, PASSWORD, Server
from tests.label_studio.test_config import ODD
from tests.label_studio.typed import NAMES, command
from tests.serve.browser import CHROMIUM, Browser

pytestmark = [
    pytest.mark.label_studio,
    pytest.mark.skipif(MISSING is not None, reason=f"{MISSING}"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"))
    yield made
    made.kill()


def a_queue(folder: Path, run: Run, asks: list[Ask], **more: Any) -> Queue:
    told = {"classes": NAMES, "modality": "text"} | more
    queue = Queue.made(Store(folder / "q.db"), f"queue {time.time_ns()}", **told)
    queue.add(asks)
    return queue


def texts(run: Run, number: int, **more: Any) -> list[Ask]:
    """Texts of which two are the same, with a guess of the run."""
    return [
        Ask(
            f"r{i}", f"c{i // 2}", {"kind": "text", "text": f"text {i // 2}"},
            (("barbera", 0.6), ("barolo", 0.4)), "near the boundary", priority=float(i % 7),
            origin={"run": run.folder.name}, **more,
        )
        for i in range(number)
    ]  # fmt: skip


def sent(server: Server, run: Run, queue: Queue, token: str = LEGACY, **more: Any) -> Pushed:
    return push(Client(server.address, token), queue, Known(run), title=queue.name, **more)


def taken(server: Server, queue: Queue) -> Any:
    client = Client(server.address, LEGACY)
    return pull(client, queue, client.projects(queue.name)[0])


def there(server: Server, project: int) -> list[dict[str, Any]]:
    told = server.call("GET", f"/api/tasks/?project={project}&page_size=2000&fields=all")
    return told["tasks"]


def choose(server: Server, task: int, label: str | None, token: str = LEGACY, **more: Any) -> int:
    """Answer as a person does; the annotation's number."""
    region = {
        "id": "x", "from_name": "class", "to_name": "record", "type": "choices",
        "value": {"choices": [label]},
    }  # fmt: skip
    told = {"result": [region] if label else [], "was_cancelled": label is None} | more
    made = server.call("POST", f"/api/tasks/{task}/annotations/", token, json=told)
    return int(made["id"])


def said(queue: Queue) -> dict[tuple[str, str], str | None]:
    return {(one.record, one.person.partition("@")[0]): one.label for one in standing(queue)}


def by_record(server: Server, project: int) -> dict[str, int]:
    return {one["data"]["uid"]: one["id"] for one in there(server, project)}


# The whole way by commands


def test_labels_go_round(server: Server, run: Run, tmp_path: Path):
    store = ("--store", tmp_path / "q.db")
    where = ("--url", server.address, "--project", "Wine & <b>more</b>", *store)
    first = command("label-studio", "push", run.folder, "--ask", 12, *where)
    assert (first["added"], first["before"], first["unshown"]) == (12, 0, [])
    again = command("label-studio", "push", run.folder, *where)
    assert (again["added"], again["predicted"], again["before"]) == (0, 0, 12)
    ours = there(server, first["project"])
    assert len(ours) == 12
    assert all(len(one["predictions"]) == 1 for one in ours)
    served = server.call("GET", f"/api/projects/{first['project']}/next/")
    with_scores = {one["id"]: one["predictions"][0]["score"] for one in ours}
    assert with_scores[served["id"]] == min(with_scores.values())
    for one in ours[:5]:
        choose(server, one["id"], "barbera", lead_time=4.0)
    told = command("label-studio", "pull", run.folder, *where)
    assert (told["answers"], told["people"], told["unread"]) == (5, [MAIL], [])
    told = command("label-studio", "pull", run.folder, *where)
    assert (told["answers"], told["again"]) == (0, 5)
    assert command("queue", run.folder, *store)["done"] == 5
    out = tmp_path / "labels.csv"
    assert command("label", "export", run.folder, out, *store)["labels"] == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--token-env", "NOT_SET"), "environment"),
        (("--project", "nobody made this"), "no project"),
        (("--url", "http://127.0.0.1:1"), "does not answer"),
    ],
)
def test_wrong_words_are_told(
    server: Server, run: Run, tmp_path: Path, words: tuple[str, ...], said: str
):
    store = ("--store", tmp_path / "q.db")
    command("query", run.folder, "--ask", 2, *store)
    where = ("--url", server.address, *store, *words)
    assert said in command("label-studio", "pull", run.folder, *where, code=2)["error"]["message"]


# Push


def test_the_order_there_is_ours(server: Server, run: Run, tmp_path: Path):
    queue = a_queue(tmp_path, run, texts(run, 9))
    pushed = sent(server, run, queue)
    ours = [one.record for one in queue.lease("somebody", 9)]
    theirs = []
    while True:
        answer = httpx.get(
            f"{server.address}/api/projects/{pushed.project}/next/",
            headers={"Authorization": f"Token {LEGACY}"}, timeout=60,
        )  # fmt: skip
        if answer.status_code == 404:
            break
        one = answer.json()
        assert one["queue"] == "Active learning or random queue"
        assert one["predictions"][0]["result"][0]["value"] == {"choices": ["barbera"]}
        theirs.append(one["data"]["uid"])
        choose(server, one["id"], "barolo")
    assert theirs == ours


def test_hostile_texts_and_names_arrive_as_they_are(server: Server, run: Run, tmp_path: Path):
    bad = "<script>document.title='pwned'</script> <img src=x onerror=alert(1)> {{7*7}} $text 猫"
    asks = [
        Ask(f"r {i} {bad}", f"c{i}", {"kind": "text", "text": bad}, ((name, 0.5),), bad,
            origin={"run": run.folder.name})
        for i, name in enumerate(ODD)
    ]  # fmt: skip
    queue = a_queue(tmp_path, run, asks, classes=ODD, question=bad)
    pushed = sent(server, run, queue)
    assert (pushed.added, pushed.unshown) == (len(ODD), ())
    project = server.call("GET", f"/api/projects/{pushed.project}/")
    config = Config.read(project["label_config"])
    choosing = config.choosing(ODD)
    for one in there(server, pushed.project):
        assert one["data"]["text"] == bad
        assert problems(one["predictions"][0], config) == []
        name = ODD[int(one["data"]["uid"].split()[1])]
        assert one["predictions"][0]["result"][0]["value"] == {"choices": [choosing.words[name]]}
        choose(server, one["id"], choosing.words[name])
    assert taken(server, queue).answers == len(ODD)
    assert {one.label for one in standing(queue)} == set(ODD)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_a_browser_shows_the_guess_and_runs_nothing(server: Server, run: Run, tmp_path: Path):
    bad = "<img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"
    classes, guess = (bad, "$x", "costs $5"), ((bad, 0.7),)
    shown: dict[str, dict[str, Any]] = {
        "text": {"kind": "text", "text": bad},
        "tabular": {"kind": "row", "cells": [{"name": bad, "value": bad}]},
    }
    browser = Browser(tmp_path / "profile")
    try:
        window = browser.window()
        window.size(1200, 800)
        window.open(server.address + "/user/login/")
        form = "const f = document.querySelector('form')"
        fill = "f.querySelector('[name={}]').value = {}"
        said = [
            fill.format("email", json.dumps(MAIL)),
            fill.format("password", json.dumps(PASSWORD)),
        ]
        window.value(f"(() => {{ {form}; {'; '.join(said)}; f.submit(); return 1 }})()")
        window.until("!location.href.includes('login')", 60)
        for modality, one in shown.items():
            asks = [Ask("a", "a", one, guess, bad, origin={"run": run.folder.name})]
            queue = a_queue(
                tmp_path, run, asks, classes=classes, modality=modality, question=f"Which? {bad}"
            )
            project = sent(server, run, queue).project
            (task,) = by_record(server, project).values()
            window.open(f"{server.address}/projects/{project}/data?task={task}")
            # The page has buttons of its own before ours, and draws itself anew at times: what is
            # looked at is one and the same moment, with the guess chosen, and the question, the
            # record, the class and the reason shown.
            every = "[...document.querySelectorAll('input[type=radio]')].map(r => r.checked)"
            chosen = f"JSON.stringify({every}.slice(-3)) === '[true,false,false]'"
            shown_all = f"document.body.innerText.split({json.dumps(bad)}).length > 4"
            whole = f"{chosen} && {shown_all} ? document.body.innerText : ''"
            text = window.wait(partial(window.value, whole), f"{chosen}, {shown_all}", 60)
            assert "undefined" not in text, "no name is taken for data"
            assert "pwned" not in window.value("document.title")
    finally:
        browser.close()


def test_a_push_that_was_cut_off_goes_on(server: Server, run: Run, tmp_path: Path):
    queue = a_queue(tmp_path, run, texts(run, 1000))

    def cut(what: str, done: int, whole: int) -> None:
        if what == "sending" and done == 400:
            server.kill()

    with pytest.raises(StudioError, match="does not answer"):
        sent(server, run, queue, tell=cut)
    server.start()
    pushed = sent(server, run, queue)
    assert (pushed.added, pushed.before, pushed.doubled) == (600, 400, ())
    assert sorted(by_record(server, pushed.project)) == sorted(f"r{i}" for i in range(1000))
    assert (again := sent(server, run, queue)).added == again.predicted == 0


def test_tasks_that_another_run_predicted_get_this_ones_predictions(
    server: Server, run: Run, tmp_path: Path
):
    queue = a_queue(tmp_path, run, texts(run, 4))
    first = sent(server, run, queue)
    other = Run(run.folder.parent / "later", run.story)
    again = sent(server, other, queue)
    assert (again.added, again.predicted, again.project) == (0, 4, first.project)
    assert server.call("GET", f"/api/projects/{first.project}/")["model_version"] == "leaven later"
    assert [len(one["predictions"]) for one in there(server, first.project)] == [2, 2, 2, 2]


def test_a_project_that_cannot_ask_it_is_refused_before_anything_is_sent(
    server: Server, run: Run, tmp_path: Path
):
    queue = a_queue(tmp_path, run, texts(run, 2))
    theirs = '<View><Text name="t" value="$words"/><Choices name="c" toName="t">{}</Choices></View>'
    every = "".join(f'<Choice value="{name}"/>' for name in NAMES)
    for choices, said_ in (('<Choice value="barolo"/>', "lack"), (every, r"shows \$words")):
        title = f"theirs {said_}"
        told = {"title": title, "label_config": theirs.format(choices)}
        project = server.call("POST", "/api/projects/", json=told)["id"]
        with pytest.raises(DataError, match=said_):
            push(Client(server.address, LEGACY), queue, Known(run), title=title)
        assert there(server, project) == []
    with pytest.raises(DataError, match="Nothing waits"):
        sent(server, run, a_queue(tmp_path / "..", run, []))


def stopped(what: str, done: int, whole: int) -> None:
    """As Ctrl-C does when the files are there and the tasks are not."""
    if what == "sending files":
        raise KeyboardInterrupt


def test_pictures_sounds_series_and_rows_are_shown(server: Server, run: Run, tmp_path: Path):
    buffer = io.BytesIO()
    Image.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20)).save(buffer, "png")
    png = base64.b64encode(buffer.getvalue()).decode()
    sound = wave_file(np.sin(np.arange(8000) / 9).astype(np.float32), 8000, exact=False)
    shown: dict[str, dict[str, Any]] = {
        "image": {"kind": "image", "png": png},
        "audio": {"kind": "audio", "wav": base64.b64encode(sound).decode()},
        "series": {
            "kind": "series", "steps": 3, "channels": [{"name": "v", "values": [1.0, 2.0, 1.5]}]
        },
        "tabular": {"kind": "row", "cells": [{"name": "<b>a</b>", "value": "<i>1</i>"}]},
    }  # fmt: skip
    for modality, one in shown.items():
        guess = (("barolo", 0.9),)
        asks = [Ask(name, name, one, guess, origin={"run": run.folder.name}) for name in ("a", "b")]
        queue = a_queue(tmp_path, run, asks, modality=modality)
        if modality in ("image", "audio"):
            with pytest.raises(KeyboardInterrupt):
                sent(server, run, queue, tell=stopped)
        pushed = sent(server, run, queue)
        assert (pushed.added, pushed.unshown) == (2, ())
        again = sent(server, run, queue)
        assert (again.added, again.files) == (0, 0)
        found = there(server, pushed.project)
        assert all(len(task["predictions"]) == 1 for task in found)
        if modality in ("image", "audio"):
            files = server.call("GET", f"/api/projects/{pushed.project}/file-uploads?all=true")
            assert (pushed.files, len(files)) == (0, 1), "what was sent is found again"
            path = found[0]["data"][modality]
            assert path.startswith("/data/upload/")
            head = {"Authorization": f"Token {LEGACY}"}
            file = httpx.get(server.address + path, headers=head, follow_redirects=True)
            assert file.content == (buffer.getvalue() if modality == "image" else sound)
        choose(server, found[0]["id"], "barolo")
        assert taken(server, queue).answers == 1


def test_new_classes_come_into_the_project(server: Server, run: Run, tmp_path: Path):
    queue = a_queue(tmp_path, run, texts(run, 1))
    project = sent(server, run, queue).project
    choose(server, there(server, project)[0]["id"], "barolo")
    wider = Queue.made(queue.store, queue.name, classes=["nebbiolo <&>"], modality="text")
    wider.add([Ask("new", "c", {"kind": "text", "text": "x"})])
    assert sent(server, run, wider).added == 1
    choose(server, by_record(server, project)["new"], "nebbiolo <&>")
    taken(server, wider)
    assert said(wider)["new", "anna"] == "nebbiolo <&>"


def test_tokens(server: Server, run: Run, tmp_path: Path):
    queue = a_queue(tmp_path, run, texts(run, 2))
    personal = server.call("POST", "/api/token/", json={})["token"]
    assert sent(server, run, queue, token=personal).added == 2
    for wrong in ("f" * 40, personal[:-4] + "AAAA"):
        with pytest.raises(StudioError, match="does not know this token"):
            sent(server, run, queue, token=wrong)


# Pull


def test_what_people_do_there_arrives(server: Server, run: Run, tmp_path: Path):
    queue = a_queue(tmp_path, run, texts(run, 4, wanted=2))
    project = sent(server, run, queue).project
    assert server.call("GET", f"/api/projects/{project}/")["maximum_annotations"] == 2
    task = by_record(server, project)
    ben = server.person("ben@example.org")
    annas = choose(server, task["r0"], "barolo", lead_time=3.5)
    bens = choose(server, task["r0"], "barbera", ben, lead_time=1.5)
    choose(server, task["r1"], None, lead_time=1.0)
    first = taken(server, queue)
    assert (first.answers, first.skips, first.people) == (2, 1, [MAIL, "ben@example.org"])
    assert {one.name: one.seconds for one in people(queue)} == {MAIL: 3.5, "ben@example.org": 1.5}
    assert said(queue) == {
        ("r0", "anna"): "barolo", ("r0", "ben"): "barbera", ("r1", "anna"): None,
    }  # fmt: skip
    again = taken(server, queue)
    assert (again.answers, again.skips, again.changed, again.again) == (0, 0, 0, 3)

    region = there(server, project)[0]
    found = next(one for one in there(server, project) if one["id"] == task["r0"])
    (region,) = next(one for one in found["annotations"] if one["id"] == annas)["result"]
    other = region | {"value": {"choices": ["grignolino"]}}
    server.call("PATCH", f"/api/annotations/{annas}/", json={"result": [other]})
    server.call("DELETE", f"/api/annotations/{bens}/")
    changed = taken(server, queue)
    assert (changed.answers, changed.changed, changed.deleted) == (0, 1, 1)
    assert said(queue)["r0", "anna"] == "grignolino"
    assert ("r0", "ben") not in said(queue)
    assert labels(queue).to_pydict()["label"] == ["grignolino"]

    odd = region | {"value": {"choices": ["merlot"]}}
    server.call("POST", f"/api/tasks/{task['r2']}/annotations/", json={"result": [odd]})
    (unread,) = taken(server, queue).unread
    assert (unread["record"], unread["person"]) == ("r2", MAIL)
    assert "merlot" in unread["why"]


# What they check, and we


_ASK_SDK = """
import json, sys
from label_studio_sdk.label_interface import LabelInterface
told = json.load(sys.stdin)
print(json.dumps([
    not LabelInterface(one["config"]).validate_prediction(one["prediction"], return_errors=True)
    for one in told
]))
"""


def test_we_refuse_what_their_own_library_refuses():
    every = []
    for modality in ("text", "image", "audio", "series", "tabular"):
        xml = labelling_config(ODD, modality, channels=[("channel 1", "v")])
        choosing = Config.read(xml).choosing(ODD)
        good = [choosing.region(name, 0.5, "r") for name in ODD]
        bad = [
            good[0] | change
            for change in (
                {"from_name": "label"}, {"to_name": "text"}, {"type": "labels"},
                {"value": {"choices": ["no such"]}}, {"value": {"choices": "plain"}},
                {"value": {}},
            )
        ]  # fmt: skip
        for one in good + bad:
            told = {"model_version": "v", "score": 0.1, "result": [one]}
            every.append({"config": xml, "prediction": told})
    asked = subprocess.run(
        [python(), "-c", _ASK_SDK], input=json.dumps(every), capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert asked.returncode == 0, asked.stderr[-2000:]
    theirs = json.loads(asked.stdout.splitlines()[-1])
    ours = [not problems(one["prediction"], Config.read(one["config"])) for one in every]
    assert ours == theirs
    assert True in ours
    assert False in ours


# The model behind it


@contextmanager
def a_backend(server: Server, run: Run, *words: Any) -> Iterator[tuple[str, str]]:
    """The command, as a process; its address and its password."""
    code = "import leaven.cli.label_studio; from leaven.cli import main; main()"
    told = ("label-studio", "backend", run.folder, "--url", server.address, *words)
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, told)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "LABEL_STUDIO_TOKEN": LEGACY},
    )  # fmt: skip
    try:
        assert process.stdout
        address = process.stdout.readline().split()[-1]
        password = process.stdout.readline().split()[-1]
        yield address, password
    finally:
        process.terminate()
        process.wait(60)
        assert process.stdout
        process.stdout.close()


def within(seconds: float, told: Any) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if told():
            return True
        time.sleep(0.2)
    return False


def test_it_answers_as_the_model_of_a_project(server: Server, run: Run, tmp_path: Path):
    where = ("--store", tmp_path / "q.db", "--project", "with a model")
    words = (run.folder, "--url", server.address, *where)
    project = command("label-studio", "push", words[0], "--ask", 3, *words[1:])["project"]
    before = next(iter(there(server, project)))
    choose(server, before["id"], "barolo")
    queue = Queue(Store(tmp_path / "q.db"), "wine")
    with a_backend(server, run, *where) as (address, password):
        assert httpx.get(address + "/health").status_code == 401
        assert httpx.get(address + "/health", auth=("leaven", password)).status_code == 200

        def connected() -> bool:
            models = server.call("GET", f"/api/ml/?project={project}")
            return [one["state"] for one in models] == ["CO"]

        assert within(60, connected)
        version = f"leaven {run.folder.name}"
        assert server.call("GET", f"/api/projects/{project}/")["model_version"] == version
        assert said(queue) == {(before["data"]["uid"], "anna"): "barolo"}, "what came before"

        # Tasks that somebody imported there: of a record of the run, and of none.
        row = {"row": {"x0": "1"}, "reason": "–", "content": "c"}
        known = "w3" if before["data"]["uid"] != "w3" else "w4"
        strange = [
            {"data": row | {"uid": known}},
            {"data": row | {"uid": "nobody", "image": "http://127.0.0.1:1/secret"}},
        ]
        made = server.call(
            "POST", f"/api/projects/{project}/import?return_task_ids=1", json=strange
        )["task_ids"]  # fmt: skip
        asked = {"selectedItems": {"all": False, "included": made}}
        path = f"/api/dm/actions/?id=retrieve_tasks_predictions&project={project}"
        server.call("POST", path, json=asked)
        after = {one["id"]: one["predictions"] for one in there(server, project)}
        (told,) = after[made[0]]
        row_ = Run.load(run.folder).predictor.predict(
            run.records().select(np.array([int(known[1:])]))
        )[1][0]
        assert told["score"] == pytest.approx(row_.max())
        assert told["result"][0]["value"] == {"choices": [run.classes[row_.argmax()]]}
        assert told["model_version"] == version
        assert after[made[1]] == []

        # What is answered there arrives by itself, and what is deleted too.
        other = next(one for one in there(server, project) if one["data"]["uid"] not in
                     (before["data"]["uid"], known, "nobody"))  # fmt: skip
        mine = other["data"]["uid"], "anna"
        number = choose(server, other["id"], "grignolino")
        assert within(30, lambda: said(queue).get(mine) == "grignolino")
        server.call("DELETE", f"/api/annotations/{number}/")
        assert within(30, lambda: mine not in said(queue))
