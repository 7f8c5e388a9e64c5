"""The contract's messages -> REST requests."""
