"""Which failures may be sent again, and after how long. Pure, and the same for both transports.

A look at a job (``POLL``) is sent again only once and at once, for a connection that the server had closed while
it was idle: the wait itself is patient. A read and a cancel are repeated for a bounded time. A start is repeated
only when it surely did not arrive.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from tenacity import RetryCallState

from airflow_provider_jobs.exceptions import (
    RateLimitedError,
    RemoteJobsError,
    ServiceUnavailableError,
    TransportError,
    UnexpectedReplyError,
)
from airflow_provider_jobs.services.base import Purpose, Reply, Request

ATTEMPTS: dict[Purpose, int] = {Purpose.START: 5, Purpose.POLL: 2, Purpose.READ: 6, Purpose.CANCEL: 4}
FIRST_BACKOFF = 0.5
LONGEST_WAIT = 120.0
"""Seconds; a service that asks for more is believed, but not waited for here."""
JITTER = 0.25


@dataclass(frozen=True, slots=True)
class Policy:
    """The retry policy of one request, in the form that tenacity asks for.

    :param attempts: how often the request may be sent; None takes the purpose's own number.
    :param longest_wait: seconds that may be waited between two attempts.
    """

    request: Request
    attempts: int | None = None
    longest_wait: float = LONGEST_WAIT

    def may_resend(self, error: BaseException) -> bool:
        """Whether the request may be sent again after this failure."""
        if isinstance(error, TransportError):
            if error.permanent:
                return False
            return not error.sent or self.request.purpose is not Purpose.START
        if isinstance(error, RateLimitedError):
            return self.request.purpose is not Purpose.POLL and not _is_queue_limit(error) and self._fits(error)
        if isinstance(error, ServiceUnavailableError):
            return self.request.purpose in {Purpose.READ, Purpose.CANCEL} and self._fits(error)
        return False

    def retry(self, state: RetryCallState) -> bool:
        """Tenacity's ``retry``."""
        error = state.outcome.exception() if state.outcome else None
        return error is not None and self.may_resend(error)

    def stop(self, state: RetryCallState) -> bool:
        """Tenacity's ``stop``."""
        return state.attempt_number >= (self.attempts or ATTEMPTS[self.request.purpose])

    def wait(self, state: RetryCallState) -> float:
        """Tenacity's ``wait``: what the service asked for, else a growing pause; with up to 25 % more at random."""
        error = state.outcome.exception() if state.outcome else None
        if self.request.purpose is Purpose.POLL:
            return 0.0
        asked = told(error)
        seconds = FIRST_BACKOFF * 2.0 ** (state.attempt_number - 1) if asked is None else asked
        return min(self.longest_wait, seconds * (1.0 + JITTER * random.random()))  # noqa: S311

    def _fits(self, error: RateLimitedError | ServiceUnavailableError) -> bool:
        asked = told(error)
        return asked is None or asked <= self.longest_wait


def told(error: BaseException | None) -> float | None:
    """Return the seconds that the service asked us to wait with this failure, or None."""
    if isinstance(error, RateLimitedError):
        # Firecrawl's window is a minute; without a word of it, half a minute is a fair guess.
        return 30.0 if error.retry_after is None else error.retry_after
    return error.retry_after if isinstance(error, ServiceUnavailableError) else None


def is_transient(reply: Reply) -> bool:
    """Whether the answer is a fault of the moment, to be raised by the transport itself."""
    return reply.status in {408, 429} or reply.status >= 500


def started_uncertain(error: RemoteJobsError) -> bool:
    """Whether a start that ended with this error may have started a job."""
    if isinstance(error, TransportError):
        return error.sent
    return isinstance(error, ServiceUnavailableError | UnexpectedReplyError)


def _is_queue_limit(error: RateLimitedError) -> bool:
    # This refusal comes after the job was made, empty: sending the start again would make another one.
    return "queue limit" in str(error).casefold() or "concurrency limit" in str(error).casefold()
