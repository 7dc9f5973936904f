"""Reporting: pictures, tables, the HTML report, artifacts on the dashboard, Prometheus and MLflow.

Enter at `flows.reporting.publication`.
May import `flows.judging`, `flows.registry`, `flows.engine`, `flows.settings`, `data` and `lstm`.
"""
