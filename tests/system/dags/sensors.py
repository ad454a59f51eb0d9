"""DAGs of the sensors' paths, beside those of `tests/airflow/dags`."""

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_jobs.sensors.datafiniti import DatafinitiDownloadSensor
from airflow_provider_jobs.sensors.firecrawl import FirecrawlJobSensor

OF = {
    "firecrawl": (FirecrawlJobSensor, "firecrawl_conn_id", "job_id"),
    "datafiniti": (DatafinitiDownloadSensor, "datafiniti_conn_id", "download_id"),
}


def sensor(way: str, service: str = "firecrawl", dagrun_timeout=None, **arguments) -> None:
    kind, connection, job = OF[service]
    names = {connection: "{{ dag_run.conf['" + service + "'] }}", job: "{{ dag_run.conf['job_id'] }}"}
    settings = {"poke_interval": 1, "retries": 1, "retry_delay": timedelta(seconds=1), **arguments}
    with DAG(
        f"{service}_sensor_{way}",
        schedule=None,
        catchup=False,
        render_template_as_native_obj=True,
        dagrun_timeout=dagrun_timeout,
    ):
        kind(task_id="job", **names, **settings)


# Time enough for a sensor to wait before it is ended, on a busy machine too.
sensor("deferred_ended", dagrun_timeout=timedelta(seconds=45), deferrable=True)
for service in OF:
    sensor("deferred_limited", service, deferrable=True, timeout=25)
    sensor("poke_limited", service, mode="poke", timeout=10)
sensor("deferred_limited_soft", deferrable=True, timeout=25, soft_fail=True)
sensor("poke_retried", mode="poke", timeout=30)
sensor("deferred_retried", deferrable=True, timeout=30)
