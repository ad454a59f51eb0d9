"""The cancel operators against the sandbox, without Airflow's services."""

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_jobs.exceptions import NotCancellableError
from airflow_provider_jobs.hooks.datafiniti import DatafinitiHook
from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook
from airflow_provider_jobs.operators.datafiniti import DatafinitiCancelDownloadOperator
from airflow_provider_jobs.operators.firecrawl import FirecrawlCancelJobOperator
from tests.conftest import DATAFINITI_TOKEN, FIRECRAWL_KEY, connection

BOTH = pytest.mark.parametrize("service", ["firecrawl", "datafiniti"])
UNKNOWN = {"firecrawl": "3b1f0f2e-0000-4000-8000-000000000000", "datafiniti": "123456"}


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch, sandbox: Any) -> None:
    firecrawl, datafiniti = sandbox.urls["firecrawl"], sandbox.urls["datafiniti"]
    monkeypatch.setenv("AIRFLOW_CONN_FIRECRAWL_DEFAULT", connection("firecrawl", firecrawl, FIRECRAWL_KEY))
    monkeypatch.setenv("AIRFLOW_CONN_DATAFINITI_DEFAULT", connection("datafiniti", datafiniti, DATAFINITI_TOKEN))
    sandbox.control.settings(firecrawl={"hold": True}, datafiniti={"hold": True})


def start(sandbox: Any, service: str) -> str:
    if service == "firecrawl":
        return FirecrawlHook().start_batch_scrape([f"{sandbox.urls['site']}/page1.html"]).ref.job_id
    return DatafinitiHook().start_download("businesses", "country:US", 3).ref.job_id


def cancel(service: str, job_id: Any, **arguments: Any) -> Any:
    if service == "firecrawl":
        return FirecrawlCancelJobOperator(task_id="cancel", job_id=job_id, **arguments).execute({})
    return DatafinitiCancelDownloadOperator(task_id="cancel", download_id=job_id, **arguments).execute({})


def deletes(sandbox: Any) -> int:
    return len(sandbox.control.requests(method="DELETE"))


@BOTH
@pytest.mark.parametrize("fail_if_over", [False, True])
def test_running_job(sandbox: Any, service: str, fail_if_over: bool) -> None:
    job_id = start(sandbox, service)
    value = cancel(service, job_id, fail_if_over=fail_if_over)
    assert (value["job_id"], value["state"], value["cancelled"]) == (job_id, "cancelled", True)
    assert sandbox.control.job(job_id)["cancelled_by_delete"]
    assert deletes(sandbox) == 1


@pytest.mark.pitfall("F10")
@BOTH
@pytest.mark.parametrize("end", ["finish", "fail", "cancel"])
def test_job_that_is_over(sandbox: Any, service: str, end: str) -> None:
    job_id = start(sandbox, service)
    sandbox.control.act(job_id, end)
    value = cancel(service, job_id)
    assert (value["cancelled"], value["state"] in {"succeeded", "failed", "cancelled"}) == (False, True)
    with pytest.raises(AirflowFailException, match=job_id):
        cancel(service, job_id, fail_if_over=True)
    assert deletes(sandbox) == 0


@BOTH
def test_unknown_job(sandbox: Any, service: str) -> None:
    value = cancel(service, UNKNOWN[service])
    assert (value["cancelled"], value["state"]) == (False, "unknown")
    with pytest.raises(AirflowFailException, match="unknown"):
        cancel(service, UNKNOWN[service], fail_if_over=True)


@pytest.mark.pitfall("F12")
def test_cancel_that_is_lost_once_is_sent_again(sandbox: Any) -> None:
    job_id = start(sandbox, "firecrawl")
    sandbox.control.settings(firecrawl={"cancel_ignored": 1})
    assert cancel("firecrawl", job_id)["cancelled"] is True
    assert deletes(sandbox) == 2


