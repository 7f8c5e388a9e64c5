"""A campaign of faults between the gateway and Graph that checks the gateway's promise.

Run it as `python -m faults` with `tests/` on the path. `families` makes cases from a seed;
`campaign` runs them on `environments` (an emulated Graph, a proxy that injects faults, gateways) by
`scripts`; `verdict` compares what Graph stored with what callers were told; `report` prints it.
"""
