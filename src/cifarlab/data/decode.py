"""Any picture to pixels: uint8 (H, W, 3), or an `ImageError` of one line. Nothing else gets out.

The rules, for every consumer of images (datasets, predictions, the server):

- Formats: JPEG, PNG, WebP, GIF, BMP, TIFF, PPM, told by the content, not by the file's name. A file
  that is cut off or damaged is refused rather than half shown.
- Size: at most `MAX_BYTES` and `MAX_PIXELS`, checked on the header before anything is decoded.
- Orientation (EXIF, XMP) is applied; damaged metadata is ignored. Of an animation: the first frame.
- Grey is repeated in the three channels. Palettes are looked up. CMYK and YCbCr become RGB by the
  plain formulas; colour profiles are ignored.
- Alpha, transparent palette entries and PNG's transparent colour are laid over `BACKGROUND`.
- 16-bit grey is scaled (65535 becomes 255, to the nearest level); of 16-bit colour the high byte is
  kept, which is the same to within one level. 32-bit integers and floats have no declared range,
  so they are refused.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from cifarlab.errors import ImageError, UnknownNameError

Pixels = np.ndarray
ImageSource = str | Path | bytes | BinaryIO | Image.Image | Pixels

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
EXTENSIONS = frozenset((".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"))
EXTENSIONS |= {".ppm", ".pgm", ".pbm", ".pnm"}
FITS = ("crop", "stretch", "pad")
MAX_PIXELS = 64_000_000
MAX_BYTES = 128 * 2**20
BACKGROUND = (255, 255, 255)  # white, as a page shows a picture with transparent parts

_TOO_LARGE = f"it has more than {MAX_PIXELS // 10**6} million pixels; make it smaller first"
_READABLE = "JPEG, PNG, WebP, GIF, BMP, TIFF or PPM"
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV")
_KEY_SCALE = {"L;2": 85, "L;4": 17, "RGB;16B": 1 / 256}  # a PNG's key has the file's own depth
_UPRIGHT = {  # EXIF's orientation -> what turns the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_warnings_lock = threading.Lock()  # Python's warning filters belong to the process, not a thread


def decode_image(source: ImageSource, *, name: str | None = None) -> Pixels:
    """Read a picture by the rules at the head of this module.

    Args:
        source: a path, the bytes of an image file, a binary file open for reading, a Pillow image
            (left as it was), or uint8 pixels (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), RGB(A).
        name: what to call it in an error; by default its path, or "image".

    Returns:
        uint8 (H, W, 3), RGB. Pixels given as (H, W, 3) come back as they are, not copied.

    Raises:
        ImageError: it cannot be read; one line that names it, the reason and the remedy.

    Example:
        >>> decode_image(np.zeros((4, 6), np.uint8)).shape
        (4, 6, 3)
        >>> decode_image(b"not a picture", name="notes.jpg")
        Traceback (most recent call last):
            ...
        cifarlab.errors.ImageError: cannot read notes.jpg: it is not a JPEG, PNG, WebP, GIF, ...
    """
    name = name or image_name(source) or "image"
    if isinstance(source, np.ndarray):
        return _from_array(source, name)
    return _decode(source if isinstance(source, Image.Image) else _read(source, name), name)


def fit_image(image: Pixels, size: int, fit: str = "crop") -> Pixels:
    """Make a picture square.

    `crop` keeps the middle square; `stretch` scales each side by itself; `pad` shows the whole
    picture, its short side continued as a mirror image (a plain bar would be a shape of its own).
    Shrinking is antialiased (a triangle over every pixel: of Pillow's filters the one that leaves
    photographs as soft as CIFAR-10's images are, docs/predict.md), enlarging is bicubic.

    Args:
        image: uint8 (H, W, 3).
        size: side of the square in pixels, 1 or more.
        fit: one of `FITS`.

    Returns:
        uint8 (size, size, 3); `image` itself when it has that size already.

    Raises:
        UnknownNameError: `fit` is none of `FITS`.

    Example:
        >>> fit_image(np.zeros((480, 640, 3), np.uint8), 32, "pad").shape
        (32, 32, 3)
    """
    if fit not in FITS:
        raise UnknownNameError("fit", fit, FITS)
    height, width = image.shape[:2]
    if (height, width) == (size, size):
        return image
    if fit == "stretch":
        return _resize(image, (size, size))
    if fit == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return _resize(image[top : top + side, left : left + side], (size, size))
    longest = max(height, width)
    rows, columns = (max(1, round(length * size / longest)) for length in (height, width))
    margins = [((size - n) // 2, size - n - (size - n) // 2) for n in (rows, columns)]
    return np.pad(_resize(image, (rows, columns)), [*margins, (0, 0)], mode="symmetric")


def image_name(source: object) -> str | None:
    """The path of an image given as a path or as an open file, None for what has no name."""
    if isinstance(source, str | Path):
        return str(source)
    path = getattr(source, "name", None) or getattr(source, "filename", None)
    return path if isinstance(path, str) else None


def _read(source: str | Path | bytes | BinaryIO, name: str) -> bytes:
    """The bytes of the file, never more than `MAX_BYTES` and one."""
    try:
        if isinstance(source, str | Path):
            with open(source, "rb") as file:
                content = file.read(MAX_BYTES + 1)
        elif isinstance(source, bytes | bytearray | memoryview):
            content = bytes(source[: MAX_BYTES + 1])
        elif hasattr(source, "read"):
            content = source.read(MAX_BYTES + 1)
        else:
            kind = type(source).__name__
            raise _refusal(name, f"a {kind} is no image; give a path or an array")
    except FileNotFoundError:
        raise _refusal(name, "there is no such file; check the path") from None
    except IsADirectoryError:
        raise _refusal(name, "it is a folder; give an image file") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte, a closed file
        reason = getattr(error, "strerror", None) or error
        raise _refusal(name, f"{reason}; check the file") from None
    if not isinstance(content, bytes):
        raise _refusal(name, "it is open as text; open it in binary mode (rb)")
    if not content:
        raise _refusal(name, "it is empty; fetch it again from its source")
    if len(content) > MAX_BYTES:
        raise _refusal(name, f"it is larger than {MAX_BYTES // 2**20} MiB; make it smaller first")
    return content


def _open(content: bytes, name: str) -> Image.Image:
    """The image behind its header; the pixels are not decoded yet."""
    try:
        with _quiet():
            return Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        if content.startswith(_SIGNATURES):
            raise
        reason = f"it is not a {_READABLE} image; convert it to one of these"
        raise _refusal(name, reason) from None


def _decode(source: bytes | Image.Image, name: str) -> Pixels:
    """Decode an image or a file's content; all that Pillow raises becomes `ImageError`."""
    try:
        image = source if isinstance(source, Image.Image) else _open(source, name)
        _check_size(*image.size, name)
        stored = _raw_mode(image)
        with _quiet() if image.format == "TIFF" else nullcontext():  # only TIFF's load() warns
            image.load()
        rgb = _to_rgb(image, stored, name)
        turn = _UPRIGHT.get(_orientation(image))
        return np.array(rgb if turn is None else rgb.transpose(turn))
    except ImageError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise _refusal(name, _TOO_LARGE) from None
    # Pillow's readers raise OSError, SyntaxError, struct.error, ValueError, KeyError and others on
    # damaged files: what comes out of a decoder that is fed with anything is not a closed list.
    except Exception as error:
        reason = " ".join(str(error).split())[:100]
        detail = f" ({reason})" if reason and not isinstance(error, UnidentifiedImageError) else ""
        remedy = "fetch it again from its source, or save it again with an image editor"
        raise _refusal(name, f"the image is damaged or cut off{detail}; {remedy}") from None


def _raw_mode(image: Image.Image) -> str:
    """Pillow's name for how the file stores its samples ("L;4"); "" when it is loaded already."""
    tile = getattr(image, "tile", None)
    arguments = tile[0].args if tile else ""
    return arguments if isinstance(arguments, str) else str(arguments and arguments[0])


def _to_rgb(image: Image.Image, stored: str, name: str) -> Image.Image:
    """`image` as 8-bit RGB over the background; `stored` is its `_raw_mode` in the file."""
    key = image.info.get("transparency")
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PPM", "PNG")):
        maximum = 4095 if stored == "I;12" else 65535
        grey = np.clip(np.asarray(image), 0, maximum).astype(np.uint32)  # (H, W)
        scaled = (grey * 255 + maximum // 2) // maximum  # to the nearest level
        opaque = None if key is None else grey != key
        return _over_background(Image.fromarray(scaled.astype(np.uint8)), opaque)
    if image.mode not in _MODES:
        reason = f"pixels of kind {image.mode} have no declared range"
        raise _refusal(name, f"{reason}; save it as grey or RGB with 8 or 16 bits")
    if key is not None and image.mode in ("1", "L", "RGB"):
        # Not left to Pillow, which compares a key of 4 or 16 bits with samples of 8.
        key = np.floor(np.multiply(key, _KEY_SCALE.get(stored, 1)))
        samples = np.asarray(image.convert("RGB"))
        return _over_background(image, (samples != key).any(axis=2))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return _over_background(rgba, np.asarray(rgba)[..., 3])
    return image.convert("RGB")


def _over_background(image: Image.Image, alpha: Pixels | None) -> Image.Image:
    """`image` as RGB, laid over `BACKGROUND` by `alpha`, uint8 or bool (H, W)."""
    rgb = image.convert("RGB")
    if alpha is None:
        return rgb
    opacity = alpha.astype(np.uint8) * 255 if alpha.dtype == bool else alpha
    return Image.composite(rgb, Image.new("RGB", rgb.size, BACKGROUND), Image.fromarray(opacity))


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1 where the metadata is damaged: the pixels are still good."""
    try:
        with _quiet():
            return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # as above: metadata is parsed by many readers, each with its own errors
        return 1


def _from_array(pixels: Pixels, name: str) -> Pixels:
    """uint8 pixels of the accepted shapes as (H, W, 3)."""
    if pixels.dtype != np.uint8:
        remedy = "such as (x * 255).round().astype('uint8') for floats from 0 to 1"
        raise _refusal(name, f"its pixels are {pixels.dtype}; give uint8 from 0 to 255, {remedy}")
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4)):
        remedy = "give (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
        raise _refusal(name, f"an array of shape {pixels.shape} is no picture; {remedy}")
    _check_size(pixels.shape[1], pixels.shape[0], name)
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        return pixels
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        colour = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
        return np.array(_over_background(colour, np.ascontiguousarray(pixels[..., 3])))
    return np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)


def _resize(image: Pixels, shape: tuple[int, int]) -> Pixels:
    """`image` at `shape` (rows, columns); a large picture is first averaged over whole blocks."""
    if image.shape[:2] == shape:
        return image
    shrinks = shape[0] < image.shape[0] or shape[1] < image.shape[1]
    resample = Image.Resampling.BILINEAR if shrinks else Image.Resampling.BICUBIC
    source = Image.fromarray(np.ascontiguousarray(image))
    return np.array(source.resize(shape[::-1], resample, reducing_gap=3.0))


def _check_size(width: int, height: int, name: str) -> None:
    if width < 1 or height < 1:
        raise _refusal(name, f"it has no pixels ({width} x {height}); leave it out")
    if width * height > MAX_PIXELS:
        raise _refusal(name, _TOO_LARGE)


def _refusal(name: str, reason: str) -> ImageError:
    """The error, on one line whatever characters a file's name holds."""
    return ImageError(f"cannot read {name if name.isprintable() else ascii(name)}: {reason}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Pillow's warnings about odd metadata are not shown; that of a giant picture is an error."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
