from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_jobs.hooks.datafiniti import DatafinitiHook
from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook
from airflow_provider_jobs.sandbox import Sandbox

KEY = "fc-canary-4711-0815"
TOKEN = "sandbox-token"


@pytest.fixture(autouse=True)
def no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the proxies that a test names."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NETRC"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Make an Airflow connection, as JSON or as an address, and return its id."""
    made = 0

    def make(value: str | None = None, **fields: Any) -> str:
        nonlocal made
        made += 1
        name = f"made_{made}"
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(fields) if value is None else value)
        return name

    return make


@pytest.fixture
def firecrawl(sandbox: Sandbox, connect: Callable[..., str]) -> Callable[..., FirecrawlHook]:
    """Return a function that makes a hook on the sandbox: `firecrawl(api_version="v2", timeout=1)`."""

    def make(
        *, host: str | None = None, password: str = KEY, argument: str | None = None, **extra: Any
    ) -> FirecrawlHook:
        conn_id = connect(conn_type="firecrawl", host=host or sandbox.urls["firecrawl"], password=password, extra=extra)
        return FirecrawlHook(conn_id, api_version=argument)

    return make


@pytest.fixture
def datafiniti(sandbox: Sandbox, connect: Callable[..., str]) -> Callable[..., DatafinitiHook]:
    """Return a function that makes a hook on the sandbox."""

    def make(*, host: str | None = None, password: str = TOKEN, login: str = "", **extra: Any) -> DatafinitiHook:
        conn_id = connect(
            conn_type="datafiniti", host=host or sandbox.urls["datafiniti"], login=login, password=password, extra=extra
        )
        return DatafinitiHook(conn_id)

    return make


@pytest.fixture
def pages(sandbox: Sandbox) -> Callable[..., list[str]]:
    return lambda *numbers: [f"{sandbox.urls['site']}/page{number}.html" for number in numbers]
