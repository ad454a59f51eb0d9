"""What a remote job is: plain values and functions, without Airflow and without a network."""
