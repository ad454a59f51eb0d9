"""Start a download in one task, wait for it in a second one, deliver its files in a third."""

from airflow.sdk import DAG, Param

from airflow_provider_jobs.operators.datafiniti import DatafinitiDownloadOperator, DatafinitiFetchResultsOperator
from airflow_provider_jobs.sensors.datafiniti import DatafinitiDownloadSensor

with DAG(
    dag_id="datafiniti_fetch_results",
    schedule=None,
    tags=["datafiniti", "example"],
    params={
        "query": Param("categories:shoes AND prices:*", type="string"),
        "num_records": Param(5, type="integer", minimum=1, description="each record is billed"),
        "output_folder": Param("/tmp/datafiniti", type="string", description="or s3://bucket/folder, gs://…"),
    },
) as dag:
    # Success as soon as the download is started: from then on no task owns it, and nothing cancels it. It could as well
    # come from elsewhere, with nothing but its id known here.
    start = DatafinitiDownloadOperator(
        task_id="start",
        data_type="products",
        query="{{ params.query }}",
        num_records="{{ params.num_records }}",
        file_format="csv",
        view="product_flat_prices",
        wait_for_completion=False,
    )

    wait = DatafinitiDownloadSensor(
        task_id="wait",
        download_id=start.output["job_id"],
        deferrable=True,
        timeout=2 * 3600,
    )

    # Looks once, never waits, never cancels. A retry of this task reads the same files again and bills nothing, as long
    # as their links work: seven days. The service says itself whether they are csv or json.
    fetch = DatafinitiFetchResultsOperator(
        task_id="fetch",
        download_id=start.output["job_id"],
        output_path="{{ params.output_folder }}/{{ run_id }}",
        max_failed=0,
        retries=2,
    )

    wait >> fetch
