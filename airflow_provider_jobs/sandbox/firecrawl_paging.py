"""Which documents a status request gets, and what `next` says, for each generation of the server."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_jobs.sandbox.firecrawl_issues import Refused
from airflow_provider_jobs.sandbox.firecrawl_jobs import END_STATES, FirecrawlJob
from airflow_provider_jobs.sandbox.pages import Document
from airflow_provider_jobs.sandbox.replies import dumps, unknown_error
from airflow_provider_jobs.sandbox.settings import FirecrawlSettings

FILLER = "The quick brown fox jumps over the lazy dog. "
Entries = Sequence[Document | None]


@dataclass
class Page:
    """The documents of one answer, and the query of `next` if there is one."""

    documents: list[Document]
    next_query: str | None


def entries_of(job: FirecrawlJob, settings: FirecrawlSettings) -> list[Document | None]:
    """What the job has, in order of completion; None stands for a result that the server lost (F7)."""
    entries: list[Document | None] = [result.document for result in job.results]
    for place in range(min(settings.drop_results, len(entries))):
        entries[place] = None
    if settings.duplicate_document and job.results:
        entries.append(next((entry for entry in entries if entry is not None), None))
    return entries


def _padded(document: Document, wanted: int | None) -> Document:
    if wanted is None:
        return document
    text = str(document.get("markdown", ""))
    missing = wanted - len(text.encode())
    if missing <= 0:
        return document
    filler = (FILLER * (missing // len(FILLER) + 1))[:missing]
    return {**document, "markdown": text + filler}


def _cut(entries: Entries, settings: FirecrawlSettings, *, by_size: bool = True) -> tuple[list[Document], int]:
    """The documents that fit into one answer, and how many entries they take up; at least one document."""
    documents: list[Document] = []
    size = used = 0
    for entry in entries:
        if entry is not None:
            document = _padded(entry, settings.content_bytes)
            size += len(dumps(document)) if by_size else 0
            if documents and size > settings.page_bytes:
                break
            documents.append(document)
        used += 1
    return documents, used


def _number(text: str | None) -> int | None:
    """As JavaScript's parseInt reads it; None for NaN."""
    found = re.match(r"\s*([+-]?\d+)", text or "")
    return int(found.group(1)) if found else None


def _query(cursor: int, limit: str | None) -> str:
    return f"?skip={cursor}" + (f"&limit={limit}" if limit is not None else "")


def page_of(job: FirecrawlJob, settings: FirecrawlSettings, skip: str | None, limit: str | None) -> Page:
    """The page that this server generation answers for `skip` and `limit` as given."""
    entries = entries_of(job, settings)
    if settings.pagination == "A":
        return _page_a(job, entries, settings, skip, limit)
    if settings.pagination == "B":
        return _page_b(job, entries, settings, skip, limit)
    if settings.pagination == "C":
        return _page_c(job, entries, settings, skip, limit)
    return _page_current(job, entries, settings, skip, limit)


def _page_a(
    job: FirecrawlJob, entries: Entries, settings: FirecrawlSettings, skip: str | None, limit: str | None
) -> Page:
    documents, used = _cut(entries, settings)
    cursor = 0 if skip in (None, "") else _number(skip)
    if cursor is None or not job.total > cursor + used:
        return Page(documents, None)
    return Page(documents, _query(cursor + used, limit))


def _page_b(
    job: FirecrawlJob, entries: Entries, settings: FirecrawlSettings, skip: str | None, limit: str | None
) -> Page:
    start = 0 if skip in (None, "") else _number(skip)
    count = settings.page_documents if limit in (None, "") else _number(limit)
    if start is None or count is None:
        raise Refused(500, unknown_error())
    start = max(0, start)
    end = start + count if count >= 0 else len(entries) + count
    documents, used = _cut(entries[start : max(start, end)], settings)
    more = job.total > start + used and start < max(job.total, 1)
    return Page(documents, _query(start + used, limit) if more else None)


def _page_c(
    job: FirecrawlJob, entries: Entries, settings: FirecrawlSettings, skip: str | None, limit: str | None
) -> Page:
    start = 0 if skip is None else _number(skip)
    count = 0 if limit is None else _number(limit)
    if start is None or count is None:
        raise Refused(500, unknown_error())
    present = [entry for entry in entries if entry is not None]
    lost = len(entries) - len(present)
    if lost and start >= len(present) > 0:
        # One result is gone: the last document comes again instead.
        return Page(_cut(present[-1:], settings)[0], None)
    window = present[start:]
    if start >= 0 and count:
        window = present[start : start + count] if count > 0 else present[start:count]
    documents, used = _cut(window, settings, by_size=limit is None)
    running = job.state not in END_STATES
    more = start + used < len(entries) or start > len(entries)
    if job.state == "cancelled":
        more = start + used < len(present)
    return Page(documents, _query(start + used, limit) if more or running else None)


def _page_current(
    job: FirecrawlJob, entries: Entries, settings: FirecrawlSettings, skip: str | None, limit: str | None
) -> Page:
    start, count = 0, settings.page_documents
    if skip is not None:
        start = _positive("skip", skip, 0, None)
    if limit is not None:
        count = _positive("limit", limit, 1, 1000)
    documents, used = _cut(entries[start : start + count], settings)
    more = start + used < len(entries) or job.state != "completed"
    return Page(documents, _query(start + used, limit) if more else None)


def _positive(name: str, text: str, least: int, most: int | None) -> int:
    value = int(text) if re.fullmatch(r"-?\d+", text) else None
    if value is None or value < least or (most is not None and value > most):
        issue: dict[str, Any] = {"code": "custom", "message": f"Invalid {name}", "path": [name]}
        body = {"success": False, "code": "BAD_REQUEST", "error": f"Invalid {name}", "details": [issue]}
        raise Refused(400, body)
    return value
