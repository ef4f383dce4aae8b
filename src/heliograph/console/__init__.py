"""The web console, static files only: for the people who send pictures and those who run the service."""

from pathlib import Path

STATIC_FOLDER = Path(__file__).parent / "static"
