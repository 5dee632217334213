"""Records that are the same, or nearly.

Each function returns an array of group numbers, (n,): records of one number belong together, and
the number is the position of the group's first record. `groups` lists those of two or more. All
work is done on whole arrays, sorts once or a few times, and holds a few words a record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from leaven.data.dataset import Column, Index

__all__ = ["exact", "groups", "near_images", "near_rows", "near_texts", "simhash"]

Words = npt.NDArray[np.uint64]
_Alike = Callable[[Index, Index], npt.NDArray[np.bool_]]
_CHUNK = 200_000
#: How many followers in a sorted band each hash is compared with.
_WINDOW = 48


def exact(content: npt.NDArray[np.str_] | Words) -> Index:
    """Groups of equal values.

    >>> exact(np.array(["a", "b", "a"])).tolist()
    [0, 1, 0]
    """
    _, first, inverse = np.unique(content, return_index=True, return_inverse=True)
    return first.astype(np.int64)[inverse]


def groups(numbers: Index) -> list[Index]:
    """The positions in each group of two or more, largest group first.

    >>> [g.tolist() for g in groups(np.array([0, 1, 0, 1, 0, 5]))]
    [[0, 2, 4], [1, 3]]
    """
    order = np.argsort(numbers, kind="stable")
    cuts = np.flatnonzero(np.diff(numbers[order])) + 1
    several = [part for part in np.split(order, cuts) if len(part) > 1]
    return sorted(several, key=lambda part: -len(part))


def near_texts(texts: pa.ChunkedArray | pa.Array, distance: int = 3) -> Index:
    """Groups of texts equal but for case, punctuation and spaces, or nearly equal.

    Nearly: their 64-bit simhashes over runs of three words differ in at most `distance` bits
    (Charikar 2002; Manku, Jain and Das Sarma 2007). Empty texts stand alone. `distance` is
    at most 3, which is what the search finds in full; the same holds for images.
    """
    hashes = simhash(texts)
    alone = np.flatnonzero(hashes == 0)
    numbers = _close(hashes, distance, _agree)
    numbers[alone] = alone
    return numbers


def simhash(texts: pa.ChunkedArray | pa.Array) -> Words:
    """(n,) 64-bit simhash of each text's runs of three words; 0 for a text without words."""
    column = texts if isinstance(texts, pa.ChunkedArray) else pa.chunked_array([texts])
    parts = [
        _simhash_chunk(column.slice(start, 20_000).combine_chunks())
        for start in range(0, len(column), 20_000)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, np.uint64)


def _simhash_chunk(texts: pa.Array) -> Words:
    plain = pc.utf8_lower(pc.fill_null(texts, ""))
    plain = pc.utf8_trim_whitespace(pc.replace_substring_regex(plain, r"[^\p{L}\p{N}]+", " "))
    words = pc.split_pattern(plain, " ")
    lengths = pc.list_value_length(words).to_numpy(zero_copy_only=False).astype(np.int64)
    starts = np.r_[0, np.cumsum(lengths)]
    h = _word_hashes(pc.list_flatten(words))
    owner = np.repeat(np.arange(len(lengths)), lengths)
    # A run mixes a word with the two that follow it in the same text, zeros past its end.
    left = starts[owner + 1] - np.arange(len(h))
    padded = np.r_[h, np.zeros(2, np.uint64)]
    second = np.where(left > 1, padded[1:-1], np.uint64(0))
    third = np.where(left > 2, padded[2:], np.uint64(0))
    runs = _mixed(h * np.uint64(3) ^ _mixed(second * np.uint64(5) ^ _mixed(third)))
    # Runs that hang over the end count only where the text has no whole run.
    counted = (left > 2) | ((lengths[owner] < 3) & (left == lengths[owner]))
    runs, owner = runs[counted], owner[counted]
    votes = np.zeros((len(lengths), 64), np.int32)
    for start in range(0, len(runs), _CHUNK):
        part, where = runs[start : start + _CHUNK], owner[start : start + _CHUNK]
        bits = np.unpackbits(part.astype("<u8").view(np.uint8).reshape(-1, 8), axis=1)
        first = np.flatnonzero(np.r_[True, where[1:] != where[:-1]])
        votes[where[first]] += np.add.reduceat(bits.astype(np.int32) * 2 - 1, first, axis=0)
    packed = np.packbits(votes > 0, axis=1).view("<u8").ravel()
    blank = pc.equal(plain, "").to_numpy(zero_copy_only=False)
    return np.where(blank, np.uint64(0), np.maximum(packed, np.uint64(1)))


def _word_hashes(words: pa.Array) -> Words:
    """(n,) a hash of each word: its first 24 bytes, its length and its last bytes, mixed."""
    encoded = pc.dictionary_encode(words)
    known = np.array([w.encode()[:32] for w in encoded.dictionary.to_pylist()], dtype="S32")
    lanes = known.view("<u8").reshape(-1, 4)
    lengths = pc.binary_length(encoded.dictionary).to_numpy(zero_copy_only=False)
    mixed = _mixed(lengths.astype(np.uint64))
    for lane in lanes.T:
        mixed = _mixed(mixed ^ lane)
    return np.asarray(mixed[np.asarray(encoded.indices)], dtype=np.uint64)


