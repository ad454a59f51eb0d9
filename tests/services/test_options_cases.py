"""Options are checked against the schema of the operation and the version, before anything is sent."""

from __future__ import annotations

import copy
import datetime as dt
import json
import types
import uuid
from decimal import Decimal
from typing import Any, Required, get_args, get_origin, get_type_hints, is_typeddict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_jobs.exceptions import InvalidInputError
from airflow_provider_jobs.services.datafiniti import DatafinitiService
from airflow_provider_jobs.services.firecrawl import FirecrawlService
from airflow_provider_jobs.services.firecrawl.inputs import BY_ARGUMENT
from airflow_provider_jobs.services.firecrawl.schema_jobs import BODIES
from tests.services.option_cases import NEEDED, REFUSED, TAKEN, Refused, Taken

FIRECRAWL = FirecrawlService()
DATAFINITI = DatafinitiService()
EVERY = pytest.mark.parametrize(
    ("operation", "version"), [(operation, version) for operation, bodies in BODIES.items() for version in bodies]
)


def check(operation: str, options: Any, version: str | None = "v1", **more: Any) -> dict[str, Any]:
    return FIRECRAWL.check_options(operation, options, version=version, **more)


def told(operation: str, options: Any, version: str | None = "v1", **more: Any) -> str:
    """The message of a refusal."""
    with pytest.raises(InvalidInputError) as caught:
        check(operation, options, version, **more)
    return str(caught.value)


def test_the_cases_speak_of_every_operation_and_version() -> None:
    every = {(operation, version) for operation, bodies in BODIES.items() for version in bodies}
    assert {(case.operation, case.version) for case in TAKEN} == every
    assert {(case.operation, case.version) for case in REFUSED} == every
    assert set(BY_ARGUMENT) == set(BODIES) == set(NEEDED)


@pytest.mark.parametrize("case", TAKEN)
def test_what_the_service_takes_is_taken_and_left_as_it_is(case: Taken) -> None:
    before = copy.deepcopy(case.options)
    found = check(case.operation, case.options, case.version)
    assert found == case.options == before
    assert found is not case.options


@pytest.mark.pitfall("F26", "F27")
@pytest.mark.parametrize("case", REFUSED)
def test_what_the_service_refuses_is_refused_and_sent_all_the_same_on_request(case: Refused) -> None:
    before = copy.deepcopy(case.options)
    text = told(case.operation, case.options, case.version)
    assert case.text in text
    assert case.operation.replace("_", " ") in text
    assert text.endswith(" (check_options=False sends it all the same)")
    assert check(case.operation, case.options, case.version, check_names=False) == case.options == before


@pytest.mark.parametrize("case", TAKEN)
def test_without_a_version_it_is_enough_that_one_takes_it(case: Taken) -> None:
    assert check(case.operation, case.options, None) == case.options


# --- names ----------------------------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("checked", [True, False])
def test_what_has_an_argument_is_never_an_option(operation: str, version: str, checked: bool) -> None:
    for name in BY_ARGUMENT[operation]:
        for given_version in (version, None):
            text = told(operation, {"origin": "mine", name: 1}, given_version, check_names=checked)
            assert text.endswith(f"repeat {name!r}: it has an argument of its own, use that")


def test_an_argument_in_another_spelling() -> None:
    assert "repeat 'max_credits': it has an argument of its own" in told("agent", {"max_credits": 5}, "v2")
    assert "repeat 'URLs': it has an argument of its own" in told("batch_scrape", {"URLs": []})
    assert check("agent", {"max_credits": 5}, "v2", check_names=False) == {"max_credits": 5}


