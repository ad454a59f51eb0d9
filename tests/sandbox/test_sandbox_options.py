"""The check of options and the sandbox agree: what the one takes or refuses, so does the other."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_jobs.sandbox import Sandbox
from tests.services.option_cases import NEEDED, REFUSED, ROUTES, TAKEN, Refused, Taken


def send(firecrawl: Any, case: Taken | Refused) -> Any:
    """Start what the case asks for; the origin names an SDK, or servers of 2025 extract before they answer."""
    path = f"/{case.version}{ROUTES.get(case.operation, f'/{case.operation}')}"
    return firecrawl("POST", path, {"origin": "python-sdk@mine", **NEEDED[case.operation], **case.options})


@pytest.fixture
def held(sandbox: Sandbox) -> Sandbox:
    """Nothing that was started does any work."""
    sandbox.control.settings(firecrawl={"hold": True})
    return sandbox


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("case", TAKEN)
def test_what_is_taken(firecrawl: Any, case: Taken) -> None:
    reply = send(firecrawl, case)
    refused = reply.status_code == 400
    assert not refused, reply.text


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_starts_nothing(held: Sandbox, firecrawl: Any, case: Refused) -> None:
    """F26, F27."""
    reply = send(firecrawl, case)
    assert reply.status_code == 400, reply.text
    assert reply.json()["success"] is False
    assert held.control.jobs() == []
