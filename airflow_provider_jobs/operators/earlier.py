"""What the next try does about the jobs that the task has started before."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping
from typing import Any

from airflow_provider_jobs.exceptions import JobNotFoundError, StartUncertainError
from airflow_provider_jobs.hooks.base import RemoteJobsHook
from airflow_provider_jobs.hooks.registry import hook_for
from airflow_provider_jobs.jobs.history import Closed, Entry, Fate, Plan, fate
from airflow_provider_jobs.jobs.model import JobState
from airflow_provider_jobs.jobs.verdict import GRACE
from airflow_provider_jobs.ledger import Ledger


def settle(
    ledger: Ledger, hook: RemoteJobsHook, decided: Plan, *, log: Any, searched: Mapping[int, str] | None = None
) -> None:
    """End what must not go on, and forget what the user has cleared away.

    :param searched: what came of the search for the jobs of unanswered starts, by the number of the entry.
    :raises StartUncertainError: the answer to an earlier start was never recorded; a job may be running.
    :raises RemoteJobsError: an earlier job could not be ended; nothing is started beside it.
    """
    for entry in decided.forget:
        log.warning("%s The task was cleared since: a new job is started.", unanswered(entry, searched))
        ledger.close(entry, Closed.UNKNOWN)
    for entry in decided.end:
        _end(ledger, hook, entry, log)
    if decided.unsure:
        told = unanswered(decided.unsure[-1], searched)
        raise StartUncertainError(
            f"{told} It is not started again: look at the service for it, then clear the task to start a new one."
        )


def goes_on(ledger: Ledger, hook: RemoteJobsHook, entry: Entry, *, durable: bool, log: Any) -> bool:
    """Whether this try goes on with an earlier job, running or done; one that must not go on is ended here.

    :raises RemoteJobsError: it could not be asked about, or not be ended.
    """
    assert entry.job is not None
    ref = entry.job.ref
    try:
        status = hook.look(ref)
    except JobNotFoundError as error:
        if time.time() - entry.job.started_at < GRACE and entry.generation == ledger.generation and durable:
            return True
        log.warning("%s of an earlier try is gone: %s", ref, error)
        if entry.is_open:
            ledger.close(entry, Closed.GONE)
        return False
    what = fate(entry, status.state, generation=ledger.generation, durable=durable)
    if what is Fate.DELIVER:
        log.info("%s of an earlier try is done and paid for: its result is delivered, nothing is started", ref)
        return True
    if what is Fate.ADOPT:
        log.info("Going on with %s of an earlier try: %s", ref, status.describe())
        return True
    if not entry.is_open:
        return False  # somebody else's by now
    if what is Fate.FORGET:
        log.info("%s of an earlier try is over: %s", ref, status.describe())
        ledger.close(entry, Closed.FAILED if status.state is JobState.FAILED else Closed.CANCELLED)
        return False
    _end(ledger, hook, entry, log)
    return False


def _end(ledger: Ledger, hook: RemoteJobsHook, entry: Entry, log: Any) -> None:
    assert entry.job is not None
    if entry.leave:
        log.info("%s of an earlier try is left running, as cancel_on_kill=False asks for", entry.job.ref)
        ledger.close(entry, Closed.LEFT)
        return
    # The connection may have changed since, and another account does not know the job.
    same = (entry.service, entry.conn_id) == (hook.service.name, hook.conn_id)
    owner = hook if same else hook_for(entry.service, entry.conn_id)
    outcome = owner.cancel(entry.job.ref, started_at=entry.job.started_at)
    log.info("Ended before a new start: %s", outcome.note)
    ledger.close(entry, Closed.SUPERSEDED if outcome.was_over else Closed.CANCELLED)


def unanswered(entry: Entry, searched: Mapping[int, str] | None = None) -> str:
    """Return what is known of a start, or a call, whose answer is not on record.

    :param searched: what came of a search for it, by the number of the entry.
    """
    when = dt.datetime.fromtimestamp(entry.intent_at, dt.UTC).isoformat(timespec="seconds")
    return (
        f"An earlier try sent {entry.request} through connection {entry.conn_id} at {when}, and no answer to it is on "
        f"record: a {entry.kind} may be running and billed that nobody has the id of."
        + (f" {searched[entry.seq]}" if searched and entry.seq in searched else "")
    )
