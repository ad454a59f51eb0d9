from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.transport.carriers import KINDS, Carrier


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Both transports, one after the other."""
    return str(request.param)


@pytest.fixture
def carrier(kind: str) -> Iterator[Callable[..., Carrier]]:
    """Return a function that opens a transport of this kind: `carrier(endpoint)`."""
    with ExitStack() as opened:

        def make(*args: Any, **settings: Any) -> Carrier:
            return opened.enter_context(Carrier(kind, *args, **settings))

        yield make


@pytest.fixture(autouse=True)
def no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the proxies that a test names."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
