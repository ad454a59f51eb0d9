"""The key goes to the configured host and nowhere else (P5)."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_jobs.exceptions import RedirectRefusedError, RemoteJobsError
from airflow_provider_jobs.sandbox import Sandbox
from airflow_provider_jobs.services.datafiniti import DatafinitiService, check_file_reply
from airflow_provider_jobs.services.firecrawl import FirecrawlService
from airflow_provider_jobs.transport.credentials import Credentials
from airflow_provider_jobs.transport.endpoint import Login
from airflow_provider_jobs.transport.files import FileTransport
from tests.transport.carriers import ALL, KEY, Carrier, endpoint, read
from tests.transport.wire import Asked, Line, WireServer, reply

Open = Callable[..., Carrier]
STATUS = "/v1/team/queue-status"
SIGNATURE = "X-Amz-Signature=canarysignature4711"


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A `.netrc` with an entry for this machine, as tools leave it behind."""
    place = tmp_path / "netrc"
    place.write_text(
        "machine 127.0.0.1 login netrcuser password netrcword\n"
        "machine localhost login netrcuser password netrcword\n"
        "default login netrcuser password netrcword\n"
    )
    place.chmod(0o600)
    monkeypatch.setenv("NETRC", str(place))
    return base64.b64encode(b"netrcuser:netrcword").decode()


# --- redirects ------------------------------------------------------------------------------------------------


@pytest.mark.pitfall("F4")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("purpose", list(ALL))
def test_a_redirect_to_another_host_is_refused(sandbox: Sandbox, carrier: Open, purpose: str, status: int) -> None:
    """F4."""
    sandbox.control.fault(
        "firecrawl", "redirect", times=None, to=f"{sandbox.urls['stranger']}/v1/batch/scrape", status=status
    )
    opened = carrier(endpoint(sandbox.urls["firecrawl"]))
    with pytest.raises(RedirectRefusedError, match="set host") as caught:
        opened.send(ALL[purpose](STATUS))
    assert caught.value.permanent
    assert urlsplit(sandbox.urls["stranger"]).netloc in str(caught.value)
    assert sandbox.control.requests(host="stranger") == []
    assert len(sandbox.control.requests(host="firecrawl")) == 1


@pytest.mark.parametrize(
    "target",
    [
        "//{stranger}/x",
        "https://{own}/x",
        "http://localhost:{port}/x",
        "http://127.0.0.2:{port}/x",
        "http://own@{stranger}/x",
        "HTTP://{stranger}/x",
        "http://{own}@{stranger}/x",
        "http://{own}.evil.invalid/x",
        "ftp://{own}/x",
        "file:///etc/hostname",
        "\\\\{stranger}\\x",
        "http:\\\\{stranger}/x",
        "/\\{stranger}/x",
        "http://[half",
        "http://{name}:notaport/x",
        "http://{name}:99999/x",
        "http://",
    ],
)
@pytest.mark.parametrize("purpose", ["start", "read"])
def test_no_form_of_another_address_is_followed(carrier: Open, target: str, purpose: str) -> None:
    """Whatever a Location says, the key stays, and what comes out is an error of ours."""

    def elsewhere(asked: Asked, line: Line) -> bytes:
        return reply(307, "", {"Location": location})

    with WireServer(lambda asked, line: reply()) as stranger, WireServer(elsewhere) as server:
        own = urlsplit(server.url)
        location = target.format(
            own=own.netloc, port=own.port, name=own.hostname, stranger=urlsplit(stranger.url).netloc
        )
        opened = carrier(endpoint(server.url))
        with pytest.raises(RemoteJobsError) as caught:
            opened.send(ALL[purpose]())
    assert stranger.lines == []
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("purpose", ["start", "cancel", "read"])
def test_a_redirect_within_the_origin_is_followed_with_key_and_body(carrier: Open, purpose: str, status: int) -> None:
    def moved(asked: Asked, line: Line) -> bytes:
        if asked.target.startswith("/new"):
            return reply(200, '{"there": true}')
        return reply(status, "", {"Location": "/new/place?a=b"})

    with WireServer(moved) as server:
        opened = carrier(endpoint(server.url))
        assert opened.send(ALL[purpose]()).json() == {"there": True}
    first, second = server.asked
    assert (second.method, second.target) == (first.method, "/new/place?a=b")
    assert second.body == first.body
    assert second.authorization == f"Bearer {KEY}"


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_read_follows_every_redirect_within_the_origin(carrier: Open, status: int) -> None:
    def moved(asked: Asked, line: Line) -> bytes:
        own = asked.headers["host"]
        return reply() if asked.target == "/b" else reply(status, "", {"Location": f"http://{own}/b"})

    with WireServer(moved) as server:
        assert carrier(endpoint(server.url)).send(read("/a")).status == 200
    assert [asked.authorization for asked in server.asked] == [f"Bearer {KEY}"] * 2


