"""Waiting for jobs that something else has started."""
