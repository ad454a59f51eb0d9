"""`airflow remote-jobs list` and `cleanup` among tasks in every state, with real processes and real kills.

Everything is set up once and the commands follow each other, as a user types them; each test judges a part of what
they said and of what the sandbox has on record.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_provider_jobs.ledger_folder import LedgerFolder
from tests.airflow.cleanup.ground import DEPLOYMENT, KEYS, PATIENCE, Answer, Ground
from tests.airflow.stories import FIRECRAWL_KEY, Run
from tests.conftest import DATAFINITI_TOKEN
from tests.support.cluster import free_port
from tests.support.waiting import wait_until

ORPHANS = ("crashed", "download", "mapped", "deleted")
IN_TROUBLE = ("refused", "missing", "broken")
ALIVE = ("deferred", "running", "beside", "retry", "cleared", "scheduled")
CLOSED = ("handed", "delivered")
LEFT = ("left_crashed", "left_deferred")
"""Nobody was there to write down that they were left: the worker was gone, and a trigger never writes."""
SAFE = (*ALIVE, *LEFT, "handed", "other")


@dataclass
class Scene:
    """What was set up, what the commands said, and how often each job had met a DELETE after each of them."""

    ground: Ground
    runs: dict[str, Run] = field(default_factory=dict)
    jobs: dict[str, str] = field(default_factory=dict)
    told: dict[str, Answer] = field(default_factory=dict)
    deletes: dict[str, dict[str, int]] = field(default_factory=dict)
    running: dict[str, set[str]] = field(default_factory=dict)

    def do(self, name: str, *arguments: str, **how: Any) -> Answer:
        """Run a command and write down what came of it."""
        self.told[name] = self.ground.remote_jobs(*arguments, **how)
        found = {job["id"]: job for job in self.ground.stage.jobs()}
        self.deletes[name] = {mine: found[job_id]["deletes"] for mine, job_id in self.jobs.items()}
        self.running[name] = {mine for mine, job_id in self.jobs.items() if self.ground.runs_on(job_id)}
        return self.told[name]

    def row(self, name: str, listed: str) -> dict[str, Any]:
        return self.told[listed].rows()[self.jobs[name]]


@pytest.fixture(scope="module")
def scene(ground: Ground) -> Iterator[Scene]:
    made = Scene(ground)
    try:
        set_up(made)
        follow(made)
        yield made
    finally:
        for run in made.runs.values():
            ground.airflow.api_raw("PATCH", f"/dags/{run.dag_id}/dagRuns/{run.run_id}", {"state": "failed"})


def set_up(scene: Scene) -> None:
    """Bring a task into each state, side by side."""
    ground, runs, jobs = scene.ground, scene.runs, scene.jobs
    airflow, stage = ground.airflow, ground.stage
    # A start without an answer, of which no list shows a job, and a job that is young: both before anything else.
    stage.control.fault("datafiniti", "503", method="POST")
    runs["unanswered"] = ground.start("datafiniti_sync")
    airflow.wait_for_task("datafiniti_sync", runs["unanswered"].run_id, "job", "failed", PATIENCE)
    runs["crashed"] = ground.start("firecrawl_sync")
    jobs["crashed"] = ground.crash(runs["crashed"])
    scene.do("young", "cleanup")

    lists = [stage.pages(1), stage.pages(2)]
    for name in IN_TROUBLE:
        airflow.add_connection(f"conn_{name}", "firecrawl", host=stage.sandbox.urls["firecrawl"], password=KEY)
        runs[name] = ground.start("firecrawl_sync", firecrawl=f"conn_{name}")
    runs |= {
        "deleted": ground.start("firecrawl_sync"),
        "download": ground.start("datafiniti_sync"),
        "mapped": stage.run("firecrawl_mapped_sync", lists=lists),
        "paid": ground.start("firecrawl_sync"),
        "retry": ground.start("cleaning_late_retry"),
        "cleared": ground.start("cleaning_cleared"),
        "left_crashed": ground.start("firecrawl_sync_left"),
    }
    for name in (*IN_TROUBLE, "deleted", "download", "paid", "cleared", "left_crashed"):
        jobs[name] = ground.crash(runs[name])
    jobs["mapped"] = ground.crash(runs["mapped"], map_index=1)
    jobs["beside"] = ground.job_of(runs["mapped"], 0)
    jobs["retry"] = ground.crash(runs["retry"], "up_for_retry")
    runs |= {
        "deferred": ground.start("firecrawl_deferred"),
        "scheduled": ground.start("cleaning_scheduled"),
        "left_deferred": ground.start("firecrawl_deferred_left"),
        "delivered": ground.start("datafiniti_deferred"),
        "handed": ground.start("cleaning_handed"),
        "running": ground.start("datafiniti_sync"),
    }
    for name in ("handed", "running"):
        jobs[name] = ground.job_of(runs[name])
    for name in ("deferred", "scheduled", "left_deferred", "delivered"):
        jobs[name] = ground.deferred(runs[name])
    airflow.wait_for_task("cleaning_handed", runs["handed"].run_id, "job", "success", PATIENCE)

    stage.finish(jobs["delivered"])
    stage.finish(jobs["paid"])
    runs["left_deferred"].mark("failed")
    ground.pause("cleaning_cleared")
    runs["cleared"].clear("job")
    ground.pause("cleaning_scheduled")
    where = f"dag_id = 'cleaning_scheduled' AND run_id = '{runs['scheduled'].run_id}'"
    airflow.sql(f"UPDATE task_instance SET trigger_timeout = '2020-01-01 00:00:00+00:00' WHERE {where}")
    airflow.wait_for_task("datafiniti_deferred", runs["delivered"].run_id, "job", "success", PATIENCE)
    airflow.wait_for_run("firecrawl_sync", runs["deleted"].run_id, PATIENCE)
    airflow.delete_run("firecrawl_sync", runs["deleted"].run_id)
    wait_until(lambda: runs["scheduled"].task()["state"] == "scheduled", PATIENCE, "the task to be scheduled")
    wait_until(lambda: runs["cleared"].task()["state"] is None, PATIENCE, "the task to be cleared")
    # Another Airflow that shares the folder.
    strange = ground.strange_job()
    jobs["other"] = strange.ref.job_id
    ground.record(LedgerFolder(f"file://{ground.ledger}", f"{DEPLOYMENT}.too"), 1, strange)
    assert {run: runs[run].task()["state"] for run in ("deferred", "running", "retry")} == {
        "deferred": "deferred",
        "running": "running",
        "retry": "up_for_retry",
    }


KEY = f"{FIRECRAWL_KEY}-of-trouble"


def follow(scene: Scene) -> None:
    """What the user types."""
    ground = scene.ground
    stage, conn = ground.stage, f"/connections/conn_{IN_TROUBLE[0]}"
    before = {"connection_id": "conn_refused", "conn_type": "firecrawl", "password": KEY}
    scene.do("list", "list", "-o", "json")
    scene.do("all", "list", "--all", "--service-state", "-o", "yaml")
    scene.do("of_dag", "list", "--dag-id", "firecrawl_deferred", "-o", "json")
    scene.do("of_conn", "list", "--conn-id", "conn_broken", "-o", "json")
    scene.do("table", "list", "--dag-id", "cleaning_late_retry")
    scene.do("rehearsal", "cleanup", "--older-than", "0", "--dry-run")

    # One service is away, one connection is missing, one job cannot be cancelled.
    away = f"http://127.0.0.1:{free_port()}"
    ground.airflow.api("PATCH", conn, {**before, "host": away})
    ground.airflow.api("DELETE", "/connections/conn_missing")
    stage.control.fault("firecrawl", "503", method="DELETE", times=None, path_contains=scene.jobs["broken"])
    scene.do("trouble", "cleanup", "--older-than", "0s")
    scene.do("list_trouble", "list", "--service-state", "-o", "json")
    stage.control.clear_faults()
    ground.airflow.api("PATCH", conn, {**before, "host": stage.sandbox.urls["firecrawl"]})
    ground.airflow.add_connection("conn_missing", "firecrawl", host=stage.sandbox.urls["firecrawl"], password=KEY)
    scene.do("better", "cleanup", "--older-than", "0.5m")
    scene.do("again", "cleanup", "--older-than", "0")
    scene.do("afterwards", "list", "--service-state", "-o", "json")


# -- list --------------------------------------------------------------------------------------------------------------


def test_list_in_json(scene: Scene) -> None:
    told = scene.told["list"]
    assert told.code == 0, told
    rows = json.loads(told.out)
    assert rows
    assert all(list(row) == KEYS.split() for row in rows)
    open_ones = {*ORPHANS, *IN_TROUBLE, *ALIVE, *LEFT, "paid"}
    assert {row["job_id"] for row in rows} == {scene.jobs[name] for name in open_ones} | {None}
    for name in ("crashed", "deferred"):
        row, run = scene.row(name, "list"), scene.runs[name]
        assert (row["dag_id"], row["run_id"], row["task_id"], row["map_index"]) == (run.dag_id, run.run_id, "job", -1)
        assert (row["service"], row["kind"], row["generation"]) == ("firecrawl", "batch_scrape", 0)
        assert row["conn_id"] == scene.ground.firecrawl
        assert 0 < row["age_s"] < 3600
    assert scene.row("mapped", "list")["map_index"] == 1


@pytest.mark.parametrize("name", [*ORPHANS, *IN_TROUBLE])
def test_an_orphan_is_named_as_one(scene: Scene, name: str) -> None:
    row = scene.row(name, "list")
    assert row["orphan"] is True
    assert ("deleted" if name == "deleted" else "failed") in row["reason"]


@pytest.mark.parametrize("name", [*ALIVE, *LEFT])
def test_what_is_no_orphan(scene: Scene, name: str) -> None:
    row = scene.row(name, "list")
    assert row["orphan"] is False
    told = {"beside": "running", "retry": "up_for_retry"} | dict.fromkeys(LEFT, "on purpose")
    assert told.get(name, name) in row["reason"]


def test_a_start_without_an_answer(scene: Scene) -> None:
    """Listed without an id; the clean-up says what may be running, and does not fail."""
    (row,) = (row for row in json.loads(scene.told["list"].out) if row["job_id"] is None)
    assert (row["run_id"], row["service"], row["kind"]) == (scene.runs["unanswered"].run_id, "datafiniti", "download")
    assert row["orphan"] is False
    assert "never answered" in row["reason"]
    again = scene.told["again"]
    assert again.code == 0
    assert scene.runs["unanswered"].run_id in again.err
    assert "/v4/" in again.err, "the request that was sent is named"


def test_everything_in_yaml_with_what_the_services_say(scene: Scene) -> None:
    from airflow.utils import yaml

    told = scene.told["all"]
    assert told.code == 0, told
    rows = {row["job_id"]: row for row in yaml.safe_load(told.out)}
    assert all(list(row) == KEYS.split() for row in rows.values())
    assert {scene.jobs[name] for name in CLOSED} <= set(rows)
    assert scene.jobs["other"] not in rows
    states = {name: rows[job_id]["state"] for name, job_id in scene.jobs.items() if job_id in rows}
    assert states["crashed"] == states["deferred"] == "running"
    assert states["handed"] == states["left_deferred"] == "running"
    assert (states["paid"], states["delivered"]) == ("succeeded", "delivered")
    assert rows[scene.jobs["paid"]]["completed"] == rows[scene.jobs["paid"]]["total"] == 3
    assert rows[scene.jobs["paid"]]["orphan"] is False, "nothing of it runs any more"
    assert not any(rows[scene.jobs[name]]["orphan"] for name in (*CLOSED, *LEFT))


def test_filters(scene: Scene) -> None:
    mine = scene.told["of_dag"].rows()
    assert scene.jobs["deferred"] in mine
    assert {row["dag_id"] for row in mine.values()} == {"firecrawl_deferred"}
    assert set(scene.told["of_conn"].rows()) == {scene.jobs["broken"]}


def test_as_a_table(scene: Scene) -> None:
    """The default; an id stands in one piece, so that it can be copied."""
    told = scene.told["table"]
    assert told.code == 0
    names, values = ([part.strip() for part in told.out.splitlines()[line].split("|")] for line in (0, 2))
    assert names == KEYS.split()
    run = scene.runs["retry"]
    shown = dict(zip(names, values, strict=True))
    assert (shown["job_id"], shown["run_id"], shown["orphan"]) == (scene.jobs["retry"], run.run_id, "False")
    assert shown["reason"] == "its task is up_for_retry"


# -- cleanup -----------------------------------------------------------------------------------------------------------


def test_a_young_job_is_left_alone(scene: Scene) -> None:
    """Two minutes, without a word about it."""
    told = scene.told["young"]
    assert told.code == 0, told
    assert scene.running["young"] == {"crashed"}
    assert scene.deletes["young"] == {"crashed": 0}
    assert scene.jobs["crashed"] not in told.out


def test_a_rehearsal(scene: Scene) -> None:
    told = scene.told["rehearsal"]
    assert told.code == 0, told
    assert set(scene.deletes["rehearsal"].values()) == {0}
    for name in (*ORPHANS, *IN_TROUBLE):
        assert scene.jobs[name] in told.out
    for name in SAFE:
        assert scene.jobs[name] not in told.out


@pytest.mark.parametrize("name", ORPHANS)
def test_an_orphan_is_ended(scene: Scene, name: str) -> None:
    assert name in scene.running["rehearsal"]
    assert name not in scene.running["trouble"]
    assert scene.ground.is_cancelled(scene.jobs[name])
    assert scene.jobs[name] in scene.told["trouble"].out


@pytest.mark.parametrize("name", SAFE)
def test_what_has_an_owner_is_left_alone(scene: Scene, name: str) -> None:
    for command in ("trouble", "better", "again", "afterwards"):
        assert scene.deletes[command][name] == 0
        assert name in scene.running[command]
        assert command == "afterwards" or scene.jobs[name] not in scene.told[command].out


@pytest.mark.parametrize("name", IN_TROUBLE)
def test_what_could_not_be_ended_is_named_and_ended_later(scene: Scene, name: str) -> None:
    told = scene.told["trouble"]
    assert told.code == 1
    assert name in scene.running["trouble"]
    (line,) = (line for line in told.err.splitlines() if scene.jobs[name] in line and "could not be ended" in line)
    assert name != "missing" or "conn_missing" in line
    assert "3 could not be ended" in told.out
    assert scene.told["better"].code == 0, scene.told["better"]
    assert name not in scene.running["better"]
    assert scene.ground.is_cancelled(scene.jobs[name])


def test_services_that_do_not_answer_are_named_in_the_list(scene: Scene) -> None:
    told = scene.told["list_trouble"]
    assert told.code == 1
    assert scene.row("refused", "list_trouble")["orphan"] is True
    assert "conn_missing" in scene.row("missing", "list_trouble")["reason"]
    assert scene.jobs["crashed"] not in told.rows(), "it was ended and closed"


def test_a_second_run_finds_nothing_to_do(scene: Scene) -> None:
    told = scene.told["again"]
    assert told.code == 0, told
    assert scene.deletes["again"] == scene.deletes["better"]
    assert "0 ended" in told.out
    assert not any(row["orphan"] for row in scene.told["afterwards"].rows().values())


def test_no_key_anywhere(scene: Scene) -> None:
    secrets = [FIRECRAWL_KEY, KEY, DATAFINITI_TOKEN]
    for name, told in scene.told.items():
        assert not any(secret in told.out + told.err for secret in secrets), name
    objects = [path for path in scene.ground.ledger.rglob("*") if path.is_file()]
    assert len(objects) > len(scene.jobs)
    for path in objects:
        assert not any(secret.encode() in path.read_bytes() for secret in secrets), path


# -- and then ----------------------------------------------------------------------------------------------------------


def test_a_clear_delivers_what_was_paid_for(scene: Scene) -> None:
    """The clean-up has left it open: nothing is bought twice."""
    ground, run, job_id = scene.ground, scene.runs["paid"], scene.jobs["paid"]
    assert scene.deletes["again"]["paid"] == 0
    before = len(ground.stage.posts())
    run.clear("job")
    wait_until(lambda: run.task()["state"] == "success", PATIENCE, "the delivery")
    assert run.xcom()["job_id"] == job_id
    assert run.xcom()["records"] == 3
    assert len(ground.stage.posts()) == before


def test_live_tasks_go_on(scene: Scene) -> None:
    """They deliver as if nothing had been."""
    ground = scene.ground
    for name in ("deferred", "running"):
        ground.stage.finish(scene.jobs[name])
    for name in ("deferred", "running"):
        run = scene.runs[name]
        ground.airflow.wait_for_task(run.dag_id, run.run_id, "job", "success", PATIENCE)
        assert run.xcom()["job_id"] == scene.jobs[name]
