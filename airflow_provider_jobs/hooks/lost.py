"""Looking for the job of a start whose answer was lost: in what the service lists, and then at the job itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from airflow_provider_jobs.exceptions import JobNotFoundError
from airflow_provider_jobs.hooks.base import RemoteJobsHook
from airflow_provider_jobs.jobs.finding import SLACK, Found, Listing, LostStart, NotFound, find
from airflow_provider_jobs.jobs.history import Entry


def longest_start(hook: RemoteJobsHook) -> float:
    """Return the seconds that a start through this connection takes at most to be answered."""
    return hook.endpoint.connect_timeout + hook.endpoint.read_timeout


def seek(
    hook: RemoteJobsHook,
    lost: LostStart,
    *,
    record: Iterable[Entry] = (),
    taken: Collection[str] = (),
    time_limit: float | None = None,
) -> Found | NotFound:
    """Look for the job of a lost start once.

    What is listed is looked at before it counts: Firecrawl lists an agent run, or a batch, that it then failed to
    start; and a batch of other addresses that begins with the same one may be larger.

    :param record: all other starts that are known of; read only where a job fits.
    :param taken: ids of jobs that belong to somebody else.
    :param time_limit: seconds for the list.
    :raises RemoteJobsError: the service could not be asked.
    """
    if lost.mark is None:
        return find(lost, Listing(()))
    since = lost.begin - SLACK
    listing = hook.list_jobs(lost.kind, api_version=lost.api_version, since=since, time_limit=time_limit)
    answer = find(lost, listing, record=record, taken=taken, longest=longest_start(hook))
    if isinstance(answer, Found) and answer.ref.kind in hook.service.kinds:
        try:
            status = hook.look(answer.ref)
        except JobNotFoundError:
            return NotFound(f"one {lost.kind} is listed that fits, but the service does not know its id (yet)")
        if lost.asked is not None and status.total is not None and status.total > lost.asked:
            return NotFound(f"the only {lost.kind} that fits is larger than the one that was asked for", is_final=True)
    return answer
