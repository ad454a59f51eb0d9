"""Every operator checks its options: when the DAG is read, or after rendering, before anything is sent."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from airflow.exceptions import AirflowProviderDeprecationWarning
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_jobs.exceptions import InvalidInputError
from airflow_provider_jobs.operators.datafiniti import DatafinitiDownloadOperator
from airflow_provider_jobs.operators.firecrawl import (
    FirecrawlAgentOperator,
    FirecrawlBatchScrapeOperator,
    FirecrawlCrawlOperator,
    FirecrawlExtractOperator,
    FirecrawlMapOperator,
    FirecrawlScrapeOperator,
    FirecrawlSearchOperator,
)
from tests.conftest import DATAFINITI_TOKEN, connection
from tests.operators.conftest import Instance

URL = "https://example.com/"
TEMPLATE = "{{ params.value }}"


class Case(NamedTuple):
    """An operator, options that no version of its service takes, and what is said of them."""

    operator: type[Any]
    needed: dict[str, Any]
    options: dict[str, Any]
    told: str


CASES = [
    Case(FirecrawlBatchScrapeOperator, {"urls": [URL]}, {"maxConcurrency": 0}, "'maxConcurrency'.*expected int >= 1"),
    Case(FirecrawlCrawlOperator, {"url": URL}, {"scrapeOptions": {"mobil": True}}, "'scrapeOptions.mobile'"),
    Case(FirecrawlAgentOperator, {"prompt": "who?"}, {"webhook": {"events": []}}, "'webhook'.*lacks 'url'"),
    Case(FirecrawlExtractOperator, {"urls": [URL]}, {"showSource": True}, "did you mean 'showSources'"),
    Case(FirecrawlScrapeOperator, {"url": URL}, {"waitFor": 60_001}, "'waitFor'.*expected int <= 60000"),
    Case(FirecrawlMapOperator, {"url": URL}, {"search": ["a"]}, "'search'.*expected str, got list"),
    Case(FirecrawlSearchOperator, {"query": "bees"}, {"integration": "airflow"}, "refuses 'airflow'"),
    Case(
        DatafinitiDownloadOperator,
        {"data_type": "people", "query": "x:y", "num_records": 5},
        {"auto_trace": "yes"},
        "'auto_trace'.*expected True or False",
    ),
]
EVERY = pytest.mark.parametrize("case", CASES, ids=lambda case: case.operator.__name__)


def make(case: Case, **arguments: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AirflowProviderDeprecationWarning)
        return case.operator(**{"task_id": "job", **case.needed, **arguments})


@pytest.fixture
def connections(firecrawl_default: Callable[..., None], monkeypatch: pytest.MonkeyPatch, sandbox: Any) -> Any:
    """Both connections on the sandbox, which is the answer; call `connections.firecrawl` for other extras."""
    datafiniti = connection("datafiniti", sandbox.urls["datafiniti"], DATAFINITI_TOKEN)
    monkeypatch.setenv("AIRFLOW_CONN_DATAFINITI_DEFAULT", datafiniti)
    return sandbox


def posts(sandbox: Any) -> list[Any]:
    return [seen for seen in sandbox.control.requests() if seen["method"] == "POST"]


@EVERY
def test_literal_options_are_checked_when_the_dag_is_read(sandbox: Any, case: Case) -> None:
    with pytest.raises(InvalidInputError, match=case.told):
        make(case, options=case.options)
    assert make(case, options=case.options, check_options=False).options == case.options
    assert sandbox.control.requests() == []


@EVERY
def test_rendered_options_are_checked_before_the_first_request(connections: Any, task: Instance, case: Case) -> None:
    name = next(iter(case.options))
    with DAG("templates", params={"value": case.options[name]}, render_template_as_native_obj=True) as dag:
        operator = make(case, options={name: TEMPLATE})
    operator.render_template_fields({"params": dag.params.dump(), "dag": dag})
    assert operator.options == case.options
    with pytest.raises(AirflowFailException, match=case.told) as caught:
        task.execute(operator)
    assert isinstance(caught.value.__cause__, InvalidInputError)
    assert connections.control.requests() == []
    assert task.ledger == []


@EVERY
def test_unchecked_options_arrive_as_they_are(connections: Any, task: Instance, case: Case) -> None:
    """Firecrawl refuses such a key, which costs nothing either."""
    operator = make(case, options={"brandNew": {"a": [1]}}, check_options=False)
    connections.control.fault("datafiniti", "402", method="POST")
    with pytest.raises(AirflowFailException):
        task.execute(operator)
    (seen,) = posts(connections)
    assert json.loads(seen["body"])["brandNew"] == {"a": [1]}


@pytest.mark.parametrize(("version", "other"), [("v1", {"parsers": ["pdf"]}), ("v2", {"parsePDF": True})])
@pytest.mark.parametrize("case", [CASES[0], CASES[4]], ids=lambda case: case.operator.__name__)
def test_the_version_of_the_connection_decides_when_the_task_runs(
    connections: Any, firecrawl_default: Any, task: Instance, case: Case, version: str, other: dict[str, Any]
) -> None:
    firecrawl_default(api_version=version)
    operator = make(case, options=other)  # which version it will be is not known yet
    with pytest.raises(AirflowFailException, match="it works in"):
        task.execute(operator)
    assert connections.control.requests() == []
    with pytest.raises(InvalidInputError, match="it works in"):
        make(case, options=other, api_version=version)


@EVERY
def test_options_with_a_template_inside_are_not_judged_when_the_dag_is_read(case: Case) -> None:
    for options in ({"anything": TEMPLATE}, {**case.options, "anything": [{"deep": TEMPLATE}]}):
        assert make(case, options=options).options == options
