"""From an answer without success to the error it means. Decided by HTTP status, never by text (with one exception)."""

from __future__ import annotations

import datetime as dt
import email.utils
import math
import re
from collections.abc import Mapping
from typing import Any

from airflow_provider_jobs.exceptions import (
    AuthenticationError,
    EndpointGoneError,
    JobNotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitedError,
    RedirectRefusedError,
    RequestRejectedError,
    RouteNotFoundError,
    ServiceError,
    ServiceUnavailableError,
)
from airflow_provider_jobs.services.base import Reply, Request, items, snippet

LONGEST_TEXT = 400
DEEPEST_ERROR = 20
_WAIT_IN_TEXT = re.compile(r"retry after (\d+(?:\.\d+)?)\s*s", re.IGNORECASE)

_BY_STATUS: Mapping[int, tuple[type[ServiceError], str]] = {
    401: (AuthenticationError, "the key was not accepted; check the connection's password"),
    402: (PaymentRequiredError, "the account has too few credits"),
    403: (PermissionDeniedError, "the account may not do this"),
    410: (EndpointGoneError, "the service has shut this endpoint down"),
}


def error_for(service: str, request: Request, reply: Reply) -> ServiceError | RedirectRefusedError:
    """Return the error that a reply without success means.

    :param service: the service's name as users know it, for the text.
    """
    said = explain(reply)
    told = f"{service} answered HTTP {reply.status} to {request}" + (f": {said}" if said else "")
    status = reply.status
    if 300 <= status < 400:
        return RedirectRefusedError(f"{told}; redirects are not followed here")
    if status == 429:
        return RateLimitedError(f"{told} (too many requests)", retry_after=told_wait(reply))
    if status == 408 or status >= 500:
        return ServiceUnavailableError(f"{told}", status=status, retry_after=told_wait(reply))
    if status == 404:
        if is_page(reply):
            hint = "no such address on this server; check the connection's host and the API version"
            return RouteNotFoundError(f"{told} ({hint})", status=status)
        return JobNotFoundError(told, status=status)
    kind, hint = _BY_STATUS.get(status, (RequestRejectedError, ""))
    error = kind(f"{told} ({hint})" if hint else told, status=status)
    error.is_page = is_page(reply)
    return error


def is_page(reply: Reply) -> bool:
    """Whether the body is a web page, which an API sends only for an address that it does not have."""
    return "html" in reply.headers.get("content-type", "") or reply.body.lstrip()[:1] == b"<"


def explain(reply: Reply) -> str:
    """Return what an error body says, on one line: errors may be a list, an object, text or nothing."""
    if is_page(reply):
        return snippet(re.sub(r"(?s)<head.*?</head>|<[^>]*>", " ", reply.text), LONGEST_TEXT)
    body = reply.json()
    if isinstance(body, dict):
        return snippet(_from_object(body), LONGEST_TEXT)
    return snippet(reply.text, LONGEST_TEXT)


def as_text(value: Any, depth: int = 0) -> str:
    """Return an error that may be of any JSON type as a short text."""
    if depth > DEEPEST_ERROR:
        return "…"
    if value is None:
        return ""
    if isinstance(value, str):
        return snippet(value, LONGEST_TEXT)
    if isinstance(value, Mapping):
        for key in ("message", "error", "msg", "reason"):
            if value.get(key):
                return as_text(value[key], depth + 1)
    if isinstance(value, list):
        return snippet("; ".join(filter(None, (as_text(item, depth + 1) for item in value))), LONGEST_TEXT)
    return snippet(str(value), LONGEST_TEXT)


def _from_object(body: Mapping[str, Any]) -> str:
    if body.get("errors"):
        return as_text(body["errors"])
    parts = [as_text(body.get("error"))]
    message = as_text(body.get("message"))
    if message and message not in parts:
        parts.append(message)
    parts.extend(_detail(item) for item in items(body.get("details")) if isinstance(item, Mapping))
    code = body.get("code")
    if isinstance(code, str) and code not in {"BAD_REQUEST", "UNKNOWN_ERROR"}:
        parts.append(f"[{code}]")
    return "; ".join(filter(None, dict.fromkeys(parts)))


def _detail(item: Mapping[str, Any]) -> str:
    place = item.get("path") or item.get("field") or ""
    if isinstance(place, list):
        place = ".".join(map(str, place))
    keys = ", ".join(map(str, items(item.get("keys"))))
    where = ", ".join(filter(None, [str(place), keys]))
    message = as_text(item.get("message"))
    return f"{where}: {message}" if where else message


def told_wait(reply: Reply) -> float | None:
    """Return the seconds that the service asked us to wait, or None.

    Read from ``Retry-After`` as seconds or as an HTTP date, else from Firecrawl's text "retry after 58s".
    """
    header = reply.headers.get("retry-after", "").strip()
    asked = _seconds_in(header, reply) if header else None
    if asked is not None:
        return asked
    match = _WAIT_IN_TEXT.search(reply.text) if len(reply.body) < 10_000 else None
    return float(match[1]) if match else None


def _seconds_in(header: str, reply: Reply) -> float | None:
    try:
        seconds = float(header)
    except ValueError:
        return _seconds_until(header, reply)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _seconds_until(date: str, reply: Reply) -> float | None:
    try:
        then = email.utils.parsedate_to_datetime(date)
        sent = reply.headers.get("date")
        # The server's own clock tells the distance; ours may differ.
        now = email.utils.parsedate_to_datetime(sent) if sent else dt.datetime.now(dt.UTC)
        return max(0.0, (then - now).total_seconds())
    except (TypeError, ValueError):
        return None