@pytest.mark.parametrize(
    ("operation", "version", "options", "text"),
    [
        ("batch_scrape", "v2", {"location": {"Country": "DE"}}, "did you mean 'location.country'?"),
        ("batch_scrape", "v2", {"profile": {"name": "a", "savechanges": True}}, "mean 'profile.saveChanges'?"),
        ("batch_scrape", "v1", {"actions": [{"type": "wait", "Selector": "a"}]}, "mean 'actions[0].selector'?"),
        ("scrape", "v2", {"formats": [{"type": "screenshot", "full_page": True}]}, "mean 'formats[0].fullPage'?"),
    ],
)
def test_a_known_name_in_another_spelling_is_told_even_where_the_service_ignores_it(
    operation: str, version: str, options: dict[str, Any], text: str
) -> None:
    assert text in told(operation, options, version)


@pytest.mark.parametrize(
    ("operation", "version", "options"),
    [
        # Objects of which the service ignores what it does not know.
        ("batch_scrape", "v1", {"location": {"country": "DE", "city": "Berlin"}}),
        ("batch_scrape", "v1", {"actions": [{"type": "press", "key": "a", "delay": 5}]}),
        ("batch_scrape", "v2", {"profile": {"name": "a", "zzz": 1}}),
        # Sets that grow with each release.
        ("batch_scrape", "v1", {"formats": ["hologram"], "proxy": "quantum"}),
        ("batch_scrape", "v2", {"formats": ["hologram", {"type": "hologram", "depth": 3}]}),
        ("batch_scrape", "v2", {"parsers": ["docx", {"type": "docx", "pages": [1]}]}),
        ("batch_scrape", "v1", {"actions": [{"type": "dance", "steps": 5}]}),
        ("batch_scrape", "v2", {"actions": [{"type": "press", "key": "a"}] * 51}),
        ("crawl", "v2", {"sitemap": "sometimes"}),
        ("search", "v2", {"sources": ["radio", {"type": "radio", "band": "fm"}], "categories": ["jokes"]}),
        ("agent", "v2", {"model": "spark-9", "effort": "heroic", "mode": "dream"}),
        ("batch_scrape", "v1", {"integration": "some-new-tool"}),
        # Experiments.
        ("batch_scrape", "v1", {"__experimental_omce": True}),
        ("crawl", "v2", {"scrapeOptions": {"__experimental_engpicker": True}}),
        # What is free: a schema of the user's, headers.
        ("scrape", "v2", {"formats": [{"type": "json", "schema": {"format": "x", "Formats": {"a": [None]}}}]}),
        ("scrape", "v2", {"formats": [{"type": "json", "schema": True}]}),
        ("scrape", "v1", {"formats": ["json"], "jsonOptions": {"schema": None}}),
        ("scrape", "v1", {"headers": {"formats": "a", "": ""}}),
        # Only the service can judge a pattern of JavaScript's.
        ("crawl", "v1", {"includePaths": ["(?<name>a)", "("]}),
    ],
)
def test_what_only_the_service_can_judge_is_let_through(operation: str, version: str, options: dict[str, Any]) -> None:
    assert check(operation, options, version) == options


def test_a_name_that_works_in_no_version_names_none() -> None:
    for version in ("v1", "v2"):
        assert "it works in" not in told("batch_scrape", {"screenshot": True}, version)


def test_a_name_does_not_work_in_a_version_that_lacks_the_object_around_it() -> None:
    assert "it works in" not in told("batch_scrape", {"redactPII": {"zzz": 1}}, "v1").replace(
        "'redactPII' in v1; it works in v2", ""
    )
    assert "'formats[0].promt' in v2; did you" in told(
        "batch_scrape", {"formats": [{"type": "json", "promt": 1}]}, "v2"
    )


# --- versions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"zzz": 1}, ["Firecrawl's batch scrape has no option 'zzz' ("]),
        ({"format": []}, ["has no option 'format'; did you mean 'formats'? ("]),
        ({"mobile": 1}, ["option 'mobile' of Firecrawl's batch scrape: expected bool, got int"]),
        (
            {"parsers": [], "parsePDF": True},
            ["no API version takes these options together", "no option 'parsers' in v1", "no option 'parsePDF' in v2"],
        ),
        (
            {"integration": "airflow"},
            ["option 'integration' of Firecrawl's batch scrape: the service refuses 'airflow'"],
        ),
    ],
)
def test_what_no_version_takes(options: dict[str, Any], parts: list[str]) -> None:
    text = told("batch_scrape", options, None)
    assert all(part in text for part in parts), text


