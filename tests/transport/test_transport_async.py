"""The transport of the triggerer: one session for all triggers of a connection, on a loop that is never held up."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from airflow_provider_jobs.exceptions import RateLimitedError, RemoteJobsError
from airflow_provider_jobs.jobs.model import JobRef, JobState
from airflow_provider_jobs.sandbox import Sandbox
from airflow_provider_jobs.services.datafiniti import DatafinitiService
from airflow_provider_jobs.services.firecrawl import FirecrawlService
from airflow_provider_jobs.transport.asynchronous import MOST_CONNECTIONS, AsyncTransport, shared_transport
from airflow_provider_jobs.transport.credentials import Credentials
from airflow_provider_jobs.transport.endpoint import Endpoint, Login
from tests.transport.carriers import Carrier, endpoint, poll, read
from tests.transport.test_transport_tls import context
from tests.transport.wire import Asked, Line, WireServer, reply

STATUS = "/v1/team/queue-status"


def keys(settings: Endpoint) -> Credentials:
    return Credentials(settings, FirecrawlService())


@contextmanager
def nothing_left_open() -> Iterator[None]:
    """Fail for a session or a connection that nobody closed."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield
        gc.collect()
    left = [str(item.message) for item in seen if issubclass(item.category, ResourceWarning)]
    assert not [text for text in left if "nclosed" in text], left


def in_loop(main: Callable[[], Coroutine[Any, Any, Any]], limit: float = 20.0) -> Any:
    """Run in a real event loop, which must end in time and without a complaint."""
    complaints: list[Any] = []

    async def watched() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        async with asyncio.timeout(limit):
            return await main()

    with nothing_left_open():
        outcome = asyncio.run(watched())
    assert complaints == []
    return outcome


# --- sharing --------------------------------------------------------------------------------------------------


def test_two_hundred_users_share_one_session() -> None:
    """P7: a waiting job costs one coroutine, and few connections."""

    async def main() -> tuple[set[int], int]:
        settings = endpoint(server.url)
        all_in = asyncio.Barrier(200)
        transports = set()

        async def user() -> None:
            async with shared_transport(settings, keys(settings)) as transport:
                transports.add(id(transport))
                await all_in.wait()
                assert (await transport.send(poll())).status == 200
                await all_in.wait()
                assert (await transport.send(poll())).status == 200

        await asyncio.gather(*(user() for _ in range(200)))
        return transports, len(asyncio.all_tasks())

    with WireServer(lambda asked, line: reply()) as server:
        transports, tasks = in_loop(main)
    assert len(transports) == 1
    assert tasks == 1
    assert len(server.asked) == 400
    assert 1 <= len(server.lines) <= MOST_CONNECTIONS


def test_equal_settings_share_and_others_do_not() -> None:
    async def main() -> list[bool]:
        one, same = endpoint(server.url), endpoint(server.url)
        others = [endpoint(server.url, token="another"), endpoint(server.url, read_timeout=1.0)]
        async with shared_transport(one, keys(one)) as first, shared_transport(same, keys(same)) as second:
            found = [first is second]
            for other in others:
                async with shared_transport(other, keys(other)) as third:
                    found.append(third is first)
                    await third.send(poll())
            await first.send(poll())
        return found

    with WireServer(lambda asked, line: reply()) as server:
        assert in_loop(main) == [True, False, False]
    assert {asked.authorization for asked in server.asked} == {"Bearer another", f"Bearer {endpoint('x').token}"}


def test_the_last_user_closes_and_the_next_opens_again() -> None:
    async def main() -> None:
        settings = endpoint(server.url)
        async with shared_transport(settings, keys(settings)) as first:
            async with shared_transport(settings, keys(settings)) as second:
                assert first is second
                await second.send(poll())
            assert server.lines[0].open
            await first.send(poll())
            assert len(server.lines) == 1
        await asyncio.to_thread(closed.wait, 5.0)
        assert closed.is_set()
        async with shared_transport(settings, keys(settings)) as third:
            assert third is not first
            assert (await third.send(poll())).status == 200

    closed = threading.Event()

    class Noticing(WireServer):
        def talk(self, line: Line) -> None:
            super().talk(line)
            closed.set()

    with Noticing(lambda asked, line: reply()) as server:
        in_loop(main)
    assert len(server.lines) == 2


