"""Datafiniti's API v4 on the wire, in the three forms that its documentation shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import quote

from airflow_provider_jobs.exceptions import (
    AuthenticationError,
    JobNotFoundError,
    RemoteJobsError,
    RequestRejectedError,
    ServiceUnavailableError,
    UnexpectedReplyError,
)
from airflow_provider_jobs.jobs.finding import Listing
from airflow_provider_jobs.jobs.model import JobRef, JobSpec, JobState, JobStatus, StartedJob
from airflow_provider_jobs.services.base import Flow, KindInfo, Purpose, Reply, Request, items, number, whole
from airflow_provider_jobs.services.datafiniti import listing as lists
from airflow_provider_jobs.services.datafiniti.checks import (
    check_data_type,
    check_file_format,
    check_num_records,
    check_query,
    check_view,
)
from airflow_provider_jobs.services.datafiniti.schema import DOWNLOAD
from airflow_provider_jobs.services.errors import as_text, error_for, explain, is_page
from airflow_provider_jobs.services.options import check_options

HOSTED = "https://api.datafiniti.co"
_BY_ARGUMENT = ("query", "download", "format", "num_records", "view")

_STATES: Mapping[str, JobState] = {
    "queued": JobState.PENDING,
    "pending": JobState.PENDING,
    "running": JobState.RUNNING,
    "in_progress": JobState.RUNNING,
    "in progress": JobState.RUNNING,
    "started": JobState.RUNNING,
    "processing": JobState.RUNNING,
    "completed": JobState.SUCCEEDED,
    "complete": JobState.SUCCEEDED,
    "cancelled": JobState.CANCELLED,
    "canceled": JobState.CANCELLED,
    "failed": JobState.FAILED,
    "failure": JobState.FAILED,
    "error": JobState.FAILED,
    "errored": JobState.FAILED,
}
_OF_A_JOB = frozenset({Purpose.POLL, Purpose.CANCEL})
_BAD_TOKEN = re.compile(r"user token", re.IGNORECASE)
_NO_MATCH = re.compile(r"numRequested cannot be <= 0|No result found within the params", re.IGNORECASE)


class DatafinitiService:
    """Requests and replies of Datafiniti."""

    name = "datafiniti"
    label = "Datafiniti"
    floor = 5.0
    kinds: Mapping[str, KindInfo] = {"download": KindInfo()}
    calls: Collection[str] = ()

    def download(
        self,
        data_type: Any,
        query: Any,
        num_records: Any = None,
        *,
        file_format: Any = "json",
        view: Any = None,
        allow_all_records: bool = False,
        options: Any = None,
        check_names: bool = True,
    ) -> JobSpec:
        """Return the download of all records that match a query.

        :param num_records: the most records to download and pay for; the service takes ALL matches without it.
        :raises InvalidInputError: the service would refuse this, or bill without a limit.
        """
        extra = self.check_download_options(options, check_names=check_names)
        count = check_num_records(num_records, allow_all_records=allow_all_records)
        body: dict[str, Any] = {
            **extra,
            "query": check_query(query),
            "format": check_file_format(file_format),
            "download": True,
        }
        if count is not None:
            body["num_records"] = count
        if view is not None:
            body["view"] = check_view(view)
        return JobSpec(self.name, "download", body, "v4", check_data_type(data_type), asked=count)

    @staticmethod
    def check_download_options(options: Any, *, check_names: bool = True) -> dict[str, Any]:
        """Return the options of a download after checking them; see :func:`check_options`."""
        return check_options(options, DOWNLOAD, version="v4", by_argument=_BY_ARGUMENT, check=check_names)

    # --- start ------------------------------------------------------------------------------------------------

    def start(self, spec: JobSpec) -> Request:
        """Return the request that starts a job."""
        path = f"/v4/{spec.target}/search"
        return Request("POST", path, Purpose.START, json=spec.body)

    def read_start(self, spec: JobSpec, request: Request, reply: Reply, *, sent_at: float) -> StartedJob:
        """Read the answer to a start: any success with an id.

        :raises RequestRejectedError: an error, also inside HTTP 200, or nothing matches the query.
        :raises UnexpectedReplyError: the answer holds no id.
        """
        if not reply.ok and _NO_MATCH.search(reply.text):
            raise RequestRejectedError(
                f"no record matches the query, so Datafiniti started no download: {explain(reply)}",
                status=reply.status,
            )
        if reply.status == 404 and not is_page(reply):
            # Of a start, it is the view or the data type that was not found.
            raise RequestRejectedError(
                f"Datafiniti answered HTTP 404 to {request}: {explain(reply) or 'nothing more'}", status=404
            )
        self.check_error(request, reply)
        body = reply.object(request)
        job_id = _id(body)
        if job_id is None:
            if body.get("errors") or body.get("error"):
                raise RequestRejectedError(f"Datafiniti refused {request}: {explain(reply)}", status=reply.status)
            if "records" in body:
                raise UnexpectedReplyError(f"Datafiniti answered {request} with records instead of starting a download")
            raise UnexpectedReplyError(f"Datafiniti answered {request} without an id")
        return StartedJob(JobRef(self.name, spec.kind, job_id, "v4"), sent_at, spec.asked)

    # --- look, list, cancel -----------------------------------------------------------------------------------

    def look(self, ref: JobRef) -> Flow[JobStatus]:
        """Ask for a job's status, which holds the links of its files too."""
        request = Request("GET", self.job_path(ref), Purpose.POLL)
        reply = yield request
        return self.read_status(request, reply)

    def read_status(self, request: Request, reply: Reply) -> JobStatus:
        """Read the answer to a look.

        :raises ServiceError: the service answered with an error.
        :raises UnexpectedReplyError: the answer is no status.
        """
        self.check_error(request, reply)
        body = reply.object(request)
        if _id(body) is None and "status" not in body:
            _check_told(request, reply, body)
            raise UnexpectedReplyError(f"Datafiniti answered {request} without a job")
        return _status(body)

    def listing(self) -> Flow[list[tuple[str, JobStatus]]]:
        """Ask for all downloads ever started, as pairs of id and status. Not paged: never poll with it."""
        request = Request("GET", "/v4/downloads", Purpose.READ)
        reply = yield request
        self.check_error(request, reply)
        body = reply.json()
        if not isinstance(body, list):
            _check_told(request, reply, reply.object(request))
            body = body.get("records")
        jobs = items(body)
        return [(job_id, _status(job)) for job in jobs if isinstance(job, dict) and (job_id := _id(job))]

    def mark(self, spec: JobSpec) -> str | None:
        """Return what the list shows of a download; see :func:`lists.mark`."""
        return lists.mark(spec)

    def list_jobs(
        self, kind: str | None, api_version: str | None, *, since: float, clock: Callable[[], float]
    ) -> Flow[Listing]:
        """Ask for the downloads that were started since then; see :mod:`lists`."""
        return lists.list_jobs(self.label, lambda job: (_id(job), _status(job)), since=since, clock=clock)

    def cancel(self, ref: JobRef) -> Request:
        """Return the request that cancels a job. It stops the job and keeps what it has; so does the bill."""
        return Request("DELETE", self.job_path(ref), Purpose.CANCEL)

    def read_cancel(self, ref: JobRef, request: Request, reply: Reply) -> str | None:
        """Read the answer to a cancel; the body of a success means nothing.

        :returns: None when accepted, else why there is nothing left to cancel.
        """
        if reply.ok:
            return None
        error = self._error(request, reply)
        if isinstance(error, JobNotFoundError) or (reply.status == 400 and not self.refuses_key(reply)):
            return explain(reply) or f"HTTP {reply.status}"
        raise error

    # --- account and login ------------------------------------------------------------------------------------

    def account(self) -> Flow[str]:
        """Ask something that costs nothing and needs the token, for a test of the connection."""
        request = Request("GET", "/v4/account", Purpose.READ)
        reply = yield request
        self.check_error(request, reply)
        body = reply.object(request)
        _check_told(request, reply, body)
        used = body.get("num_credits_used")
        return f"{used} credits used" if used is not None else "account found"

    def refuses_key(self, reply: Reply) -> bool:
        """Whether an answer says that the token is not accepted: 401, or a 400 that speaks of the user token."""
        return reply.status == 401 or (reply.status == 400 and _is_bad_token(reply))

    def login(self, email: str, password: str) -> Request:
        """Return the request that exchanges e-mail and password for a token."""
        return Request("POST", "/v4/auth", Purpose.READ, json={"email": email, "password": password})

    def read_login(self, reply: Reply) -> str:
        """Return the token.

        :raises AuthenticationError: the login was not accepted.
        """
        body = reply.json()
        token = body.get("token") if isinstance(body, dict) else None
        if not reply.ok or not isinstance(token, str) or not token:
            told = explain(reply) if not reply.ok else "the answer holds no token"
            raise AuthenticationError(
                f"Datafiniti did not accept login and password (HTTP {reply.status}): {told}",
                status=reply.status,
            )
        return token

    # --- common -----------------------------------------------------------------------------------------------

    def check_error(self, request: Request, reply: Reply) -> None:
        """Raise the error that a reply without success means."""
        if not reply.ok:
            raise self._error(request, reply)

    def _error(self, request: Request, reply: Reply) -> RemoteJobsError:
        if self.refuses_key(reply):
            # A look or a cancel names a download that was started with a token which was good then.
            goes_on = "; the download goes on, and so does its bill" if request.purpose in _OF_A_JOB else ""
            return AuthenticationError(
                f"Datafiniti answered HTTP {reply.status} to {request}: {explain(reply)} (the token was not accepted; "
                f"check the connection's password; a new password revokes the old token{goes_on})",
                status=reply.status,
            )
        return error_for(self.label, request, reply)

    @staticmethod
    def job_path(ref: JobRef) -> str:
        """Return the job's own address below the base URL."""
        return f"/v4/downloads/{quote(ref.job_id, safe='')}"


