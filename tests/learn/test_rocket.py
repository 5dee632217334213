"""MiniRocket's features, held against a plain transcription, and their components."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from sklearn.linear_model import RidgeClassifierCV

from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.learn.encoder import ENCODERS, encode
from leaven.learn.kernels_of_time import KERNELS, KernelsOfTime, dilations


def plain_features(
    series: np.ndarray, dilated: dict[int, int], biases: np.ndarray, chosen: np.ndarray
) -> np.ndarray:
    """(n, 84 · each) by the definition, one kernel, place and tap after the other."""
    n, _, steps = series.shape
    found = np.zeros((n, *biases.shape))
    for one in range(n):
        at = 0
        for order, (dilation, count) in enumerate(dilated.items()):
            for kernel, twos in enumerate(KERNELS):
                weights = np.array([2.0 if tap in twos else -1.0 for tap in range(9)])
                values = np.zeros(steps)
                for step in range(steps):
                    for tap in range(9):
                        place = step + (tap - 4) * dilation
                        if 0 <= place < steps:
                            own = chosen[order, kernel] > 0
                            values[step] += weights[tap] * series[one, own, place].sum()
                if (order + kernel) % 2 and 8 * dilation < steps:
                    values = values[4 * dilation : steps - 4 * dilation]
                for number in range(at, at + count):
                    found[one, kernel, number] = (values > biases[kernel, number]).mean()
            at += count
    return found.reshape(n, -1)


@pytest.mark.parametrize(("channels", "steps"), [(1, 21), (3, 18), (1, 5)])
def test_features_are_the_definition(channels: int, steps: int):
    rng = np.random.default_rng(0)
    # Quarters and halves: sums are exact in any order, so a comparison cannot fall otherwise.
    series = rng.integers(-40, 40, (3, channels, steps)) / 4
    kernels = KernelsOfTime(channels, steps, 3)
    kernels.learn(torch.from_numpy(series).float(), rng)
    wanted = plain_features(
        series, kernels.dilations, kernels.biases.double().numpy(), kernels.chosen.numpy()
    )
    found = kernels(torch.from_numpy(series).float())
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2])
def test_of_a_short_series_only_its_own_steps_count(channels: int):
    rng = np.random.default_rng(0)
    series = rng.integers(-40, 40, (5, channels, 21)) / 4
    own = np.array([21, 1, 9, 14, 17])
    series *= np.arange(21) < own[:, None, None]
    kernels = KernelsOfTime(channels, 21, 3)
    given = torch.from_numpy(series).float(), torch.from_numpy(own)
    kernels.learn(given[0], rng, given[1])
    learnt = kernels.biases.double().numpy(), kernels.chosen.numpy()
    wanted = [
        plain_features(one[None, :, :steps], kernels.dilations, *learnt)[0]
        for one, steps in zip(series, own, strict=True)
    ]
    found = kernels(*given)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert torch.equal(found[3:4], kernels(given[0][3:4], given[1][3:4]))  # whoever is beside it


def test_biases_are_quantiles_of_own_steps():
    series = torch.ones(50, 1, 40)
    series[:, :, 5:] = 0  # of ones and their ends: beyond the fifth step no kernel finds anything
    kernels = KernelsOfTime(1, 40, 9)
    kernels.learn(series, np.random.default_rng(0), torch.full((50,), 5))
    alone = KernelsOfTime(1, 40, 9)
    alone.learn(series[:, :, :5], np.random.default_rng(0))
    assert torch.equal(kernels.biases, alone.biases)


def test_there_are_as_many_features_as_asked_and_their_dilations_fit():
    for length in (9, 46, 128, 1024):
        for each in (1, 29, 119):
            found = dilations(length, each)
            assert sum(found.values()) == each
            assert 8 * max(found) < max(length, 9)
    assert list(dilations(128, 119)) == sorted(dilations(128, 119))


def test_biases_are_quantiles_of_the_convolutions():
    rng = np.random.default_rng(0)
    series = torch.from_numpy(rng.normal(size=(200, 1, 64))).float()
    kernels = KernelsOfTime(1, 64, 29)
    kernels.learn(series, rng)
    shares = kernels(series)
    # The golden ratio spreads quantiles evenly over (0, 1), and with them the shares.
    assert 0.45 < float(shares.mean()) < 0.55
    assert float(shares.mean(0).min()) < 0.05
    assert float(shares.mean(0).max()) > 0.95


def made(n: int = 160, seed: int = 0) -> tuple[Dataset, np.ndarray]:
    """Two classes of one amplitude and period: saw teeth that rise, and that fall."""
    rng = np.random.default_rng(seed)
    kinds = np.arange(n) % 2
    saw = (np.arange(48) / 11 + rng.uniform(size=(n, 1))) % 1
    values = np.where(kinds[:, None] > 0, saw, 1 - saw) + rng.normal(0, 0.15, (n, 48))
    return Dataset.from_arrays(values, modality="series"), kinds


def features(dataset: Dataset, seen: int, **changed: int) -> np.ndarray:
    views = MODALITIES["series"]
    spec = views.describe(dataset)
    arrays, _ = views.decode(dataset, spec)
    kind = ENCODERS["rocket"]
    encoder = kind(**(kind.configure(spec) | changed))
    encoder.prepare(arrays, np.arange(seen), 0)
    return encode(encoder, arrays, np.arange(len(dataset)), views.plain, block=50)


def test_few_labels_tell_what_distances_do_not():
    dataset, kinds = made()
    found = features(dataset, 100)
    told = RidgeClassifierCV().fit(found[:8], kinds[:8]).score(found[100:], kinds[100:])
    assert told > 0.9


@pytest.mark.parametrize("slower", [False, True])
def test_few_labels_tell_series_of_unlike_lengths(slower: bool):
    """Whether the longer ones went on for longer or more slowly, and what lengths say is noise."""
    rng = np.random.default_rng(3)
    dataset, kinds = made(200, seed=1)
    records = [np.asarray(row[0], float) for row in dataset.records["series"].to_pylist()]
    lengths = rng.integers(20, 49, len(records))
    if slower:
        places = [np.linspace(0, 47, n) for n in lengths]
        records = [np.interp(p, np.arange(48), row) for p, row in zip(places, records, strict=True)]
    else:
        records = [row[:n] for n, row in zip(lengths, records, strict=True)]
    table = pa.table({"series": [row.tolist() for row in records]})
    ragged = Dataset.from_frame(table, label=False, modality="series")
    assert MODALITIES["series"].describe(ragged)["usual"] > 0
    found = features(ragged, 100)
    told = [
        RidgeClassifierCV().fit(found[some], kinds[some]).score(found[100:], kinds[100:])
        for some in (slice(0, 10), slice(20, 30), slice(40, 50))
    ]
    assert np.mean(told) > 0.89


def test_components_keep_the_distances_of_standardised_features():
    dataset, _ = made(40)
    found = features(dataset, 40, each=2, width=200)
    kernels = 2 * 84 * 2
    views = MODALITIES["series"]
    spec = views.describe(dataset)
    arrays, _ = views.decode(dataset, spec)
    kind = ENCODERS["rocket"]
    encoder = kind(**(kind.configure(spec) | {"each": 2, "width": 200}))
    encoder.prepare(arrays, np.arange(40), 0)
    raw = encoder._features(arrays.batch(np.arange(40))).double().numpy()
    spread = raw.std(0)
    standard = (raw - raw.mean(0)) / np.where(spread > 1e-6, spread, np.inf) / kernels**0.5
    standard[:, raw.shape[1] // 2 :] *= 0.7  # those of the differences
    wanted = ((standard[:, None] - standard[None]) ** 2).sum(-1)
    np.testing.assert_allclose(((found[:, None] - found[None]) ** 2).sum(-1), wanted, atol=1e-3)


def test_series_of_one_step_have_features():
    dataset = Dataset.from_arrays(np.arange(6.0)[:, None], modality="series")
    assert np.isfinite(features(dataset, 6)).all()
