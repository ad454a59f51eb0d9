"""Downloads that end in another way than by success, and starts that nobody knows the outcome of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_jobs.exceptions import (
    JobCancelledError,
    JobFailedError,
    JobNotCancelledError,
    UnexpectedReplyError,
)
from airflow_provider_jobs.hooks.datafiniti import DatafinitiHook
from airflow_provider_jobs.operators.datafiniti import DatafinitiCancelDownloadOperator
from airflow_provider_jobs.sandbox import Sandbox
from tests.datafiniti.conftest import AT_ONCE, ON_CALL

WIRES = pytest.mark.parametrize("wire", ["w1", "w2", "w3"])
BAD_TOKENS = pytest.mark.parametrize(
    ("status", "family"), [(401, "e1"), (400, "e1"), (401, "e2"), (401, "nonjson")], ids=str
)
GOES_ON = "the download goes on, and so does its bill"


@pytest.fixture
def ended(sandbox: Sandbox) -> Callable[..., Callable[[], None]]:
    """Return a function that lets the only download run for some seconds and then ends it."""

    def make(seconds: float, action: str) -> Callable[[], None]:
        def end() -> None:
            sandbox.control.advance(seconds)
            (job,) = sandbox.control.jobs("datafiniti")
            sandbox.control.act(job["id"], action)

        return end

    return make


# --- what a cancelled or failed download has --------------------------------------------------------------------------


@pytest.mark.pitfall("DF18")
@WIRES
@pytest.mark.parametrize(("action", "error"), [("cancel", JobCancelledError), ("fail", JobFailedError)])
def test_the_error_says_what_was_billed_and_what_is_left(
    settings: Any, download: Any, ended: Any, sandbox: Sandbox, wire: str, action: str, error: type[Exception]
) -> None:
    settings(wire=wire, **ON_CALL)
    with pytest.raises(error) as caught:
        download(deferrable=True, num_records=50).run(ended(5, action))
    (job,) = sandbox.control.jobs("datafiniti")
    text = str(caught.value)
    assert job["id"] in text
    if wire == "w3":
        assert "the service does not say what it billed" in text
        assert text.endswith("deliver_partial=True delivers what it has")
    else:
        billed = 50 if (wire, action) == ("w1", "fail") else job["completed"]
        assert f"{job['completed']}/50 records {billed} credits" in text
        assert f"{job['completed']} records can still be fetched" in text
        assert "deliver_partial=True delivers them" in text
    assert sandbox.control.requests(host="files") == []


@pytest.mark.pitfall("DF18")
@WIRES
@pytest.mark.parametrize("file_format", ["json", "csv"])
def test_partial_records_are_delivered_and_the_task_fails(
    settings: Any, download: Any, ended: Any, sandbox: Sandbox, folder: Path, wire: str, file_format: str
) -> None:
    settings(wire=wire, **ON_CALL)
    task = download(
        deferrable=True, num_records=50, deliver_partial=True, output_path=str(folder), file_format=file_format
    )
    with pytest.raises(JobCancelledError) as caught:
        task.run(ended(6, "cancel"))
    number = sandbox.control.jobs("datafiniti")[0]["completed"]
    assert number >= 6
    assert f"; {number} records were delivered to " in str(caught.value)
    assert "can still be fetched" not in str(caught.value)
    manifest = json.loads((folder / "_manifest.json").read_text())
    assert (manifest["state"], manifest["records"]) == ("cancelled", number)
    (part,) = manifest["parts"]
    assert len((folder / part["name"]).read_text().splitlines()) == number + (file_format == "csv")


@pytest.mark.pitfall("DF18")
def test_nothing_is_left_of_a_download_that_was_still_queued(settings: Any, download: Any, ended: Any) -> None:
    settings(hold=True)
    with pytest.raises(JobCancelledError, match="0/5 records 0 credits; there is nothing to fetch"):
        download(deferrable=True).run(ended(0, "cancel"))


# --- cancel -----------------------------------------------------------------------------------------------------------


@pytest.mark.pitfall("DF18")
@WIRES
@pytest.mark.parametrize("body", ["object", "message", "empty"])
def test_a_cancel_keeps_the_records_and_the_charge(
    sandbox: Sandbox, settings: Any, elsewhere: Any, fetch: Any, wire: str, body: str
) -> None:
    """Whatever its answer says."""
    settings(wire=wire, cancel_body=body, **ON_CALL)
    job_id = elsewhere(num_records=50)
    sandbox.control.advance(4)
    value = DatafinitiCancelDownloadOperator(task_id="cancel", download_id=job_id).execute({})
    assert (value["state"], value["cancelled"]) == ("cancelled", True)
    job = sandbox.control.job(job_id)
    assert (job["deletes"], job["completed"] >= 4) == (1, True)
    with pytest.raises(AirflowFailException, match=f"{job['completed']} records were delivered"):
        fetch(job_id, deliver_partial=True).run()


@pytest.mark.pitfall("DF18")
@WIRES
def test_a_cancel_that_loses_the_race_is_no_error(sandbox: Sandbox, settings: Any, elsewhere: Any, wire: str) -> None:
    settings(wire=wire, hold=True, cancel_race=True)
    value = DatafinitiCancelDownloadOperator(task_id="cancel", download_id=elsewhere()).execute({})
    assert (value["state"], value["cancelled"]) == ("succeeded", False)


@pytest.mark.pitfall("DF18")
@pytest.mark.parametrize("answer", ["object", "400"])
def test_a_cancel_of_a_download_that_is_over(settings: Any, elsewhere: Any, deletes: Any, answer: str) -> None:
    """Looked at first, so that nothing needs to be said of what a DELETE does then."""
    settings(delete_terminal=answer, **AT_ONCE)
    value = DatafinitiCancelDownloadOperator(task_id="cancel", download_id=elsewhere()).execute({})
    assert (value["state"], value["cancelled"], deletes()) == ("succeeded", False, 0)


@pytest.mark.pitfall("DF18")
def test_a_cancel_that_shows_late(sandbox: Sandbox, settings: Any, elsewhere: Any) -> None:
    settings(hold=True, cancel_delay=0.3)
    value = DatafinitiCancelDownloadOperator(task_id="cancel", download_id=elsewhere()).execute({})
    assert value["cancelled"] is True


# --- a token that is not good any more --------------------------------------------------------------------------------


@pytest.mark.pitfall("DF16")
@BAD_TOKENS
@pytest.mark.parametrize("deferrable", [False, True])
def test_a_token_revoked_in_mid_job(
    sandbox: Sandbox, settings: Any, download: Any, posts: Any, deferrable: bool, status: int, family: str
) -> None:
    """The task fails for good with id and reason, and says that the download goes on: the cancel is refused too."""
    settings(hold=True, bad_token_status=status, error_family=family)
    task = download(deferrable=deferrable)

    def revoke() -> None:
        sandbox.control.token("datafiniti", "revoke", "sandbox-token")

    if not deferrable:
        # Between the start and the first look.
        fault = "401" if status == 401 else "400_token"
        for method in ("GET", "DELETE"):
            sandbox.control.fault("datafiniti", fault, method=method, times=None)
    with pytest.raises(AirflowFailException) as caught:
        task.run(revoke)
    (job,) = sandbox.control.jobs("datafiniti")
    assert job["state"] in {"queued", "running"}
    text = str(caught.value)
    assert f"HTTP {status} to GET /v4/downloads/{job['id']}" in text
    assert "a new password revokes the old token" in text
    assert GOES_ON in text
    assert f"datafiniti download {job['id']} could not be cancelled and may still run" in text
    assert (len(posts()), job["deletes"]) == (1, 0)
    assert "sandbox-token" not in text
    # With a good token, a clear delivers what has been paid for meanwhile.
    sandbox.control.clear_faults()
    sandbox.control.token("datafiniti", "add", "sandbox-token")
    sandbox.control.act(job["id"], "finish")
    task.ti.max_tries += 1
    assert task.run()["job_id"] == job["id"]
    assert len(posts()) == 1


@pytest.mark.pitfall("DF16")
@BAD_TOKENS
def test_a_cancel_with_a_revoked_token(
    sandbox: Sandbox, settings: Any, elsewhere: Any, status: int, family: str
) -> None:
    settings(hold=True, bad_token_status=status, error_family=family)
    job_id = elsewhere()
    sandbox.control.token("datafiniti", "revoke", "sandbox-token")
    with pytest.raises(AirflowFailException, match=f"download {job_id} could not be cancelled") as caught:
        DatafinitiCancelDownloadOperator(task_id="cancel", download_id=job_id).execute({})
    assert GOES_ON in str(caught.value)
    with pytest.raises(JobNotCancelledError, match=job_id):
        DatafinitiHook().cancel(DatafinitiHook().job(job_id))


@pytest.mark.pitfall("DF16")
@pytest.mark.parametrize("deferrable", [False, True])
def test_a_login_renews_a_revoked_token(
    sandbox: Sandbox, settings: Any, download: Any, posts: Any, deferrable: bool
) -> None:
    """A login of a connection that has one: the download is watched, read and delivered with the new token."""
    settings(**({"hold": True} if deferrable else AT_ONCE))
    task = download(deferrable=deferrable, datafiniti_conn_id="by_login")

    def revoke() -> None:
        for call in sandbox.control.requests(host="datafiniti"):
            _, _, token = call["headers"].get("authorization", "").partition(" ")
            if token:
                sandbox.control.token("datafiniti", "revoke", token)
        sandbox.control.act(sandbox.control.jobs("datafiniti")[0]["id"], "finish")

    if not deferrable:
        sandbox.control.fault("datafiniti", "401", method="GET", times=1)
    assert task.run(revoke)["records"] == 5
    assert len(posts()) == 1


@pytest.mark.pitfall("DF16")
def test_a_changed_password_ends_a_login(sandbox: Sandbox, settings: Any, download: Any) -> None:
    settings(hold=True)

    def change() -> None:
        settings(users={"user@example.com": "another"})

    with pytest.raises(AirflowFailException, match="did not accept login and password") as caught:
        download(deferrable=True, datafiniti_conn_id="by_login").run(change)
    assert sandbox.control.jobs("datafiniti")[0]["id"] in str(caught.value)


# --- starts and retries -----------------------------------------------------------------------------------------------


@pytest.mark.pitfall("DF2")
@WIRES
@pytest.mark.parametrize("fault", ["lost_reply", "server_error_after_start", "truncated_json", "reset", "502_html"])
@pytest.mark.usefixtures("ledger_folder")
def test_a_start_whose_answer_is_lost_is_not_sent_again(
    sandbox: Sandbox, settings: Any, download: Any, posts: Any, monkeypatch: pytest.MonkeyPatch, wire: str, fault: str
) -> None:
    """Its job is looked for in the list. The list of W3 shows too little to find it: then nothing is started."""
    monkeypatch.setattr("airflow_provider_jobs.operators.recovery.PAUSES", (0.01, 0.01))
    settings(wire=wire, **AT_ONCE)
    sandbox.control.fault("datafiniti", fault, method="POST", times=1)
    task = download()
    was_started = fault not in {"reset", "502_html"}
    if was_started and wire != "w3":
        value = task.run()
        assert (value["records"], value["job_id"]) == (5, sandbox.control.jobs("datafiniti")[0]["id"])
    else:
        with pytest.raises(AirflowFailException, match="may be running and billed that nobody has the id of"):
            task.run()
        with pytest.raises(AirflowFailException, match="not started again"):
            task.run()
    assert len(posts()) == 1
    assert len(sandbox.control.jobs("datafiniti")) == int(was_started)


@pytest.mark.pitfall("DF3")
@WIRES
def test_the_next_try_goes_on_with_the_same_download(
    sandbox: Sandbox, settings: Any, download: Any, posts: Any, wire: str
) -> None:
    settings(wire=wire, **AT_ONCE)
    sandbox.control.fault("files", "html_200", times=1)
    task = download()
    with pytest.raises(UnexpectedReplyError, match="something else than records"):
        task.run()
    first = dict(task.ti.pushed)
    task.ti.pushed.clear()
    value = task.run()
    assert (value["records"], value["job_id"]) == (5, first["job_id"])
    assert task.ti.pushed == first
    assert len(posts()) == len(sandbox.control.jobs("datafiniti")) == 1


@pytest.mark.pitfall("DF17")
@pytest.mark.parametrize(
    "text",
    [
        "There was a problem with this customer's payment information.",
        "Your plan does not include downloads.",
        "Your request exceeds preview record limit.",
    ],
)
def test_money_and_plan_are_said_and_not_tried_again(sandbox: Sandbox, download: Any, posts: Any, text: str) -> None:
    sandbox.control.fault("datafiniti", "403", method="POST", times=None, text=text)
    with pytest.raises(AirflowFailException, match="HTTP 403") as caught:
        download().run()
    assert text in str(caught.value)
    assert len(posts()) == 1


@pytest.mark.pitfall("DF17", "DF13")
def test_files_that_are_withheld(settings: Any, download: Any, folder: Path, posts: Any) -> None:
    """The download is completed and billed, and its files answer 403 until the overages are paid."""
    settings(overage=True, **AT_ONCE)
    task = download(output_path=str(folder))
    with pytest.raises(AirflowFailException, match="withheld while overages are unpaid"):
        task.run()
    settings(overage=False)
    assert task.run()["records"] == 5, "once they are paid, a clear delivers what was bought"
    assert len(posts()) == 1
