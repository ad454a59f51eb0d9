"""Who may be ended by a clean-up, and who must not."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_jobs.jobs.history import Closed, Entry
from airflow_provider_jobs.jobs.model import JobRef, StartedJob
from airflow_provider_jobs.jobs.orphans import OLDER_THAN, judge

JOB = StartedJob(JobRef("firecrawl", "batch_scrape", "id-1", "v1"), 1000.0, 3)
OPEN = Entry(1, 0, "print", "firecrawl_default", "firecrawl", "batch_scrape", "POST", 1000.0, job=JOB)
OLD = 1000.0 + OLDER_THAN
OVER = ["failed", "success", "skipped", "upstream_failed", "removed"]
COMES_BACK = [
    None, "running", "queued", "scheduled", "deferred", "up_for_retry", "up_for_reschedule", "restarting",
    "a state of a later Airflow",
]  # fmt: skip


@pytest.mark.parametrize("state", OVER)
def test_the_job_of_a_task_that_is_over_is_an_orphan(state: str) -> None:
    found = judge(OPEN, is_newest=True, exists=True, state=state, now=OLD)
    assert (found.orphan, found.owner_is_over) == (True, True)
    assert state in found.reason


def test_the_job_of_a_deleted_run_is_an_orphan() -> None:
    found = judge(OPEN, is_newest=True, exists=False, state=None, now=OLD)
    assert found.orphan
    assert "deleted" in found.reason


@pytest.mark.parametrize("state", COMES_BACK)
def test_a_task_that_may_come_back_keeps_its_job(state: str | None) -> None:
    found = judge(OPEN, is_newest=True, exists=True, state=state, now=OLD)
    assert (found.orphan, found.owner_is_over) == (False, False)
    assert (state or "cleared") in found.reason


@pytest.mark.parametrize("state", COMES_BACK)
def test_a_job_whose_place_was_taken_is_an_orphan_even_then(state: str | None) -> None:
    found = judge(OPEN, is_newest=False, exists=True, state=state, now=OLD)
    assert found.orphan
    assert "later job" in found.reason


@given(st.booleans(), st.booleans(), st.sampled_from([*OVER, *COMES_BACK]), st.floats(0, OLDER_THAN - 1))
def test_a_young_job_is_nobodys(is_newest: bool, exists: bool, state: str | None, age: float) -> None:
    assert not judge(OPEN, is_newest=is_newest, exists=exists, state=state, now=1000.0 + age).orphan


@given(st.sampled_from(list(Closed)), st.booleans(), st.booleans(), st.sampled_from([*OVER, *COMES_BACK]))
def test_what_is_closed_is_left_alone(why: Closed, is_newest: bool, exists: bool, state: str | None) -> None:
    entry = dataclasses.replace(OPEN, closed=why)
    found = judge(entry, is_newest=is_newest, exists=exists, state=state, now=OLD)
    assert not found.orphan
    assert found.reason


@given(st.booleans(), st.booleans(), st.sampled_from([*OVER, *COMES_BACK]))
def test_nobody_can_end_what_has_no_id(is_newest: bool, exists: bool, state: str | None) -> None:
    entry = dataclasses.replace(OPEN, job=None)
    found = judge(entry, is_newest=is_newest, exists=exists, state=state, now=OLD)
    assert not found.orphan
    assert "no id" in found.reason


@pytest.mark.parametrize(("state", "is_newest"), [*((state, True) for state in OVER), ("running", False)])
def test_what_the_user_wants_left_is_left(state: str, is_newest: bool) -> None:
    entry = dataclasses.replace(OPEN, leave=True)
    found = judge(entry, is_newest=is_newest, exists=True, state=state, now=OLD)
    assert not found.orphan
    assert "on purpose" in found.reason
