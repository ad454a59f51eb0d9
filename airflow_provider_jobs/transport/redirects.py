"""Redirects: followed within the configured origin only, because the key goes along."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urljoin

from airflow_provider_jobs.exceptions import RedirectRefusedError
from airflow_provider_jobs.services.base import Request
from airflow_provider_jobs.transport.endpoint import origin

MOST_REDIRECTS = 5


def next_address(request: Request, base_url: str, url: str, status: int, headers: Mapping[str, str]) -> str | None:
    """Return where to send the request instead, or None when the reply is no redirect.

    :raises RedirectRefusedError: to another scheme, host or port, or in a way that would drop the body.
    """
    location = next((value for name, value in headers.items() if name.casefold() == "location"), None)
    if status not in {301, 302, 303, 307, 308} or not location:
        return None
    try:
        target = urljoin(url, location)
        scheme, host, port = origin(target)
    except ValueError:
        raise RedirectRefusedError(f"{request} was redirected to something that is no address") from None
    if (scheme, host, port) != origin(base_url):
        raise RedirectRefusedError(
            f"{request} was redirected to {scheme}://{host}:{port}, and the key is not taken to another address than "
            f"the connection's {base_url}; if the service has moved, set host to the new address"
        )
    if request.method != "GET" and status not in {307, 308}:
        raise RedirectRefusedError(
            f"{request} was redirected with HTTP {status}, which turns it into a GET; set host to the final address"
        )
    return target
