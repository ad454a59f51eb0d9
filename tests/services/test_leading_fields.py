"""Bodies that end anywhere: what is read of them is right or nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_jobs.services.base import Reply, leading_fields, snippet
from tests.recorded import Exchange, exchanges

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=8), VALUES, max_size=6)
STATUSES = [
    found
    for found in exchanges("firecrawl")
    if found.text.startswith('{"success":true,"status"') and len(found.text) < 3000
]


@given(OBJECTS, st.booleans(), st.sampled_from([None, 1]))
def test_a_body_cut_at_any_byte_never_gives_a_wrong_value(
    body: dict[str, Any], ascii_only: bool, indent: int | None
) -> None:
    content = json.dumps(body, ensure_ascii=ascii_only, indent=indent).encode("utf-8", errors="surrogatepass")
    content = content.decode("utf-8", errors="replace").encode()
    whole = json.loads(content)
    for end in range(len(content) + 1):
        found = Reply(200, {}, content[:end], cut=True).json()
        if found is not None:
            assert list(found) == list(whole)[: len(found)]
            assert all(type(found[key]) is type(whole[key]) and found[key] == whole[key] for key in found)


@given(OBJECTS)
def test_an_object_that_was_not_cut_is_read_whole(body: dict[str, Any]) -> None:
    text = json.dumps(body)
    assert leading_fields(text) == json.loads(text)


@pytest.mark.parametrize("recorded", [pytest.param(found, id=str(found)) for found in STATUSES[:12]])
def test_recorded_statuses_cut_at_every_byte(recorded: Exchange) -> None:
    content, whole = recorded.text.encode(), recorded.body
    for end in range(len(content)):
        found = Reply(200, {}, content[:end], cut=True).json()
        assert found is None or all(whole[key] == value for key, value in found.items())


@pytest.mark.parametrize(
    "cut", ['{"a":1', '{"a":1.', '{"a":1.5', '{"a":1e', '{"a":1e1', '{"a":-', '{"a":12E+', '{"a":tru']
)
def test_a_number_that_may_go_on_is_not_read(cut: str) -> None:
    assert leading_fields(cut) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("[1]", None),
        ("<html>", None),
        (' {"a":1,', {"a": 1}),
        ('{"a":1}', {"a": 1}),
        ('{"a" : "x" , "b', {"a": "x"}),
        ('{"a":"unfinish', {}),
        ('{"a":1 "b":2', {}),
        ('{"a":[1,2],"data":[{"x":', {"a": [1, 2]}),
    ],
)
def test_examples(text: str, expected: Any) -> None:
    assert leading_fields(text) == expected


def test_a_body_nested_beyond_reason_is_no_json() -> None:
    depth = 200_000
    assert Reply(200, {}, b'{"a":' + b"[" * depth + b"]" * depth + b"}").json() is None
    assert leading_fields('{"a":1,"b":' + "[" * depth) == {"a": 1}


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_a_snippet_is_one_short_line(text: str, limit: int) -> None:
    short = snippet(text, limit)
    assert len(short) <= limit
    assert len(short.splitlines()) <= 1
