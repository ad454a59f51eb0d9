"""Certificates are checked, authorities can be set, and what is wrong is said; in both transports alike."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
import urllib3.exceptions

from airflow_provider_jobs.exceptions import ConnectionSettingsError, RemoteJobsError, TlsError
from tests.transport.carriers import ALL, KEY, Carrier, endpoint, read
from tests.transport.wire import WireServer, free_port, reply

Open = Callable[..., Carrier]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def bundle(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("tls") / "authority.pem"
    authority.cert_pem.write_to_path(str(place))
    return str(place)


def context(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(found)
    return found


@contextmanager
def unverified() -> Iterator[None]:
    """urllib3 warns of requests without a check, as it should."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
        yield


def serve(authority: trustme.CA, name: str = "127.0.0.1") -> WireServer:
    return WireServer(lambda asked, line: reply(200, '{"safe": true}'), tls=context(authority, name))


@pytest.mark.parametrize("purpose", list(ALL))
def test_an_unknown_authority_is_refused(carrier: Open, authority: trustme.CA, purpose: str) -> None:
    with serve(authority) as server:
        opened = carrier(endpoint(server.url))
        with pytest.raises(TlsError, match="ca_bundle") as caught:
            opened.send(ALL[purpose]())
    assert caught.value.permanent
    assert not caught.value.sent
    assert opened.waits == []
    assert len(server.lines) == 1
    assert server.asked == []


def test_a_certificate_for_another_name_is_refused(carrier: Open, authority: trustme.CA, bundle: str) -> None:
    with serve(authority, "somebody.else.example") as server:
        opened = carrier(endpoint(server.url, ca_bundle=bundle))
        with pytest.raises(TlsError):
            opened.send(read())
    assert server.asked == []


def test_a_ca_bundle_is_trusted(carrier: Open, authority: trustme.CA, bundle: str) -> None:
    with serve(authority) as server:
        opened = carrier(endpoint(server.url, ca_bundle=bundle))
        assert opened.send(read()).json() == {"safe": True}
    assert server.asked[0].authorization == f"Bearer {KEY}"


def test_a_ca_bundle_replaces_the_usual_authorities(carrier: Open, bundle: str) -> None:
    stranger = trustme.CA()
    with serve(stranger) as server, pytest.raises(TlsError):
        carrier(endpoint(server.url, ca_bundle=bundle)).send(read())


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_ca_bundle_of_the_environment_is_trusted(
    carrier: Open, authority: trustme.CA, bundle: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The triggerer trusts what the worker trusts."""
    monkeypatch.setenv(name, bundle)
    with serve(authority) as server:
        assert carrier(endpoint(server.url)).send(read()).status == 200


def test_the_connection_wins_over_the_environment(
    carrier: Open, authority: trustme.CA, bundle: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    with serve(authority) as server:
        assert carrier(endpoint(server.url, ca_bundle=bundle)).send(read()).status == 200


@pytest.mark.parametrize("name", ["127.0.0.1", "somebody.else.example"])
def test_verify_false_checks_nothing(carrier: Open, authority: trustme.CA, name: str) -> None:
    with serve(authority, name) as server, unverified():
        assert carrier(endpoint(server.url, verify=False)).send(read()).status == 200


def test_verify_false_wins_over_the_environment(
    carrier: Open, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, bundle: str
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    with serve(trustme.CA()) as server, unverified():
        assert carrier(endpoint(server.url, verify=False)).send(read()).status == 200


@pytest.mark.pitfall("F4")
@pytest.mark.parametrize("purpose", list(ALL))
def test_https_to_a_server_without_tls_says_so(carrier: Open, purpose: str) -> None:
    """F4: the usual mistake with a self-hosted server."""
    with WireServer(lambda asked, line: reply()) as server:
        opened = carrier(endpoint(server.url.replace("http:", "https:")))
        with pytest.raises(TlsError, match="http://") as caught:
            opened.send(ALL[purpose]())
    assert caught.value.permanent
    assert not caught.value.sent
    assert server.asked == []


def test_a_server_that_never_greets_is_given_up(carrier: Open) -> None:
    """Timeouts count for the handshake too."""
    with WireServer(lambda asked, line: reply()) as server:
        server.talk = lambda line: line.until_gone()  # type: ignore[method-assign]
        opened = carrier(endpoint(server.url.replace("http:", "https:"), connect_timeout=0.15, read_timeout=0.15))
        with pytest.raises(RemoteJobsError, match=r"timed out|no connection"):
            opened.send(read())


@pytest.mark.parametrize("content", [None, "", "nonsense", "-----BEGIN CERTIFICATE-----\nnonsense\n"])
@pytest.mark.parametrize("purpose", ["start", "read"])
def test_a_ca_bundle_that_is_none_says_what_to_change(
    carrier: Open, authority: trustme.CA, tmp_path: Path, content: str | None, purpose: str
) -> None:
    """P8: a mistake in the connection is never a start of which nobody knows whether it happened."""
    place = tmp_path / "bundle.pem"
    if content is not None:
        place.write_text(content)
    with serve(authority) as server:
        opened = carrier(endpoint(server.url, ca_bundle=str(place)))
        with pytest.raises((TlsError, ConnectionSettingsError), match="ca_bundle") as caught:
            opened.send(ALL[purpose]())
    assert caught.value.permanent
    assert not getattr(caught.value, "sent", False)
    assert opened.waits == []
    assert server.asked == []


def test_nobody_there_is_no_matter_of_tls(carrier: Open) -> None:
    opened = carrier(endpoint(f"https://127.0.0.1:{free_port()}"))
    with pytest.raises(RemoteJobsError, match="refused") as caught:
        opened.send(ALL["poll"]())
    assert not isinstance(caught.value, TlsError)
