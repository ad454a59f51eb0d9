"""Faults as a client sees them, the record of requests, and the other switches of the control API."""

from __future__ import annotations

import email.utils
import socket
import time
import urllib.parse
from typing import Any

import pytest
import requests

from airflow_provider_jobs.sandbox import ControlError, Sandbox


def raw(base: str, request: str) -> bytes:
    """Send these bytes, answer all that comes until the end of the connection."""
    where = urllib.parse.urlsplit(base)
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=10) as sock:
        sock.sendall(request.encode())
        parts = []
        while part := sock.recv(65536):
            parts.append(part)
    return b"".join(parts)


GET = "GET /v1/crawl/active HTTP/1.1\r\nHost: x\r\n\r\n"


def test_lost_reply_ends_the_stream_without_a_byte(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    sandbox.control.fault("firecrawl", "lost_reply", method="POST")
    assert firecrawl("GET", "/v1/crawl/active").status_code == 200
    with pytest.raises(requests.ConnectionError):
        firecrawl("POST", "/v1/batch/scrape", {"urls": pages(1)})
    assert len(sandbox.control.jobs("firecrawl")) == 1
    sandbox.control.fault("firecrawl", "lost_reply")
    assert raw(sandbox.urls["firecrawl"], GET) == b""
    seen = sandbox.control.requests(host="firecrawl")
    assert [(item["status"], item["fault"]) for item in seen] == [
        (200, None),
        (None, "lost_reply"),
        (None, "lost_reply"),
    ]


def test_reset_before_anything_is_done(sandbox: Sandbox, firecrawl: Any, datafiniti: Any, pages: Any) -> None:
    for service in ("firecrawl", "datafiniti"):
        sandbox.control.fault(service, "reset")
        with pytest.raises(ConnectionResetError):
            raw(sandbox.urls[service], GET)
    sandbox.control.fault("firecrawl", "reset")
    with pytest.raises(requests.ConnectionError):
        firecrawl("POST", "/v1/batch/scrape", {"urls": pages(1)})
    assert sandbox.control.jobs() == []


def test_dropped_page(sandbox: Sandbox) -> None:
    assert raw(sandbox.urls["site"], "GET /drop/1.html HTTP/1.1\r\nHost: x\r\n\r\n") == b""


def test_slow_and_slow_body(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    sandbox.control.fault("firecrawl", "slow", seconds=30)
    with pytest.raises(requests.ReadTimeout):
        firecrawl("POST", "/v1/batch/scrape", {"urls": pages(1)}, timeout=0.2)
    assert len(sandbox.control.jobs()) == 1
    sandbox.control.fault("firecrawl", "slow_body", seconds=30)
    with (
        pytest.raises(requests.RequestException),
        requests.get(f"{sandbox.urls['firecrawl']}/v1/crawl/active", timeout=0.2, stream=True) as reply,
    ):
        assert reply.status_code == 200
        assert reply.content
    sandbox.control.fault("firecrawl", "slow", seconds=0.1)
    begun = time.monotonic()
    assert firecrawl("GET", "/v1/crawl/active").status_code == 200
    assert time.monotonic() - begun >= 0.1


@pytest.mark.parametrize("service", ["firecrawl", "datafiniti"])
def test_too_many_requests(sandbox: Sandbox, firecrawl: Any, datafiniti: Any, service: str) -> None:
    client = {"firecrawl": firecrawl, "datafiniti": datafiniti}[service]

    def answer(name: str) -> requests.Response:
        sandbox.control.fault(service, name, seconds=7)
        reply: requests.Response = client("GET", "/v4/account")
        assert reply.status_code == 429
        return reply

    assert answer("429_seconds").headers["Retry-After"] == "7"
    date = email.utils.parsedate_to_datetime(answer("429_date").headers["Retry-After"])
    assert abs(date.timestamp() - time.time() - 7) < 3
    assert "Retry-After" not in answer("429_text").headers
    assert "Retry-After" not in answer("429_bare").headers
    if service == "firecrawl":
        assert "please retry after 7s, resets at" in answer("429_text").json()["error"]
    else:
        assert answer("429_text").json() == {"errors": ["You have exceeded the maximum concurrent requests."]}


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("500", 500, "json"),
        ("502_html", 502, "html"),
        ("503", 503, "html"),
        ("504_empty", 504, None),
        ("html_404", 404, "html"),
        ("json_404", 404, "json"),
        ("html_200", 200, "html"),
        ("401", 401, "json"),
        ("402", 402, "json"),
        ("403", 403, "json"),
        ("400_token", 400, "json"),
        ("409", 409, "json"),
        ("410", 410, "json"),
        ("413", 413, "json"),
        ("ok_with_errors", 200, "json"),
        ("error_list", 400, "json"),
        ("error_object", 400, "json"),
        ("error_text", 400, "plain"),
        ("error_empty", 400, None),
    ],
)
@pytest.mark.parametrize("service", ["firecrawl", "datafiniti"])
def test_error_answers(
    sandbox: Sandbox, firecrawl: Any, datafiniti: Any, service: str, name: str, status: int, kind: str | None
) -> None:
    client = {"firecrawl": firecrawl, "datafiniti": datafiniti}[service]
    sandbox.control.fault(service, name)
    reply = client("POST", "/v4/people/search", {"query": "*:*", "download": True})
    assert reply.status_code == status
    if kind is None:
        assert reply.content == b""
    else:
        assert kind in reply.headers["Content-Type"]
    assert sandbox.control.jobs() == []
    if kind == "json":
        assert isinstance(reply.json(), dict)
    shown = sandbox.control.faults()[0]
    assert (shown["name"], shown["applied"]) == (name, 1)


