"""Start a download in one task, wait for it in a second one, read its files in a third."""

import json

from airflow.sdk import DAG, Param, task

from airflow_provider_jobs.hooks.datafiniti import DatafinitiHook
from airflow_provider_jobs.operators.datafiniti import DatafinitiDownloadOperator
from airflow_provider_jobs.sensors.datafiniti import DatafinitiDownloadSensor

with DAG(
    dag_id="datafiniti_hand_over",
    schedule=None,
    tags=["datafiniti", "example"],
    params={
        "query": Param("propertyType:Condominium AND country:US", type="string"),
        "num_records": Param(5, type="integer", minimum=1, description="each record is billed"),
    },
) as dag:
    # Success as soon as the job is started: from then on no task owns it, and nothing cancels it.
    start = DatafinitiDownloadOperator(
        task_id="start",
        data_type="properties",
        query="{{ params.query }}",
        num_records="{{ params.num_records }}",
        wait_for_completion=False,
    )

    wait = DatafinitiDownloadSensor(
        task_id="wait",
        download_id=start.output["job_id"],
        deferrable=True,
        timeout=2 * 3600,
    )

    @task
    def cities(download_id: str) -> list[str]:
        hook = DatafinitiHook()
        # The links are signed and work for whoever has them: they stay in this task, out of logs and XComs.
        links = hook.look(hook.job(download_id)).links
        found = set()
        for number, link in enumerate(links, 1):
            found |= {json.loads(line)["city"] for line in hook.lines(link, f"file {number}") if line.strip()}
        return sorted(found)

    wait >> cities(start.output["job_id"])
