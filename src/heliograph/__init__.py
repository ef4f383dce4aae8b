"""Heliograph turns image models into a service."""

__version__ = "0.1.0"