def test_a_cancelled_user_leaves_the_others_alone() -> None:
    """Triggers come and go in the middle of a request."""
    slow_asked = threading.Event()

    def answer(asked: Asked, line: Line) -> bytes | None:
        if asked.target == "/slow":
            slow_asked.set()
            return line.until_gone()
        return reply()

    async def main() -> None:
        settings = endpoint(server.url)

        async def user(path: str) -> None:
            async with shared_transport(settings, keys(settings)) as transport:
                await transport.send(poll(path))

        async with shared_transport(settings, keys(settings)) as transport:
            task = asyncio.create_task(user("/slow"))
            await asyncio.to_thread(slow_asked.wait, 5.0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await transport.send(poll("/quick"))).status == 200
        # And when the cancelled one is the last.
        slow_asked.clear()
        task = asyncio.create_task(user("/slow"))
        await asyncio.to_thread(slow_asked.wait, 5.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with WireServer(answer) as server:
        in_loop(main)


def test_two_loops_do_not_share() -> None:
    """A session belongs to its loop."""
    found: list[AsyncTransport] = []
    both = threading.Barrier(2, timeout=10.0)

    async def main() -> None:
        settings = endpoint(server.url)
        async with shared_transport(settings, keys(settings)) as transport:
            found.append(transport)
            await asyncio.to_thread(both.wait)
            assert (await transport.send(poll())).status == 200
            await asyncio.to_thread(both.wait)

    failures: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            failures.append(error)

    with WireServer(lambda asked, line: reply()) as server, nothing_left_open():
        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20.0)
    assert failures == []
    assert len(found) == 2
    assert found[0] is not found[1]
    assert len(server.lines) == 2


def test_cookies_are_not_kept() -> None:
    async def main() -> None:
        settings = endpoint(server.url.replace("127.0.0.1", "localhost"))  # addresses get no cookies anyway
        async with shared_transport(settings, keys(settings)) as transport:
            await transport.send(poll())
            await transport.send(poll())

    with WireServer(lambda asked, line: reply(headers={"Set-Cookie": "a=b; Path=/"})) as server:
        in_loop(main)
    assert ["cookie" in asked.headers for asked in server.asked] == [False, False]


# --- a poll does not carry the result ---------------------------------------------------------------------------

HEAD = '{"success": true, "status": "completed", "completed": 9, "total": 9, "creditsUsed": 9, "next": "n"'


@pytest.mark.pitfall("F32")
@pytest.mark.parametrize("kind", ["requests", "aiohttp"])
def test_a_look_reads_only_the_beginning(kind: str) -> None:
    """P7, F32: server generation A sends up to 10 MiB with every look."""
    promised = 200_000_000
    poured: list[int] = []

    def huge(asked: Asked, line: Line) -> None:
        line.send(f'HTTP/1.1 200 OK\r\nContent-Length: {promised}\r\n\r\n{HEAD}, "data": ['.encode())
        try:
            line.pour(b'{"markdown": "' + b"x" * 65_000 + b'"},', promised)
        finally:
            poured.append(line.sent)

    ref = JobRef("firecrawl", "batch_scrape", "7", "v1")
    with WireServer(huge) as server, Carrier(kind, endpoint(server.url)) as opened:
        status = opened.run(FirecrawlService().look(ref))
    assert (status.state, status.completed, status.total) == (JobState.SUCCEEDED, 9, 9)
    assert len(poured) == 1
    assert poured[0] < 20_000_000  # what fits into the buffers of two sockets


@pytest.mark.pitfall("F32")
@pytest.mark.parametrize("kind", ["requests", "aiohttp"])
def test_a_look_at_server_generation_a_ends_early_and_is_right(sandbox: Sandbox, kind: str) -> None:
    sandbox.control.settings(firecrawl={"pagination": "A", "content_bytes": 2_000_000, "page_bytes": 10 * 1024 * 1024})
    urls = [f"{sandbox.urls['site']}/page{n}.html" for n in range(1, 5)]
    service = FirecrawlService()
    spec = service.batch_scrape(urls, api_version="v1")
    with Carrier(kind, endpoint(sandbox.urls["firecrawl"])) as opened:
        job = service.read_start(spec, service.start(spec), opened.send(service.start(spec)), sent_at=0.0)
        sandbox.control.wait_for(lambda: sandbox.control.job(job.ref.job_id)["state"] == "completed")
        status = opened.run(service.look(job.ref))
    assert (status.state, status.completed, status.total) == (JobState.SUCCEEDED, 4, 4)


@pytest.mark.parametrize("kind", ["requests", "aiohttp"])
def test_a_small_look_is_read_whole_and_keeps_the_connection(kind: str) -> None:
    ref = JobRef("firecrawl", "batch_scrape", "7", "v1")
    server = WireServer(lambda asked, line: reply(200, HEAD + ', "data": []}'))
    with server, Carrier(kind, endpoint(server.url)) as opened:
        for _ in range(3):
            assert opened.run(FirecrawlService().look(ref)).completed == 9
    assert len(server.lines) == 1


# --- the event loop is not held up ------------------------------------------------------------------------------


async def longest_gap(work: Coroutine[Any, Any, Any]) -> float:
    """The longest time for which the loop ran nothing else while it did this."""
    loop = asyncio.get_running_loop()
    gap, last = 0.0, loop.time()
    task = asyncio.ensure_future(work)
    while not task.done():
        await asyncio.sleep(0.001)
        gap, last = max(gap, loop.time() - last), loop.time()
    await task
    return gap


