"""Start a crawl in one task, wait for it in a second one, deliver its documents in a third."""

from airflow.sdk import DAG, Param

from airflow_provider_jobs.operators.firecrawl import FirecrawlCrawlOperator, FirecrawlFetchResultsOperator
from airflow_provider_jobs.sensors.firecrawl import FirecrawlJobSensor

with DAG(
    dag_id="firecrawl_fetch_results",
    schedule=None,
    tags=["firecrawl", "example"],
    render_template_as_native_obj=True,
    params={
        "url": Param("https://example.com/", type="string"),
        "output_folder": Param("/tmp/firecrawl", type="string", description="or s3://bucket/folder, gs://…"),
    },
) as dag:
    # Success as soon as the job is started: from then on no task owns it, and nothing cancels it. The job could as well
    # come from elsewhere, with nothing but its id known here.
    start = FirecrawlCrawlOperator(task_id="start", url="{{ params.url }}", limit=5, wait_for_completion=False)

    wait = FirecrawlJobSensor(
        task_id="wait",
        job_id=start.output["job_id"],
        # An id does not say what sort of job it belongs to.
        kind="crawl",
        deferrable=True,
        poke_interval=10,
        timeout=2 * 3600,
    )

    # Looks once, never waits, never cancels. A retry of this task reads the same job again and bills nothing, as long
    # as Firecrawl keeps the result: 24 hours.
    fetch = FirecrawlFetchResultsOperator(
        task_id="fetch",
        job_id=start.output["job_id"],
        kind="crawl",
        output_path="{{ params.output_folder }}/{{ run_id }}",
        retries=2,
    )

    wait >> fetch
