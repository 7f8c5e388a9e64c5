"""The times of the campaign: a gateway's settings scaled down, and what follows from them."""

# How long Graph may still act on a request; the delays of cases stay below this.
SETTLE_S = 1.0
LATEST_S = 0.9 * SETTLE_S

GRAPH_TIMEOUT_S = 1.0

# How far Graph's stamps may lag its `Date`: the setting's default.
CLOCK_SKEW_S = 300.0

# Twice what a timeout, settling, look-ups and sending again take.
DEADLINE_S = 20.0

# After this time without traffic no request is on its way any more.
QUIET_S = SETTLE_S + 0.6
QUIET_AT_MOST_S = 20.0

# How long a call is repeated until it is definite; includes a dead holder's lease.
REPEAT_FOR_S = 40.0
REPEAT_AFTER_S = 0.3
REPEAT_AFTER_AT_MOST_S = 3.0

# How long a gateway may finish its calls after SIGTERM, and how long after that it may take to end.
DRAIN_S = 2.0
END_WITHIN_S = 6.0

# Between SIGSTOP and SIGCONT a lease of 10 s must end; the repeat at the other replica takes it.
PAUSE_AT_LEAST_S = 11.0

# If the event loop is later than this, the measured times prove nothing.
LATE_BY_S = 0.05
