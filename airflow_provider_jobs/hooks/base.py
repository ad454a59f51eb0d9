"""What the hooks of all services share: settings, transport, and the life of a job."""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from airflow.sdk import BaseHook
from airflow.sdk.log import amask_secret, mask_secret

from airflow_provider_jobs.compat import mask_here
from airflow_provider_jobs.exceptions import (
    ConnectionSettingsError,
    JobTimeoutError,
    RemoteJobsError,
    StartUncertainError,
)
from airflow_provider_jobs.jobs.finding import Listing
from airflow_provider_jobs.jobs.model import JobRef, JobSpec, JobStatus, StartedJob
from airflow_provider_jobs.jobs.verdict import GRACE, GiveUp, Over, TimedOut, Watch
from airflow_provider_jobs.services.base import Flow, Service
from airflow_provider_jobs.services.cancelling import PAUSES, CancelOutcome, cancel_flow, delete_flow
from airflow_provider_jobs.transport import settings
from airflow_provider_jobs.transport.blocking import BlockingTransport
from airflow_provider_jobs.transport.credentials import Credentials
from airflow_provider_jobs.transport.endpoint import Endpoint, base_url, check_header_value, proxy_url
from airflow_provider_jobs.transport.policy import started_uncertain

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_provider_jobs.transport.asynchronous import AsyncTransport

TEST_ATTEMPTS = 2
"""Requests of a test of the connection: somebody waits at the button."""
LIST_ATTEMPTS = 2
"""Requests for a page of a list: who asks, asks again after a while, or is a person who waits."""
LISTED_DAY = 24 * 3600.0 - 60.0
"""Seconds that a list is read back: Firecrawl's ends after a day."""
QUICK_CONNECT = 1.0
QUICK_READ = 1.5
"""Seconds of a cancel at kill time: Airflow sends SIGKILL five seconds after SIGTERM."""
CANCEL_MARGIN = 10.0
"""Seconds that a cancel may take beyond the pauses between its looks."""


