"""The transport of worker processes, on requests. Also used for cancels from a thread of the triggerer."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import requests
import tenacity
import urllib3.exceptions
from requests.auth import AuthBase

from airflow_provider_jobs.exceptions import RedirectRefusedError, RemoteJobsError, TlsError, TransportError
from airflow_provider_jobs.services.base import Flow, Pause, Purpose, Reply, Request
from airflow_provider_jobs.transport.credentials import Credentials, not_sent
from airflow_provider_jobs.transport.endpoint import Endpoint
from airflow_provider_jobs.transport.policy import Policy, is_transient
from airflow_provider_jobs.transport.redirects import MOST_REDIRECTS, next_address
from airflow_provider_jobs.transport.tls import check_authorities

T = TypeVar("T")
CHUNK = 1 << 16
LIGHT = 2048
"""Bytes of an answer that are read in any case: to read a small one to its end keeps the connection open."""
SHORTEST = 0.5
"""Seconds that a request has in any case, also at the end of a time limit."""
HANDSHAKE = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER", "UNSUPPORTED_PROTOCOL", "HANDSHAKE_FAILURE")


class BlockingTransport:
    """Sends requests to one endpoint, one after another. Use it as a context manager.

    :param endpoint: where to.
    :param credentials: the key, or how to get one.
    :param attempts: how often a request may be sent; None: by purpose.
    :param sleep: waits so many seconds; may raise to end a wait.
    :param time_limit: seconds from now on in which everything must be done; what is left of it bounds every request
        and every pause.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        *,
        attempts: int | None = None,
        sleep: Callable[[float], None] = time.sleep,
        time_limit: float | None = None,
    ) -> None:
        self._end = None if time_limit is None else time.monotonic() + time_limit
        self.endpoint = endpoint
        self._credentials = credentials
        self._attempts = attempts
        self._sleep = sleep
        self._session: requests.Session | None = None

    def __enter__(self) -> BlockingTransport:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def run(self, flow: Flow[T]) -> T:
        """Carry out a flow and return its outcome."""
        return drive(flow, self.send, self._pause)

    def _left(self) -> float:
        return float("inf") if self._end is None else max(0.0, self._end - time.monotonic())

    def _pause(self, seconds: float) -> None:
        self._sleep(min(seconds, self._left()))

    def send(self, request: Request) -> Reply:
        """Send a request, again where the policy allows it, and return the answer.

        :raises TransportError: no answer arrived.
        :raises ServiceError: the answer was a fault of the moment (408, 429, 5xx), at the last attempt.
        :raises RedirectRefusedError: the server sent us to another host.
        """
        policy = Policy(request, self._attempts)
        retrying = tenacity.Retrying(
            retry=policy.retry, stop=policy.stop, wait=policy.wait, sleep=self._pause, reraise=True
        )
        return retrying(self._send_once, request)

    def _send_once(self, request: Request) -> Reply:
        if self._left() <= 0:
            raise TransportError(f"{request}: not sent, the time for it is over", sent=False)
        token = self._token()
        reply = self._exchange(request, token)
        if self._credentials.renew_after(reply, token):
            reply = self._exchange(request, self._token())
        if is_transient(reply):
            raise self._credentials.service_error(request, reply)
        return reply

    def _token(self) -> str | None:
        login = self._credentials.login_request()
        if login is not None:
            try:
                reply = self._exchange(login, None)
            except TransportError as error:
                raise not_sent(error) from None
            self._credentials.accept(login, reply)
        return self._credentials.current

    def _exchange(self, request: Request, token: str | None) -> Reply:
        if self.endpoint.base_url.startswith("https:"):
            check_authorities(self.endpoint)
        # A start has a connection of its own: one that the server closes while idle would leave its outcome open.
        with self._session_for(request) as session:
            url = self.endpoint.base_url + request.path
            params: Any = dict(request.query)
            for _ in range(MOST_REDIRECTS):
                with exchange_errors(request), self._open(session, request, url, params, token) as response:
                    address = next_address(request, self.endpoint.base_url, url, response.status_code, response.headers)
                    if address is None:
                        return self._read(request, response)
                url, params = address, None
        raise RedirectRefusedError(f"{request} was redirected in a circle")

    @contextmanager
    def _session_for(self, request: Request) -> Iterator[requests.Session]:
        if request.purpose is Purpose.START:
            with requests.Session() as session:
                yield session
            return
        if self._session is None:
            self._session = requests.Session()
        yield self._session

    def _open(
        self, session: requests.Session, request: Request, url: str, params: Any, token: str | None
    ) -> requests.Response:
        headers = {"Accept": "application/json"}
        if request.json is not None:
            headers["Content-Type"] = "application/json"
        return session.request(
            request.method, url, params=params, data=request.content, headers=headers, auth=BearerAuth(token),
            timeout=(
                min(self.endpoint.connect_timeout, self._left() + SHORTEST),
                min(max(request.read_timeout or 0.0, self.endpoint.read_timeout), self._left() + SHORTEST),
            ),
            allow_redirects=False, stream=True, verify=self.endpoint.tls, proxies=proxies(self.endpoint),
        )  # fmt: skip

    def _read(self, request: Request, response: requests.Response) -> Reply:
        headers = {name.lower(): value for name, value in response.headers.items()}
        body = bytearray()
        cut = False
        marker = f'"{request.stop_at}"'.encode() if request.stop_at and response.status_code < 300 else None
        for chunk in response.iter_content(CHUNK if marker is None else LIGHT):
            body += chunk
            if marker is not None and marker in body and len(body) >= LIGHT:
                cut = True
                break
        content = self._credentials.redact(bytes(body), success=response.status_code < 300)
        return Reply(response.status_code, headers, content, cut)


