"""From an Airflow connection to a hook: what is read, and what is refused before any request (P8)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_jobs.exceptions import ConnectionSettingsError, InvalidInputError
from airflow_provider_jobs.hooks.datafiniti import DatafinitiHook
from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook
from airflow_provider_jobs.sandbox import Sandbox
from tests.hooks.conftest import KEY
from tests.transport.wire import WireServer, reply

Connect = Callable[..., str]


@pytest.mark.parametrize(
    ("value", "address", "key"),
    [
        (f"firecrawl://:{KEY}@fc.internal:3002", "https://fc.internal:3002", KEY),
        (f"firecrawl://:{KEY}@fc.internal:3002/http", "http://fc.internal:3002", KEY),
        (f"firecrawl://http://:{KEY}@fc.internal:3002", "http://fc.internal:3002", KEY),
        (f"firecrawl://:{KEY}@http%3A%2F%2Ffc.internal%3A3002", "http://fc.internal:3002", KEY),
        (f"firecrawl://:{KEY}@https%3A%2F%2Fgate.example%2Ffc", "https://gate.example/fc", KEY),
        (f"firecrawl://:{KEY}@[::1]:3002", "https://[::1]:3002", KEY),
        (f"firecrawl://:{KEY}@", "https://api.firecrawl.dev", KEY),
        ("firecrawl://fc.internal", "https://fc.internal", None),
        (json.dumps({"conn_type": "firecrawl", "password": KEY}), "https://api.firecrawl.dev", KEY),
        (json.dumps({"conn_type": "firecrawl", "host": "http://a:1/v1/", "password": KEY}), "http://a:1", KEY),
        (json.dumps({"conn_type": "firecrawl", "host": "a", "schema": "http", "port": 3002}), "http://a:3002", None),
        (json.dumps({"conn_type": "firecrawl", "host": "a", "port": "3002"}), "https://a:3002", None),
    ],
)
def test_every_way_to_write_a_connection(connect: Connect, value: str, address: str, key: str | None) -> None:
    endpoint = FirecrawlHook(connect(value)).endpoint
    assert (endpoint.base_url, endpoint.token) == (address, key)


def test_defaults(connect: Connect) -> None:
    """DESIGN 5."""
    firecrawl = FirecrawlHook(connect(conn_type="firecrawl", password=KEY))
    datafiniti = DatafinitiHook(connect(conn_type="datafiniti", password=KEY))
    assert firecrawl.api_version == "v1"
    assert firecrawl.endpoint.base_url == "https://api.firecrawl.dev"
    assert datafiniti.endpoint.base_url == "https://api.datafiniti.co"
    assert firecrawl.endpoint.max_requests_per_minute == 500
    assert datafiniti.endpoint.max_requests_per_minute == 60
    for endpoint in (firecrawl.endpoint, datafiniti.endpoint):
        assert (endpoint.connect_timeout, endpoint.read_timeout, endpoint.verify) == (10.0, 60.0, True)
        assert (endpoint.ca_bundle, endpoint.proxy) == (None, None)
    assert FirecrawlHook().conn_id == "firecrawl_default"
    assert DatafinitiHook().conn_id == "datafiniti_default"


@pytest.mark.parametrize(
    "extra",
    [
        {"connect_timeout": 3, "timeout": 7.5, "verify": False, "max_requests_per_minute": 30},
        {"connect_timeout": "3", "timeout": "7.5", "verify": "false", "max_requests_per_minute": "30"},
    ],
)
def test_extras_as_values_or_as_text(connect: Connect, extra: dict[str, Any]) -> None:
    more = {"ca_bundle": "/etc/ca.pem", "proxy": "http://proxy:3128"}
    conn_id = connect(conn_type="datafiniti", password=KEY, extra={**extra, **more})
    endpoint = DatafinitiHook(conn_id).endpoint
    assert (endpoint.connect_timeout, endpoint.read_timeout) == (3.0, 7.5)
    assert (endpoint.verify, endpoint.max_requests_per_minute) == (False, 30.0)
    assert (endpoint.ca_bundle, endpoint.proxy) == ("/etc/ca.pem", "http://proxy:3128")


def test_extras_in_an_address(connect: Connect) -> None:
    conn_id = connect(f"firecrawl://:{KEY}@fc.internal?timeout=5&verify=false&api_version=v2&proxy=http%3A%2F%2Fp%3A1")
    hook = FirecrawlHook(conn_id)
    assert hook.api_version == "v2"
    assert (hook.endpoint.read_timeout, hook.endpoint.verify, hook.endpoint.proxy) == (5.0, False, "http://p:1")


def test_what_the_form_leaves_empty_is_the_default(connect: Connect) -> None:
    """The form of Airflow's UI stores null or nothing for an empty field."""
    names = ("api_version", "connect_timeout", "timeout", "verify", "ca_bundle", "proxy", "max_requests_per_minute")
    for empty in (None, ""):
        hook = FirecrawlHook(connect(conn_type="firecrawl", host="", password=KEY, extra=dict.fromkeys(names, empty)))
        assert hook.endpoint == FirecrawlHook(hook.conn_id).endpoint
        assert (hook.endpoint.read_timeout, hook.endpoint.verify, hook.api_version) == (60.0, True, "v1")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"host": "http://x", "schema": "https"}, "Schema"),
        ({"host": "x:1", "port": 2}, "Port"),
        ({"host": "ftp://x"}, "http or https"),
        ({"host": "x y"}, "host"),
        ({"host": "https://u:word4711@x"}, "Password"),
        ({"host": "x", "extra": {"timeout": "soon"}}, "timeout"),
        ({"host": "x", "extra": {"timeout": 0}}, "timeout"),
        ({"host": "x", "extra": {"connect_timeout": -1}}, "connect_timeout"),
        ({"host": "x", "extra": {"verify": "perhaps"}}, "verify"),
        ({"host": "x", "extra": {"max_requests_per_minute": 0}}, "max_requests_per_minute"),
        ({"host": "x", "extra": {"ca_bundle": True}}, "ca_bundle"),
        ({"host": "x", "extra": {"proxy": "ftp://p"}}, "proxy"),
        ({"host": "x", "extra": {"proxy": "http://u:word4711@p:port"}}, "proxy"),
        ({"host": "x", "extra": {"proxy": "http://"}}, "proxy"),
        ({"host": "x", "password": "fc-word4711 fc-word4711"}, "Password"),
    ],
)
@pytest.mark.parametrize("hook_class", [FirecrawlHook, DatafinitiHook])
def test_bad_settings_say_what_to_change(connect: Connect, hook_class: Any, fields: dict[str, Any], told: str) -> None:
    given = {"password": KEY, **fields}
    hook = hook_class(connect(conn_type=hook_class.conn_type, **given))
    with pytest.raises(ConnectionSettingsError, match=told) as caught:
        _ = hook.endpoint
    assert hook.conn_id in str(caught.value)
    assert caught.value.permanent
    assert "4711" not in str(caught.value)
    good, text = hook.test_connection()
    assert (good, told in text, "4711" in text) == (False, True, False)


