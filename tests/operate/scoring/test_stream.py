"""Lines answered as they come, in order, and what is learnt from them."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leaven.core.errors import DataError, MissingExtraError, RunError, SettingError
from leaven.data.dataset import Dataset
from leaven.data.joined_labels import join_labels
from leaven.evaluate.run import Run
from leaven.label.trust.gate import Gate
from leaven.operate.scoring import kafka, lines
from leaven.operate.scoring.accepting import Acceptance
from leaven.operate.scoring.answering import open_answering
from leaven.operate.scoring.lines import followed, piped
from leaven.operate.scoring.recalibrating import Recalibration
from leaven.operate.scoring.stream import ACCEPTED, Stream
from leaven.scoring import stream, stream_topics
from tests.serve.models.released import said


def records(number: int, truths: int = 0, seed: int = 1) -> list[bytes]:
    """Lines of which each so-many-th brings its truth."""
    made = []
    for i, (text, label) in enumerate(zip(*said(number, seed), strict=True)):
        one = {"id": f"n{i}", "text": text}
        made.append(one | ({"label": label} if truths and i % truths == 0 else {}))
    return [json.dumps(one).encode() for one in made]


def told(run: Run, asked: list[bytes], **how: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The answers to lines from a pipe, and the summary."""
    source, sink = os.pipe()
    writer = threading.Thread(target=lambda: (os.write(sink, b"\n".join(asked)), os.close(sink)))
    writer.start()
    found: list[bytes] = []
    try:
        summary = stream(run, source, found.append, **how)
    finally:
        os.close(source)
        writer.join()
    return [json.loads(line) for line in b"".join(found).splitlines()], summary


def test_each_line_gets_its_answer_in_order(texts: Run):
    asked = records(300)
    odd = [b"oops", b"[1, 2]", b"{}", b'{"text": null}', b'{"text": "\xff"}', b"", b"  "]
    asked[7:7] = odd
    asked.append(b'{"text": 12, "more": {"a": [1]}, "id": 5}')
    answers, summary = told(texts, asked)
    assert len(answers) == 300 + 5 + 1, "blank lines are no records"
    assert [one["row"] for one in answers] == list(range(1, 307))
    bad = answers[7:12]
    assert all(set(one) == {"row", "error"} for one in bad)
    assert "Expecting value" in bad[0]["error"]
    assert "not UTF-8" in bad[4]["error"]
    good = answers[:7] + answers[12:-1]
    assert [one["id"] for one in good] == [f"n{i}" for i in range(300)]
    found = np.array([[one["probabilities"][name] for name in texts.classes] for one in good])
    np.testing.assert_allclose(found, texts.predict(said(300, 1)[0]), atol=1e-6)
    assert answers[-1]["id"] == "5"
    assert (summary["lines"], summary["errors"]) == (306, 5)


def test_a_line_is_answered_before_the_next_one_comes(texts: Run):
    source, sink = os.pipe()
    came: list[bytes] = []
    first = threading.Event()

    def write(answer: bytes) -> None:
        came.append(answer)
        first.set()

    thread = threading.Thread(target=stream, args=(texts, source, write))
    thread.start()
    os.write(sink, records(1)[0] + b"\n" + b'{"text": "half a')
    assert first.wait(30)
    assert len(came) == 1
    os.close(sink)
    thread.join(30)
    os.close(source)
    assert len(came) == 2, "the last line needs no end"


def test_a_line_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lines, "LONGEST", 100)
    monkeypatch.setattr(lines, "_BLOCK", 64)
    source, sink = os.pipe()
    os.write(sink, b"a\r\n" + b"x" * 500 + b"\n\nb" + b"y" * 90 + b"\nc")
    os.close(sink)
    batches = list(piped(source))
    os.close(source)
    assert [line for batch in batches for line in batch.lines] == [
        b"a",
        None,
        b"b" + b"y" * 90,
        b"c",
    ]
    assert batches[-1].ends[-1] == 3 + 501 + 1 + 92 + 1


