"""A look at the jobs without an owner when a triggerer starts: what was killed while no triggerer lived.

Airflow deletes the stored triggers of such tasks without a word, and with a deleted run the record goes too. So this
runs before the triggerer does. Where another triggerer lives, that one has deleted them already.
"""

from __future__ import annotations

import logging
import sys
import threading
import time

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from airflow_provider_jobs.compat import is_triggerer_starting

log = logging.getLogger(__name__)

LONGEST = 20.0
"""Seconds that the start of a triggerer is held up at most."""
_SPARE = 3.0
"""Seconds of them for what cannot be bounded more closely, such as the database."""


@hookimpl
def on_starting(component: object) -> None:  # noqa: ARG001  Airflow's listeners are called by these names
    """Sweep, if a triggerer starts in this process. Called in many others too."""
    try:
        if is_triggerer_starting():
            _sweep_for_a_while()
    except Exception:
        log.exception("The sweep for jobs without an owner failed; the triggerer starts all the same")


def _sweep_for_a_while() -> None:
    from airflow.sdk import conf

    if not conf.getboolean("airflow_provider_jobs", "sweep_on_start", fallback=True):
        return
    thread = threading.Thread(target=_sweep, args=(LONGEST - _SPARE,), name="sweep-remote-jobs", daemon=True)
    thread.start()
    thread.join(LONGEST)
    if thread.is_alive():
        log.warning("The sweep for jobs without an owner is not done after %g s; it goes on beside the start", LONGEST)


def _sweep(seconds: float) -> None:
    from airflow_provider_jobs.books import all_books
    from airflow_provider_jobs.cleanup import Ages, clean_up

    began = time.monotonic()
    try:
        books, airflow = all_books()
        report = clean_up(books, airflow, ages=Ages(stray=0.0), time_limit=seconds)
    except Exception:
        log.exception("The sweep for jobs without an owner failed")
        return
    for finding in report.ended:
        log.warning("Ended at the start of the triggerer: %s", finding)
    for finding in report.failed:
        log.error(
            "May still run, and could not be ended at the start of the triggerer: %s: %s", finding, finding.problem
        )
    for problem in [*report.problems, *([report.refused] if report.refused else [])]:
        log.warning("%s", problem)
    log.info("Looked for jobs without an owner in %.1f s: %d ended", time.monotonic() - began, len(report.ended))


class RemoteJobsPlugin(AirflowPlugin):
    """Registers the listener. The entry point group ``airflow.plugins`` names this class."""

    name = "airflow_provider_jobs"
    listeners = [sys.modules[__name__]]
