"""The words of the provider: they survive JSON, and secrets do not get into it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_jobs.exceptions import RemoteJobsError, TriggerEventError
from airflow_provider_jobs.jobs.event import JobEvent, Outcome
from airflow_provider_jobs.jobs.model import FAILED_LISTED, JobRef, JobState, JobStatus, JobSummary, StartedJob
from airflow_provider_jobs.jobs.progress import HEARTBEAT, Progress

TEXT = st.text(max_size=10)
NUMBER = st.none() | st.integers(min_value=0)
REFS = st.builds(JobRef, service=TEXT, kind=TEXT, job_id=TEXT, api_version=st.none() | TEXT)
STARTED = st.builds(
    StartedJob,
    ref=REFS,
    started_at=st.floats(0, 1e12),
    asked=NUMBER,
    refused=st.integers(min_value=0),
    refused_names=st.lists(TEXT, max_size=5).map(tuple),
)
STATUSES = st.builds(
    JobStatus,
    state=st.sampled_from(JobState),
    raw_status=st.none() | TEXT,
    completed=NUMBER,
    total=NUMBER,
    credits_used=st.none() | st.floats(0, 1e9),
    error=st.none() | TEXT,
    warning=st.none() | TEXT,
)
EVENTS = st.builds(
    JobEvent,
    outcome=st.sampled_from(Outcome),
    job=REFS,
    status=st.none() | STATUSES,
    error=st.none() | TEXT,
    permanent=st.booleans(),
    cancelled=st.booleans(),
)
REF = JobRef("firecrawl", "batch_scrape", "abc", "v1")
LINK = "https://files.test/7_1.txt?X-Amz-Signature=very-secret"


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


@given(REFS)
def test_a_ref_survives_json(ref: JobRef) -> None:
    assert JobRef.from_dict(through_json(ref.to_dict())) == ref


@given(STARTED)
def test_a_started_job_survives_json(job: StartedJob) -> None:
    assert StartedJob.from_dict(through_json(job.to_dict())) == job


@given(STATUSES)
def test_a_status_survives_json(status: JobStatus) -> None:
    assert JobStatus.from_dict(through_json(status.to_dict())) == status


@given(EVENTS)
def test_an_event_survives_json(event: JobEvent) -> None:
    assert JobEvent.from_payload(through_json(event.to_payload())) == event


def test_refused_names_are_kept_up_to_a_limit() -> None:
    """They travel through Airflow's database."""
    names = tuple(f"bad {n}" for n in range(5000))
    job = StartedJob(REF, 1.0, 5000, 5000, names)
    found = StartedJob.from_dict(through_json(job.to_dict()))
    assert (found.refused, len(found.refused_names)) == (5000, FAILED_LISTED)


def test_links_are_secrets() -> None:
    """DF13, DF14: not in the text, not in JSON, not in an event."""
    status = JobStatus(JobState.SUCCEEDED, "completed", links=(LINK,))
    event = JobEvent(Outcome.OVER, REF, status)
    for shown in (repr(status), str(status), status.describe(), json.dumps(status.to_dict()), repr(event),
                  json.dumps(event.to_payload())):  # fmt: skip
        assert "very-secret" not in shown
        assert "files.test" not in shown
    assert status.links == (LINK,)


def test_what_a_newer_version_wrote_is_read() -> None:
    assert JobRef.from_dict({**REF.to_dict(), "region": "eu"}) == REF
    assert JobStatus.from_dict({"state": "running", "mood": "good"}) == JobStatus(JobState.RUNNING)


def test_what_an_older_version_wrote_is_read() -> None:
    assert JobRef.from_dict({"service": "s", "kind": "k", "job_id": "1"}) == JobRef("s", "k", "1")
    assert StartedJob.from_dict({"ref": REF.to_dict(), "started_at": 5}) == StartedJob(REF, 5.0)


def test_a_ref_names_service_kind_and_id() -> None:
    assert str(REF) == "firecrawl batch_scrape abc"


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (JobStatus(JobState.RUNNING), "running"),
        (JobStatus(JobState.RUNNING, "scraping", 1, 5, 2.0), "running (scraping) 1/5 records 2 credits"),
        (JobStatus(JobState.RUNNING, "Running", 1, None), "running 1/? records"),
        (JobStatus(JobState.RUNNING, "scraping", 0, 0, 0), "running (scraping) 0/0 records 0 credits"),
        (JobStatus(JobState.UNKNOWN, "archiving"), "unknown (archiving)"),
        (JobStatus(JobState.SUCCEEDED, "completed", 2, 2, 2.5), "succeeded (completed) 2/2 records 2.5 credits"),
    ],
)
def test_a_status_in_words(status: JobStatus, text: str) -> None:
    """F28: `total` may be 0; nothing is divided by it."""
    assert status.describe() == text


