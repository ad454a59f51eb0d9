"""The record of starts, and what the next try does about it."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_jobs.jobs import history
from airflow_provider_jobs.jobs.history import KEPT, Closed, Entry, Fate
from airflow_provider_jobs.jobs.model import JobRef, JobSpec, JobState, StartedJob

SPEC = JobSpec("firecrawl", "batch_scrape", {"urls": ["https://a.test/"], "origin": "x"}, "v1", asked=1)


def job(number: int) -> StartedJob:
    return StartedJob(JobRef("firecrawl", "batch_scrape", f"id-{number}", "v1"), 1000.0 + number, 3)


entries = st.builds(
    Entry,
    seq=st.integers(1, 30),
    generation=st.integers(0, 3),
    fingerprint=st.sampled_from(["same", "other"]),
    conn_id=st.just("firecrawl_default"),
    service=st.just("firecrawl"),
    kind=st.just("batch_scrape"),
    request=st.just("POST /v1/batch/scrape"),
    intent_at=st.floats(0, 2e9),
    leave=st.booleans(),
    job=st.none() | st.integers(0, 99).map(job),
    closed=st.none() | st.sampled_from(list(Closed)),
)
records = st.lists(entries, max_size=12, unique_by=lambda entry: entry.seq)


@given(entries)
def test_an_entry_survives_the_store(entry: Entry) -> None:
    assert Entry.from_dict(json.loads(json.dumps(entry.to_dict()))) == entry
    assert Entry.from_dict({**entry.to_dict(), "of a newer version": 1}) == entry


@given(records, st.integers(0, 3))
def test_every_open_entry_is_seen_to_once(record: list[Entry], generation: int) -> None:
    """Nothing that may run is forgotten, and nothing that is closed is touched, but for the newest; see below."""
    decided = history.plan(record, generation=generation, fingerprint="same")
    seen = [*decided.end, *decided.unsure, *decided.forget, *([decided.ask] if decided.ask else [])]
    closed = [entry for entry in seen if not entry.is_open]
    assert sorted(entry.seq for entry in seen if entry.is_open) == sorted(e.seq for e in record if e.is_open)
    assert closed in ([], [decided.ask])


@given(entries, st.integers(0, 3), st.sampled_from(["same", "other"]))
def test_a_retry_does_not_buy_again_what_was_delivered_or_handed_over(
    entry: Entry, generation: int, fingerprint: str
) -> None:
    """The try before it died after that and before Airflow knew. A clear, which makes a generation, starts anew."""
    closed = dataclasses.replace(entry, job=job(1), closed=entry.closed or Closed.DELIVERED)
    asked = history.plan([closed], generation=generation, fingerprint=fingerprint).ask
    # Where `retries` is lowered before a clear, the generation can come out the same.
    assert history.plan([closed], generation=generation, fingerprint=fingerprint, clears=7).ask is None
    is_retry = (closed.generation, closed.fingerprint) == (generation, fingerprint)
    assert asked == (closed if is_retry and closed.closed in {Closed.DELIVERED, Closed.HANDED_OVER} else None)


@given(records, st.integers(0, 3))
def test_only_a_job_of_the_same_request_is_taken_up(record: list[Entry], generation: int) -> None:
    decided = history.plan(record, generation=generation, fingerprint="same")
    if decided.ask is not None:
        assert decided.ask.fingerprint == "same"
        assert decided.ask.job is not None
        younger = [e for e in record if e.is_open and e.job and e.seq > decided.ask.seq]
        assert all(entry.fingerprint == "other" for entry in younger)
    assert all(entry.job is not None for entry in decided.end)


@given(records, st.integers(0, 3))
def test_an_unanswered_start_stops_its_own_generation_only(record: list[Entry], generation: int) -> None:
    """A retry must not start beside it; a clear is the user's word that nothing is running."""
    decided = history.plan(record, generation=generation, fingerprint="same")
    assert all(entry.job is None and entry.generation == generation for entry in decided.unsure)
    assert all(entry.job is None and entry.generation != generation for entry in decided.forget)


@given(entries, st.sampled_from(list(JobState)), st.integers(0, 3), st.booleans())
def test_what_becomes_of_an_earlier_job(entry: Entry, state: JobState, generation: int, durable: bool) -> None:
    found = history.fate(entry, state, generation=generation, durable=durable)
    if state is JobState.SUCCEEDED:
        assert found is Fate.DELIVER, "what is paid for is delivered"
    elif state in {JobState.FAILED, JobState.CANCELLED}:
        assert found is Fate.FORGET
    elif generation == entry.generation and durable:
        assert found is Fate.ADOPT
    else:
        assert found is Fate.END, "a clear never takes up a running job"


@given(records, entries)
def test_open_entries_are_never_dropped(record: list[Entry], entry: Entry) -> None:
    kept = history.with_entry(record, entry)
    assert {old for old in kept if old.is_open} == {
        old for old in [*(old for old in record if old.seq != entry.seq), entry] if old.is_open
    }
    assert [old.seq for old in kept] == sorted({old.seq for old in kept})
    assert history.next_seq(kept) > max(old.seq for old in kept)


def test_the_record_does_not_grow_for_ever() -> None:
    record: tuple[Entry, ...] = ()
    for number in range(1, 200):
        entry = Entry(number, 0, "same", "c", "firecrawl", "batch_scrape", "POST /", 0.0, job=job(number))
        record = history.with_entry(record, history.closed(entry, Closed.DELIVERED))
    assert len(record) == KEPT
    assert record[-1].seq == 199


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "crawl"},
        {"service": "datafiniti"},
        {"api_version": "v2"},
        {"body": {"urls": ["https://a.test/b"], "origin": "x"}},
    ],
)
def test_the_fingerprint_covers_what_decides_the_bill(change: dict[str, object]) -> None:
    mine = history.fingerprint("c", SPEC)
    assert history.fingerprint("c", dataclasses.replace(SPEC, **change)) != mine
    assert history.fingerprint("d", SPEC) != mine


def test_the_fingerprint_is_the_same_however_the_body_is_ordered() -> None:
    turned = dataclasses.replace(SPEC, body={"origin": "x", "urls": ["https://a.test/"]})
    assert history.fingerprint("c", turned) == history.fingerprint("c", SPEC)
    assert "a.test" not in history.fingerprint("c", SPEC)


@pytest.mark.parametrize("state", ["failed", "success", "skipped", "restarting", "removed", "upstream_failed", None])
def test_a_job_does_not_wait_for_a_task_that_is_over(state: str | None) -> None:
    assert not history.waits_for_next_try(state, exists=True, may_leave=True)


@pytest.mark.parametrize("state", ["running", "queued", "scheduled", "deferred", "up_for_retry"])
def test_a_job_waits_for_a_task_that_goes_on(state: str) -> None:
    assert history.waits_for_next_try(state, exists=True, may_leave=True)
    assert not history.waits_for_next_try(state, exists=False, may_leave=True)
    assert not history.waits_for_next_try(state, exists=True, may_leave=False)
