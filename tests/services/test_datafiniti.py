"""Datafiniti's answers in all three wire generations, and everything odd that its contract tells of."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_jobs import exceptions as errors
from airflow_provider_jobs.exceptions import RemoteJobsError
from airflow_provider_jobs.jobs.model import JobRef, JobSpec, JobState
from airflow_provider_jobs.services.base import Purpose, Reply, Request
from airflow_provider_jobs.services.datafiniti import (
    DatafinitiService,
)
from tests.recorded import Exchange, exchanges, one
from tests.services.driving import DOWNLOAD, Talk, answer, page, talk

SERVICE = DatafinitiService()
SPEC = JobSpec("datafiniti", "download", {"query": "x"}, "v4", "businesses", asked=50)
GET = Request("GET", "/v4/downloads/7", Purpose.POLL)
POST = Request("POST", "/v4/businesses/search", Purpose.START)
DELETE = Request("DELETE", "/v4/downloads/7", Purpose.CANCEL)
CLASSES: dict[int, type[RemoteJobsError]] = {
    400: errors.RequestRejectedError,
    401: errors.AuthenticationError,
    402: errors.PaymentRequiredError,
    403: errors.PermissionDeniedError,
    404: errors.JobNotFoundError,
    422: errors.RequestRejectedError,
    429: errors.RateLimitedError,
    500: errors.ServiceUnavailableError,
}
ERRORS = [pytest.param(found, id=str(found)) for found in exchanges("datafiniti") if found.topic == "errors"]
# The one exception to "decide by the HTTP status": a 400 that speaks of the user token.
BAD_TOKENS = {"an invalid token as 400", "an inactive token as 400", "all strings of a 400 at once"}
NO_MATCHES = {"a 404 that is not JSON", "no match as 400"}


def recorded(name: str, wire: str) -> Exchange:
    return one("datafiniti", "", name, section=wire)


def look(**body: Any) -> Any:
    return talk(SERVICE.look(DOWNLOAD), answer(200, {"id": "7", "status": "running", **body}))


def test_all_samples_are_here() -> None:
    topics = [found.topic for found in exchanges("datafiniti")]
    assert {topic: topics.count(topic) for topic in topics} == {"account": 4, "errors": 27, "jobs": 14}


# --- start --------------------------------------------------------------------------------------------------------


@pytest.mark.pitfall("DF4", "DF5")
@pytest.mark.parametrize(
    ("name", "wire", "job_id"),
    [
        ("start", "W1", "7"),
        ("start", "W2", "847070"),
        ("start", "W3", "example_string"),
        ("start of an enrichment", "W2", "186861"),
    ],
)
def test_start(name: str, wire: str, job_id: str) -> None:
    """DF4 (200 or 202), DF5 (a number, a text, two of them: a text)."""
    found = recorded(name, wire)
    started = SERVICE.read_start(SPEC, found.request(Purpose.START), found.reply, sent_at=3.0)
    assert started.ref == JobRef("datafiniti", "download", job_id, "v4")
    assert (started.started_at, started.asked) == (3.0, 50)


@pytest.mark.pitfall("DF5")
@pytest.mark.parametrize(
    ("body", "job_id"),
    [
        ({"_id": 847070}, "847070"),
        ({"_id": 710516, "id": "847070"}, "847070"),
        ({"id": 0}, "0"),
        ({"id": "", "_id": 5}, "5"),
        ({"id": None, "_id": "5"}, "5"),
        ({"id": "abc-def"}, "abc-def"),
    ],
)
def test_which_id(body: Any, job_id: str) -> None:
    """DF5: `id` before `_id`, which need not agree; not only digits."""
    assert SERVICE.read_start(SPEC, POST, answer(202, body), sent_at=0.0).ref.job_id == job_id


@pytest.mark.pitfall("DF4")
@pytest.mark.parametrize("status", [200, 201, 202])
def test_any_success_with_an_id_is_a_start(status: int) -> None:
    """DF4."""
    assert SERVICE.read_start(SPEC, POST, answer(status, {"id": 1}), sent_at=0.0).ref.job_id == "1"


def test_records_instead_of_a_download() -> None:
    """A download was asked for; the answer of a plain search is an error."""
    found = recorded("search without download", "W1")
    with pytest.raises(errors.UnexpectedReplyError, match="records instead of starting a download"):
        SERVICE.read_start(SPEC, found.request(Purpose.START), found.reply, sent_at=0.0)


@pytest.mark.parametrize("body", [{}, {"status": "queued"}, {"id": True}, {"id": [1]}, {"id": ""}])
def test_a_start_without_an_id(body: Any) -> None:
    with pytest.raises(errors.UnexpectedReplyError, match="without an id"):
        SERVICE.read_start(SPEC, POST, answer(202, body), sent_at=0.0)


@pytest.mark.pitfall("DF15")
@pytest.mark.parametrize("body", ["", "OK", "[]", '{"id": 7', "<html>welcome</html>"])
def test_a_start_whose_answer_is_no_object(body: str) -> None:
    """DF15."""
    with pytest.raises(errors.UnexpectedReplyError, match="not with a JSON object"):
        SERVICE.read_start(SPEC, POST, answer(200, body), sent_at=0.0)


@pytest.mark.parametrize("body", [{"errors": ["bad view"]}, {"error": "bad view"}])
def test_an_error_inside_http_200_is_a_refused_start(body: Any) -> None:
    with pytest.raises(errors.RequestRejectedError, match="bad view"):
        SERVICE.read_start(SPEC, POST, answer(200, body), sent_at=0.0)


@pytest.mark.pitfall("DF9")
@pytest.mark.parametrize("name", sorted(NO_MATCHES))
def test_no_match_says_so(name: str) -> None:
    """DF9 a and c: a 400 and a 404 that is not JSON."""
    found = one("datafiniti", "errors", name)
    with pytest.raises(errors.RequestRejectedError, match="no record matches the query") as caught:
        SERVICE.read_start(SPEC, found.request(Purpose.START), found.reply, sent_at=0.0)
    assert (caught.value.status, caught.value.permanent) == (found.status, True)


# --- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.pitfall("DF15", "DF16", "DF17")
@pytest.mark.parametrize("found", ERRORS)
def test_both_families_of_errors(found: Exchange) -> None:
    """DF15, DF16 (bad tokens as 401, as 400 and as a 401 that is not JSON), DF17 (403 is money or plan)."""
    with pytest.raises(errors.ServiceError) as caught:
        SERVICE.check_error(found.request(), found.reply)
    error, text = caught.value, str(caught.value)
    expected = errors.AuthenticationError if found.name in BAD_TOKENS else CLASSES[found.status]
    assert type(error) is expected
    assert error.status == found.status
    assert error.permanent is (found.status not in {429, 500})
    assert f"answered HTTP {found.status} to {found.method} {found.path}" in text
    try:
        body = found.body
    except ValueError:
        assert found.text in text
        return
    for told in body.get("errors", [body.get("message")] if "message" in body else []):
        assert told in text
    for detail in body.get("details", []):
        assert f"{detail['field']}: {detail['message']}" in text


@pytest.mark.pitfall("DF16")
@pytest.mark.parametrize("name", ["an invalid token as 400", "a wrong token", "a 401 that is not JSON", "unauthorized"])
def test_every_form_of_a_bad_token_refuses_the_key(name: str) -> None:
    """DF16."""
    assert SERVICE.refuses_key(one("datafiniti", "errors", name).reply)


@pytest.mark.pitfall("DF16", "DF17")
@pytest.mark.parametrize("name", ["an id that is no number", "bad request", "payment information", "not found"])
def test_other_errors_do_not_refuse_the_key(name: str) -> None:
    """DF16, DF17."""
    assert not SERVICE.refuses_key(one("datafiniti", "errors", name).reply)


@pytest.mark.pitfall("DF16")
def test_a_token_that_was_revoked_in_mid_job_hints_at_the_password() -> None:
    """DF16: a new password revokes the token; the job goes on, so its id stands in the text."""
    with pytest.raises(errors.AuthenticationError, match="a new password revokes the old token") as caught:
        talk(SERVICE.look(DOWNLOAD), answer(400, {"errors": ["An invalid user token was provided."]}))
    assert DOWNLOAD.job_id in str(caught.value)


# --- status -------------------------------------------------------------------------------------------------------


@pytest.mark.pitfall("DF5", "DF21")
def test_w2_completed() -> None:
    """DF5, DF21: `_id` and `id` differ; dates are not read."""
    found = recorded("completed", "W2")
    status = SERVICE.read_status(found.request(), found.reply)
    assert (status.state, status.raw_status) == (JobState.SUCCEEDED, "completed")
    assert (status.completed, status.total, status.credits_used) == (50, 50, 50)
    assert status.links == tuple(found.body["results"])


@pytest.mark.pitfall("DF8")
def test_w1_running_has_no_bill_yet() -> None:
    """DF8: `total_cost` is filled in at the start."""
    found = recorded("running", "W1")
    status = SERVICE.read_status(found.request(), found.reply)
    assert status.state is JobState.RUNNING
    assert (status.completed, status.total, status.credits_used, status.links) == (0, 200, None, ())


def test_w1_completed() -> None:
    found = recorded("completed", "W1")
    status = SERVICE.read_status(found.request(), found.reply)
    assert (status.state, status.completed, status.credits_used) == (JobState.SUCCEEDED, 50, 50)
    assert len(status.links) == 1


def test_w1_cancelled() -> None:
    found = recorded("cancel, the job", "W1")
    status = SERVICE.read_status(found.request(), found.reply)
    assert (status.state, status.credits_used) == (JobState.CANCELLED, 0)


@pytest.mark.pitfall("DF7")
def test_w3_queued() -> None:
    """DF7: links while it is queued; results are objects, `num_downloaded` and costs do not exist."""
    found = recorded("queued", "W3")
    status = SERVICE.read_status(found.request(), found.reply)
    assert (status.state, status.completed, status.total, status.credits_used) == (JobState.PENDING, None, 42, None)
    assert status.links == ("example_string",)
    assert not status.state.is_over


@pytest.mark.pitfall("DF6")
@pytest.mark.parametrize(
    ("words", "state"),
    [
        (("queued", "pending"), JobState.PENDING),
        (("running", "in_progress", "in progress", "started", "STARTED", "processing"), JobState.RUNNING),
        (("completed", "complete", "COMPLETED", " Completed\n"), JobState.SUCCEEDED),
        (("cancelled", "canceled", "CANCELLED"), JobState.CANCELLED),
        (("failed", "failure", "error", "errored"), JobState.FAILED),
        (("archiving", "", "paused", "done?"), JobState.UNKNOWN),
    ],
)
def test_state_words(words: tuple[str, ...], state: JobState) -> None:
    """DF6: three generations, both cases, both spellings; an unknown word neither kills nor ends a job."""
    for word in words:
        status = look(status=word)
        assert (word, status.state, status.raw_status) == (word, state, word)


@pytest.mark.pitfall("DF6")
@pytest.mark.parametrize("word", [None, 5, ["completed"]])
def test_a_status_of_another_type_is_unknown(word: Any) -> None:
    """DF6."""
    assert look(status=word).state is JobState.UNKNOWN


@pytest.mark.pitfall("DF6")
def test_a_missing_status_is_in_flight_and_with_an_error_it_is_an_error() -> None:
    """DF6: a missing status alone keeps the wait going; an error envelope does not."""
    assert talk(SERVICE.look(DOWNLOAD), answer(200, {"id": "7", "num_downloaded": 3})).state is JobState.UNKNOWN
    with pytest.raises(errors.ServiceUnavailableError, match="boom") as caught:
        talk(SERVICE.look(DOWNLOAD), answer(200, {"errors": ["boom"]}))
    assert not caught.value.permanent
    with pytest.raises(errors.UnexpectedReplyError, match="without a job"):
        talk(SERVICE.look(DOWNLOAD), answer(200, {"hello": 1}))


@pytest.mark.pitfall("DF11")
@pytest.mark.parametrize(
    ("results", "links"),
    [
        (["https://f.test/1", "https://f.test/2"], ("https://f.test/1", "https://f.test/2")),
        ([{"url": "https://f.test/1"}], ("https://f.test/1",)),
        ([{"link": "https://f.test/1"}, {"href": "https://f.test/2"}], ("https://f.test/1", "https://f.test/2")),
        ([{"href": "no", "url": "https://f.test/1"}], ("https://f.test/1",)),
        ([None, "", {}, 5, {"url": None}, "https://f.test/1"], ("https://f.test/1",)),
        (None, ()),
        ([], ()),
        (7, ()),
        ("https://f.test/1", ()),
        ({"url": "https://f.test/1"}, ()),
    ],
)
def test_results_of_every_form(results: Any, links: tuple[str, ...]) -> None:
    """DF11: all files; texts (W1, W2), objects (W3), null."""
    assert look(status="completed", results=results).links == links


@pytest.mark.pitfall("DF11")
def test_120_files_keep_their_order() -> None:
    """DF11."""
    links = [f"https://f.test/7_{n}.txt" for n in range(1, 121)]
    assert look(status="completed", results=links).links == tuple(links)


@pytest.mark.pitfall("DF7")
def test_results_while_it_runs_do_not_end_a_job() -> None:
    """DF7: only the status decides."""
    status = look(results=["https://f.test/7_1.txt"], num_downloaded=50, num_records=50)
    assert not status.state.is_over


@pytest.mark.pitfall("DF8")
@pytest.mark.parametrize("cost", [0, 50])
def test_a_cost_does_not_end_a_job_nor_count_before_its_end(cost: int) -> None:
    """DF8."""
    status = look(total_cost=cost)
    assert (status.state, status.credits_used) == (JobState.RUNNING, None)


@pytest.mark.pitfall("DF10", "DF9")
def test_fewer_records_than_asked_for_is_a_success() -> None:
    """DF10, DF9 d."""
    few = look(status="completed", num_downloaded=1, num_records=50)
    assert (few.state, few.completed, few.total) == (JobState.SUCCEEDED, 1, 50)
    none = look(status="completed", num_downloaded=0, num_records=50, results=[])
    assert (none.state, none.completed, none.links) == (JobState.SUCCEEDED, 0, ())


@pytest.mark.pitfall("DF21")
def test_dates_are_never_read() -> None:
    """DF21."""
    assert look(date_started="no date", date_updated=7, created_at=None).state is JobState.RUNNING


@pytest.mark.pitfall("DF15")
@pytest.mark.parametrize("body", ["", "[]", "OK", '{"id":"7","status":"comp', "null"])
def test_a_truncated_answer_is_a_look_that_failed(body: str) -> None:
    """DF15."""
    with pytest.raises(errors.UnexpectedReplyError, match="not with a JSON object"):
        talk(SERVICE.look(DOWNLOAD), answer(200, body))


def test_a_failed_job_tells_why() -> None:
    assert look(status="failed", error_message="out of luck").error == "out of luck"
    assert look(status="failed", errors=["a", "b"]).error == "a; b"


@pytest.mark.pitfall("DF5")
@pytest.mark.parametrize("job_id", ["7/../../account", "a b", "7?x=1"])
def test_ids_are_quoted(job_id: str) -> None:
    """DF5."""
    conversation = Talk(
        SERVICE.look(JobRef("datafiniti", "download", job_id, "v4")), [answer(200, {"id": 1, "status": ""})]
    )
    conversation.run()
    assert not set(conversation.requests[0].path.removeprefix("/v4/downloads/")) & set("/ ?")


# --- list ---------------------------------------------------------------------------------------------------------


@pytest.mark.pitfall("DF19")
@pytest.mark.parametrize(
    ("wire", "job_id", "state"), [("W1", "1", JobState.RUNNING), ("W3", "example_string", JobState.PENDING)]
)
def test_list(wire: str, job_id: str, state: JobState) -> None:
    """DF19: an envelope and a bare array; there are no pages."""
    conversation = Talk(SERVICE.listing(), [recorded("list", wire).reply])
    [(found, status)] = conversation.run()
    assert (found, status.state) == (job_id, state)
    assert conversation.sent == ["GET /v4/downloads"]
    assert conversation.requests[0].query == {}


@pytest.mark.parametrize(
    ("body", "number"),
    [([], 0), ({"records": []}, 0), ({"records": None}, 0), ({}, 0), ([{"status": "x"}, None, 5, {"_id": 5}], 1)],
)
def test_lists_of_other_forms(body: Any, number: int) -> None:
    assert len(talk(SERVICE.listing(), answer(200, body))) == number


@pytest.mark.parametrize("body", ["", "null", "OK", "5"])
def test_a_list_that_is_none_is_an_error(body: str) -> None:
    with pytest.raises(errors.UnexpectedReplyError):
        talk(SERVICE.listing(), answer(200, body))


# --- cancel -------------------------------------------------------------------------------------------------------


@pytest.mark.pitfall("DF18")
@pytest.mark.parametrize("name", ["cancel, the job", "cancel, a message", "cancel, nothing"])
def test_every_form_of_an_accepted_cancel(name: str) -> None:
    """DF18: no meaning is read from the body."""
    found = one("datafiniti", "jobs", name)
    assert SERVICE.read_cancel(DOWNLOAD, found.request(Purpose.CANCEL), found.reply) is None


@pytest.mark.pitfall("DF18")
@pytest.mark.parametrize(
    ("status", "body", "note"),
    [
        (404, {"errors": ["Download not found."]}, "Download not found."),
        (400, {"errors": ["The download is completed."]}, "The download is completed."),
        (404, {"errors": []}, "HTTP 404"),
    ],
)
def test_nothing_left_to_cancel(status: int, body: Any, note: str) -> None:
    """DF18."""
    assert SERVICE.read_cancel(DOWNLOAD, DELETE, answer(status, body)) == note


@pytest.mark.pitfall("DF16", "DF18")
@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (answer(400, {"errors": ["An invalid user token was provided."]}), errors.AuthenticationError),
        (answer(401, "{ Unauthorized }"), errors.AuthenticationError),
        (answer(403, {"errors": ["payment"]}), errors.PermissionDeniedError),
        (page(404, "nginx"), errors.RouteNotFoundError),
        (answer(429, {"errors": ["too many"]}), errors.RateLimitedError),
        (answer(500, None), errors.ServiceUnavailableError),
    ],
)
def test_refused_cancels(reply: Reply, expected: type) -> None:
    """DF16, DF18: a bad token says nothing of the job."""
    with pytest.raises(errors.ServiceError) as caught:
        SERVICE.read_cancel(DOWNLOAD, DELETE, reply)
    assert type(caught.value) is expected


# --- account and login --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wire", "used"), [("W1", 7), ("W2", 0), ("W3", 42)])
def test_account(wire: str, used: int) -> None:
    assert talk(SERVICE.account(), recorded("account", wire).reply) == f"{used} credits used"


def test_account_without_credits() -> None:
    assert talk(SERVICE.account(), answer(200, {"email": "x"})) == "account found"


def test_login() -> None:
    """The login goes into the body, never into the address."""
    request = SERVICE.login("user@example.com", "your-password")
    assert (str(request), request.query) == ("POST /v4/auth", {})
    assert request.json == recorded("login", "W3").sent
    assert SERVICE.read_login(recorded("login", "W3").reply) == "example_string"


@pytest.mark.pitfall("DF16")
@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (answer(401, {"errors": ["Invalid login."]}), "Invalid login."),
        (answer(401, "{ Unauthorized }"), "Unauthorized"),
        (answer(200, {}), "no token"),
        (answer(200, {"token": ""}), "no token"),
        (answer(200, {"token": 5}), "no token"),
        (answer(200, "OK"), "no token"),
    ],
)
def test_a_refused_login(reply: Reply, text: str) -> None:
    """DF16."""
    with pytest.raises(errors.AuthenticationError, match="did not accept login and password") as caught:
        SERVICE.read_login(reply)
    assert text in str(caught.value)


@pytest.mark.pitfall("DF2", "DF22")
def test_a_start_is_marked_as_billed_and_holds_the_query_in_its_body() -> None:
    """DF2: never sent again; DF22: the format in lower case."""
    request = SERVICE.start(SERVICE.download("products", "brand:*", 5, file_format="CSV"))
    assert (str(request), request.purpose, request.query) == ("POST /v4/products/search", Purpose.START, {})
    assert json.loads(request.content or b"") == {
        "query": "brand:*",
        "format": "csv",
        "download": True,
        "num_records": 5,
    }