class RemoteJobsHook(BaseHook):
    """Starts, watches and cancels the jobs of one service through one Airflow connection."""

    conn_name_attr: ClassVar[str]
    default_conn_name: ClassVar[str]
    conn_type: ClassVar[str]
    hook_name: ClassVar[str]
    hosted: ClassVar[str]
    api_versions: ClassVar[tuple[str, ...]]
    default_rate: ClassVar[float]
    service: Service

    def __init__(self, conn_id: str) -> None:
        super().__init__()
        self.conn_id = conn_id

    # --- settings ---------------------------------------------------------------------------------------------

    @cached_property
    def endpoint(self) -> Endpoint:
        """The connection's settings.

        :raises ConnectionSettingsError: they are incomplete or contradict each other.
        """
        endpoint = self._read(self.get_connection(self.conn_id))
        for secret in _secrets(endpoint):
            mask_secret(secret)
        return endpoint

    @property
    def is_ready(self) -> bool:
        """Whether the connection has been read, so that nothing more has to be asked of Airflow."""
        return "endpoint" in self.__dict__

    async def aendpoint(self) -> Endpoint:
        """Read the connection's settings from an event loop; afterwards :attr:`endpoint` is known.

        :raises ConnectionSettingsError: they are incomplete or contradict each other.
        """
        if not self.is_ready:
            endpoint = self._read(await self.aget_connection(self.conn_id))
            for secret in _secrets(endpoint):
                await amask_secret(secret)
            self.__dict__["endpoint"] = endpoint
        return self.endpoint

    def _read(self, connection: Connection) -> Endpoint:
        try:
            extra = settings.parse_extra(connection.extra)
            address = base_url(
                connection.host, default=self.hosted, schema=connection.schema, port=connection.port,
                api_versions=self.api_versions,
            )  # fmt: skip
            self._read_extra(extra)
            return Endpoint(
                conn_id=self.conn_id,
                base_url=address,
                connect_timeout=settings.positive_number(extra, "connect_timeout", 10.0),
                read_timeout=settings.positive_number(extra, "timeout", 60.0),
                verify=settings.flag(extra, "verify", True),
                ca_bundle=settings.text(extra, "ca_bundle"),
                proxy=proxy_url(settings.text(extra, "proxy")),
                max_requests_per_minute=settings.positive_number(extra, "max_requests_per_minute", self.default_rate),
                **self._read_credentials(connection, extra, address),
            )
        except ConnectionSettingsError as error:
            raise ConnectionSettingsError(f"connection {self.conn_id}: {error}") from None

    def _read_extra(self, extra: dict[str, Any]) -> None:
        """Read what only this service's connections have."""

    def _read_credentials(self, connection: Connection, extra: dict[str, Any], address: str) -> dict[str, Any]:
        """Return the credentials as arguments of the endpoint."""
        raise NotImplementedError

    # --- transport --------------------------------------------------------------------------------------------

    @cached_property
    def credentials(self) -> Credentials:
        """The key, shared by everything that this hook sends."""
        return Credentials(self.endpoint, self.service, on_new_key=mask_here)

    def get_conn(self) -> BlockingTransport:
        """Return a transport of its own: ``with hook.get_conn() as transport``."""
        return BlockingTransport(self.endpoint, self.credentials)

    def quick_conn(self) -> BlockingTransport:
        """Return a transport for the few seconds that a killed task has: one attempt, short timeouts."""
        endpoint = dataclasses.replace(
            self.endpoint,
            connect_timeout=min(QUICK_CONNECT, self.endpoint.connect_timeout),
            read_timeout=min(QUICK_READ, self.endpoint.read_timeout),
        )
        return BlockingTransport(endpoint, self.credentials, attempts=1)

    @asynccontextmanager
    async def aconn(self) -> AsyncIterator[AsyncTransport]:
        """Give the transport that all triggers of this connection on this event loop share."""
        from airflow_provider_jobs.transport.asynchronous import shared_transport

        endpoint = await self.aendpoint()
        async with shared_transport(endpoint, self.credentials) as transport:
            yield transport

    def run(self, flow: Flow[Any], *, attempts: int | None = None) -> Any:
        """Carry out a flow of the service and return its outcome.

        :param attempts: how often each request may be sent; None: by purpose.
        """
        with BlockingTransport(self.endpoint, self.credentials, attempts=attempts) as transport:
            return transport.run(flow)

    # --- a job's life -----------------------------------------------------------------------------------------

    def start(self, spec: JobSpec, *, sleep: Callable[[float], None] = time.sleep) -> StartedJob:
        """Start a job.

        :param sleep: waits so many seconds before a start that surely did not arrive is sent again; may raise.
        :raises StartUncertainError: the answer was lost; a job may be running. Never sent again.
        :raises ServiceError: the service refused.
        :raises TransportError: the request surely did not arrive.
        """
        request = self.service.start(spec)
        sent_at = time.time()
        pausing = False

        def pause(seconds: float) -> None:
            nonlocal pausing, sent_at
            pausing = True
            sleep(seconds)
            pausing = False
            sent_at = time.time()  # what was sent before surely did not arrive

        try:
            with BlockingTransport(self.endpoint, self.credentials, sleep=pause) as transport:
                reply = transport.send(request)
            if self.endpoint.login is not None and self.credentials.current is not None:
                # Obtained just now; the supervisor, which writes logs too, has not heard of it.
                mask_secret(self.credentials.current)
            return self.service.read_start(spec, request, reply, sent_at=sent_at)
        except BaseException as error:
            # Also a timeout that Airflow raises in the middle of the request; between two of them nothing is under way.
            if pausing or (isinstance(error, RemoteJobsError) and not started_uncertain(error)):
                raise
            when = dt.datetime.fromtimestamp(sent_at, dt.UTC).isoformat(timespec="seconds")
            told = str(error) or type(error).__name__
            raise StartUncertainError(
                f"{self.service.label} was asked to start a {spec.kind} at {when} through connection {self.conn_id}, "
                f"and no usable answer came back ({told}). A job may be running and billed that nobody has the id of. "
                "It is not started again: look at the service for it, then clear the task to start a new one.",
                sent_at=sent_at,
                lost_at=time.time(),
            ) from error

    def list_jobs(
        self,
        kind: str | None = None,
        *,
        api_version: str | None = None,
        since: float | None = None,
        time_limit: float | None = None,
    ) -> Listing:
        """Ask the service what jobs there are, as far as it tells: whoever has started them.

        :param kind: only this one; default: all.
        :param api_version: whose list, where each version has its own. Default: the connection's.
        :param since: seconds since the epoch from which on jobs are wanted. Default: a day ago.
        :param time_limit: seconds for all of it.
        :raises RemoteJobsError: the service could not be asked. That it has no such list is no error: see
            :attr:`Listing.gaps`.
        """
        with BlockingTransport(
            self.endpoint, self.credentials, attempts=LIST_ATTEMPTS, time_limit=time_limit
        ) as transport:
            begin = time.time() - LISTED_DAY if since is None else since
            flow = self.service.list_jobs(kind, api_version, since=begin, clock=time.time)
            listing: Listing = transport.run(flow)
            return listing

    def look(self, ref: JobRef) -> JobStatus:
        """Ask once how a job is doing.

        :raises RemoteJobsError: it could not be told.
        """
        status: JobStatus = self.run(self.service.look(ref))
        return status

    def wait(
        self,
        job: StartedJob,
        *,
        poll_interval: float = 30.0,
        deadline: float | None = None,
        on_status: Callable[[JobStatus], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> JobStatus:
        """Wait until a job is over and return its last status, whichever it is.

        :param poll_interval: the longest pause between two looks, in seconds.
        :param deadline: seconds since the epoch at which to stop waiting; the job runs on then.
        :param on_status: told of every look.
        :param sleep: waits so many seconds; may raise to end the wait.
        :raises JobTimeoutError: the deadline passed.
        :raises RemoteJobsError: the job cannot be watched any more.
        """
        watch = Watch(
            started_at=job.started_at, deadline=deadline, poll_interval=poll_interval, floor=self.service.floor
        )
        with BlockingTransport(self.endpoint, self.credentials, sleep=sleep) as transport:
            while True:
                try:
                    status = transport.run(self.service.look(job.ref))
                except RemoteJobsError as error:
                    verdict: Any = watch.missed(error, time.time())
                    self.log.warning("A look at %s failed: %s", job.ref, error)
                else:
                    verdict = watch.saw(status, time.time())
                    if on_status is not None:
                        on_status(status)
                if isinstance(verdict, Over):
                    return verdict.status
                if isinstance(verdict, GiveUp):
                    raise verdict.error
                if isinstance(verdict, TimedOut):
                    raise JobTimeoutError(timed_out_text(job, verdict.status, time.time()))
                sleep(verdict.seconds)

    def cancel(
        self,
        ref: JobRef,
        *,
        pauses: tuple[float, ...] = PAUSES,
        started_at: float | None = None,
        time_limit: float | None = None,
    ) -> CancelOutcome:
        """Cancel a job and make sure of it; see :func:`cancel_flow`.

        :param started_at: seconds since the epoch at which the job was started, if that is known.
        :param time_limit: seconds for all of it. Default: a little more than the pauses.
        :raises JobNotCancelledError: it may still run.
        """
        is_new = started_at is not None and time.time() - started_at < GRACE
        flow = cancel_flow(self.service, ref, pauses=PAUSES if is_new else pauses, is_new=is_new)
        # The flow itself asks again, hence one attempt; each within the time that is left.
        limit = min(sum(PAUSES if is_new else pauses) + CANCEL_MARGIN, time_limit or float("inf"))
        with BlockingTransport(self.endpoint, self.credentials, attempts=1, time_limit=limit) as transport:
            return transport.run(flow)

    def cancel_quickly(self, ref: JobRef) -> None:
        """Send one DELETE within a few seconds and do not wait for its effect.

        :raises RemoteJobsError: it was not accepted.
        """
        with self.quick_conn() as transport:
            transport.run(delete_flow(self.service, ref))

    def test_connection(self) -> tuple[bool, str]:
        """Try the connection without spending anything; called by the UI's Test button."""
        try:
            return True, self._test()
        except RemoteJobsError as error:
            return False, str(error)

    def _test(self) -> str:
        raise NotImplementedError


def timed_out_text(job: StartedJob, status: JobStatus | None, now: float) -> str:
    """Return the text for a job that was not over in time."""
    seen = status.describe() if status else "never seen"
    return f"{job.ref} was not over {now - job.started_at:.0f} s after its start: {seen}"


def read_key(connection: Connection, what: str) -> str | None:
    """Return the connection's password as it can be sent, or None when it is empty."""
    password = connection.password or ""
    return check_header_value(password, what) or None


def _secrets(endpoint: Endpoint) -> list[str]:
    found = list(endpoint.secrets)
    if endpoint.proxy:
        password = urlsplit(endpoint.proxy).password
        found.extend([password] if password else [])
    return found
