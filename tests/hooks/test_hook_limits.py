"""What a hook promises about completeness and time."""

from __future__ import annotations

import time
from typing import Any

import pytest

from airflow_provider_jobs.exceptions import (
    InvalidInputError,
    JobNotCancelledError,
    ResultIncompleteError,
    StartUncertainError,
)
from airflow_provider_jobs.sandbox import Sandbox


class Cut(BaseException):
    """What Airflow's timeout is to a running request: no Exception."""


def test_a_start_that_is_cut_off_may_have_started(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    """S5: a timeout in the middle of the POST. A retry must not start again."""
    import signal

    def cut(*_: object) -> None:
        raise Cut

    sandbox.control.fault("firecrawl", "slow", method="POST", seconds=5)
    hook = firecrawl()
    _ = hook.endpoint
    before = signal.signal(signal.SIGALRM, cut)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(StartUncertainError, match=r"no usable answer came back \(Cut\)"):
            hook.start_batch_scrape(pages(1))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(sandbox.control.jobs()) == 1


@pytest.mark.pitfall("F7")
def test_lost_documents_are_an_error(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    """F3, F7: whoever reads with the hook must not take a part for the whole."""
    sandbox.control.settings(firecrawl={"pagination": "A", "server": "2025", "drop_results": 2})
    hook = firecrawl()
    job = hook.start_batch_scrape(pages(1, 2, 3, 4, 5))
    sandbox.control.wait_for(lambda: sandbox.control.job(job.ref.job_id)["state"] == "completed")
    documents = hook.documents(job.ref)
    with pytest.raises(ResultIncompleteError, match="counts 5 documents, and 3 different ones came"):
        for _ in documents:
            pass


@pytest.mark.pitfall("F1")
def test_a_running_job_has_no_result_yet(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    """F1: what a running job has is not its result."""
    sandbox.control.settings(firecrawl={"hold_after": 2})
    hook = firecrawl()
    job = hook.start_batch_scrape(pages(1, 2, 3, 4, 5))
    with pytest.raises(InvalidInputError, match="is not over yet"):
        list(hook.documents(job.ref))


@pytest.mark.pitfall("F12", "F18")
def test_a_cancel_has_a_time_limit(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    """F18: a 429 that asks for minutes must not hold the thread that cancels."""
    sandbox.control.settings(firecrawl={"hold": True})
    hook = firecrawl()
    job = hook.start_batch_scrape(pages(1))
    sandbox.control.fault("firecrawl", "429_seconds", method="DELETE", times=None, seconds=600)
    begun = time.monotonic()
    with pytest.raises(JobNotCancelledError, match="may still run"):
        hook.cancel(job.ref, pauses=(0.1, 0.1))
    assert time.monotonic() - begun < 10.2, "the limit is the pauses and ten seconds"
    assert len(sandbox.control.requests(method="DELETE")) == 2


def test_a_server_that_hangs_ends_a_cancel_too(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    """However long each request may take, all of them together are bounded."""
    sandbox.control.settings(firecrawl={"hold": True})
    hook = firecrawl()
    job = hook.start_batch_scrape(pages(1))
    sandbox.control.fault("firecrawl", "slow", method="DELETE", times=None, seconds=30)
    sandbox.control.fault("firecrawl", "slow", method="GET", times=None, seconds=30)
    begun = time.monotonic()
    with pytest.raises(JobNotCancelledError):
        hook.cancel(job.ref, pauses=(0.1,))
    assert time.monotonic() - begun < 15
