"""What a clean-up does where it cannot read, or looks into the wrong place. None of it touches a job."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_jobs.ledger_folder import LedgerFolder
from tests.airflow.cleanup.ground import DEPLOYMENT, Ground

AWAY = {"AIRFLOW__WORKERS__STATE_STORE_BACKEND": "company.airflow.StateInTheCloud"}


def test_an_airflow_that_knows_none_of_the_owners(ground: Ground, tmp_path: Path) -> None:
    """Another Airflow's folder, or this one's database was emptied: only --force ends these jobs."""
    folder = LedgerFolder(f"file://{tmp_path}", "ghost")
    jobs = [ground.strange_job() for _ in range(2)]
    for number, job in enumerate(jobs):
        ground.record(folder, number, job)
    env = ground.elsewhere(tmp_path, "ghost")
    told = ground.remote_jobs("cleanup", env=env)
    assert told.code == 1, told
    assert "--force" in told.err
    assert all(ground.runs_on(job.ref.job_id) and not ground.deletes()[job.ref.job_id] for job in jobs)
    told = ground.remote_jobs("cleanup", "--force", env=env)
    assert told.code == 0, told
    assert all(ground.is_cancelled(job.ref.job_id) and job.ref.job_id in told.out for job in jobs)


@pytest.mark.parametrize("damage", ["object", "folder"])
def test_a_folder_that_cannot_be_read(ground: Ground, tmp_path: Path, damage: str) -> None:
    """An object that cannot be read may be the word that a job was handed over."""
    folder = LedgerFolder(f"file://{tmp_path}", "damaged")
    job, other = ground.strange_job(), ground.strange_job()
    ground.record(folder, 1, job)
    ground.record(folder, 2, other)
    if damage == "object":
        place = next(path for path in tmp_path.rglob("*.json") if "manual__2" in str(path))
        place.write_text("{")
    else:
        (tmp_path / "damaged").rename(tmp_path / "away")
        (tmp_path / "damaged").write_text("a file in the place of the folder")
    env = ground.elsewhere(tmp_path, "damaged")
    for arguments in (["cleanup", "--force"], ["list", "-o", "json"]):
        told = ground.remote_jobs(*arguments, env=env)
        assert told.code == 1, told
        assert "damaged" in told.err
        assert "Traceback" not in told.err
    assert told.out.lstrip().startswith("["), "what could be read is still listed"
    # What can be read is seen to all the same.
    assert ground.is_cancelled(job.ref.job_id) == (damage == "object")
    for found in (other, job) if damage == "folder" else (other,):
        assert ground.runs_on(found.ref.job_id)
        assert ground.deletes()[found.ref.job_id] == 0


def test_a_record_that_only_airflow_can_read(ground: Ground) -> None:
    """Airflow's database still says that the job has an owner; what the folder says of it is not known."""
    run = ground.start("firecrawl_sync")
    job_id = ground.crash(run)
    (place,) = (path for path in ground.ledger.rglob("*-started.json") if job_id in path.read_text())
    content = place.read_bytes()
    place.write_bytes(content[:50])
    told = ground.remote_jobs("cleanup", "--older-than", "0")
    assert told.code == 1, told
    assert ground.runs_on(job_id)
    assert ground.deletes()[job_id] == 0
    place.write_bytes(content)
    told = ground.remote_jobs("cleanup", "--older-than", "0")
    assert told.code == 0, told
    assert ground.is_cancelled(job_id)


def test_a_path_without_a_deployment(ground: Ground, tmp_path: Path) -> None:
    told = ground.remote_jobs("cleanup", env=ground.elsewhere(tmp_path))
    assert told.code == 1
    assert "deployment" in told.err
    assert "Traceback" not in told.err


def test_task_states_that_are_kept_elsewhere(ground: Ground) -> None:
    """They cannot be read from a command: it says so, and what to set; with a ledger folder, all is well."""
    for arguments in (["list", "-o", "json"], ["cleanup"]):
        told = ground.remote_jobs(*arguments, env={**AWAY, **ground.elsewhere()})
        assert told.code == 1, told
        assert "ledger_path" in told.err
        assert "Traceback" not in told.err
    run = ground.start("firecrawl_sync")
    job_id = ground.crash(run)
    told = ground.remote_jobs("list", "-o", "json", env=AWAY)
    assert told.code == 0, told
    assert told.rows()[job_id]["orphan"] is True
    told = ground.remote_jobs("cleanup", "--older-than", "0", env=AWAY)
    assert told.code == 0, told
    assert ground.is_cancelled(job_id)


def test_without_a_folder(ground: Ground) -> None:
    """Airflow's own database is enough, and what the folder holds is not needed."""
    job_id = ground.crash(ground.start("datafiniti_sync"))
    told = ground.remote_jobs("list", "-o", "json", env=ground.elsewhere())
    assert told.code == 0, told
    assert told.rows()[job_id]["orphan"] is True
    told = ground.remote_jobs("cleanup", "--older-than", "0", env=ground.elsewhere())
    assert told.code == 0, told
    assert ground.is_cancelled(job_id)
    # The folder still has it as open: it is over, and nothing is done twice.
    before = ground.deletes()[job_id]
    told = ground.remote_jobs("cleanup", "--older-than", "0")
    assert told.code == 0, told
    assert ground.deletes()[job_id] == before
    assert DEPLOYMENT in {path.name for path in ground.ledger.iterdir()}
