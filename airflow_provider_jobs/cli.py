"""``airflow remote-jobs``: what it can be asked. Imported at every call of ``airflow``, so it imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command

if TYPE_CHECKING:
    from airflow.cli.cli_config import CLICommand

_COMMANDS = "airflow_provider_jobs.commands"


def _arg(*flags: str, **settings: Any) -> Arg:
    return Arg(flags, **settings)  # type: ignore[no-untyped-call]


_OUTPUT = _arg(
    "-o",
    "--output",
    help="how to print it (default: table)",
    choices=("table", "json", "yaml"),
    default="table",
)
_LIST = (
    _arg("--all", help="closed entries too: delivered, failed, handed over, left on purpose …", action="store_true"),
    _arg("--dag-id", help="only jobs of this DAG"),
    _arg("--conn-id", help="only jobs of this connection"),
    _arg("--service-state", help="ask the services how the jobs are doing", action="store_true"),
    _arg(
        "--service-side",
        help="list what the services say of jobs, also of those that are not on record",
        action="store_true",
    ),
    _OUTPUT,
)
_CANCEL = (
    _arg("job_ids", help="the services' ids of jobs that are on record", nargs="+", metavar="JOB_ID"),
    _arg("-y", "--yes", help="do not ask, even when a job's task is still alive", action="store_true"),
)
_CLEANUP = (
    _arg("--dry-run", help="only print what would be ended", action="store_true"),
    _arg(
        "--older-than",
        help="leave younger jobs alone: seconds, or a number with s, m, h or d (default: 2m)",
        default="2m",
    ),
    _arg(
        "--force",
        help="also when Airflow knows none of the tasks in the ledger folder, as after a change of its database",
        action="store_true",
    ),
)


def get_commands() -> list[CLICommand]:
    """Return the commands; the provider key ``cli`` names this function."""
    return [
        GroupCommand(
            name="remote-jobs",
            help="Jobs that tasks have started at Firecrawl and Datafiniti",
            description=(
                "Every task writes down which jobs it starts. A job whose task is over, but which still runs, is an "
                "orphan: list names it, cleanup ends it."
            ),
            subcommands=(
                ActionCommand(
                    name="list",
                    help="List the jobs on record",
                    func=lazy_load_command(f"{_COMMANDS}.list_jobs"),
                    args=_LIST,
                ),
                ActionCommand(
                    name="cancel",
                    help="Cancel jobs on record, whoever owns them",
                    func=lazy_load_command(f"{_COMMANDS}.cancel_jobs"),
                    args=_CANCEL,
                ),
                ActionCommand(
                    name="cleanup",
                    help="End the jobs whose task is over",
                    description=(
                        "Ends the jobs whose task has ended or was deleted. A job is left alone while its task may "
                        "come back, when it was handed over or left on purpose, and on any doubt."
                    ),
                    func=lazy_load_command(f"{_COMMANDS}.clean_up_jobs"),
                    args=_CLEANUP,
                ),
            ),
        )
    ]
