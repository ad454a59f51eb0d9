"""What a job brings: states, return values, XComs, output folders, and one start per run."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.airflow.stories import WAITING, Stage, Telling, Until, story

BOTH = pytest.mark.parametrize("service", ["firecrawl", "datafiniti"])
WAYS = pytest.mark.parametrize("way", ["sync", "deferred"])
FIELDS = {
    "service", "kind", "job_id", "state", "completed", "total", "records", "failed", "missing", "credits_used",
    "output",
}  # fmt: skip
KINDS = {"firecrawl": "batch_scrape", "datafiniti": "download"}


def summary(service: str, job_id: str, number: int, **others: Any) -> dict[str, Any]:
    """The return value of a job that went well, without `data`."""
    return {
        "service": service,
        "kind": KINDS[service],
        "job_id": job_id,
        "state": "succeeded",
        "completed": number,
        "total": number,
        "records": number,
        "failed": 0,
        "missing": 0,
        "credits_used": number,
        "output": [],
        **others,
    }


def without_data(value: dict[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in value.items() if name != "data"}


def ids(service: str, records: list[dict[str, Any]]) -> list[str]:
    """What tells the records of a job apart."""
    return [record["metadata"]["sourceURL"] if service == "firecrawl" else record["id"] for record in records]


def lines(path: Path) -> list[dict[str, Any]]:
    content = path.read_bytes()
    text = gzip.decompress(content) if path.suffix == ".gz" else content
    return [json.loads(line) for line in text.splitlines() if line.strip()]


# -- success ---------------------------------------------------------------------------------------------------------


@story
@BOTH
@WAYS
def test_return_value(stage: Stage, service: str, way: str) -> Telling:
    stage.hold()
    run = stage.start(service, way=way)
    job = yield from stage.begun(run, WAITING[way])
    # The id is there while the task waits, and stays.
    version = "v1" if service == "firecrawl" else "v4"
    assert (run.xcom("job_id"), run.xcom("api_version")) == (job["id"], version)
    assert run.task()["state"] == WAITING[way]
    stage.finish(job["id"])
    yield run.becomes("success")
    value = run.xcom()
    number = 3 if service == "firecrawl" else 4
    assert without_data(value) == summary(service, job["id"], number)
    assert set(value) == FIELDS | {"data"}
    assert len(set(ids(service, value["data"]))) == number
    if service == "firecrawl":
        assert set(ids(service, value["data"])) == set(stage.pages(1, 2, 3))
        assert all("Content of page" in document["markdown"] for document in value["data"])
    assert run.was_deferred() == (way == "deferred")
    assert len(stage.posts()) == 1
    assert stage.deletes() == []


@story
@BOTH
@WAYS
def test_output_folder(stage: Stage, service: str, way: str) -> Telling:
    folder = stage.airflow.home / "out" / f"{service}-{way}"
    stage.hold()
    run = stage.start(service, way=way, output_path=f"file://{folder}")
    job = yield from stage.brought_to_its_end(run, WAITING[way])
    yield run.becomes("success")
    value = run.xcom()
    number = 3 if service == "firecrawl" else 4
    assert set(value) == FIELDS, "no data beside the files"
    manifest = json.loads((folder / "_manifest.json").read_text())
    parts = manifest.pop("parts")
    names = [part["name"] for part in parts]
    assert {path.name for path in folder.iterdir()} == {*names, "_manifest.json"}, "something was left in the folder"
    assert [Path(place.removeprefix("file://")).name for place in value["output"]] == names
    assert without_data(value) == summary(service, job["id"], number, output=value["output"])
    for part in parts:
        content = (folder / part["name"]).read_bytes()
        assert (part["bytes"], part["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    records = [record for name in names for record in lines(folder / name)]
    assert len(set(ids(service, records))) == sum(part["records"] for part in parts) == number
    assert manifest["owner"] == {"dag_id": run.dag_id, "run_id": run.run_id, "task_id": "job", "map_index": -1}
    assert manifest["job"]["job_id"] == job["id"]
    for name in ("state", "completed", "total", "records", "failed", "missing", "credits_used"):
        assert manifest[name] == value[name], name
    assert len(stage.posts()) == 1


@story
@BOTH
def test_a_job_that_is_over_at_the_first_look_is_not_deferred(stage: Stage, service: str) -> Telling:
    if service == "datafiniti":
        stage.control.settings(datafiniti={"t_queue": 0.0, "rate": 1e6})
    run = stage.start(service, way="deferred")
    yield run.becomes("success")
    assert not run.was_deferred(), "the triggerer had it"
    # The end is told by the one look of the task itself.
    assert run.xcom()["records"] == (3 if service == "firecrawl" else 4)
    assert len(stage.posts()) == 1


@story
@WAYS
def test_api_version_of_the_argument(stage: Stage, way: str) -> Telling:
    stage.hold()
    run = stage.start("firecrawl", way=way, api_version="v2")
    job = yield from stage.begun(run, WAITING[way])
    assert job["api_version"] == "v2"
    assert run.xcom("api_version") == "v2"
    stage.finish(job["id"])
    yield run.becomes("success")
    paths = {seen["path"].split("/")[1] for seen in stage.control.requests(host="firecrawl")}
    assert paths == {"v2"}, "a job is polled on the version that has started it"


@story
@WAYS
def test_csv_file_and_two_of_them(stage: Stage, way: str) -> Telling:
    stage.hold()
    stage.control.settings(datafiniti={"file_records": 3})
    folder = stage.airflow.home / "out" / f"csv-{way}"
    run = stage.start("datafiniti", way=way, file_format="csv", num_records=5, output_path=str(folder))
    yield from stage.brought_to_its_end(run, WAITING[way])
    yield run.becomes("success")
    value = run.xcom()
    assert (value["records"], value["missing"], len(value["output"])) == (5, 0, 2)
    rows = sum(len((folder / Path(name).name).read_text().splitlines()) - 1 for name in value["output"])
    assert rows == 5


@story
def test_pages_of_results(stage: Stage) -> Telling:
    """More documents than fit on a page of the answer: all arrive, each once."""
    stage.hold()
    stage.control.settings(firecrawl={"page_documents": 4, "synthetic": True})
    folder = stage.airflow.home / "out" / "paged"
    run = stage.run("firecrawl_deferred", urls=stage.pages(*range(1, 24)), output_path=str(folder))
    yield from stage.brought_to_its_end(run, "deferred")
    yield run.becomes("success")
    assert run.xcom()["records"] == 23
    assert set(ids("firecrawl", lines(folder / "part-00000.jsonl"))) == set(stage.pages(*range(1, 24)))


@story
@WAYS
def test_mapped_tasks(stage: Stage, way: str) -> Telling:
    lists = [stage.pages(1), stage.pages(2, 3), stage.pages(4, 5, 6)]
    stage.hold()
    run = stage.run(f"firecrawl_mapped_{way}", lists=lists)
    jobs = yield stage.jobs_started(3)
    for index in range(3):
        yield run.becomes(WAITING[way], map_index=index)
    for job in jobs:
        yield stage.polled(job["id"])
        stage.finish(job["id"])
    for index in range(3):
        yield run.becomes("success", map_index=index)
        value = run.xcom(map_index=index)
        assert set(ids("firecrawl", value["data"])) == set(lists[index])
        assert run.xcom("job_id", map_index=index) == value["job_id"]
    assert len(stage.jobs()) == len(stage.posts()) == 3


@story
def test_templates_of_text(stage: Stage) -> Telling:
    folder = stage.airflow.home / "out" / "text"
    conf = {"site": stage.sandbox.urls["site"], "format": "links", "folder": str(folder), "urls": "[]"}
    run = stage.run("firecrawl_text", **conf)
    yield run.becomes("success", "listed")
    (place,) = run.xcom(task_id="listed")["output"]
    assert place.removeprefix("file://") == str(folder / run.run_id / "-1" / "part-00000.jsonl")
    documents = lines(Path(place.removeprefix("file://")))
    assert {*ids("firecrawl", documents)} == set(stage.pages(1, 2))
    assert all("links" in document and "markdown" not in document for document in documents)
    fields = stage.airflow.rendered_fields(run.dag_id, run.run_id, "listed")
    assert json.loads(fields["urls"]) if isinstance(fields["urls"], str) else fields["urls"] == stage.pages(1, 2)
    # A template of text gives no list: told after rendering, without a retry and without a start.
    task = yield run.becomes("failed", "one_text")
    assert task["try_number"] == 1
    assert "urls must be a list" in run.log("one_text")
    assert len(stage.posts()) == 1


@story
def test_numbers_from_text(stage: Stage) -> Telling:
    run = stage.run("datafiniti_text", data_type="products", country="US", num_records="2")
    yield run.ends("success")
    (start,) = stage.posts()
    assert start["path"] == "/v4/products/search"
    assert json.loads(start["body"])["num_records"] == 2


# -- not enough ------------------------------------------------------------------------------------------------------


@story
@pytest.mark.pitfall("F5")
def test_failed_pages_are_counted_and_listed(stage: Stage) -> Telling:
    """Without `max_failed` a page that the service could not fetch is no failure of the task."""
    folder = stage.airflow.home / "out" / "failed-pages"
    bad = f"{stage.sandbox.urls['site']}/drop/1.html"
    run = stage.start("firecrawl", way="deferred", urls=[*stage.pages(1, 2), bad], output_path=str(folder))
    yield run.becomes("success")
    value = run.xcom()
    assert (value["records"], value["failed"], value["missing"]) == (2, 1, 0)
    (entry,) = lines(folder / "_failed.jsonl")
    assert entry["url"] == bad


@story
@pytest.mark.parametrize(
    ("way", "good", "bad", "state"),
    [
        ("max_failed_one", 2, 1, "success"),
        ("max_failed_one", 2, 2, "failed"),
        ("max_failed_half", 2, 2, "success"),
        ("max_failed_half", 1, 2, "failed"),
    ],
)
def test_max_failed(stage: Stage, way: str, good: int, bad: int, state: str) -> Telling:
    folder = stage.airflow.home / "out" / f"{way}-{good}-{bad}"
    urls = stage.pages(*range(good)) + [f"{stage.sandbox.urls['site']}/drop/{n}.html" for n in range(bad)]
    run = stage.start("firecrawl", way=way, urls=urls, output_path=str(folder))
    task = yield run.becomes(state)
    assert task["try_number"] == 1
    # What arrived is delivered in any case.
    assert len(lines(folder / "part-00000.jsonl")) == good
    assert len(lines(folder / "_failed.jsonl")) == bad
    assert json.loads((folder / "_manifest.json").read_text())["failed"] == bad
    if state == "failed":
        assert "return_value" not in run.xcom_keys()
        assert f"{good} delivered, {bad} failed" in run.log()
    assert len(stage.posts()) == 1


@story
@pytest.mark.pitfall("F7")
@WAYS
def test_missing_documents_fail_without_a_retry(stage: Stage, way: str) -> Telling:
    """The service counts a page and does not send it."""
    stage.control.settings(firecrawl={"drop_results": 1})
    run = stage.start("firecrawl", way=f"{way}_retry")
    task = yield run.becomes("failed")
    assert task["try_number"] == 1
    assert "1 missing" in run.log()
    assert len(stage.posts()) == 1


@story
@pytest.mark.pitfall("F5")
def test_nothing_delivered_fails(stage: Stage) -> Telling:
    run = stage.start("firecrawl", way="deferred_retry", urls=[f"{stage.sandbox.urls['site']}/drop/1.html"])
    task = yield run.becomes("failed")
    assert task["try_number"] == 1
    assert "nothing was delivered" in run.log()


@story
def test_no_match_succeeds(stage: Stage) -> Telling:
    stage.hold()
    run = stage.start("datafiniti", way="deferred", query="country:nowhere")
    yield from stage.brought_to_its_end(run, "deferred")
    yield run.becomes("success")
    value = run.xcom()
    assert (value["records"], value["missing"], value["data"]) == (0, 0, [])


@story
@pytest.mark.pitfall("F32")
@WAYS
def test_result_too_large_for_the_return_value(stage: Stage, way: str) -> Telling:
    run = stage.start("firecrawl", way=f"{way}_retry", urls=[f"{stage.sandbox.urls['site']}/big/1.html?mb=1.5"])
    task = yield run.becomes("failed")
    assert task["try_number"] == 1, "a retry would pay for it again"
    assert "set output_path" in run.log()
    assert "return_value" not in run.xcom_keys()
    assert len(stage.posts()) == 1


@story
def test_folder_of_another_task_is_refused_before_the_start(stage: Stage) -> Telling:
    folder = stage.airflow.home / "out" / "conflict"
    first = stage.start("firecrawl", way="sync", output_path=str(folder))
    yield first.becomes("success")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for way in ("sync_retry", "deferred_retry"):
        second = stage.start("firecrawl", way=way, output_path=str(folder))
        task = yield second.becomes("failed")
        assert task["try_number"] == 1
        assert first.run_id in second.log()
    assert len(stage.posts()) == 1, "a job was started that cannot be delivered"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@story
def test_a_clear_replaces_the_folders_content(stage: Stage) -> Telling:
    folder = stage.airflow.home / "out" / "cleared"
    run = stage.start("datafiniti", way="sync", output_path=str(folder))
    yield run.ends("success")
    before = {path.name for path in folder.iterdir()}
    run.clear("job")
    yield run.try_begins(2, {"success"})
    (old, new) = stage.jobs()
    assert old["id"] != new["id"]
    manifest = json.loads((folder / "_manifest.json").read_text())
    assert manifest["job"]["job_id"] == new["id"]
    after = {path.name for path in folder.iterdir()}
    assert after == {*(part["name"] for part in manifest["parts"]), "_manifest.json"}
    assert not any(old["id"] in name for name in after & before), "files of the earlier job are left"


# -- jobs and starts that fail ---------------------------------------------------------------------------------------


@story
@BOTH
@WAYS
def test_failed_job_is_followed_by_a_new_one(stage: Stage, service: str, way: str) -> Telling:
    stage.hold()
    run = stage.start(service, way=f"{way}_retry")
    old = yield from stage.begun(run, WAITING[way])
    stage.control.act(old["id"], "fail")
    yield run.try_begins(2)
    new = yield from stage.begun(run, WAITING[way], number=2)
    stage.finish(new["id"])
    yield run.becomes("success")
    assert run.xcom()["job_id"] == new["id"]
    log = run.log(try_number=1)
    assert old["id"] in log
    assert "failed" in log
    assert len(stage.posts()) == 2


@story
@BOTH
@WAYS
def test_job_cancelled_by_somebody_else(stage: Stage, service: str, way: str) -> Telling:
    stage.hold()
    run = stage.start(service, way=way)
    job = yield from stage.begun(run, WAITING[way])
    stage.control.act(job["id"], "cancel")
    yield run.becomes("failed")
    assert "JobCancelledError" in run.log()
    assert stage.deletes() == []


@story
@BOTH
@pytest.mark.parametrize("end", ["fail", "cancel"])
def test_deliver_partial(stage: Stage, service: str, end: str) -> Telling:
    folder = stage.airflow.home / "out" / f"partial-{service}-{end}"
    stage.control.settings(firecrawl={"hold_after": 2}, datafiniti={"rate": 2.0, "file_records": 2})
    conf = {"urls": stage.pages(1, 2, 3)} if service == "firecrawl" else {"num_records": 200}
    run = stage.run(f"{service}_partial", output_path=str(folder), **conf)
    job = yield from stage.begun(run, "deferred")
    yield Until("two records", lambda: stage.control.job(job["id"])["completed"] >= 2)
    stage.control.act(job["id"], end)
    yield Until("what there is", lambda: (folder / "_manifest.json").exists())
    manifest = json.loads((folder / "_manifest.json").read_text())
    assert manifest["state"] == {"fail": "failed", "cancel": "cancelled"}[end]
    assert manifest["records"] >= 2
    assert sum(len(lines(folder / part["name"])) for part in manifest["parts"]) == manifest["records"]
    assert manifest["job"]["job_id"] == job["id"]
    # The job has failed all the same, so the task has, and tries again.
    yield from stage.begun(run, "deferred", number=2)
    run.mark("failed")
    yield stage.nothing_runs()
    assert len(stage.posts()) == 2


@story
@pytest.mark.pitfall("F19")
@BOTH
@pytest.mark.parametrize("fault", ["lost_reply", "server_error_after_start", "truncated_json"])
def test_lost_answer_to_a_start_is_not_retried(stage: Stage, service: str, fault: str) -> Telling:
    stage.hold()
    stage.list_nothing()
    stage.control.fault(service, fault, method="POST")
    run = stage.start(service, way="sync_retry")
    task = yield run.becomes("failed")
    assert task["try_number"] == 1, "a second job was risked"
    assert len(stage.jobs()) == len(stage.posts()) == 1
    assert "may be running" in run.log()


@story
@pytest.mark.pitfall("F19", "DF2")
@BOTH
def test_lost_answer_to_a_start_whose_job_is_listed(stage: Stage, service: str) -> Telling:
    """Without a ledger folder nobody can tell whether it is another task's: it is named, and not taken."""
    stage.hold()
    stage.control.fault(service, "lost_reply", method="POST")
    run = stage.start(service, way="sync_retry")
    (job,) = yield stage.jobs_started(1)
    task = yield run.becomes("failed")
    assert task["try_number"] == 1
    assert len(stage.posts()) == 1
    assert f"only {job['id']} fits" in run.log()


