"""Which jobs have lost their owner. Pure: who asks Airflow and the service is elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_jobs.jobs.history import Closed, Entry

OLDER_THAN = 120.0
"""Seconds that a job must be old before a clean-up looks at it: its task may be about to write it down."""
_OVER = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
"""States from which no task comes back by itself. Any other word, also one of a newer Airflow, counts as alive."""
_CLOSED = {
    Closed.DELIVERED: "its result was delivered",
    Closed.FAILED: "it failed",
    Closed.CANCELLED: "it was cancelled",
    Closed.NOT_STARTED: "the service refused its start",
    Closed.HANDED_OVER: "it was handed over: its task does not wait for it",
    Closed.LEFT: "it was left running on purpose (cancel_on_kill=False)",
    Closed.GONE: "the service does not know it any more",
    Closed.SUPERSEDED: "it was over when a newer one took its place",
    Closed.UNKNOWN: "its start was never answered, and its task was cleared since",
}
_LOST_CALL = "no answer to it is on record, so it may have been billed; nothing of it runs"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a clean-up thinks of a job.

    :param orphan: nobody will end it, as far as the record and Airflow tell; whether it runs, the service knows.
    :param owner_is_over: its task has ended or is gone.
    :param reason: why, in a few words.
    """

    orphan: bool
    owner_is_over: bool
    reason: str


def judge(
    entry: Entry,
    *,
    is_newest: bool,
    exists: bool,
    state: str | None,
    now: float,
    older_than: float = OLDER_THAN,
    is_call: bool = False,
) -> Judgement:
    """Judge a start by the record and by what Airflow says of its owner.

    :param is_newest: no later start of the same owner is on record.
    :param exists: False when the run or the task is gone.
    :param state: the owner's state in Airflow; None for a task that was cleared and may come back.
    :param now: seconds since the epoch.
    :param older_than: seconds; a younger job is nobody's orphan yet.
    :param is_call: it is no job, but a call that answers at once: of one without an answer, nothing runs.
    """
    over = not exists or state in _OVER
    if entry.closed is not None:
        is_lost = is_call and entry.closed is Closed.UNKNOWN
        return Judgement(False, over, _LOST_CALL if is_lost else _CLOSED[entry.closed])
    told = "its run or task was deleted" if not exists else f"its task is {state or 'cleared, to run again'}"
    if is_call:
        return Judgement(False, over, f"{_LOST_CALL}; {told}")
    if entry.job is None:
        return Judgement(False, over, f"its start was never answered, so it has no id; {told}")
    if not over and is_newest:
        return Judgement(False, over, told)
    if entry.leave:
        return Judgement(False, over, f"{told}; it is left running on purpose (cancel_on_kill=False)")
    if now - entry.job.started_at < older_than:
        return Judgement(False, over, f"{told}; it is younger than {older_than:g} s")
    return Judgement(True, over, told if over else "a later job of the same task has taken its place")
