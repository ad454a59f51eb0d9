"""What the cancel operators of all services do."""

from __future__ import annotations

from typing import Any

from airflow_provider_jobs.exceptions import JobNotCancelledError
from airflow_provider_jobs.hooks.base import RemoteJobsHook
from airflow_provider_jobs.jobs.model import JobRef, JobState


def cancel_job(hook: RemoteJobsHook, ref: JobRef, *, fail_if_over: bool, log: Any) -> dict[str, Any]:
    """Cancel a job, verified.

    :raises JobNotCancelledError: it may still run, or with ``fail_if_over`` there was nothing left to cancel.
    """
    outcome = hook.cancel(ref)
    log.info(outcome.note)
    if outcome.was_over and fail_if_over:
        raise JobNotCancelledError(outcome.note)
    state = outcome.status.state if outcome.status else JobState.UNKNOWN
    info = hook.service.kinds[ref.kind]
    ends = {JobState.CANCELLED}
    if info.cancelled_as_failed:
        ends.add(JobState.FAILED)
    if not info.watchable:
        ends.add(JobState.UNKNOWN)  # the service's word is all there is
    return {
        "service": ref.service,
        "kind": ref.kind,
        "job_id": ref.job_id,
        "state": str(state),
        "cancelled": not outcome.was_over and state in ends,
    }
