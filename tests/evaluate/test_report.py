"""The page: whole in itself, readable by anyone, and safe with whatever the data holds."""

from __future__ import annotations

import base64
import copy
import hashlib
import math
import re
from dataclasses import asdict

import numpy as np
import pytest

from leaven.evaluate import comparison
from leaven.evaluate.report import render
from tests.evaluate.report_parts import HOSTILE, Page, a_png, a_story, check, some_records


def test_the_page_says_it_in_the_order_of_a_reader():
    story = a_story()
    source = render(story, some_records(story["dataset"]["classes"]))
    page = check(source)
    headings = [
        "The unlabelled data helped",
        "The figures against the baseline",
        "What the model is unsure of",
        "Did the unlabelled data help?",
        "Can its confidence be believed?",
        "The data",
        "What more labels would buy",
        "How it was made",
    ]
    told = [re.sub("<.*?>", "", h) for h in re.findall("<h2.*?</h2>", source)]
    assert [h in t for h, t in zip(headings, told, strict=True)] == [True] * 8
    accuracy = story["metrics"]["accuracy"]
    assert f"{100 * accuracy['value']:.1f} %" in page.text
    assert f"{100 * accuracy['low']:.1f} to {100 * accuracy['high']:.1f}" in page.text
    assert "leaven fit data.csv --label y" in page.text
    assert "5 240 text records" in page.text
    assert "2 min 11 s" in page.text
    assert "Look at this: 14 records are near-copies" in page.text.replace(" :", ":")


def test_every_mistake_of_the_worst_list_links_to_its_record():
    story = a_story(2, names=["a", "b"])
    page = check(render(story, some_records(["a", "b"])))
    assert "mistake-1" in [a["href"][1:] for a in page.all("a")]