@story
@BOTH
@pytest.mark.parametrize(("fault", "tries"), [("401", 1), ("402", 1), ("429_seconds", 1)])
def test_refused_starts(stage: Stage, service: str, fault: str, tries: int) -> Telling:
    """A refusal for good is not retried; one for a moment is waited for, within the same try."""
    stage.control.fault(service, fault, method="POST")
    run = stage.start(service, way="sync_retry")
    task = yield run.becomes("success" if fault.startswith("429") else "failed")
    assert task["try_number"] == tries
    assert len(stage.posts()) == (2 if fault.startswith("429") else 1)
    assert len(stage.jobs()) == (1 if fault.startswith("429") else 0)


@story
@pytest.mark.pitfall("F17")
@BOTH
@WAYS
def test_polls_that_fail_do_not_end_the_wait(stage: Stage, service: str, way: str) -> Telling:
    stage.hold()
    run = stage.start(service, way=way)
    job = yield from stage.begun(run, WAITING[way])
    for fault in ("500", "reset", "502_html", "429_seconds"):
        stage.control.fault(service, fault, method="GET", path_contains=job["id"])
    yield Until("all faults to be met", lambda: all(fault["applied"] for fault in stage.control.faults()))
    yield stage.polled(job["id"])
    assert stage.deletes() == []
    stage.finish(job["id"])
    yield run.becomes("success")
    assert len(stage.posts()) == 1
