"""Decoding: every rule that data/decode.py declares, on files made here and on real odd ones."""

from __future__ import annotations

import io
import random
import threading
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from cifarlab.data import decode
from cifarlab.data.decode import FITS, FORMATS, decode_image, fit_image
from cifarlab.errors import ImageError, UnknownNameError

ORIENTATION = 0x0112


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def picture() -> np.ndarray:
    """A smooth colour picture without any symmetry, uint8 (24, 40, 3)."""
    y, x = np.mgrid[0:24, 0:40]
    return np.stack([x * 6, y * 10, (x + y) * 4], axis=2).astype(np.uint8)


def refusal(source, **arguments) -> str:
    with pytest.raises(ImageError) as caught:
        decode_image(source, **arguments)
    message = str(caught.value)
    assert message.startswith("cannot read ")
    assert "\n" not in message
    return message


# --- sources ---


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_from_path_bytes_and_file(kind, picture, tmp_path):
    path = tmp_path / "picture.of_no_known_extension"
    path.write_bytes(encoded(Image.fromarray(picture), kind))
    decoded = decode_image(path)
    assert decoded.shape == picture.shape
    assert decoded.dtype == np.uint8
    assert np.abs(decoded.astype(int) - picture).mean() < 6  # GIF has 256 colours, JPEG rounds
    for source in (str(path), path.read_bytes(), path.open("rb"), Image.open(path)):
        np.testing.assert_array_equal(decode_image(source), decoded)


def test_a_multi_picture_photo_of_a_phone_is_a_jpeg(picture):
    image = Image.fromarray(picture)
    content = encoded(image, "MPO", save_all=True, append_images=[Image.new("RGB", (40, 24))])
    assert np.abs(decode_image(content).astype(int) - picture).mean() < 6


def test_a_pillow_image_is_left_as_it_was(picture):
    image = Image.fromarray(picture).convert("P")
    image.getexif()[ORIENTATION] = 6
    assert decode_image(image).shape == (40, 24, 3)
    assert (image.mode, image.size, image.getexif()[ORIENTATION]) == ("P", (40, 24), 6)


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (4, 6, 3), (4, 6, 4)])
def test_arrays(shape):
    pixels = np.full(shape, 200, np.uint8)
    expected = 200 if shape[-1] != 4 else round((200 * 200 + 255 * 55) / 255)
    np.testing.assert_allclose(decode_image(pixels), np.full((4, 6, 3), expected), atol=1)


@pytest.mark.parametrize(
    ("pixels", "part"),
    [
        (np.zeros((4, 4, 3), np.float32), "float32; give uint8"),
        (np.zeros((4, 4, 3), bool), "bool; give uint8"),
        (np.zeros((4, 4, 2), np.uint8), "(4, 4, 2) is no picture"),
        (np.zeros((2, 4, 4, 3), np.uint8), "(2, 4, 4, 3) is no picture"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        (np.zeros(4, np.uint8), "(4,) is no picture"),
    ],
)
def test_arrays_that_are_no_picture(pixels, part):
    assert part in refusal(pixels)


# --- pixels ---


def test_grey_is_repeated_and_one_bit_is_black_and_white():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for kind in ("PNG", "TIFF", "PPM"):
        decoded = decode_image(encoded(Image.fromarray(ramp), kind))
        np.testing.assert_array_equal(decoded, np.stack([ramp] * 3, axis=2))
    bits = decode_image(encoded(Image.fromarray(ramp > 99), "PNG"))
    np.testing.assert_array_equal(bits[..., 1], (ramp > 99) * 255)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_scaled_not_clipped(kind):
    levels = np.array([[0, 128, 129, 257, 1000], [32768, 40000, 65000, 65406, 65535]], np.uint16)
    decoded = decode_image(encoded(Image.fromarray(levels), kind))
    np.testing.assert_array_equal(decoded[..., 0], np.rint(levels / 257))


def test_palette_with_and_without_transparency():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    plain = decode_image(encoded(image, "PNG"))
    assert plain.tolist() == [[[10, 20, 30], [200, 100, 50]]]
    keyed = decode_image(encoded(image, "PNG", transparency=1))
    assert keyed.tolist() == [[[10, 20, 30], list(decode.BACKGROUND)]]
    half = decode_image(encoded(image, "PNG", transparency=bytes([255, 0])))
    assert half.tolist() == keyed.tolist()


def test_alpha_is_laid_over_the_background():
    image = Image.new("RGBA", (3, 1))
    for x, alpha in enumerate((0, 51, 255)):
        image.putpixel((x, 0), (100, 0, 200, alpha))
    expected = [[255, 255, 255], [224, 204, 244], [100, 0, 200]]
    for kind, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})):
        decoded = decode_image(encoded(image, kind, **options))
        np.testing.assert_allclose(decoded[0], expected, atol=1)


