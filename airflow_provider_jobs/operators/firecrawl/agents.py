"""Operators whose result is one value: what an agent, or the older extract, has found."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.exceptions import AirflowProviderDeprecationWarning

from airflow_provider_jobs.exceptions import InvalidInputError, NotCancellableError
from airflow_provider_jobs.jobs.model import JobSpec
from airflow_provider_jobs.operators.firecrawl.jobs import FirecrawlJobOperator
from airflow_provider_jobs.services.firecrawl import EXTRACT_SUCCESSOR, FirecrawlService
from airflow_provider_jobs.tasks import is_literal

if TYPE_CHECKING:
    from airflow.sdk import Context


class FirecrawlAgentOperator(FirecrawlJobOperator):
    """Lets Firecrawl's agent find something on the web, in one job. Exists in API v2 only.

    :param prompt: what to find, up to 10,000 characters.
    :param urls: pages to begin with.
    :param schema: JSON schema of the answer.
    :param max_credits: the most credits to spend; the service's own default is 2,500.
    :param options: further keys of the request body in Firecrawl's own spelling, such as ``{"model": "spark-1-mini"}``.
    :param firecrawl_conn_id: the Airflow connection, of any API version.

    The other arguments are those of :class:`RemoteJobOperator`. Returns the summary of the job, with the answer as the
    only record. A run that was cancelled may end as failed: the service says so itself.
    """

    template_fields: Sequence[str] = (
        "firecrawl_conn_id",
        "prompt",
        "urls",
        "schema",
        "max_credits",
        "options",
        "output_path",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"urls": "json", "schema": "json", "options": "json"}
    kind = "agent"

    def __init__(
        self,
        *,
        prompt: str,
        urls: Any = None,
        schema: dict[str, Any] | None = None,
        max_credits: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.prompt = prompt
        self.urls = urls
        self.schema = schema
        self.max_credits = max_credits
        self._check_options()
        _check_common(self.urls, self.prompt, self.schema)
        if self.prompt is None:
            FirecrawlService.check_prompt(self.prompt)
        if self.max_credits is not None and is_literal(self.max_credits):
            FirecrawlService.check_credits(self.max_credits)

    def build(self) -> JobSpec:
        """Return the run that the rendered arguments describe."""
        return self.hook.service.agent(
            self.prompt, urls=self.urls, schema=self.schema, max_credits=self.max_credits, options=self.options,
            check_names=self.check_options,
        )  # fmt: skip


class FirecrawlExtractOperator(FirecrawlJobOperator):
    """Extracts data in a given shape from pages. Deprecated: Firecrawl ends it on 2026-12-10 15:00 UTC.

    An extract cannot be cancelled: when the task is killed, or its ``job_timeout`` passes, the job runs to its end and
    is billed. ``cancel_on_kill=True`` is therefore an error.

    :param urls: the pages; at most 10 in API v1. This, ``prompt``, or both.
    :param prompt: what to extract.
    :param schema: JSON schema of the answer.
    :param options: further keys of the request body in Firecrawl's own spelling.
    :param api_version: ``v1`` or ``v2``; default: the connection's.
    :param firecrawl_conn_id: the Airflow connection.

    The other arguments are those of :class:`RemoteJobOperator`.

    :raises NotCancellableError: at construction, for ``cancel_on_kill=True``.
    """

    template_fields: Sequence[str] = (
        "firecrawl_conn_id",
        "urls",
        "prompt",
        "schema",
        "options",
        "api_version",
        "output_path",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"urls": "json", "schema": "json", "options": "json"}
    kind = "extract"

    def __init__(
        self,
        *,
        urls: Any = None,
        prompt: str | None = None,
        schema: dict[str, Any] | None = None,
        cancel_on_kill: bool = False,
        **kwargs: Any,
    ) -> None:
        if cancel_on_kill:
            raise NotCancellableError(
                "Firecrawl cannot cancel an extract: it runs on when its task is killed. Leave cancel_on_kill away"
            )
        super().__init__(cancel_on_kill=False, **kwargs)
        self.urls = urls
        self.prompt = prompt
        self.schema = schema
        warnings.warn(
            f"FirecrawlExtractOperator is deprecated. {EXTRACT_SUCCESSOR}.",
            AirflowProviderDeprecationWarning,
            stacklevel=2,
        )
        self._check_options()
        _check_common(self.urls, self.prompt, self.schema)
        if urls is None and prompt is None:
            raise InvalidInputError("an extract needs urls, a prompt, or both")

    def build(self) -> JobSpec:
        """Return the extract that the rendered arguments describe."""
        return self.hook.service.extract(
            urls=self.urls, prompt=self.prompt, schema=self.schema, api_version=self.hook.api_version,
            options=self.options, check_names=self.check_options,
        )  # fmt: skip

    def execute(self, context: Context) -> Any:
        """Start the extract and see it through, or defer."""
        self.log.warning(
            "An extract cannot be cancelled: when this task is killed or times out, the job runs on and is billed"
        )
        return super().execute(context)


def _check_common(urls: Any, prompt: Any, schema: Any) -> None:
    if urls is not None and is_literal(urls):
        FirecrawlService.check_urls(urls)
    if prompt is not None and is_literal(prompt):
        FirecrawlService.check_prompt(prompt)
    if schema is not None and is_literal(schema):
        FirecrawlService.check_schema(schema)
