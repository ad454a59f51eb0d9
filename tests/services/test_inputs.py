"""Input that would be refused or billed for nothing fails before anything is sent, and the text says what to change."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_jobs.exceptions import InvalidInputError
from airflow_provider_jobs.services.base import encode_json
from airflow_provider_jobs.services.datafiniti import DatafinitiService
from airflow_provider_jobs.services.firecrawl import FirecrawlService, check_version
from airflow_provider_jobs.services.firecrawl.inputs import LARGEST_BODY

FIRECRAWL = FirecrawlService()
DATAFINITI = DatafinitiService()


def batch(urls: Any = ("https://a.test/1",), version: Any = "v1", **more: Any) -> Any:
    return FIRECRAWL.batch_scrape(list(urls) if isinstance(urls, tuple) else urls, api_version=version, **more)


# --- urls ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("urls", "text"),
    [
        ("https://a.test", r'urls must be a list of addresses, such as \["https://example.com/a"\]'),
        (b"https://a.test", "urls must be a list of addresses"),
        (None, "urls must be a list of addresses"),
        (7, "urls must be a list of addresses"),
        ({"https://a.test": 1}, "urls must be a list of addresses"),
        ([], "urls is empty: there is nothing to scrape"),
        (iter(()), "urls is empty"),
        (["https://a.test", 5], r"urls\[1\] must be a string, not int"),
        ([None], r"urls\[0\] must be a string, not NoneType"),
        ([["https://a.test"]], r"urls\[0\] must be a string, not list"),
        ([""], r"urls\[0\] is not an address: ''.*ignoreInvalidURLs"),
        (["  "], r"urls\[0\] is not an address"),
        (["https://a.test", "not a url"], r"urls\[1\] is not an address: 'not a url'.*ignoreInvalidURLs"),
        (["ftp://a.test/x"], r"urls\[0\] must begin with http:// or https://: 'ftp://a.test/x'.*ignoreInvalidURLs"),
        (["javascript://x"], r"urls\[0\] must begin with http:// or https://"),
    ],
)
def test_bad_urls(urls: Any, text: str) -> None:
    """F24: an empty list succeeds at once on a server of 2025, so it is refused here."""
    with pytest.raises(InvalidInputError, match=text):
        batch(urls)


@pytest.mark.parametrize("urls", [["not a url"], ["ftp://a.test", "", "x y"]])
def test_urls_that_are_all_invalid_are_refused_even_when_invalid_ones_may_be_left_out(urls: list[str]) -> None:
    """F24: such a job succeeds at once, with nothing."""
    with pytest.raises(InvalidInputError, match="none of the urls is an address"):
        batch(urls, options={"ignoreInvalidURLs": True})


def test_some_bad_urls_are_left_to_the_service_when_asked() -> None:
    """F22, F23."""
    spec = batch(["https://a.test", "not a url"], options={"ignoreInvalidURLs": True})
    assert spec.body["urls"] == ["https://a.test", "not a url"]
    assert (spec.body["ignoreInvalidURLs"], spec.asked) == (True, 2)


@pytest.mark.parametrize(
    "url", ["https://a.test", "HTTP://A.TEST/x", "a.test/x", "127.0.0.1:3010/a.html", "http://a.test/ä"]
)
def test_good_urls_are_sent_as_given(url: str) -> None:
    """An address without a scheme is completed by the service."""
    assert batch([url]).body["urls"] == [url]


def test_urls_of_any_iterable_and_with_duplicates() -> None:
    """F25: duplicates are billed each, and kept: the user asked for them."""
    spec = batch(url for url in ["https://a.test"] * 3)
    assert (spec.body["urls"], spec.asked) == (["https://a.test"] * 3, 3)


def test_a_body_that_the_service_would_not_take() -> None:
    """F42: above 10 MB a server of 2025 answers 500 without a reason."""
    urls = [f"https://a.test/{'x' * 1000}/{n}" for n in range(10_000)]
    with pytest.raises(
        InvalidInputError, match=r"10,\d{3},\d{3} bytes for 10,000 urls.*at most 10,000,000; split the urls"
    ):
        batch(urls)


def test_the_largest_body_fits() -> None:
    """F42."""
    empty = len(encode_json(batch(["https://a.test/"]).body))
    url = "https://a.test/" + "x" * (LARGEST_BODY - empty)
    assert len(FIRECRAWL.start(batch([url])).content or b"") == LARGEST_BODY
    with pytest.raises(InvalidInputError, match="10,000,001 bytes"):
        batch([url + "x"])


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_what_is_always_said(version: str) -> None:
    """F23: the default of `ignoreInvalidURLs` differs; F26: `integration` is left out, `origin` names the client."""
    body = batch(version=version).body
    assert body == {"ignoreInvalidURLs": False, "origin": "airflow-provider-jobs", "urls": ["https://a.test/1"]}


def test_options_become_part_of_the_body_untouched() -> None:
    options = {"formats": ["markdown"], "timeout": 30000, "origin": "mine", "webhook": {"url": "https://b.test"}}
    body = batch(options=options).body
    assert {key: body[key] for key in options} == options
    assert "urls" not in options


# --- options ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "name", "texts"),
    [
        ("v1", "format", ["no option 'format' in v1", "did you mean 'formats'?"]),
        ("v1", "only_main_content", ["did you mean 'onlyMainContent'?"]),
        ("v1", "ONLYMAINCONTENT", ["did you mean 'onlyMainContent'?"]),
        ("v2", "parsePDF", ["no option 'parsePDF' in v2", "it works in v1", "did you mean 'parsers'?"]),
        ("v1", "parsers", ["no option 'parsers' in v1", "it works in v2"]),
        ("v2", "jsonOptions", ["no option 'jsonOptions' in v2", "it works in v1"]),
        ("v1", "zzz", ["no option 'zzz' in v1"]),
    ],
)
def test_an_unknown_option(version: str, name: str, texts: list[str]) -> None:
    """F27: the service's own message may name the wrong version; ours names the right one and the nearest name."""
    with pytest.raises(InvalidInputError) as caught:
        batch(version=version, options={name: 1})
    for text in [*texts, "Firecrawl's batch scrape has", "(check_options=False sends it all the same)"]:
        assert text in str(caught.value)


