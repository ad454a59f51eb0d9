"""Reading the lists of a service, the same for every service."""

from __future__ import annotations

import dataclasses
import datetime as dt
import email.utils
import math
from collections.abc import Callable
from typing import Any

from airflow_provider_jobs.exceptions import (
    AuthenticationError,
    RemoteJobsError,
    ServiceError,
    UnexpectedReplyError,
)
from airflow_provider_jobs.jobs.finding import SLACK, ClockGap, Listed, Listing
from airflow_provider_jobs.services.base import Flow, Reply, Request
from airflow_provider_jobs.services.errors import error_for

_NO_ROUTE = frozenset({404, 405, 501})
"""A list has no id that could be unknown: where it is not found, the server does not have it."""


class Reader:
    """What has been read of a service's lists so far.

    :param label: the service, for messages.
    :param since: seconds since the epoch, by our clock, from which on jobs are wanted.
    :param clock: ours.
    """

    def __init__(self, label: str, *, since: float, clock: Callable[[], float]) -> None:
        self._label = label
        self._since = since
        self._clock = clock
        self._gap = ClockGap()
        self._has_stamp = False
        self._jobs: dict[str, Listed] = {}
        self._sources: dict[str, bool] = {}
        self._gaps: list[str] = []
        self._error: RemoteJobsError | None = None

    def ask(self, request: Request, key: str) -> Flow[tuple[dict[str, Any], list[dict[str, Any]]] | None]:
        """Ask for a list, or a page of it; None when this server does not give it, which is noted.

        :param key: under which the list stands; an answer that is a list is taken as one.
        :returns: the answer and its rows.
        :raises AuthenticationError: the key is not accepted.
        :raises TransportError: no answer arrived.
        """
        before = self._clock()
        try:
            reply: Reply = yield request
            stamp = served_at(reply)
            self._has_stamp = self._has_stamp or stamp is not None
            self._gap.saw(before, self._clock(), stamp)
            if not reply.ok:
                raise error_for(self._label, request, reply)
            return _rows(request, reply, key)
        except AuthenticationError:
            raise
        except (ServiceError, UnexpectedReplyError) as error:
            self._lacks(request, error)
            return None

    def _lacks(self, request: Request, error: RemoteJobsError) -> None:
        status = getattr(error, "status", None)
        if status in _NO_ROUTE:
            self._gaps.append(f"this server has no {request}")
        else:
            self._gaps.append(str(error))
            self._error = self._error or error

    def read(self, request: Request, *, reaches: bool) -> None:
        """Note that a list was had.

        :param reaches: it goes back as far as was asked.
        """
        self._sources[str(request)] = reaches

    def add(self, job: Listed) -> None:
        """Add a job; what one list leaves out, another may tell."""
        known = self._jobs.get(job.ref.job_id)
        self._jobs[job.ref.job_id] = job if known is None else _merged(known, job)

    def is_older(self, started_at: float | None) -> bool:
        """Whether a time of the service lies before all that is wanted, for certain."""
        return self._has_stamp and started_at is not None and started_at - self._gap.offset < self._since - SLACK

    def listing(self) -> Listing:
        """Return all that was read.

        :raises ServiceError: no list could be had, and not because the server has none.
        """
        if not self._sources and self._error is not None:
            raise self._error
        return Listing(
            jobs=tuple(self._jobs.values()),
            is_cut=bool(self._sources) and not any(self._sources.values()),
            offset=self._gap.offset,
            sources=tuple(self._sources),
            gaps=tuple(self._gaps),
        )


def epoch(value: Any) -> float | None:
    """Return a time of an answer in seconds since the epoch; None when it is none.

    ISO 8601 with or without a zone, also with a space in the middle and any number of decimals, and numbers of seconds
    or milliseconds. Without a zone it is UTC, as the databases behind the services write it.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
        return None if not math.isfinite(seconds) or seconds <= 0 else seconds / (1000.0 if seconds > 1e11 else 1.0)
    if not isinstance(value, str):
        return None
    try:
        moment = dt.datetime.fromisoformat(value.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def served_at(reply: Reply) -> float | None:
    """Return the time that the server put on its answer, or None."""
    try:
        moment = email.utils.parsedate_to_datetime(reply.headers.get("date", ""))
        return moment.timestamp() if moment.tzinfo else moment.replace(tzinfo=dt.UTC).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def _rows(request: Request, reply: Reply, key: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    answer = reply.json()
    body = {key: answer} if isinstance(answer, list) else reply.object(request)
    value = body.get(key)
    if not isinstance(value, list):
        # Nothing could be said about what is not in it.
        raise UnexpectedReplyError(f"{request} was answered without a list under {key!r}")
    return body, [row for row in value if isinstance(row, dict)]


def _merged(one: Listed, other: Listed) -> Listed:
    return Listed(
        ref=one.ref if one.ref.api_version else dataclasses.replace(one.ref, api_version=other.ref.api_version),
        started_at=other.started_at if one.started_at is None else one.started_at,
        mark=other.mark if one.mark is None else one.mark,
        status=other.status if one.status is None else one.status,
    )
