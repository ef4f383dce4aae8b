"""The queue behind ``core.queue``: in the process's memory, or on Redis or Valkey.

Every key of a server is named in ``keys``; every change of state on a server is one script in ``scripts``.
"""
