"""Options that the service would refuse are refused before anything is billed, and the text says what to write."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_jobs.exceptions import InvalidInputError
from airflow_provider_jobs.services.datafiniti import DatafinitiService
from airflow_provider_jobs.services.firecrawl.options import check_body_options
from tests.services.option_values import BODIES

ALL = [(operation, version) for operation, versions in BODIES.items() for version in versions]
WEBHOOK = "https://example.com/hook"


def check(options: Any, operation: str = "batch_scrape", version: str | None = "v1", **more: Any) -> Any:
    return check_body_options(options, operation=operation, version=version, by_argument=(), **more)


def refused(options: Any, operation: str = "batch_scrape", version: str | None = "v1") -> str:
    with pytest.raises(InvalidInputError) as caught:
        check(options, operation, version)
    assert check(options, operation, version, check=False) == options
    text, _, rest = str(caught.value).partition(" (check_options=False sends it all the same)")
    assert not rest
    return text


# --- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "version", "options", "texts"),
    [
        ("batch_scrape", "v2", {"jsonOptions": {}},
         ["no option 'jsonOptions' in v2; it works in v1", "'formats'", "{'type': 'json'"]),
        ("batch_scrape", "v2", {"parsePDF": False}, ["it works in v1", "did you mean 'parsers'?", "[] for False"]),
        ("batch_scrape", "v2", {"extract": {}}, ["it works in v1", "{'type': 'json'"]),
        ("batch_scrape", "v2", {"changeTrackingOptions": {}}, ["it works in v1", "{'type': 'changeTracking'"]),
        ("batch_scrape", "v1", {"parsers": []}, ["it works in v2", "did you mean 'parsePDF'?"]),
        ("batch_scrape", "v1", {"lockdown": True}, ["no option 'lockdown' in v1; it works in v2"]),
        ("batch_scrape", "v1", {"scrapeOptions": {}}, ["page options stand beside the others"]),
        ("scrape", "v2", {"scrapeOptions": {}}, ["page options stand beside the others"]),
        ("scrape", "v1", {"maxConcurrency": 2}, ["Firecrawl's scrape has no option 'maxConcurrency'"]),
        ("crawl", "v2", {"maxDepth": 3}, ["it works in v1", "did you mean 'maxDiscoveryDepth'?"]),
        ("crawl", "v2", {"ignoreSitemap": True}, ["it works in v1", "did you mean 'sitemap'?", "'skip'"]),
        ("crawl", "v2", {"allowBackwardLinks": True}, ["it works in v1", "did you mean 'crawlEntireDomain'?"]),
        ("crawl", "v1", {"sitemap": "skip"}, ["it works in v2", "did you mean 'ignoreSitemap'?"]),
        ("crawl", "v1", {"prompt": "all"}, ["no option 'prompt' in v1; it works in v2"]),
        ("crawl", "v1", {"formats": []}, ["no option 'formats' in v1; did you mean 'scrapeOptions.formats'?"]),
        ("crawl", "v2", {"scrapeOptions": {"parsePDF": True}},
         ["no option 'scrapeOptions.parsePDF' in v2; it works in v1", "did you mean 'parsers'?"]),
        ("crawl", "v1", {"scrapeOptions": {"only_main_content": True}},
         ["no option 'scrapeOptions.only_main_content' in v1", "did you mean 'scrapeOptions.onlyMainContent'?"]),
        ("crawl", "v1", {"webhook": {"url": WEBHOOK, "event": []}}, ["'webhook.event'", "mean 'webhook.events'?"]),
        ("map", "v2", {"sitemapOnly": True}, ["it works in v1", "'only'"]),
        ("search", "v1", {"sources": []}, ["no option 'sources' in v1; it works in v2"]),
        ("search", "v2", {"scrapeOptions": {"format": []}}, ["did you mean 'scrapeOptions.formats'?"]),
        ("agent", "v2", {"max_credits": 5}, ["Firecrawl's agent has no option", "did you mean 'maxCredits'?"]),
        ("extract", "v2", {"showsources": True}, ["did you mean 'showSources'?"]),
        ("batch_scrape", "v2", {"formats": ["html", {"type": "json", "promt": "x"}]},
         ["no option 'formats[1].promt' in v2; did you mean 'formats[1].prompt'?"]),
        ("batch_scrape", "v2", {"parsers": [{"type": "pdf", "max_pages": 3}]}, ["mean 'parsers[0].maxPages'?"]),
        ("batch_scrape", "v1", {"formats": ["json"], "jsonOptions": {"promt": ""}}, ["mean 'jsonOptions.prompt'?"]),
        # The service takes unknown keys here and does nothing with them: only another spelling is a mistake for sure.
        ("batch_scrape", "v1", {"actions": [{"type": "screenshot", "full_page": True}]},
         ["no option 'actions[0].full_page' in v1; did you mean 'actions[0].fullPage'?"]),
    ],
)  # fmt: skip
def test_a_key_that_the_version_does_not_know(operation: str, version: str, options: Any, texts: list[str]) -> None:
    """F27: the service's own message may name the wrong version."""
    text = refused(options, operation, version)
    for part in texts:
        assert part in text


