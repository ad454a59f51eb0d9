"""Whose job is ended and whose is not: real jobs at the sandbox, a real ledger folder, and Airflow's word as given."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import pytest

from airflow_provider_jobs.books import Books
from airflow_provider_jobs.cleanup import Ages, Report, clean_up, find
from airflow_provider_jobs.jobs.history import Closed
from airflow_provider_jobs.jobs.orphans import OLDER_THAN
from airflow_provider_jobs.ledger_folder import LedgerFolder
from tests.cleanup.records import entry, owner, read, write

BOTH = pytest.mark.parametrize("name", ["firecrawl", "datafiniti"])
OVER = ["failed", "success", "skipped", "upstream_failed", "removed"]
COMES_BACK = [
    None, "running", "queued", "scheduled", "deferred", "up_for_retry", "up_for_reschedule", "restarting",
    "a state of a later Airflow",
]  # fmt: skip
NOTHING_DONE = Report()


def of_jobs(findings: list[Any]) -> list[str]:
    return [finding.record.job.ref.job_id for finding in findings]


@BOTH
@pytest.mark.parametrize("state", OVER)
def test_the_job_of_a_task_that_is_over(
    service: Any, folder: LedgerFolder, airflow_says: Any, name: str, state: str
) -> None:
    job = service.start(name)
    write(folder, owner(), entry(job))
    airflow_says.states[owner()] = state
    report = clean_up(Books(None, folder), airflow_says)
    assert of_jobs(report.ended) == [job.ref.job_id]
    assert report.is_clean
    assert service.is_cancelled(job)
    assert read(folder, owner())[0].closed is Closed.CANCELLED


def test_the_job_of_a_deleted_run(service: Any, folder: LedgerFolder, airflow_says: Any) -> None:
    job = service.start()
    write(folder, owner(), entry(job))
    report = clean_up(Books(None, folder), airflow_says)
    assert of_jobs(report.ended) == [job.ref.job_id]
    assert service.is_cancelled(job)


@pytest.mark.parametrize("state", COMES_BACK)
def test_a_task_that_may_come_back_keeps_its_job(
    service: Any, folder: LedgerFolder, airflow_says: Any, state: str | None
) -> None:
    job = service.start()
    write(folder, owner(), entry(job))
    airflow_says.states[owner()] = state
    for force in (False, True):
        assert clean_up(Books(None, folder), airflow_says, ages=Ages(0, 0), force=force) == NOTHING_DONE
    assert service.is_untouched(job)
    assert read(folder, owner())[0].is_open


def test_a_second_run_finds_nothing_to_do(service: Any, folder: LedgerFolder, airflow_says: Any) -> None:
    write(folder, owner(), entry(service.start()))
    airflow_says.states[owner()] = "failed"
    clean_up(Books(None, folder), airflow_says)
    before = len(service.control.requests())
    assert clean_up(Books(None, folder), airflow_says) == NOTHING_DONE
    assert len(service.control.requests()) == before, "the service was asked about a job that is over"


def test_only_what_is_old_enough(service: Any, folder: LedgerFolder, airflow_says: Any) -> None:
    jobs = [service.start(ago=ago) for ago in (1, OLDER_THAN - 30, OLDER_THAN + 1)]
    for number, job in enumerate(jobs):
        write(folder, owner(number), entry(job))
        airflow_says.states[owner(number)] = "failed"
    assert of_jobs(clean_up(Books(None, folder), airflow_says).ended) == [jobs[2].ref.job_id]
    assert [service.is_untouched(job) for job in jobs] == [True, True, False]
    report = clean_up(Books(None, folder), airflow_says, ages=Ages(others=30, stray=30))
    assert of_jobs(report.ended) == [jobs[1].ref.job_id]
    assert service.is_untouched(jobs[0])


@pytest.mark.parametrize("why", list(Closed))
@pytest.mark.parametrize("state", ["failed", "deleted"])
def test_what_is_closed_is_left_alone(
    service: Any, folder: LedgerFolder, airflow_says: Any, why: Closed, state: str
) -> None:
    """Handed over, left on purpose, or thought to be over: nobody but `cancel` touches it."""
    job = service.start()
    write(folder, owner(), entry(job), entry(job, closed=why))
    if state != "deleted":
        airflow_says.states[owner()] = state
    for force in (False, True):
        assert clean_up(Books(None, folder), airflow_says, ages=Ages(0, 0), force=force) == NOTHING_DONE
    assert service.is_untouched(job)
    (finding,) = find(Books(None, folder), airflow_says)
    assert finding.judgement.reason


@pytest.mark.parametrize("state", [*OVER, "deleted"])
def test_what_was_started_to_be_left_is_left(service: Any, folder: LedgerFolder, airflow_says: Any, state: str) -> None:
    """cancel_on_kill=False, and nobody could write down that the task was killed."""
    job = service.start()
    write(folder, owner(), entry(job, leave=True))
    if state != "deleted":
        airflow_says.states[owner()] = state
    assert clean_up(Books(None, folder), airflow_says, force=True) == NOTHING_DONE
    assert service.is_untouched(job)


def test_a_job_whose_place_was_taken(service: Any, folder: LedgerFolder, airflow_says: Any) -> None:
    """Even while its task goes on with the later one."""
    old, new = service.start(), service.start()
    write(folder, owner(), entry(old), entry(new, seq=2))
    airflow_says.states[owner()] = "running"
    assert of_jobs(clean_up(Books(None, folder), airflow_says).ended) == [old.ref.job_id]
    assert service.is_cancelled(old)
    assert service.is_untouched(new)
    assert [one.closed for one in read(folder, owner())] == [Closed.CANCELLED, None]


@pytest.mark.parametrize("why", [Closed.HANDED_OVER, Closed.LEFT])
def test_what_is_closed_beside_an_orphan(service: Any, folder: LedgerFolder, airflow_says: Any, why: Closed) -> None:
    """One task can have given a job away, and started another one after a clear."""
    given, lost = service.start(), service.start()
    write(folder, owner(), entry(given), entry(given, closed=why), entry(lost, seq=2))
    airflow_says.states[owner()] = "failed"
    report = clean_up(Books(None, folder), airflow_says)
    assert of_jobs(report.ended) == [lost.ref.job_id]
    assert report.spared == []
    assert service.is_untouched(given)


def test_each_map_index_is_an_owner(service: Any, folder: LedgerFolder, airflow_says: Any) -> None:
    jobs = [service.start() for _ in range(3)]
    for index, state in enumerate(["running", "failed", "deferred"]):
        write(folder, owner(map_index=index), entry(jobs[index]))
        airflow_says.states[owner(map_index=index)] = state
    assert of_jobs(clean_up(Books(None, folder), airflow_says).ended) == [jobs[1].ref.job_id]
    assert [service.is_untouched(job) for job in jobs] == [True, False, True]


def test_another_deployment_in_the_same_folder(service: Any, path: Any, airflow_says: Any) -> None:
    """Its tasks are unknown here, and look deleted."""
    ours, theirs = service.start(), service.start()
    prod, other = LedgerFolder(str(path), "prod"), LedgerFolder(str(path), "prod2")
    write(prod, owner(1), entry(ours))
    write(other, owner(2), entry(theirs))
    write(other, owner(1), entry(theirs))
    airflow_says.states[owner(1)] = "failed"
    assert of_jobs(clean_up(Books(None, prod), airflow_says, force=True).ended) == [ours.ref.job_id]
    assert service.is_untouched(theirs)
    assert read(other, owner(2))[0].is_open


@pytest.mark.parametrize("known", ["failed", "running"])
def test_when_airflow_knows_none_of_the_owners(
    service: Any, folder: LedgerFolder, airflow_says: Any, known: str
) -> None:
    """Two unknown ones look like the wrong database; one of them known, and the other was deleted."""
    jobs = [service.start(), service.start()]
    for number, job in enumerate(jobs):
        write(folder, owner(number), entry(job))
    report = clean_up(Books(None, folder), airflow_says)
    assert report.refused
    assert "--force" in report.refused
    assert not report.is_clean
    assert (report.ended, service.deletes()) == ([], 0)
    assert clean_up(Books(None, folder), airflow_says, dry_run=True).refused, "a rehearsal says the same"
    airflow_says.states[owner(1)] = known
    report = clean_up(Books(None, folder), airflow_says)
    assert report.is_clean
    assert service.is_cancelled(jobs[0])
    assert service.is_cancelled(jobs[1]) == (known == "failed")


def test_force(service: Any, folder: LedgerFolder, airflow_says: Any) -> None:
    jobs = [service.start(), service.start("datafiniti")]
    for number, job in enumerate(jobs):
        write(folder, owner(number), entry(job))
    report = clean_up(Books(None, folder), airflow_says, force=True)
    assert sorted(of_jobs(report.ended)) == sorted(job.ref.job_id for job in jobs)
    assert all(service.is_cancelled(job) for job in jobs)


def test_a_rehearsal_changes_nothing(service: Any, folder: LedgerFolder, airflow_says: Any) -> None:
    job = service.start()
    write(folder, owner(), entry(job))
    airflow_says.states[owner()] = "failed"
    before = len(service.control.requests())
    assert of_jobs(clean_up(Books(None, folder), airflow_says, dry_run=True).ended) == [job.ref.job_id]
    assert len(service.control.requests()) == before
    assert read(folder, owner())[0].is_open


def test_a_start_without_an_answer(folder: LedgerFolder, service: Any, airflow_says: Any) -> None:
    """Nobody can end it: it is named when its task is over, and is no failure."""
    write(folder, owner(1), entry(None))
    write(folder, owner(2), entry(None))
    airflow_says.states |= {owner(1): "failed", owner(2): "running"}
    report = clean_up(Books(None, folder), airflow_says)
    assert [finding.record.owner for finding in report.unanswered] == [owner(1)]
    assert report.is_clean
    assert read(folder, owner(1))[0].is_open


def test_a_job_that_two_records_name(service: Any, folder: LedgerFolder, airflow_says: Any) -> None:
    """What one task still waits for is not ended for another one's sake, and no job is ended twice."""
    watched, twice = service.start(), service.start()
    write(folder, owner(3), entry(watched))
    write(folder, owner(4), entry(watched))
    write(folder, owner(5), entry(twice))
    write(folder, owner(6), entry(twice))
    airflow_says.states |= {owner(number): "failed" for number in (3, 5, 6)} | {owner(4): "deferred"}
    assert of_jobs(clean_up(Books(None, folder), airflow_says).ended) == [twice.ref.job_id]
    assert service.is_untouched(watched)
    assert service.deletes() == 1


