"""DAGs of the sensors' paths, beside those of `tests/airflow/dags`."""

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_jobs.sensors.firecrawl import FirecrawlJobSensor


def sensor(dag_id: str, of_dag=None, **arguments) -> None:
    with DAG(dag_id, schedule=None, catchup=False, render_template_as_native_obj=True, **(of_dag or {})):
        FirecrawlJobSensor(
            task_id="job",
            firecrawl_conn_id="{{ dag_run.conf['firecrawl'] }}",
            job_id="{{ dag_run.conf['job_id'] }}",
            poke_interval=1,
            retry_delay=timedelta(seconds=1),
            **arguments,
        )


sensor("firecrawl_sensor_deferred_dagrun_timeout", {"dagrun_timeout": timedelta(seconds=15)}, deferrable=True)
sensor("firecrawl_sensor_poke_retried", mode="poke", timeout=30, retries=1)
sensor("firecrawl_sensor_deferred_retried", deferrable=True, timeout=30, retries=1)
