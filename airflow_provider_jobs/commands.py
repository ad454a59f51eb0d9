"""What ``airflow remote-jobs`` does. Data goes to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from airflow.utils.cli import action_cli
from airflow.utils.providers_configuration_loader import providers_configuration_loaded

from airflow_provider_jobs.books import all_books
from airflow_provider_jobs.cleanup import AT_ONCE, Ages, Finding, Report, clean_up, end, find, hooks_of, look
from airflow_provider_jobs.jobs.history import Closed

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_MAY_RUN = frozenset({None, Closed.HANDED_OVER, Closed.LEFT})
"""How an entry is closed whose job may run all the same."""


def _command(work: Callable[[Any], int]) -> Callable[[Any], None]:
    """Make a command of a function that returns the exit code."""

    @functools.wraps(work)
    def command(args: Any) -> None:
        try:
            # Airflow logs to stdout, which belongs to the data.
            with contextlib.redirect_stdout(sys.stderr):
                code = work(args)
        except Exception as error:
            _say(f"{type(error).__name__}: {error}")
            code = 1
        if code:
            raise SystemExit(code)

    loaded: Callable[[Any], None] = providers_configuration_loaded(command)
    logged: Callable[[Any], None] = action_cli(check_db=False)(loaded)  # type: ignore[no-untyped-call]
    return logged


@_command
def list_jobs(args: Any) -> int:
    """Print the jobs on record."""
    books, airflow = all_books()
    findings = [
        finding
        for finding in find(books, airflow, ages=Ages(0, 0), dag_id=args.dag_id, open_only=not args.all)
        if (args.all or finding.record.entry.is_open) and args.conn_id in {None, finding.record.entry.conn_id}
    ]
    if args.service_state:
        _ask_services(findings)
    _print([_row(finding) for finding in findings], args.output)
    problems = [*books.problems, *(f"{f.record}: {f.problem}" for f in findings if f.problem)]
    for problem in problems:
        _say(problem)
    return 1 if problems else 0


@_command
def cancel_jobs(args: Any) -> int:
    """Cancel jobs on record."""
    books, airflow = all_books()
    wanted = dict.fromkeys(args.job_ids)
    findings = [f for f in find(books, airflow) if f.record.entry.seq and f.record.job is not None]
    chosen = [f for f in findings if f.record.job is not None and f.record.job.ref.job_id in wanted]
    code = 0
    for problem in books.problems:
        _say(problem)
        code = 1
    known = {f.record.job.ref.job_id for f in chosen if f.record.job is not None}
    for job_id in wanted:
        if job_id not in known:
            _say(f"{job_id} is not on record: nothing was done about it")
            code = 1
    hooks = hooks_of(chosen)
    for finding in chosen:
        if finding.record.entry.closed not in _MAY_RUN:
            _out(f"{finding.record}: nothing to cancel, {finding.judgement.reason}")
            continue
        alive = finding.record.entry.is_open and not finding.judgement.owner_is_over
        if alive and not args.yes and not _agreed(finding):
            _say(f"{finding.record} was left running")
            code = 1
            continue
        hook = hooks[finding.record.entry.service, finding.record.entry.conn_id]
        place = "failed"
        if isinstance(hook, Exception):
            finding.problem = f"connection {finding.record.entry.conn_id}: {hook}"
        else:
            place = end(finding, books, hook)
        code = max(code, _tell(finding, place))
    return code


@_command
def clean_up_jobs(args: Any) -> int:
    """End the jobs whose task is over."""
    age = _seconds(args.older_than)
    books, airflow = all_books()
    report = clean_up(books, airflow, ages=Ages(age, age), force=args.force, dry_run=args.dry_run)
    for problem in report.problems:
        _say(problem)
    if report.refused:
        _say(report.refused)
        return 1
    return max(int(bool(report.problems)), _print_report(report, dry_run=args.dry_run))


def _print_report(report: Report, *, dry_run: bool) -> int:
    if dry_run:
        for finding in report.ended:
            _out(f"would be ended: {finding}")
    else:
        for place in ("ended", "over", "spared", "failed"):
            for finding in getattr(report, place):
                _tell(finding, place)
    for finding in report.unanswered:
        _say(
            f"a {finding.record.entry.kind} may be running that nobody has the id of: {finding.record.entry.request} "
            f"was sent through connection {finding.record.entry.conn_id} for {finding.record.owner} and never answered"
        )
    counts = f"{len(report.ended)} {'to be ended' if dry_run else 'ended'}, {len(report.over)} already over"
    _out(f"{counts}, {len(report.failed)} could not be ended")
    return 1 if report.failed else 0


def _tell(finding: Finding, place: str) -> int:
    if place == "failed":
        _say(f"could not be ended: {finding}: {finding.problem}")
        return 1
    told = {"ended": "ended", "over": "was over already", "spared": "left alone, its task came back"}[place]
    seen = f": {finding.status.describe()}" if finding.status else ""
    _out(f"{told}: {finding}{seen}")
    return 0


def _row(finding: Finding) -> dict[str, Any]:
    record, entry, status = finding.record, finding.record.entry, finding.status
    begun = record.job.started_at if record.job else entry.intent_at
    if status is not None:
        state = str(status.state)
    elif entry.closed is not None:
        state = str(entry.closed)
    else:
        state = "open" if record.job else "unanswered"
    return {
        "dag_id": record.owner.dag_id,
        "run_id": record.owner.run_id,
        "task_id": record.owner.task_id,
        "map_index": record.owner.map_index,
        "generation": entry.generation,
        "service": entry.service,
        "kind": entry.kind,
        "job_id": record.job.ref.job_id if record.job else None,
        "conn_id": entry.conn_id,
        "state": state,
        "completed": status.completed if status else None,
        "total": status.total if status else None,
        "age_s": max(0, round(time.time() - begun)),
        "orphan": finding.judgement.orphan and finding.runs is not False,
        "reason": finding.judgement.reason + (f"; {finding.problem}" if finding.problem else ""),
    }


def _ask_services(findings: list[Finding]) -> None:
    asked = [f for f in findings if f.record.job is not None and f.record.entry.closed in _MAY_RUN]
    hooks = hooks_of(asked)

    def ask(finding: Finding) -> None:
        hook = hooks[finding.record.entry.service, finding.record.entry.conn_id]
        if isinstance(hook, Exception):
            finding.problem = f"connection {finding.record.entry.conn_id}: {hook}"
        else:
            look(finding, hook)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(ask, asked))


def _print(rows: list[dict[str, Any]], output: str) -> None:
    if output == "json":
        _out(json.dumps(rows, indent=2))
    elif output == "yaml":
        from airflow.utils import yaml

        _out(yaml.dump(rows, sort_keys=False).rstrip())
    else:
        from airflow.cli.simple_table import AirflowConsole

        AirflowConsole(file=sys.__stdout__).print_as_table(
            [{key: "" if value is None else value for key, value in row.items()} for row in rows]
        )


def _agreed(finding: Finding) -> bool:
    print(f"{finding.record} is still wanted: {finding.judgement.reason}. Cancel it? [y/N] ", end="", file=sys.stderr)
    sys.stderr.flush()
    try:
        return input().strip().casefold() in {"y", "yes"}
    except EOFError:
        return False


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip())
    if match is None:
        _say(f"--older-than {text!r} is no time: seconds, or a number with s, m, h or d")
        raise SystemExit(2)
    return float(match[1]) * _UNITS[match[2]]


def _out(text: str) -> None:
    print(text, file=sys.__stdout__, flush=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
