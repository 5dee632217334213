"""Records of requests are read as `Run.predict` reads them, each on its own."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from leaven.core.errors import DataError
from leaven.data.dataset import Column
from leaven.evaluate.run import Run
from leaven.operate.export.network import described, graph_of
from leaven.operate.export.runtime import opened
from leaven.operate.releases import Named
from leaven.serve.models.limits import Limits, Refused
from leaven.serve.models.loading import Answering, ByTorch, Loaded
from leaven.serve.models.records import Reader

DIGEST = "0123456789abcdef" * 4


Load = Callable[..., Loaded]


@pytest.fixture(scope="module", params=["exported", "torch"])
def loaded(request: pytest.FixtureRequest) -> Load:
    """Loads a run's model, by its exported form and by torch: all below holds for both."""

    def load(run: Run, limits: Limits | None = None) -> Loaded:
        columns = [Column(**told) for told in run.story["dataset"]["columns"]]
        limits = limits or Limits()
        model: Answering = ByTorch(run.predictor, columns, limits)
        if request.param == "exported":
            model = opened(graph_of(run.predictor), described(run.predictor, tuple(columns)))
        return Loaded(Named("run", DIGEST), model, columns, limits)

    return cache(load)


def asked(model: Loaded, given: list[Any]) -> list[Any]:
    return model.ask([model.reader.checked(one, i) for i, one in enumerate(given)])


CELLS = {
    "amount": st.one_of(st.floats(-5, 5), st.integers(-5, 5), st.none()),
    "count": st.one_of(st.integers(0, 9), st.none()),
    "grade": st.sampled_from(["low", "high", "7", "new", " low ", "NA", ""]),
    "paid": st.one_of(st.booleans(), st.none()),
    "day": st.sampled_from(["2024-01-10", "2024-05-14T10:00", "yesterday", None]),
}


@settings(max_examples=20)
@given(st.lists(st.fixed_dictionaries(CELLS), min_size=1, max_size=6))
def test_a_table_is_answered_as_by_the_run(loaded: Load, table: Run, rows: list[dict[str, Any]]):
    rows = [row | {"count": 3 if row["count"] is None else row["count"]} for row in rows]
    frame = pa.table({name: [row[name] for row in rows] for name in CELLS})
    expected = table.predict(frame)
    dataset = table.dataset(frame)
    found = asked(loaded(table), rows)
    np.testing.assert_allclose([one.probabilities for one in found], expected, atol=1e-6)
    assert [one.content for one in found] == dataset.content.tolist()


def test_what_comes_with_a_record_does_not_change_its_answer(loaded: Load, table: Run):
    model = loaded(table)
    rows = [
        {"amount": 1, "count": 2, "grade": 7},
        {"amount": "1", "count": 2.0, "grade": 7.0},
        {"amount": 1.0, "count": "2", "grade": "7"},
        {"amount": True, "count": 10**400, "grade": False},
    ]
    together = asked(model, rows)
    for row, one in zip(rows, together, strict=True):
        alone = asked(model, [row])[0]
        np.testing.assert_allclose(alone.probabilities, one.probabilities, atol=1e-6)
        assert alone.content == one.content
    assert len({one.content for one in together[:3]}) == 1


@settings(max_examples=40)
@example("\0")
@example("𝔸 \r\n x")
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_a_text_is_answered_as_by_the_run(loaded: Load, texts: Run, said: str):
    answer = asked(loaded(texts), [said])[0]
    frame = pa.table({"text": [said]})
    if answer.why.startswith("empty record"):
        with pytest.raises(DataError, match="are empty"):
            texts.dataset(frame)
    elif answer.why:  # it has no word
        assert np.isnan(texts.predict(frame)).all()
    else:
        np.testing.assert_allclose(answer.probabilities, texts.predict(frame)[0], atol=1e-6)
        assert answer.content == texts.dataset(frame).content[0]


