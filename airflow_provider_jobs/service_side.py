"""What the services themselves say of jobs, beside what is on record of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from airflow.sdk import BaseHook

from airflow_provider_jobs.cleanup import AT_ONCE, Finding
from airflow_provider_jobs.exceptions import ConnectionSettingsError
from airflow_provider_jobs.hooks.base import RemoteJobsHook
from airflow_provider_jobs.hooks.registry import hook_for
from airflow_provider_jobs.jobs.finding import Listed, Listing
from airflow_provider_jobs.jobs.model import JobRef, JobStatus
from airflow_provider_jobs.lost import look_for

TIME_LIMIT = 120.0
"""Seconds for the lists of one connection."""
Connection = tuple[str, str]
"""Service and connection id."""


@dataclass(slots=True)
class Sighting:
    """A job that a service lists.

    :param begun: seconds since the epoch, by our clock, at which it was started, or None.
    :param finding: what is on record of it.
    :param is_job: it is one that can be watched, and not a call that was answered at once.
    :param lost: the start without an answer that it may come from.
    """

    conn_id: str
    ref: JobRef
    begun: float | None
    status: JobStatus | None
    is_job: bool = True
    finding: Finding | None = None
    lost: Finding | None = None
    problem: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether the service says that it has ended."""
        return self.status is not None and self.status.state.is_over

    @property
    def reason(self) -> str:
        """Whose it is, in a few words."""
        if self.finding is not None:
            told = f"on record: {self.finding.judgement.reason}"
        elif self.lost is not None:
            entry = self.lost.record.entry
            when = dt.datetime.fromtimestamp(entry.intent_at, dt.UTC).isoformat(timespec="seconds")
            told = f"not on record; may be the unanswered start of {self.lost.record.owner} at {when}"
        else:
            told = "not on record"
        return told + (f"; {self.problem}" if self.problem else "")


def look_around(
    findings: Sequence[Finding], *, conn_id: str | None = None, asks_state: bool = False
) -> tuple[list[Sighting], list[str]]:
    """Ask each service that the record names for its jobs, and say of each whether it is on record.

    :param findings: all starts on record.
    :param conn_id: only this connection, also one that no record names.
    :param asks_state: ask for the state of jobs whose list does not show it.
    :returns: the jobs, newest first for each connection, and what could not be listed or asked.
    """
    problems: list[str] = []
    hooks = _hooks(findings, conn_id)
    seen: list[Sighting] = []
    for ((_, name), hook), answer in zip(hooks.items(), _listings(hooks), strict=True):
        if isinstance(hook, Exception) or isinstance(answer, Exception):
            problems.append(f"connection {name}: {answer}")
            continue
        problems += [f"connection {name}: {gap}" for gap in answer.gaps]
        jobs = [_sighting(hook, answer, job) for job in answer.jobs]
        seen += sorted(jobs, key=lambda job: job.begun or 0.0, reverse=True)
    known = {(job.ref.service, job.ref.job_id): f for f in reversed(findings) if (job := f.record.job) is not None}
    for sighting in seen:
        sighting.finding = known.get((sighting.ref.service, sighting.ref.job_id))
    _add_lost(seen, findings, hooks)
    if asks_state:
        problems += _ask_states(seen, hooks)
    return seen, problems


def _hooks(findings: Sequence[Finding], conn_id: str | None) -> dict[Connection, RemoteJobsHook | Exception]:
    named = dict.fromkeys((f.record.entry.service, f.record.entry.conn_id) for f in findings)
    wanted = [place for place in named if conn_id in {None, place[1]}]
    hooks: dict[Connection, RemoteJobsHook | Exception] = {}
    if conn_id is not None and not wanted:
        try:
            conn_type = BaseHook.get_connection(conn_id).conn_type
            wanted = [(str(conn_type), conn_id)]
        except Exception as error:
            return {("", conn_id): error}
    for place in wanted:
        try:
            hook = hook_for(*place)
            _ = hook.credentials
            hooks[place] = hook
        except ValueError as error:
            is_ours = isinstance(error, ConnectionSettingsError)
            hooks[place] = error if is_ours else ValueError(f"it is of type {place[0]}, of which no jobs can be listed")
        except Exception as error:
            hooks[place] = error
    return hooks


def _listings(hooks: Mapping[Connection, RemoteJobsHook | Exception]) -> list[Listing | Exception]:
    def one(hook: RemoteJobsHook | Exception) -> Listing | Exception:
        if isinstance(hook, Exception):
            return hook
        try:
            return hook.list_jobs(time_limit=TIME_LIMIT)
        except Exception as error:
            return error

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, hooks.values()))


def _sighting(hook: RemoteJobsHook, listing: Listing, job: Listed) -> Sighting:
    info = hook.service.kinds.get(job.ref.kind)
    is_job = info is not None and info.watchable
    return Sighting(hook.conn_id, job.ref, listing.begun(job), job.status, is_job)


def _add_lost(
    seen: list[Sighting], findings: Sequence[Finding], hooks: Mapping[Connection, RemoteJobsHook | Exception]
) -> None:
    """Say which job may come from which start without an answer, by the rule by which tasks take them up."""
    unanswered = [
        f
        for f in findings
        if f.record.job is None and f.record.entry.is_open
        and not isinstance(hooks.get((f.record.entry.service, f.record.entry.conn_id), LookupError()), Exception)
    ]  # fmt: skip
    records = [finding.record for finding in findings]
    for finding, answer in zip(
        unanswered, look_for([finding.record for finding in unanswered], records, hooks), strict=True
    ):
        if isinstance(answer, str) or answer.job is None:
            continue
        ref, conn_id = answer.job.ref, finding.record.entry.conn_id
        same = [job for job in seen if (job.conn_id, job.ref.job_id) == (conn_id, ref.job_id)]
        if not same:
            # Older than what was listed.
            same = [Sighting(conn_id, ref, answer.job.started_at, None)]
            seen += same
        same[0].lost = finding


def _ask_states(seen: Sequence[Sighting], hooks: Mapping[Connection, RemoteJobsHook | Exception]) -> list[str]:
    def one(job: Sighting) -> str | None:
        hook = hooks.get((job.ref.service, job.conn_id))
        if not isinstance(hook, RemoteJobsHook):
            return None
        if job.status is not None or not job.is_job:
            return None
        try:
            job.status = hook.look(job.ref)
        except Exception as error:
            job.problem = str(error)
            return f"{job.ref}: {error}"
        return None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [problem for problem in pool.map(one, seen) if problem]
