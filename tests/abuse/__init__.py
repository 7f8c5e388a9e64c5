"""Attacks on a gateway beside honest callers, over real sockets.

`python -m tests.abuse` starts for each attack a gateway (`serve`, as a process of its own), a
stand-in for Graph, and a process with the attack, and makes honest calls from one more process. It
prints what the honest callers, the gateway's memory and its event loop saw of it.
"""
