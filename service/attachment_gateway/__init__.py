"""A gRPC gateway in front of Microsoft Graph's "Add attachment" to a group post.

The way of a request, and the packages that it goes through:

    messages of a caller   rpc          each RPC as a sentence: assemble, deliver, answer
    -> a REST request      translation  checks the fields, assembles the stream
                           graph        JSON, base64, path, head, and their exact size
    -> one attachment      delivery     a lease in the ledger, a slot of the mailbox, attempts,
                                        and look-ups of what is unclear
    -> bytes on a socket   http1        connections; the response's bytes
    <- the attachment, or an error whose status `rpc.status` makes

Beside it: `admission`, `ledger` and `mailbox` are what deliveries share, `server` assembles and
runs the process, `client` and `cli` are for callers.
"""