@pytest.mark.pitfall("F12", "F18")
@BOTH
@pytest.mark.parametrize("fault", ["502_html", "reset", "429_seconds", "lost_reply"])
def test_cancel_meets_trouble(sandbox: Any, service: str, fault: str) -> None:
    job_id = start(sandbox, service)
    sandbox.control.fault(service, fault, method="DELETE", times=1)
    assert cancel(service, job_id)["state"] == "cancelled"
    assert sandbox.control.job(job_id)["state"] == "cancelled"


@BOTH
def test_refused_cancel_fails_for_good(sandbox: Any, service: str) -> None:
    """Success would mean that the job is over."""
    job_id = start(sandbox, service)
    sandbox.control.fault(service, "401", method="DELETE", times=None)
    with pytest.raises(AirflowFailException, match="may still run"):
        cancel(service, job_id)


def test_number_as_id(sandbox: Any) -> None:
    """Native rendering makes a number of a download's id."""
    job_id = start(sandbox, "datafiniti")
    assert cancel("datafiniti", int(job_id))["cancelled"] is True


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_api_version(sandbox: Any, version: str) -> None:
    job_id = FirecrawlHook(api_version=version).start_batch_scrape([f"{sandbox.urls['site']}/page1.html"]).ref.job_id
    assert cancel("firecrawl", job_id, api_version=version)["cancelled"] is True
    assert {seen["path"].split("/")[1] for seen in sandbox.control.requests(host="firecrawl")} == {version}


# -- the other kinds of Firecrawl ------------------------------------------------------------------------------------

CRAWLS_AND_AGENTS = pytest.mark.parametrize(("kind", "version"), [("crawl", "v1"), ("crawl", "v2"), ("agent", "v2")])


def start_kind(sandbox: Any, kind: str, version: str) -> str:
    hook = FirecrawlHook(api_version=version)
    if kind == "agent":
        return hook.start_agent("who keeps bees?").ref.job_id
    return hook.start_crawl(f"{sandbox.urls['site']}/index.html", limit=3).ref.job_id


@CRAWLS_AND_AGENTS
def test_running_job_of_another_kind(sandbox: Any, kind: str, version: str) -> None:
    job_id = start_kind(sandbox, kind, version)
    value = cancel("firecrawl", job_id, kind=kind, api_version=version)
    assert (value["kind"], value["job_id"], value["cancelled"]) == (kind, job_id, True)
    assert value["state"] == ("cancelled" if kind == "crawl" else "failed")  # the service's own word for an agent
    assert sandbox.control.job(job_id)["cancelled_by_delete"]
    assert [seen["path"] for seen in sandbox.control.requests(method="DELETE")] == [f"/{version}/{kind}/{job_id}"]


@CRAWLS_AND_AGENTS
@pytest.mark.parametrize("end", ["finish", "fail", "cancel"])
@pytest.mark.pitfall("F10")
def test_job_of_another_kind_that_is_over(sandbox: Any, kind: str, version: str, end: str) -> None:
    job_id = start_kind(sandbox, kind, version)
    sandbox.control.act(job_id, end)
    assert cancel("firecrawl", job_id, kind=kind, api_version=version)["cancelled"] is False
    with pytest.raises(AirflowFailException, match=job_id):
        cancel("firecrawl", job_id, kind=kind, api_version=version, fail_if_over=True)
    assert deletes(sandbox) == 0


@CRAWLS_AND_AGENTS
def test_unknown_job_of_another_kind(sandbox: Any, kind: str, version: str) -> None:
    value = cancel("firecrawl", UNKNOWN["firecrawl"], kind=kind, api_version=version)
    assert (value["cancelled"], value["state"]) == (False, "unknown")


@CRAWLS_AND_AGENTS
@pytest.mark.pitfall("F12", "F18")
@pytest.mark.parametrize("fault", ["502_html", "reset", "429_seconds", "lost_reply", "500"])
def test_cancel_of_another_kind_meets_trouble(sandbox: Any, kind: str, version: str, fault: str) -> None:
    job_id = start_kind(sandbox, kind, version)
    sandbox.control.fault("firecrawl", fault, method="DELETE", times=1)
    cancel("firecrawl", job_id, kind=kind, api_version=version)
    assert sandbox.control.job(job_id)["state"] == "cancelled"


