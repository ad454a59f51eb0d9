"""Extractions of the stand-in: deprecated, without a cancel, and gone on a certain day."""

from __future__ import annotations

import datetime
import threading
from typing import Any

import pytest
import requests

from airflow_provider_jobs.sandbox import Sandbox

UNKNOWN = "11111111-2222-4333-8444-555555555555"
SCHEMA = {"type": "object", "properties": {"title": {"type": "string"}}}
SDK = {"origin": "python-sdk@2.16.5"}
GONE_FROM = datetime.datetime(2026, 12, 10, 15, tzinfo=datetime.UTC).timestamp()


@pytest.fixture
def extract(sandbox: Sandbox, firecrawl: Any, pages: Any) -> Any:
    """Starts an extraction, waits for a state, answers the id."""

    def start(version: str = "v1", *, until: str | None = "completed", **body: Any) -> str:
        wanted = {"urls": pages(1), "prompt": "the title", "schema": SCHEMA, **SDK, **body}
        reply = firecrawl("POST", f"/{version}/extract", wanted)
        assert reply.status_code == 200, reply.text
        job_id = str(reply.json()["id"])
        if until is not None:
            sandbox.control.wait_for(lambda: sandbox.control.job(job_id)["state"] == until)
        return job_id

    return start


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_start_and_complete(sandbox: Sandbox, firecrawl: Any, pages: Any, extract: Any, version: str) -> None:
    sandbox.control.settings(firecrawl={"hold": True})
    reply = firecrawl("POST", f"/{version}/extract", {"urls": pages(1), "schema": SCHEMA}).json()
    assert list(reply) == ["success", "id", "urlTrace", "warnings", "replacement"]
    assert reply["urlTrace"] == []
    path = f"/{version}/extract/{reply['id']}"
    status = firecrawl("GET", path).json()
    assert list(status) == ["success", "data", "status", "expiresAt", "warnings", "replacement"]
    assert (status["success"], status["data"], status["status"]) == (True, [], "processing")
    shown = sandbox.control.act(reply["id"], "finish")
    assert (shown["kind"], shown["api_version"], shown["state"]) == ("extract", version, "completed")
    status = firecrawl("GET", path).json()
    assert (status["success"], status["data"], status["status"]) == (True, {"title": "Page 1"}, "completed")
    assert status["creditsUsed"] == 1
    (active,) = firecrawl("GET", "/v2/team/activity?endpoint=extract").json()["data"]
    assert (active["id"], active["api_version"], active["target"]) == (reply["id"], version, pages(1)[0])


def test_deprecation(sandbox: Sandbox, firecrawl: Any, extract: Any) -> None:
    job_id = extract()
    for method, path in (("POST", "/v2/extract"), ("GET", f"/v1/extract/{job_id}"), ("GET", f"/v1/extract/{UNKNOWN}")):
        reply = firecrawl(method, path, {} if method == "POST" else None)
        assert reply.headers["Deprecation"] == "true"
        assert reply.headers["Link"] == '</v2/scrape>; rel="successor-version"'
        (warning,) = reply.json()["warnings"]
        assert reply.headers["Warning"] == f'299 - "{warning}"'
        assert "deprecated" in warning
        assert reply.json()["replacement"] == "/v2/scrape"
    sandbox.control.settings(firecrawl={"server": "2025"})
    reply = firecrawl("GET", f"/v1/extract/{job_id}")
    assert "Deprecation" not in reply.headers
    assert list(reply.json()) == ["success", "data", "status", "expiresAt"]


