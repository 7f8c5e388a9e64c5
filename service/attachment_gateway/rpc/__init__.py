"""The gRPC service: how calls begin, are read and end."""
