"""What is refused before a job is started, and what is let through."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from airflow_provider_jobs.sandbox import Sandbox

KEY_A = "fc-aaaaaaaa000040008000000000000001"
KEY_B = "fc-bbbbbbbb000040008000000000000002"
GOOD = "http://127.0.0.1:9/page1.html"
REQUIRED = {
    "code": "invalid_type",
    "expected": "array",
    "received": "undefined",
    "path": ["urls"],
    "message": "Required",
}
TOP_LEVEL = "URL must have a valid top-level domain or be a valid path"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    ("body", "details"),
    [
        ({}, [REQUIRED]),
        (
            {"urls": GOOD},
            [{**REQUIRED, "received": "string", "message": "Expected array, received string"}],
        ),
        (
            {"urls": [GOOD, "not a url"]},
            [
                {"validation": "url", "code": "invalid_string", "message": "Invalid url", "path": ["urls", 1]},
                {"code": "custom", "message": TOP_LEVEL, "path": ["urls", 1]},
                {"code": "custom", "message": "Invalid URL", "path": ["urls", 1]},
            ],
        ),
        (
            {"urls": ["ftp://example.com/x.html"]},
            [
                {
                    "validation": "regex",
                    "code": "invalid_string",
                    "message": "URL uses unsupported protocol",
                    "path": ["urls", 0],
                },
                {"code": "custom", "message": "Invalid URL", "path": ["urls", 0]},
            ],
        ),
        ({"urls": ["http://localhost:3000/"]}, [{"code": "custom", "message": TOP_LEVEL, "path": ["urls", 0]}]),
        (
            {"urls": [GOOD], "foo": 1},
            [
                {
                    "code": "unrecognized_keys",
                    "keys": ["foo"],
                    "path": [],
                    "message": "Unrecognized key in body -- please review the v1 API documentation "
                    "for request body changes",
                }
            ],
        ),
        (
            {"urls": [GOOD], "waitFor": 6000, "timeout": 10000},
            [{"code": "custom", "message": "waitFor must not exceed half of timeout", "path": ["waitFor"]}],
        ),
        (
            {"urls": [GOOD], "maxConcurrency": 0},
            [
                {
                    "code": "too_small",
                    "minimum": 0,
                    "type": "number",
                    "inclusive": False,
                    "exact": False,
                    "message": "Number must be greater than 0",
                    "path": ["maxConcurrency"],
                }
            ],
        ),
        (
            {"urls": [GOOD], "appendToId": "abc"},
            [{"validation": "uuid", "code": "invalid_string", "message": "Invalid uuid", "path": ["appendToId"]}],
        ),
    ],
)
def test_bodies_that_do_not_fit(sandbox: Sandbox, firecrawl: Any, body: Any, details: Any) -> None:
    sandbox.control.settings(firecrawl={"server": "2025"})
    reply = firecrawl("POST", "/v1/batch/scrape", body)
    assert reply.status_code == 400
    expected = {"success": False, "code": "BAD_REQUEST", "error": "Bad Request", "details": details}
    assert reply.json() == expected
    assert sandbox.control.jobs() == []


def test_the_error_of_2026_names_the_first_reason(firecrawl: Any) -> None:
    error = firecrawl("POST", "/v2/batch/scrape", {"urls": [GOOD], "foo": 1}).json()["error"]
    assert error.startswith("Unrecognized key in body")
    assert firecrawl("POST", "/v1/batch/scrape", {"urls": []}).status_code == 400


def test_malformed_json_and_a_wrong_content_type(firecrawl: Any) -> None:
    headers = {"Content-Type": "application/json"}
    reply = firecrawl("POST", "/v1/batch/scrape", data='{"urls":[', headers=headers)
    assert reply.status_code == 400
    assert reply.text == ('{"success":false,"code":"BAD_REQUEST_INVALID_JSON","error":"Bad request, malformed JSON"}')
    reply = firecrawl("POST", "/v1/batch/scrape", data='{"urls":[]}', headers={"Content-Type": "text/plain"})
    assert reply.json()["details"] == [REQUIRED]


def test_invalid_urls_are_told(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    sandbox.control.settings(firecrawl={"hold": True})
    bad = ["not a url", "ftp://example.com/x.html", ""]
    body = {"urls": [*pages(1), *bad], "ignoreInvalidURLs": True}
    reply = firecrawl("POST", "/v1/batch/scrape", body).json()
    assert reply["invalidURLs"] == bad
    assert sandbox.control.job(reply["id"])["input"] == pages(1)
    body = {"urls": pages(1), "ignoreInvalidURLs": True}
    assert firecrawl("POST", "/v1/batch/scrape", body).json()["invalidURLs"] == []
    assert "invalidURLs" not in firecrawl("POST", "/v1/batch/scrape", {"urls": pages(1)}).json()
    # v2 of 2026 looks at what was sent, v2 of 2025 at its default.
    assert firecrawl("POST", "/v2/batch/scrape", {"urls": [*pages(1), "bad"]}).status_code == 400
    nothing = {"urls": ["bad"], "ignoreInvalidURLs": True}
    reply = firecrawl("POST", "/v1/batch/scrape", nothing)
    assert (reply.status_code, reply.json()["error"]) == (400, "No valid URLs provided")
    sandbox.control.settings(firecrawl={"server": "2025"})
    assert firecrawl("POST", "/v2/batch/scrape", {"urls": [*pages(1), "bad"]}).json()["invalidURLs"] == ["bad"]


def test_nothing_to_do_is_completed_in_2025(sandbox: Sandbox, firecrawl: Any, start: Any) -> None:
    sandbox.control.settings(firecrawl={"server": "2025", "pagination": "A"})
    status = firecrawl("GET", f"/v1/batch/scrape/{start([])}").json()
    assert {name: value for name, value in status.items() if name != "expiresAt"} == {
        "success": True,
        "status": "completed",
        "completed": 0,
        "total": 0,
        "creditsUsed": 0,
        "data": [],
    }


def test_a_url_without_scheme_and_equal_urls(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any) -> None:
    bare = pages(1)[0].removeprefix("http://")
    job_id = start([bare, *pages(1, 1)])
    assert firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()["completed"] == 3
    assert sandbox.control.job(job_id)["input"] == pages(1, 1, 1)


def test_a_body_that_is_too_large(sandbox: Sandbox, firecrawl: Any) -> None:
    body = json.dumps({"urls": [GOOD] * 400_000})
    headers = {"Content-Type": "application/json"}
    reply = firecrawl("POST", "/v1/batch/scrape", data=body, headers=headers)
    assert (reply.status_code, reply.json()["error"]) == (413, "Request body is too large")
    sandbox.control.settings(firecrawl={"server": "2025"})
    reply = firecrawl("POST", "/v1/batch/scrape", data=body, headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (500, "UNKNOWN_ERROR")
    seen = sandbox.control.requests(host="firecrawl")[0]
    assert (len(seen["body"]), seen["body_bytes"]) == (64 * 1024, len(body))


def test_formats_of_the_versions(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    sandbox.control.settings(firecrawl={"hold": True})
    body = {"urls": pages(1), "formats": [{"type": "json", "prompt": "title"}]}
    detail = firecrawl("POST", "/v1/batch/scrape", body).json()["details"][0]
    assert detail["path"] == ["formats", 0]
    assert detail["message"].endswith("received object")
    assert firecrawl("POST", "/v2/batch/scrape", body).status_code == 200
    assert firecrawl("POST", "/v2/batch/scrape", {"urls": pages(1), "parsePDF": True}).status_code == 400
    integration = {"urls": pages(1), "integration": "airflow"}
    assert firecrawl("POST", "/v2/batch/scrape", integration).status_code == 400
    integration["integration"] = "_airflow"
    assert firecrawl("POST", "/v2/batch/scrape", integration).status_code == 200


def test_append(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any) -> None:
    job_id = start(pages(1))
    body = {"urls": pages(2), "appendToId": job_id}
    assert firecrawl("POST", "/v1/batch/scrape", body).json()["id"] == job_id
    sandbox.control.wait_for(lambda: sandbox.control.job(job_id)["completed"] == 2)
    body["appendToId"] = str(uuid.uuid4())
    assert firecrawl("POST", "/v1/batch/scrape", body).status_code == 404
    sandbox.control.settings(firecrawl={"server": "2025"})
    detail = firecrawl("POST", "/v1/batch/scrape", body).json()["details"][0]
    assert detail["message"].startswith("Unrecognized key in body -- please review the v2 API")


def test_crawl_bodies(sandbox: Sandbox, firecrawl: Any) -> None:
    reply = firecrawl("POST", "/v1/crawl", {})
    assert reply.json()["details"] == [{"code": "custom", "message": TOP_LEVEL, "path": ["url"]}]
    site = sandbox.urls["site"]
    reply = firecrawl("POST", "/v1/crawl", {"url": f"{site}/a/b/c/d.html", "maxDepth": 1})
    assert reply.json()["details"][0]["message"] == "URL depth exceeds the specified maxDepth"
    reply = firecrawl("POST", "/v1/crawl", {"url": f"{site}/index.html", "includePaths": ["("]})
    assert reply.status_code == 400
    assert reply.json()["error"].startswith("Invalid regular expression: /(/:")
    assert "details" not in reply.json()


def test_keys(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    sandbox.control.settings(firecrawl={"keys": [KEY_A, KEY_B], "hold": True})
    path = "/v1/team/credit-usage"
    for headers, text in (
        ({}, "Unauthorized"),
        ({"Authorization": "Bearer "}, "Unauthorized: Token missing"),
        (bearer("not-a-key"), "Unauthorized: Invalid token"),
        (bearer("fc-00000000000000000000000000000000"), "Unauthorized: Invalid token"),
    ):
        reply = firecrawl("GET", path, headers=headers)
        assert (reply.status_code, reply.json()) == (401, {"success": False, "error": text})
    bare = bearer("aaaaaaaa-0000-4000-8000-000000000001")
    assert firecrawl("GET", path, headers=bare).json()["data"]["remaining_credits"] == 100_000

    job_id = firecrawl("POST", "/v1/batch/scrape", {"urls": pages(1)}, headers=bearer(KEY_A)).json()["id"]
    assert sandbox.control.job(job_id)["team"] == 0
    assert firecrawl("GET", f"/v1/batch/scrape/{job_id}", headers=bearer(KEY_B)).status_code == 404
    reply = firecrawl("GET", f"/v1/batch/scrape/{job_id}/errors", headers=bearer(KEY_B))
    assert (reply.status_code, reply.json()) == (403, {"success": False, "error": "Forbidden"})
    reply = firecrawl("DELETE", f"/v1/batch/scrape/{job_id}", headers=bearer(KEY_B))
    assert (reply.status_code, reply.json()) == (403, {"error": "Unauthorized"})
    assert firecrawl("DELETE", f"/v2/batch/scrape/{job_id}", headers=bearer(KEY_B)).status_code == 404
    sandbox.control.token("firecrawl", "revoke", KEY_A)
    assert firecrawl("GET", f"/v1/batch/scrape/{job_id}", headers=bearer(KEY_A)).status_code == 401
    sandbox.control.token("firecrawl", "add", KEY_A)
    assert firecrawl("GET", f"/v1/batch/scrape/{job_id}", headers=bearer(KEY_A)).status_code == 200


def test_credits(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any) -> None:
    assert firecrawl("GET", "/v2/team/credit-usage").json()["data"]["remainingCredits"] == 99_999_999
    sandbox.control.settings(firecrawl={"credits": 3})
    reply = firecrawl("POST", "/v1/batch/scrape", {"urls": pages(1, 2, 3, 4)})
    assert reply.status_code == 402
    assert reply.json()["error"].startswith("Insufficient credits to perform this request.")
    start(pages(1, 2))
    assert firecrawl("GET", "/v1/team/credit-usage").json()["data"]["remaining_credits"] == 1


@pytest.mark.parametrize(
    ("server", "limit", "crawled"),
    [("2025", 5, None), ("2025", None, 2), ("2026", 5, 2), ("2026", None, 42), ("2026", 2, 2), ("2025", 2, 2)],
)
def test_credits_lower_the_limit_of_a_crawl(
    sandbox: Sandbox, firecrawl: Any, server: str, limit: int | None, crawled: int | None
) -> None:
    sandbox.control.settings(firecrawl={"credits": 2, "server": server})
    body = {"url": f"{sandbox.urls['site']}/index.html", **({} if limit is None else {"limit": limit})}
    reply = firecrawl("POST", "/v1/crawl", body)
    if crawled is None:
        assert reply.status_code == 402
        return
    job_id = reply.json()["id"]
    sandbox.control.wait_for(lambda: sandbox.control.job(job_id)["state"] == "completed")
    assert sandbox.control.job(job_id)["completed"] == crawled
    assert firecrawl("POST", "/v1/crawl", body).status_code == 402


def test_rate_limit(sandbox: Sandbox, firecrawl: Any) -> None:
    sandbox.control.settings(firecrawl={"rate_limit": 2})
    path = "/v1/crawl/active"
    assert [firecrawl("GET", path).status_code for _ in range(3)] == [200, 200, 429]
    reply = firecrawl("GET", path)
    assert "Retry-After" not in reply.headers
    text = reply.json()["error"]
    assert text.startswith("Rate limit exceeded. Consumed (req/min): 4, Remaining (req/min): 0.")
    assert "or please retry after 59s, resets at " in text
    assert text.endswith("GMT+0000 (Coordinated Universal Time)")
    # Other counters.
    assert firecrawl("GET", "/v1/team/credit-usage").status_code == 200
    starts = [
        firecrawl("POST", f"/v1/{path}", {}).status_code for path in ("batch/scrape", "scrape", "scrape", "crawl")
    ]
    assert starts == [400, 400, 429, 400]
    sandbox.control.advance(60)
    assert firecrawl("GET", path).status_code == 200


def test_idempotency_without_database(firecrawl: Any, pages: Any) -> None:
    body = {"urls": pages(1)}
    key = {"x-idempotency-key": str(uuid.uuid4())}
    assert firecrawl("POST", "/v1/batch/scrape", body, headers=key).status_code == 500
    reply = firecrawl("POST", "/v1/batch/scrape", body, headers={"x-idempotency-key": "my-run"})
    assert (reply.status_code, reply.json()["error"]) == (409, "Idempotency key already used")
    assert firecrawl("POST", "/v2/batch/scrape", body, headers=key).status_code == 200
    assert firecrawl("POST", "/v1/batch/scrape", body, headers={"Idempotency-Key": "x"}).status_code == 200


def test_idempotency_with_database(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    sandbox.control.settings(firecrawl={"keys": [KEY_A, KEY_B]})
    first, second = ({**bearer(KEY_A), "x-idempotency-key": str(uuid.uuid4())} for _ in range(2))
    assert firecrawl("POST", "/v1/batch/scrape", {"urls": "x"}, headers=first).status_code == 400
    assert firecrawl("POST", "/v1/batch/scrape", {"urls": pages(1)}, headers=first).status_code == 409
    assert firecrawl("POST", "/v1/batch/scrape", {"urls": pages(1)}, headers=second).status_code == 200
    reply = firecrawl("POST", "/v1/crawl", {"url": pages(1)[0]}, headers={**second, **bearer(KEY_B)})
    assert (reply.status_code, reply.json()) == (
        409,
        {"success": False, "error": "Idempotency key already used"},
    )
    assert len(sandbox.control.jobs()) == 1