def test_bodies_that_are_refused(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    def refused(version: str, body: Any) -> Any:
        reply = firecrawl("POST", f"/{version}/extract", body)
        assert (reply.status_code, reply.json()["code"]) == (400, "BAD_REQUEST")
        return reply.json()["details"]

    either = {"code": "custom", "message": "Either 'urls' or 'prompt' must be provided.", "path": []}
    assert refused("v1", {}) == refused("v2", {"schema": SCHEMA}) == [either]
    (issue,) = refused("v1", {"urls": pages(*range(11)), "prompt": "x"})
    assert (issue["code"], issue["maximum"], issue["path"]) == ("too_big", 10, ["urls"])
    assert firecrawl("POST", "/v2/extract", {"urls": pages(*range(11)), "prompt": "x"}).status_code == 200
    assert refused("v1", {"urls": "x"})[0]["path"] == ["urls"]
    assert refused("v1", {"prompt": 1})[0]["path"] == ["prompt"]
    assert refused("v1", {"prompt": "x", "schema": "title"})[0]["path"] == ["schema"]
    assert refused("v1", {"prompt": "x", "maxCredits": 3})[0]["keys"] == ["maxCredits"]
    assert refused("v1", {"prompt": "x", "integration": "airflow"})[0]["path"] == ["integration"]
    assert refused("v1", {"urls": ["ftp://a.example/"]})[0]["path"] == ["urls", 0]
    wrong = {"prompt": "x", "scrapeOptions": {"formats": [{"type": "json"}]}}
    assert refused("v1", wrong)[0]["path"] == ["scrapeOptions", "formats", 0]
    assert len(sandbox.control.jobs()) == 1


def test_invalid_urls(firecrawl: Any, pages: Any) -> None:
    body = {"urls": [*pages(1), "ftp://a.example/"], "ignoreInvalidURLs": True}
    assert firecrawl("POST", "/v1/extract", body).json()["invalidURLs"] == ["ftp://a.example/"]
    assert "invalidURLs" not in firecrawl("POST", "/v2/extract", {**body, "ignoreInvalidURLs": False}).json()
    assert firecrawl("POST", "/v2/extract", {"urls": ["ftp://a.example/"]}).status_code == 400


def test_a_failure_is_http_200(sandbox: Sandbox, firecrawl: Any, extract: Any) -> None:
    job_id = extract(until="failed", urls=["http://127.0.0.1:1/none.html"])
    reply = firecrawl("GET", f"/v1/extract/{job_id}")
    assert reply.status_code == 200
    status = reply.json()
    assert (status["success"], status["status"], status["data"]) == (False, "failed", [])
    assert status["error"] == "None of the pages could be read"
    sandbox.control.settings(firecrawl={"server": "2025"})
    reply = firecrawl("GET", f"/v1/extract/{job_id}")
    assert reply.json()["error"]["name"] == "AI_RetryError"
    assert "the title" in str(reply.json()["error"]["errors"][0]["requestBodyValues"])
    assert len(reply.content) > 5000


def test_the_object_of_2025_quotes_the_page(sandbox: Sandbox, firecrawl: Any, extract: Any) -> None:
    sandbox.control.settings(firecrawl={"server": "2025", "hold_after": 1})
    job_id = extract(until="processing")
    sandbox.control.wait_for(lambda: sandbox.control.job(job_id)["completed"])
    sandbox.control.act(job_id, "fail", error="the model is away")
    error = firecrawl("GET", f"/v1/extract/{job_id}").json()["error"]
    assert "Content of page 1" in str(error)
    sandbox.control.act(job_id, "fail", error={"odd": True})
    assert firecrawl("GET", f"/v1/extract/{job_id}").json()["error"] == {"odd": True}


def test_a_result_that_is_gone(sandbox: Sandbox, firecrawl: Any, extract: Any) -> None:
    job_id = extract()
    sandbox.control.act(job_id, "expire_results")
    assert firecrawl("GET", f"/v1/extract/{job_id}").json()["data"] == []
    assert firecrawl("GET", f"/v1/extract/{job_id}").json()["status"] == "completed"
    sandbox.control.settings(firecrawl={"server": "2025"})
    status = firecrawl("GET", f"/v1/extract/{job_id}").json()
    assert (status["status"], status["data"]) == ("processing", [])
    sandbox.control.advance(7 * 3600)
    reply = firecrawl("GET", f"/v1/extract/{job_id}")
    assert (reply.status_code, reply.json()) == (404, {"success": False, "error": "Extract job not found"})


def test_ids_and_versions(sandbox: Sandbox, firecrawl: Any, extract: Any) -> None:
    job_id = extract("v2")
    assert firecrawl("GET", f"/v1/extract/{job_id}").status_code == 200
    for version in ("v1", "v2"):
        assert f"Cannot DELETE /{version}/extract/{job_id}" in firecrawl("DELETE", f"/{version}/extract/{job_id}").text
        assert firecrawl("GET", f"/{version}/extract/{UNKNOWN}").status_code == 404
        assert firecrawl("GET", f"/{version}/extract/not-a-uuid").status_code == 400
    assert firecrawl("GET", f"/v2/agent/{job_id}").status_code == 404
    sandbox.control.act(job_id, "lose_record")
    assert firecrawl("GET", f"/v2/extract/{job_id}").status_code == 404
    sandbox.control.settings(firecrawl={"hold": True})
    job_id = extract(until=None)
    sandbox.control.act(job_id, "cancel")
    status = firecrawl("GET", f"/v1/extract/{job_id}").json()
    assert (status["success"], status["status"], status["data"]) == (True, "cancelled", [])
    sandbox.control.settings(firecrawl={"server": "2025"})
    assert firecrawl("GET", "/v1/extract/not-a-uuid").json()["error"] == "Extract job not found"


def test_gone(sandbox: Sandbox, firecrawl: Any, extract: Any) -> None:
    sandbox.control.settings(firecrawl={"hold": True})
    job_id = extract(until=None)
    sandbox.control.settings(firecrawl={"extract_gone": True})
    for version in ("v1", "v2"):
        assert firecrawl("POST", f"/{version}/extract", {"prompt": "x"}).status_code == 410
        reply = firecrawl("GET", f"/{version}/extract/{job_id}")
        assert (reply.status_code, reply.json()["success"]) == (410, False)
    assert firecrawl("POST", "/v2/agent", {"prompt": "x"}).status_code == 200
    assert len(sandbox.control.jobs()) == 2


def test_gone_by_the_clock(sandbox: Sandbox, firecrawl: Any, extract: Any) -> None:
    def now() -> float:
        return datetime.datetime.now(datetime.UTC).timestamp() + sandbox.control.advance(0)

    sandbox.control.settings(firecrawl={"extract_gone": None, "hold": True})
    sandbox.control.advance(GONE_FROM - 60 - now())
    job_id = extract(until=None)
    sandbox.control.advance(61)
    assert firecrawl("GET", f"/v1/extract/{job_id}").status_code == 410
    sandbox.control.settings(firecrawl={"extract_gone": False})
    assert firecrawl("GET", f"/v1/extract/{job_id}").status_code == 200


def test_a_server_of_2025_extracts_inside_the_post(sandbox: Sandbox, firecrawl: Any, pages: Any, extract: Any) -> None:
    sandbox.control.settings(firecrawl={"server": "2025"})
    reply = firecrawl("POST", "/v1/extract", {"urls": pages(1), "schema": SCHEMA, "origin": "airflow"}).json()
    assert (reply["success"], reply["data"], "id" in reply) == (True, {"title": "Page 1"}, False)
    assert firecrawl("GET", f"/v1/extract/{reply['extractId']}").status_code == 404
    reply = firecrawl("POST", "/v1/extract", {"urls": ["http://127.0.0.1:1/none.html"]})
    assert (reply.status_code, reply.json()) == (500, {"success": False, "error": "Internal server error"})
    extract(**SDK)
    sandbox.control.settings(firecrawl={"keys": ["fc-one"]})
    key = {"Authorization": "Bearer fc-one"}
    assert firecrawl("POST", "/v1/extract", {"urls": pages(1)}, headers=key).json()["id"]


def test_the_post_of_2025_waits_for_the_end(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    sandbox.control.settings(firecrawl={"server": "2025", "hold": True})
    answers: list[requests.Response] = []
    post = threading.Thread(target=lambda: answers.append(firecrawl("POST", "/v1/extract", {"urls": pages(1)})))
    post.start()
    (job,) = sandbox.control.wait_for(sandbox.control.jobs)
    assert answers == []
    sandbox.control.act(job["id"], "finish", data={"title": "by hand"})
    post.join(30)
    assert answers[0].json()["data"] == {"title": "by hand"}


def test_lost_reply_and_other_faults(sandbox: Sandbox, firecrawl: Any, extract: Any) -> None:
    sandbox.control.fault("firecrawl", "lost_reply", method="POST", path_contains="/extract")
    with pytest.raises(requests.ConnectionError):
        extract()
    (lost,) = sandbox.control.jobs("firecrawl")
    assert lost["kind"] == "extract"
    sandbox.control.fault("firecrawl", "status_word", method="GET", path_contains="/extract/", word="thinking")
    assert firecrawl("GET", f"/v1/extract/{lost['id']}").json()["status"] == "thinking"
    sandbox.control.settings(firecrawl={"keys": ["fc-one", "fc-two"]})
    mine = firecrawl("POST", "/v1/extract", {"prompt": "x"}, headers={"Authorization": "Bearer fc-one"}).json()["id"]
    reply = firecrawl("GET", f"/v1/extract/{mine}", headers={"Authorization": "Bearer fc-two"})
    assert (reply.status_code, reply.json()["error"]) == (404, "Extract job not found")