@pytest.mark.parametrize(
    ("header", "key", "row", "expected"),
    [  # bits and kind of colour, transparent colour, row of two pixels
        ("0400", "0003", "35", [255, 85]),
        ("0200", "0001", "60", [255, 170]),
        ("1000", "1234", "12344321", [255, 67]),
        ("1002", "120034005600", "120034005600" + "430021001000", [255, 67]),
    ],
)
def test_the_transparent_colour_has_the_depth_of_the_file(header, key, row, expected):
    """Pillow reads every depth to 8 bits, but reports this colour as it stands in the file."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(kind + body).to_bytes(4, "big")
        return len(body).to_bytes(4, "big") + kind + body + crc

    size = bytes([0, 0, 0, 2, 0, 0, 0, 1])
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size + bytes.fromhex(header) + bytes(3))
    content += chunk(b"tRNS", bytes.fromhex(key))
    content += chunk(b"IDAT", zlib.compress(bytes(1) + bytes.fromhex(row))) + chunk(b"IEND", b"")
    assert decode_image(content)[0, :, 0].tolist() == expected


def test_cmyk():
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert np.abs(decode_image(encoded(image, "TIFF")).astype(int) - [255, 0, 0]).max() <= 2
    assert np.abs(decode_image(encoded(image, "JPEG")).astype(int) - [255, 0, 0]).max() <= 4


def test_floats_in_a_file_have_no_range_and_are_refused():
    image = Image.fromarray(np.ones((4, 4), np.float32))
    assert "no declared range" in refusal(encoded(image, "TIFF"))
    assert "no declared range" in refusal(Image.new("I", (4, 4)))


def test_first_frame_of_an_animation(picture):
    first, second = Image.fromarray(picture), Image.new("RGB", (40, 24))
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        content = encoded(first, kind, save_all=True, append_images=[second])
        assert np.abs(decode_image(content).astype(int) - picture).mean() < 8, kind


# --- orientation ---


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("value", "upright"),
    [
        (1, lambda p: p),
        (2, lambda p: p[:, ::-1]),
        (3, lambda p: p[::-1, ::-1]),
        (4, lambda p: p[::-1]),
        (5, lambda p: p.transpose(1, 0, 2)),
        (6, lambda p: np.rot90(p, -1)),
        (7, lambda p: p[::-1, ::-1].transpose(1, 0, 2)),
        (8, lambda p: np.rot90(p, 1)),
    ],
)
def test_orientation_is_applied_once(kind, value, upright, picture):
    exif = Image.Exif()
    exif[ORIENTATION] = value
    decoded = decode_image(encoded(Image.fromarray(picture), kind, exif=exif))
    expected = upright(picture)
    assert decoded.shape == expected.shape
    assert np.abs(decoded.astype(int) - expected).mean() < 6


def test_the_eight_orientations_of_a_real_photo_agree(real_data):
    folder = real_data / "odd-images" / "exif_orientation"
    photos = [decode_image(folder / f"Portrait_{n}.jpg").astype(int) for n in range(1, 9)]
    assert photos[0].shape[0] > photos[0].shape[1]
    for photo in photos[1:]:
        assert photo.shape == photos[0].shape
        assert np.abs(photo - photos[0]).mean() < 3


def test_damaged_metadata_does_not_cost_the_picture(picture):
    good = encoded(Image.fromarray(picture), "JPEG")
    junk = b"Exif\0\0MM\0\x2a\xff\xff\xff\xff" + bytes(range(40))
    segment = b"\xff\xe1" + (len(junk) + 2).to_bytes(2, "big") + junk
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decoded = decode_image(good[:2] + segment + good[2:])
    np.testing.assert_array_equal(decoded, decode_image(good))


# --- what cannot be read ---


def test_every_odd_image_gives_a_picture_or_one_line(real_data):
    files = sorted(p for p in (real_data / "odd-images").rglob("*") if p.suffix in (".png", ".jpg"))
    assert len(files) > 150
    refused = {}
    for path in files:
        try:
            image = decode_image(path)
        except ImageError as error:
            refused[path.name] = str(error)
        else:
            assert image.dtype == np.uint8
            assert image.ndim == 3
            assert image.shape[2] == 3
    assert len(refused) >= 12
    for name, message in refused.items():
        assert name.startswith("png__x")  # PngSuite's files that are broken on purpose
        assert name in message
        assert "\n" not in message


def test_real_16_bit_and_transparent_pngs_look_as_their_8_bit_twins(real_data):
    folder = real_data / "odd-images" / "pngsuite"
    grey = decode_image(folder / "png__basn0g16.png")[..., 0]
    assert grey.min() == 0
    assert grey.max() == 255
    assert len(np.unique(grey)) > 100
    # the same picture, its background transparent, in five kinds of PNG: white corners in each
    for name in ("tbbn0g04", "tbbn2c16", "tbrn2c08", "tbwn0g16", "tbwn3p08"):
        assert decode_image(folder / f"png__{name}.png")[0, 0].tolist() == [255, 255, 255], name


@pytest.mark.parametrize("kind", FORMATS)
def test_a_cut_off_file_is_refused(kind, picture):
    content = encoded(Image.fromarray(picture), kind)
    assert "damaged or cut off" in refusal(content[: len(content) // 2], name="half.img")


def test_what_is_no_picture(tmp_path):
    text = tmp_path / "notes.jpg"
    text.write_text("buy milk\n")
    assert refusal(text).startswith(f"cannot read {text}: it is not a JPEG")
    assert "empty" in refusal(b"", name="empty.png")
    assert "no such file" in refusal(tmp_path / "absent.png")
    assert "folder" in refusal(tmp_path)
    assert "null" in refusal("a\0b")
    assert "int is no image" in refusal(7)
    assert "binary mode" in refusal(io.StringIO("text"))
    assert refusal(text, name="two\nlines.jpg").startswith("cannot read 'two\\nlines.jpg'")


def test_other_formats_that_pillow_could_read_are_refused(picture):
    assert "it is not a JPEG" in refusal(encoded(Image.fromarray(picture), "TGA"))
    assert "it is not a JPEG" in refusal(encoded(Image.fromarray(picture), "PCX"))


def test_a_giant_picture_is_refused_before_it_is_decoded(monkeypatch):
    def decoded(*_):
        raise AssertionError("decoded before its size was checked")

    bomb = encoded(Image.new("1", (9000, 9000)), "PNG")  # 81 million pixels in 10 KB
    bigger = encoded(Image.new("1", (20000, 10000)), "PNG")  # Pillow itself would raise
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decoded)
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", decoded, raising=False)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert "64 million pixels" in refusal(bomb)
        assert "64 million pixels" in refusal(bigger)
    assert not seen
    assert "64 million pixels" in refusal(np.broadcast_to(np.uint8(0), (9000, 9000)))


def test_no_more_is_read_than_the_cap_on_bytes(monkeypatch, tmp_path, picture):
    monkeypatch.setattr(decode, "MAX_BYTES", 1000)
    path = tmp_path / "long.bmp"
    path.write_bytes(encoded(Image.fromarray(picture), "BMP"))
    for source in (path, path.read_bytes(), path.open("rb")):
        assert "larger than" in refusal(source)


def test_only_image_errors_leave_the_decoder_whatever_the_bytes(picture):
    """Seeded mutations of a file of each format: bytes changed, cut, inserted."""
    rng = random.Random(0)
    image = Image.fromarray(picture)
    seeds = [encoded(image, kind) for kind in FORMATS]
    seeds += [encoded(image.convert(mode), "PNG") for mode in ("1", "L", "P", "LA", "RGBA")]
    messages = []
    for round_ in range(3000):
        content = bytearray(seeds[round_ % len(seeds)])
        for _ in range(rng.choice((1, 3, 10))):
            content[rng.randrange(min(len(content), rng.choice((50, 10**6))))] = rng.randrange(256)
        if round_ % 5 == 0:
            del content[rng.randrange(len(content)) :]
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            try:
                decoded = decode_image(bytes(content))
            except ImageError as error:
                messages.append(str(error))
            else:
                assert decoded.dtype == np.uint8
                assert decoded.shape[2] == 3
        assert not seen
    assert 100 < len(messages) < 2900
    assert not any("\n" in message for message in messages)


def test_threads_decode_the_same_and_leave_the_warning_filters(picture):
    contents = [encoded(Image.fromarray(np.roll(picture, n, axis=1)), "PNG") for n in range(8)]
    expected = [decode_image(content) for content in contents]
    before = list(warnings.filters)
    failures = []

    def work(n: int) -> None:
        for _ in range(30):
            if not np.array_equal(decode_image(contents[n]), expected[n]):
                failures.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert list(warnings.filters) == before


# --- fit_image ---


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("shape", [(24, 40), (40, 24), (7, 7), (1, 90), (90, 1), (1, 1), (33, 32)])
def test_every_shape_becomes_the_square(fit, shape):
    image = np.full((*shape, 3), 77, np.uint8)
    fitted = fit_image(image, 32, fit)
    assert fitted.shape == (32, 32, 3)
    assert fitted.dtype == np.uint8
    assert np.all(fitted == 77)  # no bars, no ringing on a flat picture


@pytest.mark.parametrize("fit", FITS)
def test_a_picture_of_the_right_size_is_not_touched(fit, picture):
    square = picture[:24, :24]
    np.testing.assert_array_equal(fit_image(square, 24, fit), square)


def test_crop_keeps_the_middle_and_stretch_keeps_all():
    thirds = np.zeros((32, 96, 3), np.uint8)
    thirds[:, :32], thirds[:, 32:64], thirds[:, 64:] = 50, 100, 200
    np.testing.assert_array_equal(fit_image(thirds, 32, "crop"), np.full((32, 32, 3), 100))
    stretched = fit_image(thirds, 32, "stretch")
    assert abs(int(stretched[0, 0, 0]) - 50) < 8
    assert abs(int(stretched[0, -1, 0]) - 200) < 8


def test_pad_shows_the_whole_picture_and_mirrors_it(picture):
    tall = np.ascontiguousarray(picture[:, :12])  # (24, 12): six columns are added on each side
    padded = fit_image(tall, 24, "pad")
    np.testing.assert_array_equal(padded[:, 6:18], tall)
    np.testing.assert_array_equal(padded[:, :6], tall[:, 5::-1])
    np.testing.assert_array_equal(padded[:, 18:], tall[:, :5:-1])


@pytest.mark.parametrize("fit", FITS)
def test_shrinking_is_antialiased(fit):
    """Stripes finer than the result's pixels become grey instead of a false pattern."""
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    shrunk = fit_image(stripes, 32, fit).astype(int)
    assert np.abs(shrunk - 127.5).max() < 5  # 3.5 at the border; 127.5 with every 16th column


def test_an_unknown_fit_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'crop'"):
        fit_image(np.zeros((2, 2, 3), np.uint8), 32, "corp")
