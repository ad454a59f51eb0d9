"""A clean-up that cannot read or cannot end something: it says so, and leaves that as it is."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_jobs.books import Books
from airflow_provider_jobs.cleanup import clean_up
from airflow_provider_jobs.jobs.history import Closed
from airflow_provider_jobs.ledger_folder import LedgerFolder
from tests.cleanup.records import entry, owner, read, write
from tests.conftest import FIRECRAWL_KEY
from tests.support.cluster import free_port


def orphans(service: Any, folder: LedgerFolder, airflow_says: Any, number: int = 1, **settings: Any) -> list[Any]:
    jobs = [service.start(**settings) for _ in range(number)]
    for index, job in enumerate(jobs):
        write(folder, owner(index), entry(job))
        airflow_says.states[owner(index)] = "failed"
    return jobs


@pytest.mark.parametrize("trouble", ["503", "500", "401", "reset", "html_200"])
def test_a_service_in_trouble(service: Any, folder: LedgerFolder, airflow_says: Any, trouble: str) -> None:
    """The job is named as one that may still run, and the next clean-up ends it."""
    (job,) = orphans(service, folder, airflow_says)
    service.control.fault("firecrawl", trouble, times=None)
    report = clean_up(Books(None, folder), airflow_says, time_limit=6)
    (failed,) = report.failed
    assert failed.record.job == job
    assert failed.problem
    assert FIRECRAWL_KEY not in f"{failed} {failed.problem}"
    assert not report.is_clean
    assert service.state(job) not in {"cancelled", "completed"}
    assert read(folder, owner(0))[0].is_open
    service.control.clear_faults()
    assert [f.record.job for f in clean_up(Books(None, folder), airflow_says).ended] == [job]
    assert service.is_cancelled(job)


def test_a_service_that_cannot_be_reached(
    service: Any, folder: LedgerFolder, airflow_says: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = orphans(service, folder, airflow_says)
    known = os.environ["AIRFLOW_CONN_FIRECRAWL_DEFAULT"]
    away = json.loads(known) | {"host": f"http://127.0.0.1:{free_port()}"}
    monkeypatch.setenv("AIRFLOW_CONN_FIRECRAWL_DEFAULT", json.dumps(away))
    report = clean_up(Books(None, folder), airflow_says, time_limit=6)
    assert [f.record.job for f in report.failed] == [job]
    monkeypatch.setenv("AIRFLOW_CONN_FIRECRAWL_DEFAULT", known)
    assert [f.record.job for f in clean_up(Books(None, folder), airflow_says).ended] == [job]


def test_a_connection_that_is_missing(
    service: Any, folder: LedgerFolder, airflow_says: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The jobs of other connections are ended all the same."""
    (scrape,) = orphans(service, folder, airflow_says)
    download = service.start("datafiniti")
    write(folder, owner(7), entry(download))
    airflow_says.states[owner(7)] = "failed"
    monkeypatch.delenv("AIRFLOW_CONN_FIRECRAWL_DEFAULT")
    report = clean_up(Books(None, folder), airflow_says)
    (failed,) = report.failed
    assert failed.record.job == scrape
    assert "firecrawl_default" in str(failed.problem)
    assert [f.record.job for f in report.ended] == [download]
    assert service.is_untouched(scrape)


def test_a_cancel_that_takes_no_effect(service: Any, folder: LedgerFolder, airflow_says: Any) -> None:
    """A DELETE that is answered with success ends nothing until a look says so."""
    (job,) = orphans(service, folder, airflow_says)
    service.control.settings(firecrawl={"cancel_ignored": 2})
    report = clean_up(Books(None, folder), airflow_says)
    assert [f.record.job for f in report.ended] == [job]
    assert service.is_cancelled(job)
    assert service.deletes() >= 3


