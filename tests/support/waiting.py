"""Wait for a condition instead of for a while."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(predicate: Callable[[], T], timeout: float, what: str, interval: float = 0.1) -> T:
    """Call `predicate` until it answers something true, and return that; after `timeout` seconds, fail.

    An exception in `predicate` ends the wait at once: what may fail while one waits is the predicate's to say.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {timeout:g} s in vain for {what}; last seen: {answer!r}")
        time.sleep(interval)
