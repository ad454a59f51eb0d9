"""Firecrawl's calls through the hook: scrape, map and search, in both API versions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_jobs.exceptions import (
    AuthenticationError,
    CallUncertainError,
    EndpointGoneError,
    InvalidInputError,
    JobNotFoundError,
    PageTimeoutError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitedError,
    RedirectRefusedError,
    RequestRejectedError,
    RouteNotFoundError,
    TransportError,
)
from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook
from airflow_provider_jobs.sandbox import Sandbox
from tests.hooks.conftest import KEY
from tests.transport.wire import WireServer, free_port, reply

VERSIONS = pytest.mark.parametrize("version", ["v1", "v2"])
KINDS = pytest.mark.parametrize("kind", ["scrape", "map", "search"])


@pytest.fixture
def call(sandbox: Sandbox) -> Callable[..., Any]:
    """Make a call of a kind; its waits are noted and not waited for."""

    def make(hook: FirecrawlHook, kind: str, **options: Any) -> Any:
        target = "bridges" if kind == "search" else f"{sandbox.urls['site']}/page1.html"
        spec = getattr(hook.calls, kind)(target, api_version=hook.api_version, options=options)
        waits: list[float] = []
        result = hook.call(spec, sleep=waits.append)
        return result, waits

    return make


def posts(sandbox: Sandbox) -> list[dict[str, Any]]:
    return list(sandbox.control.requests(host="firecrawl", method="POST"))


# -- the good case ---------------------------------------------------------------------------------------------------


@VERSIONS
def test_scrape(sandbox: Sandbox, firecrawl: Any, version: str) -> None:
    url = f"{sandbox.urls['site']}/page1.html"
    document = firecrawl(argument=version).scrape(url, options={"formats": ["markdown", "links"]})
    assert document["metadata"]["sourceURL"] == url
    assert document["metadata"]["scrapeId"]
    assert "Content of page 1" in document["markdown"]
    assert document["links"]
    (seen,) = posts(sandbox)
    assert seen["path"] == f"/{version}/scrape"
    assert seen["headers"]["authorization"] == f"Bearer {KEY}"
    assert json.loads(seen["body"]) == {
        "origin": "airflow-provider-jobs", "formats": ["markdown", "links"], "url": url
    }  # fmt: skip


@VERSIONS
def test_map(sandbox: Sandbox, firecrawl: Any, version: str) -> None:
    """Addresses in v1, objects in v2: dictionaries with `url` in both."""
    site = sandbox.urls["site"]
    links = firecrawl(argument=version).map(f"{site}/index.html", options={"limit": 5})
    assert len(links) == 5
    assert f"{site}/articles/1.html" in {link["url"] for link in links}
    assert any("title" in link for link in links) is (version == "v2")
    (seen,) = posts(sandbox)
    assert seen["path"] == f"/{version}/map"


@VERSIONS
def test_search(sandbox: Sandbox, firecrawl: Any, version: str) -> None:
    """A list in v1, lists by source in v2, which each result then names."""
    results = firecrawl(argument=version).search("bridges canals", options={"limit": 2})
    assert [result["url"] for result in results] == [f"{sandbox.urls['site']}/articles/{n}.html" for n in (3, 4)]
    assert {result.get("source") for result in results} == ({None} if version == "v1" else {"web"})
    (seen,) = posts(sandbox)
    assert seen["path"] == f"/{version}/search"
    assert json.loads(seen["body"])["query"] == "bridges canals"


@VERSIONS
def test_search_with_pages(firecrawl: Any, version: str) -> None:
    options = {"limit": 1, "scrapeOptions": {"formats": ["markdown"]}}
    (result,) = firecrawl(argument=version).search("bridges", options=options)
    assert "bridges" in result["markdown"]


def test_search_in_several_sources() -> None:
    """What a result says of itself wins over the name of its list; what is no list holds no results."""
    body = {"web": [{"url": "a"}], "news": [{"url": "b", "source": "A Daily"}], "images": None, "odd": {"url": "c"}}
    hook = FirecrawlHook()
    spec = hook.calls.search("x", api_version="v2")
    with WireServer(lambda *_: reply(200, json.dumps({"success": True, "data": body}))) as server:
        records = at(server, spec)
    assert list(map(json.loads, records)) == [{"source": "web", "url": "a"}, {"source": "A Daily", "url": "b"}]


@VERSIONS
def test_nothing_was_found(sandbox: Sandbox, firecrawl: Any, version: str, call: Any) -> None:
    hook = firecrawl(argument=version)
    assert hook.search("zzzz") == []
    result = hook.call(hook.calls.search("zzzz", api_version=version))
    assert result.warning == "No search results found"


@VERSIONS
@KINDS
def test_what_a_result_tells(sandbox: Sandbox, firecrawl: Any, version: str, kind: str, call: Any) -> None:
    result, waits = call(firecrawl(argument=version), kind)
    if kind == "scrape":
        metadata = json.loads(result.records[0])["metadata"]
        assert (result.job_id, result.credits_used) == (metadata["scrapeId"], 1.0)
    else:
        assert (result.job_id, result.credits_used) == (None, None)
    assert waits == []


@VERSIONS
def test_the_version_is_the_connections(sandbox: Sandbox, firecrawl: Any, version: str) -> None:
    firecrawl(api_version=version).scrape(f"{sandbox.urls['site']}/page1.html")
    assert [seen["path"] for seen in posts(sandbox)] == [f"/{version}/scrape"]


@VERSIONS
@pytest.mark.pitfall("F6")
def test_an_error_page_of_the_site_is_a_document(sandbox: Sandbox, firecrawl: Any, version: str) -> None:
    document = firecrawl(argument=version).scrape(f"{sandbox.urls['site']}/error/404.html")
    assert document["metadata"]["statusCode"] == 404


# -- time ------------------------------------------------------------------------------------------------------------


@KINDS
def test_the_read_timeout_lies_above_the_calls_own(sandbox: Sandbox, firecrawl: Any, kind: str, call: Any) -> None:
    """The connection's would cut off a page that the service still waits for."""
    sandbox.control.fault("firecrawl", "slow", method="POST", seconds=1)
    result, _ = call(firecrawl(timeout=0.2), kind)
    assert result.records


