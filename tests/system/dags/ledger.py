"""DAGs that hand jobs over, and those of two deployments that share a ledger folder."""

import os
from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_jobs.operators.datafiniti import DatafinitiDownloadOperator
from airflow_provider_jobs.operators.firecrawl import FirecrawlBatchScrapeOperator


def conf(name: str, default: str = "None") -> str:
    return "{{ dag_run.conf.get('" + name + "', " + default + ") }}"


def dag(dag_id: str) -> DAG:
    return DAG(dag_id, schedule=None, catchup=False, render_template_as_native_obj=True)


with dag("firecrawl_only_started"):
    FirecrawlBatchScrapeOperator(
        task_id="job", firecrawl_conn_id=conf("firecrawl"), urls=conf("urls"), wait_for_completion=False
    )
with dag("datafiniti_only_started"):
    DatafinitiDownloadOperator(
        task_id="job",
        datafiniti_conn_id=conf("datafiniti"),
        data_type="businesses",
        query="country:US",
        num_records=3,
        file_format="json",
        wait_for_completion=False,
    )


class Deployed(FirecrawlBatchScrapeOperator):
    """Runs as a task of this deployment: its process is its own, and so is its environment."""

    template_fields = (*FirecrawlBatchScrapeOperator.template_fields, "ledger", "deployment")

    def __init__(self, *, ledger: str, deployment: str, **arguments) -> None:
        super().__init__(**arguments)
        self.ledger, self.deployment = ledger, deployment

    def execute(self, context):
        os.environ["AIRFLOW__AIRFLOW_PROVIDER_JOBS__LEDGER_PATH"] = self.ledger
        os.environ["AIRFLOW__AIRFLOW_PROVIDER_JOBS__DEPLOYMENT"] = self.deployment
        return super().execute(context)


for way in ("sync", "deferred"):
    with dag(f"deployed_{way}"):
        Deployed(
            task_id="job",
            ledger=conf("ledger"),
            deployment=conf("deployment"),
            firecrawl_conn_id=conf("firecrawl"),
            urls=conf("urls"),
            poll_interval=1,
            deferrable=way == "deferred",
        )


def recorded(operator):
    """Make an operator keep its record in a folder as well; a task's process is its own, and so is its environment."""

    class Recorded(operator):
        template_fields = (*operator.template_fields, "ledger")

        def __init__(self, *, ledger, **arguments) -> None:
            super().__init__(**arguments)
            self.ledger = ledger

        def execute(self, context):
            os.environ["AIRFLOW__AIRFLOW_PROVIDER_JOBS__LEDGER_PATH"] = self.ledger
            os.environ["AIRFLOW__AIRFLOW_PROVIDER_JOBS__DEPLOYMENT"] = "here"
            return super().execute(context)

    return Recorded


SCRAPE = {"firecrawl_conn_id": conf("firecrawl"), "urls": conf("urls")}
DOWNLOAD = {
    "datafiniti_conn_id": conf("datafiniti"),
    "data_type": "businesses",
    "query": "country:US",
    "num_records": 3,
}
for service, operator, arguments in (
    ("firecrawl", recorded(FirecrawlBatchScrapeOperator), SCRAPE),
    ("datafiniti", recorded(DatafinitiDownloadOperator), DOWNLOAD),
):
    for way, waiting in (
        ("sync", {}),
        ("deferred", {"deferrable": True}),
        ("sync_retry", {"retries": 1, "retry_delay": timedelta(seconds=1)}),
        ("deferred_retry", {"deferrable": True, "retries": 1, "retry_delay": timedelta(seconds=1)}),
    ):
        with dag(f"{service}_recorded_{way}"):
            operator(task_id="job", ledger=conf("ledger"), poll_interval=1, **arguments, **waiting)
