"""Random inputs for everything that reads what others wrote, and the rules that must hold for all.

Run it as `python -m tests.fuzz`. A target draws an input from seeded random numbers and checks it.
`targets` lists those in one process, which `children` runs in processes of their own, so that a
crash or a hang is counted as well. `wire` sends calls and HTTP/2 frames to a gateway process whose
Graph answers at random. `report` prints how each target's inputs ended.
"""