@pytest.mark.parametrize(
    ("options", "least"),
    [
        ({}, 60),
        ({"timeout": 120_000}, 120),
        ({"timeout": 1_000, "waitFor": 400}, 1.4),
        ({"timeout": 300_000, "waitFor": 60_000}, 360),
        ({"actions": [{"type": "wait", "milliseconds": 90_000}, {"type": "click", "selector": "a"}]}, 150),
        ({"timeout": "soon", "waitFor": [1], "actions": {"milliseconds": 5}}, 60),
    ],
)
def test_how_long_a_scrape_may_take(firecrawl: Any, options: dict[str, Any], least: float) -> None:
    hook = firecrawl()
    spec = hook.calls.scrape("https://example.com/", api_version="v1", options=options, check_names=False)
    timeout = hook.calls.request(spec).read_timeout
    assert least < timeout <= least + 60


def test_how_long_a_search_may_take(firecrawl: Any) -> None:
    """Its pages' own time counts as well."""
    hook = firecrawl()
    options = {"timeout": 5_000, "scrapeOptions": {"timeout": 200_000}}
    spec = hook.calls.search("x", api_version="v1", options=options)
    assert hook.calls.request(spec).read_timeout > 200


@VERSIONS
@KINDS
def test_a_page_that_takes_too_long(sandbox: Sandbox, firecrawl: Any, version: str, kind: str, call: Any) -> None:
    """408: a definite answer, so nothing was lost; and it may go better another time."""
    sandbox.control.settings(firecrawl={"page_seconds": 30})
    with pytest.raises(PageTimeoutError, match="timed out") as caught:
        call(firecrawl(argument=version), kind, timeout=1000)
    assert not caught.value.permanent
    assert not caught.value.goes_on
    assert f"POST /{version}/{kind}" in str(caught.value)
    assert len(posts(sandbox)) == 1


