"""Jobs without an owner: find them, and end them. For what no hook in a task or a trigger can see."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Protocol

from airflow_provider_jobs.books import Books, Record
from airflow_provider_jobs.compat import Owner, OwnerView
from airflow_provider_jobs.hooks.base import RemoteJobsHook
from airflow_provider_jobs.hooks.registry import hook_for, is_call
from airflow_provider_jobs.jobs.history import Closed
from airflow_provider_jobs.jobs.model import JobState, JobStatus
from airflow_provider_jobs.jobs.orphans import OLDER_THAN, Judgement, judge
from airflow_provider_jobs.lost import look_for

log = logging.getLogger(__name__)

AT_ONCE = 8
GIVE_UP = 8
"""Failures in a row after which a connection is not tried again: each takes its time where a service is away."""
EVIDENCE = 200
"""Tasks of the folder that are asked about, when none with an open entry is known."""
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between the attempts of a cancel; the next clean-up comes soon enough."""


@dataclass(frozen=True, slots=True)
class Ages:
    """How many seconds old a job must be before it is touched.

    :param stray: if a stored trigger names it that nobody waits for: then its task has surely written it down.
    """

    others: float = OLDER_THAN
    stray: float = OLDER_THAN

    def of(self, record: Record) -> float:
        """Return the seconds for this job."""
        return self.stray if record.is_stray else self.others


class Airflow(Protocol):
    """Who tells what has become of tasks."""

    def views(self, owners: Collection[Owner]) -> dict[Owner, OwnerView]:
        """Return what Airflow says of each owner.

        :raises Exception: it cannot be asked.
        """


@dataclass(slots=True)
class Finding:
    """A job on record, and what is thought of it.

    :param state: the owner's in Airflow, as asked.
    """

    record: Record
    judgement: Judgement
    owner_exists: bool
    state: str | None = None
    status: JobStatus | None = None
    problem: str | None = None

    @property
    def runs(self) -> bool | None:
        """Whether the job runs, as far as the service was asked."""
        return None if self.status is None else not self.status.state.is_over

    def __str__(self) -> str:
        return f"{self.record} ({self.judgement.reason})"


@dataclass(slots=True)
class Report:
    """What a clean-up did.

    :param ended: jobs that were cancelled, verified.
    :param over: jobs that turned out to be over, or unknown to the service.
    :param spared: jobs whose owner came back while the clean-up was at work.
    :param failed: jobs that could not be ended; they may still run.
    :param unanswered: starts without an id whose task is over: a job may run, and nobody can end it from here.
    :param calls: billed calls without an answer whose task is over. Nothing of them runs, so their records are closed.
    :param problems: what could not be read at all.
    :param refused: the reason for which nothing was done.
    """

    ended: list[Finding] = field(default_factory=list)
    over: list[Finding] = field(default_factory=list)
    spared: list[Finding] = field(default_factory=list)
    failed: list[Finding] = field(default_factory=list)
    unanswered: list[Finding] = field(default_factory=list)
    calls: list[Finding] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    refused: str | None = None

    @property
    def is_clean(self) -> bool:
        """Whether everything could be read and ended."""
        return not (self.failed or self.problems or self.refused)


def find(
    books: Books,
    airflow: Airflow,
    *,
    ages: Ages | None = None,
    dag_id: str | None = None,
    open_only: bool = False,
) -> list[Finding]:
    """Judge every start on record.

    :param ages: younger jobs are nobody's orphans yet. Default two minutes.
    :param open_only: leave out tasks of whose starts all are closed.
    :raises Exception: Airflow cannot be asked.
    """
    records = list(books.read(dag_id=dag_id, open_only=open_only))
    views = airflow.views({record.owner for record in records})
    now = time.time()
    return [
        Finding(
            record,
            _judge(record, views[record.owner], now, ages or Ages()),
            views[record.owner].exists,
            views[record.owner].state,
        )
        for record in records
    ]


