"""A local stand-in for Firecrawl and Datafiniti: for development and tests, without a key and without a bill."""

from airflow_provider_jobs.sandbox.client import ControlClient, ControlError
from airflow_provider_jobs.sandbox.server import Sandbox

__all__ = ["ControlClient", "ControlError", "Sandbox"]
