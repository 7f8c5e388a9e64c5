"""Microsoft Graph's side: requests, responses, JSON, paths, and the client that sends them."""
