"""What one look means for a wait: grace, patience, deadline, and waits that the service asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_jobs import exceptions as errors
from airflow_provider_jobs.exceptions import RemoteJobsError
from airflow_provider_jobs.jobs.model import JobState, JobStatus
from airflow_provider_jobs.jobs.pace import pause
from airflow_provider_jobs.jobs.verdict import GRACE, PATIENCE, GiveUp, Over, TimedOut, Wait, Watch

START = 1_700_000_000.0
RUNNING = JobStatus(JobState.RUNNING, "scraping", 1, 5)
NOT_FOUND = errors.JobNotFoundError("Job not found", status=404)
PAGE = errors.RouteNotFoundError("no such address", status=404)
BROKEN = errors.ServiceUnavailableError("HTTP 500", status=500)
LOST = errors.TransportError("lost", sent=True)


def watch(
    deadline: float | None = None, *, poll_interval: float = 30.0, floor: float = 1.0, address_known: bool = True
) -> Watch:
    return Watch(
        address_known=address_known,
        started_at=START,
        deadline=None if deadline is None else START + deadline,
        poll_interval=poll_interval,
        floor=floor,
    )


@pytest.mark.parametrize("state", list(JobState))
def test_only_an_end_state_ends_a_wait(state: JobState) -> None:
    """F29, F44, DF6: an unknown word neither ends a job nor kills it."""
    verdict = watch().saw(JobStatus(state), START + 10)
    if state in {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}:
        assert verdict == Over(JobStatus(state))
    else:
        assert isinstance(verdict, Wait)


def test_an_end_that_is_seen_late_is_an_end() -> None:
    """What is done and paid for is not timed out."""
    done = JobStatus(JobState.SUCCEEDED)
    assert watch(60).saw(done, START + 1000) == Over(done)


@pytest.mark.parametrize("now", [60.0, 60.1, 10_000.0])
def test_the_deadline_ends_a_wait_by_wall_clock(now: float) -> None:
    """F30: a job that is stuck for ever; DF6: only the timeout ends an unknown word."""
    assert watch(60).saw(RUNNING, START + now) == TimedOut(RUNNING)
    watching = watch(60)
    watching.saw(RUNNING, START + 5)
    assert watching.missed(BROKEN, START + now) == TimedOut(RUNNING)
    assert watch(60).missed(BROKEN, START + now) == TimedOut(None)


@given(st.floats(0, 59.99), st.booleans())
def test_no_wait_goes_beyond_the_deadline(age: float, fails: bool) -> None:
    watching = watch(60, poll_interval=3600, floor=20)
    verdict = watching.missed(BROKEN, START + age) if fails else watching.saw(RUNNING, START + age)
    assert isinstance(verdict, Wait)
    assert 0 < verdict.seconds <= 60 - age + 1e-6


@pytest.mark.parametrize("age", [0.0, 1.0, 30.0, GRACE - 0.1])
def test_not_found_shortly_after_the_start_means_not_yet(age: float) -> None:
    """F14: hosted servers answer 404 for some seconds."""
    assert isinstance(watch().missed(NOT_FOUND, START + age), Wait)


def test_not_found_later_is_final() -> None:
    """F15."""
    assert 30 <= GRACE <= 60
    assert watch().missed(NOT_FOUND, START + GRACE) == GiveUp(NOT_FOUND)
    watching = watch()
    watching.saw(RUNNING, START + 100)
    assert watching.missed(NOT_FOUND, START + 130) == GiveUp(NOT_FOUND)


def test_a_500_for_an_id_that_is_not_known_yet_is_waited_out() -> None:
    """F14, F16."""
    watching = watch()
    assert isinstance(watching.missed(BROKEN, START + 1), Wait)
    assert isinstance(watching.saw(RUNNING, START + 10), Wait)


@pytest.mark.parametrize(
    "error",
    [
        errors.AuthenticationError("401", status=401),
        errors.PaymentRequiredError("402", status=402),
        errors.PermissionDeniedError("403", status=403),
        errors.EndpointGoneError("410", status=410),
        errors.RequestRejectedError("400", status=400),
        errors.TlsError("certificate", sent=False),
    ],
)
def test_permanent_errors_end_a_wait_at_once(error: RemoteJobsError) -> None:
    """F39, F41, DF16, DF17."""
    watching = watch(3600)
    watching.saw(RUNNING, START + 5)
    assert watching.missed(error, START + 10) == GiveUp(error)


def test_a_wrong_address_is_noticed_at_the_first_look_only() -> None:
    """F15: later, or where the job was started, a page means a proxy that restarts."""
    assert watch(address_known=False).missed(PAGE, START + 1) == GiveUp(PAGE)
    assert isinstance(watch().missed(PAGE, START + 1), Wait)
    watching = watch(address_known=False)
    watching.saw(RUNNING, START + 5)
    assert isinstance(watching.missed(PAGE, START + 10), Wait)


def test_a_proxy_that_speaks_for_an_absent_service_ends_no_wait() -> None:
    """A maintenance page or a redirect says nothing about the job; at an address that has never worked, it does."""
    refused = errors.PermissionDeniedError("403 as a page", status=403)
    refused.is_page = True
    for error in (refused, errors.RedirectRefusedError("elsewhere")):
        assert isinstance(watch().missed(error, START + 1), Wait)
        assert watch(address_known=False).missed(error, START + 1) == GiveUp(error)


TRANSIENT = [BROKEN, LOST, errors.UnexpectedReplyError("odd"), errors.RateLimitedError("429"),
             errors.TransportError("refused", sent=False)]  # fmt: skip


@pytest.mark.parametrize("error", TRANSIENT)
def test_failed_looks_are_borne_for_a_while_and_then_not(error: RemoteJobsError) -> None:
    """F17, F16: a job is healthy until proven otherwise, and in the end the last error is told."""
    watching, now, looks = watch(), START + 100, 0
    first = now
    while isinstance(verdict := watching.missed(error, now), Wait):
        assert verdict.seconds >= watching.floor
        now += verdict.seconds
        looks += 1
        assert looks < 1000
    assert verdict == GiveUp(error)
    assert now - first >= PATIENCE
    assert now - first < PATIENCE + 120
    assert looks >= 10


@pytest.mark.parametrize("error", TRANSIENT)
def test_one_good_look_renews_the_patience(error: RemoteJobsError) -> None:
    """F17."""
    watching = watch()
    for hour in range(50):
        now = START + 3600 * hour
        for minute in range(14):
            assert isinstance(watching.missed(error, now + 60 * minute), Wait)
        assert isinstance(watching.saw(RUNNING, now + 60 * 14), Wait)


def test_a_stalled_triggerer_does_not_give_up_on_two_bad_looks() -> None:
    """The clock alone is no sign of patience: the looks between may never have been made."""
    watching = watch()
    for looks in range(4):
        assert isinstance(watching.missed(BROKEN, START + looks * PATIENCE), Wait)
    assert watching.missed(BROKEN, START + 4 * PATIENCE) == GiveUp(BROKEN)


def test_pauses_after_failures_grow_and_are_bounded() -> None:
    watching = watch(floor=5.0)
    waits = [watching.missed(BROKEN, START + 100 + n) for n in range(20)]
    seconds = [wait.seconds for wait in waits if isinstance(wait, Wait)]
    assert seconds[:3] == [10.0, 20.0, 40.0]
    assert set(seconds[3:]) == {60.0}
    watching.saw(RUNNING, START + 200)
    assert watching.missed(BROKEN, START + 201) == Wait(10.0)


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (errors.RateLimitedError("429", retry_after=58.0), 58.0),
        (errors.RateLimitedError("429", retry_after=90.0), 90.0),
        (errors.ServiceUnavailableError("503", status=503, retry_after=17.0), 17.0),
        (errors.RateLimitedError("429", retry_after=0.0), 5.0),
        (errors.RateLimitedError("429", retry_after=None), 10.0),
    ],
)
def test_the_wait_that_a_service_asks_for_is_kept(error: RemoteJobsError, seconds: float) -> None:
    """F18: never below the fair floor."""
    assert watch(floor=5.0).missed(error, START + 1) == Wait(seconds)


@pytest.mark.parametrize("asked", [3600.0, 86_400.0, 1e9])
def test_a_wait_that_is_out_of_all_proportion_is_capped(asked: float) -> None:
    """F18: a header of a day, once, must not make a finished job wait for a day, nor use up the patience at once."""
    watching = watch()
    now = START + 100
    for _ in range(3):
        verdict = watching.missed(errors.RateLimitedError("429", retry_after=asked), now)
        assert isinstance(verdict, Wait)
        assert verdict.seconds <= 300
        now += verdict.seconds


# --- pace ---------------------------------------------------------------------------------------------------------


@given(st.floats(-100, 1e7), st.floats(0.1, 1e5), st.floats(0.1, 60))
def test_a_pause_lies_between_the_floor_and_the_interval(age: float, interval: float, floor: float) -> None:
    seconds = pause(age, poll_interval=interval, floor=floor)
    assert seconds >= floor
    assert seconds <= max(interval, floor)
    assert pause(age + 100, poll_interval=interval, floor=floor) >= seconds


@pytest.mark.parametrize(
    ("age", "interval", "floor", "seconds"),
    [(0, 30, 1, 1), (50, 30, 1, 10), (150, 30, 1, 30), (10_000, 30, 1, 30), (10_000, 1, 5, 5), (-50, 30, 5, 5)],
)
def test_pauses(age: float, interval: float, floor: float, seconds: float) -> None:
    """A clock that was set back does no harm; the fair floor wins over the interval."""
    assert pause(age, poll_interval=interval, floor=floor) == seconds


def test_a_job_of_a_day_costs_few_looks() -> None:
    watching, now, looks = watch(86_400), START, 0
    while isinstance(verdict := watching.saw(RUNNING, now), Wait):
        now += verdict.seconds
        looks += 1
    assert isinstance(verdict, TimedOut)
    assert now == START + 86_400
    assert 2800 < looks < 3000
