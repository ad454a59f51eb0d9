"""Wrong input to the operators of Firecrawl's other jobs and calls: told when the DAG is read, or after rendering."""

from __future__ import annotations

import datetime as dt
import warnings
from typing import Any

import pytest
from airflow.exceptions import AirflowProviderDeprecationWarning
from airflow.sdk import DAG, BaseOperator, XComArg
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_jobs.exceptions import InvalidInputError
from airflow_provider_jobs.operators.firecrawl import (
    FirecrawlAgentOperator,
    FirecrawlCancelJobOperator,
    FirecrawlCrawlOperator,
    FirecrawlExtractOperator,
    FirecrawlFetchResultsOperator,
    FirecrawlMapOperator,
    FirecrawlScrapeOperator,
    FirecrawlSearchOperator,
)
from tests.operators.conftest import Instance, sent

URL = "https://example.com/"


def crawl(**arguments: Any) -> Any:
    return FirecrawlCrawlOperator(**{"task_id": "job", "url": URL, **arguments})


def agent(**arguments: Any) -> Any:
    return FirecrawlAgentOperator(**{"task_id": "job", "prompt": "who?", **arguments})


def extract(**arguments: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AirflowProviderDeprecationWarning)
        return FirecrawlExtractOperator(**{"task_id": "job", "urls": [URL], **arguments})


def scrape(**arguments: Any) -> Any:
    return FirecrawlScrapeOperator(**{"task_id": "job", "url": URL, **arguments})


def site_map(**arguments: Any) -> Any:
    return FirecrawlMapOperator(**{"task_id": "job", "url": URL, **arguments})


def search(**arguments: Any) -> Any:
    return FirecrawlSearchOperator(**{"task_id": "job", "query": "bees", **arguments})


JOBS = [crawl, agent, extract]
CALLS = [scrape, site_map, search]
EVERY = pytest.mark.parametrize("make", [*JOBS, *CALLS])
BAD_URLS = [None, 7, "", " ", [URL], "ftp://example.com/", "https://example.com/a b", "javascript://x"]
BAD_NUMBERS = [0, -1, True, 2.5, "many", "", "-3", [5]]


def test_right_input_is_taken() -> None:
    assert crawl(limit=5, api_version="v2", max_failed=0.5, count_http_errors=True).limit == 5
    assert crawl(limit="{{ params.most }}").limit == "{{ params.most }}"
    assert crawl(url="example.com").url == "example.com"  # the service adds the scheme
    assert agent(urls=(URL,), schema={"type": "object"}, max_credits="100").max_credits == "100"
    assert scrape(options={"timeout": 5000}, retry_billed=True).retry_billed is True
    assert search(query=" bees ", options=None).query == " bees "


@pytest.mark.parametrize("make", JOBS)
@pytest.mark.parametrize("name", ["poll_interval", "job_timeout"])
@pytest.mark.parametrize("value", [0, -1, "30", None, True, dt.timedelta(0)])
def test_durations(make: Any, name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=name):
        make(**{name: value})


@pytest.mark.parametrize("make", JOBS)
@pytest.mark.parametrize("value", [True, -1, 0.0, 1.5, "1"])
def test_max_failed(make: Any, value: Any) -> None:
    with pytest.raises(InvalidInputError, match="max_failed"):
        make(max_failed=value)


@pytest.mark.parametrize("make", [crawl, scrape, site_map])
@pytest.mark.parametrize("value", BAD_URLS)
def test_url(make: Any, value: Any) -> None:
    with pytest.raises(InvalidInputError, match="url"):
        make(url=value)


@pytest.mark.parametrize("value", BAD_NUMBERS)
def test_limit(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="limit must be a number of pages from 1"):
        crawl(limit=value)


@pytest.mark.parametrize("value", BAD_NUMBERS)
def test_max_credits(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="max_credits must be a number of credits from 1"):
        agent(max_credits=value)


@pytest.mark.parametrize("value", ["", "  ", 7, ["who?"], "x" * 10_001])
@pytest.mark.parametrize("make", [agent, extract])
def test_prompt(make: Any, value: Any) -> None:
    with pytest.raises(InvalidInputError, match="prompt"):
        make(prompt=value)


def test_an_agent_needs_a_prompt() -> None:
    with pytest.raises(InvalidInputError, match="prompt must be a text"):
        agent(prompt=None)


@pytest.mark.parametrize("value", ["", "  ", None, 7, ["bees"]])
def test_query(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="query"):
        search(query=value)


@pytest.mark.parametrize("make", [agent, extract])
@pytest.mark.parametrize("value", [[], URL, {"a": 1}, [7], ["ftp://example.com/"]])
def test_urls(make: Any, value: Any) -> None:
    with pytest.raises(InvalidInputError, match="urls"):
        make(urls=value)


