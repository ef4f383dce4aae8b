"""Implementations of the fleet port: processes of this machine, and a way to them from another process.

Here too: the queue's own server, which runs beside such processes.
"""
