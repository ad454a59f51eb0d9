"""When to look at a job again."""

from __future__ import annotations

SHARE_OF_AGE = 0.2
"""A job that has run for ten minutes is not looked at every second: the next pause is a fifth of its age."""


def pause(age: float, *, poll_interval: float, floor: float) -> float:
    """Return the seconds until the next look.

    Short jobs are noticed soon and long ones cost few requests: the pause grows with the job's age, from
    ``floor`` to ``poll_interval``.

    :param age: seconds since the job was started.
    :param poll_interval: the longest pause in seconds.
    :param floor: the shortest pause that is fair to the service, in seconds; wins over ``poll_interval``.
    """
    return max(floor, min(poll_interval, max(0.0, age) * SHARE_OF_AGE))
