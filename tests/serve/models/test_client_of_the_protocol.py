"""A client of the Open Inference Protocol that is not ours: Triton's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from leaven.evaluate.run import Run
from tests.serve.models.released import release, said, served

triton = pytest.importorskip("tritonclient.http")


def given(texts: list[str], binary: bool = False) -> Any:
    one = triton.InferInput("text", [len(texts)], "BYTES")
    one.set_data_from_numpy(np.array(texts, dtype=object), binary_data=binary)
    return one


def test_it_asks_what_is_served_and_is_answered_as_by_the_run(texts: Run, store: str):
    release(texts, store)
    asked = said(9, seed=7)[0]
    with served(store) as client:
        other = triton.InferenceServerClient(str(client.base_url).removeprefix("http://"))
        try:
            assert other.is_server_live()
            assert other.is_server_ready()
            assert other.is_model_ready("tickets")
            told = other.get_model_metadata("tickets")
            assert [one["name"] for one in told["inputs"]] == ["text"]
            wanted = [
                triton.InferRequestedOutput(name, binary_data=False)
                for name in ("label", "probabilities")
            ]
            found = other.infer("tickets", [given(asked)], outputs=wanted, request_id="mine")
            again = other.infer(
                "tickets", [given(asked)], model_version=told["versions"][0], outputs=wanted
            )
            with pytest.raises(triton.InferenceServerException, match="binary_data=False"):
                other.infer("tickets", [given(asked, binary=True)])
            with pytest.raises(triton.InferenceServerException, match="There is no model"):
                other.infer("ticket", [given(asked)])
        finally:
            other.close()
    expected = texts.predict(asked)
    assert np.abs(found.as_numpy("probabilities") - expected).max() < 1e-4
    labels = [texts.classes[i] for i in expected.argmax(1)]
    assert found.as_numpy("label").tolist() == labels == again.as_numpy("label").tolist()
    assert found.get_response()["id"] == "mine"
