"""From the fields of a connection to an address: what is understood, and what is refused before any request."""

from __future__ import annotations

import re
from typing import Any

import pytest

from airflow_provider_jobs.exceptions import ConnectionSettingsError
from airflow_provider_jobs.transport import settings
from airflow_provider_jobs.transport.endpoint import base_url, check_header_value, origin

DEFAULT = "https://api.firecrawl.dev"


def address(host: str | None, **fields: Any) -> str:
    return base_url(host, default=DEFAULT, api_versions=("v1", "v2"), **fields)


@pytest.mark.parametrize(
    ("host", "fields", "expected"),
    [
        (None, {}, DEFAULT),
        ("", {}, DEFAULT),
        ("   ", {}, DEFAULT),
        ("api.example.com", {}, "https://api.example.com"),
        (" api.example.com\n", {}, "https://api.example.com"),
        ("API.Example.com", {}, "https://api.example.com"),
        ("http://fc.internal", {}, "http://fc.internal"),
        ("HTTPS://fc.internal/", {}, "https://fc.internal"),
        ("fc.internal:3002", {}, "https://fc.internal:3002"),
        ("http://fc.internal:3002", {}, "http://fc.internal:3002"),
        ("http://fc.internal:3002/", {}, "http://fc.internal:3002"),
        ("http://fc.internal:3002///", {}, "http://fc.internal:3002"),
        ("http://fc.internal:/", {}, "http://fc.internal"),
        ("https://gate.example.com/firecrawl", {}, "https://gate.example.com/firecrawl"),
        ("https://gate.example.com/a/b/", {}, "https://gate.example.com/a/b"),
        ("https://gate.example.com//a//b", {}, "https://gate.example.com/a/b"),
        ("gate.example.com/firecrawl", {}, "https://gate.example.com/firecrawl"),
        ("https://api.firecrawl.dev/v1", {}, DEFAULT),
        ("https://api.firecrawl.dev/v1/", {}, DEFAULT),
        ("https://api.firecrawl.dev/v2", {}, DEFAULT),
        ("https://gate.example.com/fc/v2/", {}, "https://gate.example.com/fc"),
        ("https://gate.example.com/v1x", {}, "https://gate.example.com/v1x"),
        ("https://v1.example.com", {}, "https://v1.example.com"),
        ("10.0.0.7", {"port": 3002}, "https://10.0.0.7:3002"),
        ("10.0.0.7", {"schema": "http", "port": 3002}, "http://10.0.0.7:3002"),
        ("10.0.0.7", {"schema": "HTTP"}, "http://10.0.0.7"),
        ("10.0.0.7", {"schema": "http://"}, "http://10.0.0.7"),
        ("10.0.0.7", {"schema": ""}, "https://10.0.0.7"),
        ("http://10.0.0.7", {"schema": "http"}, "http://10.0.0.7"),
        ("http://10.0.0.7:3002", {"port": 3002}, "http://10.0.0.7:3002"),
        ("http://10.0.0.7/prefix", {"port": 3002}, "http://10.0.0.7:3002/prefix"),
        ("http://[::1]:3002", {}, "http://[::1]:3002"),
        ("[::1]", {"port": 3002}, "https://[::1]:3002"),
        ("http://[2001:db8::7]/x/", {}, "http://[2001:db8::7]/x"),
        ("::1", {"port": 3002}, "https://[::1]:3002"),
        ("2001:db8::7", {"schema": "http"}, "http://[2001:db8::7]"),
        ("firecrawl", {"schema": "http", "port": 3002}, "http://firecrawl:3002"),
        ("fire_crawl.svc.cluster.local", {}, "https://fire_crawl.svc.cluster.local"),
        ("localhost:3002", {"schema": "http"}, "http://localhost:3002"),
    ],
)
def test_what_users_write_is_understood(host: str | None, fields: dict[str, Any], expected: str) -> None:
    """`::1` without brackets is what Airflow makes of `firecrawl://:key@[::1]:3002`."""
    assert address(host, **fields) == expected


@pytest.mark.parametrize(
    ("host", "fields", "told"),
    [
        ("http://fc.internal", {"schema": "https"}, "host says http, Schema says https"),
        ("https://fc.internal", {"schema": "http"}, "host says https, Schema says http"),
        ("fc.internal:3002", {"port": 3003}, "host says port 3002, Port says 3003"),
        ("fc.internal", {"schema": "ftp"}, "Schema must be http or https"),
        ("fc.internal", {"schema": "v1"}, "Schema must be http or https"),
        ("ftp://fc.internal", {}, "host must be http or https"),
        ("firecrawl://fc.internal", {}, "host must be http or https"),
        ("https://user:word4711@fc.internal", {}, "Password"),
        ("https://fc-key4711@fc.internal", {}, "Password"),
        ("user:word4711@fc.internal", {}, "Password"),
        ("https://fc.internal?key=word4711", {}, "query"),
        ("https://fc.internal/#x", {}, "fragment"),
        ("https://", {}, "not an address"),
        ("https:///path", {}, "not an address"),
        ("https://:3002", {}, "not an address"),
        ("/path", {}, "not an address"),
        ("https:/fc.internal", {}, "not an address"),
        ("http:fc.internal", {}, "not an address"),
        ("https//fc.internal", {}, "not an address"),
        ("https://https://fc.internal", {}, "not an address"),
        ("https://fc internal", {}, "not an address"),
        ("https://fc.internal/a b", {}, "not an address"),
        ("https://fc..internal", {}, "not an address"),
        ("https://.internal", {}, "not an address"),
        ("https://-x-/", {}, "not an address"),
        ("https://fc,internal", {}, "not an address"),
        ("https://fc.internal:port", {}, "not an address"),
        ("https://fc.internal:99999", {}, "not an address"),
        ("https://fc.internal:-1", {}, "not an address"),
        ("https://fc.internal:0", {}, "port"),
        ("https://[::1", {}, "not an address"),
        ("https://::1]", {}, "not an address"),
        ("https://[nonsense]", {}, "not an address"),
        ("https://" + "a" * 64 + ".example.com", {}, "not an address"),
        ("https://" + "a." * 130 + "com", {}, "not an address"),
        ("fc.internal", {"port": 99999}, "Port"),
        ("fc.internal", {"port": -1}, "Port"),
    ],
)
def test_what_cannot_be_meant_is_refused(host: str, fields: dict[str, Any], told: str) -> None:
    """P8: the text says which field to change; P5: and nothing that may be a key."""
    with pytest.raises(ConnectionSettingsError, match=re.escape(told)) as caught:
        address(host, **fields)
    assert caught.value.permanent
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.example", "https://a.example:443/x", True),
        ("http://a.example", "http://A.EXAMPLE:80", True),
        ("https://a.example", "http://a.example", False),
        ("https://a.example", "https://a.example:444", False),
        ("https://a.example", "https://b.example", False),
        ("https://a.example", "https://a.example.evil.example", False),
        ("https://a.example", "https://a.example@evil.example", False),
    ],
)
def test_what_a_key_belongs_to(one: str, other: str, same: bool) -> None:
    assert (origin(one) == origin(other)) is same