@VERSIONS
def test_a_scrape_that_goes_on_is_joined(sandbox: Sandbox, firecrawl: Any, version: str) -> None:
    """The same request joins the scrape that runs: one page, billed once."""
    sandbox.control.settings(firecrawl={"scrape_continues": True})
    hook = firecrawl(argument=version)
    spec = hook.calls.scrape(f"{sandbox.urls['site']}/slow/1.html", api_version=version, options={"timeout": 1000})
    waits: list[float] = []
    result = hook.call(spec, sleep=waits.append)
    assert "Slow content 1" in json.loads(result.records[0])["markdown"]
    assert waits == [1.0]
    first, second = posts(sandbox)
    assert first["body"] == second["body"]
    assert len(sandbox.control.jobs()) == 1


def test_a_scrape_that_goes_on_for_ever_is_given_up() -> None:
    body = {"success": False, "code": "SCRAPE_TIMEOUT", "details": {"state": "processing_continues"}}
    details = {"retryAfterSeconds": 500}
    spec = FirecrawlHook().calls.scrape("https://example.com/", api_version="v2")
    for more, wait in (({}, 1.0), (details, 60.0)):
        answer = {**body, "details": {**body["details"], **more}}  # type: ignore[dict-item]
        with WireServer(lambda *_, answer=answer: reply(408, json.dumps(answer))) as server:
            waits: list[float] = []
            with pytest.raises(PageTimeoutError) as caught:
                at(server, spec, waits)
        assert not caught.value.permanent
        assert 10 <= len(server.asked) <= 60
        assert set(waits) == {wait}


# -- what the service says to a call ---------------------------------------------------------------------------------

REFUSALS = [
    ("error_list", {"text": "Unrecognized key in body"}, RequestRejectedError, "Unrecognized key"),
    ("401", {}, AuthenticationError, "the key was not accepted"),
    ("402", {}, PaymentRequiredError, "Insufficient credits"),
    ("403", {}, PermissionDeniedError, "no longer supported"),
    ("json_404", {}, JobNotFoundError, "not found"),
    ("html_404", {}, RouteNotFoundError, "check the connection's host and the API version"),
    ("409", {}, RequestRejectedError, "HTTP 409"),
    ("410", {}, EndpointGoneError, "shut this endpoint down"),
    ("413", {}, RequestRejectedError, "too large"),
    ("redirect", {"to": "https://elsewhere.example/"}, RedirectRefusedError, "elsewhere.example"),
]


@VERSIONS
@KINDS
@pytest.mark.pitfall("F39")
@pytest.mark.parametrize(("fault", "params", "error", "told"), REFUSALS, ids=[case[0] for case in REFUSALS])
def test_a_refusal(
    sandbox: Sandbox, firecrawl: Any, version: str, kind: str, fault: str, params: Any, error: Any, told: str, call: Any
) -> None:
    sandbox.control.fault("firecrawl", fault, method="POST", times=None, **params)
    with pytest.raises(error, match=told) as caught:
        call(firecrawl(argument=version), kind)
    assert not isinstance(caught.value, CallUncertainError)
    assert caught.value.permanent
    assert f"POST /{version}/{kind}" in str(caught.value)
    assert KEY not in str(caught.value)
    assert len(posts(sandbox)) == 1


@VERSIONS
@KINDS
def test_the_servers_own_refusals(sandbox: Sandbox, firecrawl: Any, version: str, kind: str, call: Any) -> None:
    sandbox.control.settings(firecrawl={"keys": [KEY], "credits": 0})
    with pytest.raises(PaymentRequiredError, match="Insufficient credits"):
        call(firecrawl(argument=version), kind)
    sandbox.control.settings(firecrawl={"keys": ["fc-another"], "credits": None})
    with pytest.raises(AuthenticationError, match="Invalid token"):
        call(firecrawl(argument=version), kind)
    sandbox.control.settings(firecrawl={"keys": None})
    hook = firecrawl(argument=version)
    spec = getattr(hook.calls, kind)("https://example.com/", api_version=version, options={"fromats": []},
                                     check_names=False)  # fmt: skip
    with pytest.raises(RequestRejectedError, match="fromats"):
        hook.call(spec)