@pytest.mark.pitfall("F13")
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("form", ["status", "message", "empty"])
@pytest.mark.parametrize("server", ["2025", "2026"])
def test_every_form_of_the_reply(sandbox: Any, version: str, form: str, server: str) -> None:
    sandbox.control.settings(firecrawl={"cancel_reply": form, "server": server})
    job_id = start_kind(sandbox, "crawl", version)
    assert cancel("firecrawl", job_id, kind="crawl", api_version=version)["cancelled"] is True


def test_an_agent_on_a_server_without_agents(sandbox: Any) -> None:
    sandbox.control.settings(firecrawl={"server": "2025"})
    with pytest.raises(AirflowFailException, match="no such address on this server"):
        cancel("firecrawl", UNKNOWN["firecrawl"], kind="agent")


# -- a single scrape, which one page of the documentation shows how to cancel ----------------------------------------


def scrape_id(sandbox: Any) -> str:
    sandbox.control.settings(firecrawl={"hold": False})
    document = FirecrawlHook().scrape(f"{sandbox.urls['site']}/page1.html")
    return str(document["metadata"]["scrapeId"])


def test_a_scrape_where_the_documented_route_exists(sandbox: Any) -> None:
    sandbox.control.settings(firecrawl={"scrape_delete": True})
    job_id = scrape_id(sandbox)
    value = cancel("firecrawl", job_id, kind="scrape", fail_if_over=True)
    # There is nothing to look at: the service's word is all there is.
    assert value == {
        "service": "firecrawl", "kind": "scrape", "job_id": job_id, "state": "unknown", "cancelled": True
    }  # fmt: skip
    (seen,) = sandbox.control.requests(method="DELETE")
    assert (seen["path"], seen["status"]) == (f"/v1/scrape/{job_id}", 200)
    assert sandbox.control.requests(host="firecrawl", method="GET") == []


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("server", ["2025", "2026"])
def test_a_scrape_where_it_does_not(sandbox: Any, version: str, server: str) -> None:
    sandbox.control.settings(firecrawl={"server": server})
    with pytest.raises(AirflowFailException, match="this server cannot cancel a single scrape") as caught:
        cancel("firecrawl", UNKNOWN["firecrawl"], kind="scrape", api_version=version)
    assert isinstance(caught.value.__cause__, NotCancellableError)
    (seen,) = sandbox.control.requests(method="DELETE")
    assert (seen["path"], seen["status"]) == (f"/{version}/scrape/{UNKNOWN['firecrawl']}", 404)


def test_a_scrape_that_is_unknown(sandbox: Any) -> None:
    sandbox.control.settings(firecrawl={"scrape_delete": True})
    value = cancel("firecrawl", UNKNOWN["firecrawl"], kind="scrape")
    assert value["cancelled"] is False
    with pytest.raises(AirflowFailException, match="nothing left to cancel"):
        cancel("firecrawl", UNKNOWN["firecrawl"], kind="scrape", fail_if_over=True)


@pytest.mark.parametrize(("fault", "told"), [("401", "key was not accepted"), ("403", "may not do this")])
def test_a_scrape_whose_cancel_is_refused(sandbox: Any, fault: str, told: str) -> None:
    sandbox.control.settings(firecrawl={"scrape_delete": True})
    sandbox.control.fault("firecrawl", fault, method="DELETE", times=None)
    with pytest.raises(AirflowFailException, match=told):
        cancel("firecrawl", UNKNOWN["firecrawl"], kind="scrape")


@pytest.mark.parametrize("fault", ["502_html", "reset", "429_seconds"])
def test_a_scrape_whose_cancel_meets_trouble(sandbox: Any, fault: str) -> None:
    sandbox.control.settings(firecrawl={"scrape_delete": True})
    job_id = scrape_id(sandbox)
    sandbox.control.fault("firecrawl", fault, method="DELETE", times=1)
    assert cancel("firecrawl", job_id, kind="scrape")["job_id"] == job_id
    assert deletes(sandbox) == 2
