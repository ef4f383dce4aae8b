"""What is counted and measured: every metric is defined in ``prometheus``."""
