"""Wrong input is told before anything is billed: when the DAG is read, or after rendering where it is a template."""

import datetime as dt
import math
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator, XComArg
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_jobs.exceptions import InvalidInputError, NotCancellableError
from airflow_provider_jobs.operators.cleanup import RemoteJobsCleanupOperator
from airflow_provider_jobs.operators.datafiniti import DatafinitiCancelDownloadOperator, DatafinitiDownloadOperator
from airflow_provider_jobs.operators.firecrawl import FirecrawlBatchScrapeOperator, FirecrawlCancelJobOperator
from tests.conftest import DATAFINITI_TOKEN, FIRECRAWL_KEY, connection

URLS = ["https://example.com/a"]
BAD_DURATIONS = [0, -1, "30", math.nan, math.inf, True, None, dt.timedelta(0), dt.timedelta(seconds=-5)]
BAD_SHARES = [True, -1, 0.0, 1.5, -0.5, "1", math.nan, [1]]


def scrape(**arguments: Any) -> FirecrawlBatchScrapeOperator:
    return FirecrawlBatchScrapeOperator(**{"task_id": "job", "urls": URLS, **arguments})


def download(**arguments: Any) -> DatafinitiDownloadOperator:
    defaults = {"task_id": "job", "data_type": "businesses", "query": "country:US", "num_records": 5}
    return DatafinitiDownloadOperator(**{**defaults, **arguments})


BOTH = pytest.mark.parametrize("make", [scrape, download])


def test_right_input_is_taken() -> None:
    assert scrape(options={"formats": ["markdown"]}, api_version="v2", max_failed=0.25).max_failed == 0.25
    assert scrape(urls=("https://example.com/a", "http://example.com/b"), max_failed=0).max_failed == 0
    assert download(file_format="CSV", options={"sort": True}, view=["name"]).num_records == 5
    assert download(num_records=None, allow_all_records=True).num_records is None


# -- arguments that all operators share ------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("value", BAD_DURATIONS)
@pytest.mark.parametrize("name", ["poll_interval", "job_timeout"])
def test_durations(make: Any, name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=name):
        make(**{name: value})


@BOTH
def test_durations_are_seconds_or_timedelta(make: Any) -> None:
    operator = make(poll_interval=dt.timedelta(minutes=2), job_timeout=90)
    assert (operator.poll_interval, operator.job_timeout) == (120.0, 90.0)
    assert (make().poll_interval, make().job_timeout) == (30.0, 24 * 3600.0)


@BOTH
@pytest.mark.parametrize("value", BAD_SHARES)
def test_max_failed(make: Any, value: Any) -> None:
    with pytest.raises(InvalidInputError, match="max_failed"):
        make(max_failed=value)


