"""The transport of the triggerer, on aiohttp: one session per event loop and connection, shared by all its triggers."""

from __future__ import annotations

import asyncio
import ssl
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp
import requests.utils
import tenacity

from airflow_provider_jobs.exceptions import (
    RateLimitedError,
    RedirectRefusedError,
    RemoteJobsError,
    TlsError,
    TransportError,
)
from airflow_provider_jobs.services.base import Flow, Pause, Reply, Request
from airflow_provider_jobs.transport.blocking import LIGHT
from airflow_provider_jobs.transport.budget import Budget
from airflow_provider_jobs.transport.credentials import Credentials, not_sent
from airflow_provider_jobs.transport.endpoint import Endpoint
from airflow_provider_jobs.transport.policy import LONGEST_WAIT, Policy, is_transient, told
from airflow_provider_jobs.transport.redirects import MOST_REDIRECTS, next_address
from airflow_provider_jobs.transport.tls import tls_context

T = TypeVar("T")
KEEP_ALIVE = 4.0
"""Seconds; Firecrawl's server closes an idle connection after five."""
MOST_CONNECTIONS = 50


class AsyncTransport:
    """Sends requests to one endpoint from an event loop. Made by :func:`shared_transport`."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        session: aiohttp.ClientSession,
    ) -> None:
        self.endpoint = endpoint
        self._credentials = credentials
        self._session = session
        self._proxy = with_scheme(endpoint.proxy or environment_proxy(endpoint.base_url))
        self._tls: ssl.SSLContext | bool | None = None if endpoint.base_url.startswith("https:") else False
        self._budget = Budget(endpoint.max_requests_per_minute)
        self._opening = asyncio.Lock()
        self._login = asyncio.Lock()

    async def run(self, flow: Flow[T]) -> T:
        """Carry out a flow and return its outcome."""
        try:
            step = next(flow)
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    step = flow.send(None)
                    continue
                try:
                    reply = await self.send(step)
                except RemoteJobsError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(reply)
        except StopIteration as done:
            outcome: T = done.value
            return outcome

    async def send(self, request: Request) -> Reply:
        """Send a request, again where the policy allows it, and return the answer.

        :raises TransportError: no answer arrived.
        :raises ServiceError: the answer was a fault of the moment (408, 429, 5xx), at the last attempt.
        :raises RedirectRefusedError: the server sent us to another host.
        """
        policy = Policy(request)
        retrying = tenacity.AsyncRetrying(
            retry=policy.retry, stop=policy.stop, wait=policy.wait, sleep=asyncio.sleep, reraise=True
        )
        return await retrying(self._send_once, request)

    async def _send_once(self, request: Request) -> Reply:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._budget.reserve(loop.time()))
        token = await self._token()
        reply = await self._exchange(request, token)
        if self._credentials.renew_after(reply, token):
            reply = await self._exchange(request, await self._token())
        if is_transient(reply):
            error = self._credentials.service_error(request, reply)
            if isinstance(error, RateLimitedError):
                self._budget.hold(loop.time(), min(told(error) or 0.0, LONGEST_WAIT))
            raise error
        return reply

    async def _token(self) -> str | None:
        async with self._login:
            login = self._credentials.login_request()
            if login is not None:
                try:
                    reply = await self._exchange(login, None)
                except TransportError as error:
                    raise not_sent(error) from None
                self._credentials.accept(login, reply)
        return self._credentials.current

    async def _secure(self) -> ssl.SSLContext | bool:
        async with self._opening:
            if self._tls is None:
                # Reading the authorities is file work, and the loop belongs to every trigger.
                self._tls = await asyncio.to_thread(tls_context, self.endpoint)
        return self._tls

    async def _exchange(self, request: Request, token: str | None) -> Reply:
        tls = await self._secure()
        url = self.endpoint.base_url + request.path
        params: dict[str, str] | None = dict(request.query)
        headers = {"Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if request.json is not None:
            headers["Content-Type"] = "application/json"
        timeout = aiohttp.ClientTimeout(
            total=None,
            sock_connect=self.endpoint.connect_timeout,
            sock_read=max(request.read_timeout or 0.0, self.endpoint.read_timeout),
        )
        for _ in range(MOST_REDIRECTS):
            try:
                async with self._session.request(
                    request.method, url, params=params, data=request.content, headers=headers, timeout=timeout,
                    allow_redirects=False, ssl=tls, proxy=self._proxy,
                ) as response:  # fmt: skip
                    address = next_address(request, self.endpoint.base_url, url, response.status, response.headers)
                    if address is None:
                        return await self._read(request, response)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise our_error(request, error) from None
            url, params = address, None
        raise RedirectRefusedError(f"{request} was redirected in a circle")

    async def _read(self, request: Request, response: aiohttp.ClientResponse) -> Reply:
        headers = {name.lower(): value for name, value in response.headers.items()}
        body = bytearray()
        cut = False
        marker = f'"{request.stop_at}"'.encode() if request.stop_at and response.status < 300 else None
        async for chunk in response.content.iter_any():
            body += chunk
            if marker is not None and len(body) >= LIGHT and marker in body:
                cut = True
                response.close()
                break
        content = self._credentials.redact(bytes(body), success=response.status < 300)
        return Reply(response.status, headers, content, cut)


@dataclass
class _Shared:
    session: aiohttp.ClientSession
    transport: AsyncTransport
    users: int = 0


_shared: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Endpoint, _Shared]] = weakref.WeakKeyDictionary()


@asynccontextmanager
async def shared_transport(endpoint: Endpoint, credentials: Credentials) -> AsyncIterator[AsyncTransport]:
    """Give the transport that all users of this endpoint on this event loop share.

    The first user opens it, the last one closes it. A connection whose settings change gets another one.
    """
    endpoints = _shared.setdefault(asyncio.get_running_loop(), {})
    shared = endpoints.get(endpoint)
    if shared is None:
        connector = aiohttp.TCPConnector(limit=MOST_CONNECTIONS, keepalive_timeout=KEEP_ALIVE)
        session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        # aiohttp would send a lost GET or DELETE again by itself, past the policy and the budget.
        session._retry_connection = False
        shared = endpoints[endpoint] = _Shared(session, AsyncTransport(endpoint, credentials, session))
    shared.users += 1
    try:
        yield shared.transport
    finally:
        shared.users -= 1
        if shared.users == 0:
            del endpoints[endpoint]
            await shared.session.close()


def environment_proxy(url: str) -> str | None:
    """Return the proxy that the environment variables name for an address, as requests reads them."""
    found: dict[str, str] = requests.utils.get_environ_proxies(url, no_proxy=None)
    return found.get(urlsplit(url).scheme) or found.get("all")


def with_scheme(proxy: str | None) -> str | None:
    """Return the address of a proxy with a scheme, which environment variables often leave out."""
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def our_error(request: Request, error: BaseException) -> TransportError:
    """Return our form of an error of aiohttp."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return TlsError(
            f"{request}: no secure connection ({type(error).__name__}); for a private authority set ca_bundle in the "
            "connection, and http:// in host for a server without TLS",
            sent=False,
        )
    if isinstance(error, aiohttp.InvalidURL):
        return TransportError(f"{request}: not an address ({type(error).__name__})", sent=False)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return TransportError(f"{request}: no connection, the proxy refused it (HTTP {error.status})", sent=False)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return TransportError(f"{request}: unknown host name", sent=False)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return TransportError(f"{request}: no connection (timed out)", sent=False)
    if isinstance(error, aiohttp.ClientConnectorError):
        return TransportError(f"{request}: connection refused or unreachable", sent=False)
    if isinstance(error, TimeoutError):
        return TransportError(f"{request}: timed out", sent=True)
    if isinstance(error, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError):
        return TransportError(f"{request}: the connection was closed before the answer was complete", sent=True)
    return TransportError(f"{request}: {type(error).__name__}", sent=True)
