"""Image files are decoded as they are, and a bad one is told from a good one. The truth is drawn here."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from made_pictures import BLUE, RED, WHITE, encode, grey, noise, picture
from PIL import Image, ImageOps

from kpsbatch.dataset.images import decode_image

MANY = 10**8


class TestDecode:
    @pytest.mark.parametrize(
        ("mode", "kind", "options"),
        [
            ("RGB", "JPEG", {"quality": 95}),
            ("RGB", "JPEG", {"quality": 95, "progressive": True}),
            ("CMYK", "JPEG", {"quality": 95}),
            ("RGB", "PNG", {}),
            ("RGBA", "PNG", {}),
            ("RGB", "BMP", {}),
            ("RGB", "WEBP", {"lossless": True}),
            ("RGB", "TIFF", {}),
            ("RGB", "TIFF", {"compression": "tiff_lzw"}),
        ],
    )
    def test_colours(self, mode, kind, options):
        """Whatever the file's kind, the result is 8-bit RGB with the colours that were drawn."""
        image, problem = decode_image(encode(Image.fromarray(picture()).convert(mode), kind, **options), MANY)
        assert problem == ""
        assert (image.shape, image.dtype, image.flags.c_contiguous) == ((40, 60, 3), np.uint8, True)
        for (y, x), colour in (((25, 10), RED), ((25, 50), BLUE), ((4, 30), WHITE)):
            np.testing.assert_allclose(image[y, x].astype(int), colour, atol=3)

    @pytest.mark.parametrize("kind", ["JPEG", "PNG"])
    def test_grey(self, kind):
        """A grey picture has three equal channels."""
        image, _ = decode_image(encode(Image.fromarray(picture()).convert("L"), kind), MANY)
        red, blue = grey(RED, BLUE)
        np.testing.assert_allclose(image[25, 10].astype(int), red, atol=3)
        np.testing.assert_allclose(image[25, 50].astype(int), blue, atol=3)

    def test_16_bit(self):
        """16 bits a channel become 8: the upper ones."""
        data = cv2.imencode(".png", picture()[..., ::-1].astype(np.uint16) * 257)[1].tobytes()
        np.testing.assert_array_equal(decode_image(data, MANY)[0], picture())

    @pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
    def test_exif(self, orientation, turns):
        """A picture that its EXIF orientation calls turned is turned upright."""
        exif = Image.Exif()
        exif[0x112] = orientation
        image, _ = decode_image(encode(picture(), "JPEG", quality=95, exif=exif), MANY)
        upright = np.rot90(picture(), turns)
        assert image.shape == upright.shape
        assert np.abs(image.astype(int) - upright).mean() < 3

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize(
        ("kind", "options"), [("JPEG", {"quality": 95}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})]
    )
    def test_all_orientations(self, kind, options, orientation):
        """Turned and mirrored pictures of every kind that can say so are upright; the truth is Pillow's."""
        exif = Image.Exif()
        exif[0x112] = orientation
        data = encode(picture(), kind, exif=exif, **options)
        image, _ = decode_image(data, MANY)
        upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
        assert image.shape == upright.shape
        assert image.flags.c_contiguous
        assert np.abs(image.astype(int) - upright).mean() < 3

    @pytest.mark.parametrize("progressive", [False, True])
    @pytest.mark.parametrize("kind", ["JPEG", "PNG"])
    def test_appended(self, kind, progressive):
        """What is appended to a picture, such as a phone's video, takes nothing from it, and gives nothing to half."""
        data = encode(noise(), kind, **({"progressive": progressive} if kind == "JPEG" else {}))
        for appended in (b"x" * 200, b"MotionPhoto_Data" + bytes(200) + b"\xff\xda" + bytes(200), data):
            image, problem = decode_image(data + appended, MANY)
            assert problem == ""
            np.testing.assert_array_equal(image, decode_image(data, MANY)[0])
        if kind == "JPEG":
            assert decode_image(data[: len(data) // 2] + data, MANY)[1] == "is a truncated JPEG"

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "TIFF"])
    @pytest.mark.parametrize("missing", [10, 0.5, 0.9])
    def test_truncated(self, kind, missing):
        """A file that lacks its end is bad, even where OpenCV would return half a picture."""
        data = encode(noise(), kind)
        cut = len(data) - missing if missing >= 1 else round(len(data) * (1 - missing))
        assert decode_image(data, MANY)[0] is not None
        image, problem = decode_image(data[:cut], MANY)
        assert image is None
        assert problem

    def test_jpeg_with_a_thumbnail(self):
        """The end mark of an embedded thumbnail is not the end of the picture."""
        thumbnail = encode(noise()[:16, :16], "JPEG")
        data = encode(noise(), "JPEG", exif=b"Exif\0\0" + thumbnail)
        assert decode_image(data, MANY)[1] == ""
        assert decode_image(data[:-40], MANY)[1] == "is a truncated JPEG"

    @pytest.mark.parametrize(
        ("data", "says"),
        [
            (b"", "is empty"),
            (b"hello", "is not a readable image"),
            (b"<html>not found</html>", "is not a readable image"),
            (bytes(5000), "is not a readable image"),
            (b"\xff\xd8", "is not a readable image"),
        ],
    )
    def test_no_image(self, data, says):
        """What is no image says so."""
        assert decode_image(data, MANY) == (None, says)

    def test_damaged_png(self):
        """A PNG with a flipped byte is bad."""
        data = bytearray(encode(noise(), "PNG"))
        data[len(data) // 2] ^= 0xFF
        assert decode_image(bytes(data), MANY) == (None, "is not a readable image")

    def test_too_large(self):
        """A picture above max_pixels is bad, and its size is named."""
        image, problem = decode_image(encode(picture(), "PNG"), 40 * 60 - 1)
        assert image is None
        assert problem == "has 60x40 pixels, more than run.max_pixels (2399)"
        assert decode_image(encode(picture(), "PNG"), 40 * 60)[1] == ""


class TestReducedDecoding:
    def picture(self, width, height):
        ramp = np.linspace(0, 255, width, dtype=np.uint8)
        return np.ascontiguousarray(
            np.dstack([np.tile(ramp, (height, 1))] * 2 + [np.full((height, width), 40, np.uint8)])
        )

    @pytest.mark.parametrize(
        ("size", "expected"),
        [((1920, 1080), (960, 540)), ((4096, 2160), (1024, 540)), ((959, 959), (959, 959)), ((256, 256), (256, 256))],
    )
    def test_large_jpeg(self, size, expected):
        """A JPEG is decoded at the smallest scale that leaves 480 pixels; the picture and its colours stay."""
        data = cv2.imencode(".jpg", self.picture(*size)[..., ::-1])[1].tobytes()
        image, problem = decode_image(data, 10**8, reduced=True)
        assert problem == ""
        assert image.shape[1::-1] == expected
        whole, _ = decode_image(data, 10**8)
        assert whole.shape[1::-1] == size
        shrunk = cv2.resize(whole, expected, interpolation=cv2.INTER_AREA)
        assert np.abs(image.astype(int) - shrunk).mean() < 2

    def test_other_kinds_are_decoded_whole(self):
        """A PNG has no reduced scales."""
        data = cv2.imencode(".png", self.picture(1920, 1080))[1].tobytes()
        assert decode_image(data, 10**8, reduced=True)[0].shape == (1080, 1920, 3)
