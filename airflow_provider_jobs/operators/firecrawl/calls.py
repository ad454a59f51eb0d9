"""Operators for Firecrawl's calls: they answer at once, are billed, and have nothing to wait for or to cancel."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from airflow_provider_jobs.compat import Owner
from airflow_provider_jobs.exceptions import (
    CallUncertainError,
    PageTimeoutError,
    RemoteJobsError,
    ResultNotDeliveredError,
    ResultTooLargeError,
)
from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook
from airflow_provider_jobs.jobs.history import Closed, Entry
from airflow_provider_jobs.jobs.model import JobRef, JobSpec, JobState, JobSummary
from airflow_provider_jobs.ledger import Ledger
from airflow_provider_jobs.results import OutputFolder, ReturnValue, Sink
from airflow_provider_jobs.services.firecrawl import CallResult, FirecrawlCalls, check_version
from airflow_provider_jobs.tasks import airflow_errors, is_literal

if TYPE_CHECKING:
    from airflow.sdk import Context


class FirecrawlCallOperator(BaseOperator):
    """Makes one billed call and delivers its answer.

    A call has no id before it is answered, so a killed task leaves nothing running, but what was sent is billed. An
    answer that is lost, or cannot be delivered, cannot be had again: the task fails without a retry, also when its
    worker died in the middle, unless ``retry_billed``.

    :param options: further keys of the request body in Firecrawl's own spelling, checked before anything is billed. The
        read timeout lies above all that they let the service wait for.
    :param api_version: ``v1`` or ``v2``; default: the connection's.
    :param output_path: a folder on any object storage for the result; without it, the result is the return value, up to
        1 MiB of JSON.
    :param retry_billed: let a retry send the call again after an answer was lost or could not be delivered, and be
        billed again.
    :param check_options: False sends the options as they are.
    :param firecrawl_conn_id: the Airflow connection.
    """

    template_fields: Sequence[str] = ("firecrawl_conn_id", "options", "api_version", "output_path")
    template_fields_renderers: ClassVar[dict[str, str]] = {"options": "json"}
    ui_color = "#fff3e6"
    service = "firecrawl"
    kind: ClassVar[str]

    def __init__(
        self,
        *,
        options: dict[str, Any] | None = None,
        api_version: str | None = None,
        output_path: str | None = None,
        retry_billed: bool = False,
        check_options: bool = True,
        firecrawl_conn_id: str = FirecrawlHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.options = options
        self.api_version = api_version
        self.output_path = output_path
        self.retry_billed = retry_billed
        self.check_options = check_options
        self.firecrawl_conn_id = firecrawl_conn_id
        version = api_version if api_version is not None and is_literal(api_version) else None
        if version is not None:
            check_version(version)
        if is_literal(options):
            FirecrawlCalls.check_options(self.kind, options, version=version, check_names=check_options)

    @cached_property
    def hook(self) -> FirecrawlHook:
        """The hook of the connection."""
        return FirecrawlHook(self.firecrawl_conn_id, api_version=self.api_version or None)

    def build(self) -> JobSpec:
        """Return the call that the rendered arguments describe.

        :raises InvalidInputError: the service would refuse it.
        """
        raise NotImplementedError

    def execute(self, context: Context) -> dict[str, Any]:
        """Make the call and deliver its answer."""
        with airflow_errors():
            spec = self.build()
            if self.output_path is not None:
                self._folder(context).prepare()
            ledger = Ledger.of(context)
            self._settle(ledger, spec)
            entry = ledger.intend(self.hook.conn_id, spec, str(self.hook.calls.request(spec)), leave=True)
            result = self._call(ledger, entry, spec)
            try:
                summary = self._deliver(context, spec, result)
            except Exception as error:
                # It was answered, so nothing is uncertain; but what it has brought is gone. Of a task that is ended in
                # the middle of this, the entry stays open, for the next try to see.
                ledger.close(entry, Closed.FAILED)
                if self.retry_billed or (isinstance(error, RemoteJobsError) and error.permanent):
                    raise
                raise ResultNotDeliveredError(
                    f"{entry.request} was answered and billed, and its answer could not be delivered: {_told(error)}. "
                    "It is not sent again; clear the task to do so, or set retry_billed=True"
                ) from error
            ledger.close(entry, Closed.DELIVERED)
            return summary.to_dict()

    def _settle(self, ledger: Ledger, spec: JobSpec) -> None:
        """See to earlier calls without an answer on record: the worker may have died in the middle of one.

        :raises CallUncertainError: there is one of a try before this, and it must not be repeated.
        """
        plan = ledger.plan(self.hook.conn_id, spec)
        if plan.done is not None and not self.retry_billed:
            raise CallUncertainError(
                f"An earlier try has sent {plan.done.request} and delivered its answer"
                + (f" to {self.output_path}" if self.output_path is not None else "")
                + ", and ended before Airflow took it for a success. It is not sent again; clear the task to do so, or "
                "set retry_billed=True"
            )
        for entry in (*plan.forget, *plan.unsure):
            if entry in plan.unsure and not self.retry_billed:
                raise CallUncertainError(
                    f"{_unanswered(entry)} It is not sent again; clear the task to do so, or set retry_billed=True"
                )
            self.log.warning("%s It is sent again.", _unanswered(entry))
            ledger.close(entry, Closed.UNKNOWN)

    def _call(self, ledger: Ledger, entry: Entry, spec: JobSpec) -> CallResult:
        try:
            return self.hook.call(spec)
        except CallUncertainError as error:
            if not self.retry_billed:
                raise
            ledger.close(entry, Closed.UNKNOWN)
            raise RemoteJobsError(f"{error}; with retry_billed=True, a retry sends it again") from error
        except PageTimeoutError:
            ledger.close(entry, Closed.FAILED)
            raise
        except RemoteJobsError:
            ledger.close(entry, Closed.NOT_STARTED)
            raise

    def _deliver(self, context: Context, spec: JobSpec, result: CallResult) -> JobSummary:
        number = len(result.records)
        ref = JobRef(self.service, spec.kind, result.job_id or "", spec.api_version)
        sink: Sink = self._folder(context) if self.output_path is not None else ReturnValue(ref)
        try:
            for record in result.records:
                sink.add(record)
            summary = JobSummary(
                service=self.service, kind=spec.kind, job_id=result.job_id, state=str(JobState.SUCCEEDED),
                completed=number, total=number, records=number, failed=0, missing=0,
                credits_used=result.credits_used, data=sink.data,
            )  # fmt: skip
            summary = dataclasses.replace(summary, output=sink.finish(summary, [], ref))
        except ResultTooLargeError as error:
            raise ResultTooLargeError(
                f"the answer to the {spec.kind} is larger than a return value may be; set output_path and clear the "
                "task. That makes the call again, and it is billed again: the answer to a call cannot be fetched later"
            ) from error
        except BaseException:
            sink.discard()
            raise
        if result.warning:
            self.log.warning("Firecrawl says: %s", result.warning)
        self.log.info("Delivered %d records of a %s", number, spec.kind)
        return summary

    def _folder(self, context: Context) -> OutputFolder:
        return OutputFolder(self.output_path, Owner.of(context).to_dict())


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, RemoteJobsError) else f"{type(error).__name__}: {error}"


def _unanswered(entry: Entry) -> str:
    when = dt.datetime.fromtimestamp(entry.intent_at, dt.UTC).isoformat(timespec="seconds")
    return (
        f"An earlier try sent {entry.request} through connection {entry.conn_id} at {when}, and no answer to it is on "
        "record: it may have been carried out and billed."
    )


class FirecrawlScrapeOperator(FirecrawlCallOperator):
    """Scrapes one page and delivers its document. For many pages, a batch scrape is the better task.

    :param url: the page's address.

    The other arguments are those of :class:`FirecrawlCallOperator`. A page that its site answered with an error, such
    as 404, is a document too, and billed: its ``metadata.statusCode`` tells.
    """

    template_fields: Sequence[str] = ("firecrawl_conn_id", "url", "options", "api_version", "output_path")
    kind = "scrape"

    def __init__(self, *, url: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.url = url
        if is_literal(url):
            FirecrawlCalls.check_url(url)

    def build(self) -> JobSpec:
        """Return the scrape that the rendered arguments describe."""
        return self.hook.calls.scrape(
            self.url, api_version=self.hook.api_version, options=self.options, check_names=self.check_options
        )


class FirecrawlMapOperator(FirecrawlCallOperator):
    """Finds the addresses of a site; each record has a ``url``, and in API v2 a title and a description.

    :param url: the site's address.

    The other arguments are those of :class:`FirecrawlCallOperator`.
    """

    template_fields: Sequence[str] = ("firecrawl_conn_id", "url", "options", "api_version", "output_path")
    kind = "map"

    def __init__(self, *, url: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.url = url
        if is_literal(url):
            FirecrawlCalls.check_url(url)

    def build(self) -> JobSpec:
        """Return the map that the rendered arguments describe."""
        return self.hook.calls.map(
            self.url, api_version=self.hook.api_version, options=self.options, check_names=self.check_options
        )


class FirecrawlSearchOperator(FirecrawlCallOperator):
    """Searches the web; in API v2, each record says its ``source``, such as ``web`` or ``news``.

    :param query: what to search for.

    The other arguments are those of :class:`FirecrawlCallOperator`. A search without a result succeeds, with 0 records.
    """

    template_fields: Sequence[str] = ("firecrawl_conn_id", "query", "options", "api_version", "output_path")
    kind = "search"

    def __init__(self, *, query: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.query = query
        if is_literal(query):
            FirecrawlCalls.check_query(query)

    def build(self) -> JobSpec:
        """Return the search that the rendered arguments describe."""
        return self.hook.calls.search(
            self.query, api_version=self.hook.api_version, options=self.options, check_names=self.check_options
        )
