"""Image pretexts compute what their papers write: slow transcriptions, record by record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leaven.core.errors import SettingError
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.learn.method import Problem
from leaven.learn.network import Network
from leaven.learn.objective import Draw, Loss, Moment
from leaven.learn.patches import cut_tiles, patchified, shown_tiles, sine_positions, tile_shape
from leaven.learn.pretext import PRETEXTS, PretextObjective
from leaven.learn.pretexts.jigsaw import Jigsaw, apart
from leaven.learn.pretexts.mae import MaskedAutoencoder, at, normalised, split
from leaven.learn.pretexts.patch_context import PatchContext, cells_of
from leaven.learn.pretexts.rotation import Rotation
from leaven.learn.task import TASKS
from leaven.learn.train import train

Numbers = npt.NDArray[np.float64]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def problem_of(
    pixels: npt.NDArray[np.uint8], encoder: str = "small-convnet", **changes: Any
) -> Problem:
    dataset = Dataset.from_arrays(pixels)
    views = MODALITIES["image"]
    spec = views.describe(dataset)
    plain = Problem(
        arrays=views.decode(dataset, spec)[0],
        spec=spec,
        modality="image",
        task="classification",
        classes=1,
        targets=np.full(len(pixels), -1),
        train=np.zeros(0, np.int64),
        unlabelled=np.arange(len(pixels)),
        encoder=encoder,
    )
    return replace(plain, **changes)


def noise(n: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (n, height, width), dtype=np.uint8)


def moment(
    objective: PretextObjective, problem: Problem, seed: int = 3
) -> Callable[[], tuple[Moment, Loss]]:
    """A step on all records; each call draws the same."""
    torch.manual_seed(0)
    encoder = problem.build_encoder()
    network = Network(encoder, objective.head(problem, encoder.width)).eval()
    state = objective.state(problem, network)

    def step() -> tuple[Moment, Loss]:
        draw = Draw(
            problem.views,
            problem.spec,
            generator(seed),
            {},
            torch.zeros(0, dtype=torch.long),
            problem.arrays.batch(problem.unlabelled),
            torch.zeros(0, dtype=torch.long),
            torch.from_numpy(problem.unlabelled),
        )
        now = Moment(network, network, draw, TASKS["classification"], 0, 10, state)
        with torch.no_grad():
            return now, objective.loss(now)

    return step


def cross_entropy(logits: Numbers, told: int) -> float:
    return float(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[told])


# --- Patches ------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 5),
    st.integers(1, 11),
    st.integers(1, 11),
)
def test_patches_are_cut_row_by_row(n: int, c: int, side: int, height: int, width: int):
    pictures = torch.rand((n, c, height, width), generator=generator())
    rows, columns = -(-height // side), -(-width // side)
    wanted = np.empty((n, rows * columns, c * side**2), np.float32)
    for u in range(n):
        for row in range(rows):
            for column in range(columns):
                wanted[u, row * columns + column] = [
                    pictures[
                        u,
                        k,
                        min(row * side + i, height - 1),
                        min(column * side + j, width - 1),
                    ]
                    for k in range(c)
                    for i in range(side)
                    for j in range(side)
                ]
    np.testing.assert_array_equal(patchified(pictures, side).numpy(), wanted)


def test_positions_are_sines_and_cosines_of_row_and_column():
    found = sine_positions(3, 5, 16).double().numpy()
    for row in range(3):
        for column in range(5):
            wanted = [
                wave(place / 10_000 ** (k / 4))
                for place in (row, column)
                for wave in (np.sin, np.cos)
                for k in range(4)
            ]
            np.testing.assert_allclose(found[row * 5 + column], wanted, atol=1e-6)


# --- MAE ----------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 40), st.floats(0.05, 0.95), st.integers(0, 99))
def test_each_record_shows_as_many_patches_and_hides_all_others(
    patches: int, share: float, seed: int
):
    visible, hidden = split(6, patches, share, generator(seed))
    shown = min(max(int(patches * (1 - share)), 1), patches - 1)
    assert visible.shape == (6, shown)
    for one, other in zip(visible.tolist(), hidden.tolist(), strict=True):
        assert sorted(one + other) == list(range(patches))


def test_a_quarter_is_visible_and_each_patch_equally_often():
    visible, hidden = split(4000, 16, 0.75, generator())
    assert visible.shape[1], hidden.shape[1] == (4, 12)
    often = np.bincount(visible.flatten().numpy(), minlength=16) / 4000
    assert np.abs(often - 0.25).max() < 5 * (0.25 * 0.75 / 4000) ** 0.5


def test_the_loss_is_of_masked_patches_normalised_one_by_one():
    objective = MaskedAutoencoder(view="plain")
    problem = problem_of(noise(5, 16, 12), "vit-mini")
    now, loss = moment(objective, problem)()
    encoder, pixels = now.network.encoder, problem.arrays["pixels"].astype(np.float64) / 255
    visible, hidden = split(5, 12, 0.75, generator(3))
    assert hidden.shape[1] == 9
    mean, deviation = (float(t.double().squeeze()) for t in (encoder.mean, encoder.deviation))
    errors = []
    for u in range(5):
        cut = [
            ((pixels[u, 0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] - mean) / deviation)
            for row in range(4)
            for column in range(3)
        ]
        flat = np.stack([patch.ravel() for patch in cut])
        with torch.no_grad():
            # The encoder is given the visible patches of this record alone, and nothing else.
            seen = visible[u]
            states = encoder.states(
                torch.tensor(flat[seen.numpy()], dtype=torch.float32)[None],
                encoder.positions(16, 12)[seen],
            )
            told = now.state(states, visible[u : u + 1], hidden[u : u + 1])[0].double().numpy()
        for answer, place in zip(told, hidden[u].tolist(), strict=True):
            patch = flat[place]
            target = (patch - patch.mean()) / np.sqrt(patch.var() + 1e-6)
            errors.append(np.mean((answer - target) ** 2))
    np.testing.assert_allclose(float(loss.terms["pixels"]), np.mean(errors), rtol=1e-4)


def test_what_is_masked_is_not_seen():
    """Other pixels in masked patches change the target and nothing that is told of them."""
    patches = torch.rand((2, 16, 16), generator=generator())
    _, hidden = split(2, 16, 0.75, generator(1))
    visible, _ = split(2, 16, 0.75, generator(1))
    other = patches.clone().scatter_(1, hidden.unsqueeze(-1).expand(-1, -1, 16), 9.0)
    torch.testing.assert_close(at(other, visible), at(patches, visible), rtol=0, atol=0)
    assert float(normalised(at(other, hidden)).abs().max()) == 0


def test_a_picture_of_one_patch_cannot_be_masked():
    problem = problem_of(noise(4, 64, 64), "vit-mini")
    encoder = problem.build_encoder()
    network = Network(encoder, MaskedAutoencoder().head(problem, encoder.width))
    small = replace(problem, spec={"channels": 1, "height": 8, "width": 8})
    with pytest.raises(SettingError, match="8×8 pixels"):
        MaskedAutoencoder().state(small, network)


def test_mae_asks_for_a_vision_transformer():
    assert PRETEXTS["mae"].encoder("image") == "vit-mini"
    with pytest.raises(SettingError, match="vit-tiny"):
        PRETEXTS["mae"].encoder("image", "small-convnet")


# --- Rotation -----------------------------------------------------------------------------------


def test_each_record_is_shown_in_all_four_turns():
    problem = problem_of(noise(3, 12, 12))
    now, loss = moment(Rotation(view="plain"), problem)()
    encoder, head = now.network.encoder, now.state["turns"]
    pixels = problem.arrays["pixels"].astype(np.float32) / 255
    errors = []
    for picture in pixels:
        for turns in range(4):
            shown = torch.from_numpy(np.rot90(picture, turns, (1, 2)).copy())[None]
            with torch.no_grad():
                logits = head(encoder({"pixels": shown}))[0].double().numpy()
            errors.append(cross_entropy(logits, turns))
    np.testing.assert_allclose(float(loss.terms["rotation"]), np.mean(errors), rtol=1e-5)


def test_rotation_says_that_oblong_pictures_will_not_do():
    with pytest.raises(SettingError, match=r"square.*16×12"):
        moment(Rotation(), problem_of(noise(3, 16, 12)))


# --- Tiles --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("height", "width", "gap", "wanted"),
    [(225, 225, 0.15, (64, 64)), (32, 48, 0.15, (8, 14)), (12, 12, 0.0, (3, 3))],
)
def test_a_tile_is_a_cell_less_its_gap(
    height: int, width: int, gap: float, wanted: tuple[int, int]
):
    assert tile_shape({"height": height, "width": width}, gap) == wanted


def test_small_pictures_have_no_tiles():
    with pytest.raises(SettingError, match="8×32"):
        tile_shape({"height": 8, "width": 32}, 0.15)
    for objective in (Jigsaw(), PatchContext()):
        with pytest.raises(SettingError, match="8×8"):
            moment(objective, problem_of(noise(3, 8, 8)))


@settings(max_examples=30, deadline=None)
@given(st.integers(12, 40), st.integers(12, 40), st.floats(0, 0.5), st.integers(0, 99))
def test_tiles_stand_within_their_cells(height: int, width: int, gap: float, seed: int):
    try:
        shape = tile_shape({"height": height, "width": width}, gap)
    except SettingError:
        return
    # Each pixel tells its own place, so a tile tells where it was cut.
    pictures = torch.arange(height * width).float().view(1, 1, height, width).repeat(4, 2, 1, 1)
    cells = torch.rand((4, 9), generator=generator(seed)).argsort(1)[:, :5]
    tiles = cut_tiles(pictures, cells, shape, generator(seed))
    assert tiles.shape == (4, 5, 2, *shape)
    down, right = height // 3, width // 3
    for tile, cell in zip(tiles.flatten(0, 1)[:, 1], cells.flatten().tolist(), strict=True):
        top, left = divmod(int(tile[0, 0]), width)
        block = np.arange(height * width).reshape(height, width)[top:, left:]
        np.testing.assert_array_equal(tile.numpy(), block[: shape[0], : shape[1]])
        upper = height % 3 // 2 + cell // 3 * down
        before = width % 3 // 2 + cell % 3 * right
        assert upper <= top <= upper + down - shape[0]
        assert before <= left <= before + right - shape[1]


def test_tiles_stand_anywhere_within_their_cells():
    pictures = torch.arange(900.0).view(1, 1, 30, 30).repeat(600, 1, 1, 1)
    cells = torch.full((600, 1), 4)
    tiles = cut_tiles(pictures, cells, (8, 8), generator())
    corners = set(tiles[:, 0, 0, 0, 0].int().tolist())
    assert corners == {30 * (10 + i) + 10 + j for i in range(3) for j in range(3)}


def test_each_tile_is_normalised_by_itself_and_enlarged():
    tiles = 7 + 3 * torch.rand((2, 3, 2, 4, 4), generator=generator())
    shown = shown_tiles(tiles, {"height": 8, "width": 8}).double().numpy()
    for tile, found in zip(tiles.double().numpy().reshape(6, 2, 4, 4), shown, strict=True):
        for channel in range(2):
            wanted = tile[channel] - tile[channel].mean()
            wanted = wanted / np.sqrt((wanted**2).mean() + 0.01)
            np.testing.assert_allclose(found[channel], wanted, atol=1e-5)
    larger = shown_tiles(tiles, {"height": 15, "width": 24})
    assert larger.shape == (6, 2, 8, 12)


# --- Jigsaw -------------------------------------------------------------------------------------


def test_orders_are_chosen_for_their_hamming_distances():
    """Against the rule by brute force, over orders of which the search knows none to be better."""
    orders = apart(20)
    assert orders[0].tolist() == list(range(9))
    assert all(sorted(order) == list(range(9)) for order in orders.tolist())
    sample = np.array(list(permutations(range(9))))[::1009]
    for count in range(1, 20):
        before = orders[:count]

        def worth(order: npt.NDArray[np.int64], before: Any = before) -> tuple[int, int]:
            distances = [sum(a != b for a, b in zip(order, other, strict=True)) for other in before]
            return min(distances), sum(distances)

        assert worth(orders[count]) >= max(worth(order) for order in sample)


def test_no_two_orders_are_near():
    orders = apart(64)
    distances = (orders[:, None] != orders[None]).sum(-1)
    assert distances[~np.eye(64, dtype=bool)].min() >= 7
    # The first nine differ in every place, as the rows of a Latin square do.
    assert distances[:9, :9][~np.eye(9, dtype=bool)].min() == 9


def test_jigsaw_names_the_order_of_the_tiles():
    objective = Jigsaw(orders=12)
    problem = problem_of(noise(4, 18, 24))
    now, loss = moment(objective, problem)()
    rng = generator(3)
    order = torch.randint(12, (4,), generator=rng)
    cells = torch.from_numpy(apart(12))[order]
    encoder, shape = now.network.encoder, tile_shape(problem.spec, objective.gap)
    with torch.no_grad():
        tiles = cut_tiles(encoder.enter(now.draw.unlabelled("plain")), cells, shape, rng)
        errors = []
        for u in range(4):
            alone = [encoder.represent(shown_tiles(t[None, None], problem.spec)) for t in tiles[u]]
            logits = now.state["names"](torch.cat(alone, 1))[0].double().numpy()
            errors.append(cross_entropy(logits, int(order[u])))
    np.testing.assert_allclose(float(loss.terms["order"]), np.mean(errors), rtol=1e-4)


# --- Patch context ------------------------------------------------------------------------------


def test_neighbours_are_numbered_row_by_row_around_the_middle():
    cells = cells_of(torch.arange(8).view(8, 1)).tolist()
    around = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]
    for (middle, neighbour), (down, right) in zip(cells, around, strict=True):
        assert divmod(middle, 3) == (1, 1)
        assert divmod(neighbour, 3) == (1 + down, 1 + right)


def test_patch_context_names_the_place_of_each_neighbour():
    objective = PatchContext(neighbours=3)
    problem = problem_of(noise(4, 18, 24))
    now, loss = moment(objective, problem)()
    rng = generator(3)
    place = torch.rand((4, 8), generator=rng).argsort(1)[:, :3]
    encoder, shape = now.network.encoder, tile_shape(problem.spec, objective.gap)
    errors = []
    with torch.no_grad():
        entered = encoder.enter(now.draw.unlabelled("plain"))
        tiles = cut_tiles(entered, cells_of(place), shape, rng)
        for u in range(4):
            alone = [encoder.represent(shown_tiles(t[None, None], problem.spec)) for t in tiles[u]]
            for number in range(3):
                pair = torch.cat([alone[0], alone[1 + number]], 1)
                logits = now.state["names"](pair)[0].double().numpy()
                errors.append(cross_entropy(logits, int(place[u, number])))
    np.testing.assert_allclose(float(loss.terms["place"]), np.mean(errors), rtol=1e-4)


# --- All four -----------------------------------------------------------------------------------


def shaded(n: int) -> npt.NDArray[np.uint8]:
    """Stripes whose direction turns from the upper left to the lower right: each place has its own.

    The stripes stand anywhere, so that no pixel by itself tells a place.
    """
    rng = np.random.default_rng(6)
    row, column = np.mgrid[0:24, 0:24] / 24
    pictures = np.empty((n, 24, 24))
    for u in range(n):
        phase = rng.uniform(0, 2 * np.pi)
        pictures[u] = np.sin(40 * (row**2 + 0.5 * column) * (0.3 + column) + phase)
    return (127.5 + 100 * pictures + rng.normal(0, 8, pictures.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("objective", "figure", "chance"),
    [(Rotation(), "rotation", 4), (Jigsaw(orders=16), "order", 16), (PatchContext(), "place", 8)],
)
def test_a_task_that_can_be_solved_is_solved(objective: PretextObjective, figure: str, chance: int):
    problem = problem_of(shaded(96), steps=40)
    small = {"pretrain_batch": 16 if chance == 4 else 32}
    problem = replace(problem, training=problem.training.model_copy(update=small))
    last = [step for step in train(problem, objective) if step.number > 35]
    assert np.mean([float(step.terms[figure]) for step in last]) < 0.6 * np.log(chance)
    assert np.mean([float(step.figures["accuracy"]) for step in last]) > 0.6


def test_masked_patches_are_told_from_the_visible_ones():
    pictures = np.random.default_rng(7).integers(20, 236, (2, 16, 16)).astype(np.float64)
    which = np.arange(96) % 2
    problem = problem_of(pictures[which].astype(np.uint8), "vit-mini", steps=90)
    small = {"pretrain_batch": 32, "precision": "32-true"}
    problem = replace(problem, training=problem.training.model_copy(update=small))
    last = [step for step in train(problem, MaskedAutoencoder(view="plain")) if step.number > 80]
    # Who does not look at the visible patches can tell the mean of both pictures at best.
    patches = np.stack(
        [p.reshape(4, 4, 4, 4).transpose(0, 2, 1, 3).reshape(16, 16) for p in pictures]
    )
    scaled = (patches - patches.mean(-1, keepdims=True)) / patches.std(-1, keepdims=True)
    blind = np.mean((scaled - scaled.mean(0)) ** 2)
    assert np.mean([float(step.terms["pixels"]) for step in last]) < 0.75 * blind


@pytest.mark.parametrize(
    "objective", [Rotation(), Jigsaw(orders=9), PatchContext(), MaskedAutoencoder()]
)
def test_what_is_drawn_comes_from_the_generator_of_the_step(objective: PretextObjective):
    encoder = "vit-mini" if isinstance(objective, MaskedAutoencoder) else "small-convnet"
    step = moment(objective, problem_of(noise(6, 18, 18), encoder))
    totals = [float(step()[1].total) for seed in (1, 2) if torch.manual_seed(seed)]
    assert totals[0] == totals[1]


@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        (MaskedAutoencoder, {"masked": 1.0}),
        (MaskedAutoencoder, {"width": 40}),
        (MaskedAutoencoder, {"layers": 0}),
        (Rotation, {"view": "odd"}),
        (Jigsaw, {"orders": 1}),
        (Jigsaw, {"gap": 0.9}),
        (PatchContext, {"neighbours": 9}),
    ],
)
def test_impossible_settings_are_named(kind: type, setting: dict[str, Any]):
    with pytest.raises(SettingError, match=next(iter(setting))):
        kind(**setting)
