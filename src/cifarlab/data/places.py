"""Where CIFAR-10 may already lie on this machine, and where a download of it is kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple

from cifarlab.data import cifar
from cifarlab.errors import DataError

ENVIRONMENT_VARIABLE = "CIFARLAB_DATA"


class Place(NamedTuple):
    """A folder that is searched, and whose it is."""

    owner: str
    folder: Path


def cache_folder() -> Path:
    """This user's cache: ``$XDG_CACHE_HOME/cifarlab``, else the platform's own place for it."""
    configured = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(configured):  # the XDG specification says to ignore a relative one
        return Path(configured) / "cifarlab"
    if sys.platform == "darwin":
        return _home() / "Library" / "Caches" / "cifarlab"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else _home() / "AppData" / "Local") / "cifarlab" / "Cache"
    return _home() / ".cache" / "cifarlab"


def cifar_places() -> list[Place]:
    """The places searched for CIFAR-10, in order.

    Raises:
        DataError: ``CIFARLAB_DATA`` is set to what does not exist.
    """
    places = []
    if chosen := os.environ.get(ENVIRONMENT_VARIABLE):
        path = Path(os.path.expanduser(chosen))
        if not os.path.exists(path):
            raise DataError(
                f"{ENVIRONMENT_VARIABLE} is set to {path}, which does not exist; "
                "set it to the folder that holds your datasets, or unset it"
            )
        places.append(Place(ENVIRONMENT_VARIABLE, path))
    keras = os.environ.get("KERAS_HOME")
    return [
        *places,
        Place("cifarlab's cache", cache_folder()),
        Place("Keras's cache", (Path(keras) if keras else _home() / ".keras") / "datasets"),
        Place("torchvision's usual folder", Path("data").absolute()),
    ]


def find_cifar() -> Path | None:
    """The first CIFAR-10 folder or archive in `cifar_places`, complete or not; None without any."""
    for place in cifar_places():
        if os.path.isfile(place.folder):  # CIFARLAB_DATA may be the archive itself
            return place.folder
        if found := cifar.find_in(place.folder):
            return found
    return None


def _home() -> Path:
    """The home folder; the current one for a user without a home."""
    home = os.path.expanduser("~")
    return Path(home if os.path.isabs(home) else ".").absolute()
