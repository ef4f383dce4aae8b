"""The use cases: admission, batching, the way of one picture, which models are served.

Knows the ports of ``core``, never a product behind them: no HTTP, no file formats, no runtime.
"""