def test_the_policy_lets_nothing_in_but_the_style():
    source = render(a_story(), {})
    policy = Page(source).all("meta")[1]["content"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    style = re.search(r"<style>(.*?)</style>", source, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy


def test_hostile_text_stays_text():
    names = [f"{HOSTILE} {i}" for i in range(3)]
    story = a_story(3, names=names)
    story["run"] |= {"name": HOSTILE, "command": HOSTILE, "id": HOSTILE, "leaven": HOSTILE}
    story["dataset"] |= {
        "name": HOSTILE,
        "source": HOSTILE,
        "columns": [{"name": HOSTILE, "kind": HOSTILE}],
        "quarantine_reasons": {HOSTILE: 3},
        "findings": [
            {"severity": HOSTILE, "message": HOSTILE, "examples": [HOSTILE], "advice": HOSTILE}
        ],
        "places": {HOSTILE: HOSTILE},
    }
    story["verdict"] |= {"method": HOSTILE, "baseline": HOSTILE, "sentence": HOSTILE}
    story["recipe_toml"] = HOSTILE
    story["next"] = [HOSTILE]
    story["training"]["history"] = [{**h, "stage": HOSTILE} for h in story["training"]["history"]]
    source = render(story, some_records(names, HOSTILE))
    page = check(source)
    assert "<script" not in source
    assert "alert(1)" in page.text
    assert "{{ 7*7 }}" in page.text
    assert "\u202e" not in source
    assert "\x00" not in source


def test_an_image_that_is_none_is_not_embedded():
    for png in ('" onerror="alert(1)', "PHN2Zz4=", a_png() + '"', "iVBORw0KGgo" + "A" * 3_000_000):
        shown = {"kind": "image", "png": png}
        source = render({}, {"uncertain": [{"id": "x", "prediction": "a", "shown": shown}]})
        page = check(source)
        assert not page.all("img")
        assert "cannot be shown" in page.text


def test_any_part_may_be_missing():
    check(render({}, {}))
    whole = a_story()
    records = some_records(whole["dataset"]["classes"])
    for key in whole:
        check(render({k: v for k, v in whole.items() if k != key}, records))
        if isinstance(whole[key], dict):
            check(render({**whole, key: {}}, records))


@pytest.mark.parametrize("seed", range(40))
def test_anything_at_any_depth_may_be_missing_or_none(seed):
    rng = np.random.default_rng(seed)

    def thinned(value):
        if isinstance(value, dict):
            kept = {k: thinned(v) for k, v in value.items() if rng.random() > 0.1}
            return {k: None if rng.random() < 0.05 else v for k, v in kept.items()}
        return [thinned(v) for v in value] if isinstance(value, list) else value

    story = a_story(3, n=60)
    check(render(thinned(story), thinned(some_records(["a", "b"]))))


def test_numbers_that_are_none():
    def without_numbers(value):
        if isinstance(value, dict):
            return {k: without_numbers(v) for k, v in value.items()}
        if isinstance(value, list):
            return [without_numbers(v) for v in value]
        return math.nan if isinstance(value, float) else value

    story = a_story()
    records = some_records(story["dataset"]["classes"])
    check(render(without_numbers(story), without_numbers(records)))


def test_no_holdout_says_so():
    story = a_story()
    for key in ("metrics", "method_metrics", "per_class", "confusion", "calibration", "baseline"):
        del story[key]
    story["verdict"] = asdict(comparison.unmeasured(method="fixmatch", baseline="supervised"))
    page = check(render(story, {}))
    assert "Not measured" in page.text
    assert "no labelled records were left to measure on" in page.text


def test_checks_that_were_not_run_are_not_said_to_be_passed():
    assert "No checks were recorded" in check(render({}, {})).text
    assert "found nothing wrong" in check(render({"dataset": {"findings": []}}, {})).text


def test_what_a_check_found_is_told_by_its_place():
    found = {"severity": "error", "message": "odd", "examples": ["2f7a", "ann"]}
    page = check(render({"dataset": {"findings": [found], "places": {"2f7a": "x.csv row 7"}}}, {}))
    assert re.search("For example x.csv row 7 ?, ann", page.text)


@pytest.mark.parametrize("outcome", ["better", "unproven", "worse", "unmeasured", "supervised", ""])
def test_every_outcome_has_a_word(outcome):
    story = a_story()
    story["verdict"]["outcome"] = outcome
    page = check(render(story, {}))
    badge = [a for a in page.all("span") if "badge" in (a.get("class") or "")]
    assert len(badge) == 1


def test_the_model_that_ships_is_marked():
    story = a_story()
    story["verdict"]["kept"] = "supervised"
    source = render(story, {})
    assert re.search(r'class="number theirs">supervised\s*<span class="ships">', source)
    story["verdict"]["kept"] = "fixmatch"
    assert re.search(r'class="number ours">fixmatch\s*<span class="ships">', render(story, {}))


@pytest.mark.parametrize("k", [1, 2, 31, 150])
def test_few_and_many_classes(k):
    story = a_story(k, n=600)
    source = render(story, {})
    check(source)
    assert len(source) < 2_000_000


def test_empty_and_single_step_histories():
    for history in ([], [{"stage": "final", "step": 0, "loss": 1.0, "coverage": 0.1}]):
        story = a_story()
        story["training"] = {"history": history, "pseudo_labels": {}}
        check(render(story, {}))


def test_long_text_is_cut():
    story = a_story()
    story["dataset"]["name"] = "x" * 100_000
    source = render(story, some_records(["a", "b"], "word " * 100_000))
    assert len(check(source).text) < 200_000


def test_unicode_classes():
    names = ["日本語のとても長い分類名です", "שלום", "naïve 🥐", "emoji‍👩‍🔬"]
    page = check(render(a_story(4, names=names), some_records(names)))
    assert all(name in page.text for name in names)


def test_the_input_is_left_as_it_was():
    story = a_story()
    records = some_records(["a", "b"])
    before = copy.deepcopy((story, records["mistakes"][:3]))
    render(story, records)
    assert (story, records["mistakes"][:3]) == before
