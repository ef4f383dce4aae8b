"""HTTP in and out: the only room with status codes, routes and media types.

``routes.py`` is the table of everything that is answered. A handler reads its request,
calls one use case of ``serving`` and writes the answer; it decides nothing else.
"""