def _check_told(request: Request, reply: Reply, body: Mapping[str, Any]) -> None:
    """Raise for an error inside HTTP 200."""
    if body.get("errors") or body.get("error"):
        raise ServiceUnavailableError(
            f"Datafiniti answered {request} with an error: {explain(reply)}", status=reply.status
        )


def _is_bad_token(reply: Reply) -> bool:
    return bool(_BAD_TOKEN.search(explain(reply)))


def _id(body: Mapping[str, Any]) -> str | None:
    for key in ("id", "_id"):
        value = body.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value):
            return str(value)
    return None


def _status(body: Mapping[str, Any]) -> JobStatus:
    raw = body.get("status")
    word = raw.strip().casefold() if isinstance(raw, str) else ""
    state = _STATES.get(word, JobState.UNKNOWN)
    # W1 fills total_cost in when the job starts, W2 when it ends: before the end it says nothing.
    cost = number(body.get("total_cost")) if state.is_over else None
    return JobStatus(
        state=state,
        raw_status=raw if isinstance(raw, str) else None,
        completed=whole(body.get("num_downloaded")),
        total=whole(body.get("num_records")),
        credits_used=cost,
        error=as_text(body.get("error") or body.get("errors") or body.get("error_message")) or None,
        file_format=as_text(body.get("format")) or None,
        links=tuple(filter(None, map(_link, items(body.get("results"))))),
    )


def _link(item: Any) -> str | None:
    if isinstance(item, str):
        return item or None
    if isinstance(item, Mapping):
        for key in ("url", "link", "href"):
            if isinstance(item.get(key), str) and item[key]:
                return str(item[key])
    return None
