from __future__ import annotations

from typing import Any

import pytest
import requests

from airflow_provider_jobs.sandbox import Sandbox


class Http:
    """A client of one host that opens a connection for each call and follows no redirect."""

    def __init__(self, base: str, headers: dict[str, str] | None = None) -> None:
        self.base = base
        self.headers = headers or {}

    def __call__(self, method: str, path: str, json: Any = None, **more: Any) -> requests.Response:
        headers = {**self.headers, **more.pop("headers", {})}
        more.setdefault("timeout", 30)
        return requests.request(method, self.base + path, json=json, headers=headers, allow_redirects=False, **more)


@pytest.fixture
def firecrawl(sandbox: Sandbox) -> Http:
    return Http(sandbox.urls["firecrawl"])


@pytest.fixture
def datafiniti(sandbox: Sandbox) -> Http:
    return Http(sandbox.urls["datafiniti"], {"Authorization": "Bearer sandbox-token"})


@pytest.fixture
def pages(sandbox: Sandbox) -> Any:
    def make(*numbers: int) -> list[str]:
        return [f"{sandbox.urls['site']}/page{number}.html" for number in numbers]

    return make


@pytest.fixture
def start(sandbox: Sandbox, firecrawl: Http) -> Any:
    """Starts a batch scrape, waits for a state, answers the id."""

    def begin(urls: list[str], *, until: str | None = "completed", version: str = "v1", **options: Any) -> str:
        reply = firecrawl("POST", f"/{version}/batch/scrape", {"urls": urls, **options})
        assert reply.status_code == 200, reply.text
        job_id = str(reply.json()["id"])
        if until is not None:
            sandbox.control.wait_for(lambda: sandbox.control.job(job_id)["state"] == until)
        return job_id

    return begin
