from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import DATAFINITI_TOKEN, FIRECRAWL_KEY, connection


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch, sandbox: Any) -> None:
    """Both connections, in the environment."""
    firecrawl, datafiniti = sandbox.urls["firecrawl"], sandbox.urls["datafiniti"]
    monkeypatch.setenv(
        "AIRFLOW_CONN_FIRECRAWL_DEFAULT",
        connection("firecrawl", firecrawl, FIRECRAWL_KEY, timeout=2, max_requests_per_minute=60_000),
    )
    monkeypatch.setenv(
        "AIRFLOW_CONN_DATAFINITI_DEFAULT",
        connection("datafiniti", datafiniti, DATAFINITI_TOKEN, timeout=2, max_requests_per_minute=60_000),
    )
