"""Cancelling: look first, verify, repeat, and always come to an end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_jobs import exceptions as errors
from airflow_provider_jobs.jobs.model import JobRef, JobState
from airflow_provider_jobs.services.base import Reply, Request, Service
from airflow_provider_jobs.services.cancelling import PAUSES, CancelOutcome, cancel_flow, delete_flow
from airflow_provider_jobs.services.datafiniti import DatafinitiService
from airflow_provider_jobs.services.firecrawl import FirecrawlService
from tests.services.driving import BATCH, DOWNLOAD, Talk, answer, page

FIRECRAWL = FirecrawlService()
GET, DELETE = f"GET /v1/batch/scrape/{BATCH.job_id}", f"DELETE /v1/batch/scrape/{BATCH.job_id}"
NOT_FOUND = answer(404, {"success": False, "error": "Job not found"})
ACCEPTED = answer(200, {"status": "cancelled"})
TOO_MANY = answer(429, {"success": False, "error": "Rate limit exceeded, please retry after 58s"})
BROKEN = answer(500, {"success": False, "code": "UNKNOWN_ERROR", "error": "An unexpected error occurred."})


def status(word: str, completed: int = 1, total: int = 5) -> Reply:
    return answer(
        200, {"success": True, "status": word, "completed": completed, "total": total, "creditsUsed": 1, "data": []}
    )


def cancel(*replies: Reply | Exception, ref: JobRef = BATCH, service: Any = FIRECRAWL, **more: Any) -> Talk:
    conversation = Talk(cancel_flow(service, ref, **more), list(replies))
    conversation.run()
    return conversation


def test_a_running_job_is_cancelled_and_the_cancel_is_verified() -> None:
    """F11."""
    conversation = cancel(status("scraping"), ACCEPTED, status("cancelled", 4, 12))
    assert conversation.sent == [GET, DELETE, GET]
    outcome: CancelOutcome = conversation.outcome
    assert outcome.status is not None
    assert (outcome.status.state, outcome.was_over) == (JobState.CANCELLED, False)
    assert outcome.note == f"{BATCH} is over: cancelled 4/12 records 1 credits"


@pytest.mark.parametrize("word", ["completed", "cancelled", "failed"])
def test_a_finished_job_is_never_deleted(word: str) -> None:
    """F10, F9: on a server of 2025 a DELETE turns completed into cancelled."""
    conversation = cancel(status(word))
    assert conversation.sent == [GET]
    assert conversation.outcome.was_over
    assert conversation.outcome.status.raw_status == word
    assert f"{BATCH} is over already: " in conversation.outcome.note


def test_a_job_that_is_not_known_is_nothing_to_cancel() -> None:
    """F15."""
    conversation = cancel(NOT_FOUND)
    assert conversation.sent == [GET]
    assert (conversation.outcome.status, conversation.outcome.was_over) == (None, True)
    assert conversation.outcome.note == f"{BATCH} is unknown to Firecrawl: nothing to cancel"


def test_a_new_job_that_is_not_known_yet_is_cancelled() -> None:
    """F14: for some seconds after the start, "not found" means "not yet", and the job would run on."""
    conversation = cancel(NOT_FOUND, NOT_FOUND, NOT_FOUND, NOT_FOUND, ACCEPTED, status("cancelled"), is_new=True)
    assert conversation.sent == [GET, DELETE, GET, GET, DELETE, GET]
    assert conversation.outcome.status.state is JobState.CANCELLED


def test_a_new_job_whose_cancel_was_accepted_may_stay_unknown() -> None:
    conversation = cancel(NOT_FOUND, ACCEPTED, NOT_FOUND, is_new=True)
    assert conversation.sent == [GET, DELETE, GET]


def test_a_new_job_that_is_never_found_may_still_run() -> None:
    conversation = Talk(cancel_flow(FIRECRAWL, BATCH, is_new=True), lambda request: NOT_FOUND)
    with pytest.raises(errors.JobNotCancelledError, match="may still run"):
        conversation.run()


def test_an_unknown_word_is_cancelled() -> None:
    """F44: it may be running, and then it is billed."""
    assert cancel(status("archiving"), ACCEPTED, status("cancelled")).sent == [GET, DELETE, GET]


def test_a_lost_cancel_is_sent_again() -> None:
    """F12: a worker that saves the job at that moment undoes the flag."""
    running = status("scraping")
    conversation = cancel(running, ACCEPTED, running, running, ACCEPTED, status("cancelled"))
    assert conversation.sent == [GET, DELETE, GET, GET, DELETE, GET]
    assert conversation.pauses == [PAUSES[0]]


def test_a_cancel_that_is_refused_for_too_many_requests_is_sent_again() -> None:
    """F12, F18: cancels and polls share one counter."""
    running = status("scraping")
    conversation = cancel(running, TOO_MANY, running, running, ACCEPTED, status("cancelled"))
    assert conversation.sent == [GET, DELETE, GET, GET, DELETE, GET]
    assert conversation.outcome.status.state is JobState.CANCELLED


@pytest.mark.parametrize("failure", [BROKEN, page(502, "x"), errors.TransportError("lost", sent=True)])
def test_a_cancel_that_fails_for_a_moment_is_sent_again(failure: Any) -> None:
    """F12: also after a network error, which the driver throws into the flow."""
    running = status("scraping")
    conversation = cancel(running, failure, running, running, ACCEPTED, status("cancelled"))
    assert conversation.sent == [GET, DELETE, GET, GET, DELETE, GET]


def test_a_job_that_finishes_between_two_deletes_gets_no_second_one() -> None:
    """F10, F12: the cancel was lost, and then the job completed by itself."""
    conversation = cancel(status("scraping"), ACCEPTED, status("scraping"), status("completed", 5))
    assert conversation.sent == [GET, DELETE, GET, GET]
    assert conversation.outcome.status.state is JobState.SUCCEEDED


def test_a_409_ends_with_a_look() -> None:
    """F10: it finished between the look and the DELETE."""
    conversation = cancel(
        status("scraping"), answer(409, {"error": "Crawl is already completed"}), status("completed", 5)
    )
    assert conversation.sent == [GET, DELETE, GET]
    assert conversation.outcome.status.state is JobState.SUCCEEDED


def test_a_404_on_the_delete_ends_with_a_look() -> None:
    conversation = cancel(status("scraping"), answer(404, {"error": "Job not found"}), NOT_FOUND)
    assert conversation.sent == [GET, DELETE, GET]
    assert (conversation.outcome.status, conversation.outcome.was_over) == (None, True)
    assert conversation.outcome.note == f"{BATCH} is gone from Firecrawl"


@pytest.mark.parametrize(
    "gone", [answer(404, {"error": "Job not found"}), answer(409, {"error": "Crawl is already completed"})]
)
def test_nothing_left_to_cancel_is_an_end_though_no_status_can_be_had(gone: Reply) -> None:
    """F16: a server with database answers GET of an unknown id with 500, and DELETE with 404."""
    conversation = Talk(cancel_flow(FIRECRAWL, BATCH), lambda request: gone if request.method == "DELETE" else BROKEN)
    outcome = conversation.run()
    assert outcome.status is None
    assert BATCH.job_id in outcome.note
    assert conversation.sent.count(DELETE) < len(PAUSES)


def test_a_404_as_a_page_is_no_proof_that_the_job_is_gone() -> None:
    """F15: a wrong base URL or version; the job may run on."""
    with pytest.raises(errors.JobNotCancelledError, match=r"could not be cancelled and may still run: .*API version"):
        cancel(page(404, "Cannot GET"), page(404, "Cannot DELETE"))


@pytest.mark.parametrize(
    ("refusal", "text"),
    [
        (answer(401, {"error": "Unauthorized"}), "check the connection's password"),
        (answer(403, {"error": "Unauthorized"}), "may not do this"),
        (answer(400, {"error": "Invalid job ID format."}), "Invalid job ID format"),
    ],
)
def test_a_refusal_that_stays_is_reported_at_once(refusal: Reply, text: str) -> None:
    """F39."""
    with pytest.raises(
        errors.JobNotCancelledError, match=f"{BATCH} could not be cancelled and may still run: .*{text}"
    ) as caught:
        cancel(status("scraping"), refusal)
    assert caught.value.permanent
    assert isinstance(caught.value.__cause__, errors.ServiceError)


def test_it_gives_up_within_a_minute_and_says_how_the_job_does() -> None:
    """F11, F12: bounded, whatever the server does."""
    conversation = Talk(
        cancel_flow(FIRECRAWL, BATCH), lambda request: ACCEPTED if request.method == "DELETE" else status("scraping")
    )
    with pytest.raises(
        errors.JobNotCancelledError, match=r"may still run, the cancel did not take effect: running \(scraping\) 1/5"
    ):
        conversation.run()
    assert conversation.sent.count(DELETE) == len(PAUSES)
    assert 30 <= sum(conversation.pauses) <= 60


def test_no_time_is_waited_that_no_look_follows() -> None:
    steps: list[str] = []
    flow = cancel_flow(FIRECRAWL, BATCH, pauses=(1.0, 2.0))
    step: Any = next(flow)
    with pytest.raises(errors.JobNotCancelledError):
        while True:
            steps.append(getattr(step, "method", "pause"))
            replies = {"DELETE": ACCEPTED, "GET": status("scraping"), "pause": None}
            step = flow.send(replies[steps[-1]])
    assert steps[-1] == "GET"


def test_a_look_that_fails_first_does_not_hinder_the_cancel() -> None:
    """No orphan: the cancel matters more than the look; the failed look is one bad poll."""
    conversation = Talk(
        cancel_flow(FIRECRAWL, BATCH),
        _server(looks=[BROKEN], then=status("scraping"), deleted=status("cancelled")),
    )
    outcome = conversation.run()
    assert outcome.status.state is JobState.CANCELLED
    assert DELETE in conversation.sent


def test_a_look_that_fails_once_does_not_lead_to_the_delete_of_a_finished_job() -> None:
    """F10: one 500 or 429 on the first look, and the job is complete."""
    conversation = Talk(cancel_flow(FIRECRAWL, BATCH), _server(looks=[TOO_MANY], then=status("completed")))
    outcome = conversation.run()
    assert DELETE not in conversation.sent
    assert outcome.status.state is JobState.SUCCEEDED


def test_a_look_that_never_answers_does_not_keep_a_job_alive() -> None:
    """No orphan: when the status cannot be had at all, the DELETE is sent all the same."""
    conversation = Talk(
        cancel_flow(FIRECRAWL, BATCH), lambda request: ACCEPTED if request.method == "DELETE" else BROKEN
    )
    with pytest.raises(errors.JobNotCancelledError, match="may still run"):
        conversation.run()
    assert DELETE in conversation.sent


def test_datafiniti_is_cancelled_by_the_same_flow() -> None:
    """DF18: the body means nothing, a race that ends as completed is no error."""
    running = answer(200, {"id": 847070, "status": "running"})
    done = answer(200, {"id": 847070, "status": "completed", "num_downloaded": 3, "total_cost": 3})
    conversation = cancel(running, answer(200), running, running, answer(200, {"message": "x"}), done, ref=DOWNLOAD,
                          service=DatafinitiService())  # fmt: skip
    assert conversation.sent == [
        f"{method} /v4/downloads/847070" for method in ("GET", "DELETE", "GET", "GET", "DELETE", "GET")
    ]
    assert conversation.outcome.status.state is JobState.SUCCEEDED


def test_datafiniti_refuses_the_cancel_of_a_finished_job() -> None:
    """DF18: a 400 that is no bad token; then the status decides."""
    running = answer(200, {"id": 1, "status": "running"})
    over = answer(400, {"errors": ["already over"]})
    done = answer(200, {"id": 1, "status": "completed"})
    conversation = cancel(running, over, done, ref=DOWNLOAD, service=DatafinitiService())
    assert conversation.outcome.status.state is JobState.SUCCEEDED


REPLIES = st.sampled_from(
    [status("scraping"), status("completed"), status("cancelled"), status("failed"), status("odd"), NOT_FOUND, ACCEPTED,
     TOO_MANY, BROKEN, page(404, "x"), page(502, "x"), answer(200), answer(401), answer(403), answer(409), answer(400),
     errors.TransportError("lost", sent=True), errors.UnexpectedReplyError("odd"), errors.TlsError("bad", sent=False)]
)  # fmt: skip


@pytest.mark.parametrize(("service", "ref"), [(FIRECRAWL, BATCH), (DatafinitiService(), DOWNLOAD)])
@given(data=st.data())
def test_every_cancel_ends_and_says_how(service: Service, ref: JobRef, data: st.DataObject) -> None:
    """F11, F12: whatever is answered, in bounded requests and time, with an outcome or the one error."""
    conversation = Talk(cancel_flow(service, ref), lambda request: data.draw(REPLIES))
    try:
        outcome = conversation.run(limit=100)
    except errors.JobNotCancelledError as error:
        assert ref.job_id in str(error)
        assert error.permanent
    else:
        assert ref.job_id in outcome.note
        assert outcome.status is None or outcome.status.state.is_over
    assert sum(conversation.pauses) <= 75


@pytest.mark.parametrize(
    "reply", [ACCEPTED, NOT_FOUND, answer(409, {"error": "Crawl is already completed"}), answer(204)]
)
def test_a_quick_cancel_is_one_delete(reply: Reply) -> None:
    conversation = Talk(delete_flow(FIRECRAWL, BATCH), [reply])
    assert conversation.run() is None
    assert conversation.sent == [DELETE]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (TOO_MANY, errors.RateLimitedError),
        (answer(403), errors.PermissionDeniedError),
        (errors.TransportError("lost", sent=True), errors.TransportError),
    ],
)
def test_a_quick_cancel_that_is_refused(reply: Any, expected: type) -> None:
    with pytest.raises(expected):
        Talk(delete_flow(FIRECRAWL, BATCH), [reply]).run()


def _server(looks: list[Reply], then: Reply, deleted: Reply | None = None) -> Callable[[Request], Reply]:
    """Answers the first looks as given, then always the same; after a DELETE as `deleted`."""
    left, gone = list(looks), False

    def serve(request: Request) -> Reply:
        nonlocal gone
        if request.method == "DELETE":
            gone = True
            return ACCEPTED
        if left:
            return left.pop(0)
        return deleted if gone and deleted else then

    return serve
