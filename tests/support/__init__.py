"""What the tests and the demo stand on: a real Airflow, a real PostgreSQL, and patience with a deadline."""