def test_an_unknown_option_is_sent_when_asked() -> None:
    assert batch(options={"brandNew": 1}, check_names=False).body["brandNew"] == 1


def test_a_far_name_is_not_suggested() -> None:
    with pytest.raises(InvalidInputError) as caught:
        batch(options={"zzz": 1})
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize("check_names", [True, False])
def test_an_option_that_has_an_argument(check_names: bool) -> None:
    with pytest.raises(InvalidInputError, match="repeat 'urls': it has an argument of its own, use that"):
        batch(options={"urls": ["x"]}, check_names=check_names)


@pytest.mark.parametrize("options", [[], "formats", 5, [("formats", 1)]])
def test_options_that_are_no_dictionary(options: Any) -> None:
    with pytest.raises(InvalidInputError, match="options of Firecrawl's batch scrape must be a dictionary, not"):
        batch(options=options)


@pytest.mark.parametrize("value", [object(), {"a": {1, object()}}, "\ud800"])
def test_options_that_json_cannot_hold(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"options of Firecrawl's batch scrape.*JSON"):
        batch(options={"headers": value})
    with pytest.raises(InvalidInputError, match=r"options of Datafiniti's download.*JSON"):
        DATAFINITI.download("people", "x", 1, options={"view_name": value})


def test_a_name_that_is_no_text() -> None:
    with pytest.raises(InvalidInputError, match="no option '5'"):
        batch(options={5: 1})


def test_without_a_version_what_any_version_takes_will_do() -> None:
    assert FIRECRAWL.check_options("batch_scrape", {"parsePDF": True}, version=None) == {"parsePDF": True}
    assert FIRECRAWL.check_options("batch_scrape", {"parsers": []}, version=None) == {"parsers": []}
    with pytest.raises(InvalidInputError, match=r"did you mean 'parsePDF'\?"):
        FIRECRAWL.check_options("batch_scrape", {"parsePdf": True}, version=None)
    with pytest.raises(InvalidInputError, match="no API version takes these options together"):
        FIRECRAWL.check_options("batch_scrape", {"parsePDF": True, "parsers": []}, version=None)


def test_options_are_copied() -> None:
    given = {"mobile": True}
    found = FIRECRAWL.check_options("batch_scrape", given, version="v1")
    assert found == given
    assert found is not given
    assert FIRECRAWL.check_options("batch_scrape", None, version="v1") == {}


