"""Run by a test in a process of its own: how long does the first use of a hook hold up an event loop?"""

import asyncio
import json
import time
from typing import Any


async def main() -> dict[str, Any]:
    # A triggerer has loaded the trigger, and with it what that imports, before its loop runs it.
    import airflow_provider_jobs.triggers.job  # noqa: F401
    from airflow_provider_jobs.hooks.firecrawl import FirecrawlHook
    from airflow_provider_jobs.services.base import Purpose, Request

    async def first_look() -> int:
        async with FirecrawlHook("first").aconn() as transport:
            return (await transport.send(Request("GET", "/v1/team/queue-status", Purpose.POLL))).status

    gap, last = 0.0, time.monotonic()
    task = asyncio.ensure_future(first_look())
    while not task.done():
        await asyncio.sleep(0.001)
        now = time.monotonic()
        gap, last = max(gap, now - last), now
    return {"status": await task, "gap": gap}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main())))
