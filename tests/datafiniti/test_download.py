"""Downloads from start to result: all data types, formats and forms of the API."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_jobs.exceptions import InvalidInputError, JobTimeoutError, UnexpectedReplyError
from airflow_provider_jobs.operators.datafiniti import DatafinitiDownloadOperator
from airflow_provider_jobs.sandbox import Sandbox
from airflow_provider_jobs.sandbox.datafiniti_data import search
from tests.datafiniti.conftest import AT_ONCE, ON_CALL

TYPES = {"businesses": "business", "products": "product", "properties": "property", "people": "people"}
WIRES = pytest.mark.parametrize("wire", ["w1", "w2", "w3"])
FORMATS = pytest.mark.parametrize("file_format", ["json", "csv"])


def ids(data_type: str, number: int) -> list[str]:
    """The ids of the first records."""
    return [record["id"] for record in search(TYPES[data_type], "country:US OR *:*")[:number]]


def records_in(folder: Path, names: list[str]) -> list[dict[str, Any]]:
    """The records of the files of a folder."""
    found = []
    for name in names:
        text = (folder / Path(name).name).read_text()
        rows = csv.DictReader(io.StringIO(text)) if name.endswith(".csv") else map(json.loads, text.splitlines())
        found.extend(rows)
    return found


# --- good cases -------------------------------------------------------------------------------------------------------


@pytest.mark.pitfall("DF4", "DF5", "DF12", "DF20", "DF21", "DF22")
@WIRES
@FORMATS
@pytest.mark.parametrize("data_type", list(TYPES))
def test_every_data_type(settings: Any, download: Any, posts: Any, data_type: str, file_format: str, wire: str) -> None:
    """Each at its own address, in every form of the API, whatever its ids, dates and status of a start."""
    settings(wire=wire, start_status=200 if wire == "w1" else 202, **AT_ONCE)
    task = download(data_type=data_type, query="*:*", file_format=file_format.upper())
    value = task.run()
    assert posts() == [
        {"path": f"/v4/{data_type}/search", "query": "*:*", "format": file_format, "download": True, "num_records": 5}
    ]
    assert [record["id"] for record in value["data"]] == [r["id"] for r in search(TYPES[data_type], "*:*")[:5]]
    assert (value["state"], value["records"], value["failed"], value["missing"]) == ("succeeded", 5, 0, 0)
    told = {"w1": (5, 5, 5), "w2": (5, 5, 25 if data_type == "people" else 5), "w3": (None, 5, None)}[wire]
    assert (value["completed"], value["total"], value["credits_used"]) == told
    assert task.ti.pushed == {"job_id": value["job_id"], "api_version": "v4"}
    assert isinstance(value["job_id"], str)


@pytest.mark.pitfall("DF7", "DF8")
@WIRES
def test_neither_links_nor_costs_end_a_download(
    sandbox: Sandbox, settings: Any, download: Any, folder: Path, wire: str
) -> None:
    """While it runs there are files already, and W1 has its bill; W2 has none. Only the status tells."""
    settings(wire=wire, file_records=2, **ON_CALL)
    task = download(deferrable=True, num_records=6, output_path=str(folder))

    def look_on() -> None:
        sandbox.control.advance(5)
        (job,) = sandbox.control.jobs("datafiniti")
        assert job["state"] == "running"
        sandbox.control.act(job["id"], "finish")

    value = task.run(look_on)
    assert task.was_deferred
    assert (value["records"], len(value["output"])) == (6, 3)


@pytest.mark.pitfall("DF7", "DF8")
@WIRES
def test_a_download_with_files_still_runs(sandbox: Sandbox, settings: Any, download: Any, elsewhere: Any, fetch: Any,
                                          wire: str) -> None:  # fmt: skip
    """The files are there, the bill of W1 as well, and it is not over."""
    settings(wire=wire, file_records=2, **ON_CALL)
    job_id = elsewhere(num_records=60)
    sandbox.control.advance(5)
    with pytest.raises(Exception, match="is not over yet: running"):
        fetch(job_id).run()
    assert sandbox.control.requests(host="files") == []


@pytest.mark.pitfall("DF11", "DF14")
@FORMATS
@WIRES
@pytest.mark.parametrize("way", ["folder", "return_value"])
def test_several_files(
    sandbox: Sandbox, settings: Any, download: Any, folder: Path, said: Any, wire: str, file_format: str, way: str
) -> None:
    """All files are read, without the token, and their links stay out of everything that is kept."""
    settings(wire=wire, file_records=3, **AT_ONCE)
    place = {"output_path": str(folder)} if way == "folder" else {}
    task = download(num_records=10, file_format=file_format, **place)
    value = task.run()
    found = records_in(folder, value["output"]) if way == "folder" else value["data"]
    assert [record["id"] for record in found] == [r["id"] for r in search("business", "country:US")[:10]]
    assert (value["records"], value["missing"]) == (10, 0)
    calls = sandbox.control.requests(host="files")
    assert len(calls) == 4
    assert all("authorization" not in call["headers"] for call in calls)
    kept = json.dumps([value, task.ti.pushed, task.context["task_state_store"]]) + said()
    for path in folder.glob("*.json"):
        kept += path.read_text()
    assert "X-Amz" not in kept
    assert "Signature" not in kept


@pytest.mark.pitfall("DF11")
@pytest.mark.parametrize("way", ["folder", "return_value"])
@pytest.mark.parametrize("quotes", ["doubled", "bare"])
@pytest.mark.parametrize("header", ["each", "first"])
def test_csv_files_of_every_sort(
    settings: Any, download: Any, folder: Path, said: Any, header: str, quotes: str, way: str
) -> None:
    """A quote inside a cell swallows no rows, and a file without a header loses none."""
    settings(csv_header=header, csv_quotes=quotes, file_records=3, fields_csv=["id", "size"], **AT_ONCE)
    place = {"output_path": str(folder)} if way == "folder" else {}
    value = download(data_type="products", query="*:*", num_records=10, file_format="csv", **place).run()
    assert (value["records"], value["completed"], value["missing"]) == (10, 10, 0)
    if way == "return_value":
        wanted = [{"id": record["id"], "size": record["size"]} for record in search("product", "*:*")[:10]]
        assert value["data"] == wanted
    else:
        manifest = json.loads((folder / "_manifest.json").read_text())
        assert [part["records"] for part in manifest["parts"]] == [3, 3, 3, 1]
    assert "hard to tell apart" not in said()


@pytest.mark.parametrize(("wire", "told"), [("w2", "counts 4"), ("w3", "does not say how many there are")])
def test_rows_that_cannot_be_told_apart_fail_the_task_with_the_files_in_place(
    settings: Any, download: Any, folder: Path, posts: Any, wire: str, told: str
) -> None:
    """A number of records that may be wrong is not given out as right."""
    # The first row of the second file holds the name of a column: it may be a record, or a header.
    settings(wire=wire, csv_header="first", fields_csv=["id", "size", '5" wide'], file_records=3, **AT_ONCE)
    task = download(data_type="products", query="*:*", num_records=4, file_format="csv", output_path=str(folder))
    with pytest.raises(AirflowFailException, match=f"in the csv files, and the service {told}") as caught:
        task.run()
    assert "_2.csv, line 1: its first row may be a header or a record" in str(caught.value)
    assert sorted(path.suffix for path in folder.iterdir()) == [".csv", ".csv", ".json"]
    assert len(posts()) == 1


@pytest.mark.pitfall("DF1")
@WIRES
def test_all_records_only_on_request(settings: Any, download: Any, posts: Any, folder: Path, wire: str) -> None:
    with pytest.raises(InvalidInputError, match="bill every record that matches"):
        download(data_type="people", num_records=None).run()
    assert posts() == []
    settings(wire=wire, **AT_ONCE)
    task = download(data_type="people", query="*:*", num_records=None, allow_all_records=True, output_path=str(folder))
    value = task.run()
    assert "num_records" not in posts()[0]
    assert (value["records"], value["total"]) == (100, 100)


@pytest.mark.pitfall("DF10")
@WIRES
def test_fewer_records_than_asked_for_is_a_success(settings: Any, download: Any, wire: str) -> None:
    settings(wire=wire, **AT_ONCE)
    value = download(data_type="people", query="lastName:Abbot", num_records=90, max_failed=0).run()
    assert 0 < value["records"] < 90
    assert (value["state"], value["missing"]) == ("succeeded", 0)


@pytest.mark.pitfall("DF12")
def test_compressed_files_are_stored_plain(settings: Any, download: Any, folder: Path) -> None:
    settings(gzip_files=True, **AT_ONCE)
    value = download(output_path=str(folder)).run()
    assert len(records_in(folder, value["output"])) == value["records"] == 5
    assert value["output"][0].endswith("_1.txt")


# --- views ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("view", "columns"),
    [
        ("business_basic", {"id", "name", "city", "country"}),
        (["id", "phones"], {"id", "phones"}),
        ([{"name": "id"}, {"name": "categories", "flatten": True}], {"id", "categories"}),
    ],
)
def test_views(settings: Any, download: Any, posts: Any, view: Any, columns: set[str]) -> None:
    """By name, and made up for one download."""
    settings(**AT_ONCE)
    value = download(view=view).run()
    assert posts()[0]["view"] == view
    assert {name for record in value["data"] for name in record} == columns


def test_a_view_that_does_not_exist(settings: Any, download: Any, sandbox: Sandbox, posts: Any) -> None:
    with pytest.raises(AirflowFailException, match="View not found"):
        download(view="no_such_view").run()
    assert len(posts()) == 1
    assert sandbox.control.jobs("datafiniti") == []


@pytest.mark.parametrize("view", ["", " ", [], [""], [{"flatten": True}], [5], {"name": "id"}, 7])
def test_a_view_that_is_none(view: Any) -> None:
    with pytest.raises(InvalidInputError, match="view must be"):
        DatafinitiDownloadOperator(task_id="job", data_type="people", query="*:*", num_records=1, view=view)


# --- no match ---------------------------------------------------------------------------------------------------------


@pytest.mark.pitfall("DF9")
@WIRES
def test_no_match_that_completes(settings: Any, download: Any, wire: str) -> None:
    settings(wire=wire, zero_match="completed_empty", **AT_ONCE)
    value = download(query="country:Nowhere").run()
    assert (value["state"], value["records"], value["missing"], value["data"]) == ("succeeded", 0, 0, [])
    with pytest.raises(AirflowFailException, match="nothing was delivered"):
        download(query="country:Nowhere", fail_on_empty=True).run()


@pytest.mark.pitfall("DF9", "DF15")
@pytest.mark.parametrize("form", ["400", "404_nonjson"])
def test_no_match_that_is_refused(settings: Any, download: Any, sandbox: Sandbox, posts: Any, form: str) -> None:
    settings(zero_match=form, **AT_ONCE)
    task = download(query="country:Nowhere")
    with pytest.raises(AirflowFailException, match="no record matches the query, so Datafiniti started no download"):
        task.run()
    assert len(posts()) == 1
    assert sandbox.control.jobs("datafiniti") == []


@pytest.mark.pitfall("DF9", "DF6")
def test_no_match_that_never_ends(settings: Any, download: Any, sandbox: Sandbox, deletes: Any) -> None:
    """The deadline ends it, and the download."""
    settings(wire="w1", zero_match="stuck", **AT_ONCE)
    with pytest.raises(JobTimeoutError, match="was not over"):
        download(query="country:Nowhere", job_timeout=0.3).run()
    (job,) = sandbox.control.jobs("datafiniti")
    assert (job["state"], deletes()) == ("cancelled", 1)


# --- odd answers ------------------------------------------------------------------------------------------------------


@pytest.mark.pitfall("DF6")
@pytest.mark.parametrize("word", ["COMPLETED", " Complete"])
def test_words_for_the_end(sandbox: Sandbox, settings: Any, download: Any, word: str) -> None:
    settings(**AT_ONCE)
    sandbox.control.fault("datafiniti", "status_word", method="GET", times=None, word=word)
    assert download().run()["state"] == "succeeded"


@pytest.mark.pitfall("DF6")
@pytest.mark.parametrize("word", ["archiving", None, "Canceling"])
@pytest.mark.parametrize("deferrable", [False, True])
def test_words_that_nobody_knows(
    sandbox: Sandbox, settings: Any, download: Any, said: Any, deletes: Any, word: Any, deferrable: bool
) -> None:
    """They neither end a download that is paid for nor keep the task for ever."""
    settings(**AT_ONCE)
    sandbox.control.fault("datafiniti", "status_word", method="GET", times=3, word=word)
    with pytest.raises(JobTimeoutError, match="was not over"):
        download(deferrable=deferrable, job_timeout=0.3).run()
    if not deferrable:
        assert "does not know" in said()


@pytest.mark.pitfall("DF5")
def test_an_id_under_another_name(sandbox: Sandbox, settings: Any, download: Any) -> None:
    settings(**AT_ONCE)
    sandbox.control.fault("datafiniti", "id_only_underscore", times=None)
    value = download().run()
    assert (value["job_id"], value["records"]) == (sandbox.control.jobs("datafiniti")[0]["id"], 5)


@pytest.mark.pitfall("DF3", "DF11")
@pytest.mark.parametrize("deferrable", [False, True])
def test_a_completed_download_without_files_is_delivered_by_the_next_try(
    sandbox: Sandbox, settings: Any, download: Any, posts: Any, deletes: Any, deferrable: bool
) -> None:
    """It counts records and names no file: that is no empty result, and nothing is bought again."""
    settings(hold=True)
    sandbox.control.fault("datafiniti", "results_null", method="GET", times=3)
    task = download(deferrable=deferrable)

    def finish() -> None:
        settings(hold=False)
        sandbox.control.act(sandbox.control.jobs("datafiniti")[0]["id"], "finish")

    if not deferrable:
        settings(hold=False, **AT_ONCE)
    with pytest.raises(UnexpectedReplyError, match="counts 5 records, and Datafiniti names no file"):
        task.run(finish)
    sandbox.control.clear_faults()
    assert task.run()["records"] == 5
    assert (len(posts()), deletes()) == (1, 0)


@pytest.mark.pitfall("DF13", "DF14")
def test_a_broken_file_among_several(sandbox: Sandbox, settings: Any, download: Any, folder: Path) -> None:
    settings(file_records=2, **AT_ONCE)
    sandbox.control.fault("datafiniti", "broken_link", method="GET", times=None, index=1)
    with pytest.raises(AirflowFailException, match=r"result file \d+_1-gone.txt: HTTP 40") as caught:
        download(output_path=str(folder)).run()
    assert "Signature" not in str(caught.value).replace("SignatureDoesNotMatch", "")
    assert list(folder.glob("*")) == [], "half a result was left"


@pytest.mark.pitfall("DF15")
@FORMATS
def test_a_page_instead_of_a_file(
    sandbox: Sandbox, settings: Any, download: Any, folder: Path, file_format: str
) -> None:
    settings(**AT_ONCE)
    sandbox.control.fault("files", "html_200", times=None)
    with pytest.raises(UnexpectedReplyError, match="something else than records"):
        download(file_format=file_format, output_path=str(folder)).run()
    assert list(folder.glob("*")) == []


@pytest.mark.parametrize("fault", ["502_html", "reset", "lost_reply"])
def test_a_file_that_comes_at_the_second_attempt(
    sandbox: Sandbox, settings: Any, download: Any, folder: Path, fault: str
) -> None:
    """Nothing of the first attempt stays."""
    settings(file_records=3, **AT_ONCE)
    sandbox.control.fault("files", fault, times=1, skip=1)
    value = download(num_records=7, file_format="csv", output_path=str(folder)).run()
    assert value["records"] == len(records_in(folder, value["output"])) == 7


@pytest.mark.pitfall("DF3")
def test_a_file_that_breaks_off_without_a_word(
    sandbox: Sandbox, settings: Any, download: Any, folder: Path, posts: Any
) -> None:
    settings(file_records=3, **AT_ONCE)
    sandbox.control.fault("files", "truncated_json", times=1, skip=1)
    task = download(num_records=7, output_path=str(folder))
    with pytest.raises(UnexpectedReplyError, match="something else than records"):
        task.run()
    value = task.run()
    assert value["records"] == len(records_in(folder, value["output"])) == 7
    assert len(posts()) == 1
