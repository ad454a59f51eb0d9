"""Agent runs of the stand-in: v2 of servers of 2026 only."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import requests

from airflow_provider_jobs.sandbox import ControlError, Sandbox

UNKNOWN = "11111111-2222-4333-8444-555555555555"
AGENT = "/v2/agent"
SCHEMA = {"type": "object", "properties": {"title": {"type": "string"}, "price": {"type": "number"}}}


@pytest.fixture
def begin(sandbox: Sandbox, firecrawl: Any) -> Any:
    """Starts a run, waits for a state, answers the id."""

    def start(prompt: str = "Find the title", *, until: str | None = "completed", **body: Any) -> str:
        reply = firecrawl("POST", AGENT, {"prompt": prompt, **body})
        assert reply.status_code == 200, reply.text
        run_id = str(reply.json()["id"])
        if until is not None:
            sandbox.control.wait_for(lambda: sandbox.control.job(run_id)["state"] == until)
        return run_id

    return start


def test_start_and_complete(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    body = {"prompt": "Find the title", "urls": pages(1), "schema": SCHEMA, "model": "spark-2"}
    reply = firecrawl("POST", AGENT, body)
    assert list(reply.json()) == ["success", "id"]
    run_id = reply.json()["id"]
    assert str(uuid.UUID(run_id)) == run_id
    sandbox.control.wait_for(lambda: sandbox.control.job(run_id)["state"] == "completed")
    status = firecrawl("GET", f"{AGENT}/{run_id}").json()
    assert status["data"] == {"title": "Page 1", "price": None}
    assert (status["success"], status["status"], status["model"]) == (True, "completed", "spark-2")
    assert status["creditsUsed"] == 5
    assert status["expiresAt"].endswith("Z")
    assert not {"error", "partial", "stopReason", "next"} & set(status)
    shown = sandbox.control.job(run_id)
    assert (shown["service"], shown["kind"], shown["api_version"]) == ("firecrawl", "agent", "v2")
    assert (shown["input"], shown["completed"], shown["total"]) == (pages(1), 1, 1)


def test_answers_without_a_schema(firecrawl: Any, begin: Any, pages: Any) -> None:
    data = firecrawl("GET", f"{AGENT}/{begin(urls=pages(1, 2))}").json()["data"]
    assert data == {"pages": [{"url": url, "title": f"Page {n}"} for n, url in enumerate(pages(1, 2), start=1)]}
    data = firecrawl("GET", f"{AGENT}/{begin('Who made it?')}").json()["data"]
    assert data == {"answer": "Invented answer to: Who made it?"}


def test_big_and_odd_answers(sandbox: Sandbox, firecrawl: Any, begin: Any) -> None:
    sandbox.control.settings(firecrawl={"content_bytes": 300_000})
    assert len(firecrawl("GET", f"{AGENT}/{begin()}").content) > 300_000
    sandbox.control.settings(firecrawl={"content_bytes": None, "hold": True, "credits_used": -1})
    run_id = begin(until=None)
    assert sandbox.control.act(run_id, "finish", data=["one", 2])["state"] == "completed"
    status = firecrawl("GET", f"{AGENT}/{run_id}").json()
    assert (status["data"], status["creditsUsed"]) == (["one", 2], -1)
    sandbox.control.act(run_id, "expire_results")
    status = firecrawl("GET", f"{AGENT}/{run_id}").json()
    assert (status["status"], "data" in status) == ("completed", False)


@pytest.mark.parametrize(
    ("body", "path", "code"),
    [
        ({}, ["prompt"], "invalid_type"),
        ({"prompt": 3}, ["prompt"], "invalid_type"),
        ({"prompt": "x" * 10_001}, ["prompt"], "too_big"),
        ({"prompt": "x", "urls": "http://a.example/"}, ["urls"], "invalid_type"),
        ({"prompt": "x", "urls": ["http://a.example/", "ftp://b.example/"]}, ["urls", 1], "invalid_string"),
        ({"prompt": "x", "maxCredits": "many"}, ["maxCredits"], "invalid_type"),
        ({"prompt": "x", "strictConstrainToURLs": 1}, ["strictConstrainToURLs"], "invalid_type"),
        (
            {"prompt": "x", "webhook": {"url": "http://a.example/", "events": ["page"]}},
            ["webhook", "events", 0],
            "inval",
        ),
        ({"prompt": "x", "integration": "airflow"}, ["integration"], "custom"),
        ({"prompt": "x", "formats": ["markdown"]}, [], "unrecognized_keys"),
        ({"prompt": "x", "limit": 3}, [], "unrecognized_keys"),
    ],
)
def test_bodies_that_are_refused(sandbox: Sandbox, firecrawl: Any, body: Any, path: list[Any], code: str) -> None:
    reply = firecrawl("POST", AGENT, body)
    assert (reply.status_code, reply.json()["code"]) == (400, "BAD_REQUEST")
    issue = reply.json()["details"][0]
    assert issue["path"] == path
    assert issue["code"].startswith(code)
    assert sandbox.control.jobs() == []


def test_newer_fields_are_refused_by_a_server_that_is_not_new(sandbox: Sandbox, firecrawl: Any, begin: Any) -> None:
    assert begin("x" * 10_000, effort="high", mode="deep", maxCredits=100, model="of-tomorrow")
    sandbox.control.settings(firecrawl={"agent_newer": False})
    reply = firecrawl("POST", AGENT, {"prompt": "x", "effort": "high"})
    assert (reply.status_code, reply.json()["details"][0]["keys"]) == (400, ["effort"])
    assert "threadId" not in firecrawl("GET", f"{AGENT}/{begin()}").json()


@pytest.mark.parametrize(("setting", "word"), [("failed", "failed"), ("cancelled", "cancelled")])
def test_cancel(sandbox: Sandbox, firecrawl: Any, begin: Any, setting: str, word: str) -> None:
    sandbox.control.settings(firecrawl={"hold": True, "agent_cancelled": setting})
    run_id = begin(until="processing")
    assert firecrawl("GET", f"{AGENT}/{run_id}").json()["status"] == "processing"
    reply = firecrawl("DELETE", f"{AGENT}/{run_id}")
    assert (reply.status_code, reply.text) == (200, '{"success":true}')
    status = firecrawl("GET", f"{AGENT}/{run_id}").json()
    assert (status["success"], status["status"]) == (True, word)
    assert "cancelled" in status["error"]
    shown = sandbox.control.job(run_id)
    assert (shown["state"], shown["deletes"], shown["cancelled_by_delete"]) == ("cancelled", 1, True)
    again = firecrawl("DELETE", f"{AGENT}/{run_id}")
    assert (again.status_code, again.json()["error"]) == (409, "Agent is already cancelled")
    assert sandbox.control.job(run_id)["deletes"] == 2


def test_cancel_of_a_run_that_is_over(firecrawl: Any, begin: Any) -> None:
    run_id = begin()
    reply = firecrawl("DELETE", f"{AGENT}/{run_id}")
    assert (reply.status_code, reply.json()) == (409, {"success": False, "error": "Agent already finished"})
    assert firecrawl("GET", f"{AGENT}/{run_id}").json()["status"] == "completed"


def test_the_step_in_work_ends_and_is_billed(sandbox: Sandbox, firecrawl: Any, begin: Any) -> None:
    urls = [f"{sandbox.urls['site']}/slow/{number}.html?ms=400" for number in range(3)]
    run_id = begin(until=None, urls=urls)
    sandbox.control.wait_for(lambda: sandbox.control.job(run_id)["in_work"] == 1)
    assert firecrawl("DELETE", f"{AGENT}/{run_id}").status_code == 200
    assert firecrawl("GET", f"{AGENT}/{run_id}").json()["status"] == "processing"
    sandbox.control.wait_for(lambda: sandbox.control.job(run_id)["state"] == "cancelled")
    status = firecrawl("GET", f"{AGENT}/{run_id}").json()
    assert (status["status"], status["creditsUsed"]) == ("failed", 5)
    assert sandbox.control.job(run_id)["completed"] == 1


def test_cancel_that_is_lost_or_late(sandbox: Sandbox, firecrawl: Any, begin: Any) -> None:
    sandbox.control.settings(firecrawl={"hold": True, "cancel_ignored": 1, "cancel_delay": 60, "raw_status": "queued"})
    run_id = begin(until=None)
    for _ in range(2):
        assert firecrawl("DELETE", f"{AGENT}/{run_id}").status_code == 200
        assert firecrawl("GET", f"{AGENT}/{run_id}").json()["status"] == "queued"
    sandbox.control.advance(61)
    assert firecrawl("GET", f"{AGENT}/{run_id}").json()["status"] == "failed"


def test_end_by_the_credit_limit(sandbox: Sandbox, firecrawl: Any, begin: Any, pages: Any) -> None:
    run_id = begin(until="failed", urls=pages(1, 2, 3), maxCredits=10)
    status = firecrawl("GET", f"{AGENT}/{run_id}").json()
    assert (status["status"], status["stopReason"], status["creditsUsed"]) == ("failed", "credit_limit_reached", 10)
    assert [page["url"] for page in status["partial"]["pages"]] == pages(1, 2)
    assert "data" not in status
    sandbox.control.settings(firecrawl={"agent_newer": False})
    assert not {"partial", "stopReason"} & set(firecrawl("GET", f"{AGENT}/{run_id}").json())


def test_failures(sandbox: Sandbox, firecrawl: Any, begin: Any) -> None:
    run_id = begin(until="failed", urls=["http://127.0.0.1:1/none.html"])
    assert firecrawl("GET", f"{AGENT}/{run_id}").json()["error"] == "None of the pages could be read"
    sandbox.control.settings(firecrawl={"hold": True})
    run_id = begin(until=None)
    partial = {"title": "half"}
    shown = sandbox.control.act(run_id, "fail", error="No luck", stop_reason="timeout", partial=partial)
    assert shown["state"] == "failed"
    status = firecrawl("GET", f"{AGENT}/{run_id}").json()
    assert (status["error"], status["stopReason"], status["partial"]) == ("No luck", "timeout", partial)
    run_id = begin(until=None)
    assert sandbox.control.act(run_id, "cancel")["cancelled_by_delete"] is False
    assert firecrawl("GET", f"{AGENT}/{run_id}").json()["status"] == "failed"
    sandbox.control.act(run_id, "lose_record")
    assert firecrawl("GET", f"{AGENT}/{run_id}").status_code == 404
    run_id = begin(until=None)
    with pytest.raises(ControlError, match="append"):
        sandbox.control.act(run_id, "append")
    sandbox.control.act(run_id, "forget")
    assert firecrawl("DELETE", f"{AGENT}/{run_id}").json() == {"success": False, "error": "Agent job not found"}


def test_ids(sandbox: Sandbox, firecrawl: Any, begin: Any, start: Any, pages: Any) -> None:
    batch = start(pages(1))
    for wanted in (UNKNOWN, batch):
        for method in ("GET", "DELETE"):
            reply = firecrawl(method, f"{AGENT}/{wanted}")
            assert (reply.status_code, reply.json()) == (404, {"success": False, "error": "Agent job not found"})
    assert firecrawl("GET", f"{AGENT}/not-a-uuid").status_code == 400
    run_id = begin()
    assert firecrawl("GET", f"/v2/crawl/{run_id}").status_code == 404
    sandbox.control.advance(25 * 3600)
    assert firecrawl("GET", f"{AGENT}/{run_id}").status_code == 200
    sandbox.control.settings(firecrawl={"agent_expires": True})
    assert firecrawl("GET", f"{AGENT}/{run_id}").status_code == 404
    sandbox.control.settings(firecrawl={"not_found_for": 30})
    run_id = begin()
    assert firecrawl("GET", f"{AGENT}/{run_id}").status_code == 404
    sandbox.control.advance(31)
    assert firecrawl("GET", f"{AGENT}/{run_id}").status_code == 200


def test_servers_without_the_routes(sandbox: Sandbox, firecrawl: Any, begin: Any) -> None:
    run_id = begin()
    assert "Cannot POST /v1/agent" in firecrawl("POST", "/v1/agent", {"prompt": "x"}).text
    sandbox.control.settings(firecrawl={"agent_newer": False})
    assert f"Cannot GET {AGENT}" in firecrawl("GET", AGENT).text
    assert firecrawl("GET", f"{AGENT}/{run_id}").status_code == 200
    sandbox.control.settings(firecrawl={"server": "2025", "agent_newer": True})
    for method, path in (
        ("POST", AGENT),
        ("GET", AGENT),
        ("GET", f"{AGENT}/{run_id}"),
        ("DELETE", f"{AGENT}/{run_id}"),
    ):
        reply = firecrawl(method, path)
        assert (reply.status_code, reply.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
        assert f"Cannot {method} {path}" in reply.text


def test_a_thread_has_one_run_at_a_time(sandbox: Sandbox, firecrawl: Any, begin: Any) -> None:
    sandbox.control.settings(firecrawl={"hold": True})
    first = begin(until=None)
    thread = firecrawl("GET", f"{AGENT}/{first}").json()["threadId"]
    reply = firecrawl("POST", AGENT, {"prompt": "And then?", "threadId": thread})
    assert (reply.status_code, reply.json()["code"], reply.json()["runId"]) == (409, "thread_busy", first)
    assert reply.json()["success"] is False
    sandbox.control.act(first, "finish")
    second = begin("And then?", until=None, threadId=thread)
    assert firecrawl("GET", f"{AGENT}/{second}").json()["threadId"] == thread


def test_credits(sandbox: Sandbox, firecrawl: Any, begin: Any, pages: Any) -> None:
    sandbox.control.settings(firecrawl={"credits": 24})
    begin(urls=pages(1))
    reply = firecrawl("POST", AGENT, {"prompt": "x"})
    assert (reply.status_code, reply.json()["success"]) == (402, False)
    assert firecrawl("GET", "/v2/team/credit-usage").json()["data"]["remainingCredits"] == 19


def test_the_list_finds_a_lost_run(sandbox: Sandbox, firecrawl: Any, begin: Any, pages: Any) -> None:
    sandbox.control.fault("firecrawl", "lost_reply", method="POST", path_contains=AGENT)
    with pytest.raises(requests.ConnectionError):
        firecrawl("POST", AGENT, {"prompt": "Lost", "urls": pages(1)})
    (lost,) = sandbox.control.jobs("firecrawl")
    sandbox.control.wait_for(lambda: sandbox.control.job(lost["id"])["state"] == "completed")
    (listed,) = firecrawl("GET", AGENT).json()["agents"]
    assert (listed["id"], listed["status"], listed["targetHint"]) == (lost["id"], "completed", pages(1)[0])
    assert listed["options"] == {"urls": pages(1), "prompt": "Lost"}
    (active,) = firecrawl("GET", "/v2/team/activity?endpoint=agent").json()["data"]
    assert (active["id"], active["endpoint"], active["api_version"]) == (lost["id"], "agent", "v2")
    assert active["target"] == pages(1)[0]


def test_the_list_shows_the_twenty_newest(sandbox: Sandbox, firecrawl: Any, begin: Any) -> None:
    runs = [begin(f"Number {number}", until=None) for number in range(23)]
    first = firecrawl("GET", AGENT).json()
    assert [run["id"] for run in first["agents"]] == list(reversed(runs))[:20]
    assert first["next"].startswith(sandbox.urls["firecrawl"] + AGENT + "?before=")
    rest = firecrawl("GET", first["next"].removeprefix(sandbox.urls["firecrawl"])).json()
    assert {run["id"] for run in rest["agents"]} <= set(runs[:3])
    assert "next" not in rest
    assert firecrawl("GET", f"{AGENT}?before=soon").status_code == 400


def test_other_teams_see_nothing(sandbox: Sandbox, firecrawl: Any) -> None:
    sandbox.control.settings(firecrawl={"keys": ["fc-one", "fc-two"], "hold": True})
    one, two = ({"Authorization": f"Bearer {key}"} for key in ("fc-one", "fc-two"))
    run_id = firecrawl("POST", AGENT, {"prompt": "x"}, headers=one).json()["id"]
    for method in ("GET", "DELETE"):
        assert firecrawl(method, f"{AGENT}/{run_id}", headers=two).status_code == 404
    assert firecrawl("GET", AGENT, headers=two).json()["agents"] == []
    assert firecrawl("GET", "/v2/team/activity", headers=two).json()["data"] == []
    assert firecrawl("GET", f"{AGENT}/{run_id}", headers=one).json()["status"] == "processing"
    assert firecrawl("GET", f"{AGENT}/{run_id}").status_code == 401


def test_agent_calls_have_counters_of_their_own(sandbox: Sandbox, firecrawl: Any) -> None:
    sandbox.control.settings(firecrawl={"rate_limit": 1})
    run_id = firecrawl("POST", AGENT, {"prompt": "x"}).json()["id"]
    assert firecrawl("POST", AGENT, {"prompt": "x"}).status_code == 429
    assert firecrawl("GET", f"{AGENT}/{run_id}").status_code == 200
    assert firecrawl("DELETE", f"{AGENT}/{run_id}").status_code == 429
