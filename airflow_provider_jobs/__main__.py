"""``python -m airflow_provider_jobs remote-jobs …``: the same as ``airflow remote-jobs …``."""

from __future__ import annotations

import argparse

from airflow.cli.cli_config import GroupCommand

from airflow_provider_jobs.cli import get_commands


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="python -m airflow_provider_jobs")
    groups = top.add_subparsers(required=True, dest="subcommand")
    for group in get_commands():
        assert isinstance(group, GroupCommand)
        commands = groups.add_parser(group.name, help=group.help, description=group.description).add_subparsers(
            required=True, dest="subsubcommand"
        )
        for command in group.subcommands:
            of_command = commands.add_parser(command.name, help=command.help, description=command.description)
            for arg in command.args:
                arg.add_to_parser(of_command)
            of_command.set_defaults(func=command.func)
    return top


if __name__ == "__main__":
    args = parser().parse_args()
    args.func(args)
