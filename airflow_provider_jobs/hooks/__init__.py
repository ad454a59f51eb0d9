"""From an Airflow connection to a service that can be talked to."""
