"""A run as JSON: the measurements of each round, and the findings."""

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from benchmarks.findings import percentiles_s, ratios
from benchmarks.run import Run

_LIBRARIES = ("grpcio", "httpx", "uvloop", "protobuf", "msgraph-sdk")


def document(run: Run) -> Mapping[str, Any]:
    """Return a run as a JSON object; sizes are in bytes, times in seconds."""
    return {
        "on": {
            "cpus": os.cpu_count(),
            "system": platform.system(),
            "python": platform.python_version(),
            **{name: version(name) for name in _LIBRARIES},
        },
        "plan": {
            "sizes": run.plan.sizes,
            "contestants": run.plan.contestants,
            "scenarios": run.plan.scenarios,
            "amounts": asdict(run.plan.amounts),
            "echo": run.plan.echo,
        },
        "cells": [
            {
                **asdict(cell),
                "p50_s": percentiles_s(samples)[0],
                "p99_s": percentiles_s(samples)[1],
                "rounds": [
                    {
                        "uploads": sample.uploads,
                        "wall_s": sample.wall_s,
                        "server_cpu_s": sample.server_cpu_s,
                        "caller_cpu_s": sample.caller_cpu_s,
                    }
                    for sample in samples
                ],
            }
            for cell, samples in run.samples.items()
        ],
        "starts": [asdict(each) for each in run.starts],
        "memory": [
            {**asdict(each), "per_file": each.per_file} for each in (*run.memories, *run.bursts)
        ],
        "prices": [
            {**asdict(each), "median_latency_s": each.median_latency_s} for each in run.prices
        ],
        "endurance": [asdict(each) for each in run.endured],
        "ratios": [{**asdict(each), "met": each.met} for each in ratios(run)],
    }