def test_an_owner_that_comes_back_meanwhile(service: Any, folder: LedgerFolder, airflow_says: Any) -> None:
    """Airflow is asked again right before a job is ended: a clear may have come."""
    job = service.start()
    write(folder, owner(), entry(job))
    airflow_says.states[owner()] = "failed"

    def clear(asked: int) -> None:
        if asked > 1:
            airflow_says.states[owner()] = None

    airflow_says.before_answer = clear
    report = clean_up(Books(None, folder), airflow_says)
    assert of_jobs(report.spared) == [job.ref.job_id]
    assert report.ended == []
    assert service.is_untouched(job)
    assert read(folder, owner())[0].is_open


@pytest.mark.parametrize("question", [1, 2])
def test_airflow_that_cannot_be_asked(service: Any, folder: LedgerFolder, airflow_says: Any, question: int) -> None:
    job = service.start()
    write(folder, owner(), entry(job))

    def break_down(asked: int) -> None:
        if asked == question:
            raise ConnectionError("the database is away")

    airflow_says.before_answer = break_down
    if question == 1:
        with pytest.raises(ConnectionError):
            clean_up(Books(None, folder), airflow_says)
    else:
        report = clean_up(Books(None, folder), airflow_says)
        assert of_jobs(report.failed) == [job.ref.job_id]
        assert "the database is away" in str(report.failed[0].problem)
    assert service.is_untouched(job)


def test_many_at_once(service: Any, folder: LedgerFolder, airflow_says: Any) -> None:
    jobs = [service.start(("firecrawl", "datafiniti")[number % 2]) for number in range(24)]
    for number, job in enumerate(jobs):
        write(folder, owner(number), entry(job))
        airflow_says.states[owner(number)] = "failed"
    began = time.monotonic()
    report = clean_up(Books(None, folder), airflow_says)
    assert sorted(of_jobs(report.ended)) == sorted(job.ref.job_id for job in jobs)
    assert all(service.is_cancelled(job) for job in jobs)
    assert time.monotonic() - began < 60
    assert [dataclasses.replace(one, closed=None) for one in read(folder, owner(0))] == [entry(jobs[0])]
