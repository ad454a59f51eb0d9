"""Errors of this provider. Nothing of Airflow is imported here.

Every class says with ``permanent`` whether the same request can ever succeed without a change by the user:
operators turn permanent errors into ``AirflowFailException``, so that no retry is spent on them.
"""

from __future__ import annotations

from typing import ClassVar


class RemoteJobsError(Exception):
    """Base of all errors of this provider."""

    permanent: ClassVar[bool] = False


class InvalidInputError(RemoteJobsError, ValueError):
    """An argument is wrong. Raised before anything is billed; says what to change."""

    permanent = True


class ConnectionSettingsError(RemoteJobsError, ValueError):
    """The Airflow connection is incomplete or contradicts itself. Raised before any request."""

    permanent = True


# --- no usable answer -----------------------------------------------------------------------------------------


class TransportError(RemoteJobsError):
    """No answer arrived.

    :param sent: False when the request surely never reached the server (refused connection, unknown host
        name); True when it may have been acted upon.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class TlsError(TransportError):
    """The server's certificate was not accepted."""

    permanent = True


class RedirectRefusedError(RemoteJobsError):
    """The server sent us to another host. The key is not taken there."""

    permanent = True


class UnexpectedReplyError(RemoteJobsError):
    """The server answered with success, but not with what its API promises."""


# --- the service said no --------------------------------------------------------------------------------------


class ServiceError(RemoteJobsError):
    """The service answered with an error.

    :param status: HTTP status of the answer.
    """

    permanent = True
    is_page = False
    """Whether the answer was a web page: then a proxy may speak, and not the service."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class RequestRejectedError(ServiceError):
    """The service does not accept the request (400, 409, 413, 422 and other 4xx)."""


class AuthenticationError(ServiceError):
    """The key is missing, wrong or revoked (401, or a 400 that speaks of the user token)."""


class PaymentRequiredError(ServiceError):
    """The account has too few credits (402)."""


class PermissionDeniedError(ServiceError):
    """The account may not do this (403): plan, payment, a blocked site or another team's job."""


class JobNotFoundError(ServiceError):
    """The service does not know the job (404): wrong id, expired, or of another account."""


class RouteNotFoundError(ServiceError):
    """The server does not know the address (404 as a page): wrong base URL or API version."""

    is_page = True


class EndpointGoneError(ServiceError):
    """The service has shut this endpoint down (410)."""


class RateLimitedError(ServiceError):
    """Too many requests (429).

    :param retry_after: seconds the service asked us to wait, or None when it did not say.
    """

    permanent = False

    def __init__(self, message: str, *, status: int = 429, retry_after: float | None = None) -> None:
        super().__init__(message, status=status)
        self.retry_after = retry_after


class ServiceUnavailableError(ServiceError):
    """The service or a proxy before it failed (408, 5xx).

    :param retry_after: seconds the service asked us to wait, or None when it did not say.
    """

    permanent = False

    def __init__(self, message: str, *, status: int, retry_after: float | None = None) -> None:
        super().__init__(message, status=status)
        self.retry_after = retry_after


class PageTimeoutError(ServiceUnavailableError):
    """The page, map or search of a call was not there in time (408). A definite answer: nothing was lost.

    :param goes_on: the service is still at it, and the same request joins it.
    """

    def __init__(self, message: str, *, status: int, retry_after: float | None = None, goes_on: bool = False) -> None:
        super().__init__(message, status=status, retry_after=retry_after)
        self.goes_on = goes_on


# --- a job's life ---------------------------------------------------------------------------------------------


class StartUncertainError(RemoteJobsError):
    """The answer to a start was lost: a job may be running that nobody has the id of.

    :param sent_at: seconds since the epoch at which the start was sent, or None where that is not known.
    :param lost_at: at which its answer was given up.
    """

    permanent = True

    def __init__(self, message: str, *, sent_at: float | None = None, lost_at: float | None = None) -> None:
        super().__init__(message)
        self.sent_at = sent_at
        self.lost_at = lost_at


class CallUncertainError(StartUncertainError):
    """The answer to a billed call was lost: it may have been carried out and billed. Its result is lost."""


class JobFailedError(RemoteJobsError):
    """The job ended as failed."""


class JobCancelledError(RemoteJobsError):
    """The job was cancelled, by somebody or something else."""


class JobNotOverError(RemoteJobsError):
    """The job still runs, and its result was asked for."""


class JobTimeoutError(RemoteJobsError):
    """The job was not over at its deadline."""


class JobKilledError(RemoteJobsError):
    """The task was told to stop while it waited for its job."""


class JobNotCancelledError(RemoteJobsError):
    """A cancel could not be carried out or verified: the job may still be running."""

    permanent = True


class NotCancellableError(RemoteJobsError, ValueError):
    """The service has no way to cancel this kind of job."""

    permanent = True


class LedgerError(RemoteJobsError):
    """The record of starts cannot be read or written. Nothing is started without it."""


class LedgerSettingsError(LedgerError, ValueError):
    """The configuration of the record of starts is incomplete or contradicts itself."""

    permanent = True


class TriggerEventError(RemoteJobsError):
    """What the trigger handed to the task is not an event of ours."""


# --- results --------------------------------------------------------------------------------------------------


class ResultIncompleteError(RemoteJobsError):
    """More records failed or are missing than ``max_failed`` allows. What arrived was delivered."""

    permanent = True


class ResultTooLargeError(RemoteJobsError):
    """The result does not fit into the return value."""

    permanent = True


class ResultNotDeliveredError(RemoteJobsError):
    """The answer to a billed call could not be delivered, and cannot be had again without being billed again."""

    permanent = True


class ResultExpiredError(RemoteJobsError):
    """The result is no longer kept by the service, or withheld."""

    permanent = True


class OutputUnavailableError(RemoteJobsError):
    """Nothing can be written to the output folder. Raised before anything is billed."""


class OutputConflictError(RemoteJobsError):
    """The output folder holds the result of something else."""

    permanent = True
