"""Reading the result pages of a Firecrawl job, with an eye on what is missing."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from airflow_provider_jobs.exceptions import UnexpectedReplyError
from airflow_provider_jobs.jobs.model import JobRef
from airflow_provider_jobs.services.base import Purpose, Reply, Request, decode_json, snippet
from airflow_provider_jobs.services.errors import as_text, error_for

PAGES_OF_REPEATS = 3
"""Pages that only repeat documents, after which a cursor that still moves is not followed any more."""
EMPTY_PAGES = 1000
"""The same for pages without a document in a row: results may be missing, and what follows them is still there."""


FIRST_ERROR = 400


class _Page(msgspec.Struct):
    data: list[msgspec.Raw] | None = None
    next: Any = None
    status: Any = None
    success: Any = None
    error: Any = None
    completed: Any = None
    total: Any = None


class _Metadata(msgspec.Struct):
    scrapeId: Any = None
    statusCode: Any = None
    sourceURL: Any = None
    url: Any = None


class _Document(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


class PageWalk:
    """Walks the result of a job that is over: hands out requests and reads their answers.

    Of ``next`` only the number ``skip`` is used; the address is always ours, because a server builds it from
    headers that others control. The walk ends when there is no ``next``, when its cursor does not grow, or when
    several pages bring nothing new: one kind of server repeats its first document for ever and ends normally. A page
    without any document is no end, because the server skips results that it has lost.

    Documents are recognised by ``metadata.scrapeId``, which is unique per page; without one, by their bytes.

    :param path: of the job's status, below the base URL.
    """

    def __init__(self, ref: JobRef, path: str) -> None:
        self.ref = ref
        self.delivered = 0
        self.repeated = 0
        self.completed: int | None = None
        self.raw_status: str | None = None
        self._path = path
        self._skip: int | None = 0
        self._seen: set[str | int] = set()
        self._repeating_pages = 0
        self._empty_pages = 0

    def request(self) -> Request | None:
        """Return the request for the next page, or None at the end."""
        if self._skip is None:
            return None
        # No limit is asked for: one generation of servers does not page by size where one is given.
        query = {"skip": str(self._skip)} if self._skip else {}
        return Request("GET", self._path, Purpose.READ, query=query)

    def read(self, request: Request, reply: Reply) -> list[bytes]:
        """Return the documents of a page that have not come before, each as JSON bytes.

        :raises ServiceError: the service answered with an error.
        :raises UnexpectedReplyError: the answer is not a page of results.
        """
        if not reply.ok:
            raise error_for("Firecrawl", request, reply)
        try:
            page = decode_json(reply.body, _Page)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UnexpectedReplyError(
                f"{request} was answered with something else than a page of results: {snippet(reply.text)!r}"
            ) from error
        if page.success is False and page.status is None:
            raise UnexpectedReplyError(f"{request} was answered with an error: {as_text(page.error)}")
        if page.data is None:
            raise UnexpectedReplyError(f"{request} was answered without documents: {snippet(reply.text)!r}")
        fresh = [bytes(document) for document in page.data if self._is_new(document)]
        self.raw_status = page.status if isinstance(page.status, str) else self.raw_status
        self.completed = page.completed if isinstance(page.completed, int) else self.completed
        self.delivered += len(fresh)
        self._repeating_pages = 0 if fresh else self._repeating_pages + bool(page.data)
        self._empty_pages = 0 if page.data else self._empty_pages + 1
        self._skip = self._following(page)
        return fresh

    def _is_new(self, document: msgspec.Raw) -> bool:
        identity: Any = None
        try:
            identity = msgspec.json.decode(document, type=_Document).metadata.scrapeId
        except msgspec.ValidationError:
            identity = None
        key: str | int = identity if isinstance(identity, str) and identity else hash(bytes(document))
        if key in self._seen:
            self.repeated += 1
            return False
        self._seen.add(key)
        return True

    def _following(self, page: _Page) -> int | None:
        if self._repeating_pages >= PAGES_OF_REPEATS or self._empty_pages >= EMPTY_PAGES:
            return None
        if not isinstance(page.next, str):
            return None
        try:
            following = int(parse_qs(urlsplit(page.next).query)["skip"][0])
        except (KeyError, ValueError):
            return None
        assert self._skip is not None
        return following if following > self._skip else None


def http_error(document: bytes) -> dict[str, str] | None:
    """Return a document as a failed page when its site answered with an error, such as 404.

    Firecrawl counts such pages as done and bills them: they are data, unless the user thinks otherwise.
    """
    try:
        metadata = msgspec.json.decode(document, type=_Document).metadata
    except (msgspec.DecodeError, RecursionError):
        return None
    status = metadata.statusCode
    if isinstance(status, bool) or not isinstance(status, int) or status < FIRST_ERROR:
        return None
    url = next((found for found in (metadata.sourceURL, metadata.url) if isinstance(found, str)), "")
    return {"url": url, "error": f"the site answered HTTP {status}", "code": f"HTTP_{status}"}
