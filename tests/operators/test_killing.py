"""What a killed process does in its last seconds, without Airflow's services: real signals, real HTTP."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from airflow_provider_jobs.compat import OwnerView
from airflow_provider_jobs.exceptions import JobKilledError
from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook
from airflow_provider_jobs.operators.killing import Killer
from tests.conftest import FIRECRAWL_KEY, connection

log = logging.getLogger(__name__)


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch, sandbox: Any) -> FirecrawlHook:
    value = connection("firecrawl", sandbox.urls["firecrawl"], FIRECRAWL_KEY)
    monkeypatch.setenv("AIRFLOW_CONN_FIRECRAWL_DEFAULT", value)
    sandbox.control.settings(firecrawl={"hold": True})
    return FirecrawlHook()


def start(hook: FirecrawlHook, sandbox: Any) -> Any:
    return hook.start_batch_scrape([f"{sandbox.urls['site']}/page1.html"])


def was_cancelled(sandbox: Any, job: Any) -> bool:
    return bool(sandbox.control.job(job.ref.job_id)["cancelled_by_delete"])


def test_the_job_after_an_earlier_one_is_cancelled_too(hook: FirecrawlHook, sandbox: Any) -> None:
    """A retry looks at the earlier job first, which is over, and then starts its own."""
    killer = Killer(hook, cancels=True, log=log)
    killer.owns(start(hook, sandbox))
    killer.disarm()
    job = start(hook, sandbox)
    killer.owns(job)
    killer.kill()
    assert was_cancelled(sandbox, job)
    with pytest.raises(JobKilledError):
        killer.check()


def test_a_job_that_was_given_away_is_not(hook: FirecrawlHook, sandbox: Any) -> None:
    killer = Killer(hook, cancels=True, log=log)
    job = start(hook, sandbox)
    killer.owns(job)
    killer.disarm()
    killer.kill()
    assert sandbox.control.requests(method="DELETE") == []


SAID = {
    # Airflow's word, whether the try is still known to it -> cancelled with and without a try left
    "marked failed": (OwnerView(True, "failed"), True, True, True),
    "marked as success": (OwnerView(True, "success"), True, True, True),
    "skipped": (OwnerView(True, "skipped"), True, True, True),
    "cleared": (OwnerView(True, "restarting"), True, True, True),
    "cleared, not scheduled yet": (OwnerView(True, None), True, True, True),
    "run deleted": (OwnerView(False, None), False, True, True),
    "evicted": (OwnerView(True, "running"), True, False, True),
    "replaced by a running try": (OwnerView(True, "running"), False, False, False),
    "replaced by a deferred try": (OwnerView(True, "deferred"), False, False, False),
    "replaced by a try that is about to run": (OwnerView(True, "queued"), True, False, False),
    "replaced by one that is scheduled": (OwnerView(True, "scheduled"), True, False, False),
}


@pytest.mark.parametrize("case", SAID)
@pytest.mark.parametrize("may_leave", [True, False])
def test_airflow_is_asked_before_a_job_is_cancelled(
    hook: FirecrawlHook, sandbox: Any, case: str, may_leave: bool
) -> None:
    view, is_mine, with_a_try_left, on_the_last_try = SAID[case]
    killer = Killer(hook, cancels=True, log=log, ask=lambda: (view, is_mine), may_leave=may_leave)
    job = start(hook, sandbox)
    killer.owns(job)
    killer.kill()
    assert was_cancelled(sandbox, job) is (with_a_try_left if may_leave else on_the_last_try)
    killer.disarm()


@pytest.mark.parametrize("may_leave", [True, False])
def test_without_an_answer_a_job_is_left_only_for_a_try_that_comes(
    hook: FirecrawlHook, sandbox: Any, may_leave: bool
) -> None:
    def ask() -> tuple[OwnerView, bool]:
        raise ConnectionError("the API server is down")

    killer = Killer(hook, cancels=True, log=log, ask=ask, may_leave=may_leave)
    job = start(hook, sandbox)
    killer.owns(job)
    killer.kill()
    assert was_cancelled(sandbox, job) is not may_leave
    killer.disarm()


SCRIPT = """
import logging, signal, sys, time
from airflow_provider_jobs.exceptions import JobKilledError
from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook
from airflow_provider_jobs.operators.killing import Killer

# As in a task's process, or as Python begins where nobody has told it to ignore the signal, as a shell does with what
# it runs in the background.
signal.signal(signal.SIGINT, signal.SIG_DFL if sys.argv[1] == "default" else signal.default_int_handler)
hook = FirecrawlHook()
killer = Killer(hook, cancels=True, log=logging.getLogger())
killer.owns(hook.start_batch_scrape([sys.argv[2]]))
try:
    print("waiting", flush=True)
    killer.sleep(60)
except (JobKilledError, KeyboardInterrupt) as error:
    print(type(error).__name__, flush=True)
killer.disarm()
print(signal.getsignal(signal.SIGINT) is (signal.SIG_DFL if sys.argv[1] == "default" else signal.default_int_handler))
"""


@pytest.mark.parametrize(("before", "error"), [("default", "JobKilledError"), ("python", "KeyboardInterrupt")])
def test_an_interrupt_cancels(hook: FirecrawlHook, sandbox: Any, before: str, error: str) -> None:
    """Airflow forwards SIGINT to a task and has no handler for it; in a terminal, Ctrl-C stays Ctrl-C."""
    page = f"{sandbox.urls['site']}/page1.html"
    command = [sys.executable, "-c", SCRIPT, before, page]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == "waiting\n":
                break
        process.send_signal(signal.SIGINT)
        told = process.stdout.read().splitlines()
    assert process.returncode == 0
    assert told[-2:] == [error, "True"], json.dumps(told)
    (job,) = sandbox.control.jobs()
    assert job["cancelled_by_delete"]
