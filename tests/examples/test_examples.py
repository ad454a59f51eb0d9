"""Every example DAG, loaded and run by a real Airflow against the sandbox."""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import DATAFINITI_TOKEN, ROOT
from tests.support.cluster import AirflowCluster

EXAMPLES = {path.stem for path in (ROOT / "example_dags").glob("*.py")}
RUN_TIMEOUT = 120
SCHEDULED = {"remote_jobs_cleanup": "*/15 * * * *"}
NEEDS_A_LEDGER_FOLDER = {"remote_jobs_cleanup"}
"""Here is none: `tests/airflow/cleanup` runs them with one."""
DEFERRED = {
    "firecrawl_agent": "ask",
    "firecrawl_batch_to_folder": "scrape",
    "firecrawl_crawl": "crawl",
    "firecrawl_extract": "extract",
    "firecrawl_fetch_results": "wait",
    "firecrawl_hand_over": "wait",
    "datafiniti_download_to_folder": "download",
    "datafiniti_fetch_results": "wait",
    "datafiniti_hand_over": "wait",
}
CALLS = {"firecrawl_scrape_map_search", "firecrawl_taskflow"}
"""They run when no job is held: a call has an end of its own, after which the service gives up."""
JOBS_AT_FIRST = 14
"""One of each example with jobs but those that cancel, two of the mapped one; the hook's second follows its first."""
STARTED = {"agent": 1, "batch_scrape": 8, "crawl": 3, "download": 4, "extract": 1, "scrape": 3}


@dataclass
class Ran:
    """All example DAGs, run to their end."""

    airflow: AirflowCluster
    sandbox: Any
    site: str
    folder: Path
    run_ids: dict[str, str]
    states: dict[str, str]
    jobs_to_cancel: dict[str, str]
    names_while_deferred: dict[int, str]

    def xcom(self, dag_id: str, task_id: str, key: str = "return_value") -> Any:
        return self.airflow.xcom(dag_id, self.run_ids[dag_id], task_id, key)

    def job(self, dag_id: str, task_id: str) -> dict[str, Any]:
        """What the sandbox says of the job that a task has started."""
        return self.sandbox.control.job(self.xcom(dag_id, task_id, "job_id"))

    def was_deferred(self, dag_id: str, task_id: str) -> bool:
        return "trigger " + dag_id in self.airflow.logs(dag_id, self.run_ids[dag_id], task_id)


def held_jobs(sandbox: Any) -> dict[str, str]:
    """Start one job at each service that does not end by itself, as somebody else would."""
    urls = sandbox.urls
    scrape = requests.post(
        f"{urls['firecrawl']}/v1/batch/scrape", json={"urls": [f"{urls['site']}/page1.html"]}, timeout=30
    )
    download = requests.post(
        f"{urls['datafiniti']}/v4/businesses/search",
        json={"query": "country:US", "num_records": 50, "download": True},
        headers={"Authorization": f"Bearer {DATAFINITI_TOKEN}"},
        timeout=30,
    )
    return {"firecrawl": str(scrape.json()["id"]), "datafiniti": str(download.json()["id"])}


