"""Extract data in a given shape from some pages. Deprecated: Firecrawl ends extract on 2026-12-10, 15:00 UTC.

For DAGs that have one still. What to use instead: for known pages a batch scrape with the same schema in a json format,

    FirecrawlBatchScrapeOperator(
        urls=…, api_version="v2", options={"formats": [{"type": "json", "prompt": …, "schema": …}]}
    )

and where the addresses are not known, FirecrawlAgentOperator.
"""

import warnings

from airflow.exceptions import AirflowProviderDeprecationWarning
from airflow.sdk import DAG, Param

from airflow_provider_jobs.operators.firecrawl import FirecrawlExtractOperator

with (
    DAG(
        dag_id="firecrawl_extract",
        schedule=None,
        tags=["firecrawl", "example"],
        render_template_as_native_obj=True,
        params={"urls": Param(["https://example.com/"], type="array", items={"type": "string"}, maxItems=10)},
    ) as dag,
    warnings.catch_warnings(),
):
    # The operator warns, and names the end and the successors. Where Python is told to take warnings for errors
    # (PYTHONWARNINGS=error), this keeps it a warning, and the DAG can be read.
    warnings.simplefilter("default", AirflowProviderDeprecationWarning)

    # No cancel_on_kill here: Firecrawl cannot cancel an extract. When this task is killed, the job runs on, is billed,
    # and nothing in Airflow waits for it any more.
    FirecrawlExtractOperator(
        task_id="extract",
        urls="{{ params.urls }}",
        prompt="Title and description of the page.",
        schema={
            "type": "object",
            "properties": {"title": {"type": "string"}, "description": {"type": "string"}},
        },
        deferrable=True,
    )
