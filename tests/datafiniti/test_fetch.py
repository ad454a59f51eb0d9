"""The operator that fetches what something else has started."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_jobs.exceptions import (
    InvalidInputError,
    JobCancelledError,
    JobFailedError,
    JobNotOverError,
    ServiceUnavailableError,
)
from airflow_provider_jobs.operators.datafiniti import DatafinitiFetchResultsOperator
from airflow_provider_jobs.sandbox import Sandbox
from tests.datafiniti.conftest import AT_ONCE, ON_CALL

WIRES = pytest.mark.parametrize("wire", ["w1", "w2", "w3"])


@pytest.mark.pitfall("DF12", "DF22")
@WIRES
@pytest.mark.parametrize("word", ["json", "JSON", "csv", "CSV", None])
@pytest.mark.parametrize("given", [False, True])
def test_the_format_is_that_of_the_download(
    settings: Any, elsewhere: Any, fetch: Any, deletes: Any, wire: str, word: str | None, given: bool
) -> None:
    """In any case of letters; W3 does not say it, its files' endings do."""
    settings(wire=wire, file_records=2, **AT_ONCE)
    job_id = elsewhere("products", query="*:*", **({} if word is None else {"format": word}))
    task = fetch(job_id, **({"file_format": word or "json"} if given else {}))
    value = task.run()
    assert [record["id"] for record in value["data"]] == [f"SANDBOXP{number:05d}" for number in range(1, 6)]
    assert (value["service"], value["kind"], value["job_id"], value["state"]) == (
        "datafiniti", "download", job_id, "succeeded",
    )  # fmt: skip
    told = {"w1": (5, 5, 5), "w2": (5, 5, 5), "w3": (None, 5, None)}[wire]
    assert (value["completed"], value["total"], value["credits_used"]) == told
    assert task.ti.pushed == {"job_id": job_id, "api_version": "v4"}
    assert deletes() == 0


def test_into_a_folder(settings: Any, elsewhere: Any, fetch: Any, folder: Path) -> None:
    settings(file_records=2, **AT_ONCE)
    job_id = elsewhere(format="csv")
    value = fetch(job_id, output_path=str(folder)).run()
    assert "data" not in value
    assert [Path(name).name for name in value["output"]] == [f"{job_id}_{number}.csv" for number in (1, 2, 3)]
    manifest = json.loads((folder / "_manifest.json").read_text())
    assert (manifest["job"]["job_id"], manifest["records"]) == (job_id, 5)


def test_a_number_as_id(settings: Any, elsewhere: Any, fetch: Any) -> None:
    """Native rendering makes a number of it."""
    settings(**AT_ONCE)
    assert fetch(int(elsewhere())).run()["records"] == 5


def test_a_folder_of_something_else_is_refused_before_anything_is_read(
    sandbox: Sandbox, settings: Any, elsewhere: Any, fetch: Any, folder: Path
) -> None:
    settings(**AT_ONCE)
    job_id = elsewhere()
    folder.mkdir()
    (folder / "_manifest.json").write_text('{"owner": {"dag_id": "another"}}')
    before = len(sandbox.control.requests())
    with pytest.raises(AirflowFailException, match="another task instance"):
        fetch(job_id, output_path=str(folder)).run()
    assert len(sandbox.control.requests()) == before


@WIRES
def test_a_download_that_runs_is_left_running(
    sandbox: Sandbox, settings: Any, elsewhere: Any, fetch: Any, deletes: Any, wire: str
) -> None:
    """An error that a retry may mend; nothing is read, and nothing is cancelled."""
    settings(wire=wire, hold=True)
    job_id = elsewhere()
    sandbox.control.advance(5)
    task = fetch(job_id)
    with pytest.raises(
        JobNotOverError, match=f"download {job_id} is not over yet: running .*with the sensor"
    ) as caught:
        task.run()
    assert not caught.value.permanent
    assert len(sandbox.control.requests(method="GET", path_contains=job_id)) == 1
    sandbox.control.act(job_id, "finish")
    assert task.run()["records"] == 5
    assert (deletes(), sandbox.control.job(job_id)["state"]) == (0, "completed")


@pytest.mark.pitfall("DF6")
def test_a_word_that_nobody_knows_is_no_end(sandbox: Sandbox, settings: Any, elsewhere: Any, fetch: Any) -> None:
    settings(**AT_ONCE)
    job_id = elsewhere()
    sandbox.control.fault("datafiniti", "status_word", method="GET", times=1, word="archiving")
    with pytest.raises(JobNotOverError, match="archiving"):
        fetch(job_id).run()


@pytest.mark.parametrize("gone", ["unknown", "forgotten", "of another account", "no number"])
def test_a_download_that_is_not_known(sandbox: Sandbox, settings: Any, elsewhere: Any, fetch: Any, gone: str) -> None:
    settings(tokens=["sandbox-token", "another-token"], **AT_ONCE)
    job_id = elsewhere(token="another-token" if gone == "of another account" else "sandbox-token")
    if gone == "forgotten":
        sandbox.control.act(job_id, "forget")
    job_id = {"unknown": "123", "no number": "abc"}.get(gone, job_id)
    told = "ID must be a number" if gone == "no number" else "Download not found"
    with pytest.raises(AirflowFailException, match=told) as caught:
        fetch(job_id).run()
    assert job_id in str(caught.value)


