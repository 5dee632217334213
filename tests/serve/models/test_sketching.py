"""What a server answers is counted in bins behind the answers, an hour and a model."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from sqlalchemy import select

import leaven
from leaven.core.errors import StoreError
from leaven.data.dataset import Dataset
from leaven.evaluate.run import Run
from leaven.health import health
from leaven.operate.drift.columns import values_of
from leaven.operate.drift.keeping import Kept, keep
from leaven.operate.drift.reference import Reference
from leaven.operate.drift.watched import Watched
from leaven.operate.health.frame import Frame
from leaven.operate.health.reference import REFERENCE, keep_reference, reference_of
from leaven.operate.registry import Registry
from leaven.operate.releases import Releases
from leaven.serve.models.limits import Limits
from leaven.serve.models.loading import Loaded, load
from leaven.serve.models.sketching import Sketcher
from leaven.store.sketch_tables import sketches
from leaven.store.store import Store
from tests.serve.models.released import copied, release, served
from tests.store.history import Clock

pytest_plugins = ["tests.store.databases"]

RECORDS = [
    {"amount": i / 10, "count": i, "grade": "low" if i % 3 else "strange", "paid": True}
    for i in range(30)
]


def rows(store: str) -> list[Any]:
    with Store(store).read() as connection:
        return connection.execute(select(sketches).order_by(sketches.c.hour)).all()


@pytest.fixture
def kept(table: Run, tmp_path: Path) -> Run:
    """A run of a table whose records are at hand: it has a reference."""
    run = copied(table, tmp_path, "first", 1.0)
    records = run.dataset(_frame(200))
    values = values_of(records.columns, records.records)
    keep(run.folder / REFERENCE, Kept(Reference.of(values), {}))
    return run


def _frame(n: int) -> pa.Table:
    rng = np.random.default_rng(0)
    return pa.table(
        {
            "amount": rng.uniform(0, 3, n), "count": rng.integers(0, 40, n),
            "grade": rng.choice(["low", "high"], n), "paid": [True, False] * (n // 2),
            "day": ["2024-01-11"] * n,
        }
    )  # fmt: skip


def test_a_server_counts_what_it_answers_and_health_reads_it(kept: Run, store: str):
    release(kept, store)
    with served(store, "orders") as client:
        for i in range(0, 30, 10):
            assert client.post("/predict", json={"records": RECORDS[i : i + 10]}).is_success
        client.service.sketcher.look()
        told = client.get("/status").json()["sketches"]
        assert told == {"counted": 30, "dropped": 0, "problem": ""}
    found = rows(store)  # it was written at the end
    assert sum(row.n for row in found) == 30
    assert {row.digest for row in found} == {client.service.routing.live.digest}
    frame = Frame(reference_of(kept.folder))
    reader = client.service.routing.live.reader
    expected = frame.count(values_of(reader.columns, reader.table(RECORDS)[0]))
    whole = [frame.read(row.n, row.strange, row.counts) for row in found]
    for name, counts in expected.counts.items():
        assert (sum(one.counts[name] for one in whole) == counts).all()
    assert sum(one.strange for one in whole) == expected.strange > 0
    told = {signal["name"]: signal for signal in health(store=store)["signals"]}
    assert told["out of distribution"]["verdict"] == "alarm"
    assert told["records"]["n"] == 30
    assert "strange" not in str([row.counts for row in found])  # counts, never the records


def test_a_release_keeps_the_reference_of_records_that_are_at_hand(
    table: Run, tmp_path: Path, store: str
):
    release(copied(table, tmp_path, "gone", 1.0), store)  # it was given as arrays
    assert not (tmp_path / "gone" / REFERENCE).exists()
    frame = _frame(80)
    data = tmp_path / "orders.csv"
    label = np.where(np.asarray(frame["amount"]) > 1.5, "a", "b").tolist()
    pa_csv.write_csv(frame.append_column("label", [label]), data)
    run = leaven.fit(data, method="logistic", budget="2s", out=tmp_path / "runs", label="label")
    release(run, store)
    reference = reference_of(run.folder)
    assert reference is not None
    assert reference.own.n == 80
    assert "label" not in reference.grids
    before = (run.folder / REFERENCE).read_bytes()
    data.unlink()
    assert keep_reference(run) == ""
    assert (run.folder / REFERENCE).read_bytes() == before


@pytest.fixture
def model(kept: Run, store: str) -> Loaded:
    release(kept, store)
    live = Releases(Store(store), "orders").state().live
    assert live is not None
    return load(Registry(Store(store)), live, Limits())


def test_each_hour_has_its_row_and_a_store_that_fails_loses_none(
    model: Loaded, store: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    made = Sketcher(Store(store), "orders", clock=clock)
    records = model.reader.all_checked(RECORDS)
    made.add(model, records)
    made.look()
    made.add(model, records)
    with monkeypatch.context() as patch:
        patch.setattr(made._store, "write", _broken)
        made.look()
    assert made.problem == "The store is down."
    made.look()
    assert made.problem == ""
    assert [row.n for row in rows(store)] == [60]
    clock.now += 3600
    made.add(model, records)
    made.look()
    assert [row.n for row in rows(store)] == [60, 30]
    other = Sketcher(Store(store), "orders", clock=clock)  # another process
    other.add(model, records)
    other.look()
    assert sorted(row.n for row in rows(store)) == [30, 30, 60]
    clock.now += 3600 * 24 * 91
    made.add(model, records)
    made.look()
    assert [row.n for row in rows(store)] == [30]  # after 90 days they go


def _broken(*_: Any) -> Any:
    raise StoreError("The store is down.")


def test_more_than_can_wait_is_left_out_and_no_model_without_reference_waits(
    model: Loaded, kept: Run, store: str, clock: Clock
):
    made = Sketcher(Store(store), "orders", most=64, clock=clock)
    records = model.reader.all_checked(RECORDS)
    for _ in range(3):
        made.add(model, records)
    made.look()
    assert (made.counted, made.dropped) == (60, 30)
    (kept.folder / REFERENCE).write_bytes(b"damaged")
    other = Sketcher(Store(store), "orders", clock=clock)
    for _ in range(2):
        other.add(model, records)
        other.look()
    assert (other.counted, other.dropped, other.problem, other._waiting) == (0, 0, "", 0)


def test_what_came_while_it_counted_is_written_when_it_ends(
    kept: Run, store: str, model: Loaded, monkeypatch: pytest.MonkeyPatch
):
    made = Sketcher(Store(store), "orders", most=38)
    records = model.reader.all_checked(RECORDS)
    counting, goes_on = threading.Event(), threading.Event()
    count = made._count

    def slowly() -> None:
        counting.set()
        assert goes_on.wait(10)
        count()

    monkeypatch.setattr(made, "_count", slowly)
    made.start()
    made.add(model, records)  # more than three quarters of what can wait: it begins to count
    assert counting.wait(10)
    ending = threading.Thread(target=made.stop)
    ending.start()
    while not made._ended:
        time.sleep(0.001)
    goes_on.set()
    ending.join(10)
    assert [row.n for row in rows(store)] == [30]


@pytest.fixture
def digits(pictures: Run, tmp_path: Path) -> tuple[Run, list[str]]:
    """A run of pictures whose records are at hand, and pictures in base64."""
    images, _ = load_digits(n_class=3, return_X_y=True)
    pixels = (images.reshape(-1, 8, 8) * 15).astype(np.uint8)
    run = copied(pictures, tmp_path, "digits", 1.0)
    data = Dataset.from_arrays(pixels[:400], None, name="digits")
    Watched.of(data).keep(run.folder / REFERENCE)
    asked = []
    for one in pixels[400:]:
        stream = io.BytesIO()
        Image.fromarray(one).save(stream, "PNG")
        asked.append(base64.b64encode(stream.getvalue()).decode())
    return run, asked


def test_pictures_are_counted_by_their_directions(digits: tuple[Run, list[str]], store: str):
    run, asked = digits
    release(run, store)
    with served(store, "digits") as client:
        for start in (0, 50):
            body = {"records": [{"image": one} for one in asked[start : start + 50]]}
            assert client.post("/predict", json=body).is_success
        sketcher = client.service.sketcher
        sketcher.look()
        told = client.get("/status").json()["sketches"]
        assert told == {"counted": 64, "dropped": 36, "problem": ""}
        assert sketcher._share == 0.64, "so many of those that come next are drawn"
    assert sum(row.n for row in rows(store)) == 64
    signals = {signal["name"]: signal for signal in health(store=store)["signals"]}
    assert signals["records"]["n"] == 64
    assert signals["records"]["verdict"] != "alarm"


def test_pictures_that_have_changed_raise_the_alarm(
    digits: tuple[Run, list[str]], store: str, clock: Clock
):
    run, asked = digits
    release(run, store)
    live = Releases(Store(store), "digits").state().live
    assert live is not None
    model = load(Registry(Store(store)), live, Limits())
    made = Sketcher(Store(store), "digits", clock=time.time)
    for start in range(0, 136, 34):
        records = [{"image": base64.b64decode(one)} for one in asked[start : start + 34]]
        dark = [{model.reader.only.name: _darker(one["image"])} for one in records]
        made.add(model, dark)
        made.look()
    assert (made.counted, made.dropped) == (136, 0)
    signals = {signal["name"]: signal for signal in health(store=store)["signals"]}
    assert signals["records"]["verdict"] == "alarm"
    assert "brightness" in signals["records"]["sentence"]
    too_large = [{model.reader.only.name: b"x" * (1 << 20)}] * 40
    made.add(model, too_large)
    assert (made.dropped, made._waiting) == (40, 0)


def _darker(picture: bytes) -> bytes:
    stream = io.BytesIO()
    Image.open(io.BytesIO(picture)).point(lambda value: value // 2).save(stream, "PNG")
    return stream.getvalue()


COUNTS = """
import sys
import numpy as np
import leaven.serve.models.sketching
from leaven.operate.drift.directions import Directions

one, axes = np.ones(1, np.float32), np.ones((64, 1), np.float32)
spec = {"channels": 1, "height": 8, "width": 8}
along = Directions("image", spec, {"picture": "image"}, one, one, axes)
found = along.of_records([{"picture": sys.stdin.buffer.read()}])
assert len(found["brightness"]) == 1, found
sys.exit("torch" in sys.modules)
"""


def test_counting_needs_no_torch():
    stream = io.BytesIO()
    Image.new("L", (20, 20), 90).save(stream, "PNG")
    subprocess.run([sys.executable, "-c", COUNTS], check=True, input=stream.getvalue())
