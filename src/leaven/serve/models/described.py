"""What the routes say of themselves to programs, in OpenAPI 3.1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

__all__ = ["REFUSALS", "body", "place"]

_ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
    "additionalProperties": False,
}
_TOLD = {"application/json": {"schema": _ERROR}}
#: What any route may answer beside what it was asked for.
REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "It will not work again, but for 429.", "content": _TOLD},
    "503": {"description": "It may work after the seconds of Retry-After.", "content": _TOLD},
}


def body(told: type[BaseModel] | Mapping[str, Any], *, files: bool = False) -> dict[str, Any]:
    """The body of a request, of a model or a JSON schema; `files` where it may be a form."""
    if isinstance(told, Mapping):
        schema: Any = told
    else:
        schema = told.model_json_schema()
        schema = _inlined(schema, schema.pop("$defs", {}))
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    if files:
        content["multipart/form-data"] = {"schema": {"type": "object"}}
    return {"requestBody": {"content": content, "required": True}}


def place(path: str, name: str) -> list[dict[str, Any]]:
    """The parts of a path that are not fixed: the model's name, of which there is one, its version.

    >>> [one["name"] for one in place("/v2/models/{name}/versions/{version}", "tickets")]
    ['name', 'version']
    """
    schemas = {
        "name": {"type": "string", "enum": [name]},
        "version": {"type": "string", "minLength": 1, "maxLength": 200},
    }
    return [
        {"name": one, "in": "path", "required": True, "schema": schema}
        for one, schema in schemas.items()
        if f"{{{one}}}" in path
    ]


def _inlined(schema: Any, known: Mapping[str, Any]) -> Any:
    """The schema with what it refers to in its place: its own root is another in the document."""
    if isinstance(schema, list):
        return [_inlined(one, known) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema:
        return _inlined(known[str(schema["$ref"]).rpartition("/")[2]], known)
    return {key: _inlined(value, known) for key, value in schema.items()}
