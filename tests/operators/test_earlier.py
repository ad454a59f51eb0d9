"""What a try does about earlier starts, against real servers; the record is kept in a plain list."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook
from airflow_provider_jobs.jobs.history import Closed
from airflow_provider_jobs.ledger import Ledger
from airflow_provider_jobs.operators.earlier import goes_on, settle
from airflow_provider_jobs.sandbox import Sandbox
from tests.conftest import FIRECRAWL_KEY, connection

log = logging.getLogger(__name__)


class Kept:
    """A record that one process keeps for itself."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def load(self) -> list[dict[str, Any]]:
        return self.entries

    def save(self, entries: list[dict[str, Any]], changed: dict[str, Any]) -> None:
        self.entries = entries

    def is_mine(self) -> bool:
        return True


@pytest.fixture
def other() -> Iterator[Sandbox]:
    with Sandbox(page_seconds=0.0) as running:
        yield running


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch, sandbox: Any, other: Sandbox) -> tuple[FirecrawlHook, FirecrawlHook]:
    for name, server in (("OLD", sandbox), ("NEW", other)):
        value = connection("firecrawl", server.urls["firecrawl"], FIRECRAWL_KEY)
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", value)
        server.control.settings(firecrawl={"hold": True})
    return FirecrawlHook("old"), FirecrawlHook("new")


def start(store: Kept, hook: FirecrawlHook, site: str) -> Any:
    spec = hook.service.batch_scrape([f"{site}/page1.html"], api_version="v1")
    ledger = Ledger(store, generation=0)
    entry = ledger.intend(hook.conn_id, spec, "POST", leave=False)
    ledger.started(entry, hook.start(spec))
    return spec


def test_a_job_is_ended_through_the_connection_that_started_it(hooks: Any, sandbox: Any, other: Sandbox) -> None:
    """The connection of the task has changed since. Another account does not know the job, and says so with a 404."""
    old, new = hooks
    store = Kept()
    spec = start(store, old, sandbox.urls["site"])
    ledger = Ledger(store, generation=0)
    settle(ledger, new, ledger.plan(new.conn_id, spec), log=log)
    (job,) = sandbox.control.jobs()
    assert job["cancelled_by_delete"]
    assert other.control.requests(host="firecrawl") == []
    assert [entry.closed for entry in ledger.entries] == [Closed.CANCELLED]


def test_nothing_is_started_when_that_connection_is_gone(
    hooks: Any, sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = hooks
    store = Kept()
    spec = start(store, old, sandbox.urls["site"])
    monkeypatch.delenv("AIRFLOW_CONN_OLD")
    ledger = Ledger(store, generation=0)
    with pytest.raises(Exception, match="old"):
        settle(ledger, new, ledger.plan(new.conn_id, spec), log=log)
    assert ledger.entries[0].is_open
    assert sandbox.control.jobs()[0]["state"] not in {"cancelled", "failed", "completed"}


@pytest.mark.parametrize("why", [Closed.DELIVERED, Closed.HANDED_OVER])
@pytest.mark.parametrize("durable", [True, False])
def test_a_retry_after_a_good_end_that_airflow_did_not_hear_of(
    hooks: Any, sandbox: Any, why: Closed, durable: bool
) -> None:
    """The job is paid for. It is taken up again, and never cancelled: it may be somebody else's by now."""
    hook = hooks[0]
    store = Kept()
    spec = start(store, hook, sandbox.urls["site"])
    (job,) = sandbox.control.jobs()
    if why is Closed.DELIVERED:
        sandbox.control.act(job["id"], "finish")
    first = Ledger(store, generation=0)
    first.close(first.entries[0], why)
    retry = Ledger(store, generation=0)
    decided = retry.plan(hook.conn_id, spec)
    assert decided.ask is not None
    is_running = why is Closed.HANDED_OVER
    assert goes_on(retry, hook, decided.ask, durable=durable, log=log) is (durable or not is_running)
    assert sandbox.control.requests(method="DELETE") == []
    cleared = Ledger(store, generation=1)
    assert cleared.plan(hook.conn_id, spec).ask is None
