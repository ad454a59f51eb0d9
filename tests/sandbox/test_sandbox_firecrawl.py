"""Batch scrapes and crawls of the stand-in, against the shapes that real servers were seen to answer."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

from airflow_provider_jobs.sandbox import Sandbox

UNKNOWN = "11111111-2222-4333-8444-555555555555"
CANNOT = "<pre>Cannot {} {}</pre>"


def test_start_and_complete(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    urls = pages(*range(1, 11))
    reply = firecrawl("POST", "/v1/batch/scrape", {"urls": urls, "formats": ["markdown"]})
    body = reply.json()
    assert reply.status_code == 200
    assert list(body) == ["success", "id", "url"]
    assert body["url"] == f"{sandbox.urls['firecrawl']}/v1/batch/scrape/{uuid.UUID(body['id'])}"
    assert reply.headers["X-Powered-By"] == "Express"
    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
    assert reply.headers["Keep-Alive"] == "timeout=5"
    assert re.fullmatch(r'W/"[0-9a-f]+-[\w+/]{27}"', reply.headers["ETag"])

    sandbox.control.wait_for(lambda: sandbox.control.job(body["id"])["state"] == "completed")
    status = firecrawl("GET", f"/v1/batch/scrape/{body['id']}").json()
    assert list(status) == ["success", "status", "completed", "total", "creditsUsed", "expiresAt", "data"]
    assert (status["success"], status["status"]) == (True, "completed")
    assert (status["completed"], status["total"], status["creditsUsed"]) == (10, 10, 10)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z", status["expiresAt"])
    assert sorted(document["metadata"]["sourceURL"] for document in status["data"]) == sorted(urls)
    document = next(item for item in status["data"] if item["metadata"]["sourceURL"] == urls[0])
    assert document["markdown"].startswith("Page 1\n======\n\nContent of page 1.")
    assert "Sandbox site" not in document["markdown"]
    assert {name: value for name, value in document["metadata"].items() if name != "scrapeId"} == {
        "title": "Page 1",
        "description": "Description of Page 1",
        "language": "en",
        "ogLocaleAlternate": [],
        "sourceURL": urls[0],
        "url": urls[0],
        "statusCode": 200,
        "contentType": "text/html; charset=utf-8",
        "proxyUsed": "basic",
        "creditsUsed": 1,
    }
    errors = firecrawl("GET", f"/v1/batch/scrape/{body['id']}/errors")
    assert errors.text == '{"errors":[],"robotsBlocked":[]}'
    assert firecrawl("GET", f"/v1/crawl/{body['id']}/").json()["completed"] == 10


def test_v2_has_its_own_fields(firecrawl: Any, start: Any, pages: Any) -> None:
    reply = firecrawl("POST", "/v2/batch/scrape", {"urls": pages(1)}).json()
    assert reply["invalidURLs"] == []
    job_id = start(pages(1), version="v2")
    status = firecrawl("GET", f"/v2/batch/scrape/{job_id}").json()
    assert {"createdAt", "completedAt", "duration"} <= set(status)
    assert "createdAt" not in firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()


def test_running_job_points_next_to_itself(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any) -> None:
    sandbox.control.settings(firecrawl={"hold_after": 2})
    job_id = start(pages(1, 2, 3), until=None, maxConcurrency=1)
    sandbox.control.wait_for(lambda: sandbox.control.job(job_id)["completed"] == 2)
    status = firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()
    assert (status["status"], status["completed"], status["total"]) == ("scraping", 2, 3)
    assert status["next"] == f"{sandbox.urls['firecrawl']}/v1/batch/scrape/{job_id}?skip=2"
    assert list(status)[-2:] == ["next", "data"]
    assert sandbox.control.act(job_id, "finish")["state"] == "completed"
    assert firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()["completed"] == 3


def test_failed_pages_leave_the_total(sandbox: Sandbox, firecrawl: Any, start: Any) -> None:
    site = sandbox.urls["site"]
    paths = ["page1.html", "error/404.html", "error/500.html", "drop/1.html", "redirect/5.html"]
    job_id = start([f"{site}/{path}" for path in paths] + ["http://127.0.0.1:1/none.html"])
    status = firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()
    assert (status["status"], status["completed"], status["total"]) == ("completed", 4, 4)
    found = {item["metadata"]["sourceURL"].removeprefix(site): item["metadata"] for item in status["data"]}
    assert {path: found[path]["statusCode"] for path in found} == {
        "/page1.html": 200,
        "/error/404.html": 404,
        "/error/500.html": 500,
        "/redirect/5.html": 200,
    }
    assert found["/redirect/5.html"]["url"] == f"{site}/page5.html"
    errors = firecrawl("GET", f"/v1/batch/scrape/{job_id}/errors").json()["errors"]
    assert sorted(error["url"] for error in errors) == ["http://127.0.0.1:1/none.html", f"{site}/drop/1.html"]
    assert all(list(error) == ["id", "timestamp", "url", "code", "error"] for error in errors)
    assert {error["code"] for error in errors} == {"SCRAPE_ALL_ENGINES_FAILED"}


def test_page_timeout(sandbox: Sandbox, firecrawl: Any, start: Any) -> None:
    job_id = start([f"{sandbox.urls['site']}/slow/1.html?ms=5000"], timeout=100)
    status = firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()
    assert (status["status"], status["completed"], status["total"], status["data"]) == ("completed", 0, 0, [])
    error = firecrawl("GET", f"/v1/batch/scrape/{job_id}/errors").json()["errors"][0]
    assert (error["code"], error["error"]) == ("SCRAPE_TIMEOUT", "Scrape timed out")


def test_cancel_keeps_the_pages_in_work(sandbox: Sandbox, firecrawl: Any, start: Any) -> None:
    urls = [f"{sandbox.urls['site']}/slow/{number}.html?ms=300" for number in range(8)]
    job_id = start(urls, until=None, maxConcurrency=2)
    sandbox.control.wait_for(lambda: sandbox.control.job(job_id)["in_work"] == 2)
    reply = firecrawl("DELETE", f"/v1/batch/scrape/{job_id}")
    assert (reply.status_code, reply.text) == (200, '{"status":"cancelled"}')
    status = firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()
    assert (status["status"], status["completed"], status["total"]) == ("cancelled", 0, 8)
    sandbox.control.wait_for(lambda: sandbox.control.job(job_id)["total"] == 2)
    status = firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()
    assert (status["status"], status["completed"], len(status["data"])) == ("cancelled", 2, 2)
    errors = firecrawl("GET", f"/v1/batch/scrape/{job_id}/errors").json()["errors"]
    assert len(errors) == 6
    assert {error["error"] for error in errors} == {"(Internal server error) - Parent crawl/batch scrape was cancelled"}
    assert firecrawl("DELETE", f"/v1/batch/scrape/{job_id}").text == '{"status":"cancelled"}'
    shown = sandbox.control.job(job_id)
    assert (shown["deletes"], shown["cancelled_by_delete"]) == (2, True)


def test_cancel_of_a_completed_job(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any) -> None:
    job_id = start(pages(1))
    reply = firecrawl("DELETE", f"/v1/batch/scrape/{job_id}")
    assert (reply.status_code, reply.json()) == (409, {"error": "Crawl is already completed"})
    sandbox.control.settings(firecrawl={"server": "2025"})
    assert firecrawl("DELETE", f"/v1/batch/scrape/{job_id}").json() == {"status": "cancelled"}
    status = firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()
    assert (status["status"], len(status["data"])) == ("cancelled", 1)


@pytest.mark.parametrize(
    ("reply", "body"),
    [
        ("status", '{"status":"cancelled"}'),
        ("message", '{"success":true,"message":"Batch scrape job successfully cancelled."}'),
        ("empty", ""),
    ],
)
def test_cancel_replies(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any, reply: str, body: str) -> None:
    sandbox.control.settings(firecrawl={"hold": True, "cancel_reply": reply, "cancel_ignored": 1})
    job_id = start(pages(1), until=None)
    assert firecrawl("DELETE", f"/v1/batch/scrape/{job_id}").text == body
    assert firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()["status"] == "scraping"
    assert firecrawl("DELETE", f"/v1/batch/scrape/{job_id}").text == body
    assert firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()["status"] == "cancelled"


def test_late_cancel_and_late_end(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any) -> None:
    sandbox.control.settings(firecrawl={"hold": True, "cancel_delay": 60, "raw_status": "paused"})
    job_id = start(pages(1), until=None)
    firecrawl("DELETE", f"/v1/batch/scrape/{job_id}")
    assert firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()["status"] == "paused"
    sandbox.control.advance(61)
    assert firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()["status"] == "cancelled"
    sandbox.control.settings(firecrawl={"hold": False, "end_delay": 15, "raw_status": None})
    job_id = start(pages(1), until=None)
    sandbox.control.wait_for(lambda: sandbox.control.job(job_id)["ended_at"])
    assert firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()["status"] == "scraping"
    sandbox.control.advance(16)
    assert firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()["status"] == "completed"


def test_held_job_of_2025_never_drains(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any) -> None:
    sandbox.control.settings(firecrawl={"hold": True, "server": "2025", "pagination": "A"})
    job_id = start(pages(1, 2, 3), until=None)
    firecrawl("DELETE", f"/v1/batch/scrape/{job_id}")
    status = firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()
    assert (status["status"], status["completed"], status["total"]) == ("cancelled", 0, 3)
    assert status["next"].endswith("?skip=0")


def test_unknown_and_malformed_ids(sandbox: Sandbox, firecrawl: Any) -> None:
    not_found = {"success": False, "error": "Job not found"}
    for path in (f"/v1/batch/scrape/{UNKNOWN}", f"/v2/crawl/{UNKNOWN}", f"/v1/crawl/{UNKNOWN}/errors"):
        reply = firecrawl("GET", path)
        assert (reply.status_code, reply.json()) == (404, not_found)
    reply = firecrawl("DELETE", f"/v1/batch/scrape/{UNKNOWN}")
    assert (reply.status_code, reply.text) == (404, '{"error":"Job not found"}')
    assert firecrawl("DELETE", "/v1/batch/scrape/not-a-uuid").status_code == 404
    reply = firecrawl("GET", "/v2/batch/scrape/not-a-uuid")
    assert (reply.status_code, reply.json()["error"]) == (
        400,
        "Invalid job ID format. Job ID must be a valid UUID.",
    )
    sandbox.control.settings(firecrawl={"server": "2025"})
    assert firecrawl("GET", "/v2/batch/scrape/not-a-uuid").json() == not_found
    sandbox.control.settings(firecrawl={"keys": ["fc-aaaaaaaa000040008000000000000001"]})
    key = {"Authorization": "Bearer aaaaaaaa-0000-4000-8000-000000000001"}
    reply = firecrawl("GET", f"/v1/batch/scrape/{UNKNOWN}", headers=key)
    assert (reply.status_code, list(reply.json())) == (500, ["success", "code", "error"])


def test_routes_that_do_not_exist(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any) -> None:
    for method, path in (
        ("DELETE", f"/v1/scrape/{UNKNOWN}"),
        ("GET", "/v1/nope"),
        ("POST", f"/v1/batch/scrape/{UNKNOWN}"),
    ):
        reply = firecrawl(method, path)
        assert reply.status_code == 404
        assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
        assert reply.headers["Content-Security-Policy"] == "default-src 'none'"
        assert CANNOT.format(method, path) in reply.text
    job_id = start(pages(1))
    assert firecrawl("GET", f"/v2/batch/scrape/{job_id}/errors").status_code == 200
    assert firecrawl("GET", "/v2/team/queue-status").json()["maxConcurrency"] == 8
    sandbox.control.settings(firecrawl={"server": "2025"})
    for path in (f"/v2/batch/scrape/{job_id}/errors", "/v1/team/queue-status", "/v2/team/activity"):
        assert CANNOT.format("GET", path) in firecrawl("GET", path).text


def test_crawl(sandbox: Sandbox, firecrawl: Any) -> None:
    site = sandbox.urls["site"]
    reply = firecrawl("POST", "/v1/crawl", {"url": f"{site}/index.html", "limit": 12}).json()
    assert reply["url"] == f"{sandbox.urls['firecrawl']}/v1/crawl/{reply['id']}"
    sandbox.control.wait_for(lambda: sandbox.control.job(reply["id"])["state"] == "completed")
    assert firecrawl("GET", f"/v1/crawl/{reply['id']}").json()["completed"] == 12
    body = {"url": f"{site}/index.html", "limit": 100}
    job_id = firecrawl("POST", "/v2/crawl", body).json()["id"]
    sandbox.control.wait_for(lambda: sandbox.control.job(job_id)["state"] == "completed")
    status = firecrawl("GET", f"/v2/crawl/{job_id}").json()
    assert (status["completed"], "robots.txt" in status["warning"]) == (42, True)
    assert "warning" not in firecrawl("GET", f"/v1/crawl/{job_id}").json()
    errors = firecrawl("GET", f"/v2/crawl/{job_id}/errors").json()
    assert errors == {"errors": [], "robotsBlocked": [f"{site}/private/secret.html"]}


def test_crawl_with_a_prompt(firecrawl: Any, pages: Any) -> None:
    body = {"url": pages(1)[0], "limit": 1, "prompt": "only the articles"}
    reply = firecrawl("POST", "/v2/crawl", body).json()
    assert (reply["promptGeneratedOptions"], reply["finalCrawlerOptions"]) == ({}, {"limit": 1})
    assert firecrawl("POST", "/v1/crawl", body).status_code == 400


def test_active_crawls(sandbox: Sandbox, firecrawl: Any) -> None:
    sandbox.control.settings(firecrawl={"hold": True})
    site = sandbox.urls["site"]
    job_id = firecrawl("POST", "/v1/crawl", {"url": f"{site}/slow/index.html", "limit": 5}).json()["id"]
    crawls = firecrawl("GET", "/v1/crawl/active").json()["crawls"]
    assert [(crawl["id"], crawl["teamId"], crawl["url"]) for crawl in crawls] == [
        (job_id, "bypass", f"{site}/slow/index.html")
    ]
    firecrawl("DELETE", f"/v1/crawl/{job_id}")
    assert firecrawl("GET", "/v1/crawl/ongoing").json() == {"success": True, "crawls": []}


def test_activity_finds_a_lost_job(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any) -> None:
    first, second = start(pages(1)), start(pages(2), version="v2")
    body = firecrawl("GET", "/v2/team/activity?limit=1").json()
    assert ([item["id"] for item in body["data"]], body["has_more"]) == ([second], True)
    body = firecrawl("GET", f"/v2/team/activity?cursor={body['cursor']}").json()
    assert ([item["target"] for item in body["data"]], body["has_more"]) == (pages(1), False)
    assert body["data"][0]["id"] == first


def test_job_that_goes_on_and_job_that_is_gone(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any) -> None:
    job_id = start(pages(1))
    sandbox.control.settings(firecrawl={"hold": True})
    sandbox.control.act(job_id, "append", urls=pages(2))
    sandbox.control.wait_for(lambda: sandbox.control.job(job_id)["completed"] == 2)
    sandbox.control.act(job_id, "expire_results")
    status = firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()
    assert (status["status"], status["completed"], status["data"]) == ("completed", 2, [])
    sandbox.control.act(job_id, "forget")
    assert firecrawl("GET", f"/v1/batch/scrape/{job_id}").status_code == 404

    held = start(pages(1), until=None)
    assert sandbox.control.act(held, "fail")["state"] == "failed"
    assert firecrawl("GET", f"/v1/batch/scrape/{held}").json()["status"] == "failed"
    held = start(pages(1), until=None)
    assert sandbox.control.act(held, "cancel")["cancelled_by_delete"] is False
    assert firecrawl("GET", f"/v1/batch/scrape/{held}").json()["status"] == "cancelled"
    sandbox.control.act(held, "lose_record")
    assert firecrawl("GET", f"/v1/batch/scrape/{held}").json()["status"] == "completed"
    assert firecrawl("DELETE", f"/v1/batch/scrape/{held}").status_code == 404


def test_expiry(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any) -> None:
    job_id = start(pages(1))
    for _ in range(3):
        sandbox.control.advance(23 * 3600)
        assert firecrawl("GET", f"/v1/batch/scrape/{job_id}").status_code == 200
    sandbox.control.advance(25 * 3600)
    assert firecrawl("GET", f"/v1/batch/scrape/{job_id}").status_code == 404


def test_results_of_2025_live_an_hour(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any) -> None:
    sandbox.control.settings(firecrawl={"server": "2025", "pagination": "A"})
    job_id = start(pages(1, 2))
    sandbox.control.advance(3700)
    assert len(firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()["data"]) == 2
    start(pages(3))
    status = firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()
    assert (status["status"], status["completed"], status["data"]) == ("completed", 2, [])
    assert "next" not in status


def test_other_odd_answers(sandbox: Sandbox, firecrawl: Any, start: Any, pages: Any) -> None:
    sandbox.control.settings(firecrawl={"kickoff_failure": True})
    job_id = start(pages(1), until=None)
    status = firecrawl("GET", f"/v1/batch/scrape/{job_id}")
    assert status.status_code == 200
    assert (status.json()["success"], status.json()["status"], status.json()["data"]) == (False, "failed", [])
    sandbox.control.settings(firecrawl={"kickoff_failure": False, "not_found_for": 30, "credits_used": -1})
    job_id = start(pages(1))
    assert firecrawl("GET", f"/v1/batch/scrape/{job_id}").status_code == 404
    sandbox.control.advance(31)
    assert firecrawl("GET", f"/v1/batch/scrape/{job_id}").json()["creditsUsed"] == -1


def test_scrape_of_one_page(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    body = firecrawl("POST", "/v1/scrape", {"url": pages(1)[0], "formats": ["links", "rawHtml"]}).json()
    assert list(body["data"]) == ["rawHtml", "links", "metadata"]
    assert body["data"]["links"] == [f"{sandbox.urls['site']}/index.html", f"{sandbox.urls['site']}/about.html"]
    reply = firecrawl("POST", "/v1/scrape", {"url": f"{sandbox.urls['site']}/drop/1.html"})
    assert (reply.status_code, reply.json()["code"]) == (500, "SCRAPE_ALL_ENGINES_FAILED")
