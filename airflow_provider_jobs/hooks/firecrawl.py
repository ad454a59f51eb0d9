"""The hook of Firecrawl."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_jobs.exceptions import ConnectionSettingsError, InvalidInputError, ResultIncompleteError
from airflow_provider_jobs.hooks.base import TEST_ATTEMPTS, RemoteJobsHook, read_key
from airflow_provider_jobs.jobs.model import JobRef, StartedJob
from airflow_provider_jobs.services.base import decode_json
from airflow_provider_jobs.services.firecrawl import (
    HOSTED,
    VERSIONS,
    FirecrawlService,
    PageWalk,
    check_version,
    state_of,
)
from airflow_provider_jobs.transport import settings
from airflow_provider_jobs.transport.endpoint import origin

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

    def start_batch_scrape(
        self, urls: Any, *, options: dict[str, Any] | None = None, check_options: bool = True
    ) -> StartedJob:
        """Start a batch scrape.

        :param urls: the pages' addresses; each is billed, also when it stands in the list twice.
        :param options: further keys of the request body, in Firecrawl's own spelling.
        :param check_options: False sends unknown keys as they are.
        :raises InvalidInputError: the input would be refused; nothing was sent.
        :raises StartUncertainError: the answer was lost; a job may be running.
        """
        spec = self.service.batch_scrape(urls, api_version=self.api_version, options=options, check_names=check_options)
        return self.start(spec)

    def job(self, job_id: str, kind: str = "batch_scrape") -> JobRef:
        """Name a job that something else has started.

        :raises InvalidInputError: no such kind, or no id.
        """
        return job_ref(kind, job_id, self.api_version)

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


def job_ref(kind: Any, job_id: Any, api_version: str) -> JobRef:
    """Return the name of a Firecrawl job.

    :raises InvalidInputError: no such kind, or no id.
    """
    check_kind(kind)
    if not isinstance(job_id, str) or not job_id.strip():
        raise InvalidInputError(f"job_id must be a job's id, not {job_id!r}")
    return JobRef("firecrawl", kind, job_id.strip(), check_version(api_version))


def check_kind(kind: Any) -> None:
    """Raise for a kind of job that there is not.

    :raises InvalidInputError: naming those that there are.
    """
    if kind not in FirecrawlService.kinds:
        raise InvalidInputError(f"kind must be one of {', '.join(FirecrawlService.kinds)}, not {kind!r}")
