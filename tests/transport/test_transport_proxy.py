"""Proxies: of the connection, of the environment, and their exceptions; in both transports alike."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from airflow_provider_jobs.exceptions import RemoteJobsError, TransportError
from airflow_provider_jobs.sandbox import Sandbox
from airflow_provider_jobs.services.datafiniti import check_file_reply
from airflow_provider_jobs.transport.files import FileTransport
from tests.transport.carriers import ALL, KEY, Carrier, endpoint, read
from tests.transport.wire import ForwardProxy, WireServer, free_port, reply

Open = Callable[..., Carrier]
STATUS = "/v1/team/queue-status"


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[ForwardProxy]:
    """A forward proxy; nothing is exempt from it."""
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with ForwardProxy() as running:
        yield running


@pytest.mark.parametrize("purpose", list(ALL))
def test_the_proxy_of_the_connection_is_used(
    sandbox: Sandbox, carrier: Open, proxy: ForwardProxy, purpose: str
) -> None:
    url = sandbox.urls["firecrawl"]
    opened = carrier(endpoint(url, proxy=proxy.url))
    opened.send(ALL[purpose](STATUS if purpose != "start" else "/v1/batch/scrape"))
    assert [asked.target.startswith(url) for asked in proxy.asked] == [True]
    assert len(sandbox.control.requests(host="firecrawl")) == 1


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_the_proxy_of_the_environment_is_used(
    sandbox: Sandbox, carrier: Open, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, proxy.url)
    assert carrier(endpoint(sandbox.urls["firecrawl"])).send(read(STATUS)).status == 200
    assert len(proxy.asked) == 1


def test_a_proxy_may_be_named_without_a_scheme(
    sandbox: Sandbox, carrier: Open, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `HTTP_PROXY=proxy:3128` is written everywhere."""
    monkeypatch.setenv("HTTP_PROXY", urlsplit(proxy.url).netloc)
    assert carrier(endpoint(sandbox.urls["firecrawl"])).send(read(STATUS)).status == 200
    assert len(proxy.asked) == 1


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize("value", ["127.0.0.1", "*", "localhost,127.0.0.1", "127.0.0.0/8"])
def test_no_proxy_is_respected(
    sandbox: Sandbox, carrier: Open, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv(name, value)
    assert carrier(endpoint(sandbox.urls["firecrawl"])).send(read(STATUS)).status == 200
    assert proxy.asked == []


def test_no_proxy_of_others_changes_nothing(
    sandbox: Sandbox, carrier: Open, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "example.com,10.0.0.0/8")
    assert carrier(endpoint(sandbox.urls["firecrawl"])).send(read(STATUS)).status == 200
    assert len(proxy.asked) == 1


@pytest.mark.parametrize("no_proxy", [None, "127.0.0.1"])
def test_the_connection_wins_over_the_environment(
    sandbox: Sandbox, carrier: Open, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch, no_proxy: str | None
) -> None:
    """Who names a proxy in the connection wants it."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    if no_proxy:
        monkeypatch.setenv("NO_PROXY", no_proxy)
    assert carrier(endpoint(sandbox.urls["firecrawl"], proxy=proxy.url)).send(read(STATUS)).status == 200
    assert len(proxy.asked) == 1


def test_a_proxy_for_the_other_scheme_is_not_used(
    sandbox: Sandbox, carrier: Open, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    assert carrier(endpoint(sandbox.urls["firecrawl"])).send(read(STATUS)).status == 200
    assert proxy.asked == []


@pytest.mark.parametrize("by", ["connection", "environment"])
def test_through_a_tunnel_the_proxy_sees_no_key(
    carrier: Open, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, by: str
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    more = {"proxy": proxy.url} if by == "connection" else {}
    if by == "environment":
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with WireServer(lambda asked, line: reply(), tls=context) as server:
        opened = carrier(endpoint(server.url, ca_bundle=str(bundle), **more))
        assert opened.send(read()).status == 200
    assert [asked.method for asked in proxy.asked] == ["CONNECT"]
    assert KEY not in str(proxy.asked)
    assert server.asked[0].authorization == f"Bearer {KEY}"


def test_user_and_password_go_to_the_proxy_alone(sandbox: Sandbox, carrier: Open, proxy: ForwardProxy) -> None:
    address = proxy.url.replace("http://", "http://puser:pword4711@")
    opened = carrier(endpoint(sandbox.urls["firecrawl"], proxy=address))
    assert opened.send(read(STATUS)).status == 200
    told = base64.b64encode(b"puser:pword4711").decode()
    assert proxy.asked[0].headers["proxy-authorization"] == f"Basic {told}"
    assert proxy.asked[0].authorization == f"Bearer {KEY}"
    assert "pword4711" not in str(sandbox.control.requests())
    assert told not in str(sandbox.control.requests())


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("purpose", ["start", "read"])
def test_a_proxy_that_is_not_there_means_surely_not_sent(carrier: Open, scheme: str, purpose: str) -> None:
    address = f"http://puser:pword4711@127.0.0.1:{free_port()}"
    opened = carrier(endpoint(f"{scheme}://service.example", proxy=address))
    with pytest.raises(TransportError, match=r"no connection|refused") as caught:
        opened.send(ALL[purpose]())
    assert not caught.value.sent
    assert not caught.value.permanent
    assert "pword4711" not in f"{caught.value} {caught.value!r} {opened.endpoint!r}"


@pytest.mark.parametrize("purpose", ["start", "read"])
def test_a_proxy_that_refuses_the_tunnel_means_surely_not_sent(carrier: Open, purpose: str) -> None:
    """The service has not heard of the request: no start of which nobody knows whether it happened."""
    with WireServer(lambda asked, line: reply(407, "who are you?")) as refusing:
        opened = carrier(endpoint("https://service.example", proxy=refusing.url))
        with pytest.raises(TransportError, match="proxy") as caught:
            opened.send(ALL[purpose]())
    assert not caught.value.sent


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_proxy_that_loses_the_answer_may_have_passed_the_request_on(carrier: Open, how: str) -> None:
    """F19: a start is not sent again then."""
    with WireServer(lambda asked, line: line.close(reset=how == "reset")) as losing:
        opened = carrier(endpoint("http://service.example", proxy=losing.url))
        with pytest.raises(TransportError) as caught:
            opened.send(ALL["start"]())
    assert caught.value.sent
    assert len(losing.asked) == 1


@pytest.mark.parametrize("address", ["ftp://127.0.0.1:1", "http://", "http://[half", "http://127.0.0.1:notaport"])
@pytest.mark.parametrize("purpose", ["start", "read"])
def test_a_proxy_that_is_no_address_is_an_error_of_ours(carrier: Open, address: str, purpose: str) -> None:
    """P8. Airflow's environment may name it, so that the connection's check cannot see it."""
    with pytest.raises(RemoteJobsError) as caught:
        carrier(endpoint("http://service.example", proxy=address)).send(ALL[purpose]())
    assert not getattr(caught.value, "sent", False)


def test_result_files_go_through_the_proxy_too(sandbox: Sandbox, proxy: ForwardProxy) -> None:
    files = FileTransport(endpoint("http://127.0.0.1:1", proxy=proxy.url), check_file_reply)
    with WireServer(lambda asked, line: reply(200, b"one\n")) as host, files:
        assert list(files.lines(f"{host.url}/1.txt?a=b", "1.txt")) == [b"one\n"]
    assert [asked.target for asked in proxy.asked] == [f"{host.url}/1.txt?a=b"]
    assert "authorization" not in proxy.asked[0].headers
