"""The service against its own OpenAPI document, with requests that schemathesis makes up."""

from __future__ import annotations

from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance, unsupported_method

from pipeline.service.app import create_app
from pipeline.service.options import ServiceOptions


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> schemathesis.BaseSchema:
    """A service that takes jobs and does none."""
    app = create_app(tmp_path_factory.mktemp("store"), (TOKEN,), ServiceOptions(max_waiting=10_000), work=False)
    return schemathesis.openapi.from_asgi("/openapi.json", app)


TOKEN = "a-token-of-the-tests"
OPERATIONS = (
    "GET /health",
    "GET /tasks",
    "POST /jobs",
    "GET /jobs",
    "GET /jobs/{job_id}",
    "DELETE /jobs/{job_id}",
    "GET /jobs/{job_id}/result",
    "GET /jobs/{job_id}/results/{task}",
    "GET /jobs/{job_id}/results/score/{stage}",
    "GET /jobs/{job_id}/overlay",
    "POST /poses/{task}",
    "POST /poses/score/{stage}",
)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_answer_is_what_the_document_says(operation: str, schema: schemathesis.BaseSchema) -> None:
    """No 5xx; status, content type and body as documented; what breaks the schema is refused."""
    method, path = operation.split()
    excluded = [unsupported_method]
    if method == "POST":  # a schema cannot say that the numbers must be those of this skeleton, the task one of ours
        excluded.append(positive_data_acceptance)

    @settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=schema[path][method].as_strategy(generation_mode=GenerationMode.POSITIVE)
           | schema[path][method].as_strategy(generation_mode=GenerationMode.NEGATIVE))  # fmt: skip
    def ask(case: Case) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"}, excluded_checks=excluded)

    ask()


def test_no_operation_is_left_out(schema: schemathesis.BaseSchema) -> None:
    paths = schema.raw_schema["paths"]
    assert {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods} == set(OPERATIONS)


def test_a_private_path_is_nowhere_in_the_answers(tmp_path: Path) -> None:
    from starlette.testclient import TestClient

    client = TestClient(create_app(tmp_path / "store", work=False), base_url="http://localhost")
    for address in ("/jobs/nothing", "/nothing", "/openapi.json", "/jobs?limit=0", "/health"):
        assert str(tmp_path) not in client.get(address).text
