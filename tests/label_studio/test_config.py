"""Configurations as they are written and read, and predictions held against them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaven.core.errors import DataError
from leaven.label.studio.config import Config, labelling_config, problems, words

ODD = (
    "plain", "a & b <script>alert(1)</script>", 'say "no"', "it's", "two\nlines", " blank ends ",
    "$text", "costs $5", "5 $", "ünï 猫 🐈", "class-3", "", "a  b",
    "tab\there", "\u202eesrever", "x" * 300,
)  # fmt: skip
MODALITIES = ("text", "image", "audio", "series", "tabular", "embedding", "graph")


def region(config: Config, label: str, classes: tuple[str, ...]) -> dict[str, Any]:
    return config.choosing(classes).region(label, 0.7, "r1")


def told(one: Any, **more: Any) -> dict[str, Any]:
    return {"model_version": "v", "score": 0.1, "result": [one]} | more


@pytest.mark.parametrize("modality", MODALITIES)
def test_every_class_can_be_chosen_by_a_word_of_its_own(modality: str):
    xml = labelling_config(ODD, modality, channels=[("channel 1", "v < w")])
    config = Config.read(xml)
    choosing = config.choosing(ODD)
    assert len(set(choosing.words.values())) == len(ODD)
    assert config.classes(choosing.from_name, ODD) == {w: n for n, w in choosing.words.items()}
    for label in ODD:
        assert problems(told(region(config, label, ODD)), config) == []


@given(st.lists(st.text(max_size=40), min_size=2, max_size=30, unique=True))
def test_any_names_make_xml_whose_choices_look_different(classes: list[str]):
    root = ET.fromstring(labelling_config(classes, "text", question="$x <&>\n"))
    shown = [one.attrib["value"] for one in root.iter("Choice")]
    assert len(set(shown)) == len(classes)
    assert not any(
        re.search(r"\$[\w\[\].{}]", one) or one != one.strip() or "\n" in one for one in shown
    )
    config = Config.read(labelling_config(classes, "text"))
    assert set(config.choosing(classes).words) == set(classes)
    assert config.variables == {"text", "reason"}


def test_a_name_that_is_plain_stands_in_results_as_it_is():
    assert words(["spam", "ünï 猫"]) == {"spam": "spam", "ünï 猫": "ünï 猫"}


def test_classes_that_came_later_leave_the_words_of_the_others():
    fewer = words(["a\nb", "c"])
    assert {name: words(["a\nb", "c", "d\n"])[name] for name in fewer} == fewer


def test_a_class_that_is_named_as_another_ones_word_is_not_taken_for_it():
    before = Config.read(labelling_config(["a", "b\n"], "text"))  # b's word is class-1
    with pytest.raises(DataError, match="'class-1'"):
        before.choosing(["a", "b\n", "class-1"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"from_name": "label"}, "from_name must be one of: class, got 'label'"),
        ({"from_name": ["class"]}, "from_name must be"),
        ({"to_name": "text"}, "to_name must be record"),
        ({"type": "labels"}, "type must be choices"),
        ({"value": {"choices": ["spma"]}}, "no such choice: 'spma'"),
        ({"value": {"choices": []}}, "its value must be"),
        ({"value": {"choices": "spam"}}, "its value must be"),
        ({"value": {"choices": ["spam", "ham"]}}, "takes one choice"),
        ({"value": None}, "its value must be"),
    ],
)
def test_a_region_that_would_not_be_shown_is_told(change: dict[str, Any], said: str):
    config = Config.read(labelling_config(("spam", "ham"), "text"))
    good = region(config, "spam", ("spam", "ham"))
    assert problems(told(good), config) == []
    (found,) = problems(told(good | change), config)
    assert said in found


@pytest.mark.parametrize(
    "prediction",
    [None, [], {}, told({}), told(None), told({}, result=[]), told({}, result="x"),
     {"result": [{"from_name": "class"}], "score": 0.1, "model_version": "v"}],
)  # fmt: skip
def test_what_is_no_prediction_is_told(prediction: Any):
    assert problems(prediction, Config.read(labelling_config(("a", "b"), "text")))


@pytest.mark.parametrize("more", [{"score": None}, {"score": float("nan")}, {"score": True},
                                  {"model_version": ""}, {"model_version": None}])  # fmt: skip
def test_a_prediction_that_would_not_be_found_again_is_told(more: dict[str, Any]):
    config = Config.read(labelling_config(("a", "b"), "text"))
    assert len(problems(told(region(config, "a", ("a", "b")), **more), config)) == 1


def test_somebody_elses_configuration_is_used_as_it_is():
    config = Config.read(
        '<View><!-- mine --><Style>a > b {}</Style><Text name="t" value="$text"/>'
        '<Labels name="spans" toName="t"><Label value="w"/></Labels>'
        '<Choices name="kind" toName="t"><Choice value="ham"/><Choice value="spam" hotkey="s"/>'
        '<Choice value="other"/></Choices></View>'
    )
    choosing = config.choosing(("spam", "ham"))
    assert (choosing.from_name, choosing.to_name) == ("kind", "t")
    with pytest.raises(DataError, match=r"choices 'kind' of the project lack: 'eggs'"):
        config.choosing(("spam", "eggs"))
    with pytest.raises(DataError, match="no <Choices>"):
        Config.read('<View><Text name="t" value="$text"/></View>').choosing(("a",))


@pytest.mark.parametrize(
    "xml",
    ["", "<View>", "no xml", '<!DOCTYPE a [<!ENTITY b "bb">]><View>&b;</View>',
     "<View>&unknown;</View>", "<View>" + "x" * 2**20 + "</View>", "\0"],
    ids=["nothing", "open", "text", "entities", "entity", "long", "nul"],
)  # fmt: skip
def test_what_is_no_configuration_is_refused(xml: str):
    with pytest.raises(DataError, match="configuration cannot be read"):
        Config.read(xml)
