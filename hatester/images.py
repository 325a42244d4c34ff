"""Guest images: a kernel kit and a system for each kernel, and telling the Vagrantfile of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hatester import cache
from hatester.archive import Archive
from hatester.builds import Tree, make_build
from hatester.errors import MeasurementError
from hatester.keys import Keys
from hatester.kits import Kit, make_kit
from hatester.matrix import Matrix
from hatester.systems import make_system

Say = Callable[[str], None]


@dataclass(frozen=True)
class Image:
    """What a guest is started from."""

    kit: Kit
    system: Path


@dataclass(frozen=True)
class Unavailable:
    """What could not be made, since its suite is not to be had or lacks it; and the reason."""

    reason: str


def make_images(
    archive: Archive, matrix: Matrix, names: Iterable[str], keys: Keys, say: Say
) -> dict[str, Image | Unavailable]:
    """The images of kernels, made where the cache has none. Raises UserError without network."""
    images: dict[str, Image | Unavailable] = {}
    for name in names:
        kernel = matrix.kernels[name]
        say(f"kernel {name}: image")
        try:
            system = make_system(archive, kernel.system, keys)
            images[name] = Image(make_kit(archive, kernel), system)
        except MeasurementError as error:
            images[name] = Unavailable(f"no image for kernel {name}: {error}")
    return images


def make_builds(
    archive: Archive, matrix: Matrix, names: Iterable[str], say: Say
) -> dict[str, Tree | Unavailable]:
    """The trees of builds, made where the cache has none. Raises UserError without network."""
    trees: dict[str, Tree | Unavailable] = {}
    for name in names:
        say(f"HAProxy {name}: build")
        try:
            trees[name] = make_build(archive, matrix.builds[name])
        except MeasurementError as error:
            trees[name] = Unavailable(f"no build of HAProxy {name}: {error}")
    return trees


def tell_vagrant(file: Path, images: Mapping[str, Image | Unavailable], keys: Keys) -> None:
    """Write the images' files where the Vagrantfile looks for them, beside the ones it has."""
    with cache.locked(file.with_suffix(".lock"), "writes down images"):
        known = json.loads(file.read_text()) if file.exists() else {}
        for name, image in images.items():
            if isinstance(image, Image):
                known[name] = {
                    "release": image.kit.release,
                    "vmlinuz": str(image.kit.vmlinuz),
                    "initrd": str(image.kit.initrd),
                    "modules": str(image.kit.modules),
                    "system": str(image.system),
                    "private_key": str(keys.private),
                }
        cache.write_whole(file, json.dumps(known, indent=1) + "\n")