def test_the_summary_of_the_return_value() -> None:
    summary = JobSummary("firecrawl", "batch_scrape", "abc", "succeeded", 2, 2, 2, 0, 0, 2.0, [], [{"a": 1}])
    keys = {"service", "kind", "job_id", "state", "completed", "total", "records", "failed", "missing", "credits_used",
            "output"}  # fmt: skip
    assert set(summary.to_dict()) == {*keys, "data"}
    with_files = JobSummary("firecrawl", "batch_scrape", "abc", "succeeded", 2, 2, 2, 0, 0, None, ["file:///x"])
    assert set(with_files.to_dict()) == keys
    assert through_json(with_files.to_dict()) == with_files.to_dict()


# --- events -------------------------------------------------------------------------------------------------------

OVER = JobEvent(Outcome.OVER, REF, JobStatus(JobState.SUCCEEDED)).to_payload()


def test_the_event_that_a_task_waits_for() -> None:
    assert JobEvent.of(through_json(OVER), REF).status == JobStatus(JobState.SUCCEEDED)
    timed_out = JobEvent(Outcome.TIMED_OUT, REF, error="late", cancelled=True)
    assert JobEvent.of(through_json(timed_out.to_payload()), REF) == timed_out


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (None, "no event, but NoneType"),
        ("over", "no event, but str"),
        ([], "no event, but list"),
        ({}, "unknown form"),
        ({"status": "success", "message": "done"}, "unknown form"),
        ({**OVER, "outcome": "finished"}, "unknown form"),
        ({**OVER, "job": None}, "unknown form"),
        ({**OVER, "job": {}}, "unknown form"),
        ({**OVER, "job": "abc"}, "unknown form"),
        ({**OVER, "status": {"state": "done"}}, "unknown form"),
        ({**OVER, "status": "succeeded"}, "unknown form"),
        ({**OVER, "status": {}}, "without a status"),
        ({**OVER, "status": None}, "an end without a status"),
        (
            {**OVER, "job": {**REF.to_dict(), "job_id": "other"}},
            "an event of firecrawl batch_scrape other, this task waits",
        ),
        ({**OVER, "job": {**REF.to_dict(), "service": "datafiniti"}}, "an event of datafiniti batch_scrape abc"),
        ({**OVER, "job": {**REF.to_dict(), "kind": "crawl"}}, "an event of firecrawl crawl abc"),
        ({key: value for key, value in OVER.items() if key != "job"}, "unknown form"),
        ({key: value for key, value in OVER.items() if key != "outcome"}, "unknown form"),
        ({**OVER, "format": 2}, "format"),
    ],
)
def test_an_event_of_something_else_fails_loudly(payload: Any, text: str) -> None:
    """Missing or foreign events never count as success."""
    with pytest.raises(TriggerEventError, match=text) as caught:
        JobEvent.of(payload, REF)
    assert isinstance(caught.value, RemoteJobsError)
    assert str(caught.value).startswith("the trigger returned")


@given(
    st.recursive(
        st.none() | st.integers() | TEXT | st.sampled_from(["over", "running"]),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(["outcome", "job", "status", "state", "service", "kind", "job_id", "format"]),
                inner,
                max_size=5,
            )
        ),
        max_leaves=8,
    )
)
def test_nothing_else_can_come_of_a_foreign_event(payload: Any) -> None:
    try:
        event = JobEvent.from_payload(payload)
    except TriggerEventError as error:
        assert str(error)
    else:
        assert isinstance(event.outcome, Outcome)


# --- progress -----------------------------------------------------------------------------------------------------


def said(*looks: tuple[float, JobStatus]) -> list[str | None]:
    progress = Progress()
    return [progress.line(status, now) for now, status in looks]


def running(completed: int | None, total: int | None) -> JobStatus:
    return JobStatus(JobState.RUNNING, "scraping", completed, total)


def test_the_first_look_is_logged_and_the_same_again_is_not() -> None:
    assert said((0, running(0, 10)), (1, running(0, 10)), (2, running(0, 10))) == [
        "running (scraping) 0/10 records",
        None,
        None,
    ]


def test_a_new_state_or_word_is_logged() -> None:
    lines = said(
        (0, running(0, 10)), (1, JobStatus(JobState.RUNNING, "paused")), (2, JobStatus(JobState.SUCCEEDED, "completed"))
    )
    assert lines == ["running (scraping) 0/10 records", "running (paused)", "succeeded (completed)"]


def test_a_notable_step_is_logged_in_both_directions() -> None:
    """F28: progress can go backwards."""
    lines = said(
        (0, running(50, 100)),
        (1, running(59, 100)),
        (2, running(60, 100)),
        (3, running(55, 100)),
        (4, running(40, 100)),
    )
    assert [line is not None for line in lines] == [True, False, True, False, True]


def test_a_heartbeat_is_logged_though_nothing_changes() -> None:
    lines = said(
        (0, running(0, 10)),
        (HEARTBEAT - 1, running(0, 10)),
        (HEARTBEAT, running(0, 10)),
        (HEARTBEAT + 1, running(0, 10)),
    )
    assert [line is not None for line in lines] == [True, False, True, False]


@given(st.lists(STATUSES, max_size=10))
def test_no_counter_breaks_progress(statuses: list[JobStatus]) -> None:
    """F28: totals of 0, none at all, falling ones."""
    progress = Progress()
    for now, status in enumerate(statuses):
        line = progress.line(status, float(now))
        assert line is None or line == status.describe()
