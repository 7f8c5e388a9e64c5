"""A gRPC gateway in front of Microsoft Graph's "Add attachment" to a group post.

The path of a request through the packages:

    messages of a caller   rpc          each RPC: assemble, deliver, answer
    -> a REST request      translation  checks the fields, assembles the stream
                           graph        JSON, base64, path, head, and their exact size
    -> one attachment      delivery     a lease in the ledger, a slot of the mailbox, attempts,
                                        and look-ups of unclear attempts
    -> bytes on a socket   http1        connections; the response's bytes
    <- the attachment, or an error whose status `rpc.status` makes

Besides: `admission`, `ledger` and `mailbox` are shared by all deliveries, `server` assembles and
runs the process, `client` and `cli` are for callers.
"""
