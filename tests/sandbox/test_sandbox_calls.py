"""Scrape, map and search of the stand-in, which answer with their result."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import requests

from airflow_provider_jobs.sandbox import Sandbox

UNKNOWN = "11111111-2222-4333-8444-555555555555"
OLD = {"server": "2025"}
BOTH = pytest.mark.parametrize("version", ["v1", "v2"])


def issue_of(reply: requests.Response) -> Any:
    assert (reply.status_code, reply.json()["code"]) == (400, "BAD_REQUEST"), reply.text
    return reply.json()["details"][0]


# --- scrape -----------------------------------------------------------------------------------------------------------


@BOTH
def test_scrape_and_its_id(sandbox: Sandbox, firecrawl: Any, pages: Any, version: str) -> None:
    body = firecrawl("POST", f"/{version}/scrape", {"url": pages(1)[0]}).json()
    assert list(body) == ["success", "data"]
    scrape_id = body["data"]["metadata"]["scrapeId"]
    assert firecrawl("GET", f"/{version}/scrape/{scrape_id}").json() == body
    shown = sandbox.control.job(scrape_id)
    assert (shown["kind"], shown["api_version"], shown["state"]) == ("scrape", version, "completed")
    reply = firecrawl("GET", f"/{version}/scrape/{UNKNOWN}")
    assert (reply.status_code, reply.json()) == (404, {"success": False, "error": "Job not found."})
    assert firecrawl("GET", f"/{version}/scrape/not-a-uuid").status_code == 400


def test_ids_of_pages_and_of_jobs(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any) -> None:
    job_id = start(pages(1))
    (document,) = firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()["data"]
    path = f"/v1/scrape/{document['metadata']['scrapeId']}"
    assert firecrawl("GET", path).json()["data"] == document
    assert firecrawl("GET", f"/v1/scrape/{job_id}").json()["error"] == "Job not found."
    sandbox.control.settings(firecrawl=OLD)
    reply = firecrawl("GET", path)
    assert (reply.status_code, reply.json()["code"]) == (500, "UNKNOWN_ERROR")
    sandbox.control.settings(firecrawl={"keys": ["fc-one", "fc-two"]})
    one, two = ({"Authorization": f"Bearer {key}"} for key in ("fc-one", "fc-two"))
    body = firecrawl("POST", "/v1/scrape", {"url": pages(1)[0]}, headers=one).json()
    path = f"/v1/scrape/{body['data']['metadata']['scrapeId']}"
    assert firecrawl("GET", path, headers=one).status_code == 200
    reply = firecrawl("GET", path, headers=two)
    assert reply.json() == {"success": False, "error": "You are not allowed to access this resource."}
    assert reply.status_code == 403
    sandbox.control.advance(25 * 3600)
    assert firecrawl("GET", path, headers=one).status_code == 404


@pytest.mark.parametrize(("server", "status"), [("2025", 500), ("2026", 200)])
def test_a_host_that_does_not_exist(sandbox: Sandbox, firecrawl: Any, start: Any, server: str, status: int) -> None:
    sandbox.control.settings(firecrawl={"server": server})
    reply = firecrawl("POST", "/v1/scrape", {"url": "http://nowhere.invalid/a.html"})
    assert reply.status_code == status
    assert (reply.json()["success"], reply.json()["code"]) == (False, "SCRAPE_DNS_RESOLUTION_ERROR")
    job_id = start(["http://nowhere.invalid/a.html"])
    (error,) = firecrawl("GET", f"/v1/batch/scrape/{job_id}/errors").json()["errors"]
    assert error["code"] == "SCRAPE_DNS_RESOLUTION_ERROR"


@pytest.mark.parametrize("server", ["2025", "2026"])
def test_pages_that_cannot_be_had(sandbox: Sandbox, firecrawl: Any, server: str) -> None:
    sandbox.control.settings(firecrawl={"server": server})
    site = sandbox.urls["site"]
    reply = firecrawl("POST", "/v1/scrape", {"url": f"{site}/slow/1.html?ms=5000", "timeout": 100})
    assert reply.status_code == 408
    assert reply.json() == {"success": False, "code": "SCRAPE_TIMEOUT", "error": "Scrape timed out"}
    reply = firecrawl("POST", "/v1/scrape", {"url": f"{site}/drop/1.html"})
    assert (reply.status_code, reply.json()["code"]) == (500, "SCRAPE_ALL_ENGINES_FAILED")
    document = firecrawl("POST", "/v1/scrape", {"url": f"{site}/error/404.html"}).json()["data"]
    assert document["metadata"]["statusCode"] == 404


def test_scrape_that_goes_on_and_is_joined(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    sandbox.control.settings(firecrawl={"scrape_continues": True, "hold": True})
    body = {"url": pages(1)[0], "timeout": 100}
    for _ in range(2):
        reply = firecrawl("POST", "/v2/scrape", body)
        assert (reply.status_code, reply.json()["code"]) == (408, "SCRAPE_TIMEOUT")
        assert reply.json()["details"] == {"state": "processing_continues", "retryAfterSeconds": 1}
    (scrape,) = sandbox.control.jobs("firecrawl")
    assert firecrawl("POST", "/v2/scrape", {**body, "formats": ["html"]}).status_code == 408
    assert len(sandbox.control.jobs("firecrawl")) == 2
    sandbox.control.act(scrape["id"], "finish")
    document = firecrawl("POST", "/v2/scrape", body).json()["data"]
    assert document["metadata"]["scrapeId"] == scrape["id"]
    # Handed over once, the next request is a scrape of its own.
    assert firecrawl("POST", "/v2/scrape", body).status_code == 408
    assert len(sandbox.control.jobs("firecrawl")) == 3
    sandbox.control.settings(firecrawl=OLD)
    assert "details" not in firecrawl("POST", "/v2/scrape", body).json()


@pytest.mark.parametrize(
    ("version", "body", "path"),
    [
        ("v1", {}, ["url"]),
        ("v1", {"url": ""}, ["url"]),
        ("v1", {"url": "ftp://a.example/"}, ["url"]),
        ("v1", {"url": "http://a.example/", "formats": [{"type": "json"}]}, ["formats", 0]),
        ("v2", {"url": "http://a.example/", "formats": ["extract"]}, ["formats", 0]),
        ("v2", {"url": "http://a.example/", "jsonOptions": {}}, []),
        ("v1", {"url": "http://a.example/", "urls": []}, []),
        ("v1", {"url": "http://a.example/", "waitFor": 60_001}, ["waitFor"]),
        ("v1", {"url": "http://a.example/", "waitFor": 600, "timeout": 1000}, ["waitFor"]),
        ("v1", {"url": "http://a.example/", "timeout": "long"}, ["timeout"]),
        ("v1", {"url": "http://a.example/", "integration": "airflow"}, ["integration"]),
    ],
)
def test_scrapes_that_are_refused(sandbox: Sandbox, firecrawl: Any, version: str, body: Any, path: list[Any]) -> None:
    assert issue_of(firecrawl("POST", f"/{version}/scrape", body))["path"] == path
    assert sandbox.control.jobs() == []


def test_cancel_of_a_scrape(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any) -> None:
    body = firecrawl("POST", "/v1/scrape", {"url": pages(1)[0]}).json()
    scrape_id = body["data"]["metadata"]["scrapeId"]
    assert f"Cannot DELETE /v1/scrape/{scrape_id}" in firecrawl("DELETE", f"/v1/scrape/{scrape_id}").text
    sandbox.control.settings(firecrawl={"scrape_delete": True})
    reply = firecrawl("DELETE", f"/v1/scrape/{scrape_id}")
    assert (reply.status_code, reply.text) == (200, '{"status":"cancelled"}')
    assert sandbox.control.job(scrape_id)["deletes"] == 1
    reply = firecrawl("DELETE", f"/v1/scrape/{UNKNOWN}")
    assert (reply.status_code, reply.json()) == (404, {"error": "Job not found"})
    assert f"Cannot DELETE /v2/scrape/{scrape_id}" in firecrawl("DELETE", f"/v2/scrape/{scrape_id}").text
    job_id = start(pages(2))
    (document,) = firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()["data"]
    assert firecrawl("DELETE", f"/v1/scrape/{document['metadata']['scrapeId']}").status_code == 200


def test_cancel_of_a_scrape_in_work(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    sandbox.control.settings(firecrawl={"scrape_delete": True, "hold": True})
    answers: list[requests.Response] = []
    post = threading.Thread(target=lambda: answers.append(firecrawl("POST", "/v1/scrape", {"url": pages(1)[0]})))
    post.start()
    (scrape,) = sandbox.control.wait_for(sandbox.control.jobs)
    assert scrape["state"] == "scraping"
    assert firecrawl("DELETE", f"/v1/scrape/{scrape['id']}").json() == {"status": "cancelled"}
    post.join(30)
    assert (answers[0].status_code, answers[0].json()["code"]) == (500, "SCRAPE_JOB_CANCELLED")
    shown = sandbox.control.job(scrape["id"])
    assert (shown["state"], shown["cancelled_by_delete"]) == ("cancelled", True)


# --- map --------------------------------------------------------------------------------------------------------------


def test_map(sandbox: Sandbox, firecrawl: Any) -> None:
    site = sandbox.urls["site"]
    url = f"{site}/index.html"
    links = firecrawl("POST", "/v1/map", {"url": url}).json()["links"]
    assert links[0] == url
    assert len(links) == 43
    assert firecrawl("POST", "/v1/map", {"url": url, "limit": 5}).json()["links"] == links[:5]
    found = firecrawl("POST", "/v1/map", {"url": url, "search": "About"}).json()["links"]
    assert found == [f"{site}/about.html"]
    body = firecrawl("POST", "/v2/map", {"url": url, "limit": 4}).json()
    assert body == {
        "success": True,
        "links": [
            {"url": url, "title": "Sandbox index"},
            {"url": f"{site}/about.html", "title": "About"},
            {"url": f"{site}/articles/1.html", "title": "Tides"},
            {"url": f"{site}/articles/2.html", "title": "Lighthouses"},
        ],
    }
    assert firecrawl("POST", "/v1/map", {"url": "http://127.0.0.1:1/a.html"}).json()["links"] == [
        "http://127.0.0.1:1/a.html"
    ]


def test_map_times_out(sandbox: Sandbox, firecrawl: Any) -> None:
    timed_out = {"success": False, "code": "MAP_TIMEOUT", "error": "Map timed out"}
    body = {"url": f"{sandbox.urls['site']}/slow/index.html?ms=5000", "timeout": 100}
    reply = firecrawl("POST", "/v1/map", body)
    assert (reply.status_code, reply.json()) == (408, timed_out)
    sandbox.control.settings(firecrawl={"page_seconds": 60})
    reply = firecrawl("POST", "/v2/map", {**body, "url": sandbox.urls["site"] + "/index.html"})
    assert (reply.status_code, reply.json()) == (408, timed_out)


@pytest.mark.parametrize(
    ("version", "body", "path"),
    [
        ("v1", {}, ["url"]),
        ("v1", {"url": "http://a.example/", "limit": 30_001}, ["limit"]),
        ("v2", {"url": "http://a.example/", "limit": 100_001}, ["limit"]),
        ("v1", {"url": "http://a.example/", "limit": 0}, ["limit"]),
        ("v1", {"url": "http://a.example/", "limit": "5"}, ["limit"]),
        ("v1", {"url": "http://a.example/", "search": 5}, ["search"]),
        ("v1", {"url": "http://a.example/", "sitemap": "only"}, []),
        ("v2", {"url": "http://a.example/", "sitemap": "perhaps"}, ["sitemap"]),
        ("v2", {"url": "http://a.example/", "ignoreSitemap": True}, []),
    ],
)
def test_maps_that_are_refused(firecrawl: Any, version: str, body: Any, path: list[Any]) -> None:
    assert issue_of(firecrawl("POST", f"/{version}/map", body))["path"] == path


# --- search -----------------------------------------------------------------------------------------------------------


def test_search(sandbox: Sandbox, firecrawl: Any) -> None:
    tides = {
        "url": f"{sandbox.urls['site']}/articles/1.html",
        "title": "Tides",
        "description": "Description of Tides",
    }
    assert firecrawl("POST", "/v1/search", {"query": "the tides"}).json() == {"success": True, "data": [tides]}
    assert firecrawl("POST", "/v2/search", {"query": "Tides"}).json()["data"] == {"web": [tides]}
    assert len(firecrawl("POST", "/v1/search", {"query": "articles"}).json()["data"]) == 5
    assert len(firecrawl("POST", "/v2/search", {"query": "articles"}).json()["data"]["web"]) == 10
    body = {"query": "articles", "limit": 3, "sources": ["news", {"type": "web"}]}
    data = firecrawl("POST", "/v2/search", body).json()["data"]
    assert (list(data), data["news"], len(data["web"])) == (["news", "web"], [], 3)


@BOTH
def test_search_reads_the_pages_when_formats_are_given(sandbox: Sandbox, firecrawl: Any, version: str) -> None:
    body = {"query": "tides", "scrapeOptions": {"formats": ["markdown"]}}
    data = firecrawl("POST", f"/{version}/search", body).json()["data"]
    (result,) = data if version == "v1" else data["web"]
    assert result["markdown"].startswith("Tides\n=====")
    assert result["metadata"]["statusCode"] == 200
    assert "markdown" not in str(firecrawl("POST", f"/{version}/search", {"query": "tides"}).json())


@BOTH
def test_search_without_a_result(firecrawl: Any, version: str) -> None:
    body = firecrawl("POST", f"/{version}/search", {"query": "x"}).json()
    assert body["data"] == ([] if version == "v1" else {"web": []})
    assert body["warning"] == "No search results found"


@pytest.mark.parametrize(
    ("version", "body", "path"),
    [
        ("v1", {}, ["query"]),
        ("v1", {"query": 1}, ["query"]),
        ("v1", {"query": "x", "limit": 101}, ["limit"]),
        ("v2", {"query": "x", "limit": 101}, ["limit"]),
        ("v1", {"query": "x", "sources": ["web"]}, []),
        ("v2", {"query": "x", "sources": ["shops"]}, ["sources"]),
        ("v2", {"query": "x", "sources": 5}, ["sources"]),
        ("v2", {"query": "x", "filters": "y"}, []),
        ("v1", {"query": "x", "scrapeOptions": {"parsers": []}}, ["scrapeOptions"]),
        ("v1", {"query": "x", "scrapeOptions": "markdown"}, ["scrapeOptions"]),
    ],
)
def test_searches_that_are_refused(firecrawl: Any, version: str, body: Any, path: list[Any]) -> None:
    assert issue_of(firecrawl("POST", f"/{version}/search", body))["path"] == path


def test_search_times_out(sandbox: Sandbox, firecrawl: Any) -> None:
    sandbox.control.settings(firecrawl={"page_seconds": 60})
    reply = firecrawl("POST", "/v2/search", {"query": "tides", "timeout": 100})
    assert (reply.status_code, reply.json()["code"]) == (408, "SCRAPE_TIMEOUT")


# --- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("call", "field"), [("scrape", "url"), ("map", "url"), ("search", "query")])
def test_counters_credits_and_faults(sandbox: Sandbox, firecrawl: Any, pages: Any, call: str, field: str) -> None:
    body, path = {field: pages(1)[0]}, f"/v2/{call}"
    sandbox.control.fault("firecrawl", "lost_reply", path_contains=path)
    with pytest.raises(requests.ConnectionError):
        firecrawl("POST", path, body)
    sandbox.control.fault("firecrawl", "502_html", path_contains=path)
    assert firecrawl("POST", path, body).status_code == 502
    (active,) = firecrawl("GET", "/v2/team/activity").json()["data"]
    assert (active["endpoint"], active["target"]) == (call, pages(1)[0])
    sandbox.control.settings(firecrawl={"rate_limit": 1})
    assert [firecrawl("POST", path, body).status_code for _ in range(2)] == [200, 429]
    sandbox.control.settings(firecrawl={"rate_limit": None, "credits": 2})
    assert firecrawl("POST", path, body).status_code == 402