def test_the_time_is_limited(service: Any, folder: LedgerFolder, airflow_says: Any) -> None:
    jobs = orphans(service, folder, airflow_says, 20)
    service.control.fault("firecrawl", "slow", times=None, seconds=30)
    began = time.monotonic()
    report = clean_up(Books(None, folder), airflow_says, time_limit=4)
    assert time.monotonic() - began < 8
    assert len(report.failed) == len(jobs)
    assert all(f.problem for f in report.failed)
    assert not report.is_clean


@pytest.mark.parametrize(
    ("end", "closed"),
    [("fail", Closed.FAILED), ("cancel", Closed.CANCELLED), ("forget", Closed.GONE), ("finish", None)],
)
def test_a_job_that_is_over(
    service: Any, folder: LedgerFolder, airflow_says: Any, end: str, closed: Closed | None
) -> None:
    """It is not touched. What is paid for and was not delivered stays open, so that a clear delivers it."""
    (job,) = orphans(service, folder, airflow_says)
    service.control.act(job.ref.job_id, end)
    report = clean_up(Books(None, folder), airflow_says)
    assert [f.record.job for f in report.over] == [job]
    assert report.is_clean
    assert service.deletes() == 0
    assert read(folder, owner(0))[0].closed is closed


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"owner": {}, "entry": {}}'])
def test_an_object_that_cannot_be_read(
    service: Any, folder: LedgerFolder, airflow_says: Any, path: Path, content: bytes
) -> None:
    """Its task's job is not touched: the object might be the word that it was handed over. Others are."""
    jobs = orphans(service, folder, airflow_says, 2)
    (place,) = (path / "prod").rglob("manual__0/**/000001.2-started.json")
    place.write_bytes(content)
    report = clean_up(Books(None, folder), airflow_says, force=True)
    assert report.problems
    assert str(place.name) in report.problems[0]
    assert not report.is_clean
    assert [f.record.job for f in report.ended] == [jobs[1]]
    assert service.is_untouched(jobs[0])


def test_a_record_of_another_version(service: Any, folder: LedgerFolder, airflow_says: Any, path: Path) -> None:
    """An event that this version does not know is no reason to end the job."""
    (job,) = orphans(service, folder, airflow_says)
    (place,) = path.rglob("000001.2-started.json")
    value = json.loads(place.read_bytes())
    value["entry"]["closed"] = "lent_to_a_friend"
    (place.parent / "000001.3-lent_to_a_friend.json").write_text(json.dumps(value))
    report = clean_up(Books(None, folder), airflow_says)
    assert report.ended == []
    assert service.is_untouched(job)


def test_a_folder_that_cannot_be_read(service: Any, folder: LedgerFolder, airflow_says: Any, path: Path) -> None:
    (job,) = orphans(service, folder, airflow_says)
    shutil.rmtree(path)
    path.write_text("a file in the place of the folder")
    report = clean_up(Books(None, folder), airflow_says)
    assert report.problems
    assert not report.is_clean
    assert service.is_untouched(job)


def test_a_record_that_cannot_be_read_again(service: Any, folder: LedgerFolder, airflow_says: Any, path: Path) -> None:
    """Right before a job is ended its record is read once more: a try may have handed it over meanwhile."""
    (job,) = orphans(service, folder, airflow_says)

    def lose_the_storage(asked: int) -> None:
        if asked == 2:
            shutil.rmtree(path)
            path.write_text("a file in the place of the folder")

    airflow_says.before_answer = lose_the_storage
    report = clean_up(Books(None, folder), airflow_says)
    assert [f.record.job for f in report.failed] == [job]
    assert service.is_untouched(job)


def test_a_job_that_is_handed_over_meanwhile(service: Any, folder: LedgerFolder, airflow_says: Any) -> None:
    """The record is read before Airflow is asked: a try can have come and gone between the two."""
    (job,) = orphans(service, folder, airflow_says)

    def hand_over(asked: int) -> None:
        if asked == 1:
            write(folder, owner(0), entry(job, closed=Closed.HANDED_OVER))

    airflow_says.before_answer = hand_over
    report = clean_up(Books(None, folder), airflow_says)
    assert [f.record.job for f in report.spared] == [job]
    assert service.is_untouched(job)
