"""How a job is cancelled and the cancel verified, the same for every service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_jobs.exceptions import (
    JobNotCancelledError,
    JobNotFoundError,
    NotCancellableError,
    RemoteJobsError,
)
from airflow_provider_jobs.jobs.model import JobRef, JobStatus
from airflow_provider_jobs.services.base import Flow, Pause, Service

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 15.0, 15.0)
"""Seconds between the two looks that follow each DELETE: about a minute in all."""


@dataclass(frozen=True, slots=True)
class CancelOutcome:
    """What came of a cancel.

    :param status: the job as last seen, or None when the service does not know it.
    :param was_over: the job had ended before anything was sent.
    :param note: one sentence for the log.
    """

    status: JobStatus | None
    was_over: bool
    note: str


def cancel_flow(
    service: Service, ref: JobRef, *, pauses: Sequence[float] = PAUSES, is_new: bool = False
) -> Flow[CancelOutcome]:
    """Cancel a job and make sure of it.

    Looks first, because a server may mark a finished job as cancelled; sends the DELETE; asks whether it took
    effect, and sends it again while it did not: a cancel can be refused for too many requests or be lost.

    :param pauses: seconds between the two looks that follow each DELETE; their number, at least one, bounds the
        attempts.
    :param is_new: the job was started a moment ago, so "not found" means "not yet": hosted Firecrawl answers so.
    :raises JobNotCancelledError: the job still runs after the last look, or could not be asked about.
    :raises NotCancellableError: the service, or this server, has no way to cancel this kind of job.
    """
    if not service.kinds[ref.kind].watchable:
        return (yield from _cancel_unseen(service, ref, pauses))
    before = yield from _look(service, ref)
    if isinstance(before, RemoteJobsError) and not before.permanent:
        yield Pause(pauses[0])
        before = yield from _look(service, ref)
    if isinstance(before, JobNotFoundError) and not is_new:
        return CancelOutcome(None, True, f"{ref} is unknown to {service.label}: nothing to cancel")
    if isinstance(before, JobStatus) and before.state.is_over:
        return CancelOutcome(before, True, f"{ref} is over already: {before.describe()}")
    problem: RemoteJobsError | JobStatus | None = None
    for seconds in pauses:
        refused = yield from _delete(service, ref)
        if isinstance(refused, RemoteJobsError) and refused.permanent:
            raise JobNotCancelledError(f"{ref} could not be cancelled and may still run: {refused}") from refused
        seen = yield from _look(service, ref)
        if _end(service, ref, refused, seen, is_new=is_new) is None:
            yield Pause(seconds)
            # Again, because the next DELETE must not meet a job that has finished meanwhile.
            seen = yield from _look(service, ref)
        end = _end(service, ref, refused, seen, is_new=is_new)
        if end is None and isinstance(refused, str) and _is_silent(seen):
            end = CancelOutcome(None, True, f"{ref}: nothing left to cancel, says {service.label} ({refused})")
        if end is not None:
            return end
        problem = refused if isinstance(refused, RemoteJobsError) else seen
    told = problem.describe() if isinstance(problem, JobStatus) else str(problem)
    raise JobNotCancelledError(f"{ref} may still run, the cancel did not take effect: {told}")


def _cancel_unseen(service: Service, ref: JobRef, pauses: Sequence[float]) -> Flow[CancelOutcome]:
    """Cancel what has no status to ask for: the service's word is all there is."""
    problem: RemoteJobsError | None = None
    for seconds in pauses:
        refused = yield from _delete(service, ref)
        if refused is None:
            return CancelOutcome(None, False, f"{ref}: {service.label} has accepted the cancel; it cannot be verified")
        if isinstance(refused, str):
            return CancelOutcome(None, True, f"{ref}: nothing left to cancel, says {service.label} ({refused})")
        problem = refused
        if refused.permanent:
            break
        yield Pause(seconds)
    raise JobNotCancelledError(f"{ref} could not be cancelled and may still run: {problem}") from problem


def delete_flow(service: Service, ref: JobRef) -> Flow[None]:
    """Send one DELETE, for moments in which there is no time to look.

    :raises RemoteJobsError: it was not accepted.
    """
    refused = yield from _delete(service, ref)
    if isinstance(refused, RemoteJobsError):
        raise refused


def _delete(service: Service, ref: JobRef) -> Flow[RemoteJobsError | str | None]:
    try:
        request = service.cancel(ref)
        reply = yield request
        return service.read_cancel(ref, request, reply)
    except NotCancellableError:
        raise
    except RemoteJobsError as error:
        return error


def _look(service: Service, ref: JobRef) -> Flow[JobStatus | RemoteJobsError]:
    try:
        return (yield from service.look(ref))
    except RemoteJobsError as error:
        return error


def _end(
    service: Service,
    ref: JobRef,
    refused: RemoteJobsError | str | None,
    seen: JobStatus | RemoteJobsError,
    *,
    is_new: bool,
) -> CancelOutcome | None:
    if isinstance(seen, JobStatus) and seen.state.is_over:
        return CancelOutcome(seen, False, f"{ref} is over: {seen.describe()}")
    # Of a new job that has not been found, a DELETE must have been accepted once.
    if isinstance(seen, JobNotFoundError) and (refused is None or not is_new):
        return CancelOutcome(None, isinstance(refused, str), f"{ref} is gone from {service.label}")
    return None


def _is_silent(seen: JobStatus | RemoteJobsError) -> bool:
    return isinstance(seen, RemoteJobsError) and not isinstance(seen, JobNotFoundError)
