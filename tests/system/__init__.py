"""The numbered kill paths, played on a real Airflow. `python -m tests.system` plays all of them."""
