"""What schemathesis sends to a server that describes itself, and what must hold of each answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

from schemathesis import GenerationMode  # noqa: E402 - only where it is installed
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.specs.openapi.checks import (  # noqa: E402
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
_SETTINGS = partial(
    settings, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


def fuzz(
    told: Mapping[str, Any],
    address: str,
    examples: int,
    *,
    headers: Callable[[str], dict[str, str]] = lambda path: {},
    heard: Callable[[Any], object] = id,
) -> Counter[tuple[str, int]]:
    """Send each operation what fits its schema and what does not; how each was answered.

    Parameters
    ----------
    told : an OpenAPI document.
    examples : of each operation and kind.
    headers : what is sent along, by path.
    heard : told each answer.

    Raises a failure of schemathesis for an answer that is a 5xx, is not described, or takes what
    does not fit the schema.
    """
    seen: Counter[tuple[str, int]] = Counter()

    def answered(case: Any) -> None:
        answer = case.call(base_url=address, headers=headers(case.path))
        case.validate_response(answer, checks=_CHECKS)
        seen[case.operation.label, answer.status_code] += 1
        heard(answer)

    for found in schemathesis.openapi.from_dict(dict(told)).get_all_operations():
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            cases = found.ok().as_strategy(generation_mode=mode)
            try:
                _SETTINGS(max_examples=examples)(given(case=cases)(answered))()
            except Unsatisfiable:  # what asks for nothing cannot be asked wrongly
                assert mode == GenerationMode.NEGATIVE
    return seen