@pytest.mark.parametrize("status", [301, 302, 303])
@pytest.mark.parametrize("purpose", ["start", "cancel"])
def test_a_redirect_that_would_drop_the_body_is_refused(carrier: Open, purpose: str, status: int) -> None:
    server = WireServer(lambda asked, line: reply(status, "", {"Location": "/b"}))
    with server, pytest.raises(RedirectRefusedError):
        carrier(endpoint(server.url)).send(ALL[purpose]("/a"))
    assert len(server.asked) == 1


def test_a_circle_of_redirects_ends(carrier: Open) -> None:
    server = WireServer(lambda asked, line: reply(307, "", {"Location": "/round"}))
    with server, pytest.raises(RedirectRefusedError, match="circle"):
        carrier(endpoint(server.url)).send(read())
    assert len(server.asked) <= 10


# --- the Authorization header ---------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", list(ALL))
@pytest.mark.parametrize("token", [KEY, None])
def test_netrc_neither_adds_nor_replaces_a_key(
    sandbox: Sandbox, carrier: Open, netrc: str, purpose: str, token: str | None
) -> None:
    opened = carrier(endpoint(sandbox.urls["firecrawl"], token=token))
    opened.send(ALL[purpose](STATUS if purpose != "start" else "/v1/batch/scrape"))
    seen = sandbox.control.requests(host="firecrawl")[-1]["headers"]
    assert seen.get("authorization") == (f"Bearer {KEY}" if token else None)
    assert netrc not in json.dumps(seen)


def test_netrc_adds_no_key_after_a_redirect(carrier: Open, netrc: str) -> None:
    def moved(asked: Asked, line: Line) -> bytes:
        return reply() if asked.target == "/b" else reply(307, "", {"Location": "/b"})

    with WireServer(moved) as server:
        carrier(endpoint(server.url, token=None)).send(read("/a"))
    assert [asked.authorization for asked in server.asked] == [None, None]


@pytest.mark.parametrize("purpose", list(ALL))
def test_without_a_key_no_authorization_is_sent(carrier: Open, purpose: str) -> None:
    with WireServer(lambda asked, line: reply()) as server:
        carrier(endpoint(server.url, token=None)).send(ALL[purpose]())
    assert "authorization" not in server.asked[0].headers


@pytest.mark.parametrize("purpose", list(ALL))
def test_the_key_stands_in_the_header_alone(carrier: Open, purpose: str) -> None:
    with WireServer(lambda asked, line: reply()) as server:
        carrier(endpoint(server.url)).send(ALL[purpose]())
    asked = server.asked[0]
    assert asked.authorization == f"Bearer {KEY}"
    others = {name: value for name, value in asked.headers.items() if name != "authorization"}
    assert KEY not in asked.target + json.dumps(others) + asked.body.decode()


# --- what a server sends back ---------------------------------------------------------------------------------