def test_one_unreadable_record_costs_no_other(loaded: Load, texts: Run):
    found = asked(loaded(texts), ["card refund", "  ", {"text": None}, "parcel"])
    assert [bool(one.why) for one in found] == [False, True, True, False]
    assert found[1].why == found[2].why == "empty record: no feature has a value"
    expected = texts.predict(["card refund", "parcel"])
    both = [found[0].probabilities, found[3].probabilities]
    np.testing.assert_allclose(both, expected, atol=1e-6)


def png(side: int = 8) -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (side, side), np.uint8)
    Image.fromarray(noise).save(stream, "PNG")
    return stream.getvalue()


def test_a_picture_is_bytes_and_never_a_path(loaded: Load, pictures: Run):
    model = loaded(pictures, Limits(pixels=100))
    told = base64.b64encode(png()).decode()
    one, other, third = asked(model, [{"image": png()}, told, f"data:image/png;base64,{told}"])
    assert one.content == other.content == third.content
    pixels = np.asarray(Image.open(io.BytesIO(png())))[None]
    np.testing.assert_allclose(one.probabilities, pictures.predict(pixels)[0], atol=1e-6)
    for bad, why in (
        ("/etc/passwd", "base64"),
        ("http://127.0.0.1/x.png", "base64"),
        (base64.b64encode(b"/etc/passwd").decode(), "no picture of a known format"),
        (base64.b64encode(png()[:20]).decode(), "no picture"),
        (base64.b64encode(png(11)).decode(), "11 by 11 pixels, 100 at most"),
        ("", "needs a picture"),
        (7, "needs a picture"),
    ):
        with pytest.raises(Refused, match=why) as refused:
            model.reader.checked({"image": bad})
        assert refused.value.status == 422


def test_what_is_no_record_is_said(loaded: Load, table: Run, texts: Run):
    for run, bad, why in (
        (table, 7, "must be an object of cells by column. Got a number"),
        (table, {}, "has none of the model's columns: amount, count, day, grade, paid"),
        (table, {"amonut": 1}, "Did you mean 'amount'"),
        (table, {"amount": [1]}, "Got a list"),
        (texts, {"text": {"a": 1}}, "needs a text in 'text'. Got an object"),
        (texts, "x" * 100_001, "100 000 characters at most"),
    ):
        with pytest.raises(Refused, match=why):
            loaded(run).reader.checked(bad)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=80)
@given(st.dictionaries(st.sampled_from([*CELLS, "other"]), JSON, max_size=5))
def test_whatever_a_record_is_it_is_answered_or_refused(
    loaded: Load, table: Run, record: dict[str, Any]
):
    model = loaded(table)
    record = json.loads(json.dumps(record))
    try:
        answer = asked(model, [record])[0]
    except Refused:
        return
    assert answer.why or np.isfinite(answer.probabilities).all()


def test_series_and_vectors_are_lists_of_numbers():
    vector = Reader([Column("features", "vector")], "embedding", Limits(numbers=4), width=2)
    series = Reader([Column("series", "series")], "series", Limits(numbers=4))
    made, why = vector.dataset([vector.checked([1, 2.5]), {}])
    assert made.records["features"].to_pylist() == [[1.0, 2.5]]
    assert (len(made), list(why)) == (1, [1])
    made, _ = series.dataset([series.checked([[1, 2], [3]]), series.checked([4, 5])])
    assert made.records["series"].to_pylist() == [[[1, 2], [3, None]], [[4, 5]]]
    with pytest.raises(Refused, match="a list of 2 numbers in 'features'. Got 3"):
        vector.checked([1, 2, 3])
    with pytest.raises(Refused):
        vector.checked([1, None])
    for reader in (vector, series):
        for bad in (["a"], [True], [], 3, {"features": 1, "series": 1}, [1] * 5, [10**400]):
            with pytest.raises(Refused):
                reader.checked(bad)
    with pytest.raises(Refused, match="too many"):
        series.checked([[1] * 3, [1]])
    with pytest.raises(Refused):
        series.checked([[1], 2])