def test_a_file_is_followed_through_growth_and_rotation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"one\ntwo\nhal")
    steps: Iterator[Any] = iter(
        [
            lambda: path.open("ab").write(b"f\n"),
            lambda: (path.rename(tmp_path / "old"), path.write_bytes(b"new\n")),
            lambda: path.write_bytes(b""),
            lambda: path.write_bytes(b"cut\n"),
        ]
    )
    monkeypatch.setattr(lines, "_PAUSE", 0)

    def ends() -> bool:
        step = next(steps, None)
        if step is not None:
            step()
        return step is None

    batches = list(followed(path, 4, ends))
    assert [line for batch in batches for line in batch.lines] == [b"two", b"half", b"new", b"cut"]
    assert [batch.ends[-1] for batch in batches] == [8, 13, 4, 4]
    with pytest.raises(DataError, match="no file"):
        next(followed(tmp_path / "none"))


def test_what_is_learnt_does_not_hang_on_how_lines_come_together(texts: Run, tmp_path: Path):
    asked = records(400, truths=4)
    how = {"recalibrate": True, "accept": "SelfAdaptive()", "target": 0.6}
    whole, first = told(texts, asked, state=tmp_path / "a", **how)
    opened = [
        told(texts, asked[at : at + 57], state=tmp_path / "b", **how) for at in range(0, 400, 57)
    ]
    parted = [one for answers, _ in opened for one in answers]
    for one, other in zip(whole, parted, strict=True):
        assert one["prediction"] == other["prediction"]
        assert one["row"] == other["row"]
        assert one["confidence"] == pytest.approx(other["confidence"], abs=1e-5)
    last = opened[-1][1]
    assert first["truths"] == last["truths"] == 100
    assert first["accepted"] == last["accepted"] > 0
    assert first["recalibration"]["temperature"] == pytest.approx(
        last["recalibration"]["temperature"], abs=1e-4
    )
    kept = [(tmp_path / name / ACCEPTED).read_text().splitlines() for name in "ab"]
    assert [json.loads(line)["id"] for line in kept[0]] == [
        json.loads(line)["id"] for line in kept[1]
    ]
    assert len(kept[0]) == first["accepted"]


def test_accepted_labels_say_whose_they_are_and_never_count_as_a_persons(
    texts: Run, tmp_path: Path
):
    answers, summary = told(texts, records(60, truths=2), accept="AtLeast(0.5)", state=tmp_path)
    kept = [json.loads(line) for line in (tmp_path / ACCEPTED).read_text().splitlines()]
    by_id = {one["id"]: one for one in answers}
    assert len(kept) == summary["accepted"] > 0
    for label in kept:
        one = by_id[label["id"]]
        assert (label["label"], label["confidence"]) == (one["prediction"], one["confidence"])
        assert one["confidence"] >= 0.5
        assert int(label["id"][1:]) % 2 == 1, "a record with a truth is none"
        assert label["origin"] == f"model:{texts.story['run']['id']}"
    dataset = Dataset.from_arrays(said(60, 1)[0], modality="text")
    joined = join_labels(dataset, tmp_path / ACCEPTED)
    assert len(joined.labelled) == 0
    assert "labels-guessed" in {finding.name for finding in joined.findings}


def test_the_gate_pauses_a_class_whose_truths_fall(texts: Run):
    accepts = Acceptance("AtLeast(0.5)", ("a", "b"), Gate(0.8))
    sure = np.array([0.9, 0.1])
    assert not accepts(sure, None), "nothing is shown yet"
    for _ in range(40):
        assert not accepts(sure, 0), "a truth is no pseudo-label"
    assert accepts(sure, None)
    assert not accepts(np.array([0.4, 0.6]), None), "the other class has no truth"
    again = Acceptance("AtLeast(0.5)", ("a", "b"), Gate(0.8))
    again.restore(json.loads(json.dumps(accepts.state())))
    assert again.told() == accepts.told()
    for _ in range(8):
        accepts(sure, 1)
    assert not accepts(sure, None)
    assert accepts.told()[0]["state"] == "paused"


