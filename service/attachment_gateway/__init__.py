"""A gRPC gateway in front of Microsoft Graph's "Add attachment" to a group post."""
