"""Sketches and distances against slow and well-known answers; verdicts against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.spatial.distance import jensenshannon

from leaven.core.errors import DataError, SettingError, UnknownNameError
from leaven.operate.drift import distances
from leaven.operate.drift.columns import Names
from leaven.operate.drift.comparing import compare
from leaven.operate.drift.reference import REST, Parts, Reference
from leaven.operate.drift.sketch import CATEGORIES, Categories, Numbers
from leaven.operate.drift.testing import chance, corrected, expected_noise, level_of

NUMBERS = arrays(
    np.float64,
    st.integers(2, 60),
    elements=st.floats(-1e6, 1e6, allow_nan=False) | st.sampled_from([0.0, np.nan, np.inf]),
)


@settings(max_examples=60, deadline=None)
@given(NUMBERS)
def test_a_sketch_counts_every_value_in_its_place(values):
    grid = Numbers.of(values)
    counts = grid.count(values)
    assert counts.sum() == len(values)
    assert counts[0] == np.isnan(values).sum()
    cells = grid.cells_of(values)
    assert np.array_equal(np.bincount(cells, minlength=grid.cells), counts)
    known = ~np.isnan(values)
    ranks = stats.rankdata(values[known], method="dense")
    placed = cells[known]
    for a, b in zip(np.argsort(ranks)[:-1], np.argsort(ranks)[1:], strict=True):
        assert placed[a] <= placed[b], "order is kept"
    inside = known & np.isfinite(grid.worth[np.maximum(cells - 1, 0)])
    worth = grid.worth[cells[inside] - 1]
    assert np.allclose(
        worth - grid.centre, values[inside] - grid.centre, rtol=6e-4, atol=1e-6 * grid.scale
    )


def test_distances_are_those_of_the_samples():
    rng = np.random.default_rng(0)
    a, b = rng.gamma(2, 3, 4000), rng.gamma(2.4, 3, 3000)
    grid = Numbers.of(a)
    p, q = grid.count(a), grid.count(b)
    exact = stats.ks_2samp(a, b).statistic
    assert distances.kolmogorov_smirnov(p, q) == pytest.approx(exact, abs=2e-3)
    moved = stats.wasserstein_distance(a, b)
    assert distances.wasserstein(p[1:], q[1:], grid.worth) == pytest.approx(moved, rel=2e-3)
    # The well-known figures of ten bins of equally many reference values.
    edges = np.quantile(a, np.linspace(0, 1, 11))
    edges[0], edges[-1] = -np.inf, np.inf
    x, y = (np.histogram(side, edges)[0] for side in (a, b))
    ours = distances.grouped(p, q)
    s, t = (side / side.sum() for side in (x, y))
    assert distances.population_stability(*ours) == pytest.approx(
        ((t - s) * np.log(t / s)).sum(), rel=0.05
    )
    assert distances.kullback_leibler(*ours) == pytest.approx(stats.entropy(t, s), rel=0.05)
    assert distances.jensen_shannon(x, y) == pytest.approx(jensenshannon(x, y, base=2), abs=1e-12)
    v, p_value = distances.chi_square(x, y)
    told = stats.chi2_contingency(np.stack([x, y]), correction=False)
    assert (v, p_value) == pytest.approx((np.sqrt(told[0] / 7000), told[1]))
    assert distances.total_variation(x, y) == pytest.approx(np.abs(s - t).sum() / 2)


def test_sketches_add_as_if_made_in_one_pass():
    rng = np.random.default_rng(1)
    values = {"x": rng.normal(size=300), "c": Names.of([*"abc"] * 100)}
    seasons = Parts.of(Names.of(["day", "night"] * 150))
    reference = Reference.of(values, seasons)
    halves = [slice(0, 120), slice(120, 300)]
    parts = [
        reference.sketch(
            {"x": values["x"][h], "c": Names(values["c"].codes[h], values["c"].names)},
            Parts(seasons.codes[h], seasons.names),
        )
        for h in halves
    ]
    both = parts[0] + parts[1]
    assert both.n == 300
    for name in values:
        assert np.array_equal(both.counts[name], reference.own.counts[name])
        assert np.array_equal(both.seasons[name], reference.own.seasons[name])
    assert np.array_equal(both.season_sizes, reference.own.season_sizes)


def test_new_categories_are_told_from_rare_ones():
    many = {f"c{i:05}": 2 for i in range(CATEGORIES)} | {"rare": 1, None: 3}
    grid = Categories.of_counts(many)
    names = [grid.cell_names[grid.place(n)] for n in ("c00000", "rare", "other", None)]
    assert names == ["c00000", "all others", "not seen before", "missing"]


def test_slices_are_bounded():
    parts = Parts.of(Names.of([f"customer {i % 500}" for i in range(2000)]), most=10)
    assert len(parts.names) == 10
    assert parts.names[-1] == REST
    later = Parts.of(Names.of(["customer 0", "never seen"]))
    assert later.among(parts.names).tolist() == [parts.names.index("customer 0"), 9]


def test_the_same_shift_gets_no_contrary_answers():
    """A gap of 0.08 is shifted or unsure, one of 0.01 same or unsure, whatever the size."""
    rng = np.random.default_rng(2)
    reference = Reference.of({"x": rng.random(100_000)})
    for n in (50, 500, 5_000, 50_000):
        far = compare(
            reference, reference.sketch({"x": np.where(rng.random(n) < 0.08, 0.0, rng.random(n))})
        )
        near = compare(
            reference, reference.sketch({"x": np.where(rng.random(n) < 0.01, 0.0, rng.random(n))})
        )
        assert far[0].verdict in ("shifted", "unsure")
        assert near[0].verdict in ("same", "unsure")
        assert n < 5_000 or far[0].verdict == "shifted", "large samples know"
        assert n > 50 or far[0].verdict == near[0].verdict == "unsure", "small ones do not"
        assert far[0].low <= 0.08 <= far[0].high
    assert near[0].verdict == "same"


def test_false_findings_stay_under_the_level():
    """40 looks at 4 columns, of which half move by just the least that matters."""
    rng = np.random.default_rng(3)
    names = [f"x{i}" for i in range(4)]
    reference = Reference.of({name: rng.random(20_000) for name in names})
    found = {"shifted": 0, "any": 0}
    for look in range(1, 41):
        came = {
            name: np.where(rng.random(4000) < (0.03 if i % 2 else 0.0), 0.0, rng.random(4000))
            for i, name in enumerate(names)
        }
        sketch = reference.sketch(came)
        found["shifted"] += sum(
            s.verdict == "shifted" for s in compare(reference, sketch, look=look)
        )
        if look <= 3:
            found["any"] += sum(
                s.verdict == "shifted" for s in compare(reference, sketch, least=0.0)
            )
    assert found["shifted"] == 0
    assert found["any"] >= 3, "a test of any difference at all would find most of them"


def test_bounds_hold_where_categories_are_many():
    """Total variation of two samples of one source is noise, and is not taken for a shift."""
    rng = np.random.default_rng(4)
    above = 0
    for _ in range(200):
        a, b = (np.bincount(rng.integers(0, 50, n), minlength=50) for n in (500, 300))
        tv = distances.total_variation(a, b)
        noise = expected_noise(a / 500, b / 300, 500, 300)
        above += chance(tv, 0.0, 500, 300, noise) <= 0.05
    assert above <= 2
    assert tv > 0.05, "without the noise this would count"


def test_a_change_of_the_mix_of_seasons_is_no_drift():
    rng = np.random.default_rng(5)

    def drawn(nights: float, n: int = 20_000) -> tuple[dict, Parts]:
        night = rng.random(n) < nights
        x = rng.normal(np.where(night, 3.0, 0.0))
        return {"x": x}, Parts.of(Names.of(np.where(night, "night", "day").tolist()))

    values, seasons = drawn(0.3)
    reference = Reference.of(values, seasons)
    later, when = drawn(0.7)
    assert compare(reference, reference.sketch(later, when))[0].verdict == "same"
    bare = Reference.of(values)
    assert compare(bare, bare.sketch(later))[0].verdict == "shifted"
    later["x"] += 0.5
    assert compare(reference, reference.sketch(later, when))[0].verdict == "shifted"


def test_a_slice_can_shift_where_the_whole_does_not():
    rng = np.random.default_rng(6)
    where = Names.of(["at", "de", "fr", "it", "ch"] * 4000)
    slices = Parts.of(where)
    values = {"x": rng.normal(size=20_000)}
    reference = Reference.of(values, slices=slices)
    later = {"x": rng.normal(size=20_000)}
    one = slices.codes == slices.names.index("ch")
    half = one & (np.arange(20_000) % 10 < 5)
    later["x"][half] = -0.1
    found = compare(reference, reference.sketch(later, slices=slices))
    assert next((s.column, s.slice) for s in found if s.verdict == "shifted") == ("x", "ch")


def test_correction_is_that_of_benjamini_and_yekutieli():
    rng = np.random.default_rng(7)
    p = rng.random(40) ** 3
    assert corrected(p.tolist()) == pytest.approx(stats.false_discovery_control(p, method="by"))
    assert corrected([]) == []


def test_wrong_settings_say_so():
    reference = Reference.of({"x": np.arange(5.0)})
    with pytest.raises(SettingError, match="least"):
        compare(reference, reference.own, least=1.5)
    with pytest.raises(SettingError, match="look"):
        level_of(0)
    with pytest.raises(UnknownNameError, match="'x'"):
        reference.sketch({"y": np.arange(3.0)})
    with pytest.raises(DataError, match="holds numbers in the reference and categories"):
        reference.sketch({"x": Names.of(["a"])})
    with pytest.raises(DataError, match="at least one record"):
        Reference.of({"x": np.zeros(0)})
