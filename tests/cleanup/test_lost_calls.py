"""A billed call without an answer: it has ended by itself, so nobody is told for ever that something may run."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_jobs import commands
from airflow_provider_jobs.books import Books
from airflow_provider_jobs.cleanup import Ages, clean_up, find
from airflow_provider_jobs.jobs.history import Closed, Entry
from airflow_provider_jobs.ledger_folder import LedgerFolder
from tests.cleanup.records import HOUR, entry, owner, read, write

KINDS = pytest.mark.parametrize("kind", ["scrape", "map", "search"])


def lost_call(kind: str, **changes: Any) -> Entry:
    return entry(None, kind=kind, request=f"POST /v1/{kind}", leave=True, **changes)


@KINDS
def test_it_is_told_once(service: Any, folder: LedgerFolder, airflow_says: Any, kind: str, capsys: Any) -> None:
    write(folder, owner(), lost_call(kind))
    airflow_says.states[owner()] = "failed"
    books = Books(None, folder)
    report = clean_up(books, airflow_says, finds_lost=True)
    assert report.unanswered == []
    assert [str(finding.record) for finding in report.calls] == [f"firecrawl {kind} without an id of {owner()}"]
    assert report.is_clean
    assert commands._print_report(report, dry_run=False) == 0
    told = capsys.readouterr().err
    assert f"POST /v1/{kind} was sent through connection firecrawl_default for {owner()} and never answered" in told
    assert "may have been billed" in told
    assert "may be running" not in told
    assert [one.closed for one in read(folder, owner())] == [Closed.UNKNOWN]
    assert clean_up(books, airflow_says, finds_lost=True).calls == []
    assert service.control.requests(host="firecrawl") == []


@KINDS
def test_what_the_list_says(service: Any, folder: LedgerFolder, airflow_says: Any, kind: str) -> None:
    write(folder, owner(), lost_call(kind), lost_call(kind, seq=2, closed=Closed.UNKNOWN))
    airflow_says.states[owner()] = "failed"
    reasons = [finding.judgement.reason for finding in find(Books(None, folder), airflow_says)]
    assert all("may have been billed; nothing of it runs" in reason for reason in reasons)
    assert reasons[0].endswith("its task is failed")


@pytest.mark.parametrize(
    ("state", "ages", "dry_run"),
    [("running", Ages(), False), ("up_for_retry", Ages(), False), ("failed", Ages(2 * HOUR, 0), False),
     ("failed", Ages(), True)],
)  # fmt: skip
def test_its_record_is_kept(
    service: Any, folder: LedgerFolder, airflow_says: Any, state: str, ages: Ages, dry_run: bool
) -> None:
    """The next try of the task must not send it again."""
    write(folder, owner(), lost_call("scrape"))
    airflow_says.states[owner()] = state
    clean_up(Books(None, folder), airflow_says, ages=ages, dry_run=dry_run)
    assert [one.closed for one in read(folder, owner())] == [None]


def test_not_from_another_airflow(service: Any, folder: LedgerFolder, airflow_says: Any) -> None:
    for number in (1, 2):
        write(folder, owner(number), lost_call("scrape"))
    clean_up(Books(None, folder), airflow_says)
    assert [read(folder, owner(number))[0].closed for number in (1, 2)] == [None, None]


def test_the_start_of_a_job_is_told_as_before(service: Any, folder: LedgerFolder, airflow_says: Any) -> None:
    write(folder, owner(), entry(None))
    airflow_says.states[owner()] = "failed"
    report = clean_up(Books(None, folder), airflow_says)
    assert (len(report.unanswered), report.calls) == (1, [])
    assert [one.closed for one in read(folder, owner())] == [None]
