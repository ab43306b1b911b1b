"""Does anything but an `ImageError` leave the decoder, whatever it is fed with?

    python benchmarks/fuzz_decoder.py --mutations 20000 --images photos odd-images --out fuzz.json

Seeded mutations of fifty pictures: bits flipped, bytes of headers set to extremes, files cut off,
spliced with one another, parts doubled or blanked. Half of the pictures are made here, one for each
format and kind of pixels; the rest are drawn from the folders. Each must decode to uint8 (H, W, 3)
or be refused in one line. What is told: how many did which, the slowest in seconds of the
processor's time, and the most memory that the process held.
"""

from __future__ import annotations

import argparse
import io
import random
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cifarlab.data.decode import FORMATS, decode_image
from cifarlab.data.find import find_images
from cifarlab.errors import ImageError
from cifarlab.files import write_json

PICTURES = 50
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF)
MOST_BYTES = 400_000  # of a file: larger ones make the run long and teach nothing new

Mutation = Callable[[bytearray, random.Random, Sequence[bytes]], None]


def made_pictures() -> list[bytes]:
    """A file of each format, each kind of pixels, animated, turned, of several pages."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 36, 3), np.uint8)
    image = Image.fromarray(pixels)
    files = [_encoded(image, kind) for kind in FORMATS]
    for mode in ("1", "L", "LA", "P", "RGBA", "I;16"):
        files.append(_encoded(image.convert("L" if mode == "I;16" else mode).convert(mode), "PNG"))
    for mode in ("CMYK", "L", "YCbCr"):
        files.append(_encoded(image.convert(mode), "JPEG"))
    for mode, compression in (
        ("1", "group4"),
        ("L", "packbits"),
        ("RGB", "tiff_lzw"),
        ("CMYK", "raw"),
        ("RGB", "jpeg"),
        ("RGBA", "tiff_deflate"),
    ):
        files.append(_encoded(image.convert(mode), "TIFF", compression=compression))
    frames = [image.rotate(angle) for angle in (90, 180)]
    for kind in ("GIF", "WEBP", "TIFF"):
        files.append(_encoded(image, kind, save_all=True, append_images=frames))
    turned = Image.Exif()
    turned[274] = 6  # orientation
    return [*files, _encoded(image, "JPEG", exif=turned, progressive=True)]


def pictures(folders: Sequence[Path], seed: int) -> list[bytes]:
    """`PICTURES` files: those that are made, then files of the folders drawn at random."""
    made = made_pictures()
    found = [path for path in find_images(folders) if path.stat().st_size <= MOST_BYTES]
    drawn = random.Random(seed).sample(found, min(PICTURES - len(made), len(found)))
    return made + [path.read_bytes() for path in drawn]


def flip_bits(content: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    """One to thirty bits anywhere."""
    for _ in range(rng.choice((1, 3, 30))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def edit_header(content: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    """Lengths, sizes and depths stand early in a file: set some to the least or the most."""
    start, length = rng.randrange(min(len(content), 96)), rng.choice((1, 2, 4))
    content[start : start + length] = bytes([rng.choice(EXTREMES)]) * length


def cut_off(content: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    """The end is missing."""
    del content[rng.randrange(len(content)) :]


def splice(content: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    """The beginning of one file and the end of another."""
    other = rng.choice(others)
    content[rng.randrange(len(content)) :] = other[rng.randrange(len(other)) :]


def double(content: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    """A part stands there twice."""
    start = rng.randrange(len(content))
    content[start:start] = content[start : start + rng.randrange(1, 2000)]


def blank(content: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    """A part is all the same byte."""
    start = rng.randrange(len(content))
    length = min(rng.randrange(1, 2000), len(content) - start)
    content[start : start + length] = bytes([rng.choice(EXTREMES)]) * length


MUTATIONS: tuple[Mutation, ...] = (flip_bits, edit_header, cut_off, splice, double, blank)


def mutants(files: Sequence[bytes], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """`count` files, each with the name of what was done to it; the same for the same seed."""
    rng = random.Random(seed)
    for number in range(count):
        content, mutation = bytearray(files[number % len(files)]), rng.choice(MUTATIONS)
        for _ in range(rng.choice((1, 1, 3))):
            if content:
                mutation(content, rng, files)
        yield mutation.__name__, bytes(content)


def outcome(content: bytes) -> str:
    """How the decoder took it: "decoded", "refused", or what it should not have done."""
    try:
        pixels = decode_image(content)
    except ImageError as error:
        return "refused" if str(error).isprintable() else f"not one line: {error!r}"
    except Exception as error:
        return f"raised {error!r}"[:200]
    return "decoded" if pixels.dtype == np.uint8 and pixels.shape[2:] == (3,) else "not pixels"


def fuzz(files: Sequence[bytes], count: int, seed: int = 0) -> dict[str, Any]:
    """Counts by mutation and outcome, the slowest, and the most memory held, as JSON has them."""
    counts: Counter[tuple[str, str]] = Counter()
    slowest = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a warning that gets out is one more thing that should not
        for name, content in mutants(files, count, seed):
            began = time.process_time()
            counts[name, outcome(content)] += 1
            slowest = max(slowest, time.process_time() - began)
    wrong = sum(n for (_, what), n in counts.items() if what not in ("decoded", "refused"))
    outcomes = [{"mutation": m, "outcome": o, "n": n} for (m, o), n in sorted(counts.items())]
    return {
        "pictures": len(files),
        "n": count,
        "seed": seed,
        "wrong": wrong,
        "outcomes": outcomes,
        "slowest_seconds": round(slowest, 3),
        "memory_mib": _memory_mib(),
    }


def _memory_mib() -> int | None:
    """The most memory that this process has held; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=20_000)
    parser.add_argument("--images", type=Path, nargs="*", default=[], metavar="FOLDER")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    found = fuzz(pictures(options.images, options.seed), options.mutations, options.seed)
    for row in found["outcomes"]:
        print(f"{row['mutation']:12} {row['n']:7,}  {row['outcome']}")
    print(
        f"{found['n']:,} mutations of {found['pictures']} pictures: {found['wrong']} wrong; "
        f"slowest {found['slowest_seconds']} s, memory {found['memory_mib']} MiB"
    )
    if options.out:
        write_json(options.out, found)
    sys.exit(1 if found["wrong"] else 0)


if __name__ == "__main__":
    main()
