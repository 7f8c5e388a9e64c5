"""The process: assembly, lifecycle, workers, health, logs, and the operator's HTTP."""
