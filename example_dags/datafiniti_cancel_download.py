"""Cancel a Datafiniti download by its id: trigger it in the UI, which asks for the id."""

from airflow.sdk import DAG, Param

from airflow_provider_jobs.operators.datafiniti import DatafinitiCancelDownloadOperator

with DAG(
    dag_id="datafiniti_cancel_download",
    schedule=None,
    tags=["datafiniti", "example"],
    # No default: there is no download that would be a good one to cancel.
    params={"download_id": Param(type="string", minLength=1)},
) as dag:
    # What the download has fetched so far stays at the service, and stays billed.
    DatafinitiCancelDownloadOperator(task_id="cancel", download_id="{{ params.download_id }}")
