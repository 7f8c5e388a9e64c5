"""The gRPC service: how calls come in, and how they end."""
