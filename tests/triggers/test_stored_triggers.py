"""Triggers stand in Airflow's database while a new version is installed: what an older one stored still loads."""

import asyncio
import json
from typing import Any

import pytest
from airflow.models.trigger import Trigger as TriggerRow

from airflow_provider_jobs.jobs.model import JobRef, StartedJob
from airflow_provider_jobs.triggers.job import JobTrigger
from tests.triggers.test_job_trigger import only_event, start

# As the database holds them, decrypted. Never change one: add what a newer version stores.
OF_AN_OPERATOR = """{
  "conn_id": "firecrawl_default",
  "job": {"ref": {"service": "firecrawl", "kind": "batch_scrape", "job_id": "7d1ea20e-0d94-4b4a-bb2c-6ca7a1d5d4a4",
                  "api_version": "v1"},
          "started_at": 1764000000.25, "asked": 3, "refused": 1, "refused_names": []},
  "owner": {"dag_id": "a_dag", "run_id": "manual__2025-11-24T16:00:00+00:00", "task_id": "group.job", "map_index": 4},
  "deadline": 1764086400.25,
  "poll_interval": 30.0,
  "cancel_on_kill": true,
  "cancel_at_deadline": true,
  "leave_when_lost": true,
  "format": 1
}"""
OF_A_SENSOR = """{
  "conn_id": "datafiniti_default",
  "job": {"ref": {"service": "datafiniti", "kind": "download", "job_id": "5152", "api_version": null},
          "started_at": 1764000000.0, "asked": null, "refused": 0, "refused_names": []},
  "owner": {"dag_id": "a_dag", "run_id": "manual__1", "task_id": "wait", "map_index": -1},
  "deadline": 1764000600.0,
  "poll_interval": 60.0,
  "cancel_on_kill": false,
  "cancel_at_deadline": false,
  "leave_when_lost": false,
  "format": 1
}"""
# From before jobs could be left to the next try, with the names of what was refused.
BEFORE_LEAVING = """{
  "conn_id": "firecrawl_default",
  "job": {"ref": {"service": "firecrawl", "kind": "crawl", "job_id": "0b5c", "api_version": "v2"},
          "started_at": 1764000000.0, "asked": null, "refused": 1, "refused_names": ["http//typo"]},
  "owner": {"dag_id": "a_dag", "run_id": "manual__1", "task_id": "job", "map_index": -1},
  "deadline": 1764086400.0,
  "poll_interval": 30.0,
  "cancel_on_kill": true,
  "cancel_at_deadline": true,
  "format": 1
}"""
LEAST = """{
  "conn_id": "firecrawl_default",
  "job": {"ref": {"service": "firecrawl", "kind": "crawl", "job_id": "0b5c"}, "started_at": 1764000000}
}"""
STORED = {"operator": OF_AN_OPERATOR, "sensor": OF_A_SENSOR, "before_leaving": BEFORE_LEAVING, "least": LEAST}


def holds(whole: Any, part: Any) -> bool:
    """Whether everything in a JSON value stands in another one."""
    if isinstance(part, dict):
        return all(key in whole and holds(whole[key], value) for key, value in part.items())
    return bool(whole == part)


@pytest.mark.parametrize("name", STORED)
def test_loads_and_stores_the_same_again(name: str) -> None:
    stored: dict[str, Any] = json.loads(STORED[name])
    path, again = JobTrigger(**stored).serialize()
    assert path == "airflow_provider_jobs.triggers.job.JobTrigger"
    assert json.loads(json.dumps(again)) == again, "plain JSON"
    assert again["job"]["refused_names"] == [], "names of inputs are not stored any more"
    stored["job"].pop("refused_names", None)
    assert holds(again, stored)
    assert JobTrigger(**again).serialize() == (path, again)


def test_the_operators_arguments_are_complete() -> None:
    """What stands here is all that this version stores: a new argument needs a default, and a text of its own here."""
    stored = json.loads(OF_AN_OPERATOR)
    assert JobTrigger(**stored).serialize()[1] == stored


def test_what_is_missing_keeps_to_the_old_ways() -> None:
    """A job of an old trigger is ended where that version would have ended it."""
    trigger = JobTrigger(**json.loads(BEFORE_LEAVING))
    assert (trigger.cancel_on_kill, trigger.cancel_at_deadline, trigger.leave_when_lost) == (True, True, False)
    assert trigger.job.refused_names == ("http//typo",)
    least = JobTrigger(**json.loads(LEAST))
    assert least.owner is None
    assert least.deadline is None
    assert least.job == StartedJob(JobRef("firecrawl", "crawl", "0b5c"), 1764000000.0)


@pytest.mark.parametrize("place", ["job", "ref", "owner"])
def test_what_a_newer_version_added_inside_is_ignored(place: str) -> None:
    stored = json.loads(OF_AN_OPERATOR)
    {"job": stored["job"], "ref": stored["job"]["ref"], "owner": stored["owner"]}[place]["of_a_newer_version"] = 1
    assert JobTrigger(**stored).serialize()[1] == json.loads(OF_AN_OPERATOR)


@pytest.mark.parametrize("name", STORED)
def test_comes_back_from_airflows_database(name: str) -> None:
    """Through Airflow's own way of storing arguments, which is not plain JSON."""
    stored = json.loads(STORED[name])
    row = TriggerRow(classpath="airflow_provider_jobs.triggers.job.JobTrigger", kwargs=stored)
    assert row.kwargs == stored
    assert JobTrigger(**row.kwargs).serialize() == JobTrigger(**stored).serialize()


@pytest.mark.parametrize(("name", "service"), [("before_leaving", "firecrawl"), ("sensor", "datafiniti")])
def test_goes_on_with_a_real_job(sandbox: Any, name: str, service: str) -> None:
    """The wait is taken up; its deadline is long over, and what is to be done then is as it was stored."""
    job = start(sandbox, service)
    stored = json.loads(STORED[name])
    stored["job"]["ref"] = job.ref.to_dict()
    event = only_event(JobTrigger(**stored))
    cancelled = stored["cancel_at_deadline"]
    assert event["cancelled"] is cancelled
    assert sandbox.control.job(job.ref.job_id)["cancelled_by_delete"] is cancelled


def test_a_kill_of_an_old_trigger(sandbox: Any) -> None:
    """No Airflow can be asked here: the job is cancelled."""
    job = start(sandbox, "firecrawl")
    stored = json.loads(BEFORE_LEAVING)
    stored["job"]["ref"] = job.ref.to_dict()
    asyncio.run(JobTrigger(**stored).on_kill())
    assert sandbox.control.job(job.ref.job_id)["cancelled_by_delete"]
