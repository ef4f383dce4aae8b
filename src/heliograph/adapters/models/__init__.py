"""Model packages: what ``model.toml`` says, where weights can be had, how they are checked, converted and kept.

Running a model belongs in ``adapters.engines``.
"""
