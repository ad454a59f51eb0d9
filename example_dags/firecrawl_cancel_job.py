"""Cancel a Firecrawl job by its id: trigger it in the UI, which asks for the id."""

from airflow.sdk import DAG, Param

from airflow_provider_jobs.operators.firecrawl import FirecrawlCancelJobOperator

with DAG(
    dag_id="firecrawl_cancel_job",
    schedule=None,
    tags=["firecrawl", "example"],
    params={
        # No default: there is no job that would be a good one to cancel.
        "job_id": Param(type="string", minLength=1, description="It stands in the log of the task that started it."),
        "kind": Param("batch_scrape", enum=["batch_scrape", "crawl", "agent"]),
    },
) as dag:
    FirecrawlCancelJobOperator(
        task_id="cancel",
        job_id="{{ params.job_id }}",
        kind="{{ params.kind }}",
        # A job that is over already is no failure: there is nothing left to stop.
        fail_if_over=False,
    )