def test_error_object_is_large(sandbox: Sandbox, firecrawl: Any) -> None:
    sandbox.control.fault("firecrawl", "error_object", status=500, text="it broke")
    reply = firecrawl("GET", "/v1/crawl/active")
    assert reply.status_code == 500
    assert reply.json()["error"]["reason"] == "it broke"
    assert len(reply.content) > 4096


def test_redirect(sandbox: Sandbox, firecrawl: Any) -> None:
    target = f"{sandbox.urls['stranger']}/v1/crawl/active"
    sandbox.control.fault("firecrawl", "redirect", to=target, status=307)
    reply = firecrawl("GET", "/v1/crawl/active")
    assert (reply.status_code, reply.headers["Location"]) == (307, target)
    assert requests.get(target, headers={"Authorization": "Bearer x"}, timeout=30).json()["success"] is True
    assert sandbox.control.requests(host="stranger")[0]["headers"]["authorization"] == "Bearer x"


def test_acted_upon_and_answered_wrongly(sandbox: Sandbox, firecrawl: Any, datafiniti: Any, pages: Any) -> None:
    sandbox.control.fault("firecrawl", "server_error_after_start")
    assert firecrawl("POST", "/v1/batch/scrape", {"urls": pages(1)}).status_code == 500
    sandbox.control.fault("datafiniti", "truncated_json")
    reply = datafiniti("POST", "/v4/people/search", {"query": "*:*", "download": True})
    assert reply.status_code == 202
    with pytest.raises(ValueError):
        reply.json()
    assert [job["service"] for job in sandbox.control.jobs()] == ["firecrawl", "datafiniti"]


def test_details_of_an_answer(sandbox: Sandbox, datafiniti: Any) -> None:
    sandbox.control.settings(datafiniti={"file_records": 2, "t_queue": 0, "rate": 1e6})
    body = {"query": "*:*", "download": True, "num_records": 4}
    sandbox.control.fault("datafiniti", "id_only_underscore")
    started = datafiniti("POST", "/v4/people/search", body).json()
    assert "id" not in started
    path = f"/v4/downloads/{started['_id']}"
    sandbox.control.wait_for(lambda: sandbox.control.jobs()[0]["state"] == "completed")
    for word in ("archiving", "COMPLETED", "canceled"):
        sandbox.control.fault("datafiniti", "status_word", word=word)
        assert datafiniti("GET", path).json()["status"] == word
    sandbox.control.fault("datafiniti", "status_word", word=None)
    assert "status" not in datafiniti("GET", path).json()
    sandbox.control.fault("datafiniti", "results_null")
    assert datafiniti("GET", path).json()["results"] is None
    sandbox.control.fault("datafiniti", "broken_link", index=1)
    links = datafiniti("GET", path).json()["results"]
    assert [requests.get(link, timeout=30).status_code for link in links] == [200, 404]
    sandbox.control.fault("datafiniti", "lost_link", index=1)
    assert datafiniti("GET", path).json()["results"] == links[:1]


