"""`remote-jobs list --service-side`, and the job of a start whose answer was lost: seen, and ended by the clean-up."""

from __future__ import annotations

import json

from tests.airflow.cleanup.ground import KEYS, PATIENCE, Ground


def test_the_job_of_a_start_without_an_answer(ground: Ground) -> None:
    """When the task looked for it, the list did not show what downloads were asked for; now it does."""
    control = ground.stage.control
    before = {job["id"] for job in control.jobs("datafiniti")}
    control.settings(datafiniti={"wire": "w3"})
    control.fault("datafiniti", "lost_reply", method="POST")
    run = ground.start("datafiniti_sync", num_records=5)
    ground.airflow.wait_for_task("datafiniti_sync", run.run_id, "job", "failed", PATIENCE)
    (job_id,) = {job["id"] for job in control.jobs("datafiniti")} - before
    control.settings(datafiniti={"wire": "w2"})
    assert ground.runs_on(job_id)
    strange = ground.strange_job().ref.job_id

    told = ground.remote_jobs("list", "--service-side", "-o", "json")
    rows = told.rows()
    assert all(list(row) == KEYS.split() for row in rows.values())
    assert rows[job_id]["reason"].startswith("not on record; may be the unanswered start of datafiniti_sync.job")
    assert run.run_id in rows[job_id]["reason"]
    assert (rows[job_id]["dag_id"], rows[job_id]["orphan"]) == (None, None)
    assert strange in rows
    assert rows[strange]["reason"] == "not on record"

    # On stdout there is nothing but data, also when something could not be asked.
    control.fault("datafiniti", "500", method="GET", times=None, path_contains="/v4/downloads")
    broken = ground.remote_jobs("list", "--service-side", "-o", "json")
    control.clear_faults()
    assert broken.code == 1
    assert "connection datafiniti" in broken.err
    assert job_id not in {row["job_id"] for row in json.loads(broken.out)}

    rehearsed = ground.remote_jobs("cleanup", "--older-than", "0", "--dry-run")
    assert f"would be ended: datafiniti download {job_id}" in rehearsed.out
    assert ground.runs_on(job_id)
    done = ground.remote_jobs("cleanup", "--older-than", "0")
    assert f"ended: datafiniti download {job_id}" in done.out
    assert ground.is_cancelled(job_id)
    assert ground.runs_on(strange), "what is on no record is nobody's to end"
    listed = ground.remote_jobs("list", "--dag-id", "datafiniti_sync", "-o", "json")
    assert run.run_id not in {row["run_id"] for row in json.loads(listed.out)}
