"""The Microsoft Graph side: requests, responses, JSON, paths, and the client that sends them."""