@pytest.fixture(scope="module")
def ran(airflow: AirflowCluster, sandbox_session: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """Trigger all examples, then wait for all: they run beside each other."""
    control = sandbox_session.control
    control.reset()
    # No job ends before it is told to: what shall be deferred must not be over at the first look.
    control.settings(firecrawl={"hold": True}, datafiniti={"hold": True})
    site, folder = sandbox_session.urls["site"], tmp_path_factory.mktemp("results")
    cancel = held_jobs(sandbox_session)
    conf: dict[str, dict[str, Any]] = {
        "firecrawl_batch_to_folder": {
            "urls": [f"{site}/articles/{number}.html" for number in range(1, 7)],
            "output_folder": str(folder / "firecrawl"),
        },
        "firecrawl_batch_return_value": {"urls": [f"{site}/page1.html", f"{site}/about.html"]},
        "firecrawl_hand_over": {"urls": [f"{site}/page{number}.html" for number in range(1, 5)]},
        "firecrawl_hook_in_task": {"index": f"{site}/index.html", "pages": 3},
        "firecrawl_crawl": {"url": f"{site}/index.html", "limit": 60, "output_folder": str(folder / "crawl")},
        "firecrawl_agent": {"urls": [f"{site}/about.html"]},
        "firecrawl_extract": {"urls": [f"{site}/articles/3.html"]},
        "firecrawl_fetch_results": {"url": f"{site}/articles/7.html", "output_folder": str(folder / "fetched")},
        "firecrawl_mapped": {
            "urls": [f"{site}/about.html", f"{site}/articles/1.html", f"{site}/articles/2.html"],
            "output_folder": str(folder / "mapped"),
        },
        "firecrawl_scrape_map_search": {
            "site": f"{site}/index.html",
            "word": "/articles/",
            "pages": 4,
            "query": "Tides",
            "output_folder": str(folder / "calls"),
        },
        "firecrawl_taskflow": {"site": f"{site}/index.html", "pages": 2},
        "firecrawl_cancel_job": {"job_id": cancel["firecrawl"]},
        "datafiniti_download_to_folder": {"output_folder": str(folder / "datafiniti"), "num_records": 12},
        "datafiniti_download_return_value": {},
        "datafiniti_fetch_results": {"output_folder": str(folder / "fetched_files"), "num_records": 7},
        "datafiniti_hand_over": {},
        "datafiniti_cancel_download": {"download_id": cancel["datafiniti"]},
        "remote_jobs_cleanup": {},
    }
    assert set(conf) == EXAMPLES, "each example file holds the DAG of its own name, and each is run here"
    run_ids = {dag_id: airflow.trigger(dag_id, conf[dag_id]) for dag_id in sorted(set(conf) - CALLS)}
    for dag_id in SCHEDULED:
        airflow.wait_for_run(dag_id, run_ids[dag_id], RUN_TIMEOUT)
        airflow.api("PATCH", f"/dags/{dag_id}", {"is_paused": True})
    for dag_id, task_id in DEFERRED.items():
        airflow.wait_for_task(dag_id, run_ids[dag_id], task_id, "deferred", RUN_TIMEOUT)
    mapped = [
        airflow.wait_for_task("firecrawl_mapped", run_ids["firecrawl_mapped"], "scrape", "deferred", RUN_TIMEOUT, index)
        for index in range(2)
    ]
    control.wait_for(lambda: len(control.jobs()) == len(cancel) + JOBS_AT_FIRST, RUN_TIMEOUT)
    control.settings(firecrawl={"hold": False}, datafiniti={"hold": False})
    for job in control.jobs():
        if job["id"] not in cancel.values():
            control.act(job["id"], "finish")
    run_ids |= {dag_id: airflow.trigger(dag_id, conf[dag_id]) for dag_id in sorted(CALLS)}
    states = {dag_id: airflow.wait_for_run(dag_id, run_id, RUN_TIMEOUT) for dag_id, run_id in run_ids.items()}
    names = {task["map_index"]: task["rendered_map_index"] for task in mapped}
    yield Ran(airflow, sandbox_session, site, folder, run_ids, states, cancel, names)
    sandbox_session.control.reset()


@pytest.mark.parametrize("dag_id", sorted(EXAMPLES - NEEDS_A_LEDGER_FOLDER))
def test_example_succeeds(ran: Ran, dag_id: str) -> None:
    assert ran.states[dag_id] == "success", ran.airflow.explain(dag_id, ran.run_ids[dag_id])
    assert ran.airflow.run(dag_id, ran.run_ids[dag_id])["dag_run_id"] == ran.run_ids[dag_id]


@pytest.mark.parametrize("dag_id", sorted(NEEDS_A_LEDGER_FOLDER))
def test_example_says_what_it_needs(ran: Ran, dag_id: str) -> None:
    """Without a ledger folder it fails, without a retry, and names the settings."""
    assert ran.states[dag_id] == "failed"
    log = ran.airflow.logs(dag_id, ran.run_ids[dag_id], "cleanup")
    assert "[airflow_provider_jobs] ledger_path and deployment" in log
    assert "AirflowFailException" in log


def test_examples_load_without_errors(ran: Ran) -> None:
    broken = {name: error for name, error in ran.airflow.import_errors().items() if Path(name).stem in EXAMPLES}
    assert broken == {}
    for dag_id in sorted(EXAMPLES):
        details = ran.airflow.api("GET", f"/dags/{dag_id}/details")
        assert Path(details["fileloc"]).stem == dag_id
        assert details["timetable_summary"] == SCHEDULED.get(dag_id), "an example starts nothing by itself"
        assert {tag["name"] for tag in details["tags"]} >= {"example", dag_id.partition("_")[0]}


def test_batch_to_folder(ran: Ran) -> None:
    dag_id = "firecrawl_batch_to_folder"
    summary = ran.xcom(dag_id, "scrape")
    assert (summary["service"], summary["kind"], summary["state"]) == ("firecrawl", "batch_scrape", "succeeded")
    assert (summary["records"], summary["failed"], summary["missing"], summary["credits_used"]) == (6, 0, 0, 6)
    assert "data" not in summary
    folder = ran.folder / "firecrawl" / ran.run_ids[dag_id]
    assert [Path(name.removeprefix("file://")) for name in summary["output"]] == [folder / "part-00000.jsonl"]
    assert {path.name for path in folder.iterdir()} == {"part-00000.jsonl", "_manifest.json"}
    documents = [json.loads(line) for line in (folder / "part-00000.jsonl").read_text().splitlines()]
    assert {document["metadata"]["sourceURL"] for document in documents} == {
        f"{ran.site}/articles/{number}.html" for number in range(1, 7)
    }
    tides = next(d for d in documents if d["metadata"]["sourceURL"].endswith("/articles/1.html"))
    assert tides["markdown"].lstrip("# \n").startswith("Tides\n")
    assert "Next: [Lighthouses]" in tides["markdown"]
    manifest = json.loads((folder / "_manifest.json").read_text())
    assert manifest["job"]["job_id"] == summary["job_id"]
    assert manifest["records"] == 6
    described = (ROOT / "docs" / "results.md").read_text()
    assert all(
        f"`{key}`" in described for key in [*manifest, *manifest["owner"], *manifest["job"], *manifest["parts"][0]]
    )
    assert ran.was_deferred(dag_id, "scrape")
    job = ran.job(dag_id, "scrape")
    assert (job["state"], job["completed"], job["deletes"]) == ("completed", 6, 0)


def test_batch_return_value(ran: Ran) -> None:
    dag_id = "firecrawl_batch_return_value"
    summary = ran.xcom(dag_id, "scrape")
    assert summary["records"] == len(summary["data"]) == 2
    assert summary["output"] == []
    assert sorted(ran.xcom(dag_id, "titles")) == ["About", "Page 1"]
    assert not ran.was_deferred(dag_id, "scrape")


def test_hand_over(ran: Ran) -> None:
    dag_id = "firecrawl_hand_over"
    handed, ended = ran.xcom(dag_id, "start"), ran.xcom(dag_id, "wait")
    assert (handed["state"], handed["records"]) == ("running", 0)
    assert handed["job_id"] == ended["job_id"]
    assert (ended["state"], ended["completed"]) == ("succeeded", 4)
    assert ran.was_deferred(dag_id, "wait")
    pages = ran.xcom(dag_id, "read")
    assert {page["url"] for page in pages} == {f"{ran.site}/page{number}.html" for number in range(1, 5)}
    assert all(page["characters"] > 100 for page in pages)
    assert ran.job(dag_id, "start")["deletes"] == 0, "neither the operator nor the sensor owns the job any more"


def test_hook_in_task(ran: Ran) -> None:
    titles = ran.xcom("firecrawl_hook_in_task", "follow_links")
    assert len(titles) == 3
    assert all(url.startswith(ran.site) and title for url, title in titles.items())


@pytest.mark.parametrize(
    ("dag_id", "service"), [("firecrawl_cancel_job", "firecrawl"), ("datafiniti_cancel_download", "datafiniti")]
)
def test_cancel(ran: Ran, dag_id: str, service: str) -> None:
    job = ran.sandbox.control.job(ran.jobs_to_cancel[service])
    assert (job["state"], job["cancelled_by_delete"]) == ("cancelled", True)
    told = ran.xcom(dag_id, "cancel")
    assert (told["job_id"], told["state"], told["cancelled"]) == (ran.jobs_to_cancel[service], "cancelled", True)


def test_download_to_folder(ran: Ran) -> None:
    dag_id = "datafiniti_download_to_folder"
    summary = ran.xcom(dag_id, "download")
    assert (summary["service"], summary["kind"], summary["state"]) == ("datafiniti", "download", "succeeded")
    assert (summary["records"], summary["missing"], summary["credits_used"]) == (12, 0, 12)
    folder = ran.folder / "datafiniti" / ran.run_ids[dag_id]
    files = [Path(name.removeprefix("file://")) for name in summary["output"]]
    assert {path.name for path in folder.iterdir()} == {"_manifest.json", *(path.name for path in files)}
    records = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    assert len({record["id"] for record in records}) == 12
    assert all("Hotels" in record["categories"] and record["country"] == "US" for record in records)
    assert ran.was_deferred(dag_id, "download")
    job = ran.job(dag_id, "download")
    assert (job["state"], job["completed"], job["deletes"]) == ("completed", 12, 0)


def test_download_return_value(ran: Ran) -> None:
    summary = ran.xcom("datafiniti_download_return_value", "download")
    assert summary["records"] == len(summary["data"]) == 5
    names = ran.xcom("datafiniti_download_return_value", "names")
    assert names == [record["name"] for record in summary["data"]]


def test_download_hand_over(ran: Ran) -> None:
    dag_id = "datafiniti_hand_over"
    assert ran.xcom(dag_id, "start")["state"] == "running"
    assert ran.xcom(dag_id, "wait")["state"] == "succeeded"
    assert ran.was_deferred(dag_id, "wait")
    cities = ran.xcom(dag_id, "cities")
    assert cities
    assert cities == sorted(set(cities))
    job = ran.job(dag_id, "start")
    assert (job["state"], job["completed"], job["deletes"]) == ("completed", 5, 0)


def test_crawl(ran: Ran) -> None:
    dag_id = "firecrawl_crawl"
    summary = ran.xcom(dag_id, "crawl")
    assert (summary["kind"], summary["state"], summary["missing"]) == ("crawl", "succeeded", 0)
    folder = ran.folder / "crawl" / ran.run_ids[dag_id]
    documents = documents_in(folder)
    addresses = {document["metadata"]["sourceURL"] for document in documents}
    assert addresses >= {f"{ran.site}/articles/{number}.html" for number in range(1, 41)}
    assert len(addresses) == summary["records"] == len(documents)
    (failure,) = [json.loads(line) for line in (folder / "_failed.jsonl").read_text().splitlines()]
    assert (failure["url"], failure["code"]) == (f"{ran.site}/private/secret.html", "ROBOTS_BLOCKED")
    assert summary["failed"] == 1
    assert ran.was_deferred(dag_id, "crawl")


def test_agent(ran: Ran) -> None:
    dag_id = "firecrawl_agent"
    summary = ran.xcom(dag_id, "ask")
    assert (summary["kind"], summary["state"], summary["records"]) == ("agent", "succeeded", 1)
    assert summary["data"] == [{"title": "About", "description": "Description of About", "email": None}]
    assert ran.xcom(dag_id, "tell") == "About: Description of About (no address)"
    assert ran.was_deferred(dag_id, "ask")
    assert ran.job(dag_id, "ask")["api_version"] == "v2", "though the connection says v1"


def test_extract(ran: Ran) -> None:
    dag_id = "firecrawl_extract"
    summary = ran.xcom(dag_id, "extract")
    assert summary["data"] == [{"title": "Bridges", "description": "Description of Bridges"}]
    assert ran.was_deferred(dag_id, "extract")
    log = ran.airflow.logs(dag_id, ran.run_ids[dag_id], "extract")
    assert "An extract cannot be cancelled" in log
    assert "FirecrawlExtractOperator is deprecated" in log


def test_calls(ran: Ran) -> None:
    dag_id = "firecrawl_scrape_map_search"
    found = ran.xcom(dag_id, "map")
    assert found["records"] == len(found["data"]) > 40
    chosen = ran.xcom(dag_id, "choose")
    assert chosen == [f"{ran.site}/articles/{number}.html" for number in range(1, 5)]
    scraped = ran.xcom(dag_id, "scrape_chosen")
    assert (scraped["kind"], scraped["records"], scraped["missing"]) == ("batch_scrape", 4, 0)
    (hit,) = ran.xcom(dag_id, "search")["data"]
    assert hit["url"] == ran.xcom(dag_id, "best") == f"{ran.site}/articles/1.html"
    (document,) = documents_in(ran.folder / "calls" / ran.run_ids[dag_id] / "best")
    assert document["metadata"]["sourceURL"] == hit["url"]
    assert document["links"]
    assert ran.xcom(dag_id, "read_best")["kind"] == "scrape"


def documents_in(folder: Path) -> list[Any]:
    """The documents of a result, which must be complete."""
    manifest = json.loads((folder / "_manifest.json").read_text())
    return [json.loads(line) for part in manifest["parts"] for line in (folder / part["name"]).read_text().splitlines()]


def test_fetch_results(ran: Ran) -> None:
    dag_id = "firecrawl_fetch_results"
    handed, fetched = ran.xcom(dag_id, "start"), ran.xcom(dag_id, "fetch")
    assert (handed["state"], handed["records"]) == ("running", 0)
    assert (fetched["job_id"], fetched["state"], fetched["records"]) == (handed["job_id"], "succeeded", 5)
    documents = documents_in(ran.folder / "fetched" / ran.run_ids[dag_id])
    assert {document["metadata"]["sourceURL"] for document in documents} == {
        f"{ran.site}/articles/{number}.html" for number in range(7, 12)
    }
    assert ran.was_deferred(dag_id, "wait")
    assert ran.job(dag_id, "start")["deletes"] == 0


def test_fetch_download(ran: Ran) -> None:
    dag_id = "datafiniti_fetch_results"
    handed, fetched = ran.xcom(dag_id, "start"), ran.xcom(dag_id, "fetch")
    assert (handed["state"], handed["records"]) == ("running", 0)
    assert (fetched["job_id"], fetched["state"], fetched["records"]) == (handed["job_id"], "succeeded", 7)
    (name,) = fetched["output"]
    text = (ran.folder / "fetched_files" / ran.run_ids[dag_id] / Path(name).name).read_text()
    records = list(csv.DictReader(text.splitlines()))
    assert len({record["id"] for record in records}) == 7
    assert set(records[0]) == {"id", "name", "prices"}, "the columns of the view"
    assert ran.was_deferred(dag_id, "wait")
    assert ran.job(dag_id, "start")["deletes"] == 0


def test_mapped(ran: Ran) -> None:
    """Each mapped task has a name of its own in the UI, a job of its own, and a folder of its own."""
    dag_id = "firecrawl_mapped"
    run_id = ran.run_ids[dag_id]
    listed = ran.airflow.api("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
    names = {ti["map_index"]: ti["rendered_map_index"] for ti in listed if ti["task_id"] == "scrape"}
    assert names == ran.names_while_deferred == {0: f"{ran.site} (1 pages)", 1: f"{ran.site}/articles (2 pages)"}
    folder = ran.folder / "mapped" / run_id
    assert {path.name for path in folder.iterdir()} == {"0", "1"}
    assert [len(documents_in(folder / str(index))) for index in names] == [1, 2]
    assert ran.xcom(dag_id, "count") == {"records": 3, "failed": 0, "missing": 0}


def test_hooks_in_taskflow(ran: Ran) -> None:
    dag_id = "firecrawl_taskflow"
    run_id = ran.run_ids[dag_id]
    urls = ran.xcom(dag_id, "find")
    assert len(urls) == 2
    listed = ran.airflow.api("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
    assert [ti["rendered_map_index"] for ti in listed if ti["task_id"] == "scrape"] == urls
    crawled = ran.xcom(dag_id, "crawl")
    assert len(crawled) == 2
    assert f"{ran.site}/index.html" in crawled


def test_services_were_asked_for_no_more(ran: Ran) -> None:
    """The sandbox's own record: one start for each job of an example, and none twice."""
    started = [job for job in ran.sandbox.control.jobs() if job["id"] not in ran.jobs_to_cancel.values()]
    assert Counter(job["kind"] for job in started) == STARTED