def test_bad_settings_send_nothing(connect: Connect) -> None:
    with WireServer(lambda asked, line: reply()) as server:
        hook = FirecrawlHook(connect(conn_type="firecrawl", host=server.url, password=KEY, extra={"verify": "perhaps"}))
        for attempt in (
            lambda: hook.start_batch_scrape(["https://example.com/"]),
            lambda: hook.look(hook.job("x")),
            lambda: hook.cancel(hook.job("x")),
            lambda: hook.test_connection()[1] and hook.endpoint,
        ):
            with pytest.raises(ConnectionSettingsError, match="verify"):
                attempt()
    assert server.lines == []


# --- keys -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [None, "api.firecrawl.dev", "https://api.firecrawl.dev/v1", "API.FIRECRAWL.DEV:443"])
@pytest.mark.parametrize("password", [None, "", "   "])
def test_a_key_is_needed_at_the_hosted_firecrawl(connect: Connect, host: str | None, password: str | None) -> None:
    hook = FirecrawlHook(connect(conn_type="firecrawl", host=host, password=password))
    with pytest.raises(ConnectionSettingsError, match=r"API key is needed at api\.firecrawl\.dev.*Password"):
        hook.start_batch_scrape(["https://example.com/"])


def test_no_key_is_needed_elsewhere_and_none_is_sent(sandbox: Sandbox, connect: Connect) -> None:
    hook = FirecrawlHook(connect(conn_type="firecrawl", host=sandbox.urls["firecrawl"]))
    hook.start_batch_scrape([f"{sandbox.urls['site']}/page1.html"])
    assert "authorization" not in sandbox.control.requests(host="firecrawl")[0]["headers"]