# -- Firecrawl -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("urls", "told"),
    [
        ([], "empty"),
        ((), "empty"),
        ("https://example.com/a", "must be a list"),
        (b"https://example.com/a", "must be a list"),
        ({"https://example.com/a": 1}, "must be a list"),
        (7, "must be a list"),
        (None, "must be a list"),
        (["https://example.com/a", 7], r"urls\[1\]"),
        (["https://example.com/a", None], r"urls\[1\]"),
        (["https://example.com/a", ""], r"urls\[1\]"),
        (["ftp://example.com/a"], "http"),
        (["https://example.com/a b"], r"urls\[0\]"),
    ],
)
def test_urls(urls: Any, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        scrape(urls=urls)


def test_bad_urls_may_be_left_to_the_service() -> None:
    options = {"ignoreInvalidURLs": True}
    assert scrape(urls=["https://example.com/a", "ftp://example.com/b"], options=options).urls
    with pytest.raises(InvalidInputError, match="must be a list"):
        scrape(urls="https://example.com/a", options=options)


@pytest.mark.parametrize("version", ["v3", "1", "", 2])
def test_api_version(version: Any) -> None:
    with pytest.raises(InvalidInputError, match="api_version"):
        scrape(api_version=version)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"onlyMainContents": True}, "did you mean 'onlyMainContent'"),
        ({"only_main_content": True}, "did you mean 'onlyMainContent'"),
        ({"format": ["markdown"]}, "did you mean 'formats'"),
        ({"urls": URLS}, "'urls'.*argument of its own"),
        (["markdown"], "must be a dictionary"),
        ("markdown", "must be a dictionary"),
    ],
)
def test_firecrawl_options(options: Any, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        scrape(options=options)


def test_option_of_the_other_version() -> None:
    with pytest.raises(InvalidInputError, match="works in v1"):
        scrape(options={"parsePDF": True}, api_version="v2")
    with pytest.raises(InvalidInputError, match="works in v2"):
        scrape(options={"parsers": ["pdf"]}, api_version="v1")
    # Which version the connection has is not known when the DAG is read.
    assert scrape(options={"parsers": ["pdf"]}).options
    assert scrape(options={"parsePDF": True}).options


def test_unchecked_options() -> None:
    assert scrape(options={"brandNew": 1}, check_options=False).options == {"brandNew": 1}
    with pytest.raises(InvalidInputError, match="argument of its own"):
        scrape(options={"urls": []}, check_options=False)


# -- Datafiniti ------------------------------------------------------------------------------------------------------


def test_num_records_must_be_said() -> None:
    with pytest.raises(InvalidInputError, match="allow_all_records"):
        download(num_records=None)


@pytest.mark.parametrize("value", [0, -3, True, 2.5, "many", "", [5]])
@pytest.mark.parametrize("all_records", [False, True])
def test_num_records(value: Any, all_records: bool) -> None:
    with pytest.raises(InvalidInputError, match="num_records"):
        download(num_records=value, allow_all_records=all_records)


@pytest.mark.parametrize(
    ("value", "told"), [("business", "businesses"), ("hotels", "must be one of"), (None, "one of")]
)
def test_data_type(value: Any, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        download(data_type=value)


@pytest.mark.parametrize("value", ["", "  ", None, {"country": "US"}])
def test_query(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="query"):
        download(query=value)


@pytest.mark.parametrize("value", ["xml", "", None, 1])
def test_file_format(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="file_format"):
        download(file_format=value)


@pytest.mark.parametrize("value", ["", [], {"name": "x"}, 3])
def test_view(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="view"):
        download(view=value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"num_records": 5}, "'num_records'.*argument of its own"),
        ({"query": "x"}, "'query'.*argument of its own"),
        ({"download": False}, "'download'.*argument of its own"),
        ({"sorted": True}, "did you mean 'sort'"),
        ("sort", "must be a dictionary"),
    ],
)
def test_datafiniti_options(options: Any, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        download(options=options)


# -- cancel operators ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["extract", "map", "batch-scrape", ""])
def test_kinds_that_cannot_be_cancelled(kind: str) -> None:
    with pytest.raises(NotCancellableError, match="batch_scrape"):
        FirecrawlCancelJobOperator(task_id="cancel", job_id="1", kind=kind)


def test_kinds_that_can_be_cancelled() -> None:
    assert FirecrawlCancelJobOperator(task_id="cancel", job_id="1").kind == "batch_scrape"
    assert FirecrawlCancelJobOperator(task_id="cancel", job_id="1", kind="crawl").kind == "crawl"
    with pytest.raises(InvalidInputError, match="api_version"):
        FirecrawlCancelJobOperator(task_id="cancel", job_id="1", api_version="v9")


# -- what is only known after rendering ------------------------------------------------------------------------------


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch, sandbox: Any) -> Any:
    """Both connections, in the environment; the answer is the sandbox."""
    firecrawl, datafiniti = sandbox.urls["firecrawl"], sandbox.urls["datafiniti"]
    monkeypatch.setenv("AIRFLOW_CONN_FIRECRAWL_DEFAULT", connection("firecrawl", firecrawl, FIRECRAWL_KEY))
    monkeypatch.setenv("AIRFLOW_CONN_DATAFINITI_DEFAULT", connection("datafiniti", datafiniti, DATAFINITI_TOKEN))
    return sandbox


def upstream() -> XComArg:
    return XComArg(BaseOperator(task_id="upstream"))


TEMPLATE = "{{ dag_run.conf['value'] }}"


@pytest.mark.parametrize("value", [TEMPLATE, [TEMPLATE], "{% if a %}x{% endif %}", "xcom"])
def test_templates_are_not_judged_when_the_dag_is_read(value: Any) -> None:
    with DAG("templates"):
        given = upstream() if value == "xcom" else value
        scrape(urls=given)
        text = given if not isinstance(given, list) else given[0]
        scrape(task_id="options", options=text, api_version=text, output_path=text)
        download(task_id="download", data_type=text, query=text, num_records=text, file_format=text, options=text)
        FirecrawlCancelJobOperator(task_id="cancel", job_id=text, kind=text, api_version=text)
        DatafinitiCancelDownloadOperator(task_id="cancel_download", download_id=text)


def rendered(operator: BaseOperator, **fields: Any) -> BaseOperator:
    """Put values into templated arguments as rendering does."""
    for name, value in fields.items():
        assert name in operator.template_fields, f"{name} is not templated"
        setattr(operator, name, value)
    return operator


