"""Apache Airflow provider for web-data jobs that run on someone else's servers and are billed while they run."""

__version__ = "0.1.0"
