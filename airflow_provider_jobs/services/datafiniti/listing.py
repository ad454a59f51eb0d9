"""What Datafiniti lists of its downloads: all that the account has ever started, in one answer.

The list of 2026 shows neither query nor data type, so nothing can be found in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_jobs.jobs.finding import Listed, Listing
from airflow_provider_jobs.jobs.model import JobRef, JobSpec, JobStatus
from airflow_provider_jobs.services.base import Flow, Purpose, Request, whole
from airflow_provider_jobs.services.listing import Reader, epoch

# Requests name a data type in the plural, answers in the singular.
_SINGULAR: Mapping[str, str] = {"businesses": "business", "products": "product", "properties": "property"}


def mark(spec: JobSpec) -> str | None:
    """Return what the list shows of a download. None without a number of records: the service fills one in."""
    return _mark(spec.body.get("query"), spec.body.get("num_records"), spec.target)


def list_jobs(
    label: str,
    read: Callable[[Mapping[str, Any]], tuple[str | None, JobStatus]],
    *,
    since: float,
    clock: Callable[[], float],
) -> Flow[Listing]:
    """Ask for the downloads; see the protocol of services. Not paged, so it can be large: never poll with it.

    :param read: takes id and status from a job of an answer.
    """
    reader = Reader(label, since=since, clock=clock)
    request = Request("GET", "/v4/downloads", Purpose.READ)
    answer = yield from reader.ask(request, "records")
    if answer is None:
        return reader.listing()
    for row in answer[1]:
        job_id, status = read(row)
        if job_id is None:
            continue
        started_at = epoch(row.get("date_started", row.get("created_at")))
        if status.state.is_over and reader.is_older(started_at):
            continue
        shown = _mark(row.get("query"), row.get("num_records"), row.get("data_type"))
        reader.add(Listed(JobRef("datafiniti", "download", job_id, "v4"), started_at, shown, status))
    reader.read(request, reaches=True)
    return reader.listing()


def _mark(query: Any, num_records: Any, data_type: Any) -> str | None:
    count = whole(num_records)
    if not isinstance(query, str) or not isinstance(data_type, str) or count is None:
        return None
    name = data_type.strip().casefold()
    return json.dumps([query.strip(), count, _SINGULAR.get(name, name)])
