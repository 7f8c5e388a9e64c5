"""From a request to exactly one attachment: leases, attempts, look-ups. It does not import gRPC."""
