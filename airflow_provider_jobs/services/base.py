"""Requests and replies as plain values, and the short protocol that a service implements."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, TypeVar

import msgspec

from airflow_provider_jobs.exceptions import UnexpectedReplyError
from airflow_provider_jobs.jobs.finding import Listing
from airflow_provider_jobs.jobs.model import JobRef, JobSpec, JobStatus, StartedJob

T = TypeVar("T")

_DECODER = json.JSONDecoder()
_SPACE = {" ", "\t", "\r", "\n"}
# A whole character outside the basic plane, half of one, any other escape: in this order, each backslash is read once.
_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)", re.DOTALL
)
_HALF = 6


class Purpose(Enum):
    """Why a request is sent; decides whether it may be sent again."""

    START = "start"
    """Billed: sent again only when it surely did not arrive."""
    POLL = "poll"
    """A look at a job: the wait itself is patient, so the transport is brief."""
    READ = "read"
    """Anything else that changes nothing, such as a page of results."""
    CANCEL = "cancel"
    """Changes something, but twice is the same as once."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a service.

    :param path: below the connection's base URL, starting with a slash. Never an address from an answer.
    :param json: body as plain values, encoded by :attr:`content`.
    :param read_timeout: seconds that are needed at least, where the connection's may be too few.
    :param stop_at: a top-level key of the JSON answer; nothing from there on is needed, and reading may stop.
    """

    method: str
    path: str
    purpose: Purpose
    query: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    read_timeout: float | None = None
    stop_at: str | None = None

    @property
    def content(self) -> bytes | None:
        """The encoded body, or None."""
        return None if self.json is None else encode_json(self.json)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of a service.

    :param headers: names in lower case.
    :param body: as received, decompressed; with ``cut``, only its beginning.
    :param cut: reading stopped early, at the request's ``stop_at``.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool = False

    @property
    def ok(self) -> bool:
        """Whether the HTTP status means success."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 are replaced."""
        return self.body.decode("utf-8", errors="replace")

    def json(self) -> Any:
        """Return the parsed body, or None when it is not JSON. Of a cut body, the keys before the cut."""
        if self.cut:
            return leading_fields(self.text)
        try:
            return decode_json(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def object(self, request: Request) -> dict[str, Any]:
        """Return the body as a JSON object.

        :raises UnexpectedReplyError: it is none, though the status says success.
        """
        value = self.json()
        if not isinstance(value, dict):
            raise UnexpectedReplyError(
                f"{request} was answered with HTTP {self.status}, but not with a JSON object: {snippet(self.text)!r}"
            )
        return value


@dataclass(frozen=True, slots=True)
class Pause:
    """A flow asks its driver to wait so many seconds."""

    seconds: float


Flow = Generator[Request | Pause, Any, T]
"""A conversation without I/O: yields requests and pauses, is sent replies, returns its outcome.

The driver throws a transport's error into the flow at the request that met it.
"""


@dataclass(frozen=True, slots=True)
class KindInfo:
    """What a service can do with one kind of job.

    :param cancellable: there is a request that cancels it.
    :param watchable: it has a status that can be asked for; without one, a cancel cannot be verified either.
    :param instead: what to do when it cannot be cancelled, for a message.
    :param cancelled_as_failed: a job that was cancelled may read as failed.
    """

    cancellable: bool = True
    watchable: bool = True
    instead: str = ""
    cancelled_as_failed: bool = False


class Service(Protocol):
    """What the rest of the provider needs to know of a service."""

    name: str
    label: str
    floor: float
    """The shortest fair pause between two looks at one job, in seconds."""
    kinds: Mapping[str, KindInfo]
    calls: Collection[str]
    """Kinds of billed calls that answer at once: nothing of them runs on, and there is nothing to look for."""

    def start(self, spec: JobSpec) -> Request:
        """Return the request that starts a job."""

    def read_start(self, spec: JobSpec, request: Request, reply: Reply, *, sent_at: float) -> StartedJob:
        """Read the answer to a start."""

    def look(self, ref: JobRef) -> Flow[JobStatus]:
        """Ask for a job's status."""

    def cancel(self, ref: JobRef) -> Request:
        """Return the request that cancels a job."""

    def read_cancel(self, ref: JobRef, request: Request, reply: Reply) -> str | None:
        """Read the answer to a cancel: None when accepted, else why there is nothing left to cancel.

        :raises NotCancellableError: this server has no such request.
        """

    def mark(self, spec: JobSpec) -> str | None:
        """Return what the service's lists show of a job, or None when they cannot tell it from others."""

    def list_jobs(
        self, kind: str | None, api_version: str | None, *, since: float, clock: Callable[[], float]
    ) -> Flow[Listing]:
        """Ask for the jobs that were started since then, in seconds since the epoch by our clock.

        :param kind: only this one; None: all.
        :raises ServiceError: the service can list, but does not now.
        """

    def check_error(self, request: Request, reply: Reply) -> None:
        """Raise the error that a reply without success means."""

    def refuses_key(self, reply: Reply) -> bool:
        """Whether an answer says that the key is not accepted."""

    def login(self, email: str, password: str) -> Request:
        """Return the request that exchanges a login for a key, where the service has one."""

    def read_login(self, reply: Reply) -> str:
        """Return the key that was obtained."""


def encode_json(value: Any) -> bytes:
    """Return compact UTF-8 JSON."""
    return msgspec.json.encode(value)


def decode_json(content: bytes, type: Any = Any) -> Any:
    """Return parsed JSON. Half a character, which JavaScript writes where it cut a text, becomes U+FFFD.

    :raises msgspec.DecodeError: it is no JSON, or not of that type.
    """
    try:
        return msgspec.json.decode(content, type=type)
    except msgspec.DecodeError:
        mended = _ESCAPES.sub(lambda found: b"\\ufffd" if len(found[0]) == _HALF else found[0], content)
        if mended == content:
            raise
        return msgspec.json.decode(mended, type=type)


def items(value: Any) -> list[Any]:
    """Return a JSON value that should be a list; nothing when it is something else."""
    return value if isinstance(value, list) else []


def whole(value: Any) -> int | None:
    """Return a counter of an answer, also one sent as text; None when it is none or negative."""
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def number(value: Any) -> float | None:
    """Return an amount of an answer; None when it is none or negative."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and value >= 0 else None


def snippet(text: str, limit: int = 200) -> str:
    """Return the beginning of a text on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def leading_fields(text: str) -> dict[str, Any] | None:
    """Return the complete top-level fields at the beginning of a JSON object that may be cut anywhere.

    None when the text does not begin like an object. The last field before the cut counts only if what follows
    it was still read, because a number may go on.
    """
    found: dict[str, Any] = {}
    position = _skip_space(text, 0)
    if text[position : position + 1] != "{":
        return None
    position += 1
    try:
        while True:
            key, position = _DECODER.raw_decode(text, _skip_space(text, position))
            position = _skip_space(text, position)
            if text[position : position + 1] != ":":
                return found
            value, position = _DECODER.raw_decode(text, _skip_space(text, position + 1))
            position = _skip_space(text, position)
            follower = text[position : position + 1]
            if follower and follower in ",}":
                found[key] = value
            if follower != ",":
                return found
            position += 1
    except (ValueError, RecursionError):
        return found


def _skip_space(text: str, position: int) -> int:
    while text[position : position + 1] in _SPACE and position < len(text):
        position += 1
    return position
