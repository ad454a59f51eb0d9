"""Crawls, agents and extracts through the hook, as somebody uses it in a task of their own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_jobs.exceptions import (
    AuthenticationError,
    EndpointGoneError,
    InvalidInputError,
    JobNotFoundError,
    NotCancellableError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitedError,
    RequestRejectedError,
    ResultIncompleteError,
    RouteNotFoundError,
    ServiceUnavailableError,
    StartUncertainError,
    UnexpectedReplyError,
)
from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook
from airflow_provider_jobs.jobs.model import JobRef, JobState, StartedJob
from airflow_provider_jobs.sandbox import Sandbox
from tests.hooks.conftest import KEY
from tests.transport.wire import WireServer, reply

NO_JOB = "00000000-0000-4000-8000-000000000000"
KINDS = pytest.mark.parametrize(
    ("kind", "version"), [("crawl", "v1"), ("crawl", "v2"), ("agent", "v2"), ("extract", "v1"), ("extract", "v2")]
)
CRAWLS = pytest.mark.parametrize("version", ["v1", "v2"])


@pytest.fixture
def start(sandbox: Sandbox) -> Callable[..., StartedJob]:
    """Start a job of a kind through a hook."""

    def begin(hook: FirecrawlHook, kind: str) -> StartedJob:
        site = sandbox.urls["site"]
        if kind == "crawl":
            return hook.start_crawl(f"{site}/articles/1.html", limit=3)
        if kind == "agent":
            return hook.start_agent("who keeps bees?", urls=[f"{site}/articles/15.html"], max_credits=100)
        return hook.start_extract(urls=[f"{site}/articles/15.html"], prompt="the title")

    return begin


def moment(_: float) -> None:
    """A pause of a wait that lets the server get on."""
    time.sleep(0.01)


def posts(sandbox: Sandbox) -> list[dict[str, Any]]:
    return list(sandbox.control.requests(host="firecrawl", method="POST"))


# -- a whole life ----------------------------------------------------------------------------------------------------


@CRAWLS
def test_a_crawl(sandbox: Sandbox, firecrawl: Any, start: Any, version: str) -> None:
    hook = firecrawl(argument=version)
    job = start(hook, "crawl")
    status = hook.wait(job, sleep=moment)
    documents = list(hook.documents(job.ref))
    assert (status.state, status.completed, status.total) == (JobState.SUCCEEDED, 3, 3)
    assert len(documents) == 3
    assert hook.page_errors(job.ref) == []
    assert job.ref == JobRef("firecrawl", "crawl", job.ref.job_id, version)
    assert {seen["path"].split("/")[1] for seen in sandbox.control.requests(host="firecrawl")} == {version}
    with pytest.raises(InvalidInputError, match="is one value, not a list of documents"):
        hook.pages(JobRef("firecrawl", "agent", "1", "v2"))


@pytest.mark.parametrize(("kind", "version"), [("agent", "v2"), ("extract", "v1"), ("extract", "v2")])
def test_one_value(sandbox: Sandbox, firecrawl: Any, start: Any, kind: str, version: str) -> None:
    sandbox.control.settings(firecrawl={"hold": True})
    hook = firecrawl(argument=version)
    job = start(hook, kind)
    assert hook.value(job.ref) is None
    sandbox.control.act(job.ref.job_id, "finish", data={"title": "Beekeeping"})
    status = hook.wait(job, sleep=moment)
    assert (status.state, status.completed, status.total, status.error) == (JobState.SUCCEEDED, None, None, None)
    assert hook.value(job.ref) == {"title": "Beekeeping"}
    assert json.loads(hook.raw_value(job.ref)) == {"title": "Beekeeping"}
    assert hook.page_errors(job.ref) == []


@CRAWLS
@pytest.mark.pitfall("F35")
def test_what_a_crawl_could_not_have(sandbox: Sandbox, firecrawl: Any, version: str) -> None:
    """Failed pages and those that robots.txt forbids, each with its reason."""
    sandbox.control.fault("site", "reset", path_contains="/articles/1.html", times=None)
    hook, site = firecrawl(argument=version), sandbox.urls["site"]
    options = {"includePaths": ["^/(index|private|articles/1.html)"], "crawlEntireDomain": True}
    job = hook.start_crawl(f"{site}/index.html", limit=50, options=options)
    hook.wait(job, sleep=moment)
    errors = {entry["url"]: entry for entry in hook.page_errors(job.ref)}
    assert errors[f"{site}/articles/1.html"]["code"] == "SCRAPE_ALL_ENGINES_FAILED"
    assert errors[f"{site}/private/secret.html"] == {
        "url": f"{site}/private/secret.html", "error": "blocked by the site's robots.txt", "code": "ROBOTS_BLOCKED"
    }  # fmt: skip


@CRAWLS
def test_looks_at_a_crawl_carry_no_documents(sandbox: Sandbox, firecrawl: Any, start: Any, version: str) -> None:
    """P7."""
    hook = firecrawl(argument=version)
    job = start(hook, "crawl")
    hook.wait(job, sleep=moment)
    for seen in sandbox.control.requests(host="firecrawl", method="GET"):
        assert "limit=1" in seen["query"]


@CRAWLS
@pytest.mark.pitfall("F4")
def test_the_key_does_not_follow_next(sandbox: Sandbox, firecrawl: Any, start: Any, version: str) -> None:
    """P5: of `next`, only the number is used."""
    stranger = sandbox.urls["stranger"]
    sandbox.control.settings(firecrawl={"page_documents": 1, "next_origin": stranger})
    hook = firecrawl(argument=version)
    job = start(hook, "crawl")
    hook.wait(job, sleep=moment)
    assert len(list(hook.documents(job.ref))) == 3
    assert sandbox.control.requests(host="stranger") == []


@CRAWLS
@pytest.mark.pitfall("F7")
def test_documents_that_the_server_lost(sandbox: Sandbox, firecrawl: Any, start: Any, version: str) -> None:
    """P4."""
    sandbox.control.settings(firecrawl={"drop_results": 1})
    hook = firecrawl(argument=version)
    job = start(hook, "crawl")
    hook.wait(job, sleep=moment)
    with pytest.raises(ResultIncompleteError, match="counts 3 documents, and 2 different ones came"):
        list(hook.documents(job.ref))


@pytest.mark.parametrize("connection_version", ["v1", "v2"])
def test_an_agent_is_of_v2(sandbox: Sandbox, firecrawl: Any, start: Any, connection_version: str) -> None:
    hook = firecrawl(api_version=connection_version)
    job = start(hook, "agent")
    hook.wait(job, sleep=moment)
    assert hook.job(job.ref.job_id, "agent") == job.ref
    assert {seen["path"].split("/")[1] for seen in sandbox.control.requests(host="firecrawl")} == {"v2"}
    assert hook.job("1", "crawl").api_version == connection_version


def test_names_of_jobs(firecrawl: Any) -> None:
    with pytest.raises(InvalidInputError, match="agent in v2 only"):
        firecrawl(argument="v1").job("1", "agent")
    with pytest.raises(InvalidInputError, match="kind must be one of"):
        firecrawl().job("1", "scrape")
    with pytest.raises(InvalidInputError, match="job_id"):
        firecrawl().job(" ", "crawl")


# -- cancel ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "version"), [("crawl", "v1"), ("crawl", "v2"), ("agent", "v2")])
def test_cancel(sandbox: Sandbox, firecrawl: Any, start: Any, kind: str, version: str) -> None:
    sandbox.control.settings(firecrawl={"hold": True, "cancel_ignored": 1})
    hook = firecrawl(argument=version)
    job = start(hook, kind)
    outcome = hook.cancel(job.ref, pauses=(0.01,) * 4)
    assert not outcome.was_over
    assert outcome.status.state.is_over
    assert sandbox.control.job(job.ref.job_id)["cancelled_by_delete"]
    assert len(sandbox.control.requests(method="DELETE")) == 2, "the first was lost"


def test_an_extract_cannot_be_cancelled(sandbox: Sandbox, firecrawl: Any, start: Any) -> None:
    sandbox.control.settings(firecrawl={"hold": True})
    hook = firecrawl()
    job = start(hook, "extract")
    for attempt in (hook.cancel, hook.cancel_quickly):
        with pytest.raises(NotCancellableError, match="Firecrawl cannot cancel 'extract'"):
            attempt(job.ref)
    assert sandbox.control.requests(method="DELETE") == []


# -- errors of a start -----------------------------------------------------------------------------------------------

FINAL = [
    ("error_list", {"text": "Unrecognized key"}, RequestRejectedError, "Unrecognized key"),
    ("401", {}, AuthenticationError, "the key was not accepted"),
    ("402", {}, PaymentRequiredError, "Insufficient credits"),
    ("403", {}, PermissionDeniedError, "may not do this"),
    ("json_404", {}, JobNotFoundError, "HTTP 404"),
    ("html_404", {}, RouteNotFoundError, "no such address"),
    ("409", {}, RequestRejectedError, "HTTP 409"),
    ("410", {}, EndpointGoneError, "HTTP 410"),
    ("413", {}, RequestRejectedError, "too large"),
    ("error_object", {"text": "it failed"}, RequestRejectedError, "it failed"),
]
LOST = ["lost_reply", "reset", "500", "502_html", "503", "504_empty", "truncated_json", "html_200"]


@KINDS
@pytest.mark.pitfall("F39", "F43")
@pytest.mark.parametrize(("fault", "params", "error", "told"), FINAL, ids=[case[0] for case in FINAL])
def test_a_refused_start(
    sandbox: Sandbox,
    firecrawl: Any,
    start: Any,
    kind: str,
    version: str,
    fault: str,
    params: Any,
    error: Any,
    told: str,
) -> None:
    sandbox.control.fault("firecrawl", fault, method="POST", times=None, **params)
    with pytest.raises(error, match=told) as caught:
        start(firecrawl(argument=version), kind)
    assert caught.value.permanent
    assert not isinstance(caught.value, StartUncertainError)
    assert f"POST /{version}/{kind}" in str(caught.value)
    assert KEY not in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert ("FirecrawlAgentOperator" in str(caught.value)) is (kind == "extract" and fault == "410")
    assert len(posts(sandbox)) == 1


@KINDS
@pytest.mark.pitfall("F19")
@pytest.mark.parametrize("fault", LOST)
def test_a_lost_start(sandbox: Sandbox, firecrawl: Any, start: Any, kind: str, version: str, fault: str) -> None:
    """P3."""
    sandbox.control.fault("firecrawl", fault, method="POST", times=None)
    hook = firecrawl(argument=version)
    with pytest.raises(StartUncertainError) as caught:
        start(hook, kind)
    assert caught.value.permanent
    assert f"asked to start a {kind}" in str(caught.value)
    assert f"connection {hook.conn_id}" in str(caught.value)
    assert len(posts(sandbox)) == 1


@KINDS
@pytest.mark.pitfall("F18")
def test_too_many_starts(sandbox: Sandbox, firecrawl: Any, start: Any, kind: str, version: str) -> None:
    sandbox.control.fault("firecrawl", "429_seconds", method="POST", times=None, seconds=3600)
    with pytest.raises(RateLimitedError) as caught:
        start(firecrawl(argument=version), kind)
    assert not caught.value.permanent
    assert sandbox.control.jobs() == []


# -- errors of a look ------------------------------------------------------------------------------------------------

LOOKS = [
    ("401", AuthenticationError), ("403", PermissionDeniedError), ("html_404", RouteNotFoundError),
    ("json_404", JobNotFoundError), ("410", EndpointGoneError), ("429_bare", RateLimitedError),
    ("500", ServiceUnavailableError), ("502_html", ServiceUnavailableError), ("html_200", UnexpectedReplyError),
    ("ok_with_errors", UnexpectedReplyError), ("truncated_json", UnexpectedReplyError),
]  # fmt: skip


@KINDS
@pytest.mark.parametrize(("fault", "error"), LOOKS)
def test_a_look_that_fails(
    sandbox: Sandbox, firecrawl: Any, start: Any, kind: str, version: str, fault: str, error: Any
) -> None:
    sandbox.control.settings(firecrawl={"hold": True})
    hook = firecrawl(argument=version)
    job = start(hook, kind)
    sandbox.control.fault("firecrawl", fault, method="GET", times=None)
    with pytest.raises(error) as caught:
        hook.look(job.ref)
    assert KEY not in str(caught.value)
    if caught.value.permanent:  # others are asked again for a while
        with pytest.raises(error):
            hook.value(job.ref) if kind != "crawl" else list(hook.documents(job.ref))


@KINDS
@pytest.mark.pitfall("F15")
def test_an_unknown_id(firecrawl: Any, kind: str, version: str) -> None:
    hook = firecrawl(argument=version)
    with pytest.raises(JobNotFoundError, match="not found"):
        hook.look(hook.job(NO_JOB, kind))
    with pytest.raises(RequestRejectedError, match="Invalid job ID format"):
        hook.look(hook.job("no-uuid", kind))


@KINDS
@pytest.mark.pitfall("F44")
@pytest.mark.parametrize("word", ["paused", "queued", ""])
def test_a_word_that_nobody_knows_is_no_end(
    sandbox: Sandbox, firecrawl: Any, start: Any, kind: str, version: str, word: str
) -> None:
    sandbox.control.settings(firecrawl={"hold": True})
    hook = firecrawl(argument=version)
    job = start(hook, kind)
    sandbox.control.fault("firecrawl", "status_word", method="GET", times=None, word=word)
    status = hook.look(job.ref)
    assert (status.state, status.raw_status) == (JobState.UNKNOWN, word)
    assert not status.state.is_over


@pytest.mark.parametrize("kind", ["agent", "extract"])
@pytest.mark.parametrize(
    ("body", "state", "error"),
    [
        ({"success": True, "status": "completed", "data": "text"}, "succeeded", None),
        ({"success": False, "status": "processing", "error": {"message": "odd"}}, "failed", "odd"),
        ({"success": False, "error": ["a", {"msg": "b"}]}, "failed", "a; b"),
        ({"success": True, "status": "failed", "error": None, "stopReason": "max_steps"}, "failed", "max_steps"),
        ({"success": True, "status": "FAILED", "error": "x" * 9000}, "failed", "xxx"),
        ({"success": True, "status": "processing", "creditsUsed": -1}, "running", None),
        ({"success": True, "status": "processing", "creditsUsed": "7", "completed": True}, "running", None),
    ],
)
@pytest.mark.pitfall("F13", "F28", "F43")
def test_odd_words(kind: str, body: dict[str, Any], state: str, error: str | None) -> None:
    with WireServer(lambda *_: reply(200, json.dumps(body))) as server:
        status = at(server).look(JobRef("firecrawl", kind, NO_JOB, "v2"))
    assert str(status.state) == state
    assert (status.error or "").startswith(error or "")
    assert len(status.error or "") <= 500
    assert (status.credits_used, status.completed) == (None, None)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("null", None), ("[]", None), ("{}", None), ("0", 0), ("false", False), ('""', ""), ('"text"', "text"),
        ("[ ]", None), ('{"a": [1, {"b": null}]}', {"a": [1, {"b": None}]}),
    ],
)  # fmt: skip
def test_values(data: str, value: Any) -> None:
    """What is empty is no answer; anything else is, also a number or a text."""
    body = f'{{"success": true, "status": "completed", "data": {data}}}'
    with WireServer(lambda *_: reply(200, body)) as server:
        assert at(server).value(JobRef("firecrawl", "agent", NO_JOB, "v2")) == value


def at(server: WireServer) -> FirecrawlHook:
    """A hook on a server of a test's own."""
    hook = FirecrawlHook("odd", api_version="v2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_ODD", json.dumps({"conn_type": "firecrawl", "host": server.url, "password": KEY}))
        assert hook.endpoint.base_url == server.url
    return hook
