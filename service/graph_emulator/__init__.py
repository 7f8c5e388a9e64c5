"""A stand-in for Microsoft Graph's attachments of group posts, for development and tests.

It is not Graph. It imitates, on a loopback address, what public sources say of one part of Graph:
the routes, responses, limits and errors of the attachments of a group's posts, with faults on
demand. Where it and Graph differ, Graph is right.

A request passes through these modules: `wire` (the connection), `exchange` (request and response),
`endpoint` (the order of the checks, with `throttle` and `faults`), `operations` (what Graph does,
by `validation`, `posts`, `rendering` and `rewrites`), `answers`. Tests control it by `control`.
The modules whose names begin with `odd` show attachments as users report of Graph, if the
configuration says so; the record of `control` has what was sent.
"""
