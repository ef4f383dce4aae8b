"""Where in an HDF5 file the weights of a layer of Keras are."""

from __future__ import annotations

from heliograph.adapters.models.hdf5 import Hdf5File
from heliograph.adapters.models.keras_layers import Address
from heliograph.adapters.models.onnx_graph import Array
from heliograph.core import errors

CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
"""How the group of a model's layers is called, by Keras 3 and by the .keras files of Keras 2."""

WEIGHTS_A_LAYER = 16


class ArchiveWeights:
    """``model.weights.h5``: groups named by the kinds of the layers and counted, numbers named 0, 1, 2…"""

    def __init__(self, file: Hdf5File) -> None:
        self._file = file
        self._container = next((name for name in CONTAINERS if file.has(name)), CONTAINERS[0])

    def of(self, address: Address) -> list[Array]:
        """A layer's weights in the order in which Keras keeps them."""
        path = "/".join(f"{self._container}/{step.key}" for step in address) + "/vars"
        names = self._file.names(path)
        if len(names) > WEIGHTS_A_LAYER or sorted(names, key=len) != [str(n) for n in range(len(names))]:
            raise errors.ModelInvalid(
                f"The weights at {errors.excerpt(path)} are not numbered as Keras does."
            )
        return [self._file.numbers(f"{path}/{number}") for number in range(len(names))]


class LegacyWeights:
    """The group ``model_weights`` of an .h5 file: a group a layer, with a list of names in their order.

    A model inside a model is one group; which layer a number belongs to is in its name.
    """

    def __init__(self, file: Hdf5File) -> None:
        self._file = file
        self._names: dict[str, list[str]] = {}

    def of(self, address: Address) -> list[Array]:
        """A layer's weights in the order in which Keras keeps them."""
        group = f"model_weights/{address[0].name}"
        if group not in self._names:
            self._names[group] = self._file.texts(group, "weight_names")
        names = self._names[group]
        if len(address) > 1:
            names = self._inside(names, [step.name for step in address[1:]])
        if len(names) > WEIGHTS_A_LAYER:
            raise errors.ModelInvalid(f"The layer {address[-1].name} has too many weights.")
        return [self._file.numbers(f"{group}/{name}") for name in names]

    def _inside(self, names: list[str], path: list[str]) -> list[str]:
        """The names of one layer's weights: by as much of its path as they have, by its own name at least."""
        for start in range(len(path)):
            wanted = "/".join(path[start:])
            found = [
                name
                for name in names
                for place in [name.rpartition("/")[0]]
                if place == wanted or place.endswith(f"/{wanted}")
            ]
            if found:
                return found
        return []
