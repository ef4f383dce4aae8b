"""The consumer of a queue: takes jobs, keeps its leases, has them done, and says how it is.

It knows the queue by its port and a job's work as a function; no server, no engine, no HTTP framework.
"""
