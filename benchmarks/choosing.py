"""Ways to choose among candidates, each judged on sets that taught it nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

PAGE = Path("docs/choice.md")
TABLE = Path("src/leaven/learn/history.json")
ROWS = Path("benchmarks/results/choice.jsonl")
#: A case's set, labels, seed, modality, ideal weights and gain.
Row = dict[str, Any]
_ALL = 2.0  # sets of the same kind that count as much as all sets of all kinds
_FEW = 5.0  # problems that the spread of all kinds is worth


@dataclass(frozen=True)
class Case:
    """What the candidates said of one set with `labels` labels a class, drawn by `seed`."""

    set: str
    labels: int
    seed: int
    modality: str
    y: Any
    truth: Any
    left_out: Mapping[str, Any]
    test: Mapping[str, Any]

    @cached_property
    def temperature(self) -> dict[str, float]:
        """Of each candidate, from records left out."""
        import numpy as np

        from leaven.learn.temperature import fit_temperature

        found = {}
        for name, rounds in self.left_out.items():
            said = [np.asarray(one, np.float64) for one in rounds]
            truth = np.tile(self.y, len(said))
            found[name] = fit_temperature(np.concatenate(said), truth) if said else 1.0
        return found

    @cached_property
    def likelihood(self) -> dict[str, Floats]:
        """Of each candidate (n,) what it gave to the label of each record left out."""
        return {
            name: self._given(rounds, name) for name, rounds in self.left_out.items() if len(rounds)
        }

    def _given(self, rounds: Any, name: str) -> Floats:
        import numpy as np

        from leaven.learn.temperature import apply

        every = np.arange(len(self.y))
        told = [apply(one, self.temperature[name])[every, self.y] for one in rounds]
        return np.mean(told, 0)

    @cached_property
    def probabilities(self) -> dict[str, Floats]:
        """Of each candidate (t, k) for the test records."""
        from leaven.learn.temperature import apply

        return {name: apply(said, self.temperature[name]) for name, said in self.test.items()}

    def right(self, probabilities: Floats) -> float:
        """Share of the test records that are named rightly."""
        return float((probabilities.argmax(1) == self.truth).mean())

    @cached_property
    def ideal(self) -> dict[str, float]:
        """The weights of the mixture under which the test labels are likeliest."""
        import numpy as np

        rows = np.arange(len(self.truth))
        known = self.truth >= 0
        given = np.column_stack(
            [p[rows, np.maximum(self.truth, 0)][known] for p in self.probabilities.values()]
        )
        weights = _mixture(np.maximum(given, 1e-9))
        return dict(zip(self.probabilities, weights.tolist(), strict=True))


def _mixture(likelihood: Floats) -> Floats:
    """(m,) weights under which the mixture of likelihoods (n, m) is greatest, by EM."""
    import numpy as np

    weights = np.full(likelihood.shape[1], 1 / likelihood.shape[1])
    for _ in range(500):
        shared = likelihood * weights
        shared /= shared.sum(1, keepdims=True)
        weights = shared.mean(0)
    return weights


def read_cases(cache: Path) -> list[Case]:
    """All cases in the cache."""
    import numpy as np

    cases = []
    for path in sorted(cache.glob("*.npz")):
        if path.name.endswith(".part.npz"):
            continue
        name, labels, seed = path.stem.rsplit("-", 2)
        with np.load(path, allow_pickle=False) as kept:
            names = [key[: -len("/test")] for key in kept.files if key.endswith("/test")]
            cases.append(
                Case(
                    name, int(labels), int(seed), str(kept["modality"]), kept["y"], kept["truth"],
                    {one: kept[f"{one}/left out"].astype(np.float64) for one in names},
                    {one: kept[f"{one}/test"].astype(np.float64) for one in names},
                )
            )  # fmt: skip
    return cases


def weights_of(rows: list[Row]) -> dict[str, dict[str, dict[str, float]]]:
    """Of each kind and number of labels the mean ideal weights, drawn towards those of all kinds.

    Sets count alike, whatever the number of their seeds.
    """
    numbers = sorted({row["labels"] for row in rows})
    names = list(dict.fromkeys(name for row in rows for name in row["ideal"]))
    found: dict[str, dict[str, dict[str, float]]] = {}
    for kind in sorted({row["modality"] for row in rows}):
        found[kind] = {}
        for labels in numbers:
            there = [row for row in rows if row["labels"] == labels]
            own = [row for row in there if row["modality"] == kind]
            every = _mean_weights(there, names)
            mine = _mean_weights(own, names) if own else every
            many = len({row["set"] for row in own})
            share = many / (many + _ALL)
            mixed = {n: share * mine[n] + (1 - share) * every[n] for n in names}
            found[kind][str(labels)] = {n: round(w, 4) for n, w in mixed.items()}
    return found


def _mean_weights(rows: list[Row], names: list[str]) -> dict[str, float]:
    by_set: dict[str, list[dict[str, float]]] = {}
    for row in rows:
        by_set.setdefault(row["set"], []).append(row["ideal"])
    told = {n: mean(mean(w.get(n, 0.0) for w in ws) for ws in by_set.values()) for n in names}
    whole = sum(told.values())
    return {n: w / whole for n, w in told.items()}


def blended(case: Case, prior: Mapping[str, float], supervised: bool = False) -> Floats:
    """(t, k) the blend's probabilities under this prior."""
    import numpy as np

    from leaven.learn.blending import parted
    from leaven.learn.method import METHODS
    from leaven.learn.weighing import weigh

    names = [n for n in case.test if not (supervised and METHODS[parted(n)[0]].unlabelled)]
    seen = {n: case.likelihood.get(n, np.zeros(0)) for n in names}
    weights = weigh(seen, {n: max(prior[n], 1e-3) for n in names}, _agreeing(case, names))
    return np.sum([w * case.probabilities[n] for n, w in weights.items()], 0)


