"""The blob store's implementations: a shared folder. Without one, the queue itself keeps everything.

What a blob is of a job, and when it goes, is decided in ``serving/blobs``.
"""