def test_an_operation_of_one_version() -> None:
    assert told("agent", {"model": "spark-2"}) == "Firecrawl's agent is part of v2 only, not of v1"
    assert "no option 'zzz' in v2" in told("agent", {"zzz": 1}, None)


# --- values ---------------------------------------------------------------------------------------------------------


def deep(floors: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for _ in range(floors):
        made = {"a": made}
    return made


def circle() -> dict[str, Any]:
    made: dict[str, Any] = {}
    made["headers"] = made
    return made


@pytest.mark.parametrize(
    "value",
    [object(), {1j}, float("nan"), [float("inf")], "\ud800", {("a", 1): 2}, {None: 1}, circle(), deep(100_000), print],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("checked", [True, False])
def test_what_json_cannot_hold(value: Any, checked: bool) -> None:
    assert "hold something that JSON cannot" in told("batch_scrape", {"headers": value}, check_names=checked)
    with pytest.raises(InvalidInputError, match="JSON cannot"):
        DATAFINITI.check_download_options({"sort": value}, check_names=checked)


@pytest.mark.parametrize("options", [[], "formats", 5, True, [("formats", 1)], b"{}"])
def test_options_that_are_no_dictionary(options: Any) -> None:
    assert "must be a dictionary, not" in told("crawl", options)
    assert "must be a dictionary, not" in told("crawl", options, check_names=False)


def test_any_mapping_is_a_dictionary() -> None:
    assert check("batch_scrape", types.MappingProxyType({"mobile": True})) == {"mobile": True}
    assert check("batch_scrape", None) == {}
    assert check("batch_scrape", {}) == {}


@pytest.mark.parametrize(
    "options",
    [
        {"formats": ("markdown",), "headers": {"Date": dt.date(2026, 1, 2)}},
        {"includeTags": {"nav"}, "appendToId": uuid.uuid4()},
        {"waitFor": 5.0, "timeout": 10.0},
    ],
)
def test_values_are_judged_as_they_are_sent(options: dict[str, Any]) -> None:
    """JSON has lists for tuples and sets, text for dates and ids, and one sort of numbers."""
    assert check("batch_scrape", options) == options


@pytest.mark.parametrize("value", [Decimal(5), "5", b"5", [5], {"a": 5}, 5.5])
def test_what_is_no_number_when_it_is_sent(value: Any) -> None:
    assert "option 'timeout' of Firecrawl's batch scrape in v1: expected int" in told(
        "batch_scrape", {"timeout": value}
    )


# --- nothing good is refused ----------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
# Where a word is not free; `type` picks an object's own rules, which the tables above are about.
WORDS = {"events": st.lists(st.sampled_from(["started", "completed", "failed"]), max_size=2)}
LEFT_OUT = {"formats", "actions", "parsers", "sources", "categories", "jsonOptions", "extract", "integration"}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a kind, within its limits."""
    notes: tuple[Any, ...] = ()
    while hasattr(kind, "__metadata__"):
        notes, kind = (*notes, *kind.__metadata__), kind.__origin__
    least = max([0, *[n.ge for n in notes if getattr(n, "ge", None) is not None]])
    least = max([least, *[n.gt + 1 for n in notes if getattr(n, "gt", None) is not None]])
    most = min([n.le for n in notes if getattr(n, "le", None) is not None], default=10**6)
    longest = min([n.max_length for n in notes if getattr(n, "max_length", None) is not None], default=3)
    origin, arguments = get_origin(kind), get_args(kind)
    if is_typeddict(kind):
        return objects(kind)
    if origin is list:
        return st.lists(values(arguments[0]), max_size=min(longest, 3))
    if origin is dict:
        return st.dictionaries(st.text(max_size=5), values(arguments[1]), max_size=2)
    if arguments:
        return st.one_of([values(member) for member in arguments])
    known: dict[Any, st.SearchStrategy[Any]] = {
        str: st.text(max_size=min(longest, 20)),
        bool: st.booleans(),
        int: st.integers(least, most) | st.integers(least, most).map(float),
        float: st.integers(least, most) | st.floats(least, most),
        uuid.UUID: st.uuids().map(str),
        Any: json_values,
        type(None): st.none(),
    }
    return known[kind]


def objects(kind: Any, without: frozenset[str] = frozenset()) -> st.SearchStrategy[dict[str, Any]]:
    """Objects of right names and right types."""
    needed, free = {}, {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if name in LEFT_OUT | without:
            continue
        required = get_origin(hint) is Required
        strategy = WORDS[name] if name in WORDS else values(get_args(hint)[0] if required else hint)
        (needed if required else free)[name] = strategy
    # Half of timeout is enough for any wait, and two lists of domains exclude each other.
    for name in ("waitFor", "excludeDomains"):
        free.pop(name, None)
    return st.fixed_dictionaries(needed, optional=free)


BODY_OBJECTS = {
    (operation, version): objects(getattr(body, "__origin__", body), frozenset(BY_ARGUMENT[operation]))
    for operation, bodies in BODIES.items()
    for version, body in bodies.items()
}


@given(st.data())
def test_right_names_and_right_types_are_never_refused(data: st.DataObject) -> None:
    operation, version = data.draw(st.sampled_from(sorted(BODY_OBJECTS)))
    options = data.draw(BODY_OBJECTS[operation, version])
    before = copy.deepcopy(options)
    assert check(operation, options, version) == options == before
    assert check(operation, options, None) == options


@given(st.sampled_from(sorted(BODY_OBJECTS)), st.dictionaries(st.text(max_size=8), json_values, max_size=3))
def test_whatever_is_given_is_taken_or_refused_by_an_error_of_ours(where: Any, options: dict[str, Any]) -> None:
    operation, version = where
    before = json.dumps(options)
    try:
        assert check(operation, options, version) == options
    except InvalidInputError as error:
        assert str(error)
    assert json.dumps(options) == before


NAMES = sorted({name for bodies in BODIES.values() for body in bodies.values() for name in get_type_hints(
    getattr(body, "__origin__", body))})  # fmt: skip


@given(st.sampled_from(sorted(BODY_OBJECTS)), st.dictionaries(st.sampled_from(NAMES), json_values, max_size=3))
def test_known_names_with_any_value_are_taken_or_refused_by_an_error_of_ours(where: Any, options: Any) -> None:
    operation, version = where
    for asked in (version, None):
        try:
            assert check(operation, options, asked) == options
        except InvalidInputError as error:
            assert str(error)


# --- Datafiniti -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"auto_trace": True, "only_traceable": False},
        {"auto_trace": "true", "only_traceable": "false", "view_name": "mine", "sort": True},
        {"sort": "name"},
        {"__beta": 1},
    ],
)
def test_options_of_a_download(options: dict[str, Any]) -> None:
    """The reference types the switches as text and shows them without quotes: both are let through."""
    assert DATAFINITI.check_download_options(options) == options


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"auto_trace": "yes"}, "option 'auto_trace' of Datafiniti's download in v4: expected True or False"),
        ({"only_traceable": 1}, "option 'only_traceable' of Datafiniti's download in v4: expected bool | str, got int"),
        ({"view_name": ["name"]}, "'view_name' of Datafiniti's download in v4: expected str, got list"),
        ({"sort": 5}, "'sort' of Datafiniti's download in v4: expected bool | str, got int"),
        ({"sorted": True}, "has no option 'sorted' in v4; did you mean 'sort'?"),
        ({"autoTrace": True}, "did you mean 'auto_trace'?"),
        ({"NumRecords": 5}, "repeat 'NumRecords': it has an argument of its own"),
    ],
)
def test_options_that_a_download_does_not_take(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        DATAFINITI.check_download_options(options)
    assert text in str(caught.value)
    assert DATAFINITI.check_download_options(options, check_names=False) == options