def averaged(case: Case, prior: Mapping[str, float]) -> Floats:
    """(t, k) the same, each candidate by its probability of being the true one.

    Bayesian model averaging; Hoeting, Madigan, Raftery & Volinsky 1999, Statistical Science 14.
    """
    import numpy as np

    score = np.array([_logs(case, n) * len(case.y) + np.log(max(prior[n], 1e-3)) for n in prior])
    agreeing = _agreeing(case, list(prior))
    if agreeing:
        shares = np.array([agreeing[name] for name in prior])
        score += 4 * np.log(shares / (1 - shares))
    weights = np.exp(score - score.max())
    told = zip(prior, weights / weights.sum(), strict=True)
    return np.sum([w * case.probabilities[n] for n, w in told], 0)


def _agreeing(case: Case, names: list[str]) -> dict[str, float] | None:
    from leaven.learn.weighing import agreement

    named = {n: case.left_out[n].argmax(-1).ravel() for n in names if len(case.left_out[n])}
    return agreement(named) if len(named) > 1 else None


def prior_of(case: Case, others: list[Case]) -> dict[str, float]:
    """What other sets let expect of the candidates here."""
    from leaven.learn.history import expected

    rows = [
        {"set": c.set, "labels": c.labels, "modality": c.modality, "ideal": c.ideal} for c in others
    ]
    return expected(case.test, case.modality, case.labels, {"weights": weights_of(rows)})


def ways(cases: list[Case]) -> dict[str, list[float]]:
    """Accuracy of each way of choosing, case by case; `others` are all cases of other sets."""
    from leaven.learn.blending import parted

    found: dict[str, list[float]] = {}
    fixed: Callable[[str], str] = lambda name: f"always {name}"  # noqa: E731
    for case in cases:
        others = [one for one in cases if one.set != case.set]
        prior = prior_of(case, others)
        names = list(case.test)
        scores = {n: case.right(p) for n, p in case.probabilities.items()}
        even = dict.fromkeys(names, 1 / len(names))
        folds = {
            n: float((case.left_out[n].argmax(-1) == case.y).mean()) if len(case.left_out[n]) else 0
            for n in names
        }
        surprise = {n: float(-_logs(case, n)) for n in names}
        told = {
            "the blend, as it ships": case.right(blended(case, prior)),
            "its supervised part": case.right(blended(case, prior, supervised=True)),
            "a blend by the probability of being the true one": case.right(averaged(case, prior)),
            "a blend without experience": case.right(blended(case, even)),
            "what experience likes best": scores[max(names, key=lambda n: prior[n])],
            "the winner of the folds": scores[max(names, key=lambda n: folds[n])],
            "the least surprised in the folds": scores[min(names, key=lambda n: surprise[n])],
            "the best on the test records (an oracle)": max(scores.values()),
        }
        # Of further blocks each kind of record has its own.
        told |= {fixed(n): scores[n] for n in names if not parted(n)[1]}
        for way, score in told.items():
            found.setdefault(way, []).append(score)
    return found


def _logs(case: Case, name: str) -> float:
    import numpy as np

    given = case.likelihood.get(name)
    return 0.0 if given is None else float(np.log(np.maximum(given, 1e-12)).mean())