class BearerAuth(AuthBase):
    """Sets the Authorization header to ours or to nothing; without it, requests would look into ``.netrc``."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign a request."""
        request.headers.pop("Authorization", None)
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def drive(flow: Generator[Any, Any, T], send: Callable[[Request], Reply], sleep: Callable[[float], None]) -> T:
    """Carry out a flow: send what it yields, hand it the answers, wait where it asks to."""
    try:
        step = next(flow)
        while True:
            if isinstance(step, Pause):
                sleep(step.seconds)
                step = flow.send(None)
                continue
            try:
                reply = send(step)
            except RemoteJobsError as error:
                step = flow.throw(error)
            else:
                step = flow.send(reply)
    except StopIteration as done:
        outcome: T = done.value
        return outcome


def proxies(endpoint: Endpoint) -> dict[str, str] | None:
    """Return the proxies of an endpoint; None leaves it to the environment."""
    return {"http": endpoint.proxy, "https": endpoint.proxy} if endpoint.proxy else None


@contextmanager
def exchange_errors(what: object) -> Iterator[None]:
    """Turn the errors of requests into ours.

    :param what: what was asked for, as the text names it; never an address with a secret.
    """
    try:
        yield
    except requests.exceptions.SSLError as error:
        if not any(word in str(error) for word in HANDSHAKE):
            raise TransportError(f"{what}: {reason(error)}", sent=True) from None
        raise TlsError(
            f"{what}: no secure connection ({tls_reason(error)}); for a private authority set ca_bundle in the "
            "connection, and http:// in host for a server without TLS",
            sent=False,
        ) from None
    except requests.exceptions.ProxyError as error:
        raise proxy_error(what, error) from None
    except requests.exceptions.ConnectTimeout as error:
        raise TransportError(f"{what}: no connection ({reason(error)})", sent=False) from None
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise TransportError(f"{what}: not an address ({type(error).__name__})", sent=False) from None
    except requests.exceptions.ConnectionError as error:
        raise TransportError(f"{what}: {reason(error)}", sent=not is_refused(error)) from None
    except requests.exceptions.RequestException as error:
        raise TransportError(f"{what}: {reason(error)}", sent=True) from None
    except ValueError:
        # requests reads the address of a redirect even where it is not to follow it.
        raise RedirectRefusedError(f"{what} was redirected to something that is no address") from None


def proxy_error(what: object, error: requests.exceptions.ProxyError) -> TransportError:
    """Return our form of an error that urllib3 blames on a proxy, be it an answer that the proxy lost."""
    refused = re.search(r"Tunnel connection failed: (\d+)", str(error))
    if refused:
        return TransportError(f"{what}: no connection, the proxy refused it (HTTP {refused[1]})", sent=False)
    blamed = getattr(error.args[0] if error.args else None, "reason", None)
    if isinstance(getattr(blamed, "original_error", None), urllib3.exceptions.ConnectTimeoutError):
        return TransportError(f"{what}: no connection, the proxy cannot be reached", sent=False)
    return TransportError(f"{what}: the proxy closed the connection before the answer was complete", sent=True)


def tls_reason(error: BaseException) -> str:
    """Return what was wrong with a server's TLS."""
    found = re.search(r"(CERTIFICATE_VERIFY_FAILED|WRONG_VERSION_NUMBER)[^:]*: ([^(\n]*)", str(error))
    return found[2].strip() if found else reason(error)


def is_refused(error: BaseException) -> bool:
    """Whether the connection was never made: refused, unreachable, or an unknown host name."""
    cause = error.args[0] if error.args else None
    inner = getattr(cause, "reason", None)
    return isinstance(inner, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)


def reason(error: BaseException) -> str:
    """Return why, without an address: those of result links are secrets."""
    cause = error.args[0] if error.args else None
    inner = getattr(cause, "reason", None) or cause
    if isinstance(error, requests.exceptions.Timeout) or isinstance(inner, urllib3.exceptions.ReadTimeoutError):
        return "timed out"
    if isinstance(inner, urllib3.exceptions.NameResolutionError):
        return "unknown host name"
    if isinstance(inner, urllib3.exceptions.NewConnectionError):
        return "connection refused or unreachable"
    if isinstance(inner, urllib3.exceptions.ProtocolError | urllib3.exceptions.IncompleteRead):
        return "the connection was closed before the answer was complete"
    return type(inner).__name__ if isinstance(inner, BaseException) else type(error).__name__
