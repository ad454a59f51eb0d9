"""What all operators share that deliver the result of a job."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from airflow_provider_jobs.compat import Owner
from airflow_provider_jobs.exceptions import (
    JobCancelledError,
    JobFailedError,
    RemoteJobsError,
    ResultIncompleteError,
)
from airflow_provider_jobs.hooks.base import RemoteJobsHook
from airflow_provider_jobs.jobs.model import JobRef, JobState, JobStatus, JobSummary, StartedJob
from airflow_provider_jobs.jobs.outcome import check_max_failed, shortfall
from airflow_provider_jobs.results import OutputFolder, ReturnValue, Sink

if TYPE_CHECKING:
    from airflow.sdk import Context

FAILED_LOGGED = 10


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of a delivery.

    :param failed: what failed, by name: ``url``, ``error``, ``code``.
    :param base: the number that a share in ``max_failed`` is taken of. None: of what was asked for, or where no number
        was, of all that was delivered, failed or is missing.
    :param doubt: why the counts cannot be trusted. The result is delivered, and then the task fails.
    """

    summary: JobSummary
    failed: Sequence[dict[str, str]] = ()
    base: int | None = None
    doubt: str | None = None


class DeliveringOperator(BaseOperator):
    """Brings the result of a job that is over into a folder or the return value, and judges it.

    :param output_path: a folder on any object storage for the result; without it, the result is the return value, up
        to 1 MiB of JSON.
    :param max_failed: how many records may fail or be missing: a count (int), a share (float above 0, up to 1), or
        None: none may be missing, and something must have come.
    :param deliver_partial: deliver what a failed or cancelled job has, then fail.
    """

    service: ClassVar[str]
    fail_on_empty: bool = True

    def __init__(
        self,
        *,
        output_path: str | None = None,
        max_failed: int | float | None = None,
        deliver_partial: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.output_path = output_path
        self.max_failed = check_max_failed(max_failed)
        self.deliver_partial = deliver_partial

    # --- what a service adds ----------------------------------------------------------------------------------

    @cached_property
    def hook(self) -> RemoteJobsHook:
        """The hook of the connection."""
        raise NotImplementedError

    def deliver(self, job: StartedJob, status: JobStatus, sink: Sink) -> Delivery:
        """Bring the result of a job that is over into a sink; return the counts and what failed, by name."""
        raise NotImplementedError

    # --- the steps --------------------------------------------------------------------------------------------

    def _prepare(self, context: Context) -> None:
        """Make sure that the result can be written, before anything is billed or read."""
        if self.output_path is not None:
            self._folder(context).prepare()

    @staticmethod
    def _push(context: Context, ref: JobRef) -> None:
        ti = context["ti"]
        ti.xcom_push(key="job_id", value=ref.job_id)
        if ref.api_version:
            ti.xcom_push(key="api_version", value=ref.api_version)

    def _finish(self, context: Context, job: StartedJob, status: JobStatus) -> dict[str, Any]:
        """Deliver the result of a job that is over, and return its summary.

        :raises JobFailedError: the job failed; with ``deliver_partial``, what it has was delivered.
        :raises JobCancelledError: the same of a cancelled one.
        :raises ResultIncompleteError: less came than ``max_failed`` allows; what came was delivered.
        """
        self._saw_end(status)
        self.log.info("%s is over: %s", job.ref, status.describe())
        if status.warning:
            self.log.warning("%s says: %s", job.ref.service, status.warning)
        problem = end_error(job.ref, status)
        if problem is not None and not self.deliver_partial:
            raise type(problem)(f"{problem}{_left(status)}")
        delivery = self._deliver(context, job, status)
        summary = delivery.summary
        if problem is not None:
            raise type(problem)(f"{problem}; {summary.records} records were delivered{_where(summary)}")
        self._has_delivered()
        base = job.asked if delivery.base is None else delivery.base
        short = delivery.doubt or shortfall(
            summary, asked=base, max_failed=self.max_failed, fail_on_empty=self.fail_on_empty
        )
        if short:
            first = "; ".join(f"{entry['url']}: {entry['error']}" for entry in delivery.failed[:3])
            told = f"{job.ref}: {short}" + (f"; delivered{_where(summary)}" if summary.output else "")
            raise ResultIncompleteError(told + (f". First: {first}" if first else ""))
        return summary.to_dict()

    def _saw_end(self, status: JobStatus) -> None:
        """Note that the job is over; called first, and may refuse to go on."""

    def _has_delivered(self) -> None:
        """Note that the whole result of a job that succeeded is delivered; called before it is judged."""

    def _deliver(self, context: Context, job: StartedJob, status: JobStatus) -> Delivery:
        sink = self._sink(context, job.ref)
        try:
            delivery = self.deliver(job, status, sink)
            output = sink.finish(delivery.summary, list(delivery.failed), job.ref)
        except BaseException:
            sink.discard()
            raise
        summary = dataclasses.replace(delivery.summary, output=output)
        self.log.info(
            "Delivered %d records%s; %d failed, %d missing",
            summary.records, _where(summary), summary.failed, summary.missing,
        )  # fmt: skip
        for entry in delivery.failed[:FAILED_LOGGED]:
            self.log.warning("Failed: %s: %s", entry["url"], entry["error"])
        return dataclasses.replace(delivery, summary=summary)

    def _sink(self, context: Context, ref: JobRef) -> Sink:
        return self._folder(context) if self.output_path is not None else ReturnValue(ref)

    def _folder(self, context: Context) -> OutputFolder:
        return OutputFolder(self.output_path, Owner.of(context).to_dict())


def end_error(ref: JobRef, status: JobStatus) -> RemoteJobsError | None:
    """Return the error that a job's end means, with what was billed and what can be fetched; None of a success."""
    if status.state is JobState.SUCCEEDED:
        return None
    told = f"{ref} ended as {status.describe()}" + (f": {status.error}" if status.error else "")
    told += "" if status.credits_used is not None else "; the service does not say what it billed"
    return JobCancelledError(told) if status.state is JobState.CANCELLED else JobFailedError(told)


def _left(status: JobStatus) -> str:
    """Say what a job that failed or was cancelled has nevertheless."""
    if status.completed is None:
        return "; deliver_partial=True delivers what it has"
    if status.completed == 0:
        return "; there is nothing to fetch"
    return f". {status.completed} records can still be fetched from the service (deliver_partial=True delivers them)"


def _where(summary: JobSummary) -> str:
    if not summary.output:
        return ""
    more = f" and {len(summary.output) - 1} more" if len(summary.output) > 1 else ""
    return f" to {summary.output[0]}{more}"
