"""`airflow remote-jobs cancel`: on record or not, alive or not, asked or not. And the command's other name."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.airflow.cleanup.ground import KEYS, Ground
from tests.support.waiting import wait_until


def test_nothing_on_record(ground: Ground) -> None:
    """Data alone on stdout, also when there is none."""
    told = ground.remote_jobs("list", "-o", "json")
    assert (told.code, told.out.strip()) == (0, "[]"), told


def test_a_life_of_cancels(ground: Ground) -> None:
    """One task waits; the user hesitates, and does it in the end."""
    runs = {name: ground.start(f"cleaning_{name}") for name in ("scheduled", "handed")}
    left = ground.start("firecrawl_deferred_left")
    alive, handed, left_job = ground.deferred(runs["scheduled"]), ground.job_of(runs["handed"]), ground.deferred(left)
    ground.airflow.wait_for_task("cleaning_handed", runs["handed"].run_id, "job", "success")
    left.mark("failed")

    told = ground.remote_jobs("cancel", "no-such-job", alive, answer="n\n")
    assert told.code == 1
    assert "no-such-job is not on record" in told.err
    assert "cleaning_scheduled" in told.err, "whose job it is stands in the question"
    assert ground.deletes()[alive] == 0

    told = ground.remote_jobs("cancel", alive, answer="")
    assert told.code == 1
    assert ground.deletes()[alive] == 0
    assert ground.runs_on(alive)

    # Nobody is asked about jobs that nobody waits for.
    told = ground.remote_jobs("cancel", handed, left_job, answer="")
    assert told.code == 0, told
    assert ground.is_cancelled(handed)
    assert ground.is_cancelled(left_job)
    assert handed in told.out
    assert left_job in told.out

    told = ground.remote_jobs("cancel", alive, answer="y\n")
    assert told.code == 0, told
    assert ground.is_cancelled(alive)
    assert alive in told.out
    ground.airflow.wait_for_task("cleaning_scheduled", runs["scheduled"].run_id, "job", "failed")

    before = ground.deletes()
    told = ground.remote_jobs("cancel", alive, handed, answer="")
    assert told.code == 0, told
    assert ground.deletes() == before, "a job that was over has been cancelled again"


def test_yes_asks_nobody(ground: Ground) -> None:
    run = ground.start("datafiniti_sync")
    job_id = ground.job_of(run)
    told = ground.remote_jobs("cancel", job_id, "--yes", answer="n\n")
    assert told.code == 0, told
    assert ground.is_cancelled(job_id)
    ground.airflow.wait_for_task(run.dag_id, run.run_id, "job", "failed")


def test_by_its_other_name(ground: Ground) -> None:
    """`python -m airflow_provider_jobs remote-jobs …`."""
    run = ground.start("cleaning_handed")
    job_id = ground.job_of(run)
    wait_until(lambda: run.task()["state"] == "success", 60, "the hand-over")
    command = [sys.executable, "-m", "airflow_provider_jobs", "remote-jobs"]

    def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
        env = ground.airflow.env
        return subprocess.run([*command, *arguments], env=env, capture_output=True, text=True, timeout=120)

    told, usual = ask("list", "--all", "-o", "json"), ground.remote_jobs("list", "--all", "-o", "json")
    assert told.returncode == 0, told
    assert [{**row, "age_s": 0} for row in json.loads(told.stdout)] == [
        {**row, "age_s": 0} for row in json.loads(usual.out)
    ]
    assert set(usual.rows()[job_id]) == set(KEYS.split())
    assert ask("cancel", job_id).returncode == 0
    assert ground.is_cancelled(job_id)
    assert ask("cleanup", "--older-than", "soon").returncode == 2


@pytest.mark.parametrize("arguments", [["cancel"], ["list", "-o", "xml"], ["cleanup", "--older-than", "2 weeks"]])
def test_wrong_use(ground: Ground, arguments: list[str]) -> None:
    told = ground.remote_jobs(*arguments)
    assert told.code == 2, told
