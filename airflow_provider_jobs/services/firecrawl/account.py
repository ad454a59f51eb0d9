"""What a Firecrawl account can be asked: credits, tokens, queue, activity. Costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_jobs.exceptions import UnexpectedReplyError
from airflow_provider_jobs.services.base import Flow, Purpose, Request, items
from airflow_provider_jobs.services.firecrawl.wire import FirecrawlService

ACTIVITY_PAGE = 100
"""Entries of one page of the activity list: the most that the service gives."""
ACTIVITY_PAGES = 100
"""Pages after which the list is taken for endless; it covers a day."""


class FirecrawlAccount:
    """Asks for the account's state. All answers are the service's own words, without the envelope.

    :param api_version: ``v1`` answers in snake_case, ``v2`` in camelCase.
    """

    def __init__(self, service: FirecrawlService, api_version: str) -> None:
        self._service = service
        self._version = api_version

    def credit_usage(self) -> Flow[dict[str, Any]]:
        """Ask for the credits that are left."""
        return self._data("/team/credit-usage")

    def token_usage(self) -> Flow[dict[str, Any]]:
        """Ask for the tokens that are left to extracts."""
        return self._data("/team/token-usage")

    def queue_status(self) -> Flow[dict[str, Any]]:
        """Ask for the pages that wait and are in work. Servers of 2025 cannot tell.

        :raises RouteNotFoundError: this server cannot.
        """
        request = Request("GET", f"/{self._version}/team/queue-status", Purpose.READ)
        reply = yield request
        self._service.check_error(request, reply)
        return {key: value for key, value in reply.object(request).items() if key != "success"}

    def active_crawls(self) -> Flow[list[dict[str, Any]]]:
        """Ask for the crawls that are not over."""
        request = Request("GET", f"/{self._version}/crawl/active", Purpose.READ)
        reply = yield request
        self._service.check_error(request, reply)
        return [crawl for crawl in items(reply.object(request).get("crawls")) if isinstance(crawl, dict)]

    def agents(self) -> Flow[list[dict[str, Any]]]:
        """Ask for the newest runs of agents, which newer servers list.

        :raises RouteNotFoundError: this server cannot.
        """
        request = Request("GET", "/v2/agent", Purpose.READ)
        reply = yield request
        self._service.check_error(request, reply)
        body = reply.object(request)
        found = body.get("data") if isinstance(body.get("data"), list) else body.get("agents")
        return [run for run in items(found) if isinstance(run, dict)]

    def activity(self, *, endpoint: str | None = None) -> Flow[list[dict[str, Any]]]:
        """Ask for what the team has started in the last 24 hours, newest first.

        :param endpoint: one sort only, in the service's own word, such as ``crawl``.
        :raises RouteNotFoundError: this server cannot tell; those of 2025 cannot.
        """
        found: list[dict[str, Any]] = []
        query = {"limit": str(ACTIVITY_PAGE), **({"endpoint": endpoint} if endpoint else {})}
        for _ in range(ACTIVITY_PAGES):
            # API v1 has no such list, whatever version the connection names.
            request = Request("GET", "/v2/team/activity", Purpose.READ, query=query)
            reply = yield request
            self._service.check_error(request, reply)
            body = reply.object(request)
            page = [entry for entry in items(body.get("data")) if isinstance(entry, dict)]
            found += page
            cursor = body.get("cursor")
            if not body.get("has_more") or not page or not isinstance(cursor, str) or cursor == query.get("cursor"):
                break
            query = {**query, "cursor": cursor}
        return found

    def _data(self, path: str) -> Flow[dict[str, Any]]:
        request = Request("GET", f"/{self._version}{path}", Purpose.READ)
        reply = yield request
        self._service.check_error(request, reply)
        data = reply.object(request).get("data")
        if not isinstance(data, Mapping):
            raise UnexpectedReplyError(f"Firecrawl answered {request} without data")
        return dict(data)