def clean_up(
    books: Books,
    airflow: Airflow,
    *,
    ages: Ages | None = None,
    force: bool = False,
    dry_run: bool = False,
    time_limit: float | None = None,
    finds_lost: bool = False,
) -> Report:
    """End the jobs that have lost their owner. On any doubt they are left as they are.

    :param ages: younger jobs are left alone. Default two minutes.
    :param force: also when Airflow knows none of the owners in the ledger folder.
    :param dry_run: only say what would be ended (as ``ended``).
    :param time_limit: seconds for all of it; what does not fit is reported as failed.
    :param finds_lost: also look for the jobs of starts that were never answered, in what the services list.
    :raises Exception: Airflow cannot be asked.
    """
    began = time.monotonic()
    ages = ages or Ages()
    findings = find(books, airflow, ages=ages, open_only=True)
    report = Report(problems=list(books.problems))
    unanswered = [f for f in findings if f.record.job is None and f.record.entry.is_open and f.judgement.owner_is_over]
    report.unanswered = [finding for finding in unanswered if not _is_call(finding.record)]
    old = time.time() - ages.others
    calls = [f for f in unanswered if _is_call(f.record) and f.record.entry.intent_at <= old]
    orphans = [finding for finding in findings if finding.judgement.orphan]
    if not force and (orphans or unanswered):
        report.refused = _wrong_airflow(findings, books, airflow)
        if report.refused and not orphans:
            return Report(unanswered=report.unanswered, problems=report.problems)
    if report.refused:
        return report
    report.calls = calls
    if not dry_run:
        _close_calls(calls, books)
    if finds_lost and report.unanswered:
        orphans += _find_lost(report, books, ages)
    orphans = _merged(orphans, findings)
    if dry_run:
        report.ended = orphans
        return report
    for orphan, place in _work(orphans, books, airflow, ages, began, time_limit):
        getattr(report, place).append(orphan)
    return report


def _is_call(record: Record) -> bool:
    return is_call(record.entry.service, record.entry.kind)


def _close_calls(calls: Sequence[Finding], books: Books) -> None:
    for finding in calls:
        try:
            books.close(finding.record, Closed.UNKNOWN)
        except Exception as error:
            # Nothing runs; the next clean-up closes it.
            log.warning("That %s is over could not be written down: %s", finding.record, error)


def _find_lost(report: Report, books: Books, ages: Ages) -> list[Finding]:
    """Move the starts whose job was found out of the report's unanswered ones, and return those that are orphans."""
    # Closed entries count, too: a job that was handed over must not be taken for one that nobody knows.
    everything = list(books.read())
    if books.problems:
        for finding in report.unanswered:
            finding.problem = "it was not looked for: what other tasks have started could not all be read"
        return []
    answers = look_for([finding.record for finding in report.unanswered], everything, hooks_of(report.unanswered))
    found: list[Finding] = []
    for finding, answer in zip(list(report.unanswered), answers, strict=True):
        if isinstance(answer, str):
            finding.problem = answer
            continue
        view = OwnerView(finding.owner_exists, finding.state)
        known = Finding(answer, _judge(answer, view, time.time(), ages), finding.owner_exists, finding.state)
        if known.judgement.orphan:
            found.append(known)
            report.unanswered.remove(finding)
        else:
            finding.problem = f"it seems to be {answer.job.ref if answer.job else None}; {known.judgement.reason}"
    return found


def look(finding: Finding, hook: RemoteJobsHook) -> None:
    """Ask the service how a job is doing."""
    assert finding.record.job is not None
    try:
        finding.status = hook.look(finding.record.job.ref)
    except Exception as error:
        finding.problem = str(error)


def end(finding: Finding, books: Books, hook: RemoteJobsHook, *, time_limit: float | None = None) -> str:
    """End a job and write that down; return the part of the report that it belongs to.

    :param time_limit: seconds.
    """
    assert finding.record.job is not None
    job = finding.record.job
    try:
        outcome = hook.cancel(job.ref, pauses=PAUSES, started_at=job.started_at, time_limit=time_limit)
    except Exception as error:
        finding.problem = str(error)
        return "failed"
    finding.status = outcome.status
    if why := _closed(outcome.status):
        try:
            books.close(finding.record, why)
        except Exception as error:
            # The job is ended; the next clean-up finds it over.
            log.warning("%s is over, but that could not be written down: %s", finding.record, error)
    return "over" if outcome.was_over else "ended"


def hooks_of(findings: Sequence[Finding]) -> dict[tuple[str, str], RemoteJobsHook | Exception]:
    """Return the hook of each connection, read and ready for threads, or the reason why there is none."""
    hooks: dict[tuple[str, str], RemoteJobsHook | Exception] = {}
    for finding in findings:
        key = (finding.record.entry.service, finding.record.entry.conn_id)
        if key in hooks:
            continue
        try:
            hook = hook_for(*key)
            _ = hook.credentials
            hooks[key] = hook
        except Exception as error:
            hooks[key] = error
    return hooks