def _mixed(x: Words) -> Words:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def near_images(pixels: npt.NDArray[np.uint8], distance: int = 2, levels: float = 3.0) -> Index:
    """Groups of images that look alike.

    Parameters
    ----------
    pixels : (n, c, h, w).
    distance : the most bits in which their 64-bit difference hashes may differ.
    levels : the most grey levels by which their 8 x 9 thumbnails may differ, on average over
        the thumbnail, and by which their contrast may.
    """
    n, _, height, width = pixels.shape
    rows, columns = _area_weights(height, 8), _area_weights(width, 9)
    thumbs = np.empty((n, 8, 9), np.float32)
    step = max(1, (1 << 24) // max(1, int(np.prod(pixels.shape[1:]))))
    for start in range(0, n, step):
        grey = pixels[start : start + step].mean(axis=1, dtype=np.float32)
        thumbs[start : start + step] = rows @ grey @ columns.T
    bits = np.packbits((np.diff(thumbs, axis=2) > 0.5).reshape(n, 64), axis=1)
    hashes = bits.view("<u8").ravel()
    flat = thumbs.reshape(n, 72)
    spread = flat.std(axis=1)

    def alike(a: Index, b: Index) -> npt.NDArray[np.bool_]:
        near = np.abs(flat[a] - flat[b]).mean(axis=1) <= levels
        return np.asarray(near & (np.abs(spread[a] - spread[b]) <= levels))

    return _close(hashes, distance, alike)


def _area_weights(size: int, parts: int) -> npt.NDArray[np.float32]:
    """(parts, size) the share of each pixel in each of `parts` equal stretches of a line."""
    edges = np.linspace(0, size, parts + 1)
    pixel = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    overlap = np.clip(overlap, 0, None)
    shares = overlap / overlap.sum(axis=1, keepdims=True)
    return np.asarray(shares, dtype=np.float32)


def near_rows(records: pa.Table, columns: Sequence[Column]) -> Index:
    """Groups of rows that are equal once numbers are rounded to three significant digits."""
    digest = np.zeros(records.num_rows, np.uint64)
    for column in columns:
        values = records[column.name]
        if column.kind == "numeric":
            codes = _rounded(values.to_numpy())
        elif column.kind == "vector":
            flat = values.combine_chunks().fill_null([0.0] * values.type.list_size).flatten()
            codes = np.zeros(len(values), np.uint64)
            for lane in _rounded(flat.to_numpy()).reshape(len(values), -1).T:
                codes = _mixed(codes ^ lane)
        else:
            encoded = pc.dictionary_encode(values.combine_chunks()).indices
            codes = pc.fill_null(encoded, -1).to_numpy(zero_copy_only=False)
            codes = codes.astype(np.int64).view(np.uint64)
        digest = _mixed(digest * np.uint64(31) ^ _mixed(codes + np.uint64(1)))
    return exact(digest)


def _rounded(numbers: npt.NDArray[np.floating]) -> Words:
    """The bits of each number after rounding to three significant digits."""
    x = np.asarray(numbers, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scale = 10.0 ** (2 - np.floor(np.log10(np.abs(x))))
        rounded = np.where(np.isfinite(scale) & (scale > 0), np.rint(x * scale) / scale, x)
    return (np.where(np.isnan(x), np.nan, rounded) + 0.0).view(np.uint64)


def _agree(a: Index, b: Index) -> npt.NDArray[np.bool_]:
    return np.ones(len(a), dtype=bool)


def _close(hashes: Words, distance: int, alike: _Alike) -> Index:
    """Groups linked by pairs of hashes that differ in at most `distance` < 4 bits and are alike.

    Two such hashes agree in at least one of four bands of 16 bits. Sorting by a band puts them
    near each other; each is compared with its next few followers, so a crowded band costs no
    more than a sparse one.
    """
    n = len(hashes)
    pairs: list[tuple[Index, Index]] = []
    for band in range(4):
        turned = (
            np.bitwise_or(
                hashes << np.uint64(16 * band), hashes >> np.uint64((64 - 16 * band) % 64)
            )
            if band
            else hashes
        )
        order = np.argsort(turned, kind="stable")
        ordered = turned[order]
        key = ordered >> np.uint64(48)
        for step in range(1, min(_WINDOW, n - 1) + 1):
            same = np.flatnonzero(key[step:] == key[:-step])
            if not len(same):
                break
            differing = np.bitwise_count(ordered[same] ^ ordered[same + step])
            hit = same[differing <= distance]
            a, b = order[hit], order[hit + step]
            good = alike(a, b)
            pairs.append((a[good], b[good]))
    a = np.concatenate([p for p, _ in pairs]) if pairs else np.zeros(0, np.int64)
    b = np.concatenate([p for _, p in pairs]) if pairs else np.zeros(0, np.int64)
    links = coo_matrix((np.ones(len(a), np.int8), (a, b)), shape=(n, n))
    _, component = connected_components(links, directed=False)
    _, first = np.unique(component, return_index=True)
    return np.asarray(first[component], dtype=np.int64)