@pytest.mark.parametrize("auth", [None, "token"])
def test_a_token_is_needed_at_datafiniti(connect: Connect, auth: str | None) -> None:
    hook = DatafinitiHook(connect(conn_type="datafiniti", host="http://127.0.0.1:1", extra={"auth": auth}))
    with pytest.raises(ConnectionSettingsError, match=r"token is needed.*Password"):
        hook.look(hook.job(7))


@pytest.mark.parametrize("fields", [{}, {"login": "user@example.com"}, {"password": "word4711"}])
def test_login_needs_both(connect: Connect, fields: dict[str, str]) -> None:
    hook = DatafinitiHook(connect(conn_type="datafiniti", extra={"auth": "login"}, **fields))
    with pytest.raises(ConnectionSettingsError, match="Login") as caught:
        hook.look(hook.job(7))
    assert "4711" not in str(caught.value)


def test_an_unknown_way_to_authenticate(connect: Connect) -> None:
    hook = DatafinitiHook(connect(conn_type="datafiniti", password=KEY, extra={"auth": "oauth"}))
    with pytest.raises(ConnectionSettingsError, match="auth must be one of token, login"):
        hook.look(hook.job(7))


@pytest.mark.parametrize("asked_async", [False, True])
def test_nothing_of_a_hook_shows_its_secrets(connect: Connect, asked_async: bool) -> None:
    """P5."""
    hook = DatafinitiHook(
        connect(
            conn_type="datafiniti",
            login="user@example.com",
            password="word4711",
            extra={"auth": "login", "proxy": "http://u:pword4711@p:1"},
        )
    )
    if asked_async:
        asyncio.run(hook.aendpoint())
    transport = hook.get_conn()
    for shown in (hook, hook.endpoint, hook.endpoint.login, hook.credentials, transport, hook.quick_conn()):
        for text in (repr(shown), str(shown)):
            assert "4711" not in text


# --- version ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of_connection", "argument", "used"),
    [(None, None, "v1"), ("v1", None, "v1"), ("v2", None, "v2"), ("v2", "v1", "v1"), (None, "v2", "v2")],
)
def test_the_version_of_argument_or_connection(
    sandbox: Sandbox, firecrawl: Any, pages: Any, of_connection: str | None, argument: str | None, used: str
) -> None:
    extra = {} if of_connection is None else {"api_version": of_connection}
    hook = firecrawl(argument=argument, **extra)
    job = hook.start_batch_scrape(pages(1))
    assert job.ref.api_version == used
    assert sandbox.control.requests(host="firecrawl")[0]["path"] == f"/{used}/batch/scrape"
    hook.look(job.ref)
    assert sandbox.control.requests(host="firecrawl")[-1]["path"].startswith(f"/{used}/batch/scrape/")