@KINDS
@pytest.mark.pitfall("F18")
def test_too_many_requests(sandbox: Sandbox, firecrawl: Any, kind: str, call: Any) -> None:
    sandbox.control.fault("firecrawl", "429_text", method="POST", times=2, seconds=7)
    result, waits = call(firecrawl(), kind)
    assert result.records
    assert [7.0 <= waited <= 8.75 for waited in waits] == [True, True]


@KINDS
def test_too_many_requests_for_too_long(sandbox: Sandbox, firecrawl: Any, kind: str, call: Any) -> None:
    sandbox.control.fault("firecrawl", "429_seconds", method="POST", times=None, seconds=7)
    with pytest.raises(RateLimitedError) as caught:
        call(firecrawl(), kind)
    assert not caught.value.permanent


LOST = ["lost_reply", "reset", "500", "502_html", "503", "504_empty", "truncated_json", "html_200"]


@KINDS
@pytest.mark.pitfall("F19")
@pytest.mark.parametrize("fault", LOST)
def test_a_lost_answer(sandbox: Sandbox, firecrawl: Any, kind: str, fault: str, call: Any) -> None:
    """P3: billed perhaps, so never sent again on its own."""
    sandbox.control.fault("firecrawl", fault, method="POST", times=None)
    hook = firecrawl()
    with pytest.raises(CallUncertainError, match="may have been carried out and billed") as caught:
        call(hook, kind)
    assert caught.value.permanent
    assert f"POST /v1/{kind} was sent through connection {hook.conn_id}" in str(caught.value)
    assert KEY not in str(caught.value)
    assert len(posts(sandbox)) == 1


@KINDS
def test_a_call_that_surely_did_not_arrive(firecrawl: Any, kind: str, call: Any) -> None:
    with pytest.raises(TransportError) as caught:
        call(firecrawl(host=f"http://127.0.0.1:{free_port()}"), kind)
    assert not caught.value.sent


# -- verdicts on a page ----------------------------------------------------------------------------------------------


@VERSIONS
@pytest.mark.pitfall("F40")
def test_a_page_that_cannot_be_had_is_no_fault_of_the_server(sandbox: Sandbox, firecrawl: Any, version: str) -> None:
    """HTTP 500 with the page's code: final, and nothing was lost."""
    sandbox.control.fault("site", "reset", times=None)
    with pytest.raises(RequestRejectedError, match="SCRAPE_ALL_ENGINES_FAILED") as caught:
        firecrawl(argument=version).scrape(f"{sandbox.urls['site']}/page1.html")
    assert caught.value.permanent
    assert len(posts(sandbox)) == 1


@VERSIONS
@pytest.mark.pitfall("F13")
@pytest.mark.parametrize("server", ["2025", "2026"])
def test_a_host_that_does_not_exist(sandbox: Sandbox, firecrawl: Any, version: str, server: str) -> None:
    """HTTP 500 in 2025, success:false inside HTTP 200 in 2026: final in both."""
    sandbox.control.settings(firecrawl={"server": server})
    with pytest.raises(RequestRejectedError, match="SCRAPE_DNS_RESOLUTION_ERROR") as caught:
        firecrawl(argument=version).scrape("http://no-such-host.invalid/a.html")
    assert caught.value.permanent
    assert not isinstance(caught.value, CallUncertainError)
    (seen,) = posts(sandbox)
    assert seen["status"] == (500 if server == "2025" else 200)


# -- odd answers -----------------------------------------------------------------------------------------------------