def test_what_an_argument_sets_is_not_suggested() -> None:
    with pytest.raises(InvalidInputError) as caught:
        check_body_options({"url": 1}, operation="batch_scrape", version="v1", by_argument=("urls",))
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize("operation", list(BODIES))
@pytest.mark.parametrize("check_all", [True, False])
def test_what_an_argument_sets_is_never_sent_twice(operation: str, check_all: bool) -> None:
    with pytest.raises(InvalidInputError, match="repeat 'x': it has an argument of its own"):
        check_body_options({"x": 1}, operation=operation, version="v2", by_argument=("x",), check=check_all)


# --- types and limits ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "version", "options", "text"),
    [
        ("batch_scrape", "v1", {"timeout": "30000"}, "option 'timeout'.* in v1: expected int, got str"),
        ("batch_scrape", "v1", {"timeout": True}, "'timeout'.*expected int, got bool"),
        ("batch_scrape", "v1", {"timeout": None}, "'timeout'.*expected int, got None; leave it out instead"),
        ("batch_scrape", "v1", {"timeout": 2.5}, "'timeout'.*expected int"),
        ("batch_scrape", "v1", {"timeout": 0}, "'timeout'.*expected int >= 1"),
        ("batch_scrape", "v1", {"waitFor": 60_001}, "'waitFor'.*expected int <= 60000"),
        ("crawl", "v2", {"scrapeOptions": {"waitFor": -1}}, "'scrapeOptions.waitFor'.*expected int >= 0"),
        ("batch_scrape", "v1", {"waitFor": 6000, "timeout": 10_000}, "waitFor .6000 ms. must not exceed half of tim"),
        ("batch_scrape", "v2", {"waitFor": 6000, "timeout": 10_000}, "must not exceed half of timeout"),
        ("crawl", "v1", {"scrapeOptions": {"waitFor": 2, "timeout": 3}}, "'scrapeOptions'.*half of timeout"),
        ("batch_scrape", "v1", {"maxConcurrency": 0}, "'maxConcurrency'.*expected int >= 1"),
        ("batch_scrape", "v1", {"formats": "markdown"}, "'formats'.*expected list, got str"),
        ("batch_scrape", "v1", {"formats": ["markdown", 5]}, r"'formats\[1\]'.*expected str"),
        ("batch_scrape", "v1", {"headers": {"a": 1}}, "'headers.a'.*expected str, got int"),
        ("batch_scrape", "v1", {"includeTags": [1]}, r"'includeTags\[0\]'.*expected str, got int"),
        ("batch_scrape", "v1", {"onlyMainContent": "yes"}, "'onlyMainContent'.*expected bool, got str"),
        ("batch_scrape", "v1", {"actions": [{"type": "scrape"}] * 51}, "'actions'.*length <= 50"),
        ("batch_scrape", "v1", {"actions": [{"type": "wait"}]}, r"'actions\[0\]'.*either 'milliseconds' or 'sel"),
        ("batch_scrape", "v1", {"actions": [{"type": "click"}]}, r"'actions\[0\]'.*it lacks 'selector'"),
        ("batch_scrape", "v1", {"actions": [{}]}, r"'actions\[0\]'.*it lacks 'type'"),
        ("batch_scrape", "v1", {"actions": [{"type": 5}]}, r"'actions\[0\]'.*its 'type' must be a word"),
        ("batch_scrape", "v1", {"appendToId": "abc"}, "'appendToId'.*invalid UUID"),
        ("batch_scrape", "v2", {"parsers": [{"type": "pdf", "maxPages": 10_001}]}, r"'parsers\[0\].maxPages'.*10000"),
        ("batch_scrape", "v2", {"redactPII": "yes"}, "'redactPII'.*expected bool . dict, got str"),
        ("batch_scrape", "v1", {"formats": ["json"]}, "go together: 'jsonOptions' is missing"),
        ("batch_scrape", "v1", {"jsonOptions": {}}, "go together: 'json' in 'formats' is missing"),
        ("batch_scrape", "v1", {"formats": ["changeTracking"]}, "needs the format markdown as well"),
        ("batch_scrape", "v2", {"formats": [{"type": "changeTracking"}]}, "needs the format markdown as well"),
        ("batch_scrape", "v1", {"formats": [{"type": "json"}]}, "v1 takes words, not objects; write 'json' here"),
        ("batch_scrape", "v1", {"formats": [{"type": "screenshot"}]}, "write 'screenshot' or 'screenshot@fullPage'"),
        ("batch_scrape", "v1", {"formats": [{"type": "changeTracking"}]}, "under 'changeTrackingOptions'"),
        ("batch_scrape", "v1", {"formats": [{"type": ["x"]}]}, "v1 takes words, not objects"),
        ("batch_scrape", "v2", {"formats": ["screenshot@fullPage"]}, "'type': 'screenshot', 'fullPage': True"),
        ("batch_scrape", "v2", {"formats": ["extract"]}, "v2 does not know 'extract'; write {'type': 'json'"),
        ("crawl", "v1", {"webhook": {"url": WEBHOOK, "events": ["crawl.completed"]}}, "write 'completed'"),
        ("crawl", "v1", {"webhook": {"url": WEBHOOK, "events": ["finished"]}}, "'finished' is none of started, page"),
        ("crawl", "v1", {"webhook": {"url": WEBHOOK, "metadata": {"n": 1}}}, "'webhook.metadata.n'.*expected str"),
        ("crawl", "v1", {"webhook": {"events": []}}, "'webhook'.*it lacks 'url'"),
        ("crawl", "v1", {"webhook": 5}, "'webhook'.*expected str . dict, got int"),
        ("agent", "v2", {"webhook": {"url": WEBHOOK, "events": ["page"]}}, "none of started, action, completed"),
        ("crawl", "v2", {"prompt": "x" * 10_001}, "'prompt'.*length <= 10000"),
        ("agent", "v2", {"prompt": "x" * 10_001}, "'prompt'.*length <= 10000"),
        ("crawl", "v1", {"delay": 0}, "'delay'.*expected number > 0"),
        ("crawl", "v2", {"delay": 61}, "'delay'.*expected number <= 60"),
        ("crawl", "v1", {"includePaths": "blog"}, "'includePaths'.*expected list, got str"),
        ("crawl", "v1", {"scrapeOptions": []}, "'scrapeOptions'.*expected dict, got list"),
        ("map", "v1", {"limit": 0}, "'limit'.*expected number >= 1"),
        ("search", "v1", {"limit": 101}, "'limit'.*expected int <= 100"),
        ("search", "v2", {"includeDomains": ["a.b"], "excludeDomains": ["c.d"]}, "exclude each other"),
        ("extract", "v1", {"urls": ["a.test"] * 11}, "'urls'.*length <= 10"),
        ("extract", "v2", {"schema": []}, "'schema'.*got list"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit(operation: str, version: str, options: Any, text: str) -> None:
    with pytest.raises(InvalidInputError, match=text):
        check(options, operation, version)
    refused(options, operation, version)


@pytest.mark.parametrize(("operation", "version"), ALL)
def test_the_integration_airflow(operation: str, version: str) -> None:
    """F26: a 400 everywhere; what else there is changes from build to build."""
    assert "the service refuses 'airflow'" in refused({"integration": "airflow"}, operation, version)
    assert "'origin'" in refused({"integration": "airflow"}, operation, version)
    assert check({"integration": "somebody-new"}, operation, version)


@pytest.mark.parametrize(
    ("operation", "version", "options"),
    [
        # Words that a release may bring.
        ("batch_scrape", "v1", {"formats": ["branding", "brand-new"], "proxy": "enhanced"}),
        ("batch_scrape", "v2", {"formats": ["brand-new", {"type": "brand-new", "depth": 3}]}),
        ("batch_scrape", "v2", {"parsers": ["image", {"type": "image", "ocr": True}]}),
        ("batch_scrape", "v1", {"actions": [{"type": "dance", "steps": 3}]}),
        ("crawl", "v2", {"sitemap": "twice"}),
        ("agent", "v2", {"model": "spark-9", "effort": "most", "location": {"country": "US"}}),
        # Keys that the service ignores.
        ("batch_scrape", "v1", {"actions": [{"type": "write", "text": "x", "selector": "#q"}]}),
        # Experiments of the service.
        ("batch_scrape", "v1", {"__experimental_cache": True}),
        # JavaScript's expressions are not Python's.
        ("crawl", "v1", {"includePaths": ["(", "(?<name>x)"]}),
        ("crawl", "v1", {"limit": -1, "maxDepth": 0}),
        # Each limit at its end.
        ("batch_scrape", "v1", {"waitFor": 60_000, "timeout": 120_000, "actions": [{"type": "scrape"}] * 50}),
        ("batch_scrape", "v2", {"actions": [{"type": "scrape"}] * 51}),
        ("batch_scrape", "v1", {"timeout": 500}),
        ("batch_scrape", "v1", {"timeout": 30_000.0, "waitFor": 0}),
        ("crawl", "v1", {"delay": 90}),
        ("agent", "v2", {"prompt": "x" * 10_000}),
        ("extract", "v2", {"urls": ["a.test"] * 11}),
        # What becomes JSON all the same.
        ("batch_scrape", "v1", {"formats": ("markdown", "html"), "includeTags": {"a"}}),
        ("batch_scrape", "v1", {"formats": ["extract"], "extract": {"schema": {}}}),
        ("batch_scrape", "v1", {"formats": ["extract"]}),
    ],
)
def test_a_wrong_refusal_would_be_worse(operation: str, version: str, options: Any) -> None:
    assert check(options, operation, version) == options


# --- no version yet -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"parsePDF": True}, {"parsers": []}, {"formats": [{"type": "json"}]}])
def test_without_a_version_what_any_version_takes_will_do(options: Any) -> None:
    assert check(options, version=None) == options


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"parsePdf": True}, "no option 'parsePdf'; did you mean 'parsePDF'?"),
        ({"waitFor": 70_000}, "option 'waitFor' of Firecrawl's batch scrape: expected int <= 60000"),
        # Only what both refuse is told, when there is such a thing.
        ({"parsers": [], "mobile": 1}, "option 'mobile' of Firecrawl's batch scrape: expected bool, got int"),
        ({"parsers": [], "parsePDF": True}, "no API version takes these options together: "
         "Firecrawl's batch scrape has no option 'parsers' in v1; it works in v2; did you mean 'parsePDF'? "
         "True stands for ['pdf'], False for []; Firecrawl's batch scrape has no option 'parsePDF' in v2; "
         "it works in v1; did you mean 'parsers'? ['pdf'] stands for True, [] for False"),
    ],
)  # fmt: skip
def test_without_a_version_what_no_version_takes(options: Any, text: str) -> None:
    assert refused(options, version=None).endswith(text)


