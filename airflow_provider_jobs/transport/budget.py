"""The request budget of a connection: evenly spread, and held back for all by a 429. Pure; callers pass the clock."""

from __future__ import annotations


class Budget:
    """Tells when the next request may be sent.

    :param per_minute: the most requests in a minute.
    """

    def __init__(self, per_minute: float) -> None:
        self._spacing = 60.0 / per_minute
        self._next = 0.0

    def reserve(self, now: float) -> float:
        """Take the next free moment and return the seconds until then.

        :param now: seconds of any steady clock.
        """
        moment = max(now, self._next)
        self._next = moment + self._spacing
        return moment - now

    def hold(self, now: float, seconds: float) -> None:
        """Send nothing for so many seconds: the service said so to one, and means all."""
        self._next = max(self._next, now + seconds)
