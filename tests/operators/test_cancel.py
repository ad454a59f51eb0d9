"""The cancel operators against the sandbox, without Airflow's services."""

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

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
