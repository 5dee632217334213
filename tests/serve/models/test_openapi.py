"""The models' server describes itself truly, and whatever it is sent it answers as it says."""

from __future__ import annotations

from collections import Counter
from typing import Any

from leaven.evaluate.run import Run
from tests.serve.fuzzing import fuzz
from tests.serve.models.released import release, served

_JSON = "application/json"


def schema_of(told: dict[str, Any], path: str) -> dict[str, Any]:
    """The schema of what is posted to a path."""
    found: dict[str, Any] = told["paths"][path]["post"]["requestBody"]["content"][_JSON]["schema"]
    return found


def narrowed(told: dict[str, Any], version: str) -> dict[str, Any]:
    """The same description with records that this model can read, so that some are answered."""
    cell = {"type": ["string", "number", "boolean", "null"]}
    text = {"type": "object", "properties": {"text": cell}, "required": ["text"]}
    several, _ = schema_of(told, "/predict")["anyOf"]
    several["properties"]["records"]["items"] = text
    schema_of(told, "/predict")["anyOf"] = [several, text]
    for path, asked in told["paths"].items():
        if path.endswith("/infer"):
            column = schema_of(told, path)["properties"]["inputs"]["items"]["properties"]
            column["name"], column["datatype"] = {"enum": ["text"]}, {"enum": ["BYTES"]}
            column["shape"] = {"enum": [[1], [1, 1]]}
            column["data"] |= {"items": {"type": "string"}, "minItems": 1, "maxItems": 1}
        for part in next(iter(asked.values())).get("parameters", ()):
            if part["name"] == "version":
                part["schema"]["enum"] = [version]
    return told


def test_whatever_is_sent_is_answered_as_described(texts: Run, store: str):
    release(texts, store)
    headers: Counter[str] = Counter()
    with served(store) as client:
        told = narrowed(client.get("/openapi.json").json(), texts.folder.name)
        address = str(client.base_url)
        seen = fuzz(told, address, 12, heard=lambda answer: headers.update([*answer.headers]))
        assert client.ask().status_code == 200
        assert client.service.intake.held == 0
        assert not client.service.log.dropped
    assert {path for path, _ in seen} == {
        f"{method.upper()} {path}" for path, asked in told["paths"].items() for method in asked
    }
    for path in told["paths"]:
        if "post" in told["paths"][path]:
            refused = {code for name, code in seen if name == f"POST {path}" and code >= 400}
            assert refused <= {400, 404, 409, 413, 415, 422}, path
            assert refused
    answered = {name for name, code in seen if code == 200}
    assert {"POST /predict", "POST /v2/models/{name}/infer"} <= answered
    assert headers["content-security-policy"] == sum(seen.values())


def test_the_description_refers_to_nothing_that_is_not_in_it(texts: Run, store: str):
    release(texts, store)
    with served(store) as client:
        told = client.get("/openapi.json")
    assert "$ref" not in told.text
    path = "/v2/models/{name}/versions/{version}/infer"
    parts = told.json()["paths"][path]["post"]["parameters"]
    assert [(one["name"], one["schema"].get("enum")) for one in parts] == [
        ("name", ["tickets"]), ("version", None),
    ]  # fmt: skip
    names = schema_of(told.json(), "/feedback")["properties"]
    assert set(names) == {"id", "label", "caused"}
