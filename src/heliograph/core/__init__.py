"""The words of the product: values, rules, errors and ports.

Here belongs what every other room must agree on. Nothing here does I/O, and
nothing here imports more than the standard library and numpy.
"""
