"""Result files on other hosts: fetched with a signed link and without any key."""

from __future__ import annotations

import gzip
import io
import logging
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, cast
from urllib.parse import parse_qsl, urlsplit

import requests

from airflow_provider_jobs.exceptions import ServiceUnavailableError, TransportError
from airflow_provider_jobs.services.base import Reply
from airflow_provider_jobs.transport.blocking import CHUNK, BearerAuth, exchange_errors, proxies
from airflow_provider_jobs.transport.credentials import SHORTEST_SECRET
from airflow_provider_jobs.transport.endpoint import Endpoint
from airflow_provider_jobs.transport.tls import check_authorities

GZIP_MAGIC = b"\x1f\x8b"
ERROR_BYTES = 10_000


class FileTransport:
    """Fetches result files. Use it as a context manager.

    It has a session of its own, so that no header and no cookie of the service reaches the file host. A link is a
    secret for as long as it is valid: it stands in no text.

    :param check: raises the error that an answer without success means; told the file's name.
    """

    def __init__(self, endpoint: Endpoint, check: Callable[[str, Reply], None]) -> None:
        self._endpoint = endpoint
        self._check = check
        self._session = _KeylessSession()

    def __enter__(self) -> FileTransport:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    @contextmanager
    def open(self, link: str, name: str) -> Iterator[IO[bytes]]:
        """Give a result file as a stream, decompressed where it is compressed.

        :param name: what the file is called in texts.
        :raises RemoteJobsError: what ``check`` makes of the answer.
        :raises TransportError: no connection, or the file broke off.
        """
        what = f"result file {name}"
        if link.startswith("https:"):
            check_authorities(self._endpoint)
        with exchange_errors(what), _quiet_links():
            response = self._session.get(
                link, auth=BearerAuth(None), stream=True, verify=self._endpoint.tls, proxies=proxies(self._endpoint),
                timeout=(self._endpoint.connect_timeout, self._endpoint.read_timeout),
            )  # fmt: skip
        with response:
            if not response.ok:
                with exchange_errors(what):
                    body = next(response.iter_content(ERROR_BYTES), b"")
                self._check(name, Reply(response.status_code, _headers(response), _without_link(body, link)))
            raw = io.BufferedReader(_Stream(response, what), CHUNK)
            if raw.peek(2)[:2] == GZIP_MAGIC:
                yield cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
            else:
                yield raw

    def lines(self, link: str, name: str) -> Iterator[bytes]:
        """Read a result file line by line; see :meth:`open`."""
        with self.open(link, name) as stream, broken_off(name):
            yield from stream


class _KeylessSession(requests.Session):
    """Follows redirects without looking into ``.netrc`` for the next host."""

    def rebuild_auth(self, prepared_request: Any, response: Any) -> None:
        """Take no key along."""
        prepared_request.headers.pop("Authorization", None)


class _WithoutQueries(logging.Filter):
    """Cuts the queries off addresses that urllib3 logs while a result file is opened: they are the secret part."""

    opening = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, cut where needed."""
        if getattr(self.opening, "now", False) and isinstance(record.args, tuple):
            record.args = tuple(arg.partition("?")[0] if isinstance(arg, str) else arg for arg in record.args)
        return True


for _name in ("urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry"):
    logging.getLogger(_name).addFilter(_WithoutQueries())


@contextmanager
def _quiet_links() -> Iterator[None]:
    _WithoutQueries.opening.now = True
    try:
        yield
    finally:
        _WithoutQueries.opening.now = False


def _without_link(body: bytes, link: str) -> bytes:
    """Take the values of a link's query out of an error that quotes them."""
    for _, value in parse_qsl(urlsplit(link).query):
        if len(value) >= SHORTEST_SECRET:
            body = body.replace(value.encode(), b"***")
    return body


@contextmanager
def broken_off(name: str) -> Iterator[None]:
    """Turn the errors of a damaged compressed file into ours."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise TransportError(f"result file {name}: it broke off or is damaged", sent=True) from None


def is_worth_another_try(error: BaseException) -> bool:
    """Whether a file that could not be had may be had in a moment."""
    return isinstance(error, TransportError | ServiceUnavailableError) and not error.permanent


class _Stream(io.RawIOBase):
    """A response body as a file. Whether it is complete is checked by urllib3 against Content-Length."""

    def __init__(self, response: requests.Response, what: str) -> None:
        self._chunks = response.iter_content(CHUNK)
        self._what = what
        self._rest = b""

    def readable(self) -> bool:
        """Streams are read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer with what has arrived."""
        while not self._rest:
            with exchange_errors(self._what):
                chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def _headers(response: requests.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}
