"""What ``airflow remote-jobs`` does. Data goes to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

from airflow.utils.cli import action_cli
from airflow.utils.providers_configuration_loader import providers_configuration_loaded

from airflow_provider_jobs.books import Books, all_books
from airflow_provider_jobs.cleanup import AT_ONCE, Ages, Finding, Report, clean_up, end, find, hooks_of, look
from airflow_provider_jobs.jobs.history import Closed
from airflow_provider_jobs.service_side import Sighting, look_around

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_data: IO[str] | None = None
_MAY_RUN = frozenset({None, Closed.HANDED_OVER, Closed.LEFT})
"""How an entry is closed whose job may run all the same."""


def _command(work: Callable[[Any], int]) -> Callable[[Any], None]:
    """Make a command of a function that returns the exit code."""
    loaded: Callable[[Any], int] = providers_configuration_loaded(work)
    logged: Callable[[Any], int] = action_cli(check_db=False)(loaded)  # type: ignore[no-untyped-call]

    @functools.wraps(work)
    def command(args: Any) -> None:
        try:
            with _stdout_for_data():
                code = logged(args)
        except Exception as error:
            _say(f"{type(error).__name__}: {error}")
            code = 1
        if code:
            raise SystemExit(code)

    return command


@contextlib.contextmanager
def _stdout_for_data() -> Iterator[None]:
    """Keep stdout for the data: whatever else writes there, such as Airflow's log, reaches stderr."""
    global _data
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    _data = os.fdopen(os.dup(kept), "w", encoding="utf-8")
    try:
        yield
    finally:
        _data.close()
        _data = None
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


@_command
def list_jobs(args: Any) -> int:
    """Print the jobs on record, or those that the services list."""
    books, airflow = all_books()
    if args.service_side:
        return _list_service_side(args, books, find(books, airflow, ages=Ages(0, 0)))
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


def _list_service_side(args: Any, books: Books, findings: list[Finding]) -> int:
    problems = list(books.problems)
    seen, more = look_around(findings, conn_id=args.conn_id, asks_state=args.service_state)
    jobs = [
        job
        for job in seen
        if (args.all or job.lost is not None or (job.is_job and not job.is_over))
        and (args.dag_id is None or args.dag_id in {f.record.owner.dag_id for f in (job.finding, job.lost) if f})
    ]
    _print([_service_row(job) for job in jobs], args.output)
    for problem in [*problems, *more]:
        _say(problem)
    return 1 if problems or more else 0


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
    report = clean_up(books, airflow, ages=Ages(age, age), force=args.force, dry_run=args.dry_run, finds_lost=True)
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
            + (f"; {finding.problem}" if finding.problem else "")
        )
    for finding in report.calls:
        entry = finding.record.entry
        _say(
            f"{entry.request} was sent through connection {entry.conn_id} for {finding.record.owner} and never "
            "answered: it may have been billed, and nothing of it runs; "
            + ("its record would be closed" if dry_run else "its record is closed")
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


def _service_row(job: Sighting) -> dict[str, Any]:
    """Return the row of a job that a service lists; what only a record could tell is None without one."""
    status, finding = job.status, job.finding
    own: dict[str, Any] = dict.fromkeys(("dag_id", "run_id", "task_id", "map_index", "generation"))
    if finding is not None:
        own = {**finding.record.owner.to_dict(), "generation": finding.record.entry.generation}
    return {
        **own,
        "service": job.ref.service,
        "kind": job.ref.kind,
        "job_id": job.ref.job_id,
        "conn_id": job.conn_id,
        "state": str(status.state) if status else None,
        "completed": status.completed if status else None,
        "total": status.total if status else None,
        "age_s": None if job.begun is None else max(0, round(time.time() - job.begun)),
        "orphan": None if finding is None else finding.judgement.orphan and not job.is_over,
        "reason": job.reason,
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
        _print_table([{key: "" if value is None else str(value) for key, value in row.items()} for row in rows])


def _print_table(rows: list[dict[str, str]]) -> None:
    from airflow.cli.simple_table import SimpleTable
    from rich.console import Console

    if not rows:
        _out("No data found")
        return
    # As wide as it needs to be, because an id that is folded over two lines cannot be copied.
    width = sum(max(len(name), *(len(row[name]) for row in rows)) + 3 for name in rows[0])
    table = SimpleTable(show_header=True)  # type: ignore[no-untyped-call]
    for name in rows[0]:
        table.add_column(name)
    for row in rows:
        table.add_row(*row.values())
    Console(file=_data or sys.stdout, width=width, soft_wrap=True, highlight=False, markup=False).print(table)


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
    print(text, file=_data or sys.stdout, flush=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
