"""Rules applied to records: the matrix of their votes, and how each one does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from leaven.core.errors import DataError, SettingError, UnknownNameError
from leaven.core.wording import count, many, percent
from leaven.data.dataset import Dataset, Finding, class_order
from leaven.evaluate.intervals import Estimate, wilson
from leaven.label.rules.file import read_rules
from leaven.label.rules.rule import Codes, Rule

__all__ = ["Failure", "RuleRow", "Votes", "apply", "with_rules"]

_BATCH = 8192
_MOST_CLASSES = np.iinfo(np.int16).max


@dataclass(frozen=True)
class Failure:
    """A rule that failed on a record, by its id, and what it said; it abstains there."""

    rule: str
    record: str
    message: str


@dataclass(frozen=True)
class RuleRow:
    """How a rule does, in shares of all records.

    `votes_for` are the classes it named at least once, `coverage` where it votes, `overlap` where
    another rule votes too, `conflict` where another names another class. `accuracy` is that of
    its votes on records of known class with the 95 % Wilson interval, None where there are none.
    """

    rule: str
    votes_for: tuple[str, ...]
    coverage: float
    overlap: float
    conflict: float
    failures: int
    accuracy: Estimate | None


@dataclass(frozen=True, eq=False)
class Votes:
    """What m rules say of n records.

    `codes` (n, m) are positions in `classes`, -1 where a rule abstains; `ids` (n,) name the
    records; `failures` lists each failure of a rule on a record.
    """

    codes: Codes
    rules: tuple[str, ...]
    classes: tuple[str, ...]
    ids: npt.NDArray[np.str_]
    failures: tuple[Failure, ...] = ()

    def __len__(self) -> int:
        return len(self.codes)

    def targets(self, labels: Sequence[str | None]) -> npt.NDArray[np.int64]:
        """(n,) positions of class names in `classes`, -1 for None.

        Takes `Dataset.labels.to_pylist()` of the records that the rules saw. Raises
        UnknownNameError for a class that is not among `classes`, SettingError for another number.
        """
        if len(labels) != len(self):
            raise SettingError("labels", f"{len(self)} names or None, one a record", len(labels))
        place: dict[str | None, int] = {name: i for i, name in enumerate(self.classes)}
        place[None] = -1
        for name in labels:
            if name not in place:
                raise UnknownNameError("class", str(name), self.classes)
        return np.array([place[name] for name in labels], dtype=np.int64)

    def table(self, targets: npt.ArrayLike | None = None) -> list[RuleRow]:
        """One row a rule; `targets` (n,) are known classes as positions, -1 where not known."""
        n = max(len(self), 1)
        truth = np.full(len(self), -1, np.int64)
        if targets is not None:
            truth = np.asarray(targets)
            if truth.shape != (len(self),):
                raise SettingError("targets", f"{len(self)} class positions", truth.shape)
        voted = self.codes >= 0
        company = voted.sum(1) > 1
        least = np.where(voted, self.codes, _MOST_CLASSES).min(1, initial=_MOST_CLASSES)
        divided = least < self.codes.max(1, initial=-1)
        failed = Counter(failure.rule for failure in self.failures)
        rows = []
        for j, name in enumerate(self.rules):
            own, votes = voted[:, j], self.codes[:, j]
            known = own & (truth >= 0)
            right, tried = int((votes[known] == truth[known]).sum()), int(known.sum())
            low, high = wilson(right, tried)
            rows.append(
                RuleRow(
                    name,
                    tuple(self.classes[c] for c in np.unique(votes[own])),
                    float(own.sum() / n),
                    float((own & company).sum() / n),
                    float((own & divided).sum() / n),
                    failed[name],
                    Estimate(right / tried, float(low), float(high), tried) if tried else None,
                )
            )
        return rows


def apply(
    rules: Sequence[Rule], dataset: Dataset, *, classes: Sequence[str] | None = None
) -> Votes:
    """Ask each rule about each record, in batches.

    Parameters
    ----------
    rules : each of a name of its own.
    classes : the names votes may bear, in their order. By default those of the dataset's labels
        where they are two or more, else those that the rules name.

    A rule that fails on a record abstains there and is listed in `failures`. What is wrong with a
    rule altogether is an error at once: UnknownNameError for a class or column that is not there,
    SettingError for rules of one name, no rule, or no class.

    >>> from leaven.label.rules.rule import keyword, python
    >>> texts = Dataset.from_arrays(np.array(["win a prize", "see you at noon"]))
    >>> rules = [keyword(["win"], "spam"), python(lambda r: "ham" * ("noon" in r["text"]) or None,
    ...                                           labels=["ham"], name="noon")]
    >>> votes = apply(rules, texts)
    >>> votes.classes, votes.codes.tolist()
    (('ham', 'spam'), [[1, -1], [-1, 0]])
    """
    if not rules:
        raise SettingError("rules", "at least one rule", list(rules))
    names = [rule.name for rule in rules]
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise SettingError("rules", "rules of different names", twice[0], "Give each its `name`.")
    known = _classes(rules, dataset, classes)
    codes = np.full((len(dataset), len(rules)), -1, np.int16)
    failures: list[Failure] = []
    for j, rule in enumerate(rules):
        for start, part in [(0, dataset)] if rule.whole else _parts(dataset):
            said, faults = rule.said(part, known)
            codes[start : start + len(part), j] = said
            failures += [Failure(rule.name, str(part.ids[i]), told) for i, told in faults]
    return Votes(codes, tuple(names), known, dataset.ids, tuple(failures))


def with_rules(dataset: Dataset, path: str | Path) -> Dataset:
    """The dataset with what the rules of a file say of its records; findings tell how far.

    Raises DataError where no rule votes on an unlabelled record, and what `apply` does.
    """
    read = read_rules(path)
    votes = apply(read.rules, dataset, classes=dataset.classes)
    open_ = dataset.unlabelled
    covered = int((votes.codes[open_] >= 0).any(1).sum())
    if not covered:
        raise DataError(
            f"No rule of '{path}' votes on an unlabelled record of '{dataset.name}'. See what they "
            "do: leaven rules DATA RULES."
        )
    rows = votes.table(dataset.targets)
    message = (
        f"{many(len(rows), 'rule votes', 'rules vote')} on {percent(covered / len(open_))} of the "
        f"unlabelled records. They are learnt as soft labels, and no figure counts them as given."
    )
    said = [f"{row.rule}: {_right(row)}" for row in rows]
    findings = [Finding("rules", "info", message, covered, tuple(said))]
    if votes.failures:
        failed = [f"{one.rule} on {one.record}: {one.message}" for one in votes.failures[:5]]
        times = len(votes.failures)
        message = f"Rules failed on records {count(times)} times and abstained there."
        findings.append(Finding("rules-failed", "warning", message, times, tuple(failed)))
    return replace(
        dataset.with_votes(votes.codes, f"{Path(path).name} {read.digest}"),
        findings=(*dataset.findings, *findings),
    )


def _right(row: RuleRow) -> str:
    if row.accuracy is None:
        return f"covers {percent(row.coverage)}, no label tells how often it is right"
    return f"covers {percent(row.coverage)}, right in {percent(row.accuracy.value)} of " + many(
        row.accuracy.n, "labelled record", "labelled records"
    )


def _classes(
    rules: Sequence[Rule], dataset: Dataset, classes: Sequence[str] | None
) -> tuple[str, ...]:
    """The names that votes may bear; every one that a rule declares is among them."""
    declared = [label for rule in rules for label in rule.labels]
    if classes is not None:
        known = tuple(classes)
    else:
        known = dataset.classes if len(dataset.classes) > 1 else class_order(declared)
    if not 0 < len(set(known)) == len(known) <= _MOST_CLASSES:
        raise SettingError("classes", "different names, at least one", list(known))
    for label in declared:
        if label not in known:
            raise UnknownNameError("class", label, known)
    return known


def _parts(dataset: Dataset) -> Iterator[tuple[int, Dataset]]:
    """Slices of the records and where they begin; without what is known beside the records."""
    bare = replace(dataset, meta=None, edges=None)
    for start in range(0, len(dataset), _BATCH):
        end = start + _BATCH
        part = replace(
            bare,
            records=bare.records.slice(start, _BATCH),
            ids=bare.ids[start:end],
            labels=bare.labels.slice(start, _BATCH),
            content=bare.content[start:end],
        )
        yield start, part