def test_recalibration_mends_confidence_and_follows_the_classes_shares():
    rng = np.random.default_rng(0)
    k, n, share = 3, 4000, np.array([0.7, 0.2, 0.1])
    truth = rng.choice(k, n, p=share)
    scores = rng.normal(size=(n, k)) + 1.5 * np.eye(k)[truth]  # log p(x|y) is 1.5 x_y + c
    said_ = np.exp(3.0 * scores)  # twice too sure, and supposes equal shares
    said_ /= said_.sum(1, keepdims=True)
    learns = Recalibration(np.full(k, 1 / k))
    right = {"before": 0, "after": 0}
    for i in range(n):
        answer = learns.apply(said_[i])
        right["before"] += said_[i].argmax() == truth[i]
        right["after"] += answer.argmax() == truth[i]
        learns.learn(said_[i], answer, int(truth[i]) if i % 4 == 0 else None)
    told_ = learns.told()
    assert told_["n"] == 1000
    assert told_["temperature"] == pytest.approx(2, abs=0.35)
    np.testing.assert_allclose(told_["shares"], share, atol=0.08)
    assert told_["after"]["ece"] < 0.6 * told_["before"]["ece"]
    assert told_["after"]["log_loss"] < told_["before"]["log_loss"]
    assert right["after"] > right["before"]
    again = Recalibration.of(json.loads(json.dumps(learns.state())), np.full(k, 1 / k))
    np.testing.assert_array_equal(again.apply(said_[0]), learns.apply(said_[0]))


def test_a_killed_stream_goes_on_with_what_it_had_learnt(texts: Run, tmp_path: Path):
    path, state = tmp_path / "in.jsonl", tmp_path / "state"
    asked = records(600, truths=4)
    path.write_bytes(b"\n".join(asked) + b"\n")
    how: dict[str, Any] = {"recalibrate": True, "accept": "AtLeast(0.5)"}

    def work() -> None:
        came: list[bytes] = []

        def write(answers: bytes) -> None:
            came.append(answers)
            if len(came) == 2:
                os.kill(os.getpid(), signal.SIGKILL)

        stream(texts, path, write, state=state, **how)

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    with (state / ACCEPTED).open("a") as file:
        file.write('{"half a li')  # written, and not counted yet
    found: list[bytes] = []
    summary = stream(texts, path, found.append, state=state, ends=lambda: True, **how)
    answers = [json.loads(line) for line in b"".join(found).splitlines()]
    assert answers[0]["row"] == 257, "the second batch is answered again, the first is not"
    assert (summary["lines"], summary["truths"]) == (600, 150)
    whole, other = told(texts, asked, state=tmp_path / "whole", **how)
    assert [one["id"] for one in whole[256:]] == [one["id"] for one in answers]
    assert summary["accepted"] == other["accepted"]
    kept = [(folder / ACCEPTED).read_text().splitlines() for folder in (state, tmp_path / "whole")]
    assert len(kept[0]) == len(kept[1])


@pytest.mark.parametrize(
    ("how", "error", "said_"),
    [
        ({"accept": "AtLeast(0.9)"}, SettingError, "'state' must be a folder"),
        ({"target": 0.9}, SettingError, "'accept' must be a rule"),
        ({"accept": "LearningStatus()", "state": "x"}, SettingError, "a stream has no training"),
        ({"accept": "AtLest(0.9)", "state": "x"}, SettingError, "AtLeast"),
    ],
)
def test_what_a_stream_cannot_do_is_refused(
    texts: Run, tmp_path: Path, how: dict[str, Any], error: type[Exception], said_: str
):
    if "state" in how:
        how = how | {"state": tmp_path}
    with pytest.raises(error, match=said_):
        told(texts, [], **how)


