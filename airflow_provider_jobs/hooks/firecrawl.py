"""The hook of Firecrawl."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_jobs.exceptions import (
    CallUncertainError,
    ConnectionSettingsError,
    InvalidInputError,
    PageTimeoutError,
    RemoteJobsError,
    ResultIncompleteError,
)
from airflow_provider_jobs.hooks.base import TEST_ATTEMPTS, RemoteJobsHook, read_key
from airflow_provider_jobs.jobs.model import JobRef, JobSpec, StartedJob
from airflow_provider_jobs.services.base import decode_json
from airflow_provider_jobs.services.firecrawl import (
    HOSTED,
    VERSIONS,
    CallResult,
    FirecrawlAccount,
    FirecrawlCalls,
    FirecrawlService,
    PageWalk,
    check_kind,
    check_version,
    state_of,
    version_for,
)
from airflow_provider_jobs.transport import settings
from airflow_provider_jobs.transport.blocking import BlockingTransport
from airflow_provider_jobs.transport.endpoint import origin
from airflow_provider_jobs.transport.policy import started_uncertain

if TYPE_CHECKING:
    from airflow.sdk import Connection


class FirecrawlHook(RemoteJobsHook):
    """Talks to Firecrawl, hosted or self-hosted.

    In a task of one's own::

        hook = FirecrawlHook()
        job = hook.start_batch_scrape(["https://example.com/"])
        status = hook.wait(job)
        pages = list(hook.documents(job.ref))

    :param firecrawl_conn_id: the Airflow connection: API key in Password (needed only at api.firecrawl.dev), base
        URL in Host (default https://api.firecrawl.dev).
    :param api_version: ``v1`` or ``v2``; default: the connection's, which defaults to ``v1``.
    """

    conn_name_attr: ClassVar[str] = "firecrawl_conn_id"
    default_conn_name: ClassVar[str] = "firecrawl_default"
    conn_type: ClassVar[str] = "firecrawl"
    hook_name: ClassVar[str] = "Firecrawl"
    hosted: ClassVar[str] = HOSTED
    api_versions: ClassVar[tuple[str, ...]] = VERSIONS
    default_rate: ClassVar[float] = 500.0

    def __init__(self, firecrawl_conn_id: str = default_conn_name, api_version: str | None = None) -> None:
        super().__init__(firecrawl_conn_id)
        self.service: FirecrawlService = FirecrawlService()
        self.calls = FirecrawlCalls()
        self._given_version = api_version if api_version is None else check_version(api_version)
        self._connection_version = VERSIONS[0]

    @property
    def api_version(self) -> str:
        """The API version in use."""
        if self._given_version is not None:
            return self._given_version
        _ = self.endpoint
        return self._connection_version

    def _read_extra(self, extra: dict[str, Any]) -> None:
        self._connection_version = settings.choice(extra, "api_version", VERSIONS, VERSIONS[0])

    def _read_credentials(self, connection: Connection, extra: dict[str, Any], address: str) -> dict[str, Any]:
        key = read_key(connection, "Password (the API key)")
        if key is None and origin(address)[1] == origin(HOSTED)[1]:
            raise ConnectionSettingsError("an API key is needed at api.firecrawl.dev; put it into Password")
        return {"token": key}

    # --- jobs -------------------------------------------------------------------------------------------------

    def start_batch_scrape(
        self, urls: Any, *, options: dict[str, Any] | None = None, check_options: bool = True
    ) -> StartedJob:
        """Start a batch scrape.

        :param urls: the pages' addresses; each is billed, also when it stands in the list twice.
        :param options: further keys of the request body, in Firecrawl's own spelling.
        :param check_options: False sends the options as they are.
        :raises InvalidInputError: the input would be refused; nothing was sent.
        :raises StartUncertainError: the answer was lost; a job may be running.
        """
        spec = self.service.batch_scrape(urls, api_version=self.api_version, options=options, check_names=check_options)
        return self.start(spec)

    def start_crawl(
        self,
        url: str,
        *,
        limit: int | None = None,
        options: dict[str, Any] | None = None,
        check_options: bool = True,
    ) -> StartedJob:
        """Start a crawl.

        :param limit: the most pages to scrape and pay for. Default 10,000, the service's own; always sent.

        The rest as in :meth:`start_batch_scrape`.
        """
        spec = self.service.crawl(
            url, limit=limit, api_version=self.api_version, options=options, check_names=check_options
        )
        return self.start(spec)

    def start_agent(
        self,
        prompt: str,
        *,
        urls: Any = None,
        schema: dict[str, Any] | None = None,
        max_credits: int | None = None,
        options: dict[str, Any] | None = None,
        check_options: bool = True,
    ) -> StartedJob:
        """Start the run of an agent, always in API v2.

        :param urls: pages to begin with.
        :param schema: JSON schema of the answer.
        :param max_credits: the most credits to spend; the service's own default is 2,500.

        The rest as in :meth:`start_batch_scrape`.
        """
        spec = self.service.agent(
            prompt, urls=urls, schema=schema, max_credits=max_credits, options=options, check_names=check_options
        )
        return self.start(spec)

    def start_extract(
        self,
        *,
        urls: Any = None,
        prompt: str | None = None,
        schema: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
        check_options: bool = True,
    ) -> StartedJob:
        """Start an extract, which works until 2026-12-10 15:00 UTC and cannot be cancelled.

        The arguments are as in :meth:`start_agent`.

        :raises EndpointGoneError: its time is over.
        """
        spec = self.service.extract(
            urls=urls, prompt=prompt, schema=schema, api_version=self.api_version, options=options,
            check_names=check_options,
        )  # fmt: skip
        return self.start(spec)

    def job(self, job_id: str, kind: str = "batch_scrape") -> JobRef:
        """Name a job that something else has started.

        :raises InvalidInputError: no such kind, or no id.
        """
        return job_ref(kind, job_id, self.version_for(kind))

    def version_for(self, kind: str) -> str:
        """Return the API version in which a kind of job is spoken of.

        :raises InvalidInputError: the kind does not exist in the version that was given to this hook.
        """
        if self._given_version is not None:
            return version_for(kind, given=self._given_version, default=self._given_version)
        return version_for(kind, given=None, default=self.api_version)

    # --- calls ------------------------------------------------------------------------------------------------

    def scrape(self, url: str, *, options: dict[str, Any] | None = None, check_options: bool = True) -> dict[str, Any]:
        """Scrape one page and return its document. Billed; waits as long as the page may take.

        :raises CallUncertainError: the answer was lost; the page may have been billed. Not sent again.
        """
        spec = self.calls.scrape(url, api_version=self.api_version, options=options, check_names=check_options)
        document: dict[str, Any] = decode_json(self.call(spec).records[0])
        return document

    def map(
        self, url: str, *, options: dict[str, Any] | None = None, check_options: bool = True
    ) -> list[dict[str, Any]]:
        """Return the addresses of a site, as dictionaries with ``url`` and, in API v2, title and description.

        :raises CallUncertainError: as in :meth:`scrape`.
        """
        spec = self.calls.map(url, api_version=self.api_version, options=options, check_names=check_options)
        return [decode_json(record) for record in self.call(spec).records]

    def search(
        self, query: str, *, options: dict[str, Any] | None = None, check_options: bool = True
    ) -> list[dict[str, Any]]:
        """Search the web and return the results; in API v2 each says its ``source``, such as ``web`` or ``news``.

        :raises CallUncertainError: as in :meth:`scrape`.
        """
        spec = self.calls.search(query, api_version=self.api_version, options=options, check_names=check_options)
        return [decode_json(record) for record in self.call(spec).records]

    def call(self, spec: JobSpec, *, sleep: Callable[[float], None] = time.sleep) -> CallResult:
        """Make a billed call.

        :raises CallUncertainError: the answer was lost; the call may have been billed. Not sent again.
        :raises ServiceError: the service refused, or the page cannot be had.
        """
        request = self.calls.request(spec)
        try:
            with BlockingTransport(self.endpoint, self.credentials, sleep=sleep) as transport:
                result: CallResult = transport.run(self.calls.carry_out(spec))
                return result
        except PageTimeoutError:
            raise
        except RemoteJobsError as error:
            if not started_uncertain(error):
                raise
            raise CallUncertainError(
                f"{request} was sent through connection {self.conn_id}, and no usable answer came back ({error}). It "
                "may have been carried out and billed, and is not sent again on its own"
            ) from error

    # --- account ----------------------------------------------------------------------------------------------

    @property
    def account(self) -> FirecrawlAccount:
        """What the account can be asked, as flows for :meth:`run`, such as ``hook.run(hook.account.activity())``."""
        return FirecrawlAccount(self.service, self.api_version)

    def credit_usage(self) -> dict[str, Any]:
        """Return the credits that are left, in the service's own words."""
        usage: dict[str, Any] = self.run(self.account.credit_usage())
        return usage

    def token_usage(self) -> dict[str, Any]:
        """Return the tokens that are left, in the service's own words."""
        usage: dict[str, Any] = self.run(self.account.token_usage())
        return usage

    def queue_status(self) -> dict[str, Any]:
        """Return how many pages wait and are in work; servers of 2025 cannot tell.

        :raises RouteNotFoundError: this server cannot.
        """
        status: dict[str, Any] = self.run(self.account.queue_status())
        return status

    def active_crawls(self) -> list[dict[str, Any]]:
        """Return the team's crawls that are not over."""
        crawls: list[dict[str, Any]] = self.run(self.account.active_crawls())
        return crawls

    def agents(self) -> list[dict[str, Any]]:
        """Return the newest runs of agents.

        :raises RouteNotFoundError: this server cannot list them.
        """
        runs: list[dict[str, Any]] = self.run(self.account.agents())
        return runs

    def team_activity(self, *, endpoint: str | None = None) -> list[dict[str, Any]]:
        """Return what the team has started in the last 24 hours, newest first.

        :param endpoint: one sort only, in the service's own word, such as ``crawl``.
        :raises RouteNotFoundError: this server cannot tell; those of 2025 cannot.
        """
        activity: list[dict[str, Any]] = self.run(self.account.activity(endpoint=endpoint))
        return activity

    # --- results ----------------------------------------------------------------------------------------------

    def documents(self, ref: JobRef) -> Iterator[dict[str, Any]]:
        """Read the documents of a job that is over, each once, a page of them in memory at a time.

        :raises InvalidInputError: the job is not over yet.
        :raises ResultIncompleteError: at the end, when fewer documents came than the job counts.
        """
        with self.get_conn() as transport:
            walk = self.service.pages(ref)
            while (request := walk.request()) is not None:
                documents = walk.read(request, transport.send(request))
                if walk.raw_status is not None and not state_of(walk.raw_status).is_over:
                    raise InvalidInputError(f"{ref} is not over yet ({walk.raw_status}): wait for it first")
                for document in documents:
                    yield decode_json(document)
        if walk.delivered < (walk.completed or 0):
            raise ResultIncompleteError(
                f"{ref} counts {walk.completed} documents, and {walk.delivered} different ones came: the server has "
                "lost the rest, or cannot page through large results"
            )

    def value(self, ref: JobRef) -> Any:
        """Return the one value that an agent or an extract has found; None when there is none."""
        content = self.raw_value(ref)
        return None if content is None else decode_json(content)

    def raw_value(self, ref: JobRef) -> bytes | None:
        """Return the same as JSON."""
        content: bytes | None = self.run(self.service.value(ref))
        return content

    def pages(self, ref: JobRef) -> PageWalk:
        """Return the walk over a finished job's documents, for whoever wants to keep count."""
        return self.service.pages(ref)

    def page_errors(self, ref: JobRef) -> list[dict[str, str]] | None:
        """Return the pages that could not be had, or None when this server cannot tell."""
        errors: list[dict[str, str]] | None = self.run(self.service.page_errors(ref))
        return errors

    def _test(self) -> str:
        told = self.run(self.service.account(self.api_version), attempts=TEST_ATTEMPTS)
        note = "" if self.endpoint.token else "; no key is sent"
        if self.endpoint.base_url != HOSTED:
            note += "; a self-hosted server without a database accepts any key"
        return f"{self.endpoint.base_url} ({self.api_version}): {told}{note}"


def job_ref(kind: Any, job_id: Any, api_version: str, *, watchable: bool = True) -> JobRef:
    """Return the name of a Firecrawl job.

    :param watchable: the job must have a status that can be asked for; a single scrape has none.
    :raises InvalidInputError: no such kind, or no id.
    """
    if watchable:
        check_kind(kind)
    if not isinstance(job_id, str) or not job_id.strip():
        raise InvalidInputError(f"job_id must be a job's id, not {job_id!r}")
    return JobRef("firecrawl", kind, job_id.strip(), check_version(api_version))
