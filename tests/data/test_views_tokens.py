"""Operations on words equal their definition record by record."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from leaven.data.views.draws import Operation, compose
from leaven.data.views.token_ops import (
    BorrowWords,
    DropSpan,
    DropWords,
    MaskSpan,
    SwapNeighbours,
    compact,
    lengths,
)
from leaven.data.words import MASK

OPERATIONS: tuple[Operation[torch.Tensor], ...] = (
    DropWords(0.25, 0.4),
    DropSpan(0.0, 0.5),
    SwapNeighbours(0.5, 1.0),
    BorrowWords(0.5, 1.0),
    MaskSpan(0.2, 0.9),
)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def texts(counts: list[int], length: int) -> torch.Tensor:
    """Records of `counts` words, every word of the batch different."""
    tokens = torch.zeros(len(counts), length, dtype=torch.int32)
    for i, count in enumerate(counts):
        tokens[i, :count] = torch.arange(1, count + 1) + 100 * i
    return tokens


def words(row: torch.Tensor) -> list[int]:
    return [word for word in row.tolist() if word]


shapes = st.integers(1, 12).flatmap(
    lambda length: st.tuples(
        st.lists(st.integers(0, length), min_size=1, max_size=6), st.just(length)
    )
)


@given(shape=shapes, seed=st.integers(0, 99))
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: type(o).__name__)
def test_shape_padding_and_a_word_at_least(
    operation: Operation[torch.Tensor], shape: tuple[list[int], int], seed: int
) -> None:
    tokens = texts(*shape)
    before = tokens.clone()
    changed = operation(tokens, rng(seed))
    assert torch.equal(tokens, before)
    assert changed.shape == tokens.shape
    assert changed.dtype == tokens.dtype
    full = changed != 0
    assert (full[:, 1:] <= full[:, :-1]).all(), "words must lie to the left of all padding"
    assert ((lengths(changed) > 0) == (lengths(tokens) > 0)).all()


@given(shape=shapes, seed=st.integers(0, 99))
def test_drop_words_by_definition(shape: tuple[list[int], int], seed: int) -> None:
    tokens = texts(*shape)
    keep = DropWords(0.3, 0.9).draw(tokens, rng(seed))
    dropped = DropWords(0.3, 0.9).apply(tokens, keep)
    for row, kept, got in zip(tokens, keep.tolist(), dropped, strict=True):
        expected = [w for w, k in zip(row.tolist(), kept, strict=True) if k]
        assert words(got) == expected


def test_drop_words_rate_is_the_told_one() -> None:
    tokens = texts([90] * 400, 90)
    shares = 1 - lengths(DropWords(0.25, 0.4)(tokens, rng())) / 90
    assert abs(shares.mean().item() - 0.325) < 0.01
    # One rate a record: far more spread than one rate for all would give.
    assert shares.std() > 0.055
    assert lengths(DropWords(1.0, 1.0)(tokens, rng())).tolist() == [1] * 400


def test_drop_span_by_definition() -> None:
    tokens = texts([0, 1, 2, 7, 10, 10] * 30, 10)
    drawn = DropSpan(0.2, 0.6).draw(tokens, rng(1))
    for row, (first, after), got in zip(
        tokens, drawn.tolist(), DropSpan(0.2, 0.6).apply(tokens, drawn), strict=True
    ):
        own = words(row)
        assert after - first <= 0.6 * len(own)
        assert after <= len(own)
        assert words(got) == own[:first] + own[after:]


def test_swap_only_neighbours_and_all_at_rate_one() -> None:
    tokens = texts([6] * 50 + [5] * 50 + [1, 0], 6)
    swapped = SwapNeighbours(1.0, 1.0)(tokens, rng())
    seen = set()
    for row, got in zip(tokens, swapped, strict=True):
        own, new = words(row), words(got)
        pairs = []
        for begin in (0, 1):
            other = own.copy()
            for i in range(begin, len(own) - 1, 2):
                other[i], other[i + 1] = other[i + 1], other[i]
            pairs.append(other)
        assert new in pairs
        seen.add(pairs.index(new))
    assert seen == {0, 1}
    assert torch.equal(SwapNeighbours(0.0, 0.0)(tokens, rng()), tokens)


def test_borrow_words_by_definition_and_rate() -> None:
    tokens = texts([30, 40, 0, 50] * 40, 50) % 100_000
    operation = BorrowWords(0.2, 0.4)
    replace, lender, place = operation.draw(tokens, rng())
    got = operation.apply(tokens, (replace, lender, place))
    source = tokens.numpy()
    for i, j in np.argwhere(replace.numpy()):
        assert lender[i, j] != i
        borrowed = source[lender[i, j], place[i, j]]
        assert borrowed
        assert got[i, j] == borrowed
    assert torch.equal(got[~replace], tokens[~replace])
    # A quarter of the lenders have no words to lend.
    share = replace.sum().item() / (tokens != 0).sum().item()
    assert abs(share - 0.3 * 0.75) < 0.03


@given(shape=shapes, seed=st.integers(0, 99))
def test_mask_span_masks_words_in_their_places(shape: tuple[list[int], int], seed: int) -> None:
    tokens = texts(*shape)
    drawn = MaskSpan(0.3, 1.0).draw(tokens, rng(seed))
    for row, mask, got in zip(
        tokens.tolist(), drawn.tolist(), MaskSpan(0.3, 1.0).apply(tokens, drawn), strict=True
    ):
        assert got.tolist() == [MASK if m else w for w, m in zip(row, mask, strict=True)]
        own = sum(word != 0 for word in row)
        assert sum(mask) <= max(own - 1, 0)
        assert not any(m for w, m in zip(row, mask, strict=True) if not w)


def test_mask_span_masks_the_told_share_in_spans() -> None:
    tokens = texts([60] * 3000, 60)
    masked = MaskSpan(0.15, 0.15).draw(tokens, rng())
    counts = masked.sum(1)
    assert set(counts.tolist()) == {9}
    shares = MaskSpan(0.1, 0.4).draw(tokens, rng()).float().mean(1)
    assert abs(shares.mean().item() - 0.25) < 0.01
    assert shares.std() > 0.07, "one share a record"
    few = texts([5] * 8000, 5)
    assert abs(MaskSpan(0.15, 0.15).draw(few, rng()).float().mean().item() - 0.15) < 0.01
    # Every place alike …
    place = masked.float().mean(0)
    assert (place - 0.15).abs().max() < 0.04
    # … and neighbours together: after a masked word the next is masked as often as spans of
    # mean 5 that fill 9 places in the order of luck say, by loops over records.
    chance = np.random.default_rng(0)
    together, after = 0, 0
    for _ in range(3000):
        spans, begin = [], 0
        while begin < 60:
            size = int(chance.geometric(0.2))
            spans.append(range(begin, min(begin + size, 60)))
            begin += size
        chosen = [w for k in chance.permutation(len(spans)) for w in spans[k]][:9]
        together += sum(w + 1 in chosen for w in chosen if w < 59)
        after += sum(w < 59 for w in chosen)
    follow = (masked[:, 1:] & masked[:, :-1]).sum().item() / masked[:, :-1].sum().item()
    assert abs(follow - together / after) < 0.02


def test_one_record_alone_and_repeatability() -> None:
    alone = texts([5], 8)
    assert set(words(BorrowWords(1.0, 1.0)(alone, rng())[0])) <= set(words(alone[0]))
    many = texts([8] * 20, 8)
    assert torch.equal(compose(OPERATIONS, many, rng(3)), compose(OPERATIONS, many, rng(3)))
    assert not torch.equal(compose(OPERATIONS, many, rng(3)), compose(OPERATIONS, many, rng(4)))


def test_compact_keeps_order() -> None:
    tokens = torch.tensor([[5, 6, 7, 8], [9, 0, 0, 0]])
    keep = torch.tensor([[False, True, False, True], [True, False, False, False]])
    assert compact(tokens, keep).tolist() == [[6, 8, 0, 0], [9, 0, 0, 0]]
