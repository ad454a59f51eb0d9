"""The life of a job through the hook, as somebody uses it in a task of their own: wait, cancel, read."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_jobs.exceptions import (
    AuthenticationError,
    JobNotCancelledError,
    JobNotFoundError,
    JobTimeoutError,
    RemoteJobsError,
    RouteNotFoundError,
)
from airflow_provider_jobs.jobs.model import JobRef, JobState, JobStatus, StartedJob
from airflow_provider_jobs.sandbox import Sandbox
from tests.hooks.conftest import KEY

NO_JOB = "00000000-0000-4000-8000-000000000000"
SHORT = (0.05,) * 6


class Naps:
    """A sleep that notes what was asked for and takes a moment, so that a server gets on."""

    def __init__(self, then: Callable[[int], None] = lambda _: None) -> None:
        self.asked: list[float] = []
        self._then = then

    def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        self._then(len(self.asked))
        time.sleep(min(seconds, 0.01))


def seen(sandbox: Sandbox, method: str) -> int:
    return len(sandbox.control.requests(host="firecrawl", method=method))


# --- usable from a plain function -------------------------------------------------------------------------------


def test_a_whole_life_at_firecrawl(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    hook = firecrawl()
    job = hook.start_batch_scrape(pages(1, 2, 3))
    status = hook.wait(job, sleep=Naps())
    documents = list(hook.documents(job.ref))
    assert (status.state, status.completed) == (JobState.SUCCEEDED, 3)
    assert {document["metadata"]["sourceURL"] for document in documents} == set(pages(1, 2, 3))
    assert hook.page_errors(job.ref) == []
    assert {call["headers"]["authorization"] for call in sandbox.control.requests(host="firecrawl")} == {
        f"Bearer {KEY}"
    }


@pytest.mark.pitfall("DF14")
@pytest.mark.parametrize("wire", ["w1", "w2", "w3"])
def test_a_whole_life_at_datafiniti(sandbox: Sandbox, datafiniti: Any, wire: str) -> None:
    """DF14: the files come without the token."""
    sandbox.control.settings(datafiniti={"wire": wire, "hold": True, "file_records": 4})
    hook = datafiniti()
    job = hook.start_download("businesses", "country:US", 10)
    status = hook.wait(job, sleep=Naps(lambda _: sandbox.control.act(job.ref.job_id, "finish") and None))
    records = [json.loads(line) for number, link in enumerate(status.links) for line in hook.lines(link, f"f{number}")]
    assert status.state is JobState.SUCCEEDED
    assert len(status.links) > 1
    assert len(records) == 10
    assert status.completed in (10, None)
    assert job.ref.job_id in {found for found, _ in hook.downloads()}
    assert all("authorization" not in call["headers"] for call in sandbox.control.requests(host="files"))
    assert len(sandbox.control.requests(host="files")) == len(status.links)


# --- wait -------------------------------------------------------------------------------------------------------


def test_every_look_is_told_and_the_last_is_returned(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    sandbox.control.settings(firecrawl={"hold_after": 2})
    hook = firecrawl()
    job = hook.start_batch_scrape(pages(1, 2, 3))
    told: list[JobStatus] = []

    def then(count: int) -> None:
        if count == 3:
            sandbox.control.act(job.ref.job_id, "finish")

    status = hook.wait(job, on_status=told.append, sleep=Naps(then))
    assert len(told) == 4
    assert [look.state for look in told] == [JobState.RUNNING] * 3 + [JobState.SUCCEEDED]
    assert told[-1] is status


@pytest.mark.parametrize(("action", "state"), [("fail", JobState.FAILED), ("cancel", JobState.CANCELLED)])
def test_an_end_is_returned_whichever_it_is(
    sandbox: Sandbox, firecrawl: Any, pages: Any, action: str, state: JobState
) -> None:
    sandbox.control.settings(firecrawl={"hold": True})
    hook = firecrawl()
    job = hook.start_batch_scrape(pages(1))
    status = hook.wait(job, sleep=Naps(lambda _: sandbox.control.act(job.ref.job_id, action) and None))
    assert status.state is state


@pytest.mark.pitfall("F32")
def test_a_look_carries_no_documents(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    """P7."""
    hook = firecrawl()
    job = hook.start_batch_scrape(pages(1))
    hook.wait(job, sleep=Naps())
    for call in sandbox.control.requests(host="firecrawl", method="GET"):
        assert "limit=1" in call["query"]


@pytest.mark.pitfall("F14")
def test_not_found_right_after_the_start_means_not_yet(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    """F14."""
    sandbox.control.settings(firecrawl={"not_found_for": 30.0})
    hook = firecrawl()
    job = hook.start_batch_scrape(pages(1))

    def then(count: int) -> None:
        if count == 3:
            sandbox.control.advance(30.0)

    naps = Naps(then)
    assert hook.wait(job, sleep=naps).state is JobState.SUCCEEDED
    assert len(naps.asked) >= 3


@pytest.mark.pitfall("F14", "F17")
@pytest.mark.parametrize("fault", ["500", "502_html", "503", "lost_reply", "429_text", "html_404", "truncated_json"])
def test_looks_that_fail_do_not_end_the_wait(sandbox: Sandbox, firecrawl: Any, pages: Any, fault: str) -> None:
    """P2, F16, F17: the job runs on, so the wait goes on. A page in the middle is a proxy that restarts."""
    hook = firecrawl()
    job = hook.start_batch_scrape(pages(1))
    sandbox.control.settings(firecrawl={"hold": True})
    sandbox.control.fault("firecrawl", fault, method="GET", times=4, skip=1, seconds=3)

    def then(count: int) -> None:
        if count == 6:
            sandbox.control.settings(firecrawl={"hold": False})

    assert hook.wait(job, sleep=Naps(then)).state is JobState.SUCCEEDED
    assert len(sandbox.control.jobs("firecrawl")) == 1


@pytest.mark.pitfall("F18")
def test_a_wait_that_was_told_is_kept(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    """F18."""
    hook = firecrawl()
    job = hook.start_batch_scrape(pages(1))
    sandbox.control.fault("firecrawl", "429_text", method="GET", times=1, seconds=23)
    naps = Naps()
    hook.wait(job, sleep=naps)
    assert naps.asked[0] >= 23


def test_an_absurd_wait_is_not_kept(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    hook = firecrawl()
    job = hook.start_batch_scrape(pages(1))
    sandbox.control.fault("firecrawl", "429_seconds", method="GET", times=1, seconds=999_999)
    naps = Naps()
    hook.wait(job, sleep=naps)
    assert naps.asked[0] <= 3600


@pytest.mark.pitfall("F15")
def test_not_found_later_is_final(firecrawl: Any) -> None:
    """F15."""
    ref = JobRef("firecrawl", "batch_scrape", NO_JOB, "v1")
    naps = Naps()
    with pytest.raises(JobNotFoundError, match=NO_JOB):
        firecrawl().wait(StartedJob(ref, time.time() - 120), sleep=naps)
    assert naps.asked == []


@pytest.mark.pitfall("F39")
@pytest.mark.parametrize("fault", ["401", "403", "410"])
def test_what_is_permanent_ends_the_wait_at_once(sandbox: Sandbox, firecrawl: Any, pages: Any, fault: str) -> None:
    """F39."""
    hook = firecrawl()
    job = hook.start_batch_scrape(pages(1))
    sandbox.control.fault("firecrawl", fault, method="GET", times=None)
    with pytest.raises(RemoteJobsError) as caught:
        hook.wait(job, sleep=Naps())
    assert caught.value.permanent
    assert seen(sandbox, "GET") == 1


@pytest.mark.pitfall("F30")
def test_a_deadline_ends_the_wait_and_not_the_job(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    """F30."""
    sandbox.control.settings(firecrawl={"hold": True})
    hook = firecrawl()
    job = hook.start_batch_scrape(pages(1))
    naps = Naps()
    with pytest.raises(JobTimeoutError, match="was not over") as caught:
        hook.wait(job, deadline=time.time() + 0.2, sleep=naps)
    assert job.ref.job_id in str(caught.value)
    assert max(naps.asked) <= 0.21
    assert seen(sandbox, "DELETE") == 0
    assert sandbox.control.job(job.ref.job_id)["state"] == "scraping"


def test_a_deadline_ends_a_wait_that_only_fails(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    hook = firecrawl()
    job = hook.start_batch_scrape(pages(1))
    sandbox.control.fault("firecrawl", "500", method="GET", times=None)
    with pytest.raises(JobTimeoutError):
        hook.wait(job, deadline=time.time() + 0.2, sleep=Naps())


def test_a_job_that_is_over_at_the_deadline_counts(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    hook = firecrawl()
    job = hook.start_batch_scrape(pages(1))
    sandbox.control.wait_for(lambda: sandbox.control.job(job.ref.job_id)["state"] == "completed")
    assert hook.wait(job, deadline=time.time() - 10, sleep=Naps()).state is JobState.SUCCEEDED


def test_a_sleep_that_raises_ends_the_wait(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    class Killed(Exception):
        pass

    def killed(_: float) -> None:
        raise Killed

    sandbox.control.settings(firecrawl={"hold": True})
    hook = firecrawl()
    job = hook.start_batch_scrape(pages(1))
    with pytest.raises(Killed):
        hook.wait(job, sleep=killed)
    assert seen(sandbox, "GET") == 1
    assert seen(sandbox, "DELETE") == 0


def test_pauses_are_fair_and_not_longer_than_asked(
    sandbox: Sandbox, firecrawl: Any, datafiniti: Any, pages: Any
) -> None:
    sandbox.control.settings(firecrawl={"hold": True}, datafiniti={"hold": True})
    for hook, job, floor in (
        (firecrawl(), firecrawl().start_batch_scrape(pages(1)), 0.0),
        (datafiniti(), datafiniti().start_download("businesses", "country:US", 3), 5.0),
    ):
        old = StartedJob(job.ref, time.time() - 3600)
        naps = Naps(
            lambda count, job=job: sandbox.control.act(job.ref.job_id, "cancel") and None if count == 2 else None
        )
        hook.wait(old, poll_interval=12.0, sleep=naps)
        assert naps.asked == [12.0, 12.0]
        naps = Naps()
        with pytest.raises(JobTimeoutError):
            hook.wait(
                StartedJob(JobRef(job.ref.service, job.ref.kind, "7" if floor else NO_JOB, "v1"), time.time()),
                poll_interval=0.001,
                deadline=time.time() + 0.1,
                sleep=naps,
            )
        assert naps.asked


@pytest.mark.pitfall("F15")
def test_a_wrong_address_is_said_at_once(sandbox: Sandbox, firecrawl: Any) -> None:
    """F15: a page instead of an answer, for a job that something else is said to have started."""
    ref = JobRef("firecrawl", "batch_scrape", NO_JOB, "v1")
    with pytest.raises(RouteNotFoundError, match="host"):
        firecrawl(host=sandbox.urls["site"]).look(ref)


# --- cancel -----------------------------------------------------------------------------------------------------


@pytest.fixture
def held(sandbox: Sandbox, firecrawl: Any, pages: Any) -> Any:
    """A hook and a job that does not end by itself."""

    def make(version: str = "v1", **settings: Any) -> tuple[Any, StartedJob]:
        sandbox.control.settings(firecrawl={"hold": True, **settings})
        hook = firecrawl(argument=version)
        return hook, hook.start_batch_scrape(pages(1, 2))

    return make


@pytest.mark.pitfall("F13")
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("server", ["2025", "2026"])
@pytest.mark.parametrize("answer", ["status", "message", "empty"])
def test_a_cancel_in_each_shape_of_its_answer(
    sandbox: Sandbox, held: Any, version: str, server: str, answer: str
) -> None:
    """F13."""
    hook, job = held(version, server=server, cancel_reply=answer)
    outcome = hook.cancel(job.ref, pauses=SHORT)
    assert (outcome.status.state, outcome.was_over) == (JobState.CANCELLED, False)
    assert sandbox.control.job(job.ref.job_id)["state"] == "cancelled"
    assert seen(sandbox, "DELETE") == 1
    assert seen(sandbox, "GET") >= 2


@pytest.mark.pitfall("F9", "F10")
@pytest.mark.parametrize("server", ["2025", "2026"])
def test_a_finished_job_is_left_alone(sandbox: Sandbox, firecrawl: Any, pages: Any, server: str) -> None:
    """F9, F10: a DELETE would flip it to cancelled on a server of 2025."""
    sandbox.control.settings(firecrawl={"server": server})
    hook = firecrawl()
    job = hook.start_batch_scrape(pages(1))
    hook.wait(job, sleep=Naps())
    outcome = hook.cancel(job.ref, pauses=SHORT)
    assert (outcome.status.state, outcome.was_over) == (JobState.SUCCEEDED, True)
    assert seen(sandbox, "DELETE") == 0
    assert sandbox.control.job(job.ref.job_id)["state"] == "completed"


@pytest.mark.pitfall("F10")
def test_a_job_that_finishes_just_then_is_a_lost_race(sandbox: Sandbox, held: Any) -> None:
    """F10: 409 means that there is nothing left to cancel."""
    hook, job = held()
    sandbox.control.fault("firecrawl", "409", method="DELETE", times=None)
    finishing = threading.Timer(0.15, lambda: sandbox.control.act(job.ref.job_id, "finish"))
    finishing.start()
    outcome = hook.cancel(job.ref, pauses=(0.1,) * 20)
    finishing.join()
    assert outcome.status.state is JobState.SUCCEEDED


@pytest.mark.pitfall("F11")
def test_a_cancel_takes_its_time(sandbox: Sandbox, held: Any) -> None:
    """F11."""
    hook, job = held(cancel_delay=0.25)
    outcome = hook.cancel(job.ref, pauses=(0.1,) * 20)
    assert outcome.status.state is JobState.CANCELLED


@pytest.mark.pitfall("F12")
def test_the_last_pause_is_followed_by_a_look(sandbox: Sandbox, held: Any) -> None:
    """F12: a cancel that took effect meanwhile must not be told as failed."""
    hook, job = held(cancel_delay=0.2)
    outcome = hook.cancel(job.ref, pauses=(0.6,))
    assert outcome.status.state is JobState.CANCELLED


@pytest.mark.pitfall("F12")
@pytest.mark.parametrize("ignored", [1, 3])
def test_a_lost_cancel_is_sent_again(sandbox: Sandbox, held: Any, ignored: int) -> None:
    """F12."""
    hook, job = held(cancel_ignored=ignored)
    assert hook.cancel(job.ref, pauses=SHORT).status.state is JobState.CANCELLED
    assert seen(sandbox, "DELETE") == ignored + 1


@pytest.mark.pitfall("F12", "F18")
@pytest.mark.parametrize("fault", ["429_seconds", "500", "lost_reply", "reset"])
def test_a_refused_cancel_is_sent_again(sandbox: Sandbox, held: Any, fault: str) -> None:
    """F12, F18."""
    hook, job = held()
    sandbox.control.fault("firecrawl", fault, method="DELETE", times=1, seconds=0)
    assert hook.cancel(job.ref, pauses=SHORT).status.state is JobState.CANCELLED


@pytest.mark.pitfall("F12")
def test_a_cancel_that_is_never_heard_is_an_error(sandbox: Sandbox, held: Any) -> None:
    """P1: nobody is told that a job is over that runs on."""
    hook, job = held(cancel_ignored=99)
    with pytest.raises(JobNotCancelledError, match="may still run") as caught:
        hook.cancel(job.ref, pauses=SHORT)
    assert job.ref.job_id in str(caught.value)
    assert 2 <= seen(sandbox, "DELETE") <= 2 * len(SHORT)


@pytest.mark.parametrize("fault", ["401", "403"])
def test_a_cancel_that_is_not_allowed_is_reported_at_once(sandbox: Sandbox, held: Any, fault: str) -> None:
    hook, job = held()
    sandbox.control.fault("firecrawl", fault, method="DELETE", times=None)
    with pytest.raises(JobNotCancelledError, match=f"HTTP {fault}"):
        hook.cancel(job.ref, pauses=SHORT)
    assert seen(sandbox, "DELETE") == 1


def test_an_unknown_job_needs_no_cancel(sandbox: Sandbox, firecrawl: Any) -> None:
    hook = firecrawl()
    outcome = hook.cancel(hook.job(NO_JOB), pauses=SHORT)
    assert (outcome.status, outcome.was_over) == (None, True)
    assert seen(sandbox, "DELETE") == 0


def test_a_quick_cancel_sends_one_delete(sandbox: Sandbox, held: Any) -> None:
    hook, job = held()
    hook.cancel_quickly(job.ref)
    assert seen(sandbox, "DELETE") == 1
    assert seen(sandbox, "GET") == 0
    assert sandbox.control.job(job.ref.job_id)["state"] == "cancelled"


@pytest.mark.parametrize("fault", ["429_seconds", "500", "lost_reply", "slow"])
def test_a_quick_cancel_is_over_soon(sandbox: Sandbox, held: Any, fault: str) -> None:
    """Airflow sends SIGKILL five seconds after SIGTERM."""
    hook, job = held()
    sandbox.control.fault("firecrawl", fault, method="DELETE", times=None, seconds=30)
    begun = time.monotonic()
    with pytest.raises(RemoteJobsError):
        hook.cancel_quickly(job.ref)
    assert time.monotonic() - begun < 4
    assert seen(sandbox, "DELETE") == 1


@pytest.mark.pitfall("DF18")
@pytest.mark.parametrize("body", ["object", "message", "empty"])
@pytest.mark.parametrize("wire", ["w1", "w2", "w3"])
def test_a_download_is_cancelled(sandbox: Sandbox, datafiniti: Any, wire: str, body: str) -> None:
    """DF18: the body of the answer means nothing."""
    sandbox.control.settings(datafiniti={"hold": True, "wire": wire, "cancel_body": body})
    hook = datafiniti()
    job = hook.start_download("businesses", "country:US", 5)
    outcome = hook.cancel(job.ref, pauses=SHORT)
    assert outcome.status.state is JobState.CANCELLED
    assert sandbox.control.job(job.ref.job_id)["state"] == "cancelled"


@pytest.mark.pitfall("DF18")
@pytest.mark.parametrize("delay", [0.0, 0.2])
def test_a_download_that_wins_the_race(sandbox: Sandbox, datafiniti: Any, delay: float) -> None:
    """DF18: to end as completed is no error."""
    sandbox.control.settings(datafiniti={"hold": True, "cancel_race": True, "cancel_delay": delay})
    hook = datafiniti()
    job = hook.start_download("businesses", "country:US", 5)
    outcome = hook.cancel(job.ref, pauses=(0.1,) * 20)
    assert outcome.status.state is JobState.SUCCEEDED
    assert not outcome.was_over


@pytest.mark.pitfall("DF16")
def test_a_revoked_token_is_not_nothing_to_cancel(sandbox: Sandbox, datafiniti: Any) -> None:
    """DF16: a 400 that means "bad token" must not read as "already over"."""
    sandbox.control.settings(datafiniti={"hold": True, "bad_token_status": 400})
    hook = datafiniti()
    job = hook.start_download("businesses", "country:US", 5)
    sandbox.control.token("datafiniti", "revoke", "sandbox-token")
    with pytest.raises(JobNotCancelledError, match="token"):
        hook.cancel(job.ref, pauses=SHORT)
    assert sandbox.control.job(job.ref.job_id)["state"] != "cancelled"


# --- results ----------------------------------------------------------------------------------------------------


@pytest.mark.pitfall("F4")
@pytest.mark.parametrize("origin", ["stranger", "https"])
@pytest.mark.parametrize("pagination", ["current", "B", "C"])
def test_next_is_never_followed_to_another_host(
    sandbox: Sandbox, firecrawl: Any, pages: Any, origin: str, pagination: str
) -> None:
    """F4, P5."""
    sandbox.control.settings(
        firecrawl={
            "page_bytes": 1500,
            "page_documents": 2,
            "pagination": pagination,
            "next_origin": sandbox.urls["stranger"] if origin == "stranger" else "https",
        }
    )
    hook = firecrawl()
    job = hook.start_batch_scrape(pages(1, 2, 3, 4, 5))
    hook.wait(job, sleep=Naps())
    documents = list(hook.documents(job.ref))
    assert len(documents) == 5
    assert len([call for call in sandbox.control.requests(host="firecrawl") if "skip=" in call["query"]]) >= 2
    assert sandbox.control.requests(host="stranger") == []


def test_a_page_that_fails_for_a_moment_is_read_again(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    """P4."""
    sandbox.control.settings(firecrawl={"page_documents": 2})
    hook = firecrawl()
    job = hook.start_batch_scrape(pages(1, 2, 3))
    hook.wait(job, sleep=Naps())
    sandbox.control.fault("firecrawl", "502_html", method="GET", times=1, skip=1)
    assert len(list(hook.documents(job.ref))) == 3


def test_a_page_that_is_refused_is_an_error_and_no_end(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    """P4: a partial result is never told as complete."""
    sandbox.control.settings(firecrawl={"page_documents": 2})
    hook = firecrawl()
    job = hook.start_batch_scrape(pages(1, 2, 3))
    hook.wait(job, sleep=Naps())
    sandbox.control.fault("firecrawl", "401", method="GET", times=None, skip=1)
    with pytest.raises(AuthenticationError):
        list(hook.documents(job.ref))


@pytest.mark.pitfall("DF13", "DF14")
def test_links_stay_out_of_texts_and_logs(sandbox: Sandbox, datafiniti: Any, caplog: pytest.LogCaptureFixture) -> None:
    """DF13, DF14: also when they are dead."""
    caplog.set_level(logging.DEBUG)
    hook = datafiniti()
    job = hook.start_download("businesses", "country:US", 5)
    sandbox.control.act(job.ref.job_id, "finish")
    status = hook.wait(job, sleep=Naps())
    list(hook.lines(status.links[0], "one.txt"))
    sandbox.control.advance(8 * 24 * 3600)
    with pytest.raises(RemoteJobsError, match=r"one\.txt") as caught:
        list(hook.lines(status.links[0], "one.txt"))
    signature = status.links[0].rpartition("X-Amz-Signature=")[2].partition("&")[0]
    assert len(signature) > 8
    for text in (str(caught.value), repr(status), str(status.to_dict()), caplog.text):
        assert signature not in text


@pytest.mark.pitfall("DF14")
def test_a_redirected_link_carries_no_token(sandbox: Sandbox, datafiniti: Any) -> None:
    """DF14."""
    hook = datafiniti()
    job = hook.start_download("businesses", "country:US", 5)
    sandbox.control.act(job.ref.job_id, "finish")
    status = hook.wait(job, sleep=Naps())
    sandbox.control.fault("files", "redirect", to=f"{sandbox.urls['stranger']}/moved", status=302)
    list(hook.lines(status.links[0], "one.txt"))
    calls = sandbox.control.requests(host="files") + sandbox.control.requests(host="stranger")
    assert [call["host"] for call in calls] == ["files", "stranger"]
    assert all("authorization" not in call["headers"] for call in calls)


def test_a_redirected_start_takes_no_key_along(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    """P5."""
    hook = firecrawl()
    sandbox.control.fault("firecrawl", "redirect", times=None, to=f"{sandbox.urls['stranger']}/v1/x", status=307)
    with pytest.raises(RemoteJobsError, match="redirected"):
        hook.start_batch_scrape(pages(1))
    good, text = hook.test_connection()
    assert not good
    assert "redirected" in text
    assert sandbox.control.requests(host="stranger") == []