def _judge(record: Record, view: OwnerView, now: float, ages: Ages) -> Judgement:
    return judge(
        record.entry,
        is_newest=record.is_newest,
        exists=view.exists,
        state=view.state,
        now=now,
        older_than=ages.of(record),
        is_call=_is_call(record),
    )


def _wrong_airflow(findings: list[Finding], books: Books, airflow: Airflow) -> str | None:
    """Return why nothing must be done: all owners in the folder are unknown, so this may not be their Airflow."""
    shared = [finding for finding in findings if finding.record.in_folder]
    if len(shared) < 2 or any(finding.owner_exists for finding in shared):
        return None
    # All that is open may belong to deleted runs; one other task that is known shows that this is their Airflow.
    if any(view.exists for view in airflow.views(books.some_owners(EVIDENCE)).values()):
        return None
    return (
        f"Airflow knows none of the tasks of the {len(shared)} entries in the ledger folder: this looks like another "
        "Airflow's database, or an emptied one. Nothing was ended; --force ends the jobs all the same."
    )


def _merged(orphans: list[Finding], findings: list[Finding]) -> list[Finding]:
    """Name each job once, and none that another task still waits for."""
    known = {_key(f): f for f in findings if f.record.job is not None and not f.judgement.orphan}
    found: dict[tuple[str, str, str], Finding] = {}
    for orphan in orphans:
        key = _key(orphan)
        if key not in found and key not in known:
            found[key] = orphan
    return list(found.values())


def _key(finding: Finding) -> tuple[str, str, str]:
    job = finding.record.job
    return (finding.record.entry.conn_id, finding.record.entry.service, job.ref.job_id if job else "")


def _work(
    orphans: list[Finding],
    books: Books,
    airflow: Airflow,
    ages: Ages,
    began: float,
    time_limit: float | None,
) -> Iterator[tuple[Finding, str]]:
    hooks = hooks_of(orphans)
    failures: Counter[str] = Counter()

    def left() -> float | None:
        return None if time_limit is None else time_limit - (time.monotonic() - began)

    def one(orphan: Finding) -> str:
        hook = hooks[orphan.record.entry.service, orphan.record.entry.conn_id]
        if isinstance(hook, Exception):
            orphan.problem = f"connection {orphan.record.entry.conn_id}: {hook}"
            return "failed"
        limit = left()
        if limit is not None and limit < 1:
            orphan.problem = "there was no time left"
            return "failed"
        conn_id = orphan.record.entry.conn_id
        if failures[conn_id] >= GIVE_UP:
            orphan.problem = (
                f"connection {conn_id} has failed {failures[conn_id]} times in a row, it was not tried again"
            )
            return "failed"
        try:
            # A task may have been cleared since; the first answer is as old as the jobs before this one took.
            view = airflow.views([orphan.record.owner])[orphan.record.owner]
        except Exception as error:
            orphan.problem = f"Airflow could not be asked again: {error}"
            return "failed"
        if not _judge(orphan.record, view, time.time(), ages).orphan:
            return "spared"
        try:
            # Asked last: a try that has come and gone meanwhile has written down what became of the job.
            if not books.is_open(orphan.record):
                return "spared"
        except Exception as error:
            orphan.problem = f"its record could not be read again: {error}"
            return "failed"
        place = end(orphan, books, hook, time_limit=limit)
        failures[conn_id] = failures[conn_id] + 1 if place == "failed" else 0
        return place

    if not orphans:
        return
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="end-job")
    try:
        tasks = {pool.submit(one, orphan): orphan for orphan in orphans}
        done, waiting = wait(tasks, timeout=left())
        for task in done:
            yield tasks[task], task.result()
        for task in waiting:
            tasks[task].problem = tasks[task].problem or "there was no time left"
            yield tasks[task], "failed"
    finally:
        pool.shutdown(wait=time_limit is None, cancel_futures=True)


def _closed(status: JobStatus | None) -> Closed | None:
    if status is None:
        return Closed.GONE
    if status.state is JobState.SUCCEEDED:
        return None  # paid for and not delivered: a clear of the task still delivers it
    if status.state is JobState.FAILED:
        return Closed.FAILED
    return Closed.CANCELLED