def echo(status: int, shape: str) -> Callable[[Asked, Line], bytes]:
    """A server that repeats the request's headers, as debugging proxies do."""

    def answer(asked: Asked, line: Line) -> bytes:
        told = f"you sent {asked.authorization}"
        bodies = {
            "text": told,
            "error": json.dumps({"success": False, "error": told}),
            "errors": json.dumps({"errors": [told]}),
            "object": json.dumps({"error": {"message": told, "headers": asked.headers}}),
            "html": f"<html><body>{told}</body></html>",
        }
        return reply(status, bodies[shape], {"Content-Type": "text/html" if shape == "html" else "application/json"})

    return answer


@pytest.mark.parametrize("shape", ["text", "error", "errors", "object", "html"])
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 302, 200])
@pytest.mark.parametrize("purpose", ["start", "poll", "read", "cancel"])
def test_a_key_that_comes_back_stays_out_of_texts_and_logs(
    carrier: Open, caplog: pytest.LogCaptureFixture, purpose: str, status: int, shape: str
) -> None:
    caplog.set_level(logging.DEBUG)
    service = FirecrawlService()
    with WireServer(echo(status, shape)) as server:
        opened = carrier(endpoint(server.url))
        texts = [repr(opened.endpoint), repr(opened.credentials), str(opened.endpoint)]
        try:
            request = ALL[purpose]()
            answer = opened.send(request)
            if purpose == "start":
                service.read_start(
                    service.batch_scrape(["http://127.0.0.1/"], api_version="v1"), request, answer, sent_at=0.0
                )
            elif purpose == "poll":
                texts.append(repr(service.read_status(request, answer)))
            elif purpose == "cancel":
                texts.append(str(service.read_cancel(Ref, request, answer)))
            else:
                service.check_error(request, answer)
                answer.object(request)
        except RemoteJobsError as error:
            texts += [str(error), repr(error), repr(error.__cause__), repr(error.__context__)]
    assert server.asked[0].authorization == f"Bearer {KEY}"
    for text in [*texts, caplog.text]:
        assert KEY not in text


class _Ref:
    kind = "batch_scrape"


Ref: Any = _Ref()


def test_login_and_password_that_come_back_stay_out_of_texts(carrier: Open, caplog: pytest.LogCaptureFixture) -> None:
    """A server that complains about a body may quote it."""
    caplog.set_level(logging.DEBUG)
    password = 'pass"wörd\\4711'

    def quoting(asked: Asked, line: Line) -> bytes:
        return reply(422, json.dumps({"errors": [f"Unexpected token in {asked.body.decode()}"]}))

    with WireServer(quoting) as server:
        settings = endpoint(server.url, token=None, login=Login("user@example.com", password))
        opened = carrier(settings, DatafinitiService())
        with pytest.raises(RemoteJobsError) as caught:
            opened.send(read())
    sent = json.loads(server.asked[0].body)["password"]
    assert sent == password
    for text in (str(caught.value), repr(caught.value), repr(settings), caplog.text):
        for form in (password, json.dumps(password)[1:-1], json.dumps(password, ensure_ascii=False)[1:-1], "4711"):
            assert form not in text


# --- result files ---------------------------------------------------------------------------------------------


def files(**more: Any) -> FileTransport:
    return FileTransport(endpoint("http://127.0.0.1:1", **more), check_file_reply)


def test_result_files_are_fetched_without_a_key(netrc: str) -> None:
    """DF14: neither ours nor one of `.netrc`; links are complete."""
    with WireServer(lambda asked, line: reply(200, b"one\ntwo\n")) as host, files() as transport:
        assert list(transport.lines(f"{host.url}/1_1.txt?{SIGNATURE}", "1_1.txt")) == [b"one\n", b"two\n"]
    asked = host.asked[0]
    assert asked.target == f"/1_1.txt?{SIGNATURE}"
    assert "authorization" not in asked.headers
    assert "cookie" not in asked.headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_result_files_are_fetched_without_a_key_through_redirects(netrc: str, status: int) -> None:
    """DF14."""
    second = WireServer(lambda asked, line: reply(200, b"one\n"))
    host = WireServer(lambda asked, line: reply(status, "", {"Location": f"{second.url}/moved"}))
    with second, host, files() as transport:
        assert list(transport.lines(f"{host.url}/1_1.txt?{SIGNATURE}", "1_1.txt")) == [b"one\n"]
    assert [asked.authorization for asked in [*host.asked, *second.asked]] == [None, None]
    assert SIGNATURE not in json.dumps(second.asked[0].headers)


