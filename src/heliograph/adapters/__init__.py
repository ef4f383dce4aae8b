"""The outside world behind the ports: one folder a port, none of which imports another.

Each adapter knows one product (a runtime, a codec, a client) and nothing of the use cases.
"""
