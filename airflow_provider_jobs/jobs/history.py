"""What a task has started so far, and what its next try does about it. Pure: the ledger stores what is decided here."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

import msgspec

from airflow_provider_jobs.jobs.model import JobSpec, JobState, StartedJob

_GOES_ON = frozenset({"running", "queued", "scheduled", "deferred", "up_for_retry", "up_for_reschedule"})
KEPT = 20
"""Closed entries that are kept for the record; open ones are all kept."""


class Closed(StrEnum):
    """Why an entry needs no attention any more."""

    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"
    NOT_STARTED = "not_started"
    HANDED_OVER = "handed_over"
    LEFT = "left"
    GONE = "gone"
    SUPERSEDED = "superseded"
    UNKNOWN = "unknown"

    @property
    def is_final(self) -> bool:
        """Whether the job surely is over; of a job that was given away or left, that can be learned later."""
        return self not in {Closed.HANDED_OVER, Closed.LEFT, Closed.UNKNOWN}


# What only helps to find a job again: another version may write it in another form.
_LENIENT: Mapping[str, Any] = {"api_version": str, "mark": str, "sent_at": int | float, "lost_at": int | float}
_DONE = frozenset({Closed.DELIVERED, Closed.HANDED_OVER})
"""What a task ends with that goes well."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One start, from the intent on. Plain JSON through :meth:`to_dict`; holds no secret.

    :param seq: counts the starts of one owner, from 1.
    :param generation: counts the clears of the owner.
    :param fingerprint: of what decides the bill.
    :param request: what was sent, in a few words, for a message.
    :param intent_at: seconds since the epoch just before the start was sent.
    :param clears: counts the clears of the run; None where Airflow does not say.
    :param leave: the user wants the job left running when its task is killed.
    :param job: the job; None as long as no id is known.
    :param api_version: that the start was addressed to.
    :param mark: a hash of what the service's list shows of the request; None where no list can tell it from others.
    :param sent_at: seconds since the epoch at which a start was sent whose answer was lost.
    :param lost_at: at which that answer was given up.
    """

    seq: int
    generation: int
    fingerprint: str
    conn_id: str
    service: str
    kind: str
    request: str
    intent_at: float
    clears: int | None = None
    leave: bool = False
    job: StartedJob | None = None
    closed: Closed | None = None
    api_version: str | None = None
    mark: str | None = None
    sent_at: float | None = None
    lost_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether somebody has to see to it still."""
        return self.closed is None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        value = {f.name: getattr(self, f.name) for f in fields(self)}
        value["job"] = self.job.to_dict() if self.job else None
        value["closed"] = str(self.closed) if self.closed else None
        return value

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Entry:
        """Read what :meth:`to_dict` wrote; keys of a newer version are ignored."""
        known = {f.name: value[f.name] for f in fields(cls) if f.name in value}
        known["job"] = StartedJob.from_dict(value["job"]) if value.get("job") else None
        known["closed"] = Closed(value["closed"]) if value.get("closed") else None
        for name, kind in _LENIENT.items():
            if not isinstance(known.get(name), kind):
                known[name] = None
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a try does before it starts anything.

    :param ask: the entry whose job may be taken up; what becomes of it depends on its state, see :func:`fate`. It can
        be closed already: delivered or handed over by a try that did not live to say so.
    :param end: entries whose jobs must be ended first.
    :param unsure: entries of this generation whose start was never answered: starting again could be a second start.
    :param forget: such entries of an earlier generation: with the clear, the user has said that nothing is running.
    :param done: the entry without a job, a call's, whose answer an earlier try of this generation has delivered.
    """

    ask: Entry | None
    end: tuple[Entry, ...]
    unsure: tuple[Entry, ...]
    forget: tuple[Entry, ...]
    done: Entry | None = None


class Fate(StrEnum):
    """What becomes of an earlier job."""

    DELIVER = "deliver"
    ADOPT = "adopt"
    END = "end"
    FORGET = "forget"


def plan(history: Sequence[Entry], *, generation: int, fingerprint: str, clears: int | None = None) -> Plan:
    """Decide from the record alone.

    :param generation: of the current try.
    :param fingerprint: of what the current try would start.
    :param clears: of the run, so far.
    """
    open_entries = [entry for entry in history if entry.is_open]
    unanswered = [entry for entry in open_entries if entry.job is None]
    answered = [entry for entry in open_entries if entry.job is not None]
    same = [entry for entry in answered if entry.fingerprint == fingerprint]
    # A try that had delivered, or handed over, and then died has a retry: it must not buy the job again. A task that
    # succeeded runs again only after a clear, which makes a new generation, unless `retries` was lowered meanwhile; so
    # the run's clears are compared, too.
    newest = max(history, key=lambda entry: entry.seq, default=None)
    this_try = (generation, fingerprint, clears)
    is_done = (
        newest is not None
        and newest.closed in _DONE
        and (newest.generation, newest.fingerprint, newest.clears) == this_try
    )
    done = newest if is_done else None
    if done is not None and done.job:
        same.append(done)
    ask = max(same, key=lambda entry: entry.seq, default=None)
    return Plan(
        ask=ask,
        end=tuple(entry for entry in answered if entry is not ask),
        unsure=tuple(entry for entry in unanswered if entry.generation == generation),
        forget=tuple(entry for entry in unanswered if entry.generation != generation),
        done=done if done is not None and done.job is None else None,
    )


def fate(entry: Entry, state: JobState, *, generation: int, durable: bool) -> Fate:
    """Decide what becomes of an earlier job with the same fingerprint.

    A result that is paid for is delivered, whoever asks. A running job is taken up by a retry, and never by a clear.
    """
    if state is JobState.SUCCEEDED:
        return Fate.DELIVER
    if state in {JobState.FAILED, JobState.CANCELLED}:
        return Fate.FORGET
    return Fate.ADOPT if durable and entry.generation == generation else Fate.END


def may_be_anothers(state: str | None) -> bool:
    """Whether another try may have the task, by its state: it goes on, or is about to run."""
    return state is None or state in _GOES_ON


def waits_for_next_try(state: str | None, *, exists: bool, may_leave: bool) -> bool:
    """Whether a job is left running for the owner's next try when the current one breaks off.

    :param state: the owner's state in Airflow; None for a task that was cleared.
    :param exists: False when the run or the task is gone.
    :param may_leave: a try is left, and the job is meant to outlive this one.
    """
    return may_leave and exists and state in _GOES_ON


def fingerprint(conn_id: str, spec: JobSpec) -> str:
    """Return what tells two bills apart: connection, service, kind, version and body, and nothing of the delivery."""
    told = [conn_id, spec.service, spec.kind, spec.api_version, spec.target, spec.body]
    return hashlib.sha256(msgspec.json.encode(told, order="deterministic")).hexdigest()[:32]


def with_entry(history: Sequence[Entry], entry: Entry) -> tuple[Entry, ...]:
    """Return the record with an entry added, or put in the place of the one with its number."""
    kept = {old.seq: old for old in history}
    kept[entry.seq] = entry
    entries = sorted(kept.values(), key=lambda old: old.seq)
    spare = [old for old in entries if not old.is_open][:-KEPT]
    return tuple(old for old in entries if old not in spare)


def closed(entry: Entry, why: Closed) -> Entry:
    """Return the entry as closed."""
    return dataclasses.replace(entry, closed=why)


def next_seq(history: Sequence[Entry]) -> int:
    """Return the number of the next start."""
    return max((entry.seq for entry in history), default=0) + 1