def test_the_state_of_another_model_is_refused(texts: Run, wine: Run, tmp_path: Path):
    told(texts, records(3), recalibrate=True, state=tmp_path)
    with pytest.raises(RunError, match="another model"):
        told(wine, [], recalibrate=True, state=tmp_path)
    held = Stream(open_answering(texts), home=tmp_path)
    with pytest.raises(RunError, match="Another stream"):
        told(texts, [], recalibrate=True, state=tmp_path)
    held.close()
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(RunError, match="cannot be used"):
        told(texts, [], recalibrate=True, state=tmp_path)


def test_a_record_that_the_model_fails_on_ends_nothing(texts: Run):
    answering = open_answering(texts)
    model = answering.model

    class Failing:
        classes, supposed = model.classes, model.supposed

        def predict(self, dataset: Dataset) -> Any:
            if "poison" in dataset.records["text"].to_pylist():
                raise RuntimeError("it failed")
            return model.predict(dataset)

    object.__setattr__(answering, "model", Failing())
    asked = [*records(5), b'{"text": "poison"}', *records(5)]
    found = [json.loads(line) for some in Stream(answering).answered(asked) for line in some]
    assert [one["row"] for one in found] == list(range(1, 12))
    assert [i for i, one in enumerate(found) if "error" in one] == [5]
    assert "RuntimeError: it failed" in found[5]["error"]


def test_a_topic_is_answered_to_another(texts: Run):
    """librdkafka's own broker of one node: Kafka's protocol over a socket."""
    library = pytest.importorskip("confluent_kafka")
    broker = library.Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "unused"})
    (node,) = broker.list_topics(timeout=10).brokers.values()
    servers = f"{node.host}:{node.port}"
    sender = library.Producer({"bootstrap.servers": servers})
    for i, line in enumerate([*records(20), b"oops"]):
        sender.produce("records", line, key=f"k{i}")
    assert sender.flush(20) == 0
    seen = library.Consumer({"bootstrap.servers": servers, "group.id": "g"})

    def ends() -> bool:
        return offsets("answers") == 21

    def offsets(topic: str) -> int:
        parts = seen.list_topics(topic, timeout=10).topics[topic].partitions
        places = [library.TopicPartition(topic, part) for part in parts]
        return sum(seen.get_watermark_offsets(place, timeout=10)[1] for place in places)

    summary = stream_topics(texts, servers, "records", "answers", group="g", ends=ends)
    assert (summary["lines"], summary["errors"]) == (21, 1)
    parts = seen.list_topics("records", timeout=10).topics["records"].partitions
    done = seen.committed([library.TopicPartition("records", part) for part in parts], timeout=10)
    assert sum(max(place.offset, 0) for place in done) == 21, "the next call goes on after them"
    # Told the places, it need not wait for a group to form.
    answers = seen.list_topics("answers", timeout=10).topics["answers"].partitions
    seen.assign([library.TopicPartition("answers", part, 0) for part in answers])
    came: dict[str, dict[str, Any]] = {}
    for _ in range(60):
        message = seen.poll(0.5)
        if message is not None and message.error() is None:
            came[message.key().decode()] = json.loads(message.value())
        if len(came) == 21:
            break
    seen.close()
    assert {came[f"k{i}"]["id"] for i in range(20)} == {f"n{i}" for i in range(20)}
    assert "error" in came["k20"]


def test_kafka_says_what_is_missing_and_what_it_does_not_take(
    texts: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("confluent_kafka")
    (tmp_path / "more").write_text("# TLS\nno.such.setting = 1\n")
    with pytest.raises(SettingError, match="no.such.setting"):
        stream_topics(texts, "localhost:1", "a", "b", settings=tmp_path / "more")
    (tmp_path / "more").write_text("nothing")
    with pytest.raises(SettingError, match="name=value"):
        kafka.read_settings(tmp_path / "more")
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(MissingExtraError, match="leaven\\[kafka\\]"):
        stream_topics(texts, "localhost:1", "a", "b")
