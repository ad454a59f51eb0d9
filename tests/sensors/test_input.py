"""What sensors make of their arguments."""

import datetime as dt
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator, XComArg
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_jobs.exceptions import InvalidInputError
from airflow_provider_jobs.sensors.datafiniti import DatafinitiDownloadSensor
from airflow_provider_jobs.sensors.firecrawl import FirecrawlJobSensor
from tests.conftest import FIRECRAWL_KEY, connection

BOTH = pytest.mark.parametrize(
    ("sensor", "name"), [(FirecrawlJobSensor, "job_id"), (DatafinitiDownloadSensor, "download_id")]
)


@BOTH
def test_defaults(sensor: Any, name: str) -> None:
    made = sensor(task_id="wait", **{name: "1"})
    assert (made.poke_interval, made.cancel_on_kill, made.deferrable, made.soft_fail) == (60.0, False, False, False)


@BOTH
def test_durations(sensor: Any, name: str) -> None:
    made = sensor(task_id="wait", **{name: "1"}, poke_interval=dt.timedelta(seconds=90), timeout=dt.timedelta(hours=1))
    assert (made.poke_interval, made.timeout) == (90.0, 3600.0)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [({"api_version": "v3"}, "api_version"), ({"api_version": ""}, "api_version"), ({"kind": "batch-scrape"}, "kind")],
)
def test_literals_are_judged_when_the_dag_is_read(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        FirecrawlJobSensor(task_id="wait", job_id="1", **arguments)


@BOTH
def test_templates_are_not(sensor: Any, name: str) -> None:
    with DAG("templates"):
        sensor(task_id="text", **{name: "{{ dag_run.conf['job_id'] }}"})
        sensor(task_id="xcom", **{name: XComArg(BaseOperator(task_id="upstream"), key="job_id")})
        FirecrawlJobSensor(task_id="all", job_id="1", kind="{{ a }}", api_version="{% if b %}v1{% endif %}")


@BOTH
@pytest.mark.parametrize("value", [None, "", "  ", ["1"]])
@pytest.mark.parametrize("deferrable", [False, True])
def test_rendered_ids_are_judged_before_the_first_request(
    monkeypatch: pytest.MonkeyPatch, sandbox: Any, sensor: Any, name: str, value: Any, deferrable: bool
) -> None:
    for service in ("firecrawl", "datafiniti"):
        address = connection(service, sandbox.urls[service], FIRECRAWL_KEY)
        monkeypatch.setenv(f"AIRFLOW_CONN_{service.upper()}_DEFAULT", address)
    made = sensor(task_id="wait", **{name: "1"}, deferrable=deferrable)
    setattr(made, name, value)
    with pytest.raises(AirflowFailException, match=name):
        made.execute({})
    assert sandbox.control.requests() == []
