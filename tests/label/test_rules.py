"""Labelling functions against plain Python, in a file and as a table of votes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaven.core.errors import SettingError, UnknownNameError
from leaven.data.dataset import Dataset
from leaven.evaluate.intervals import wilson
from leaven.label.rules import file, votes
from leaven.label.rules.rule import Rule, keyword, model, pattern, python, threshold
from leaven.label.rules.votes import Votes, apply


def texts(*lines: str) -> Dataset:
    return Dataset.from_arrays(np.array(lines), ids=[f"t{i}" for i in range(len(lines))])


def fires(rule: Rule, *lines: str) -> list[bool]:
    return (apply([rule], texts(*lines)).codes[:, 0] >= 0).tolist()


LETTERS = st.text("ab é_1+.\\E$(ß漢", min_size=1, max_size=5)


@settings(max_examples=50)
@given(LETTERS.filter(str.strip), st.lists(LETTERS, min_size=1, max_size=6), st.booleans())
def test_a_keyword_is_found_as_python_finds_it(word: str, lines: list[str], whole: bool):
    sign = r"[^\W]"
    before = rf"(?<!{sign})" if re.match(sign, word[0]) else ""
    after = rf"(?!{sign})" if re.match(sign, word[-1]) else ""
    oracle = before + re.escape(word) + after if whole else re.escape(word)
    named = texts(*(f"line {i}" for i in range(len(lines))))
    raw = replace(named, records=pa.table({"text": lines}))
    rule = keyword([word], "x", whole_words=whole, ignore_case=False)
    said = [bool(re.search(oracle, text)) for text in lines]
    assert (apply([rule], raw).codes[:, 0] >= 0).tolist() == said


def test_whole_words_know_every_script():
    rule = keyword(["été", "c++"], "x")
    assert fires(rule, "l'ÉTÉ vient", "étés", "pureté", "in C++, of course", "c+", "été") == [
        True, False, False, True, False, True,
    ]  # fmt: skip
    assert fires(keyword(["免费"], "x", whole_words=False), "领取免费奖品", "领取奖品") == [
        True, False,
    ]  # fmt: skip


def test_a_pattern_that_would_run_away_is_as_quick_as_any():
    assert fires(pattern(r"(a+)+$", "x"), "a" * 200_000 + "b", "b" + "a" * 9) == [False, True]
    for refused in (r"(?=a)b", r"(a)\1", "(", "*"):
        with pytest.raises(SettingError, match="RE2"):
            pattern(refused, "x")


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">=", "==", "!="])
def test_a_threshold_compares_and_abstains_where_nothing_is(sign: str):
    table = pa.table({"size": [1.0, 2.0, 3.0, None], "word": ["a", "b", "c", "d"]})
    data = Dataset.from_frame(table, label=False)
    said = apply([threshold("size", sign, 2, "x")], data).codes[:, 0] >= 0
    compare = {"<": [1, 0, 0], "<=": [1, 1, 0], ">": [0, 0, 1], ">=": [0, 1, 1],
               "==": [0, 1, 0], "!=": [1, 0, 1]}  # fmt: skip
    assert said.tolist() == [*map(bool, compare[sign]), False]


def test_a_function_that_fails_costs_one_record_only():
    def odd(record: dict[str, str]) -> str | None:
        return {"a": "ham", "b": "spam", "c": None, "d": "spma", "e": 3}[record["text"]]  # type: ignore[return-value]

    seen = texts("a", "b", "c", "d", "e", "f")
    found = apply([python(odd, labels=["ham", "spam"])], seen)
    assert found.codes[:, 0].tolist() == [0, 1, -1, -1, -1, -1]
    assert [(f.rule, f.record) for f in found.failures] == [
        ("odd", "t3"), ("odd", "t4"), ("odd", "t5"),
    ]  # fmt: skip
    assert found.failures[0].message == "'spma' is no class; did you mean 'spam'?"
    assert found.failures[2].message == "KeyError: 'f'"
    assert found.table()[0].failures == 3


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch):
    lines = [f"{'win' * (i % 3 == 0)} {i}" for i in range(50)]
    rules = [
        keyword(["win"], "spam", whole_words=False),
        python(lambda r: "ham" if int(r["text"].split()[-1]) % 7 else 1, labels=["ham"], name="f"),  # type: ignore[return-value,arg-type]
    ]
    whole = apply(rules, texts(*lines))
    monkeypatch.setattr(votes, "_BATCH", 7)
    parts = apply(rules, texts(*lines))
    assert np.array_equal(whole.codes, parts.codes)
    assert whole.failures == parts.failures
    assert len(whole.failures) == 8


class Sure:
    """A model that reads texts of digits: the first is its confidence in class b, in tenths."""

    classes = ("b", "a")

    def predict(self, dataset: Dataset) -> tuple[Dataset, np.ndarray]:
        lines = dataset.records["text"].to_pylist()
        broken = np.flatnonzero([not line[0].isdigit() for line in lines])
        read = dataset.reject(broken, [("unreadable", "no digit")] * len(broken))
        said = [int(line[0]) / 10 for line in read.records["text"].to_pylist()]
        p = np.array([share or np.nan for share in said])
        return read, np.column_stack([p, 1 - p])


def test_a_model_votes_where_it_is_sure():
    data = texts("9 x", "5 x", "1 x", "0 x", "? x")
    found = apply([model(Sure(), at_least=0.8)], data, classes=["a", "b"])
    assert found.codes[:, 0].tolist() == [1, -1, 0, -1, -1]
    assert [(f.record, f.message) for f in found.failures] == [
        ("t3", "the model's answer is not a number"), ("t4", "could not be read: no digit"),
    ]  # fmt: skip
    with pytest.raises(UnknownNameError, match="class"):
        apply([model(Sure())], data, classes=["a", "c"])


@given(
    st.integers(0, 30).flatmap(
        lambda n: st.lists(
            st.lists(st.integers(-1, 2), min_size=3, max_size=3), min_size=n, max_size=n
        )
    ),
    st.data(),
)
def test_the_table_counts_as_slow_loops_do(rows: list[list[int]], data: st.DataObject):
    n = len(rows)
    truth = data.draw(st.lists(st.integers(-1, 2), min_size=n, max_size=n))
    codes = np.array(rows, np.int16).reshape(n, 3)
    made = Votes(codes, ("r", "s", "t"), ("a", "b", "c"), np.array([str(i) for i in range(n)]))
    for j, row in enumerate(made.table(truth)):
        mine = [i for i in range(n) if rows[i][j] >= 0]
        rivals = {i: [rows[i][o] for o in range(3) if o != j and rows[i][o] >= 0] for i in mine}
        assert row.coverage == len(mine) / max(n, 1)
        assert row.overlap == sum(bool(rivals[i]) for i in mine) / max(n, 1)
        divided = sum(any(v != rows[i][j] for v in rivals[i]) for i in mine)
        assert row.conflict == divided / max(n, 1)
        known = [i for i in mine if truth[i] >= 0]
        right = sum(truth[i] == rows[i][j] for i in known)
        if not known:
            assert row.accuracy is None
        else:
            low, high = wilson(right, len(known))
            assert row.accuracy is not None
            assert (row.accuracy.value, row.accuracy.n) == (right / len(known), len(known))
            assert (row.accuracy.low, row.accuracy.high) == (float(low), float(high))


def test_labels_of_the_dataset_become_targets():
    data = Dataset.from_arrays(np.array(["win", "noon", "x"]), ["spam", "ham", None])
    found = apply([keyword(["win"], "spam")], data)
    targets = found.targets(data.labels.to_pylist())
    assert targets.tolist() == [1, 0, -1]
    row = found.table(targets)[0]
    assert row.accuracy is not None
    assert (row.accuracy.value, row.accuracy.n) == (1.0, 1)
    with pytest.raises(UnknownNameError, match="'span'. Did you mean 'spam'"):
        found.targets(["span", None, None])


def test_what_is_wrong_with_a_rule_is_said_at_once():
    data = Dataset.from_arrays(np.array(["win", "noon"]), ["spam", "ham"])
    with pytest.raises(UnknownNameError, match="Did you mean 'spam'"):
        apply([keyword(["win"], "spma")], data)
    with pytest.raises(UnknownNameError, match="Did you mean 'text'"):
        apply([keyword(["win"], "spam", column="txet")], data)
    with pytest.raises(SettingError, match="different names"):
        apply([keyword(["win"], "spam")] * 2, data)
    with pytest.raises(SettingError, match="at least one rule"):
        apply([], data)
    with pytest.raises(SettingError, match="classes"):
        apply([python(lambda r: None)], texts("a"))
    for wrong in (
        lambda: keyword([], "x"), lambda: keyword([" "], "x"), lambda: keyword("win", "x"),
        lambda: keyword(["a"], ""), lambda: threshold("", ">", 1, "x"),
        lambda: threshold("a", "=>", 1, "x"), lambda: threshold("a", ">", float("nan"), "x"),
        lambda: python("no", labels=["a"]), lambda: model(Sure(), at_least=2),  # type: ignore[arg-type]
    ):  # fmt: skip
        with pytest.raises(SettingError):
            wrong()
    two = Dataset.from_frame(pa.table({"one": ["a b c d"], "two": ["e f g h"]}), label=False)
    with pytest.raises(SettingError, match="one, two"):
        apply([keyword(["a"], "x")], two)


def test_no_records_are_no_votes():
    empty = texts("a", "b").select(np.array([], np.int64))
    found = apply([keyword(["a"], "x"), python(lambda r: None)], empty)
    assert found.codes.shape == (0, 2)
    assert found.table([])[0].coverage == 0


RULES = """
classes = ["ham", "spam"]
[[rule]]
kind = "keyword"
words = ["win", "prize"]
label = "spam"
whole_words = false
[[rule]]
kind = "pattern"
regex = 'no+n'
label = "ham"
name = "noon"
[[rule]]
kind = "threshold"
column = "length"
operator = "<"
value = 5
label = "ham"
"""


def test_a_file_of_rules_says_what_the_calls_say(tmp_path: Path):
    (tmp_path / "rules.toml").write_text(RULES, "utf-8")
    read = file.read_rules(tmp_path / "rules.toml")
    assert read.classes == ("ham", "spam")
    assert read.rules == (
        keyword(["win", "prize"], "spam", whole_words=False),
        pattern("no+n", "ham", name="noon"),
        threshold("length", "<", 5, "ham"),
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("words =", "wrods ="), "Did you mean 'words'"),
        (('kind = "pattern"', 'kind = "patern"'), "Did you mean 'pattern'"),
        (('kind = "pattern"', 'kind = "python"'), "kind of rule 2"),
        (("classes =", "clases ="), "Did you mean 'classes'"),
        (("regex = 'no+n'\n", ""), "one with 'regex'"),
        (("regex = 'no+n'", "regex = '(?<=a)n'"), "RE2"),
        (("regex = 'no+n'", "regex = 3"), "'regex' must be a string"),
        (('words = ["win", "prize"]', 'words = "win"'), "a list of words"),
        (('words = ["win", "prize"]', "words = [1]"), "a list of words"),
        (("whole_words = false", 'whole_words = "no"'), "true or false"),
        (("value = 5", 'value = "5"'), "a finite number"),
        (("value = 5", "value = true"), "a finite number"),
        (("value = 5", "value = [5"), "valid TOML"),
        (('label = "spam"', 'label = ["spam"]'), "'label' must be a string"),
        (('["ham", "spam"]', '"ham"'), "a list of names"),
    ],
)
def test_a_wrong_file_says_where(change: tuple[str, str], told: str):
    assert change[0] in RULES
    with pytest.raises(SettingError, match=told):
        file.parse_rules(RULES.replace(*change, 1))


def test_a_file_without_rules_is_refused(tmp_path: Path):
    for text in ("", "rule = []", "rule = 3", '[rule]\nkind = "keyword"'):
        with pytest.raises(SettingError, match="at least one"):
            file.parse_rules(text)
    with pytest.raises(SettingError, match="readable"):
        file.read_rules(tmp_path / "none.toml")