def test_making_the_tls_context_does_not_hold_up_the_loop(tmp_path: Path) -> None:
    """To read a large bundle of authorities takes a good part of a second."""
    authority = trustme.CA()
    bundle = tmp_path / "many.pem"
    own = authority.cert_pem.bytes().decode()
    usual = Path(__import__("certifi").where()).read_text()
    bundle.write_text(own + usual * 12)

    async def main() -> tuple[float, float]:
        settings = endpoint(server.url, ca_bundle=str(bundle))
        begun = asyncio.get_running_loop().time()

        async def user() -> None:
            async with shared_transport(settings, keys(settings)) as transport:
                assert (await transport.send(poll())).status == 200

        gap = await longest_gap(user())
        return gap, asyncio.get_running_loop().time() - begun

    with WireServer(lambda asked, line: reply(), tls=context(authority)) as server:
        gap, whole = in_loop(main)
    assert gap < max(0.1, whole / 2), (gap, whole)


# --- the budget -------------------------------------------------------------------------------------------------


def test_requests_are_spread_over_the_minute() -> None:
    """P6: all jobs of a connection share one budget; 1200 a minute are one in 50 ms."""

    async def main() -> float:
        settings = endpoint(server.url, max_requests_per_minute=1200.0)
        loop = asyncio.get_running_loop()

        async def user() -> None:
            async with shared_transport(settings, keys(settings)) as transport:
                await transport.send(poll())

        async with shared_transport(settings, keys(settings)):
            begun = loop.time()
            await asyncio.gather(*(user() for _ in range(11)))
            return loop.time() - begun

    with WireServer(lambda asked, line: reply()) as server:
        assert 0.5 <= in_loop(main) < 5.0


@pytest.mark.pitfall("F18")
def test_a_429_to_one_holds_all_back_once() -> None:
    """P6, F18."""
    refusals = iter([reply(429, "{}", {"Retry-After": "1"})])

    async def main() -> tuple[float, int]:
        settings = endpoint(server.url)
        loop = asyncio.get_running_loop()
        async with shared_transport(settings, keys(settings)) as transport:
            with pytest.raises(RateLimitedError):
                await transport.send(poll())
            begun = loop.time()
            await asyncio.gather(*(transport.send(poll()) for _ in range(20)))
            return loop.time() - begun, len(server.asked)

    with WireServer(lambda asked, line: next(refusals, reply())) as server:
        elapsed, asked = in_loop(main)
    assert 0.95 <= elapsed < 5.0
    assert asked == 21


# --- login ------------------------------------------------------------------------------------------------------


def test_many_users_log_in_once(sandbox: Sandbox) -> None:
    settings = endpoint(
        sandbox.urls["datafiniti"], token=None, login=Login("user@example.com", "secret"), max_requests_per_minute=1e9
    )

    async def main() -> set[int]:
        shared = Credentials(settings, DatafinitiService())

        async def user() -> int:
            async with shared_transport(settings, shared) as transport:
                return (await transport.send(read("/v4/account"))).status

        return set(await asyncio.gather(*(user() for _ in range(50))))

    assert in_loop(main) == {200}
    assert len(sandbox.control.requests(host="datafiniti", path_contains="/auth")) == 1


def test_many_users_renew_a_revoked_token_once(sandbox: Sandbox) -> None:
    """DF16."""
    settings = endpoint(sandbox.urls["datafiniti"], token=None, login=Login("user@example.com", "secret"))

    async def main() -> set[int]:
        shared = Credentials(settings, DatafinitiService())
        async with shared_transport(settings, shared) as transport:
            await transport.send(read("/v4/account"))
            assert shared.current is not None
            await asyncio.to_thread(sandbox.control.token, "datafiniti", "revoke", shared.current)
            answers = await asyncio.gather(*(transport.send(read("/v4/account")) for _ in range(50)))
        return {answer.status for answer in answers}

    assert in_loop(main) == {200}
    assert len(sandbox.control.requests(host="datafiniti", path_contains="/auth")) == 2


# --- what comes out ---------------------------------------------------------------------------------------------


def test_whatever_a_server_does_is_an_error_of_ours() -> None:
    """A trigger tells a failed look from a bug by the class."""
    nonsense = [
        b"",
        b"\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(5000)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: 3\r\n\r\nabc",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ]
    turn = {"n": 0}

    def answer(asked: Asked, line: Line) -> None:
        line.send(nonsense[turn["n"]])
        line.close()

    async def main() -> None:
        settings = endpoint(server.url, read_timeout=2.0)
        async with shared_transport(settings, keys(settings)) as transport:
            for number in range(len(nonsense)):
                turn["n"] = number
                with pytest.raises(RemoteJobsError):
                    (await transport.send(poll())).object(poll())

    with WireServer(answer) as server:
        in_loop(main)


def test_the_hook_reads_its_connection_without_holding_up_the_loop(sandbox: Sandbox) -> None:
    """In a process of its own, where nothing has been imported or read yet, as in a triggerer that just started."""
    script = Path(__file__).with_name("first_look.py")
    connection = {"conn_type": "firecrawl", "host": sandbox.urls["firecrawl"], "password": "fc-0123456789"}
    env = {**__import__("os").environ, "AIRFLOW_CONN_FIRST": json.dumps(connection)}
    done = subprocess.run([sys.executable, str(script)], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["status"] == 200
    assert told["gap"] < 0.15, told
