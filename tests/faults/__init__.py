"""A campaign of faults between the gateway and Graph, to see whether it keeps its promise.

`python -m faults` with `tests/` on the path. The straight line: `families` make cases from a seed;
`campaign` runs them on `stages` (an emulated Graph, a proxy that breaks things, gateways) by
`scripts`; `verdict` counts what Graph stored against what callers were told; `report` prints it.
"""