@pytest.mark.parametrize(
    ("make", "fields", "told"),
    [
        (scrape, {"urls": "['https://example.com/a']"}, "must be a list"),
        (scrape, {"urls": []}, "empty"),
        (scrape, {"urls": None}, "must be a list"),
        (scrape, {"urls": ["ftp://example.com"]}, "http"),
        (scrape, {"options": {"onlyMainContents": True}}, "onlyMainContent"),
        (scrape, {"options": "{}"}, "must be a dictionary"),
        (scrape, {"options": {"parsePDF": True}, "api_version": "v2"}, "works in v1"),
        (scrape, {"options": {"parsers": ["pdf"]}}, "works in v2"),
        (scrape, {"api_version": "v3"}, "api_version"),
        (scrape, {"urls": [f"https://example.com/{'x' * 990}/{n}" for n in range(11_000)]}, "10,000,000"),
        (scrape, {"output_path": "  "}, "output_path"),
        (scrape, {"output_path": "nowhere://folder"}, "output_path"),
        (download, {"num_records": "many"}, "num_records"),
        (download, {"num_records": None}, "num_records"),
        (download, {"num_records": "0"}, "num_records"),
        (download, {"data_type": "hotels"}, "data_type"),
        (download, {"query": ""}, "query"),
        (download, {"file_format": "xml"}, "file_format"),
        (download, {"view": []}, "view"),
        (download, {"options": {"query": "x"}}, "argument of its own"),
        (download, {"output_path": ""}, "output_path"),
    ],
)
def test_rendered_input_is_judged_before_the_first_request(
    connections: Any, make: Any, fields: dict[str, Any], told: str
) -> None:
    operator = rendered(make(), **fields)
    with pytest.raises(AirflowFailException, match=told) as caught:
        operator.execute({"ti": Ti()})
    assert isinstance(caught.value.__cause__, InvalidInputError)
    assert connections.control.requests() == []


class Ti:
    """As much of a task instance as an output folder is marked with."""

    dag_id, run_id, task_id, map_index = "a_dag", "a_run", "job", -1


@pytest.mark.parametrize(
    ("operator", "told"),
    [
        (rendered(FirecrawlCancelJobOperator(task_id="c", job_id="1"), kind="extract"), "cannot cancel 'extract'"),
        (rendered(FirecrawlCancelJobOperator(task_id="c", job_id="1"), api_version="v9"), "api_version"),
        (rendered(FirecrawlCancelJobOperator(task_id="c", job_id="1"), job_id=None), "job_id"),
        (rendered(FirecrawlCancelJobOperator(task_id="c", job_id="1"), job_id=" "), "job_id"),
        (rendered(DatafinitiCancelDownloadOperator(task_id="c", download_id=1), download_id=None), "download_id"),
        (rendered(DatafinitiCancelDownloadOperator(task_id="c", download_id=1), download_id=""), "download_id"),
    ],
)
def test_rendered_input_of_cancels(connections: Any, operator: Any, told: str) -> None:
    with pytest.raises(AirflowFailException, match=told):
        operator.execute({})
    assert connections.control.requests() == []


def test_every_templated_argument_exists() -> None:
    operators = [
        scrape(),
        download(),
        FirecrawlCancelJobOperator(task_id="cancel", job_id="1"),
        DatafinitiCancelDownloadOperator(task_id="cancel", download_id="1"),
    ]
    for operator in operators:
        for name in operator.template_fields:
            assert hasattr(operator, name), f"{type(operator).__name__}.{name}"


def test_constructing_sends_nothing_and_reads_no_connection(sandbox: Any) -> None:
    """A DAG file is read every minute, on machines that may not have the connection."""
    scrape(firecrawl_conn_id="no_such_connection")
    download(datafiniti_conn_id="no_such_connection")
    assert sandbox.control.requests() == []


@pytest.mark.parametrize("argument", ["force", "only_report"])
@pytest.mark.parametrize("value", ["False", "{{ params.x }}", 1, None])
def test_switches_of_the_clean_up(argument: str, value: Any) -> None:
    """The text "False" would count as true, and end jobs that were only to be listed."""
    with pytest.raises(InvalidInputError, match=f"{argument} must be True or False"):
        RemoteJobsCleanupOperator(task_id="clean", **{argument: value})


@pytest.mark.parametrize("value", [0, -1, "2m", True])
def test_age_of_the_clean_up(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="older_than"):
        RemoteJobsCleanupOperator(task_id="clean", older_than=value)
