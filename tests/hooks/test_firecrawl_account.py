"""What a Firecrawl account can be asked through the hook, in both API versions and on older servers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_jobs.exceptions import (
    AuthenticationError,
    EndpointGoneError,
    JobNotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RemoteJobsError,
    RequestRejectedError,
    RouteNotFoundError,
    ServiceUnavailableError,
    UnexpectedReplyError,
)
from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook
from airflow_provider_jobs.sandbox import Sandbox
from tests.hooks.conftest import KEY
from tests.transport.wire import WireServer, reply

VERSIONS = pytest.mark.parametrize("version", ["v1", "v2"])

# Method of the hook -> its address, where %s is the version of the hook.
QUESTIONS = {
    "credit_usage": "/%s/team/credit-usage",
    "token_usage": "/%s/team/token-usage",
    "queue_status": "/%s/team/queue-status",
    "active_crawls": "/%s/crawl/active",
    "agents": "/v2/agent",
    "team_activity": "/v2/team/activity",
}
ALL = pytest.mark.parametrize("question", QUESTIONS)


def ask(hook: FirecrawlHook, question: str) -> Any:
    return getattr(hook, question)()


@pytest.fixture(autouse=True)
def no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_jobs.transport.policy.FIRST_BACKOFF", 0.01)


# -- the good case ---------------------------------------------------------------------------------------------------


@VERSIONS
@ALL
def test_where_it_asks(sandbox: Sandbox, firecrawl: Any, version: str, question: str) -> None:
    ask(firecrawl(argument=version), question)
    (seen,) = sandbox.control.requests(host="firecrawl")
    expected = QUESTIONS[question] % version if "%s" in QUESTIONS[question] else QUESTIONS[question]
    assert (seen["method"], seen["path"]) == ("GET", expected)
    assert seen["headers"]["authorization"] == f"Bearer {KEY}"


def test_usage_in_the_words_of_each_version(sandbox: Sandbox, firecrawl: Any) -> None:
    sandbox.control.settings(firecrawl={"credits": 500})
    old, new = firecrawl(argument="v1"), firecrawl(argument="v2")
    assert old.credit_usage()["remaining_credits"] == new.credit_usage()["remainingCredits"] == 500
    assert old.token_usage()["remaining_tokens"] == new.token_usage()["remainingTokens"] > 0
    assert "plan_credits" in old.credit_usage()
    assert "planCredits" in new.credit_usage()


@VERSIONS
def test_usage_on_a_server_of_2025(sandbox: Sandbox, firecrawl: Any, version: str) -> None:
    sandbox.control.settings(firecrawl={"server": "2025"})
    name = "remaining_credits" if version == "v1" else "remainingCredits"
    assert firecrawl(argument=version).credit_usage() == {name: 99_999_999}


@VERSIONS
def test_queue_status(sandbox: Sandbox, firecrawl: Any, version: str, pages: Any) -> None:
    sandbox.control.settings(firecrawl={"hold": True, "concurrency": 2})
    hook = firecrawl(argument=version)
    hook.start_batch_scrape(pages(1, 2, 3))
    status = hook.queue_status()
    assert (status["jobsInQueue"], status["maxConcurrency"], status["mostRecentSuccess"]) == (3, 2, None)
    assert "success" not in status


@VERSIONS
def test_active_crawls(sandbox: Sandbox, firecrawl: Any, version: str, pages: Any) -> None:
    """Crawls only, and none that is over."""
    sandbox.control.settings(firecrawl={"hold": True})
    hook = firecrawl(argument=version)
    url = f"{sandbox.urls['site']}/index.html"
    over, runs = hook.start_crawl(url, limit=1), hook.start_crawl(url, limit=2)
    hook.start_batch_scrape(pages(1))
    sandbox.control.act(over.ref.job_id, "finish")
    (crawl,) = hook.active_crawls()
    assert (crawl["id"], crawl["url"]) == (runs.ref.job_id, url)


def test_agents(sandbox: Sandbox, firecrawl: Any) -> None:
    """Of API v2, whatever the hook's version."""
    sandbox.control.settings(firecrawl={"hold": True})
    hook = firecrawl(api_version="v1")
    first, second = hook.start_agent("one"), hook.start_agent("two")
    sandbox.control.act(first.ref.job_id, "finish")
    found = hook.agents()
    assert [run["id"] for run in found] == [second.ref.job_id, first.ref.job_id]
    assert [run["status"] for run in found] == ["processing", "completed"]


