"""What encoders learn without labels: latent components of texts, normal scores of tables."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.stats import norm
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from leaven.data.arrays import Arrays
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.learn import encoder
from leaven.learn.contracts import made_problem
from leaven.learn.method import METHODS, Problem
from leaven.learn.network import Network
from leaven.learn.ngrams import NgramBag
from leaven.learn.table_scores import TableScores

TEXTS = [
    "my card was stolen", "card stolen yesterday and my card is blocked", "blocked card again",
    "the transfer is late", "late transfer and late refund", "refund of the late transfer",
    "wrong exchange rate", "exchange rate is wrong again", "the rate was wrong yesterday",
    "top up failed", "failed top up by card", "top up failed again and again",
    "my refund is late", "exchange failed", "transfer failed again",
]  # fmt: skip


def _arrays(texts: list[str]) -> Arrays:
    dataset = Dataset.from_arrays(texts, modality="text")
    text = MODALITIES["text"]
    arrays, rejected = text.decode(dataset, {"column": "text", "length": 16})
    assert not rejected
    return arrays


def test_bag_is_tf_idf_and_its_singular_vectors_up_to_sign():
    bag, width = NgramBag(200, 6), 6
    arrays = _arrays(TEXTS)
    bag.prepare(arrays, np.arange(len(TEXTS)), 0)
    new = ["my card failed", "late late exchange rate of yesterday", "top up is wrong"]
    with torch.no_grad():
        found = bag(_arrays(TEXTS + new).batch(np.arange(len(TEXTS) + 3))).numpy()

    tfidf = TfidfVectorizer(min_df=2, ngram_range=(1, 2))
    matrix = tfidf.fit_transform(TEXTS)
    svd = TruncatedSVD(width, algorithm="arpack").fit(matrix)
    wanted = normalize(tfidf.transform(TEXTS + new) @ svd.components_.T)
    signs = np.sign((found * wanted).sum(0))
    np.testing.assert_allclose(found, wanted * signs, atol=2e-3)


def test_a_text_of_unknown_words_has_no_direction_and_no_nan():
    bag = NgramBag(200, 6)
    bag.prepare(_arrays(TEXTS), np.arange(len(TEXTS)), 0)
    with torch.no_grad():
        found = bag(_arrays(["quark gluon boson", "my card"]).batch(np.arange(2)))
    assert not found[0].any()
    assert found[1].norm().item() == pytest.approx(1)


@pytest.mark.parametrize("texts", [["one text"], ["the same"] * 5, ["a b", "c d"]])
def test_a_bag_of_hardly_any_texts_is_finite(texts: list[str]):
    bag = NgramBag(50, 8)
    bag.prepare(_arrays(texts), np.arange(len(texts)), 0)
    with torch.no_grad():
        assert bag(_arrays(texts).batch(np.arange(len(texts)))).isfinite().all()


Floats = npt.NDArray[np.float32]


def _scores(numeric: Floats, codes: npt.NDArray[np.int32], levels: tuple[int, ...]) -> TableScores:
    scores = TableScores(numeric.shape[1], levels)
    scores.prepare(Arrays({"numeric": numeric, "codes": codes}), np.arange(len(numeric)), 0)
    return scores


def _transform(scores: TableScores, numeric: Floats, codes: npt.NDArray[np.int32]) -> Floats:
    with torch.no_grad():
        found: Floats = scores(
            {"numeric": torch.from_numpy(numeric), "codes": torch.from_numpy(codes)}
        ).numpy()
    return found


COLUMNS = {
    "money": np.random.default_rng(0).lognormal(5, 3, 500),
    "counts": np.random.default_rng(1).poisson(1.5, 500),
    "flag": np.random.default_rng(2).integers(0, 2, 500),
    "constant": np.full(500, 3.0),
    "outlier": np.append(np.random.default_rng(3).normal(size=499), 1e12),
}


@pytest.mark.parametrize("name", list(COLUMNS))
def test_numbers_keep_their_order_and_lose_their_tails(name: str):
    column = COLUMNS[name].astype(np.float32)[:, None]
    none = np.zeros((500, 0), np.int32)
    scores = _scores(column, none, ())
    span = float(column.max() - column.min()) + 1
    probe = np.sort(np.append(column, np.linspace(column.min() - span, column.max() + span, 999)))
    found = _transform(
        scores, probe.astype(np.float32)[:, None], np.zeros((len(probe), 0), np.int32)
    )
    assert (np.diff(found[:, 0]) >= -1e-6).all()
    assert np.abs(found).max() <= norm.ppf(0.99) + 1e-4
    if name in ("money", "outlier"):  # without ties a straight line between 65 quantiles
        grid = np.quantile(column[:, 0], np.linspace(0, 1, 65))
        wanted = np.interp(column[:, 0], grid, norm.ppf(np.linspace(0.01, 0.99, 65)))
        np.testing.assert_allclose(_transform(scores, column, none)[:, 0], wanted, atol=1e-3)
    if name == "constant":
        assert _transform(scores, column, none)[0, 0] == pytest.approx(0, abs=1e-6)


def test_missing_numbers_are_the_median_and_say_so():
    column = np.arange(100, dtype=np.float32)[:, None].repeat(2, 1)
    column[::4, 0] = np.nan
    none = np.zeros((100, 0), np.int32)
    found = _transform(_scores(column, none, ()), column, none)
    assert np.isfinite(found).all()
    assert (found[::4, 0] == 0).all()
    assert found[::4, 2].tolist() == [1.0] * 25, "its indicator"
    assert not found[:, 3].any(), "a whole column needs none"
    later = np.full((1, 2), np.nan, np.float32)
    assert _transform(_scores(column, none, ()), later, none[:1])[0].tolist() == [0, 0, 1, 0]


def test_a_column_without_any_number_is_harmless():
    column = np.full((20, 1), np.nan, np.float32)
    none = np.zeros((20, 0), np.int32)
    scores = _scores(column, none, ())
    assert np.isfinite(_transform(scores, column, none)).all()
    assert np.isfinite(_transform(scores, np.ones((20, 1), np.float32), none)).all()


def test_categories_are_centred_indicators_and_unseen_ones_known_as_such():
    codes = np.array([1] * 60 + [2] * 30 + [3] * 10, np.int32)[:, None]
    numeric = np.zeros((100, 0), np.float32)
    scores = _scores(numeric, codes, (4,))
    found = _transform(scores, numeric, codes)
    share = np.array([0.01, 0.6, 0.3, 0.1])  # a level that never occurred counts as rare
    indicators = np.eye(4)[codes[:, 0]]
    wanted = (indicators - share) / np.sqrt(np.sqrt(share * (1 - share)))
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    unseen = _transform(scores, numeric[:1], np.zeros((1, 1), np.int32))
    assert np.isfinite(unseen).all()
    assert not (np.abs(found - unseen).max(1) < 1e-6).any(), "it looks like no level seen"


def test_features_that_do_not_fit_in_memory_lie_on_disk(monkeypatch: pytest.MonkeyPatch):
    """And every classic method reads them as it reads the others."""
    made = made_problem(METHODS["label-spreading"])
    held = _fitted("label-spreading", made.problem)
    monkeypatch.setattr(encoder, "IN_MEMORY", 1000)
    plain = made.problem.views.plain
    features = encoder.encode(
        made.problem.build_encoder(), made.problem.arrays, np.arange(100), plain, block=7
    )
    assert isinstance(features, np.memmap)
    for name in ("label-spreading", "poisson-learning", "self-training", "lapsvm", "logistic"):
        network = _fitted(name, made.problem)
        assert made.accuracy(network) > 0.8
        if name == "label-spreading":
            laid = network.logits(made.problem.arrays, made.held)
            np.testing.assert_array_equal(laid, held.logits(made.problem.arrays, made.held))


def _fitted(name: str, problem: Problem) -> Network:
    """The network that a fit ends in."""
    fit = METHODS[name].fit(problem)
    while True:
        try:
            next(fit)
        except StopIteration as done:
            return done.value