@pytest.mark.pitfall("DF13")
@WIRES
def test_links_that_are_older_than_seven_days(
    sandbox: Sandbox, settings: Any, elsewhere: Any, fetch: Any, folder: Path, wire: str
) -> None:
    """They are not signed anew: looking again gives the same dead links."""
    settings(wire=wire, **AT_ONCE)
    job_id = elsewhere()
    fetch(job_id).run()
    sandbox.control.advance(7 * 24 * 3600 + 1)
    with pytest.raises(AirflowFailException, match="links live for seven days") as caught:
        fetch(job_id, output_path=str(folder)).run()
    assert "Request has expired" in str(caught.value)
    assert "X-Amz" not in str(caught.value)
    assert list(folder.glob("*")) == []


@pytest.mark.pitfall("DF18")
@WIRES
@pytest.mark.parametrize(("action", "error"), [("cancel", JobCancelledError), ("fail", JobFailedError)])
def test_a_download_that_ended_badly(
    sandbox: Sandbox, settings: Any, elsewhere: Any, fetch: Any, deletes: Any, folder: Path, wire: str, action: str,
    error: type[Exception],
) -> None:  # fmt: skip
    settings(wire=wire, file_records=2, **ON_CALL)
    job_id = elsewhere(num_records=50)
    sandbox.control.advance(4)
    sandbox.control.act(job_id, action)
    with pytest.raises(AirflowFailException, match="deliver_partial=True delivers") as caught:
        fetch(job_id, output_path=str(folder)).run()
    assert type(caught.value.__cause__) is error
    assert list(folder.glob("*.txt")) == []
    with pytest.raises(AirflowFailException, match=r"\d records were delivered to"):
        fetch(job_id, output_path=str(folder), deliver_partial=True).run()
    assert len(list(folder.glob("*.txt"))) >= 2
    assert deletes() == 0


@pytest.mark.pitfall("DF9")
@WIRES
def test_no_match(settings: Any, elsewhere: Any, fetch: Any, wire: str) -> None:
    settings(wire=wire, **AT_ONCE)
    job_id = elsewhere(query="country:Nowhere")
    assert fetch(job_id).run()["data"] == []
    with pytest.raises(AirflowFailException, match="nothing was delivered"):
        fetch(job_id, fail_on_empty=True).run()


@pytest.mark.parametrize(("max_failed", "passes"), [(None, False), (0, False), (0.2, False), (1, False), (0.5, True)])
def test_max_failed_is_a_share_of_what_there_is(
    sandbox: Sandbox, settings: Any, elsewhere: Any, fetch: Any, max_failed: Any, passes: bool
) -> None:
    """Two of five records are in a file that the links do not name."""
    settings(file_records=3, **AT_ONCE)
    job_id = elsewhere()
    sandbox.control.fault("datafiniti", "lost_link", method="GET", times=None, index=1)
    task = fetch(job_id, max_failed=max_failed)
    if passes:
        value = task.run()
        assert (value["records"], value["missing"]) == (3, 2)
    else:
        with pytest.raises(AirflowFailException, match="3 delivered, 0 failed, 2 missing"):
            task.run()


@pytest.mark.pitfall("DF16")
@pytest.mark.parametrize("status", [401, 400])
def test_a_token_that_is_not_good(sandbox: Sandbox, settings: Any, elsewhere: Any, fetch: Any, status: int) -> None:
    settings(bad_token_status=status, **AT_ONCE)
    job_id = elsewhere()
    sandbox.control.token("datafiniti", "revoke", "sandbox-token")
    with pytest.raises(AirflowFailException, match=f"HTTP {status} to GET /v4/downloads/{job_id}"):
        fetch(job_id).run()


def test_trouble_that_passes(sandbox: Sandbox, settings: Any, elsewhere: Any, fetch: Any) -> None:
    settings(**AT_ONCE)
    job_id = elsewhere()
    sandbox.control.fault("datafiniti", "502_html", method="GET", times=None)
    task = fetch(job_id)
    with pytest.raises(ServiceUnavailableError):
        task.run()
    sandbox.control.clear_faults()
    assert task.run()["records"] == 5


@pytest.mark.parametrize("download_id", ["", " ", None, True, ["7"]])
def test_an_id_that_is_none(fetch: Any, download_id: Any, sandbox: Sandbox) -> None:
    with pytest.raises(AirflowFailException, match="download_id must be a download's id"):
        fetch(download_id).run()
    assert sandbox.control.requests() == []


def test_arguments_are_checked_when_the_dag_is_read() -> None:
    for wrong in ({"file_format": "xml"}, {"max_failed": -1}, {"max_failed": 1.5}):
        with pytest.raises(InvalidInputError):
            DatafinitiFetchResultsOperator(task_id="job", download_id="7", **wrong)
    operator = DatafinitiFetchResultsOperator(task_id="job", download_id="{{ id }}", file_format="{{ format }}")
    assert set(operator.template_fields) >= {"download_id", "file_format", "output_path", "datafiniti_conn_id"}


def test_it_waits_for_nothing(sandbox: Sandbox, settings: Any, elsewhere: Any, fetch: Any) -> None:
    settings(hold=True)
    job_id = elsewhere()
    before = time.monotonic()
    with pytest.raises(JobNotOverError):
        fetch(job_id).run()
    assert time.monotonic() - before < 4
