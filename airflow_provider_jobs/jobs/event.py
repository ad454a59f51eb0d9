"""What a trigger hands to the task that it resumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from airflow_provider_jobs.exceptions import TriggerEventError
from airflow_provider_jobs.jobs.model import JobRef, JobStatus

FORMAT = 1


class Outcome(StrEnum):
    """Why a wait ended."""

    OVER = "over"
    TIMED_OUT = "timed_out"
    GAVE_UP = "gave_up"


@dataclass(frozen=True, slots=True)
class JobEvent:
    """The end of a wait.

    :param status: the job as last seen.
    :param error: why the wait was given up.
    :param permanent: whether a retry can help against that.
    :param cancelled: the job was cancelled by the trigger, and that was verified.
    """

    outcome: Outcome
    job: JobRef
    status: JobStatus | None = None
    error: str | None = None
    permanent: bool = False
    cancelled: bool = False

    def to_payload(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "format": FORMAT,
            "outcome": str(self.outcome),
            "job": self.job.to_dict(),
            "status": self.status.to_dict() if self.status else None,
            "error": self.error,
            "permanent": self.permanent,
            "cancelled": self.cancelled,
        }

    @classmethod
    def of(cls, payload: Any, job: JobRef) -> JobEvent:
        """Read the event that a task waits for.

        :raises TriggerEventError: it is nothing of ours, or the end of another job.
        """
        event = cls.from_payload(payload)
        if (event.job.service, event.job.kind, event.job.job_id) != (job.service, job.kind, job.job_id):
            raise TriggerEventError(f"the trigger returned an event of {event.job}, this task waits for {job}")
        if event.outcome is Outcome.OVER and event.status is None:
            raise TriggerEventError("the trigger returned an end without a status")
        return event

    @classmethod
    def from_payload(cls, payload: Any) -> JobEvent:
        """Read what :meth:`to_payload` wrote.

        :raises TriggerEventError: it is nothing of ours.
        """
        if not isinstance(payload, Mapping):
            raise TriggerEventError(f"the trigger returned no event, but {type(payload).__name__}")
        if payload.get("format", FORMAT) != FORMAT:
            raise TriggerEventError(f"the trigger returned an event of format {payload['format']}, not {FORMAT}")
        try:
            return cls(
                outcome=Outcome(payload["outcome"]),
                job=JobRef.from_dict(payload["job"]),
                status=JobStatus.from_dict(payload["status"]) if payload.get("status") else None,
                error=payload.get("error"),
                permanent=bool(payload.get("permanent")),
                cancelled=bool(payload.get("cancelled")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TriggerEventError(f"the trigger returned an event of unknown form ({error})") from None
