"""A short run of the contract fuzzing; `python -m tests.proof fuzz` is the long one."""

import pytest
from starlette.testclient import TestClient

from tests.contract import document
from tests.proof.figures import missed
from tests.proof.fuzz import FUZZ, fuzz


def test_no_role_finds_an_undocumented_answer(client: TestClient) -> None:
    assert not missed(fuzz(client, cases=FUZZ.short["cases"], seed=20_260_101))


def test_fuzzing_would_find_an_undocumented_answer(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    responses = document(client)["paths"]["/doctors/"]["get"]["responses"]
    monkeypatch.delitem(responses, "200")
    monkeypatch.setitem(document(client)["components"]["schemas"]["User"]["properties"]["email"], "type", "integer")
    found = " ".join(missed(fuzz(client, cases=300, seed=1)))
    assert "undocumented" in found
    assert "violations" in found
