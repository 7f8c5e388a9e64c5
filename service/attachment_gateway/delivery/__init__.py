"""Turn a request into exactly one attachment: leases, attempts, look-ups. Doesn't import gRPC."""
