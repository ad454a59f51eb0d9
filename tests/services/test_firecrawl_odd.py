"""Answers of Firecrawl that were not recorded: states, kickoff failures, odd forms; from the contract's text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_jobs import exceptions as errors
from airflow_provider_jobs.jobs.model import FAILED_LISTED, JobRef, JobSpec, JobState
from airflow_provider_jobs.services.base import Purpose, Request
from airflow_provider_jobs.services.firecrawl import FirecrawlService
from tests.services.driving import BATCH, BATCH_V2, CRAWL, Talk, answer, page, talk

SERVICE = FirecrawlService()
GET = Request("GET", "/v1/batch/scrape/x", Purpose.POLL)
POST = Request("POST", "/v1/batch/scrape", Purpose.START)
DELETE = Request("DELETE", "/v1/batch/scrape/x", Purpose.CANCEL)
SPEC = JobSpec("firecrawl", "batch_scrape", {"urls": ["https://a.test/1"]}, "v1", 1)
STATUS = {"success": True, "status": "scraping", "completed": 1, "total": 2, "creditsUsed": 1, "data": []}


def look(**changes: Any) -> Any:
    body = {key: value for key, value in {**STATUS, **changes}.items() if value is not ...}
    return talk(SERVICE.look(BATCH), answer(200, body))


# --- status -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("scraping", JobState.RUNNING),
        ("completed", JobState.SUCCEEDED),
        ("cancelled", JobState.CANCELLED),
        ("failed", JobState.FAILED),
        (" Completed ", JobState.SUCCEEDED),
        ("active", JobState.UNKNOWN),
        ("paused", JobState.UNKNOWN),
        ("queued", JobState.UNKNOWN),
        ("archiving", JobState.UNKNOWN),
        ("", JobState.UNKNOWN),
    ],
)
def test_state_words(word: str, state: JobState) -> None:
    """F44: a word that nobody knows neither ends a job nor fails it, and is kept."""
    status = look(status=word)
    assert (status.state, status.raw_status) == (state, word)


@pytest.mark.parametrize("word", [..., None, 7, ["completed"]])
def test_an_answer_without_a_status_is_no_status(word: Any) -> None:
    with pytest.raises(errors.UnexpectedReplyError, match=r"answered GET /v1/batch/scrape/.* without a status"):
        look(status=word)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_kickoff_failure_is_a_failed_job_inside_http_200(version: str) -> None:
    """F13: HTTP 200 with `success: false`, `error` and status failed."""
    body = {"success": False, "error": "DNS resolution failed", "status": "failed", "completed": 0, "total": 0,
            "creditsUsed": 0, "expiresAt": "2026-11-23T13:35:16.000Z", "data": []}  # fmt: skip
    ref = JobRef("firecrawl", "crawl", "x", version)
    status = talk(SERVICE.look(ref), answer(200, body))
    assert (status.state, status.error) == (JobState.FAILED, "DNS resolution failed")
    assert (status.completed, status.total, status.credits_used) == (0, 0, 0)


def test_success_false_without_a_status_is_a_failure_too() -> None:
    """F13."""
    status = talk(SERVICE.look(BATCH), answer(200, {"success": False, "error": "no such page"}))
    assert (status.state, status.raw_status, status.error) == (JobState.FAILED, None, "no such page")


def test_success_false_beats_the_status_word() -> None:
    """F13."""
    assert look(success=False, status="completed", error="lost").state is JobState.FAILED


def test_a_counter_as_text_is_a_counter() -> None:
    """Otherwise the comparison with what was delivered would be off without a word."""
    assert look(completed="3").completed == 3


def test_unknown_credits() -> None:
    """F28: -1 means unknown, and is never shown as a bill."""
    status = look(creditsUsed=-1)
    assert status.credits_used is None
    assert "credits" not in status.describe()


@pytest.mark.parametrize("value", [..., None, "x", True, [], -5])
def test_counters_that_are_no_counters(value: Any) -> None:
    """F28: nothing is decided by counters, so nothing breaks without them."""
    status = look(completed=value, total=value, creditsUsed=value)
    assert (status.completed, status.total, status.credits_used) == (None, None, None)
    assert status.state is JobState.RUNNING


def test_counters_that_are_equal_do_not_end_a_job() -> None:
    """F29: `completed` == `total` for 15 s or more while the status says scraping."""
    status = look(completed=5, total=5)
    assert status.state is JobState.RUNNING
    assert not status.state.is_over


def test_a_completed_job_without_any_page_is_over() -> None:
    """F5: `completed` says nothing about success."""
    status = look(status="completed", completed=0, total=0)
    assert status.state is JobState.SUCCEEDED
    assert status.describe() == "succeeded (completed) 0/0 records 1 credits"


def test_the_warning_of_v2_is_kept() -> None:
    """F44: further fields do no harm, the warning is passed on."""
    body = {**STATUS, "createdAt": "x", "duration": 3, "warning": "only 3 results", "somethingNew": {"a": 1}}
    assert talk(SERVICE.look(BATCH_V2), answer(200, body)).warning == "only 3 results"


@pytest.mark.parametrize("error", ["boom", {"message": "boom"}, ["boom"], {"error": {"reason": "boom"}}])
def test_an_error_of_any_type_becomes_a_text(error: Any) -> None:
    """F43."""
    assert look(success=False, status="failed", error=error).error == "boom"


def test_a_huge_error_becomes_a_short_text() -> None:
    """F43: the text of a whole page must not reach a log."""
    status = look(success=False, status="failed", error={"value": {"page": "secret page text " * 5000}})
    assert status.error
    assert len(status.error) <= 400


@pytest.mark.parametrize("body", ["", "[]", "null", '"completed"', "OK", '{"status": "comp'])
def test_a_body_that_is_no_object(body: str) -> None:
    """F17: HTTP 200 with something else is a look that failed, not a state."""
    with pytest.raises(errors.UnexpectedReplyError, match="not with a JSON object") as caught:
        talk(SERVICE.look(BATCH), answer(200, body))
    assert not caught.value.permanent


# --- look ---------------------------------------------------------------------------------------------------------


def test_a_look_asks_for_no_document_and_never_follows_next() -> None:
    """F1, F2, F4, F32: one request on our own path with a cursor beyond the end; `next` is not followed."""
    stranger = "https://attacker.example:1234/v1/batch/scrape/x?skip=1"
    conversation = Talk(SERVICE.look(BATCH), [answer(200, {**STATUS, "next": stranger})])
    assert conversation.run().state is JobState.RUNNING
    [request] = conversation.requests
    assert str(request) == f"GET /v1/batch/scrape/{BATCH.job_id}"
    assert request.query["limit"] == "1"
    assert int(request.query["skip"]) > 1_000_000
    assert (request.purpose, request.stop_at) == (Purpose.POLL, "data")


@pytest.mark.parametrize(
    "refusal",
    [
        {"success": False, "error": "Bad Request", "details": [{"path": ["skip"], "message": "too big"}]},
        {"success": False, "error": "limit must be between 1 and 1000"},
    ],
)
def test_a_server_that_refuses_the_cursor_is_asked_without(refusal: Any) -> None:
    """`skip` and `limit` are not documented: a server may refuse them at any time."""
    conversation = Talk(SERVICE.look(BATCH), [answer(400, refusal), answer(200, STATUS)])
    assert conversation.run().state is JobState.RUNNING
    assert conversation.requests[1].query == {}
    assert conversation.requests[1].stop_at == "data"


def test_a_malformed_id_is_asked_about_once() -> None:
    refusal = {"success": False, "error": "Invalid job ID format. Job ID must be a valid UUID."}
    with pytest.raises(errors.RequestRejectedError, match="Job ID must be a valid UUID") as caught:
        talk(SERVICE.look(BATCH), answer(400, refusal))
    assert caught.value.permanent


def test_documents_before_the_status_lead_to_a_full_look() -> None:
    cut = answer(200, '{"success":true,"data":[{"markdown":"the status comes la', cut=True)
    conversation = Talk(SERVICE.look(BATCH), [cut, answer(200, STATUS)])
    assert conversation.run().completed == 1
    assert conversation.requests[1].stop_at is None


@pytest.mark.parametrize("job_id", ["a/../b", "a b", "x?y=1", "é#"])
def test_ids_cannot_leave_their_place_in_the_address(job_id: str) -> None:
    path = SERVICE.job_path(JobRef("firecrawl", "crawl", job_id, "v2"))
    assert path.startswith("/v2/crawl/")
    assert not set(path.removeprefix("/v2/crawl/")) & set("/ ?#")


@pytest.mark.parametrize(("ref", "path"), [(BATCH, "/v1/batch/scrape/"), (BATCH_V2, "/v2/batch/scrape/"),
                                           (CRAWL, "/v1/crawl/")])  # fmt: skip
def test_a_job_is_polled_and_cancelled_on_the_version_that_started_it(ref: JobRef, path: str) -> None:
    conversation = Talk(SERVICE.look(ref), [answer(200, STATUS)])
    conversation.run()
    assert conversation.requests[0].path == path + ref.job_id
    assert SERVICE.cancel(ref).path == path + ref.job_id
    walk_request = SERVICE.pages(ref).request()
    assert walk_request is not None
    assert walk_request.path == path + ref.job_id


# --- HTTP errors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "expected", "permanent", "text"),
    [
        (404, {"success": False, "error": "Job not found"}, errors.JobNotFoundError, True, "Job not found"),
        (404, {"success": False, "error": "Job expired"}, errors.JobNotFoundError, True, "Job expired"),
        (410, None, errors.EndpointGoneError, True, "shut this endpoint down"),
        (413, {"success": False, "error": "Request body is too large"}, errors.RequestRejectedError, True, "too large"),
        (403, {"success": False, "code": "unsafe_domain_blocked", "error": "blocked"}, errors.PermissionDeniedError,
         True, r"blocked; \[unsafe_domain_blocked\]"),
        (503, None, errors.ServiceUnavailableError, False, "HTTP 503"),
        (500, {"error": "boom"}, errors.ServiceUnavailableError, False, "boom"),
        (418, "teapot", errors.RequestRejectedError, True, "teapot"),
        (429, {"success": False, "error": "Queue limit reached: your team has 9 jobs queued (limit: 9)."},
         errors.RateLimitedError, False, "Queue limit reached"),
    ],
)  # fmt: skip
def test_errors_of_a_look(status: int, body: Any, expected: type, permanent: bool, text: str) -> None:
    """F39 (final ones), F17 and F16 (a 500 is a fault of the moment), F41 (410)."""
    with pytest.raises(errors.ServiceError, match=text) as caught:
        talk(SERVICE.look(BATCH), answer(status, body))
    assert type(caught.value) is expected
    assert (caught.value.permanent, caught.value.status) == (permanent, status)
    assert BATCH.job_id in str(caught.value)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_s_page_is_a_fault_of_the_moment(status: int) -> None:
    with pytest.raises(errors.ServiceUnavailableError, match="Bad gateway") as caught:
        talk(SERVICE.look(BATCH), page(status, "Bad gateway"))
    assert "<" not in str(caught.value)


def test_a_404_page_names_host_and_version_as_what_to_check() -> None:
    """F15: a wrong base URL or version is told from a job that is not known."""
    with pytest.raises(errors.RouteNotFoundError, match="check the connection's host and the API version"):
        talk(SERVICE.look(BATCH), page(404, "Cannot GET"))


def test_a_redirect_that_reaches_the_parser_is_refused() -> None:
    with pytest.raises(errors.RedirectRefusedError, match="redirects are not followed"):
        talk(SERVICE.look(BATCH), answer(302, "", headers={"location": "https://other.test"}))


# --- start --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["abc", 12345])
def test_an_id_is_always_a_string(given: Any) -> None:
    started = SERVICE.read_start(SPEC, POST, answer(200, {"success": True, "id": given}), sent_at=1.0)
    assert started.ref.job_id == str(given)


@pytest.mark.parametrize(
    "body", [{"success": True}, {"success": True, "id": None}, {"id": ""}, {"id": True}, {"id": {}}]
)
def test_a_start_without_an_id(body: Any) -> None:
    with pytest.raises(errors.UnexpectedReplyError, match="without an id"):
        SERVICE.read_start(SPEC, POST, answer(200, body), sent_at=1.0)


@pytest.mark.parametrize(
    "body", [{"success": False, "error": "No valid URLs provided"}, {"error": "No valid URLs provided"}]
)
def test_an_error_inside_http_200_is_a_refused_start(body: Any) -> None:
    """F13."""
    with pytest.raises(errors.RequestRejectedError, match="No valid URLs provided"):
        SERVICE.read_start(SPEC, POST, answer(200, body), sent_at=1.0)


@pytest.mark.parametrize("status", [200, 201, 202])
def test_any_success_with_an_id_is_a_start(status: int) -> None:
    assert SERVICE.read_start(SPEC, POST, answer(status, {"id": "x"}), sent_at=1.0).ref.job_id == "x"


def test_refused_urls_are_counted_all_and_named_up_to_a_limit() -> None:
    """F22."""
    bad = [f"bad {n}" for n in range(FAILED_LISTED + 50)]
    started = SERVICE.read_start(SPEC, POST, answer(200, {"id": "x", "invalidURLs": bad}), sent_at=1.0)
    assert (started.refused, len(started.refused_names)) == (150, 100)
    assert started.refused_names[0] == "bad 0"


@pytest.mark.parametrize("invalid", [None, "x", 5, {}])
def test_invalid_urls_in_another_form_are_no_reason_to_lose_the_id(invalid: Any) -> None:
    """F44."""
    started = SERVICE.read_start(SPEC, POST, answer(200, {"id": "x", "invalidURLs": invalid}), sent_at=1.0)
    assert (started.ref.job_id, started.refused) == ("x", 0)


def test_a_409_on_a_start_is_final_and_says_why() -> None:
    """F19, F20: a key already used; not to be sent again."""
    with pytest.raises(errors.RequestRejectedError, match="Idempotency key already used") as caught:
        SERVICE.read_start(
            SPEC, POST, answer(409, {"success": False, "error": "Idempotency key already used"}), sent_at=1.0
        )
    assert caught.value.permanent


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_start_carries_no_idempotency_key_and_is_marked_as_billed(version: str) -> None:
    """F20, F21: a key breaks every start on a server without database, and v2 ignores it."""
    request = SERVICE.start(SERVICE.batch_scrape(["https://a.test/1"], api_version=version))
    assert (str(request), request.purpose) == (f"POST /{version}/batch/scrape", Purpose.START)
    assert "dempotency" not in json.dumps(request.json)


# --- cancel -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"status": "cancelled"},
        {"success": True, "message": "Batch scrape job successfully cancelled."},
        {"success": True},
        {},
        None,
        "OK",
    ],
)
def test_every_form_of_an_accepted_cancel(body: Any) -> None:
    """F13: the documented, the real and the empty answer; none needs a `success`."""
    assert SERVICE.read_cancel(BATCH, DELETE, answer(200, body)) is None


def test_a_204_is_an_accepted_cancel() -> None:
    assert SERVICE.read_cancel(BATCH, DELETE, answer(204)) is None


@pytest.mark.parametrize(
    ("status", "body", "note"),
    [
        (409, {"error": "Crawl is already completed"}, "Crawl is already completed"),
        (409, {"error": "Agent is already cancelled"}, "Agent is already cancelled"),
        (409, None, "HTTP 409"),
        (404, {"error": "Job not found"}, "Job not found"),
        (404, {"success": False, "error": "Crawl job not found."}, "Crawl job not found."),
        (404, None, "HTTP 404"),
    ],
)
def test_nothing_left_to_cancel(status: int, body: Any, note: str) -> None:
    """F10: a 409 of 2026 and a 404 are no errors of a cancel."""
    assert SERVICE.read_cancel(BATCH, DELETE, answer(status, body)) == note


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (page(404, "Cannot DELETE"), errors.RouteNotFoundError),
        (answer(401, {"error": "Unauthorized"}), errors.AuthenticationError),
        (answer(403, {"error": "Unauthorized"}), errors.PermissionDeniedError),
        (answer(400, {"error": "Invalid job ID format. Job ID must be a valid UUID."}), errors.RequestRejectedError),
        (answer(429, {"error": "please retry after 7s"}), errors.RateLimitedError),
        (answer(500, {"error": "x"}), errors.ServiceUnavailableError),
        (page(502, "Bad gateway"), errors.ServiceUnavailableError),
    ],
)
def test_refused_cancels(reply: Any, expected: type) -> None:
    """F12, F15: these say nothing about the job, which may still run."""
    with pytest.raises(errors.ServiceError) as caught:
        SERVICE.read_cancel(BATCH, DELETE, reply)
    assert type(caught.value) is expected


# --- errors of pages ----------------------------------------------------------------------------------------------


def test_v2_batches_of_2025_ask_the_crawl_route_for_errors() -> None:
    """F34: v2 of Aug 2025 has no errors route for batches; one controller serves both."""
    conversation = Talk(
        SERVICE.page_errors(BATCH_V2), [page(404, "Cannot GET"), answer(200, {"errors": [], "robotsBlocked": []})]
    )
    assert conversation.run() == []
    assert conversation.sent == [
        f"GET /v2/batch/scrape/{BATCH_V2.job_id}/errors",
        f"GET /v2/crawl/{BATCH_V2.job_id}/errors",
    ]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_errors_that_cannot_be_had_are_no_failure(status: int) -> None:
    """F34."""
    assert talk(SERVICE.page_errors(CRAWL), answer(status, {"success": False, "error": "Forbidden"})) is None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"errors": None, "robotsBlocked": None},
        {"errors": [None, 3, "x"]},
        {"errors": 7, "robotsBlocked": 7},
        {"errors": {"url": "x"}},
    ],
)
def test_an_errors_body_of_another_form_names_nothing(body: Any) -> None:
    """F44."""
    assert talk(SERVICE.page_errors(CRAWL), answer(200, body)) == []


def test_page_errors_without_code_and_with_an_object() -> None:
    """F43: entries lack `timestamp` and `code` once the record is gone; `error` may be an object."""
    body = {"errors": [{"id": "1", "url": "u1", "error": {"message": "gone"}}, {"url": "u2", "code": "SCRAPE_TIMEOUT"}]}
    assert talk(SERVICE.page_errors(CRAWL), answer(200, body)) == [
        {"url": "u1", "error": "gone"},
        {"url": "u2", "error": "", "code": "SCRAPE_TIMEOUT"},
    ]


# --- account ------------------------------------------------------------------------------------------------------


def test_account_of_2026() -> None:
    body = {"success": True, "jobsInQueue": 3, "activeJobsInQueue": 1, "waitingJobsInQueue": 2, "maxConcurrency": 50}
    assert talk(SERVICE.account("v2"), answer(200, body)) == "3 pages queued, 50 at a time"


def test_account_of_v2_without_queue_status() -> None:
    credits_left = answer(200, {"success": True, "data": {"remainingCredits": 12}})
    assert talk(SERVICE.account("v2"), page(404, "Cannot GET"), credits_left) == "12 credits left"


def test_account_with_a_wrong_key() -> None:
    with pytest.raises(errors.AuthenticationError, match="check the connection's password"):
        talk(SERVICE.account("v1"), answer(401, {"success": False, "error": "Unauthorized: Invalid token"}))


def test_account_at_an_address_that_is_no_firecrawl() -> None:
    with pytest.raises(errors.RouteNotFoundError, match="check the connection's host"):
        talk(SERVICE.account("v1"), page(404, "nginx"), page(404, "nginx"))


def test_only_a_401_refuses_the_key() -> None:
    assert SERVICE.refuses_key(answer(401))
    assert not any(SERVICE.refuses_key(answer(status)) for status in (200, 400, 403, 404, 500))


def test_there_is_no_login() -> None:
    with pytest.raises(errors.InvalidInputError, match="put the API key into Password"):
        SERVICE.login("a", "b")
    with pytest.raises(errors.InvalidInputError, match="put the API key into Password"):
        SERVICE.read_login(answer(200))


def test_a_kind_that_does_not_exist() -> None:
    with pytest.raises(errors.InvalidInputError, match=r"kind must be one of batch_scrape, crawl.* not 'harvest'"):
        SERVICE.job_path(JobRef("firecrawl", "harvest", "x", "v1"))
