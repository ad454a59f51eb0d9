"""`python -m airflow_provider_jobs.sandbox`: the stand-in as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from airflow_provider_jobs.sandbox.server import HOSTS, Servers

BANNER = "This is a STAND-IN for Firecrawl and Datafiniti, for development and tests. It is not the real service."


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_jobs.sandbox", description=BANNER)
    for host in HOSTS:
        parser.add_argument(f"--{host}-port", type=int, default=0, help="0 (the default) takes a free port")
    parser.add_argument("--page-seconds", type=float, default=0.2, help="time that each scraped page takes")
    parser.add_argument("--ready-file", type=Path, help="file that the ready line is written to as well")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def ready(urls: dict[str, Any]) -> None:
        line = json.dumps(urls)
        if arguments.ready_file is not None:
            # Written aside and renamed, so that nobody reads half of it.
            aside = arguments.ready_file.with_name(arguments.ready_file.name + ".part")
            aside.write_text(line + "\n")
            aside.replace(arguments.ready_file)
        print(line, flush=True)

    ports = {host: getattr(arguments, f"{host}_port") for host in HOSTS}
    await Servers(ports, arguments.page_seconds).run(ready, stop)


def main() -> None:
    """Serve until a signal comes."""
    arguments = _arguments()
    print(BANNER, file=sys.stderr, flush=True)
    try:
        asyncio.run(_serve(arguments))
    except OSError as error:
        sys.exit(f"cannot start: {error}")


if __name__ == "__main__":
    main()
