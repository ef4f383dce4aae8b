"""A confined child that says that it is there, and then does nothing for longer than any test."""

from __future__ import annotations

import os
import time
from pathlib import Path

from heliograph.bootstrap.confinement import confine

if __name__ == "__main__":
    confine()
    Path("pid.part").write_text(str(os.getpid()))
    Path("pid.part").rename("pid")
    time.sleep(600)
