"""Starts without an answer, seen from outside of the tasks that made them: with the record of all tasks at hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from airflow_provider_jobs.books import Record
from airflow_provider_jobs.hooks.base import RemoteJobsHook
from airflow_provider_jobs.hooks.lost import longest_start, seek
from airflow_provider_jobs.jobs.finding import Found, LostStart, NotFound
from airflow_provider_jobs.jobs.model import StartedJob

AT_ONCE = 8
LOOK_TIME = 15.0
"""Seconds for one look at a service's list."""


def look_for(
    unanswered: Sequence[Record],
    everything: Sequence[Record],
    hooks: Mapping[tuple[str, str], RemoteJobsHook | Exception],
) -> list[Record | str]:
    """Look for the job of each start that was never answered.

    :param everything: all starts on record, also those that are closed: whose job it is, only they can tell.
    :param hooks: of each connection, ready for threads, or the reason why there is none.
    :returns: for each, the record with its job, or why there is none.
    """

    def one(record: Record) -> Record | str:
        entry = record.entry
        hook = hooks[entry.service, entry.conn_id]
        if isinstance(hook, Exception):
            return f"connection {entry.conn_id}: {hook}"
        others = (other.entry for other in everything if (other.owner, other.entry.seq) != (record.owner, entry.seq))
        try:
            lost = LostStart.of(entry, longest=longest_start(hook))
            answer: Found | NotFound = seek(hook, lost, record=others, time_limit=LOOK_TIME)
        except Exception as error:
            return str(error)
        if isinstance(answer, NotFound):
            return answer.reason
        known = dataclasses.replace(entry, job=StartedJob(answer.ref, lost.begin))
        return dataclasses.replace(record, entry=known)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, unanswered))
