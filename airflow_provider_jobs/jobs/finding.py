"""A start whose answer was lost, and what a service lists: which listed job it is, if that is beyond doubt. Pure.

To take up somebody else's job would be far worse than not to find one's own: two tasks would wait for it, deliver it,
and end it under each other's hands, and a job with the same first address may have other addresses behind it. So a job
is found only if it is the only one that can be meant. Two equal starts at one moment, as mapped tasks with one address
make them, are not told apart, and neither is found; nor is anything found in a list that shows no times, or that ends
before the moment in question. What a list cannot show, nobody can rule out: an equal start at that very moment by
something that keeps no record, while ours never arrived.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from airflow_provider_jobs.jobs.history import Closed, Entry
from airflow_provider_jobs.jobs.model import JobRef, JobStatus

SLACK = 5.0
"""Seconds by which two clocks may differ after the correction; services also round their times."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What a service's list says of one job.

    :param ref: its name; without an API version where the list does not tell it.
    :param started_at: seconds since the epoch by the service's clock, or None where the list does not tell it.
    :param mark: what the list shows of the request, or None. It may hold a secret, and never leaves the memory.
    :param status: as far as the list tells it.
    """

    ref: JobRef
    started_at: float | None
    mark: str | None = field(default=None, repr=False)
    status: JobStatus | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """What a service lists.

    :param jobs: each job once.
    :param is_cut: the list does not reach back as far as was asked.
    :param offset: seconds by which the service's clock is ahead of ours.
    :param sources: the requests that were answered with a list.
    :param gaps: what this server could not list, and why.
    """

    jobs: tuple[Listed, ...]
    is_cut: bool = False
    offset: float = 0.0
    sources: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()

    def begun(self, job: Listed) -> float | None:
        """Return when a job was started, in seconds since the epoch by our clock; None when that is unknown."""
        return None if job.started_at is None else job.started_at - self.offset


class ClockGap:
    """How far another clock is ahead, from moments that it has put its time on. Each answer narrows it down."""

    def __init__(self) -> None:
        self._least = float("-inf")
        self._most = float("inf")

    def saw(self, before: float, after: float, stamp: float | None) -> None:
        """Take note of a time stamp in whole seconds, made between two moments of our clock."""
        if stamp is not None:
            self._least = max(self._least, stamp - after)
            self._most = min(self._most, stamp + 1.0 - before)

    @property
    def offset(self) -> float:
        """The smallest difference, in seconds, that explains what was seen; 0 when nothing was."""
        if self._least > self._most:
            return (self._least + self._most) / 2  # it was changed in between
        return min(max(0.0, self._least), self._most)


@dataclass(frozen=True, slots=True)
class LostStart:
    """A start whose answer was lost.

    :param mark: of the request, as :func:`mark_hash` gives it; None when no list can tell it from others.
    :param begin: seconds since the epoch at which the start was sent, or when it was about to be.
    :param end: at which its answer was given up.
    :param asked: as of the job's description, where that is known.
    """

    service: str
    kind: str
    api_version: str | None
    mark: str | None
    begin: float
    end: float
    asked: int | None = None

    @classmethod
    def of(cls, entry: Entry, *, longest: float, asked: int | None = None) -> LostStart:
        """Return the start that an entry without a job tells of.

        :param longest: seconds that a start can take to be answered, where the record does not say when it was given
            up. Too few, and the job is not found; too many, and another's may be taken for it.
        """
        begin, end = _span(entry, longest)
        return cls(entry.service, entry.kind, entry.api_version, entry.mark, begin, end, asked)

    def holds(self, moment: float) -> bool:
        """Whether the job can have been started at this moment."""
        return self.begin - SLACK <= moment <= self.end + SLACK


@dataclass(frozen=True, slots=True)
class Found:
    """The job of the lost start.

    :param ref: with the API version of the start.
    """

    ref: JobRef


@dataclass(frozen=True, slots=True)
class NotFound:
    """No job is surely that of the lost start.

    :param reason: why, in a few words.
    :param is_final: looking again cannot help.
    """

    reason: str
    is_final: bool = False


def mark_hash(mark: str | None) -> str | None:
    """Return what the record keeps of a mark: a SHA-256, because addresses and prompts may hold secrets."""
    return None if mark is None else hashlib.sha256(mark.encode("utf-8", "surrogatepass")).hexdigest()


def find(
    lost: LostStart,
    listing: Listing,
    *,
    record: Iterable[Entry] = (),
    taken: Collection[str] = (),
    longest: float = 0.0,
) -> Found | NotFound:
    """Return the job of a lost start, if there is exactly one that it can be.

    :param record: all other starts that are known of, of this task and of others. Only read where a job fits.
    :param taken: ids of jobs that belong to somebody else.
    :param longest: as of :meth:`LostStart.of`, for the starts without an answer among the others.
    """
    if lost.mark is None:
        return NotFound(f"a {lost.kind} like this one cannot be told from others in a list", is_final=True)
    if not listing.sources:
        return NotFound("; ".join(listing.gaps) or "nothing can be listed", is_final=True)
    if listing.is_cut:
        return NotFound("the list does not reach back to the moment of the start", is_final=True)
    kind = [job for job in listing.jobs if (job.ref.service, job.ref.kind) == (lost.service, lost.kind)]
    same = {job.ref.job_id: job for job in kind if _is_same(lost, job)}
    if not same:
        if kind and all(job.mark is None for job in kind):
            return NotFound(f"the list does not show what a {lost.kind} was asked for", is_final=True)
        return NotFound(f"no such {lost.kind} is listed")
    known = list(record)
    on_record = {*taken, *(entry.job.ref.job_id for entry in known if entry.job and entry.service == lost.service)}
    free = [job for job_id, job in same.items() if job_id not in on_record]
    if any(job.started_at is None for job in free):
        return NotFound(f"the list does not say when such a {lost.kind} was started", is_final=True)
    in_time = [job for job in same.values() if (begun := listing.begun(job)) is not None and lost.holds(begun)]
    fitting = [job for job in in_time if job in free]
    if not fitting:
        told = "is on record as another start's" if in_time else "was started at another moment"
        return NotFound(f"each such {lost.kind} that is listed {told}")
    if len(fitting) > 1:
        return NotFound(f"{len(fitting)} such jobs were started at that moment", is_final=True)
    if any(_is_rival(lost, entry, longest) for entry in known):
        return NotFound("another start without an answer may have made the job that is listed", is_final=True)
    ref = fitting[0].ref
    return Found(JobRef(ref.service, ref.kind, ref.job_id, lost.api_version or ref.api_version))


def _is_same(lost: LostStart, job: Listed) -> bool:
    if None not in {job.ref.api_version, lost.api_version} and job.ref.api_version != lost.api_version:
        return False
    return mark_hash(job.mark) == lost.mark


def _is_rival(lost: LostStart, entry: Entry, longest: float) -> bool:
    if entry.job is not None or entry.closed is Closed.NOT_STARTED:
        return False
    if (entry.service, entry.kind) != (lost.service, lost.kind) or entry.mark not in {None, lost.mark}:
        return False
    begin, end = _span(entry, longest)
    return begin - SLACK <= lost.end + SLACK and lost.begin - SLACK <= end + SLACK


def _span(entry: Entry, longest: float) -> tuple[float, float]:
    begin = entry.intent_at if entry.sent_at is None else entry.sent_at
    return begin, begin + longest if entry.lost_at is None else max(begin, entry.lost_at)
