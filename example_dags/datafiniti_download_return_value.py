"""Download a few records and hand them to the next task as a return value."""

from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_provider_jobs.operators.datafiniti import DatafinitiDownloadOperator

with DAG(
    dag_id="datafiniti_download_return_value",
    schedule=None,
    tags=["datafiniti", "example"],
    params={
        "query": Param("categories:shoes AND prices:*", type="string"),
        "num_records": Param(5, type="integer", minimum=1, description="each record is billed"),
    },
) as dag:
    download = DatafinitiDownloadOperator(
        task_id="download",
        data_type="products",
        query="{{ params.query }}",
        num_records="{{ params.num_records }}",
        # No output_path: the records are in the return value under "data", up to 1 MiB of JSON.
        deferrable=False,
        # A query without a match is a success by default; here the next task needs at least one.
        fail_on_empty=True,
        max_failed=0,
    )

    @task
    def names(summary: dict[str, Any]) -> list[str]:
        return [record["name"] for record in summary["data"]]

    names(download.output)
