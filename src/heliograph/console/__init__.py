"""The web page, static files only: a place to drop a picture and see its answer."""

from pathlib import Path

STATIC_FOLDER = Path(__file__).parent / "static"