def test_the_agent_has_one_version() -> None:
    assert check({"maxCredits": 5}, "agent", None) == {"maxCredits": 5}
    assert "no option 'maxCredit' in v2" in refused({"maxCredit": 5}, "agent", None)
    with pytest.raises(InvalidInputError, match="Firecrawl's agent is part of v2 only, not of v1"):
        check({}, "agent", "v1")


# --- what JSON cannot hold ----------------------------------------------------------------------------------------

ITSELF: dict[str, Any] = {}
ITSELF["headers"] = ITSELF


@pytest.mark.parametrize(
    "options",
    [{"timeout": float("nan")}, {"timeout": float("inf")}, {"headers": object()}, {"proxy": "\ud800"}, ITSELF],
    ids=["nan", "inf", "object", "half a character", "itself"],
)
@pytest.mark.parametrize("check_all", [True, False])
def test_what_json_cannot_hold_is_never_sent(options: Any, check_all: bool) -> None:
    with pytest.raises(InvalidInputError, match="options of Firecrawl's batch scrape hold something that JSON cannot"):
        check(options, check=check_all)


# --- properties ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("operation", "version"), ALL)
@given(data=st.data())
def test_right_names_with_right_values_are_taken(operation: str, version: str, data: st.DataObject) -> None:
    options = data.draw(BODIES[operation][version])
    before = copy.deepcopy(options)
    for known in (version, None):
        found = check(options, operation, known)
        assert found == before
        assert found is not options
    assert options == before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text()
            | st.sampled_from(["formats", "type", "actions", "webhook", "url", "events", "waitFor", "schema"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(("operation", "version"), ALL)
@given(data=st.data())
def test_anything_else_is_taken_or_refused_and_never_changed(operation: str, version: str, data: st.DataObject) -> None:
    names = data.draw(BODIES[operation][version])
    options = {name: data.draw(JSON) for name in names} | data.draw(st.dictionaries(st.text(), JSON, max_size=1))
    before = repr(options)
    for known in (version, None):
        try:
            check(options, operation, known)
        except InvalidInputError as refusal:
            assert str(refusal)
    assert repr(options) == before


# --- Datafiniti ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [True, False, "true", "false"])
@pytest.mark.parametrize("name", ["auto_trace", "only_traceable"])
def test_switches_of_datafiniti(name: str, value: Any) -> None:
    """Its reference calls them text and shows them as booleans."""
    assert DatafinitiService.check_download_options({name: value}) == {name: value}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"auto_trace": "yes"}, "option 'auto_trace' of Datafiniti's download in v4: expected True or False"),
        ({"auto_trace": 1}, "'auto_trace'.*expected bool . str, got int"),
        ({"view_name": ["a"]}, "'view_name'.*expected str, got list"),
        ({"viewName": "a"}, "did you mean 'view_name'"),
        ({"sort": None}, "'sort'.*leave it out"),
    ],
)
def test_other_options_of_datafiniti(options: Any, text: str) -> None:
    with pytest.raises(InvalidInputError, match=text):
        DatafinitiService.check_download_options(options)
    assert DatafinitiService.check_download_options(options, check_names=False) == options
