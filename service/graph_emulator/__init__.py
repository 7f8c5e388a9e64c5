"""A stand-in for Microsoft Graph's attachments of group posts, for development and tests.

It is not Graph. It imitates, on a loopback address, what public material tells of one corner of
Graph: the routes, answers, limits and errors around the attachments of a group's posts, with faults
on demand. Where it and Graph differ, Graph is right.

The straight line of a request: `wire` (the connection) -> `exchange` (request and answer) ->
`endpoint` (its course, with `throttle` and `faults`) -> `operations` (what Graph does, by
`validation`, `world`, `rendering`, `rewrites`) -> `answers`. Tests steer it through `control`.
"""
