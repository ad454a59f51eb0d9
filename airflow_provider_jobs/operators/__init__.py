"""Tasks that start, await, deliver and cancel jobs."""