@pytest.mark.parametrize("make", [agent, extract])
@pytest.mark.parametrize("value", ["{}", [], 7])
def test_schema(make: Any, value: Any) -> None:
    with pytest.raises(InvalidInputError, match="schema must be a JSON schema"):
        make(schema=value)


@EVERY
@pytest.mark.parametrize("value", ["v3", "1", "", 2, "V1"])
def test_api_version(make: Any, value: Any) -> None:
    with pytest.raises(InvalidInputError, match="api_version"):
        make(api_version=value)


@EVERY
@pytest.mark.parametrize("value", [["markdown"], "markdown", 7])
def test_options_are_a_dictionary(make: Any, value: Any) -> None:
    with pytest.raises(InvalidInputError, match="must be a dictionary"):
        make(options=value)


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (crawl, ["url", "limit"]),
        (agent, ["prompt", "urls", "schema", "maxCredits"]),
        (extract, ["urls", "prompt", "schema"]),
        (scrape, ["url"]),
        (site_map, ["url"]),
        (search, ["query"]),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_what_has_an_argument_is_no_option(make: Any, names: list[str], check: bool) -> None:
    for name in names:
        with pytest.raises(InvalidInputError, match=f"{name!r}.*argument of its own"):
            make(options={name: 1}, check_options=check)


@EVERY
def test_templates_are_judged_when_they_are_rendered(make: Any) -> None:
    with DAG("templates"):
        upstream = BaseOperator(task_id="upstream")
        for name in type(make()).template_fields:
            made = make(**{"task_id": f"text_{name}", name: "{{ params.x }}"})
            assert getattr(made, name) == "{{ params.x }}"
            make(**{"task_id": f"xcom_{name}", name: XComArg(upstream, key=name)})


@EVERY
def test_every_templated_argument_exists(make: Any) -> None:
    made = make()
    assert all(hasattr(made, name) for name in made.template_fields)
    assert set(made.template_fields_renderers) <= set(made.template_fields)


@pytest.mark.parametrize("make", [FirecrawlFetchResultsOperator, FirecrawlCancelJobOperator])
def test_every_templated_argument_of_operators_by_id_exists(make: Any) -> None:
    made = make(task_id="x", job_id="1")
    assert all(hasattr(made, name) for name in made.template_fields)


@EVERY
def test_constructing_sends_nothing_and_reads_no_connection(sandbox: Any, make: Any) -> None:
    make(firecrawl_conn_id="no_such_connection")
    assert sandbox.control.requests() == []


@pytest.mark.usefixtures("firecrawl_default")
@pytest.mark.parametrize(
    ("make", "fields", "told"),
    [
        (crawl, {"url": None}, "url"),
        (crawl, {"url": "ftp://example.com/"}, "http"),
        (crawl, {"limit": "many"}, "limit"),
        (crawl, {"limit": "0"}, "limit"),
        (crawl, {"options": "{}"}, "must be a dictionary"),
        (crawl, {"options": {"limit": 5}}, "argument of its own"),
        (crawl, {"api_version": "v3"}, "api_version"),
        (crawl, {"output_path": " "}, "output_path"),
        (agent, {"prompt": None}, "prompt"),
        (agent, {"prompt": ""}, "prompt"),
        (agent, {"urls": "['https://example.com/']"}, "must be a list"),
        (agent, {"schema": "{}"}, "JSON schema"),
        (agent, {"schema": {"a": object()}}, "JSON cannot"),
        (agent, {"max_credits": "0"}, "max_credits"),
        (agent, {"options": {"threadId": object()}}, "JSON cannot"),
        (extract, {"urls": None}, "urls, a prompt, or both"),
        (extract, {"urls": []}, "empty"),
        (extract, {"prompt": "x" * 10_001}, "10,001 characters"),
        (extract, {"api_version": "v9"}, "api_version"),
        (search, {"query": ""}, "query"),
        (site_map, {"url": "not an address"}, "url"),
    ],
)
def test_rendered_input_is_judged_before_the_first_request(
    sandbox: Any, task: Instance, make: Any, fields: dict[str, Any], told: str
) -> None:
    """P8."""
    operator = make()
    for name, value in fields.items():
        assert name in operator.template_fields
        setattr(operator, name, value)
    with pytest.raises(AirflowFailException, match=told) as caught:
        task.execute(operator)
    assert isinstance(caught.value.__cause__, InvalidInputError)
    assert sent(sandbox) == []
    assert task.ledger == []


@pytest.mark.pitfall("F42")
@pytest.mark.usefixtures("firecrawl_default")
@pytest.mark.parametrize("make", [crawl, extract, scrape])
def test_a_body_that_is_too_large(sandbox: Any, task: Instance, make: Any) -> None:
    options = {"scrapeOptions": {"headers": {"x": "y" * 10_000_001}}}
    with pytest.raises(AirflowFailException, match="at most 10,000,000"):
        task.execute(make(options=options, check_options=False))
    assert sent(sandbox) == []