def test_team_activity(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    sandbox.control.settings(firecrawl={"hold": True})
    hook = firecrawl(api_version="v1")
    agent = hook.start_agent("one")
    batch = hook.start_batch_scrape(pages(1))
    assert [(entry["id"], entry["endpoint"]) for entry in hook.team_activity()] == [
        (batch.ref.job_id, "batch_scrape"), (agent.ref.job_id, "agent")
    ]  # fmt: skip
    assert [entry["id"] for entry in hook.team_activity(endpoint="agent")] == [agent.ref.job_id]
    with pytest.raises(RequestRejectedError, match="endpoint"):
        hook.team_activity(endpoint="nothing")


def test_team_activity_of_more_than_a_page(sandbox: Sandbox, firecrawl: Any) -> None:
    """P4: all pages, each entry once."""
    sandbox.control.settings(firecrawl={"hold": True})
    hook = firecrawl()
    started = [hook.start_agent("one").ref.job_id for _ in range(205)]
    found = [entry["id"] for entry in hook.team_activity()]
    assert sorted(found) == sorted(started)
    assert len(sandbox.control.requests(path_contains="/team/activity")) == 3


def test_a_list_that_never_ends() -> None:
    body = {"success": True, "data": [{"id": "a"}], "cursor": "x", "has_more": True}
    with WireServer(lambda *_: reply(200, json.dumps(body))) as server:
        hook = at(server)
        assert hook.team_activity() == [{"id": "a"}, {"id": "a"}]
    assert len(server.asked) == 2


# -- what older servers lack -----------------------------------------------------------------------------------------


@VERSIONS
@pytest.mark.parametrize("question", ["queue_status", "agents", "team_activity"])
def test_servers_of_2025_lack_it(sandbox: Sandbox, firecrawl: Any, version: str, question: str) -> None:
    sandbox.control.settings(firecrawl={"server": "2025"})
    with pytest.raises(RouteNotFoundError, match="no such address on this server"):
        ask(firecrawl(argument=version), question)


def test_servers_without_the_newer_agents_cannot_list_them(sandbox: Sandbox, firecrawl: Any) -> None:
    sandbox.control.settings(firecrawl={"agent_newer": False})
    with pytest.raises(RouteNotFoundError):
        firecrawl().agents()


@VERSIONS
@pytest.mark.parametrize("question", ["credit_usage", "token_usage"])
def test_usage_that_cannot_be_told(sandbox: Sandbox, firecrawl: Any, version: str, question: str) -> None:
    """404 as JSON."""
    sandbox.control.settings(firecrawl={"no_usage": True})
    with pytest.raises(JobNotFoundError, match="Could not find credit usage information"):
        ask(firecrawl(argument=version), question)


# -- errors ----------------------------------------------------------------------------------------------------------

FINAL = [
    ("error_list", RequestRejectedError, "something went wrong"),
    ("401", AuthenticationError, "the key was not accepted"),
    ("402", RemoteJobsError, "Insufficient credits"),
    ("403", PermissionDeniedError, "may not do this"),
    ("html_404", RouteNotFoundError, "check the connection's host"),
    ("410", EndpointGoneError, "shut this endpoint down"),
]


@VERSIONS
@ALL
@pytest.mark.pitfall("F39")
@pytest.mark.parametrize(("fault", "error", "told"), FINAL, ids=[case[0] for case in FINAL])
def test_a_final_error(
    sandbox: Sandbox, firecrawl: Any, version: str, question: str, fault: str, error: Any, told: str
) -> None:
    sandbox.control.fault("firecrawl", fault, times=None)
    with pytest.raises(error, match=told) as caught:
        ask(firecrawl(argument=version), question)
    assert caught.value.permanent
    assert KEY not in str(caught.value)
    assert len(sandbox.control.requests(host="firecrawl")) == 1


@ALL
@pytest.mark.parametrize("fault", ["500", "502_html", "504_empty", "reset", "lost_reply"])
def test_an_error_of_the_moment_is_asked_again(sandbox: Sandbox, firecrawl: Any, question: str, fault: str) -> None:
    sandbox.control.fault("firecrawl", fault, times=2)
    assert ask(firecrawl(), question) is not None
    assert len(sandbox.control.requests(host="firecrawl")) == 3


@ALL
def test_an_error_that_stays(sandbox: Sandbox, firecrawl: Any, question: str) -> None:
    sandbox.control.fault("firecrawl", "500", times=None)
    with pytest.raises(ServiceUnavailableError):
        ask(firecrawl(), question)


@ALL
def test_too_many_requests(sandbox: Sandbox, firecrawl: Any, question: str) -> None:
    sandbox.control.fault("firecrawl", "429_seconds", times=None, seconds=3600)
    with pytest.raises(RateLimitedError, match="too many requests"):
        ask(firecrawl(), question)


def at(server: WireServer, version: str = "v1") -> FirecrawlHook:
    """A hook on a server of a test's own."""
    hook = FirecrawlHook("odd", api_version=version)
    with pytest.MonkeyPatch.context() as patch:
        fields = {"conn_type": "firecrawl", "host": server.url, "password": KEY}
        patch.setenv("AIRFLOW_CONN_ODD", json.dumps(fields))
        assert hook.endpoint.base_url == server.url
    return hook


@ALL
@pytest.mark.parametrize("body", ["[]", "7", "null", "OK", "<html></html>", '{"success": true'])
def test_an_answer_that_is_no_object(question: str, body: str) -> None:
    with WireServer(lambda *_: reply(200, body)) as server, pytest.raises(UnexpectedReplyError):
        ask(at(server), question)


@ALL
@pytest.mark.parametrize("data", [None, "text", 7, [1, "x", None], {"a": 1}])
@pytest.mark.pitfall("F44")
def test_an_answer_with_something_else_in_it(question: str, data: Any) -> None:
    """Lists hold what is an entry, and nothing else; usage is an object or an error of ours."""
    body = {"success": True, "data": data, "crawls": data, "agents": data, "has_more": True, "cursor": data}
    with WireServer(lambda *_: reply(200, json.dumps(body))) as server:
        if question in {"credit_usage", "token_usage"} and not isinstance(data, dict):
            with pytest.raises(UnexpectedReplyError, match="without data"):
                ask(at(server), question)
            return
        found = ask(at(server), question)
    if question.endswith("usage"):
        assert found == {"a": 1}
    elif question == "queue_status":
        assert found["data"] == data
    else:
        assert found == []