def at(server: WireServer, spec: Any, waits: list[float] | None = None) -> list[bytes]:
    """Make a call at a server of a test's own."""
    with pytest.MonkeyPatch.context() as patch:
        value = json.dumps({"conn_type": "firecrawl", "host": server.url, "password": KEY})
        patch.setenv("AIRFLOW_CONN_ODD", value)
        return list(FirecrawlHook("odd").call(spec, sleep=(waits if waits is not None else []).append).records)


def spec_of(kind: str, version: str = "v1") -> Any:
    target = "bridges" if kind == "search" else "https://example.com/"
    return getattr(FirecrawlHook().calls, kind)(target, api_version=version)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("scrape", {"success": True}),
        ("scrape", {"success": True, "data": None}),
        ("scrape", {"success": True, "data": []}),
        ("scrape", {"success": True, "data": "text"}),
        ("scrape", []),
        ("scrape", {"errors": ["something went wrong"]}),
        ("map", {"success": True}),
        ("map", {"success": True, "links": {}}),
        ("map", {"success": True, "links": "https://example.com/"}),
        ("search", {"success": True}),
        ("search", {"success": True, "data": "text"}),
        ("search", {"success": True, "data": 7}),
        ("search", None),
    ],
)
def test_a_success_that_is_none_is_uncertain(kind: str, body: Any) -> None:
    """It may have been billed, but there is nothing to deliver."""
    with WireServer(lambda *_: reply(200, json.dumps(body))) as server, pytest.raises(CallUncertainError):
        at(server, spec_of(kind))
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"success": True, "data": {"metadata": None}},
        {"success": True, "data": {"metadata": {"scrapeId": 7, "creditsUsed": "many"}}},
        {"success": True, "data": {"metadata": [1]}, "creditsUsed": True, "warning": {"message": "odd"}},
        {"data": {"markdown": "text"}},
    ],
)
@pytest.mark.pitfall("F45")
def test_a_document_may_lack_everything(body: Any) -> None:
    with WireServer(lambda *_: reply(200, json.dumps(body))) as server:
        (record,) = at(server, spec_of("scrape"))
    assert json.loads(record) == body["data"]


def test_links_may_be_of_any_kind() -> None:
    links = ["https://example.com/a", {"url": "https://example.com/b", "title": "B"}]
    with WireServer(lambda *_: reply(200, json.dumps({"success": True, "links": links}))) as server:
        records = at(server, spec_of("map", "v2"))
    assert [json.loads(record)["url"] for record in records] == ["https://example.com/a", "https://example.com/b"]


@pytest.mark.pitfall("F43")
@pytest.mark.parametrize("status", [200, 400, 500])
def test_an_error_of_several_kilobytes_gives_a_short_text(status: int) -> None:
    error = {"name": "AI_RetryError", "requestBodyValues": {"prompt": "page text " * 900}, "message": "it failed"}
    body = {"success": False, "code": "SCRAPE_SITE_ERROR", "error": error}
    with (
        WireServer(lambda *_: reply(status, json.dumps(body))) as server,
        pytest.raises(RequestRejectedError, match="it failed") as caught,
    ):
        at(server, spec_of("scrape"))
    assert len(str(caught.value)) < 1000


# -- input -----------------------------------------------------------------------------------------------------------


def test_bad_input_sends_nothing(sandbox: Sandbox, firecrawl: Any) -> None:
    """P8."""
    hook = firecrawl()
    for attempt in (
        lambda: hook.scrape(""),
        lambda: hook.scrape(["https://example.com/"]),
        lambda: hook.map("ftp://example.com/"),
        lambda: hook.search(" "),
        lambda: hook.search(None),
        lambda: hook.scrape("https://example.com/", options={"url": "https://example.com/"}),
        lambda: hook.search("x", options={"query": "y"}),
        lambda: hook.map("https://example.com/", options={"limit": object()}),
        lambda: hook.scrape("https://example.com/", options={"headers": {"x": "y" * 10_000_001}}),
    ):
        with pytest.raises(InvalidInputError):
            attempt()
    assert posts(sandbox) == []