@pytest.mark.parametrize("version", ["v3", "V1", "", None, 1, ["v1"]])
def test_a_version_that_does_not_exist(version: Any) -> None:
    with pytest.raises(InvalidInputError, match="api_version must be one of v1, v2, not"):
        check_version(version)
    with pytest.raises(InvalidInputError, match="api_version must be one of v1, v2, not"):
        batch(version=version)


# --- Datafiniti ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"num_records": None}, "num_records is missing.*bill every record.*Give a number, or allow_all_records=True"),
        ({"num_records": 0}, "num_records must be a whole number of at least 1, not 0"),
        ({"num_records": -5}, "at least 1, not -5"),
        ({"num_records": 2.5}, "whole number of at least 1, not 2.5"),
        ({"num_records": True}, "whole number of at least 1, not True"),
        ({"num_records": "many"}, "whole number of at least 1, not 'many'"),
        ({"num_records": "0"}, "at least 1, not 0"),
        ({"num_records": ""}, "at least 1, not ''"),
        ({"num_records": "None"}, "at least 1, not 'None'"),
        ({"query": ""}, "query must be a text such as 'categories:hotels AND country:US'"),
        ({"query": "  "}, "query must be a text"),
        ({"query": None}, "query must be a text"),
        ({"query": {"a": 1}}, "query must be a text"),
        ({"data_type": "business"}, r"data_type must be one of .*not 'business'; did you mean 'businesses'\?"),
        ({"data_type": "property"}, r"did you mean 'properties'\?"),
        ({"data_type": "cars"}, r"data_type must be one of businesses, products, properties, people, not 'cars'"),
        ({"data_type": None}, "data_type must be one of"),
        ({"data_type": ["people"]}, "data_type must be one of"),
        ({"file_format": "xml"}, "file_format must be json or csv, not 'xml'"),
        ({"file_format": None}, "file_format must be json or csv"),
        ({"view": ""}, "view must be the name of a view, or a list of fields"),
        ({"view": []}, "view must be the name of a view"),
        ({"view": 5}, "view must be the name of a view"),
        ({"options": {"query": "x"}}, "repeat 'query': it has an argument of its own"),
        ({"options": {"format": "x"}}, "repeat 'format'"),
        ({"options": {"num_records": 5}}, "repeat 'num_records'"),
        ({"options": {"download": False}}, "repeat 'download'"),
        ({"options": {"autoTrace": True}}, r"download has no option 'autoTrace' in v4; did you mean 'auto_trace'\?"),
        ({"options": "auto_trace"}, "options of Datafiniti's download must be a dictionary, not str"),
    ],
)  # fmt: skip
def test_bad_downloads(changes: dict[str, Any], text: str) -> None:
    """DF1: without `num_records` everything that matches is billed."""
    given = {"data_type": "people", "query": "x:y", "num_records": 5, **changes}
    with pytest.raises(InvalidInputError, match=text):
        DATAFINITI.download(given.pop("data_type"), given.pop("query"), given.pop("num_records"), **given)


def test_all_records_only_on_an_explicit_word() -> None:
    """DF1."""
    spec = DATAFINITI.download("people", "x:y", allow_all_records=True)
    assert "num_records" not in spec.body
    assert spec.asked is None


@pytest.mark.parametrize(("given", "number"), [(5, 5), ("5", 5), (" 12 ", 12)])
def test_a_number_of_records_may_come_from_a_template(given: Any, number: int) -> None:
    spec = DATAFINITI.download("people", "x:y", given)
    assert (spec.body["num_records"], spec.asked) == (number, number)


@pytest.mark.parametrize("file_format", ["json", "JSON", "csv", "CSV"])
def test_the_format_is_sent_in_lower_case(file_format: str) -> None:
    """DF22."""
    assert DATAFINITI.download("people", "x", 1, file_format=file_format).body["format"] == file_format.lower()


@pytest.mark.parametrize("view", ["business_basic", ["name", "address"]])
def test_views(view: Any) -> None:
    body = DATAFINITI.download("businesses", "x", 1, view=view, options={"sort": True}).body
    assert (body["view"], body["sort"], body["download"]) == (view, True, True)
