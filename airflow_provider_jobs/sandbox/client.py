"""A client of the control API, from the standard library alone."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class ControlError(Exception):
    """The control API refused a call."""


class ControlClient:
    """Asks and steers a running sandbox, in this process or in another one."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        # No proxy from the environment: the sandbox is on this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def _call(self, method: str, path: str, body: Any = None, query: dict[str, str | None] | None = None) -> Any:
        wanted = {name: value for name, value in (query or {}).items() if value is not None}
        address = self.url + path + ("?" + urllib.parse.urlencode(wanted) if wanted else "")
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(address, data=data, method=method, headers=headers)  # noqa: S310
        try:
            with self._opener.open(request, timeout=60) as reply:
                return json.loads(reply.read())
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode("utf-8", "replace")
            raise ControlError(f"{method} {path}: {error.code} {text}") from None

    def info(self) -> dict[str, Any]:
        """What this server is, and the addresses of its hosts."""
        return dict(self._call("GET", "/"))

    def requests(
        self, host: str | None = None, method: str | None = None, path_contains: str | None = None
    ) -> list[dict[str, Any]]:
        """The requests received so far, in order of arrival."""
        query = {"host": host, "method": method, "path_contains": path_contains}
        return list(self._call("GET", "/requests", query=query))

    def jobs(self, service: str | None = None) -> list[dict[str, Any]]:
        """The jobs started so far, in order."""
        return list(self._call("GET", "/jobs", query={"service": service}))

    def job(self, job_id: str) -> dict[str, Any]:
        """One job."""
        return dict(self._call("GET", f"/jobs/{urllib.parse.quote(job_id, safe='')}"))

    def act(self, job_id: str, action: str, **params: Any) -> dict[str, Any]:
        """Do something to a job that no client of the service could do."""
        path = f"/jobs/{urllib.parse.quote(job_id, safe='')}"
        return dict(self._call("POST", path, {"action": action, **params}))

    def settings(
        self, firecrawl: dict[str, Any] | None = None, datafiniti: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Change settings; answers all of them."""
        body = {"firecrawl": firecrawl or {}, "datafiniti": datafiniti or {}}
        return dict(self._call("POST", "/settings", body))

    def fault(
        self,
        service: str,
        name: str,
        *,
        times: int | None = 1,
        method: str | None = None,
        path_contains: str | None = None,
        skip: int = 0,
        **params: Any,
    ) -> int:
        """Switch a fault on for the next matching requests (`times=None`: for ever); answers its id."""
        body = {
            "service": service,
            "name": name,
            "times": times,
            "method": method,
            "path_contains": path_contains,
            "skip": skip,
            "params": params,
        }
        return int(self._call("POST", "/faults", body)["id"])

    def faults(self) -> list[dict[str, Any]]:
        """The faults that are switched on, with how often each was applied."""
        return list(self._call("GET", "/faults"))

    def clear_faults(self) -> None:
        """Switch all faults off."""
        self._call("DELETE", "/faults")

    def reset(self) -> None:
        """Forget jobs, requests and faults; settings and clock as at the start."""
        self._call("POST", "/reset", {})

    def advance(self, seconds: float) -> float:
        """Move the clock of the services forward; answers how far it is ahead now."""
        return float(self._call("POST", "/clock", {"advance": seconds})["offset"])

    def token(self, service: str, action: str, token: str) -> None:
        """`revoke`, `add`, `disable` a key or token, or let its account have a `payment` problem."""
        self._call("POST", "/tokens", {"service": service, "action": action, "token": token})

    def wait_for(self, predicate: Callable[[], T], timeout: float = 30, interval: float = 0.02) -> T:
        """Ask again and again until the answer is true; AssertionError with the last answer if it never is."""
        end = time.monotonic() + timeout
        while True:
            value = predicate()
            if value:
                return value
            if time.monotonic() >= end:
                raise AssertionError(f"not true within {timeout} s; the last value was {value!r}")
            time.sleep(interval)
