"""Datafiniti with login and password: one token, renewed at most once, never in a loop."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from airflow_provider_jobs.exceptions import AuthenticationError, RemoteJobsError, StartUncertainError
from airflow_provider_jobs.jobs.model import JobState
from airflow_provider_jobs.sandbox import Sandbox
from tests.transport.wire import Asked, Line, WireServer, reply

USER = {"login": "user@example.com", "password": "secret", "auth": "login"}


def logins(sandbox: Sandbox) -> int:
    return len(sandbox.control.requests(host="datafiniti", path_contains="/auth"))


def naps(_: float) -> None:
    time.sleep(0.01)


def test_one_token_serves_a_whole_life(sandbox: Sandbox, datafiniti: Any) -> None:
    hook = datafiniti(**USER)
    job = hook.start_download("businesses", "country:US", 5)
    sandbox.control.act(job.ref.job_id, "finish")
    status = hook.wait(job, sleep=naps)
    list(hook.lines(status.links[0], "one.txt"))
    hook.cancel(job.ref, pauses=(0.01,))
    assert status.state is JobState.SUCCEEDED
    assert logins(sandbox) == 1
    calls = sandbox.control.requests(host="datafiniti")
    assert "authorization" not in calls[0]["headers"]
    assert len({call["headers"]["authorization"] for call in calls[1:]}) == 1


def test_worker_and_loop_share_the_token_of_a_hook(sandbox: Sandbox, datafiniti: Any) -> None:
    hook = datafiniti(**USER)
    hook.downloads()

    async def look() -> Any:
        async with hook.aconn() as transport:
            return await transport.run(hook.service.account())

    assert "credits" in asyncio.run(look())
    assert logins(sandbox) == 1


@pytest.mark.pitfall("DF16")
@pytest.mark.parametrize("status", [401, 400])
def test_a_revoked_token_is_renewed_once(sandbox: Sandbox, datafiniti: Any, status: int) -> None:
    """DF16: 401, or the 400 that speaks of the user token."""
    sandbox.control.settings(datafiniti={"bad_token_status": status})
    hook = datafiniti(**USER)
    hook.downloads()
    sandbox.control.token("datafiniti", "revoke", hook.credentials.current)
    hook.downloads()
    hook.downloads()
    assert logins(sandbox) == 2


def test_a_start_with_a_revoked_token_starts_one_job(sandbox: Sandbox, datafiniti: Any) -> None:
    """The refusal is definite, so the start may be sent again with the new token."""
    hook = datafiniti(**USER)
    hook.downloads()
    sandbox.control.token("datafiniti", "revoke", hook.credentials.current)
    job = hook.start_download("businesses", "country:US", 5)
    assert [found["id"] for found in sandbox.control.jobs("datafiniti")] == [job.ref.job_id]


@pytest.mark.parametrize("fault", ["401", "400_token"])
def test_a_refusal_that_stays_ends_after_one_renewal(sandbox: Sandbox, datafiniti: Any, fault: str) -> None:
    hook = datafiniti(**USER)
    sandbox.control.fault("datafiniti", fault, times=None, path_contains="/downloads")
    with pytest.raises(AuthenticationError):
        hook.downloads()
    assert logins(sandbox) == 2
    assert len(sandbox.control.requests(host="datafiniti", path_contains="/downloads")) == 2


def test_another_400_is_no_matter_of_the_token(sandbox: Sandbox, datafiniti: Any) -> None:
    hook = datafiniti(**USER)
    with pytest.raises(RemoteJobsError, match="ID must be a number"):
        hook.look(hook.job("abc"))
    assert logins(sandbox) == 1


def test_a_refused_login_is_said_and_not_repeated(sandbox: Sandbox, datafiniti: Any) -> None:
    hook = datafiniti(**{**USER, "password": "word4711"})
    for attempt in (hook.downloads, lambda: hook.start_download("businesses", "country:US", 5)):
        before = logins(sandbox)
        with pytest.raises(AuthenticationError, match="login and password") as caught:
            attempt()
        assert logins(sandbox) == before + 1
        assert "4711" not in str(caught.value)
    good, text = hook.test_connection()
    assert not good
    assert "login and password" in text
    assert {call["path"] for call in sandbox.control.requests(host="datafiniti")} == {"/v4/auth"}


def test_a_token_is_not_renewed_without_a_login(sandbox: Sandbox, datafiniti: Any) -> None:
    sandbox.control.token("datafiniti", "revoke", "sandbox-token")
    with pytest.raises(AuthenticationError):
        datafiniti().downloads()
    assert len(sandbox.control.requests(host="datafiniti")) == 1


@pytest.mark.parametrize("fault", ["500", "503", "429_seconds", "lost_reply", "reset"])
def test_a_login_that_fails_for_a_moment_is_no_refusal(sandbox: Sandbox, datafiniti: Any, fault: str) -> None:
    """P2: a running job is not given up because its token could not be renewed just now."""
    sandbox.control.fault("datafiniti", fault, times=1, path_contains="/auth", seconds=0)
    assert datafiniti(**USER).downloads() == []
    assert logins(sandbox) == 2


@pytest.mark.pitfall("DF2")
@pytest.mark.parametrize("fault", ["500", "503", "lost_reply", "reset", "html_200"])
def test_a_login_that_fails_is_no_uncertain_start(sandbox: Sandbox, datafiniti: Any, fault: str) -> None:
    """DF2: nothing can have started when the start was never sent."""
    sandbox.control.fault("datafiniti", fault, times=None, path_contains="/auth")
    hook = datafiniti(**USER)
    spec = hook.service.download("businesses", "country:US", 5)
    with pytest.raises(RemoteJobsError) as caught:
        hook.start(spec, sleep=naps)
    assert not isinstance(caught.value, StartUncertainError)
    assert sandbox.control.requests(host="datafiniti", path_contains="/search") == []


def test_the_password_goes_to_the_configured_host_alone(sandbox: Sandbox, datafiniti: Any) -> None:
    """P5."""
    sandbox.control.fault("datafiniti", "redirect", times=None, to=f"{sandbox.urls['stranger']}/v4/auth", status=307)
    with pytest.raises(RemoteJobsError, match="redirected"):
        datafiniti(**USER).downloads()
    assert sandbox.control.requests(host="stranger") == []


def test_an_obtained_token_that_comes_back_is_not_shown(datafiniti: Any) -> None:
    def answer(asked: Asked, line: Line) -> bytes:
        if asked.target.endswith("/auth"):
            return reply(200, '{"token": "df-canary-4711-0815"}')
        return reply(403, '{"errors": ["' + str(asked.authorization) + ' may not"]}')

    with WireServer(answer) as server, pytest.raises(RemoteJobsError, match="may not") as caught:
        datafiniti(host=server.url, **USER).downloads()
    assert "4711" not in str(caught.value)