def test_a_job_keeps_the_version_that_started_it(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    job = firecrawl(argument="v2").start_batch_scrape(pages(1))
    other = firecrawl(argument="v1")
    other.wait(job, sleep=lambda _: None)
    other.cancel(job.ref)
    list(other.documents(job.ref))
    assert {seen["path"].split("/")[1] for seen in sandbox.control.requests(host="firecrawl")} == {"v2"}


@pytest.mark.parametrize("version", ["v3", "v0", "1", "", 1, True])
def test_an_argument_that_is_no_version(version: Any) -> None:
    with pytest.raises(InvalidInputError, match="v1, v2"):
        FirecrawlHook("whatever", api_version=version)


def test_a_connection_with_a_version_that_does_not_exist(sandbox: Sandbox, firecrawl: Any, pages: Any) -> None:
    with pytest.raises(ConnectionSettingsError, match="api_version must be one of v1, v2"):
        firecrawl(api_version="v3").start_batch_scrape(pages(1))
    assert sandbox.control.requests() == []


# --- the test button --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("server", ["2025", "2026"])
def test_a_good_firecrawl(sandbox: Sandbox, firecrawl: Any, version: str, server: str) -> None:
    """A server of 2025 has no queue-status; one without a database takes any key, and that is said."""
    sandbox.control.settings(firecrawl={"server": server})
    good, text = firecrawl(api_version=version).test_connection()
    assert good, text
    assert sandbox.urls["firecrawl"] in text
    assert version in text
    assert "accepts any key" in text
    assert KEY not in text
    assert sandbox.control.jobs() == []


def test_a_firecrawl_with_keys(sandbox: Sandbox, firecrawl: Any) -> None:
    sandbox.control.settings(firecrawl={"keys": [KEY]})
    assert firecrawl().test_connection()[0]
    good, text = firecrawl(password="fc-wrong-4711").test_connection()
    assert not good
    assert "key was not accepted" in text
    assert "4711" not in text
    assert firecrawl(password="").test_connection()[0] is False


def test_a_good_datafiniti(sandbox: Sandbox, datafiniti: Any) -> None:
    good, text = datafiniti().test_connection()
    assert good, text
    assert "credits" in text


@pytest.mark.pitfall("DF16")
@pytest.mark.parametrize("status", [401, 400])
def test_a_revoked_token(sandbox: Sandbox, datafiniti: Any, status: int) -> None:
    """DF16: the text says that a new password revokes the old token."""
    sandbox.control.settings(datafiniti={"bad_token_status": status})
    sandbox.control.token("datafiniti", "revoke", "sandbox-token")
    good, text = datafiniti().test_connection()
    assert not good
    assert "token" in text
    assert "not accepted" in text
    assert "new password" in text


@pytest.mark.pitfall("DF17")
def test_a_payment_problem(sandbox: Sandbox, datafiniti: Any) -> None:
    """DF17."""
    sandbox.control.token("datafiniti", "payment", "sandbox-token")
    good, text = datafiniti().test_connection()
    assert not good
    assert "payment information" in text


def test_a_host_that_is_something_else(sandbox: Sandbox, firecrawl: Any) -> None:
    """F15: a 404 as a page means a wrong address."""
    good, text = firecrawl(host=sandbox.urls["site"]).test_connection()
    assert not good
    assert "connection's host" in text


def test_nobody_there_is_said_soon(connect: Connect) -> None:
    """Somebody looks at a button."""
    import time

    from tests.transport.wire import free_port

    hook = FirecrawlHook(connect(conn_type="firecrawl", host=f"http://127.0.0.1:{free_port()}"))
    begun = time.monotonic()
    good, text = hook.test_connection()
    assert not good
    assert "refused" in text
    assert time.monotonic() - begun < 5


def test_a_reply_that_is_none(connect: Connect) -> None:
    with WireServer(lambda asked, line: reply(200, "<html>Sign in</html>", {"Content-Type": "text/html"})) as server:
        good, text = FirecrawlHook(connect(conn_type="firecrawl", host=server.url)).test_connection()
    assert not good
    assert "Sign in" in text
