"""Heliograph turns image models into a service.

In Python, without the service::

    import heliograph

    with heliograph.load("efficientnet-lite0") as model:
        best, *rest = model.classify("cat.png")
        print(best.label, best.probability)

    heliograph.load("silhouette").cut_out("cat.png").save("cat-without-background.png")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliograph.core.errors import HeliographError

if TYPE_CHECKING:
    from heliograph.core.predictions import Label
    from heliograph.local import Cutout, Model, load

__all__ = ["Cutout", "HeliographError", "Label", "Model", "__version__", "load"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """The public names, imported when they are first asked for: they need numpy and a runtime."""
    if name == "Label":
        from heliograph.core.predictions import Label

        return Label
    if name in __all__:
        from heliograph import local

        return getattr(local, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, those that are not imported yet included."""
    return sorted({*globals(), *__all__})
