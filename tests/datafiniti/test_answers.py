"""Every documented answer of every address that is used, over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_jobs import exceptions as errors
from airflow_provider_jobs.hooks.datafiniti import DatafinitiHook
from airflow_provider_jobs.jobs.model import JobState, StartedJob
from airflow_provider_jobs.sandbox import Sandbox
from tests.datafiniti.conftest import AT_ONCE, ON_CALL
from tests.recorded import Exchange, exchanges

TYPES = ["businesses", "products", "properties", "people"]
WIRES = pytest.mark.parametrize("wire", ["w1", "w2", "w3"])
FAMILIES = pytest.mark.parametrize("family", ["e1", "e2", "nonjson"])
RECORDED = [pytest.param(found, id=str(found)) for found in exchanges("datafiniti") if found.topic == "errors"]
SHORT = (0.01, 0.01)
WAITS: list[float] = []


def start(data_type: str = "businesses") -> StartedJob:
    hook = DatafinitiHook()
    spec = hook.service.download(data_type, "country:US", 5)
    return hook.start(spec, sleep=WAITS.append)


def look() -> Any:
    return DatafinitiHook().look(DatafinitiHook().job("7"))


def account() -> Any:
    hook = DatafinitiHook()
    return hook.run(hook.service.account(), attempts=1)


ADDRESSES: dict[str, tuple[str, str, Callable[[], Any]]] = {
    **{data_type: ("POST", f"/v4/{data_type}/search", lambda kind=data_type: start(kind)) for data_type in TYPES},
    "look": ("GET", "/v4/downloads/7", look),
    "list": ("GET", "/v4/downloads", lambda: DatafinitiHook().run(DatafinitiHook().service.listing(), attempts=1)),
    "account": ("GET", "/v4/account", account),
}
CLASSES: dict[int, type[errors.RemoteJobsError]] = {
    400: errors.RequestRejectedError,
    401: errors.AuthenticationError,
    402: errors.PaymentRequiredError,
    403: errors.PermissionDeniedError,
    404: errors.JobNotFoundError,
    422: errors.RequestRejectedError,
    429: errors.RateLimitedError,
    500: errors.ServiceUnavailableError,
}


def expected(address: str, found: Exchange) -> type[errors.RemoteJobsError]:
    """What an error means at an address: one that leaves open whether a start was acted upon is another matter."""
    if found.status in {400, 401} and ("user token" in found.text or found.status == 401):
        return errors.AuthenticationError
    if address in TYPES and found.status in {404, 500}:
        return errors.RequestRejectedError if found.status == 404 else errors.StartUncertainError
    return CLASSES[found.status]


@pytest.mark.pitfall("DF15", "DF16", "DF17")
@pytest.mark.parametrize("address", list(ADDRESSES))
@pytest.mark.parametrize("found", RECORDED)
def test_every_documented_error(sandbox: Sandbox, address: str, found: Exchange) -> None:
    """In all its families, JSON or not; the status decides, and what the service says is passed on."""
    method, path, call = ADDRESSES[address]
    sandbox.control.fault("datafiniti", "error_text", times=None, method=method, status=found.status, text=found.text)
    with pytest.raises(errors.RemoteJobsError) as caught:
        call()
    assert type(caught.value) is expected(address, found)
    text = str(caught.value)
    assert f"{method} {path}" in text or text.startswith("no record matches the query")
    try:
        said = found.body
    except ValueError:
        said = {}
    for told in said.get("errors", [said["message"]] if "message" in said else []):
        assert told in text or len(text) > 400
    calls = sandbox.control.requests(host="datafiniti")
    sent_again = found.status in {429, 500} and address == "look"
    if address in TYPES and found.status == 429:
        assert sandbox.control.jobs("datafiniti") == []
    elif not sent_again:
        assert len(calls) == 1
    assert caught.value.permanent is (type(caught.value) is not errors.RateLimitedError
                                      and type(caught.value) is not errors.ServiceUnavailableError)  # fmt: skip


@pytest.mark.pitfall("DF15", "DF16", "DF18")
@pytest.mark.parametrize("found", RECORDED)
def test_every_documented_error_of_a_cancel(sandbox: Sandbox, settings: Any, elsewhere: Any, found: Exchange) -> None:
    """A download that runs on after a DELETE is never told as ended, whatever the answer was."""
    settings(hold=True)
    job_id = elsewhere()
    sandbox.control.fault("datafiniti", "error_text", times=None, method="DELETE", status=found.status, text=found.text)
    hook = DatafinitiHook()
    with pytest.raises(errors.JobNotCancelledError, match=job_id):
        hook.cancel(hook.job(job_id), pauses=SHORT)
    assert sandbox.control.job(job_id)["state"] in {"queued", "running"}


@pytest.mark.pitfall("DF15")
@pytest.mark.parametrize("fault", ["502_html", "503", "504_empty", "truncated_json", "html_200", "ok_with_errors"])
@pytest.mark.parametrize("address", ["businesses", "look", "list", "account"])
def test_answers_of_no_documented_form(sandbox: Sandbox, address: str, fault: str) -> None:
    """Pages of a proxy, nothing, half an answer, an error inside 200."""
    method, _, call = ADDRESSES[address]
    sandbox.control.settings(datafiniti=AT_ONCE)
    if address == "look" and fault == "truncated_json":
        job = start()
        call = lambda: DatafinitiHook().look(job.ref)  # noqa: E731
    sandbox.control.fault("datafiniti", fault, times=None, method=method)
    if (address, fault) in {("list", "ok_with_errors"), ("account", "ok_with_errors")}:
        with pytest.raises(errors.RemoteJobsError, match="something went wrong"):
            call()
        return
    with pytest.raises(errors.RemoteJobsError) as caught:
        call()
    if address == "businesses":
        refused = fault == "ok_with_errors"
        assert type(caught.value) is (errors.RequestRejectedError if refused else errors.StartUncertainError)
    else:
        assert not caught.value.permanent


# --- good cases -------------------------------------------------------------------------------------------------------


@pytest.mark.pitfall("DF4", "DF5")
@WIRES
@pytest.mark.parametrize("status", [200, 202])
@pytest.mark.parametrize("data_type", TYPES)
def test_starts(sandbox: Sandbox, settings: Any, data_type: str, status: int, wire: str) -> None:
    settings(wire=wire, start_status=status)
    job = start(data_type)
    assert [found["id"] for found in sandbox.control.jobs("datafiniti")] == [job.ref.job_id]
    assert job.asked == 5


@pytest.mark.pitfall("DF6", "DF8", "DF21")
@WIRES
def test_a_download_from_start_to_end(sandbox: Sandbox, settings: Any, wire: str) -> None:
    """Its words, dates, counters and bill, in every form."""
    settings(wire=wire, t_queue=10.0, rate=0.1)
    hook, job = DatafinitiHook(), start()
    first = hook.look(job.ref)
    assert first.state is (JobState.RUNNING if wire == "w1" else JobState.PENDING)
    sandbox.control.advance(12)
    running = hook.look(job.ref)
    assert running.state is JobState.RUNNING
    assert (first.credits_used, running.credits_used) == (None, None)
    sandbox.control.advance(100)
    last = hook.look(job.ref)
    assert (last.state, last.completed, last.credits_used) == (
        (JobState.SUCCEEDED, None, None) if wire == "w3" else (JobState.SUCCEEDED, 5, 5)
    )
    assert len(last.links) == 1
    assert last.file_format == (None if wire == "w3" else "json")


@pytest.mark.pitfall("DF19")
@WIRES
def test_the_list(sandbox: Sandbox, settings: Any, elsewhere: Any, wire: str) -> None:
    """One request, whatever it holds: an envelope or a bare array, and never pages."""
    settings(wire=wire, **ON_CALL)
    started = [elsewhere(data_type) for data_type in TYPES * 20]
    sandbox.control.act(started[0], "cancel")
    found = DatafinitiHook().downloads()
    assert [job_id for job_id, _ in found] == started[::-1]
    assert dict(found)[started[0]].state is JobState.CANCELLED
    (call,) = sandbox.control.requests(host="datafiniti", method="GET")
    assert (call["path"], call["query"]) == ("/v4/downloads", "")


@pytest.mark.pitfall("DF19")
def test_waiting_asks_for_one_download_alone(sandbox: Sandbox, settings: Any) -> None:
    """There is no webhook, so the download is looked at; the list is never used for it."""
    settings(hold=True)
    hook, job = DatafinitiHook(), start()
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            sandbox.control.act(job.ref.job_id, "finish")

    assert hook.wait(job, sleep=nap).state is JobState.SUCCEEDED
    assert min(naps) >= 5, "other people's time is not polled away"
    calls = sandbox.control.requests(host="datafiniti", method="GET")
    assert {call["path"] for call in calls} == {f"/v4/downloads/{job.ref.job_id}"}


@pytest.mark.pitfall("DF20")
@pytest.mark.parametrize("action", ["cancel", "fail"])
def test_a_wait_ends_with_the_download_however_it_ends(sandbox: Sandbox, settings: Any, action: str) -> None:
    """The loops that the documentation shows know no end but `completed`."""
    settings(hold=True)
    hook, job = DatafinitiHook(), start()
    sandbox.control.act(job.ref.job_id, action)
    status = hook.wait(job, deadline=time.time() + 60)
    assert status.state is (JobState.CANCELLED if action == "cancel" else JobState.FAILED)


@pytest.mark.pitfall("DF20")
def test_what_the_documentation_writes_wrongly_is_refused_before_it_is_sent(sandbox: Sandbox) -> None:
    hook = DatafinitiHook()
    for options in ({"format:csv": None}, {"format": "csv"}, {"download": "true"}, {"api_key": "x"}):
        with pytest.raises(errors.InvalidInputError):
            hook.start_download("people", "lastName:*", 5, options=options)
    with pytest.raises(errors.InvalidInputError, match="did you mean 'people'"):
        hook.start_download("person", "lastName:*", 5)
    assert sandbox.control.requests() == []


@pytest.mark.pitfall("DF14", "DF16")
def test_the_token_stands_in_the_header_alone(sandbox: Sandbox, settings: Any) -> None:
    settings(**AT_ONCE)
    hook, job = DatafinitiHook(), start()
    link = hook.look(job.ref).links[0]
    assert len(list(hook.lines(link, "file"))) == 5
    for call in sandbox.control.requests(host="datafiniti"):
        assert call["headers"]["authorization"] == "Bearer sandbox-token"
        assert "sandbox-token" not in call["path"] + call["query"] + call["body"]
    (read,) = sandbox.control.requests(host="files")
    assert "sandbox-token" not in str(read)


@WIRES
def test_a_connection_is_tested_with_the_account(sandbox: Sandbox, settings: Any, elsewhere: Any, wire: str) -> None:
    """Free of charge, and with what the account has used."""
    settings(**AT_ONCE)
    elsewhere(num_records=7)
    settings(wire=wire)
    good, text = DatafinitiHook().test_connection()
    assert (good, "7 credits used" in text) == (True, True)
    good, text = DatafinitiHook("by_login").test_connection()
    assert (good, "0 credits used" in text) == (True, True)
    assert {call["path"] for call in sandbox.control.requests(host="datafiniti", method="GET")} == {"/v4/account"}


@pytest.mark.pitfall("DF16", "DF17")
@FAMILIES
@pytest.mark.parametrize("trouble", ["revoke", "disable", "payment"])
def test_a_connection_that_is_not_good(sandbox: Sandbox, settings: Any, trouble: str, family: str) -> None:
    settings(error_family=family)
    sandbox.control.token("datafiniti", trouble, "sandbox-token")
    good, text = DatafinitiHook().test_connection()
    assert not good
    assert f"HTTP { {'revoke': 401, 'disable': 400, 'payment': 403}[trouble] }" in text
    assert "sandbox-token" not in text


@pytest.mark.pitfall("DF16")
@pytest.mark.parametrize("found", [case for case in RECORDED if case.values[0].status in {400, 401, 403}])
def test_every_documented_error_of_a_login(sandbox: Sandbox, found: Exchange) -> None:
    sandbox.control.fault(
        "datafiniti", "error_text", times=None, path_contains="/auth", status=found.status, text=found.text
    )
    with pytest.raises(errors.RemoteJobsError):
        DatafinitiHook("by_login").downloads()
    assert {call["path"] for call in sandbox.control.requests(host="datafiniti")} == {"/v4/auth"}
