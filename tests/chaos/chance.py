"""Chance that can be had again."""

from __future__ import annotations

import os
import random
import sys

SEED_VARIABLE = "CHAOS_SEED"


class Chance(random.Random):
    """The same numbers for the same seed."""


def new_seed() -> int:
    """The seed that the environment names, or a new one; told, so that a play can be played again."""
    seed = int(os.environ.get(SEED_VARIABLE) or random.SystemRandom().randrange(10**6))
    sys.stdout.write(f"\n{SEED_VARIABLE}={seed}\n")
    return seed
