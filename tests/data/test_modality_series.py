"""Series as arrays, views and pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leaven.core.errors import DataError
from leaven.data.dataset import Dataset
from leaven.data.modalities.series import STRONG, WEAK, TimeSeries
from leaven.data.views.draws import compose
from leaven.data.views.series_ops import (
    Crop,
    Hide,
    Permute,
    Series,
    Shift,
    TimeWarp,
    Window,
    WindowWarp,
    lengths,
    read_at,
)
from leaven.evaluate.report.charts import channels
from leaven.evaluate.report.clean import clean_shown

SERIES = TimeSeries()


def dataset_of(*records: object) -> Dataset:
    return Dataset.from_arrays(list(records), modality="series")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ramp(n: int = 5, steps: int = 20, own: int = 20) -> Series:
    """Values that are their own place plus one, of records `own` steps long."""
    there = (torch.arange(steps) < own).to(torch.uint8).expand(n, steps)[..., None]
    values = (torch.arange(steps).float() + 1).expand(n, steps)[..., None] * there
    return Series(values, there.contiguous())


def test_lengths_that_differ_have_a_usual_one():
    lengths = [*range(10, 31), 2000]
    spec = SERIES.describe(dataset_of(*(np.arange(float(n)) for n in lengths)))
    assert (spec["length"], spec["usual"]) == (30, 20)


def test_length_is_of_all_but_the_longest_and_bounded():
    records = [np.arange(10.0)] * 99 + [np.arange(500.0)]
    assert SERIES.describe(dataset_of(*records)) == {
        "column": "series",
        "channels": 1,
        "length": 10,
        "usual": 0,
    }
    assert SERIES.describe(dataset_of(np.arange(5000.0)))["length"] == 1024


def test_shorter_series_are_padded_and_gaps_are_bridged():
    found = dataset_of([1, np.nan, 3], [5, 6, 7, 8], [np.nan, 2, np.nan, np.nan, 8, 8])
    arrays, rejected = SERIES.decode(found, {"column": "series", "channels": 1, "length": 6})
    assert not rejected
    np.testing.assert_allclose(
        arrays["values"][..., 0], [[1, 2, 3, 0, 0, 0], [5, 6, 7, 8, 0, 0], [0, 2, 4, 6, 8, 8]]
    )
    np.testing.assert_array_equal(
        arrays["there"][..., 0], [[1, 0, 1, 0, 0, 0], [1, 1, 1, 1, 0, 0], [0, 1, 0, 0, 1, 1]]
    )


def test_longer_series_are_read_at_even_places():
    arrays, _ = SERIES.decode(
        dataset_of(np.arange(9.0)), {"column": "series", "channels": 1, "length": 5}
    )
    np.testing.assert_allclose(arrays["values"][0, :, 0], [0, 2, 4, 6, 8])
    assert arrays["there"].all()


def test_records_of_other_channels_are_rejected():
    found = dataset_of(np.zeros((2, 4)), np.zeros((2, 5)), np.zeros((3, 4)))
    spec = SERIES.describe(found)
    assert spec["channels"] == 2
    _, rejected = SERIES.decode(found, spec)
    assert rejected == [(2, "wrong channels", "expected 2 channels, got 3")]


def test_columns_that_hold_no_series_are_told():
    found = dataset_of([1.0, 2.0])
    with pytest.raises(DataError, match="missing"):
        SERIES.decode(found, {"column": "other", "channels": 1, "length": 2})
    wrong = replace(found, records=pa.table({"series": [[1.0, 2.0]]}))
    with pytest.raises(DataError, match="lists of lists"):
        SERIES.decode(wrong, {"column": "series", "channels": 1, "length": 2})


def test_shown_series_are_few_points_and_gaps():
    shown = SERIES.show(dataset_of(np.arange(1000.0)), 0)
    (channel,) = shown["channels"]
    assert len(channel["values"]) == 200
    assert channel["values"][0] == 0
    assert channel["values"][-1] == 999
    shown = SERIES.show(dataset_of(np.stack([[1, np.nan, 2]] * 8)), 0)
    assert [c["name"] for c in shown["channels"]] == [f"series {i}" for i in range(1, 7)]
    assert shown["channels"][0]["values"] == [1.0, None, 2.0]


def test_reading_at_whole_places_takes_and_between_two_interpolates():
    series = ramp(1, 4, 4)
    found = read_at(series, torch.tensor([[3.0, 0.0, 0.5, 1.25]]))
    np.testing.assert_allclose(found.values[0, :, 0], [4.0, 1.0, 1.5, 2.25])


@pytest.mark.parametrize(
    "operation",
    [Shift(0.3), TimeWarp(5, 0.5), WindowWarp(0.3, 2.0), Permute(4)],
    ids=lambda operation: type(operation).__name__,
)
def test_operations_on_time_stay_within_the_record(operation):
    series = ramp(50, 20, 13)
    found = operation(series, generator())
    assert not found.values[:, 13:].any()
    assert not found.there[:, 13:].any()
    assert bool(found.there[:, :13].all())
    inside = found.values[:, :13]
    assert float(inside.min()) >= 1
    assert float(inside.max()) <= 13
    if isinstance(operation, TimeWarp | WindowWarp):
        assert bool((inside.diff(dim=1) >= -1e-4).all())  # time does not run back
        np.testing.assert_allclose(inside[:, 0], 1, atol=1e-4)
        np.testing.assert_allclose(inside[:, -1], 13, atol=1e-3)


def test_permuting_keeps_every_value():
    found = Permute(4)(ramp(40, 24, 24), generator())
    for row in found.values[..., 0]:
        assert sorted(row.tolist()) == list(range(1, 25))
    kinds = {tuple(row.tolist()) for row in found.values[..., 0]}
    assert len(kinds) > 5


@given(st.integers(0, 1000), st.integers(1, 20))
@settings(max_examples=30, deadline=None)
def test_a_crop_is_a_span_moved_to_the_front(seed: int, own: int):
    found = Crop(0.4, 0.9)(ramp(6, 20, own), generator(seed))
    for size, row in zip(lengths(found.there), found.values[..., 0], strict=True):
        kept = row[: int(size)]
        np.testing.assert_array_equal(kept.diff(), 1)
        assert 0.4 * own <= size <= max(1, np.ceil(0.9 * own))
        assert kept[0] >= 1
        assert kept[-1] <= own
        assert not row[int(size) :].any()


def test_hidden_spans_hold_the_value_before_and_are_flagged():
    found = Hide(0.2, 0.4)(ramp(30, 20, 20), generator())
    hidden = found.there[..., 0] == 0
    assert bool(((hidden.sum(1) >= 4) & (hidden.sum(1) <= 8)).all())
    for row, away in zip(found.values[..., 0], hidden, strict=True):
        first = int(away.nonzero()[0])
        assert set(row[away].tolist()) == {float(max(first, 1))}


def test_windows_are_short_and_at_the_rate_of_the_record():
    found = Window(6)(ramp(30, 20, 15), generator())
    assert found.values.shape == (30, 6, 1)
    np.testing.assert_array_equal(found.values[..., 0].diff(dim=1), 1)
    assert float(found.values.max()) == 15


def test_weak_views_stay_near_and_strong_ones_do_not():
    rng = np.random.default_rng(0)
    turns = np.arange(100) / 20 + rng.uniform(size=(60, 1))
    arrays = torch.from_numpy(np.sin(2 * np.pi * turns).astype(np.float32))[..., None]
    series = Series(arrays, torch.ones_like(arrays, dtype=torch.uint8))
    weak, strong = (compose(ops, series, generator()).values for ops in (WEAK, STRONG))
    far = [float((view - arrays).square().mean() / arrays.var()) for view in (weak, strong)]
    assert far[0] < 0.2 < far[1]


def test_local_views_are_shorter_arrays():
    spec = {"column": "series", "channels": 1, "length": 60}
    arrays, _ = SERIES.decode(dataset_of(*np.random.default_rng(0).normal(size=(4, 60))), spec)
    view = SERIES.local(arrays.batch(np.arange(4)), spec, generator())
    assert {name: tuple(t.shape) for name, t in view.items()} == {
        "values": (4, 20, 1),
        "there": (4, 20, 1),
    }


def test_pages_draw_a_line_a_channel_and_leave_gaps():
    shown = clean_shown(SERIES.show(dataset_of(np.array([[1, 2, np.nan, 3, 4], [5] * 5])), 0))
    assert [c["values"] for c in shown["channels"]] == [[1, 2, None, 3, 4], [5] * 5]
    drawn = channels([(c["name"], c["values"]) for c in shown["channels"]])
    assert drawn.count("<polyline") == 3
    hostile = {"kind": "series", "channels": [{"name": "<b>", "values": ["<script>", "x"]}, 3]}
    assert clean_shown(hostile) == {"kind": "none"}
    assert "<b>" not in channels([("<b>", [1.0, 2.0]), ("c", [None])])
