"""End the jobs whose task is over, every quarter of an hour: what no task and no triggerer was there to see."""

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_jobs.operators.cleanup import RemoteJobsCleanupOperator

with DAG(
    dag_id="remote_jobs_cleanup",
    schedule="*/15 * * * *",
    catchup=False,
    max_active_runs=1,
    tags=["remote", "example"],
) as dag:
    # A task cannot read Airflow's database: this needs [airflow_provider_jobs] ledger_path and deployment.
    # Without a ledger folder, let cron run `airflow remote-jobs cleanup` instead.
    RemoteJobsCleanupOperator(task_id="cleanup", older_than=timedelta(minutes=2))
