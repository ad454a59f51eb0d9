"""Start a job in one task, wait for it in a second one, read its documents in a third."""

from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook
from airflow_provider_jobs.operators.firecrawl import FirecrawlBatchScrapeOperator
from airflow_provider_jobs.sensors.firecrawl import FirecrawlJobSensor

with DAG(
    dag_id="firecrawl_hand_over",
    schedule=None,
    tags=["firecrawl", "example"],
    render_template_as_native_obj=True,
    params={"urls": Param(["https://example.com/"], type="array", items={"type": "string"})},
) as dag:
    # Success as soon as the job is started: from then on no task owns it, and nothing cancels it.
    start = FirecrawlBatchScrapeOperator(
        task_id="start",
        urls="{{ params.urls }}",
        wait_for_completion=False,
    )

    # Other work can stand between the two. A failed or cancelled job fails the sensor.
    wait = FirecrawlJobSensor(
        task_id="wait",
        job_id=start.output["job_id"],
        deferrable=True,
        poke_interval=10,
        timeout=2 * 3600,
    )

    @task
    def read(job_id: str) -> list[dict[str, Any]]:
        hook = FirecrawlHook()
        # One page of results at a time is in memory, however many there are.
        return [
            {"url": document["metadata"]["sourceURL"], "characters": len(document.get("markdown", ""))}
            for document in hook.documents(hook.job(job_id))
        ]

    wait >> read(start.output["job_id"])
