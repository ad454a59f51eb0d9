"""The words of this provider as types: job, state, status, summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

FAILED_LISTED = 100
"""Refused inputs that are carried along by name; the rest is counted only (they travel through Airflow's database)."""


class JobState(StrEnum):
    """What a job is doing, the same for every service."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @property
    def is_over(self) -> bool:
        """Whether the job has ended. An unknown word has not: it must neither kill a paid job nor end a wait."""
        return self in {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}


@dataclass(frozen=True, slots=True)
class JobRef:
    """Names one job.

    :param service: ``firecrawl`` or ``datafiniti``.
    :param kind: what sort of job, such as ``batch_scrape`` or ``download``.
    :param job_id: the service's id, always a string.
    :param api_version: the API version that started it, where the service has several. A job is polled and
        cancelled on the version that started it.
    """

    service: str
    kind: str
    job_id: str
    api_version: str | None = None

    def __str__(self) -> str:
        return f"{self.service} {self.kind} {self.job_id}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> JobRef:
        """Read what :meth:`to_dict` wrote; keys of a newer version are ignored."""
        return cls(**{f.name: value[f.name] for f in fields(cls) if f.name in value})


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job that has not been started: what decides the bill.

    :param body: the JSON body of the start request, in the service's own spelling.
    :param target: what the start is addressed to, where a kind has several (Datafiniti's data type).
    :param asked: how many records were asked for (URLs sent, records wanted), or None where no number was given.
    """

    service: str
    kind: str
    body: Mapping[str, Any]
    api_version: str | None = None
    target: str | None = None
    asked: int | None = None


@dataclass(frozen=True, slots=True)
class StartedJob:
    """What is known of a job from its start on. Plain JSON through :meth:`to_dict`; holds no secret.

    :param started_at: seconds since the epoch at which the start was sent.
    :param asked: as in :class:`JobSpec`.
    :param refused: number of inputs that the service left out of the job (invalid URLs).
    :param refused_names: the first of them, as given.
    """

    ref: JobRef
    started_at: float
    asked: int | None = None
    refused: int = 0
    refused_names: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "ref": self.ref.to_dict(),
            "started_at": self.started_at,
            "asked": self.asked,
            "refused": self.refused,
            "refused_names": list(self.refused_names[:FAILED_LISTED]),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> StartedJob:
        """Read what :meth:`to_dict` wrote."""
        return cls(
            ref=JobRef.from_dict(value["ref"]),
            started_at=float(value["started_at"]),
            asked=value.get("asked"),
            refused=int(value.get("refused", 0)),
            refused_names=tuple(value.get("refused_names", ())),
        )


@dataclass(frozen=True, slots=True)
class JobStatus:
    """One look at a job.

    :param state: the common word.
    :param raw_status: the service's own word, or None when it sent none.
    :param completed: records done so far, or None when the service does not say. May fall.
    :param total: records expected, or None. May grow, shrink and be 0.
    :param credits_used: credits billed so far, or None when unknown.
    :param error: the service's explanation of a failure.
    :param warning: anything else the service wants to be read.
    :param file_format: what the service calls the format of the result files, where it names one.
    :param links: addresses of result files, where the service names them. They are secrets and do not
        appear in the representation or in :meth:`to_dict`.
    """

    state: JobState
    raw_status: str | None = None
    completed: int | None = None
    total: int | None = None
    credits_used: float | None = None
    error: str | None = None
    warning: str | None = None
    file_format: str | None = None
    links: tuple[str, ...] = field(default=(), repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON, without the links."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "links"}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> JobStatus:
        """Read what :meth:`to_dict` wrote."""
        known = {f.name for f in fields(cls)} - {"links", "state"}
        return cls(state=JobState(value["state"]), **{key: value[key] for key in known if key in value})

    def describe(self) -> str:
        """Return state, progress and bill in a few words for a log line or an error."""
        words = [str(self.state)]
        if self.raw_status and self.raw_status.casefold() != self.state:
            words.append(f"({self.raw_status})")
        if self.completed is not None:
            words.append(f"{self.completed}/{'?' if self.total is None else self.total} records")
        if self.credits_used is not None:
            words.append(f"{self.credits_used:g} credits")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class JobSummary:
    """What an operator returns about a delivered job.

    :param job_id: the service's id; None of a call that has none.
    :param completed: the service's last counter of finished records, or None.
    :param total: the service's last counter of expected records, or None.
    :param records: number of distinct records delivered.
    :param failed: inputs that the service says it could not deliver (page errors, blocked by robots.txt, invalid).
    :param missing: records that neither arrived nor are named as failed.
    :param credits_used: credits billed, or None when unknown.
    :param output: the data files in order; empty without an output folder.
    :param data: the records themselves; None with an output folder.
    """

    service: str
    kind: str
    job_id: str | None
    state: str
    completed: int | None
    total: int | None
    records: int
    failed: int
    missing: int
    credits_used: float | None
    output: list[str] = field(default_factory=list)
    data: list[Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the XCom value: every field, ``data`` only when there is no output folder."""
        value = {f.name: getattr(self, f.name) for f in fields(self)}
        if self.data is None:
            del value["data"]
        return value