BROKEN: dict[str, Callable[[Asked, Line], bytes | None]] = {
    "expired": lambda asked, line: reply(403, "<Error><Code>AccessDenied</Code></Error>"),
    "quoted": lambda asked, line: reply(403, f"<Error><Message>{asked.target}</Message></Error>"),
    "refused": lambda asked, line: reply(400, json.dumps({"error": f"bad link {asked.target}"})),
    "failed": lambda asked, line: reply(500, ""),
    "lost": lambda asked, line: line.close(),
    "reset": lambda asked, line: line.close(reset=True),
    "broken off": lambda asked, line: (line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx\n"), line.close())[1],
    "nonsense": lambda asked, line: (line.send(b"nonsense\r\n\r\n"), line.close())[1],
    "bad header": lambda asked, line: (
        line.send(b"HTTP/1.1 200 OK\r\nno colon here\r\nContent-Length: 0\r\n\r\n"),
        line.close(),
    )[1],
    "circle": lambda asked, line: reply(302, "", {"Location": asked.target}),
    "odd redirect": lambda asked, line: reply(302, "", {"Location": f"ftp://x{asked.target}"}),
    "half redirect": lambda asked, line: reply(302, "", {"Location": f"http://[half{asked.target}"}),
    "bad gzip": lambda asked, line: reply(200, b"\x1f\x8b\x08\x00nonsense nonsense"),
    "bad encoding": lambda asked, line: reply(200, b"nonsense", {"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("how", list(BROKEN))
def test_links_stand_in_no_text_and_no_log(caplog: pytest.LogCaptureFixture, how: str) -> None:
    """DF14: for seven days a link is as good as a key."""
    caplog.set_level(logging.DEBUG)
    with WireServer(BROKEN[how]) as host, files() as transport:
        try:
            list(transport.lines(f"{host.url}/1_1.txt?{SIGNATURE}", "1_1.txt"))
        except RemoteJobsError as error:
            assert "1_1.txt" in str(error)
            for text in (str(error), repr(error), repr(error.__cause__)):
                assert "canarysignature" not in text
        else:
            assert how == "bad header"
    assert "canarysignature" not in caplog.text


def test_links_stand_in_no_log_when_all_is_well(caplog: pytest.LogCaptureFixture) -> None:
    """Also where somebody has set the log level to DEBUG."""
    caplog.set_level(logging.DEBUG)
    with WireServer(lambda asked, line: reply(200, b"one\n")) as host, files() as transport:
        list(transport.lines(f"{host.url}/1_1.txt?{SIGNATURE}", "1_1.txt"))
    assert "canarysignature" not in caplog.text


@pytest.mark.parametrize("link", ["", "nonsense", "http://[half", "ftp://x/1", "http://127.0.0.1:99999/x", "http:///x"])
def test_a_link_that_is_none_is_an_error_without_it(link: str) -> None:
    with files() as transport, pytest.raises(RemoteJobsError, match=r"1_1\.txt") as caught:
        list(transport.lines(f"{link}?{SIGNATURE}", "1_1.txt"))
    assert "canarysignature" not in str(caught.value)


def test_credentials_and_endpoint_hide_the_key() -> None:
    settings = endpoint("http://127.0.0.1", login=Login("user@example.com", "secretword"), proxy="http://u:pw4711@p:1")
    credentials = Credentials(settings, DatafinitiService())
    for text in (repr(settings), str(settings), repr(credentials)):
        for secret in (KEY, "secretword", "pw4711"):
            assert secret not in text