def test_which_requests_a_fault_hits(sandbox: Sandbox, firecrawl: Any) -> None:
    control = sandbox.control
    control.fault("firecrawl", "503", times=2, skip=1, path_contains="/active", method="get")
    statuses = [firecrawl("GET", "/v1/crawl/active").status_code for _ in range(4)]
    assert statuses == [200, 503, 503, 200]
    control.fault("firecrawl", "500", times=None)
    assert [firecrawl("GET", "/v1/team/credit-usage").status_code for _ in range(3)] == [500] * 3
    assert [fault["applied"] for fault in control.faults()] == [2, 3]
    control.clear_faults()
    assert firecrawl("GET", "/v1/team/credit-usage").status_code == 200


def test_record_of_requests(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    before = time.time()
    headers = {"Authorization": "Bearer fc-canary", "X-Odd": "ä".encode().decode("latin-1")}
    firecrawl("POST", "/v1/batch/scrape?a=%20b&c", {"urls": pages(1)}, headers=headers)
    firecrawl("GET", "/v1/batch/scrape/a%2Fb")
    first, second = sandbox.control.requests(host="firecrawl")
    assert first["n"] == 1
    assert before <= first["time"] <= time.time()
    assert (first["method"], first["path"], first["query"]) == ("POST", "/v1/batch/scrape", "a=%20b&c")
    assert first["headers"]["authorization"] == "Bearer fc-canary"
    assert pages(1)[0] in first["body"]
    assert first["body_bytes"] == len(first["body"].encode())
    assert (first["status"], first["fault"]) == (200, None)
    assert second["path"] == "/v1/batch/scrape/a%2Fb"
    sandbox.control.wait_for(lambda: sandbox.control.requests(host="site"))
    found = sandbox.control.requests(method="post", path_contains="batch")
    assert [item["n"] for item in found] == [1]


def test_control_says_what_it_is(sandbox: Sandbox) -> None:
    info = sandbox.control.info()
    assert info["stand_in"] is True
    assert info["urls"] == {name: url for name, url in sandbox.urls.items() if name != "stand_in"}
    assert "stand-in" in requests.get(f"{sandbox.urls['site']}/", timeout=30).text


def test_control_refuses_what_it_does_not_know(sandbox: Sandbox) -> None:
    control = sandbox.control
    for call in (
        lambda: control.settings(firecrawl={"nope": 1}),
        lambda: control.settings(firecrawl={"hold": True, "pagination": "D"}),
        lambda: control.fault("firecrawl", "nope"),
        lambda: control.fault("nope", "500"),
        lambda: control.job("nope"),
        lambda: control.token("firecrawl", "nope", "x"),
    ):
        with pytest.raises(ControlError):
            call()
    assert control.settings()["firecrawl"]["hold"] is False
    with pytest.raises(AssertionError, match="last value was 0"):
        control.wait_for(lambda: 0, timeout=0.05)


def test_reset_forgets(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    control = sandbox.control
    control.settings(firecrawl={"hold": True})
    control.fault("firecrawl", "500", skip=1)
    control.advance(1000)
    firecrawl("POST", "/v1/batch/scrape", {"urls": pages(1)})
    control.reset()
    assert (control.jobs(), control.requests(), control.faults()) == ([], [], [])
    assert control.settings()["firecrawl"]["hold"] is False
    assert control.advance(0) == 0


def test_start_that_is_acted_upon_and_refused(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    text = "Queue limit reached: your team has 50000 jobs queued (limit: 50000)."
    sandbox.control.fault("firecrawl", "server_error_after_start", method="POST", status=429, text=text)
    reply = firecrawl("POST", "/v1/batch/scrape", {"urls": pages(1)})
    assert (reply.status_code, reply.json()) == (429, {"success": False, "error": text})
    assert len(sandbox.control.jobs()) == 1