def history(cache: Path) -> None:
    """Write what each case teaches, and of all the table that ships.

    Earlier rows of kinds of record that are not in the cache stay.
    """
    from benchmarks.machine import commit
    from benchmarks.results import read

    cases = read_cases(cache)
    kinds = {case.modality for case in cases}
    rows = [row for row in read(ROWS) if row["modality"] not in kinds]
    for case in cases:
        prior = prior_of(case, [one for one in cases if one.set != case.set])
        with_them = case.right(blended(case, prior))
        rows.append(
            {
                "set": case.set, "labels": case.labels, "seed": case.seed,
                "modality": case.modality, "commit": commit(),
                "ideal": {name: round(w, 4) for name, w in case.ideal.items()},
                "gain": round(with_them - case.right(blended(case, prior, True)), 4),
            }
        )  # fmt: skip
    ROWS.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    TABLE.write_text(json.dumps(table_of(rows), indent=1) + "\n", encoding="utf-8")
    print(f"{len(rows)} cases of {len({row['set'] for row in rows})} sets → {TABLE}")


def table_of(rows: list[Row], without: str = "") -> dict[str, Any]:
    """The table of these rows, those of the set `without` left out."""
    from leaven.learn.history import ANY

    known = [row for row in rows if row["set"] != without]
    gains: dict[str, dict[str, list[float]]] = {}
    for row in known:
        for kind in (row["modality"], ANY):
            own = gains.setdefault(kind, {}).setdefault(str(row["labels"]), [])
            own.append(row["gain"])
    told = {
        kind: {
            labels: {
                "mean": round(mean(values), 4),
                "spread": round(_spread_of(values, gains[ANY][labels]), 4),
                "problems": len(values),
            }
            for labels, values in by_labels.items()
            if len(values) > 2
        }
        for kind, by_labels in gains.items()
    }
    return {"weights": weights_of(known), "gains": {"blend": told}}


def _spread_of(values: list[float], every: list[float]) -> float:
    """The deviation of gains; of a few, drawn towards that of all kinds.

    Four or five sets that happen to be alike would make a verdict far too sure.
    """
    own = len(values) * stdev(values) ** 2 + _FEW * stdev(every) ** 2
    return max((own / (len(values) + _FEW)) ** 0.5, 0.01)


def page(cache: Path) -> None:
    """Write the page."""
    from benchmarks.page import put

    before = PAGE.read_text(encoding="utf-8") if PAGE.exists() else "# How a blend chooses\n"
    PAGE.write_text(put(before, "choice", _part(read_cases(cache))), encoding="utf-8")


def _part(cases: list[Case]) -> str:
    from benchmarks.machine import commit, machine
    from benchmarks.page import table

    numbers = sorted({case.labels for case in cases})
    found = ways(cases)
    rows = []
    for way, scores in found.items():
        cells = [way]
        for labels in numbers:
            own = [
                (s, best)
                for s, best, c in zip(
                    scores, found["the best on the test records (an oracle)"], cases, strict=True
                )
                if c.labels == labels
            ]
            apart = [100 * (s - best) for s, best in own]
            cells += [
                f"{100 * mean(s for s, _ in own):.1f}",
                f"{mean(apart):+.1f}",
                f"{min(apart):+.1f}",
            ]
        rows.append(cells)
    head = ["way"]
    for labels in numbers:
        head += [f"{labels} a class", "to the best", "at worst"]
    sets = len({case.set for case in cases})
    seeds = sorted({case.seed for case in cases})
    facts = machine()
    reading = (
        f"Accuracy in % on test records, mean over {len(cases)} cases ({sets} sets, seeds "
        f"{', '.join(map(str, seeds))}). The columns behind it tell the distance to the candidate "
        "that is best on the test records of each case, on average and at worst. What other sets "
        "taught comes from sets other than the one at hand. No estimate of the classes' shares is "
        "used here. Spread: the standard deviation over cases of the blend's distance to the "
        f"winner of the folds is {_spread(found):.1f} points, its mean {_lead(found):+.1f}."
    )
    made = f"Made on {facts['cpu']}, {facts['cores']} cores, commit {commit() or 'none'}."
    return "\n\n".join([reading, table(head, rows, 1), made])


def _lead(found: Mapping[str, list[float]]) -> float:
    ours, theirs = found["the blend, as it ships"], found["the winner of the folds"]
    return mean(100 * (a - b) for a, b in zip(ours, theirs, strict=True))


def _spread(found: Mapping[str, list[float]]) -> float:
    ours, theirs = found["the blend, as it ships"], found["the winner of the folds"]
    return stdev(100 * (a - b) for a, b in zip(ours, theirs, strict=True))
