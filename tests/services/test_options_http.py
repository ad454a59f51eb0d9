"""Our schema against the server's checks, over HTTP: what one of the two takes the other takes, where both know it."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_jobs.exceptions import InvalidInputError
from airflow_provider_jobs.services.firecrawl.options import check_body_options
from tests.services.option_values import BODIES

BY_ARGUMENT = {"batch_scrape": "urls", "crawl": "url", "scrape": "url"}
ROUTES = {"batch_scrape": "/batch/scrape", "crawl": "/crawl", "scrape": "/scrape"}
HERE = [(operation, version) for operation in ROUTES for version in ("v1", "v2")]
HOOK = "http://127.0.0.1:9/x"


@pytest.fixture
def post(sandbox: Any) -> Any:
    """Sends a start with some options; no job of it gets anywhere."""
    sandbox.control.settings(firecrawl={"hold": True})
    page = f"{sandbox.urls['site']}/index.html"  # of depth 0, which every maxDepth allows
    session = requests.Session()

    def send(operation: str, version: str, options: dict[str, Any]) -> requests.Response:
        name = BY_ARGUMENT[operation]
        body = {**options, name: [page] if name == "urls" else page}
        return session.post(f"{sandbox.urls['firecrawl']}/{version}{ROUTES[operation]}", json=body, timeout=30)

    yield send
    session.close()


def check(operation: str, version: str, options: dict[str, Any]) -> Any:
    return check_body_options(options, operation=operation, version=version, by_argument=(BY_ARGUMENT[operation],))


PAGE_V1: list[dict[str, Any]] = [
    {"parsers": []}, {"lockdown": True}, {"redactPII": True}, {"profile": {"name": "x"}},
    {"formats": [{"type": "json"}]}, {"formats": ["json"]}, {"jsonOptions": {}},
    {"formats": ["json"], "jsonOptions": {"promt": "x"}}, {"formats": ["changeTracking"]},
    {"changeTrackingOptions": {"mode": []}}, {"actions": [{"type": "scrape"}] * 51},
]  # fmt: skip
PAGE_V2: list[dict[str, Any]] = [
    {"parsePDF": True}, {"jsonOptions": {}}, {"extract": {}}, {"changeTrackingOptions": {}}, {"geolocation": {}},
    {"formats": ["extract"]}, {"formats": ["screenshot@fullPage"]}, {"formats": ["changeTracking"]},
    {"formats": [{"type": "json", "promt": "x"}]}, {"formats": ["markdown", {"type": "changeTracking", "mode": []}]},
]  # fmt: skip
PAGE: list[dict[str, Any]] = [
    {"foo": 1}, {"only_main_content": True}, {"formats": "markdown"}, {"formats": [5]}, {"headers": {"a": 1}},
    {"headers": []}, {"includeTags": "a"}, {"includeTags": [1]}, {"onlyMainContent": "yes"}, {"mobile": 1},
    {"mobile": None}, {"timeout": "30000"}, {"timeout": 0}, {"waitFor": 60_001}, {"waitFor": -1},
    {"waitFor": 6000, "timeout": 10_000}, {"waitFor": True}, {"maxAge": -1}, {"proxy": 5}, {"location": "US"},
    {"actions": {}},
]  # fmt: skip
JOB: list[dict[str, Any]] = [
    {"maxConcurrency": 0}, {"maxConcurrency": "2"}, {"integration": "airflow"}, {"origin": 5}, {"webhook": 5},
    {"webhook": {}}, {"webhook": {"url": HOOK, "event": []}}, {"webhook": {"url": HOOK, "metadata": {"n": 1}}},
    {"webhook": {"url": HOOK, "events": ["finished"]}}, {"webhook": {"url": HOOK, "events": ["crawl.completed"]}},
]  # fmt: skip
BATCH: list[dict[str, Any]] = [{"appendToId": "abc"}, {"ignoreInvalidURLs": "no"}, {"scrapeOptions": {}}]
CRAWL: list[dict[str, Any]] = [
    {"formats": ["markdown"]}, {"includePaths": "a"}, {"excludePaths": [1]}, {"delay": 0}, {"limit": "5"},
    {"allowSubdomains": "no"}, {"scrapeOptions": []}, {"scrapeOptions": None},
]  # fmt: skip
CRAWL_OF: dict[str, list[dict[str, Any]]] = {
    "v1": [{"sitemap": "skip"}, {"prompt": "all"}],
    "v2": [{"maxDepth": 2}, {"ignoreSitemap": True}, {"allowBackwardLinks": True}, {"prompt": "x" * 10_001},
           {"delay": 61}],
}  # fmt: skip
OF_PAGES = {"v1": PAGE + PAGE_V1, "v2": PAGE + PAGE_V2}
REFUSED = [
    (operation, version, options)
    for version, pages in OF_PAGES.items()
    for operation, all_options in {
        "batch_scrape": [*pages, *JOB, *BATCH],
        "scrape": [*pages, {"webhook": HOOK}, {"integration": "airflow"}],
        "crawl": [*({"scrapeOptions": options} for options in pages), *JOB, *CRAWL, *CRAWL_OF[version]],
    }.items()
    for options in all_options
]


@pytest.mark.parametrize(("operation", "version"), HERE)
def test_what_we_refuse_the_server_refuses(sandbox: Any, post: Any, operation: str, version: str) -> None:
    """F26, F27. Nothing of it is kept from a user for nothing."""
    for options in [options for *where, options in REFUSED if where == [operation, version]]:
        with pytest.raises(InvalidInputError):
            check(operation, version, options)
        reply = post(operation, version, options)
        assert (reply.status_code, reply.json()["code"]) == (400, "BAD_REQUEST"), options
    assert sandbox.control.jobs() == []


@pytest.mark.parametrize(("operation", "version"), [where for where in HERE if where[0] != "scrape"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_we_take_the_server_takes(post: Any, operation: str, version: str, data: st.DataObject) -> None:
    options = data.draw(BODIES[operation][version])
    assert check(operation, version, options) == options
    reply = post(operation, version, options)
    assert reply.status_code == 200, reply.text


@pytest.mark.parametrize("version", ["v1", "v2"])
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_pages_that_we_take_the_server_takes(sandbox: Any, post: Any, version: str, data: st.DataObject) -> None:
    """A single page is answered at once, so it is not held."""
    sandbox.control.settings(firecrawl={"hold": False})
    options = {**data.draw(BODIES["scrape"][version]), "waitFor": 0}
    assert check("scrape", version, options) == options
    # The page itself may fail, as with headers that no site would be sent.
    assert post("scrape", version, options).json().get("code") != "BAD_REQUEST"


def test_the_server_has_newer_checks_than_2025(sandbox: Any, post: Any) -> None:
    """Keys that only servers of 2026 know are taken here: which server it is, is not known."""
    options = {"minAge": 0}
    assert check("batch_scrape", "v1", options) == options
    assert post("batch_scrape", "v1", options).status_code == 200
    sandbox.control.settings(firecrawl={"server": "2025"})
    assert post("batch_scrape", "v1", options).status_code == 400
