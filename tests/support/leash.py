"""Run a command that ends with its parent: `python leash.py PARENT_PID SIGNAL USER COMMAND…`.

Where the system can (Linux), the kernel sends SIGNAL to the command when the thread that started it is gone, so
that a test run which dies without tidying up leaves nothing behind. Elsewhere the command simply runs. USER is a
user to change to first (only root can), or `-`. The kernel forgets the signal when the user changes, hence both here.
"""

import ctypes
import os
import pwd
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def leashed(command: list[str], number: signal.Signals, user: str | None = None) -> list[str]:
    """Return `command` such that it gets signal `number` when the calling thread is gone."""
    prefix = [sys.executable, "-I", "-S", str(Path(__file__).resolve())]
    return [*prefix, str(os.getpid()), str(int(number)), user or "-", *command]


def main() -> None:
    parent, number, user, *command = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    if user != "-":
        entry = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    if sys.platform == "linux":
        libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != int(parent):  # it died before the call
            sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
