"""What one look at a job means for the wait: the one place that decides, for tasks, triggers and sensors."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_jobs.exceptions import (
    JobNotFoundError,
    RateLimitedError,
    RedirectRefusedError,
    RemoteJobsError,
    ServiceError,
    ServiceUnavailableError,
)
from airflow_provider_jobs.jobs.model import JobStatus
from airflow_provider_jobs.jobs.pace import pause

GRACE = 60.0
"""Seconds after a start in which "not found" means "not yet": hosted Firecrawl answers 404 for some seconds."""
PATIENCE = 900.0
"""Seconds of looks that failed one after another, after which the wait gives up."""
FAILURES = 5
"""Looks that must have failed by then: a triggerer that stalls for long must not take one bad answer for the last."""
LONGEST_BACKOFF = 60.0
LONGEST_ASKED = 300.0
"""Seconds that a service may ask us to wait: what it says once must not outlast the job."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Over:
    """The job has ended."""

    status: JobStatus


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The deadline has passed and the job has not ended."""

    status: JobStatus | None


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Looking makes no sense any more."""

    error: RemoteJobsError


class Watch:
    """The state of one wait. It does no I/O and reads no clock: callers pass wall-clock seconds.

    :param started_at: when the job was started; the grace time counts from here.
    :param deadline: when the wait ends, or None.
    :param poll_interval: the longest pause between two looks, in seconds.
    :param floor: the shortest one, in seconds.
    :param address_known: a request to this address has worked before, such as the job's start.
    """

    def __init__(
        self,
        *,
        started_at: float,
        deadline: float | None,
        poll_interval: float,
        floor: float,
        address_known: bool = True,
    ) -> None:
        self.started_at = started_at
        self.deadline = deadline
        self.poll_interval = poll_interval
        self.floor = floor
        self.last: JobStatus | None = None
        self._address_known = address_known
        self._failing_since: float | None = None
        self._failures = 0

    def saw(self, status: JobStatus, now: float) -> Wait | Over | TimedOut:
        """Judge a look that succeeded."""
        self.last, self._address_known = status, True
        self._failing_since, self._failures = None, 0
        if status.state.is_over:
            return Over(status)
        return self._wait(pause(now - self.started_at, poll_interval=self.poll_interval, floor=self.floor), now)

    def missed(self, error: RemoteJobsError, now: float) -> Wait | TimedOut | GiveUp:
        """Judge a look that failed. The job is healthy until proven otherwise."""
        if self._failing_since is None:
            self._failing_since = now
        self._failures += 1
        tired = now - self._failing_since >= PATIENCE and self._failures >= FAILURES
        if tired or self._is_final(error, now):
            return GiveUp(error)
        asked = getattr(error, "retry_after", None) if _says_when(error) else None
        backoff = min(LONGEST_BACKOFF, self.floor * 2.0 ** min(self._failures, 10))
        return self._wait(backoff if asked is None else max(min(asked, LONGEST_ASKED), self.floor), now)

    def _is_final(self, error: RemoteJobsError, now: float) -> bool:
        if isinstance(error, JobNotFoundError):
            return now - self.started_at >= GRACE
        if isinstance(error, RedirectRefusedError) or (isinstance(error, ServiceError) and error.is_page):
            # A proxy before the service answers so while the service is away.
            return not self._address_known
        return error.permanent

    def _wait(self, seconds: float, now: float) -> Wait | TimedOut:
        if self.deadline is None:
            return Wait(seconds)
        if now >= self.deadline:
            return TimedOut(self.last)
        return Wait(min(seconds, self.deadline - now))


def _says_when(error: RemoteJobsError) -> bool:
    return isinstance(error, RateLimitedError | ServiceUnavailableError)
