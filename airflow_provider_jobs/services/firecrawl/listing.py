"""What a Firecrawl server lists of its jobs.

Three lists, and no server has to have any of them. ``/crawl/active`` shows the crawls that run, on every version known.
``/v2/team/activity`` shows whatever was started in the last 24 hours, with its first address or its prompt; servers of
2025 lack it, and self-hosted ones without its database answer 501. ``GET /v2/agent`` shows agent runs, 20 at a time. So
a batch scrape on a server of 2025 stands in no list at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from airflow_provider_jobs.jobs.finding import Listed, Listing
from airflow_provider_jobs.jobs.model import JobRef, JobSpec, JobState, JobStatus
from airflow_provider_jobs.services.base import Flow, Purpose, Request
from airflow_provider_jobs.services.listing import Reader, epoch

SERVICE = "firecrawl"
MOST_PAGES = 20
"""Pages that are read of one list; a team that starts more than that cannot be searched."""
PAGE = 100
DAY = 24 * 3600.0
"""Seconds that the activity list reaches back."""
_AGENT_STATES: Mapping[str, JobState] = {
    "processing": JobState.RUNNING,
    "completed": JobState.SUCCEEDED,
    "failed": JobState.FAILED,
    "cancelled": JobState.CANCELLED,
}


def mark(spec: JobSpec) -> str | None:
    """Return what the lists show of a job: its first address, or the prompt where it has none.

    None where they show nothing: a batch that is added to another one is not listed by itself.
    """
    body = spec.body
    if spec.kind == "batch_scrape":
        return None if body.get("appendToId") else _shown(_first(body.get("urls")))
    if spec.kind in {"agent", "extract"}:
        return _shown(_first(body.get("urls")) or body.get("prompt"))
    return _shown(body.get("query" if spec.kind == "search" else "url"))


def list_jobs(
    label: str, kind: str | None, api_version: str | None, *, since: float, clock: Callable[[], float]
) -> Flow[Listing]:
    """Ask for the jobs that were started since then; see the protocol of services."""
    reader = Reader(label, since=since, clock=clock)
    if kind in {None, "crawl"}:
        active = _List(f"/{api_version or 'v1'}/crawl/active", "crawls", _crawl, "", lambda _: None)
        yield from _walk(reader, active, {}, reaches=True)
    if kind in {None, "agent"}:
        agents = _List("/v2/agent", "agents", _agent, "before", lambda body: _before(body.get("next")))
        yield from _walk(reader, agents, {}, reaches=True)
    activity = _List("/v2/team/activity", "data", _activity, "cursor", _cursor)
    query = {"limit": str(PAGE), **({"endpoint": kind} if kind else {})}
    yield from _walk(reader, activity, query, reaches=clock() - since < DAY)
    return reader.listing()


def kind_of(word: Any) -> str | None:
    """Return a kind in our spelling; ``batch_scrape``, ``batch-scrape`` and ``batchScrape`` are the same."""
    if not isinstance(word, str) or not word.strip():
        return None
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word.strip())
    return re.sub(r"[\s-]+", "_", parted).casefold()


@dataclass(frozen=True, slots=True)
class _List:
    """One of the lists: where it is, how a row is read, and how it goes on."""

    path: str
    key: str
    read: Callable[[Mapping[str, Any]], Listed | None]
    cursor: str
    following: Callable[[Mapping[str, Any]], str | None]


def _walk(reader: Reader, what: _List, query: Mapping[str, str], *, reaches: bool) -> Flow[None]:
    """Read a list page by page, as far back as is wanted.

    :param reaches: its end is far enough back.
    """
    request = Request("GET", what.path, Purpose.READ, query=query)
    cursor: str | None = None
    seen: set[str] = set()
    for page in range(MOST_PAGES):
        answer = yield from reader.ask(request, what.key)
        if answer is None and page == 0:
            return
        if answer is None:
            break
        body, rows = answer
        jobs = [job for job in map(what.read, rows) if job is not None]
        for job in jobs:
            reader.add(job)
        following = what.following(body)
        if following is None or _goes_below(reader, [job.started_at for job in jobs]):
            reader.read(request, reaches=reaches)
            return
        ids = {job.ref.job_id for job in jobs}
        if following in {cursor, ""} or ids <= seen:
            break
        seen |= ids
        cursor = following
        request = Request("GET", what.path, Purpose.READ, query={**query, what.cursor: cursor})
    reader.read(request, reaches=False)


def _crawl(row: Mapping[str, Any]) -> Listed | None:
    job_id = _id(row)
    if job_id is None:
        return None
    ref = JobRef(SERVICE, "crawl", job_id)
    return Listed(ref, epoch(row.get("created_at")), _shown(row.get("url")), JobStatus(JobState.RUNNING))


def _agent(row: Mapping[str, Any]) -> Listed | None:
    job_id = _id(row)
    if job_id is None:
        return None
    given = row.get("options")
    options = given if isinstance(given, Mapping) else {}
    shown = row.get("targetHint") or _first(options.get("urls")) or options.get("prompt") or row.get("prompt")
    word = row.get("status")
    raw = word if isinstance(word, str) else None
    state = _AGENT_STATES.get((raw or "").strip().casefold(), JobState.UNKNOWN)
    started_at = epoch(row.get("createdAt", row.get("created_at")))
    return Listed(JobRef(SERVICE, "agent", job_id, "v2"), started_at, _shown(shown), JobStatus(state, raw))


def _activity(row: Mapping[str, Any]) -> Listed | None:
    job_id, kind = _id(row), kind_of(row.get("endpoint"))
    if job_id is None or kind is None:
        return None
    version = row.get("api_version")
    ref = JobRef(SERVICE, kind, job_id, version if isinstance(version, str) and version else None)
    return Listed(ref, epoch(row.get("created_at")), _shown(row.get("target")))


def _before(following: Any) -> str | None:
    """Return the cursor of an address; the address itself is never followed."""
    try:
        values = parse_qs(urlsplit(following).query).get("before", []) if isinstance(following, str) else []
    except ValueError:
        return None
    return values[0] if values else None


def _cursor(body: Mapping[str, Any]) -> str | None:
    """Return the cursor of the next page; more without a cursor is told by an empty one."""
    if body.get("has_more") is not True:
        return None
    cursor = body.get("cursor")
    return cursor if isinstance(cursor, str) else ""


def _goes_below(reader: Reader, times: list[float | None]) -> bool:
    """Whether a page ends before all that is wanted. Only if it is in order, newest first, does that say anything."""
    known = [moment for moment in times if moment is not None]
    return bool(known) and known == sorted(known, reverse=True) and reader.is_older(known[-1])


def _id(row: Mapping[str, Any]) -> str | None:
    value = row.get("id")
    return value if isinstance(value, str) and value else None


def _first(urls: Any) -> Any:
    return urls[0] if isinstance(urls, list | tuple) and urls else None


def _shown(text: Any) -> str | None:
    """Return an address as servers write it, who complete it; any other text as it is."""
    if not isinstance(text, str) or not (flat := text.strip()):
        return None
    if any(character.isspace() for character in flat):
        return flat
    try:
        parts = urlsplit(flat if "://" in flat else f"http://{flat}")
        user, at, host = parts.netloc.rpartition("@")
        return urlunsplit(
            (parts.scheme, f"{user}{at}{host.casefold()}", parts.path or "/", parts.query, parts.fragment)
        )
    except ValueError:
        return flat
