"""The clean-up as a task, from the ledger folder."""

from __future__ import annotations

from tests.airflow.cleanup.ground import PATIENCE, Ground


def test_it_ends_orphans_and_leaves_what_lives(ground: Ground) -> None:
    airflow = ground.airflow
    lost, download, alive = (
        ground.start("firecrawl_sync"),
        ground.start("datafiniti_sync"),
        ground.start("firecrawl_deferred"),
    )
    mapped = ground.stage.run("firecrawl_mapped_deferred", lists=[ground.stage.pages(1), ground.stage.pages(2)])
    orphans = [ground.crash(lost), ground.crash(download)]
    living = [ground.deferred(alive)]
    for index in (0, 1):
        airflow.wait_for_task(mapped.dag_id, mapped.run_id, "job", "deferred", PATIENCE, index)
        living.append(ground.job_of(mapped, index))
    airflow.wait_for_run(lost.dag_id, lost.run_id)
    airflow.delete_run(lost.dag_id, lost.run_id)

    rehearsal = airflow.trigger("cleaning_report")
    assert airflow.wait_for_run("cleaning_report", rehearsal, PATIENCE) == "success"
    told = airflow.xcom("cleaning_report", rehearsal, "clean")
    assert all(any(job_id in text for text in told["ended"]) for job_id in orphans)
    assert all(ground.deletes()[job_id] == 0 for job_id in orphans)

    run_id = airflow.trigger("cleaning_now")
    assert airflow.wait_for_run("cleaning_now", run_id, PATIENCE) == "success"
    assert all(ground.is_cancelled(job_id) for job_id in orphans)
    told = airflow.xcom("cleaning_now", run_id, "clean")
    assert all(any(job_id in text for text in told["ended"]) for job_id in orphans)
    log = airflow.logs("cleaning_now", run_id, "clean")
    assert all(job_id in log for job_id in orphans)
    for job_id in living:
        assert ground.runs_on(job_id)
        assert ground.deletes()[job_id] == 0
        assert job_id not in str(told)

    # The command, which reads Airflow's database as well, finds nothing that is left to do.
    said = ground.remote_jobs("cleanup", "--older-than", "0")
    assert said.code == 0, said
    assert not any(job_id in said.out for job_id in [*orphans, *living])
    for run in (alive, mapped):
        run.mark_run("failed")


def test_what_cannot_be_ended_fails_the_task(ground: Ground) -> None:
    """Without a retry: the next run of the schedule tries again."""
    airflow = ground.airflow
    airflow.add_connection("conn_of_nobody", "firecrawl", host=ground.stage.sandbox.urls["firecrawl"], password="fc-x")
    job_id = ground.crash(ground.start("firecrawl_sync", firecrawl="conn_of_nobody"))
    airflow.api("DELETE", "/connections/conn_of_nobody")
    run_id = airflow.trigger("cleaning_now")
    assert airflow.wait_for_run("cleaning_now", run_id, PATIENCE) == "failed"
    assert airflow.task("cleaning_now", run_id, "clean")["try_number"] == 1
    log = airflow.logs("cleaning_now", run_id, "clean")
    assert job_id in log
    assert "conn_of_nobody" in log
    assert ground.runs_on(job_id)
    airflow.add_connection("conn_of_nobody", "firecrawl", host=ground.stage.sandbox.urls["firecrawl"], password="fc-x")
    run_id = airflow.trigger("cleaning_now")
    assert airflow.wait_for_run("cleaning_now", run_id, PATIENCE) == "success"
    assert ground.is_cancelled(job_id)


def test_the_example(ground: Ground) -> None:
    """Every quarter of an hour, and young jobs are left alone."""
    airflow = ground.airflow
    job_id = ground.crash(ground.start("firecrawl_sync"))
    run_id = airflow.trigger("remote_jobs_cleanup")
    airflow.api("PATCH", "/dags/remote_jobs_cleanup", {"is_paused": False})
    assert airflow.wait_for_run("remote_jobs_cleanup", run_id, PATIENCE) == "success"
    ground.pause("remote_jobs_cleanup")
    assert airflow.xcom("remote_jobs_cleanup", run_id, "cleanup")["ended"] == []
    assert ground.runs_on(job_id)
    assert airflow.api("GET", "/dags/remote_jobs_cleanup/details")["timetable_summary"] == "*/15 * * * *"
    run_id = airflow.trigger("cleaning_now")
    assert airflow.wait_for_run("cleaning_now", run_id, PATIENCE) == "success"
    assert ground.is_cancelled(job_id)
