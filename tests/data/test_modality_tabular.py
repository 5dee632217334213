"""Tables: what comes in under any type comes out as the same numbers and codes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
import torch

from leaven.core.errors import DataError
from leaven.data.cells import days, level_names, numbers
from leaven.data.dataset import Dataset
from leaven.data.modalities.tabular import BUCKETS
from leaven.data.modality import MODALITIES

Make = Callable[..., Dataset]
tabular = MODALITIES["tabular"]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def column(values: object) -> pa.ChunkedArray:
    return pa.chunked_array([values if isinstance(values, pa.Array) else pa.array(values)])


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, None, 0]),
        pa.array([1.0, float("nan"), 0.0]),
        pa.array([1.0, float("inf"), 0.0]),
        pa.array([1e0, 1e300, 0.0]),
        pa.array(["1", "", " 0 "]),
        pa.array(["+1.0", "1,5", "0e5"]),
        pa.array(["1", "0x1F", "0"]).dictionary_encode(),
        pa.array([True, None, False]),
        pa.array(["Yes", "maybe", "FALSE"]),
        pa.array([Decimal("1.00"), None, Decimal("0.00")]),
    ],
)
def test_numbers_of_any_type(values: pa.Array) -> None:
    np.testing.assert_array_equal(numbers(column(values)), [1, np.nan, 0])


def test_numbers_of_nothing() -> None:
    assert np.isnan(numbers(column(pa.nulls(2)))).all()
    assert numbers(column(pa.array([], pa.string()))).shape == (0,)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([datetime(1970, 1, 2, 12), None]),
        pa.array(["1970-01-02T12:00:00Z", "soon"]),
        pa.array(["1970-01-02 12:00", None]),
        pa.array(["1970-01-02 12:00:00.250", "1970-13-45"]),
        pa.array([datetime(1970, 1, 2, 12), None], pa.timestamp("ns", "UTC")),
    ],
)
def test_days_of_any_type(values: pa.Array) -> None:
    np.testing.assert_allclose(days(column(values)), [1.5, np.nan])


def test_days_of_dates_before_1970_and_of_hours() -> None:
    np.testing.assert_array_equal(days(column([date(1969, 12, 31)])), [-1])
    np.testing.assert_array_equal(days(column(["1969/12/31"])), [-1])
    assert np.isnan(days(column(pa.array([1], pa.time32("s"))))).all()


def test_level_names_agree_between_types() -> None:
    assert level_names(column([7, None])).to_pylist() == ["7", None]
    assert level_names(column([7.0, None])).to_pylist() == ["7", None]
    assert level_names(column([" 7 ", "  "])).to_pylist() == ["7", None]


def people(make: Make) -> Dataset:
    return make(
        "tabular",
        age=("numeric", [31, None, 54, 22]),
        member=("boolean", [True, False, None, True]),
        since=("datetime", [date(2020, 1, 1), date(2020, 1, 11), None, date(2021, 1, 1)]),
        town=("categorical", ["Ulm", "Bonn", None, "Ulm"]),
        note=("text", ["good bread", "Good bread!", None, "other thing"]),
    )


def test_spec_and_arrays(make_dataset: Make) -> None:
    data = people(make_dataset)
    spec = tabular.describe(data)
    assert spec == {
        "numeric": ["age", "member", "since"],
        "datetime": {"since": 18262.0},
        "categorical": {"town": ["Ulm", "Bonn"]},
        "text": ["note"],
    }
    arrays, rejected = tabular.decode(data, spec)
    assert not rejected
    assert arrays["numeric"].dtype == np.float32
    assert arrays["codes"].dtype == np.int32
    np.testing.assert_array_equal(
        arrays["numeric"][:, :3],
        [[31, 1, 0], [np.nan, 0, 10], [54, np.nan, np.nan], [22, 1, 366]],
    )
    np.testing.assert_array_equal(arrays["codes"], [[1], [2], [0], [1]])
    bags = arrays["numeric"][:, 3:]
    assert bags.shape == (4, BUCKETS)
    np.testing.assert_allclose(np.linalg.norm(bags, axis=1), [1, 1, 0, 1], rtol=1e-6)
    assert bags[0] @ bags[1] > 0.6
    assert abs(bags[0] @ bags[3]) < 0.6


def test_new_records_in_other_types_order_and_company(make_dataset: Make) -> None:
    spec = tabular.describe(people(make_dataset))
    new = make_dataset(
        "tabular",
        extra=("numeric", [9]),
        town=("categorical", ["Atlantis"]),
        note=("text", ["bread"]),
        since=("categorical", ["2020-01-03"]),
        member=("categorical", ["true"]),
        age=("categorical", ["forty"]),
    )
    arrays, _ = tabular.decode(new, spec)
    np.testing.assert_array_equal(arrays["numeric"][:, :3], [[np.nan, 1, 2]])
    assert arrays["codes"].tolist() == [[0]]


def test_only_numbers_and_only_categories(make_dataset: Make) -> None:
    for columns, shapes in (
        ({"a": ("numeric", [1, 2])}, ((2, 1), (2, 0))),
        ({"a": ("categorical", ["x", "y"])}, ((2, 0), (2, 1))),
    ):
        data = make_dataset("tabular", **columns)
        spec = tabular.describe(data)
        arrays, _ = tabular.decode(data, spec)
        assert (arrays["numeric"].shape, arrays["codes"].shape) == shapes
        view = tabular.strong(arrays.batch(np.arange(2)), spec, rng())
        assert (tuple(view["numeric"].shape), tuple(view["codes"].shape)) == shapes


def test_levels_are_bounded_and_the_rarest_become_unknown(make_dataset: Make) -> None:
    values = [f"v{i:04}" for i in range(1500)] + ["often"] * 3 + [None] * 50
    data = make_dataset("tabular", a=("categorical", values))
    spec = tabular.describe(data)
    levels = spec["categorical"]["a"]
    assert len(levels) == 1000
    assert levels[:3] == ["often", "v0000", "v0001"]
    arrays, _ = tabular.decode(data, spec)
    assert arrays["codes"][:, 0].max() == 1000
    assert (arrays["codes"][999:1500] == 0).all()


def test_numbers_as_categories(make_dataset: Make) -> None:
    spec = tabular.describe(make_dataset("tabular", a=("categorical", [1, 2, 2])))
    assert spec["categorical"] == {"a": ["2", "1"]}
    again = make_dataset("tabular", a=("categorical", [2.0, None]))
    assert tabular.decode(again, spec)[0]["codes"].tolist() == [[1], [0]]


def test_views_swap_whole_cells_at_the_told_rate(make_dataset: Make) -> None:
    n = 800
    data = make_dataset(
        "tabular",
        number=("numeric", np.arange(n)),
        level=("categorical", [f"l{i}" for i in range(n)]),
        note=("text", [f"word{i} thing{i}" for i in range(n)]),
    )
    spec = tabular.describe(data)
    batch = tabular.decode(data, spec)[0].batch(np.arange(n))
    assert tabular.plain(batch) is batch
    for view, rate in ((tabular.weak, 0.1), (tabular.strong, 0.45)):
        changed = view(batch, spec, rng())
        number = changed["numeric"][:, 0] != batch["numeric"][:, 0]
        level = changed["codes"][:, 0] != batch["codes"][:, 0]
        note = (changed["numeric"][:, 1:] != batch["numeric"][:, 1:]).any(1)
        for swapped in (number, level, note):
            assert abs(swapped.float().mean().item() - rate) < 0.06
        # A text's buckets move together: each bag is one of the batch's bags.
        overlap = (changed["numeric"][:, 1:] @ batch["numeric"][:, 1:].T).amax(1)
        assert (overlap > 0.999).all()


def test_missing_columns_are_listed(make_dataset: Make) -> None:
    spec = tabular.describe(people(make_dataset))
    with pytest.raises(DataError, match="missing: member, since, town, note. The columns are: age"):
        tabular.decode(make_dataset("tabular", age=("numeric", [1])), spec)


def test_kinds_that_are_no_cells(make_dataset: Make) -> None:
    with pytest.raises(DataError, match=r"Got v \(vector\)"):
        tabular.describe(make_dataset("tabular", v=("vector", [[1.0, 2.0]])))


def test_show(make_dataset: Make) -> None:
    data = make_dataset(
        "tabular",
        pay=("numeric", [1234567.0, float("nan")]),
        ratio=("numeric", [1 / 3, float("inf")]),
        when=("datetime", [datetime(2020, 5, 1, 13, 30), datetime(2020, 5, 1)]),
        note=("text", ["<b>" + "x" * 300, None]),
    )
    shown = tabular.show(data, 0)
    assert shown["kind"] == "row"
    assert [cell["name"] for cell in shown["cells"]] == ["pay", "ratio", "when", "note"]
    values = [cell["value"] for cell in shown["cells"]]
    assert values[:3] == ["1\u2009234\u2009567", "0.333333", "2020-05-01 13:30"]
    assert len(values[3]) == 200
    second = [cell["value"] for cell in tabular.show(data, 1)["cells"]]
    assert second == ["—", "inf", "2020-05-01", "—"]