@pytest.mark.parametrize("given", ["fc-1234567890", " fc-1234567890\n", "\tfc-1234567890 "])
def test_a_pasted_key_loses_its_blanks(given: str) -> None:
    assert check_header_value(given, "Password") == "fc-1234567890"


@pytest.mark.parametrize(
    "given", ["fc-12 word4711", "fc-\nword4711", "fc-wörd4711", "fc-\x00word4711", "fc-\u200bword4711"]
)
def test_a_key_that_no_header_can_carry_is_refused(given: str) -> None:
    with pytest.raises(ConnectionSettingsError, match="Password") as caught:
        check_header_value(given, "Password")
    assert "4711" not in str(caught.value)


# --- extras ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [(5, 5.0), (0.5, 0.5), ("5", 5.0), (" 7.5 ", 7.5), (None, 60.0), ("", 60.0)],
)
def test_seconds_as_number_or_text(value: Any, expected: float) -> None:
    assert settings.positive_number({"timeout": value}, "timeout", 60.0) == expected
    assert settings.positive_number({}, "timeout", 60.0) == 60.0


@pytest.mark.parametrize("value", [0, -1, "0", "-3", "abc", "5s", True, False, "nan", "inf", float("inf"), [5], {}])
def test_seconds_that_are_none(value: Any) -> None:
    with pytest.raises(ConnectionSettingsError, match="timeout must be a number above 0"):
        settings.positive_number({"timeout": value}, "timeout", 60.0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, True), (False, False), ("true", True), ("False", False), ("1", True), ("0", False), (0, False), (1, True),
     ("no", False), ("yes", True), (None, True), ("", True)],
)  # fmt: skip
def test_a_flag_as_boolean_number_or_text(value: Any, expected: bool) -> None:
    assert settings.flag({"verify": value}, "verify", True) is expected


@pytest.mark.parametrize("value", ["maybe", "/etc/ca.pem", 2, [], "falsch"])
def test_a_flag_that_is_none(value: Any) -> None:
    """A word that is not understood must not switch a check off."""
    with pytest.raises(ConnectionSettingsError, match="verify must be true or false"):
        settings.flag({"verify": value}, "verify", True)


@pytest.mark.parametrize(("value", "expected"), [("v2", "v2"), (" V2 ", "v2"), ("v1", "v1"), (None, "v1"), ("", "v1")])
def test_a_choice(value: Any, expected: str) -> None:
    assert settings.choice({"api_version": value}, "api_version", ("v1", "v2"), "v1") == expected


@pytest.mark.parametrize("value", ["v3", "2", 2, "v", True, ["v1"]])
def test_a_choice_that_does_not_exist(value: Any) -> None:
    with pytest.raises(ConnectionSettingsError, match="api_version must be one of v1, v2"):
        settings.choice({"api_version": value}, "api_version", ("v1", "v2"), "v1")


@pytest.mark.parametrize("value", ["/etc/ca.pem", "  /etc/ca.pem "])
def test_a_text(value: str) -> None:
    assert settings.text({"ca_bundle": value}, "ca_bundle") == "/etc/ca.pem"
    assert settings.text({"ca_bundle": ""}, "ca_bundle") is None
    assert settings.text({}, "ca_bundle") is None


@pytest.mark.parametrize("value", [True, 5, ["a"], {"a": "word4711"}])
def test_a_text_that_is_none(value: Any) -> None:
    with pytest.raises(ConnectionSettingsError, match="ca_bundle must be a text") as caught:
        settings.text({"ca_bundle": value}, "ca_bundle")
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize("extra", [None, "", "  ", "{}"])
def test_no_extra(extra: str | None) -> None:
    assert settings.parse_extra(extra) == {}


@pytest.mark.parametrize("extra", ["{word4711", "[1]", "5", '"word4711"', "verify=false", "null"])
def test_an_extra_that_is_none(extra: str) -> None:
    with pytest.raises(ConnectionSettingsError, match="extra") as caught:
        settings.parse_extra(extra)
    assert "4711" not in str(caught.value)
