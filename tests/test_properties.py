"""Whatever comes in, it is taken rightly or refused in one line: never a crash, never more pixels than allowed."""

from __future__ import annotations

import io
import json
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from factories import tree_of
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

import kpsbatch.dataset.images as images_module
from kpsbatch.config import Config, format_signs, load_config, parse_signs
from kpsbatch.dataset.images import decode_image, image_size
from kpsbatch.dataset.reading import read_frames
from kpsbatch.dataset.video import video_of
from kpsbatch.errors import ConfigError, DatasetError
from kpsbatch.store.records import UnitRecord, read_record, record_bytes

MAX_PIXELS = 100_000
fixed = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
many = settings(fixed, max_examples=400)

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=20)
trees: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
GOOD = {"dataset": {"root": "data", "signers": ["01"], "splits": ["train"], "signs": "1-2"}, "output": {"root": "out"}}
PLACES = [
    *(("dataset", key) for key in ("root", "layout", "signers", "splits", "signs")),
    *(("landmarks", key) for key in ("models", "running_mode", "parts", "confidence", "frame_rate", "delegate")),
    *(("output", key) for key in ("root", "dtype")),
    *(("run", key) for key in ("workers", "max_pixels", "video_timeout", "worker_memory", "max_bad_frames")),
    *(("slurm", key) for key in ("time", "mem", "extra", "setup", "partition")),
    ("dataset", "no such key"),
    ("no such section", "key"),
]


def load_or_refuse(path: Path, overrides: list[str] | None = None) -> Config | None:
    """A config, or None where it is refused in one line."""
    try:
        return load_config(path, overrides or [])
    except ConfigError as error:
        text = str(error).replace(str(path), "")
        assert text
        assert "Traceback" not in text
        return None


class TestConfig:
    @many
    @given(place=st.sampled_from(PLACES), value=trees)
    def test_any_value_anywhere(self, tmp_path, place, value):
        """A setting with any value gives a config or one clear refusal."""
        tree = {**GOOD, place[0]: {**GOOD.get(place[0], {}), place[1]: value}}
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(tree), encoding="utf-8")
        load_or_refuse(path)

    @fixed
    @given(tree=trees)
    def test_any_tree(self, tmp_path, tree):
        """So does any YAML."""
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(tree), encoding="utf-8")
        load_or_refuse(path)

    @many
    @given(data=st.binary(max_size=200))
    @example(b"&a [*a]")
    @example(b"a: &x [1, *x]")
    @example(b"? [1]\n: 2")
    @example(b"{dataset: !!python/object/apply:os.system [x]}")
    @example(b"dataset: 2024-99-99")
    @example(b"- " * 3000)
    def test_any_bytes(self, tmp_path, data):
        """So do any bytes."""
        path = tmp_path / "config.yaml"
        path.write_bytes(data)
        load_or_refuse(path)

    @many
    @given(override=st.text(max_size=30) | st.sampled_from(PLACES).map(".".join).map("{}={{[".format))
    def test_any_override(self, tmp_path, override):
        """So does any --set."""
        path = tmp_path / "config.yaml"
        path.write_text(json.dumps(GOOD))
        load_or_refuse(path, [override])


class TestSigns:
    @many
    @given(st.text(alphabet="0123456789-, \t[]x.", max_size=20) | trees)
    def test_anything(self, value):
        """Signs are a sorted tuple of IDs, each once, or refused."""
        try:
            signs = parse_signs(value)
        except ValueError as error:
            assert "sign" in str(error)
        else:
            assert signs == tuple(sorted(set(signs)))
            assert 0 <= signs[0] <= signs[-1] <= 99_999

    @many
    @given(st.lists(st.tuples(st.integers(1, 600), st.integers(0, 30)), min_size=1, max_size=8))
    def test_ranges(self, ranges):
        """Ranges mean what they say, and are written as they are read."""
        meant = {sign for first, more in ranges for sign in range(first, first + more + 1)}
        signs = parse_signs(", ".join(f"{first} - {first + more}" for first, more in ranges))
        assert set(signs) == meant
        assert parse_signs(format_signs(signs)) == signs


between = st.sampled_from(["/", "/", "", "", "a", ".", "..", "//", "-", "é", "{{", "}", "{x}", "\n"])
fields = st.permutations(["{signer}", "{split}", "{sign}"]) | st.sampled_from([["{sign:04d}"], ["{split}", "{sign:3}"]])
layouts = st.tuples(fields, st.lists(between, min_size=4, max_size=4)).map(
    lambda parts: "".join(sum(zip(parts[1], [*parts[0], ""], strict=False), ()))
)
names = st.sampled_from(["01", "1", "11", "a", "ab", "b", "é", "..", "x y"])


class TestLayout:
    @many
    @given(layout=layouts, signers=st.lists(names, min_size=1, max_size=3))
    @example(layout="{signer}{split}/{sign}", signers=["a", "aa"])
    @example(layout="{sign}{signer}/{split}", signers=["1", "11"])
    def test_any_template(self, tmp_path, layout, signers):
        """A layout that is taken gives each unit a folder of its own, below the dataset's root."""
        dataset = {"root": "data", "layout": layout, "signers": signers, "splits": ["a", "ab"], "signs": "1-12"}
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump({"dataset": dataset, "output": {"root": "out"}}), encoding="utf-8")
        config = load_or_refuse(path)
        if config is None:
            return
        folders = [tree_of(config.dataset).folder(unit) for unit in tree_of(config.dataset).units()]
        assert len(set(folders)) == len(folders)
        assert all(config.dataset.root in folder.parents and ".." not in folder.parts for folder in folders)


class TestRecords:
    @many
    @given(data=st.binary(max_size=300) | trees.map(lambda tree: json.dumps(tree).encode()))
    @example(b"[" * 100_000)
    @example(b'{"check": 1}')
    @example(b'{"a": 1e999}')
    @example(b'{"a": NaN}')
    @example(b"9" * 5000)
    def test_any_bytes(self, tmp_path, data):
        """Bytes that no run wrote are no record, and say so."""
        path = tmp_path / "record.json"
        path.write_bytes(data)
        record, problem = read_record(path)
        assert record is None
        assert problem

    texts = st.text(st.characters(exclude_categories=["Cs"]))
    videos = st.fixed_dictionaries(
        {"frames": st.integers(1, 10**6)}, optional={"sizes": st.dictionaries(texts, st.integers(-(2**63), 2**63 - 1))}
    )
    failures = st.fixed_dictionaries({"error": texts}, optional={"output": texts})

    @many
    @given(
        fields=st.fixed_dictionaries(
            {"state": st.sampled_from(["complete", "partial", "failed"])},
            optional={
                "videos": st.dictionaries(texts, videos | failures),
                "odd_entries": st.dictionaries(texts, texts),
                "host": texts,
                "workers": st.integers(0, 2**31),
            },
        ),
        damage=st.tuples(st.integers(0, 10**6), st.integers(1, 255)),
    )
    def test_what_is_written_is_read(self, tmp_path, fields, damage):
        """A record comes back as it was written; with any byte changed it does not pass."""
        record = UnitRecord.model_validate(fields)
        path = tmp_path / "record.json"
        data = record_bytes(record)
        path.write_bytes(data)
        assert read_record(path) == (record, "")
        spoilt = bytearray(data)
        spoilt[damage[0] % len(data)] ^= damage[1]
        path.write_bytes(spoilt)
        assert read_record(path).problem


def encode(kind: str, mode: str = "RGB", size: tuple[int, int] = (45, 31), **options: Any) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 4), dtype=np.uint8)
    picture = Image.fromarray(noise, "RGBA").convert("RGB").convert(mode)
    if options.pop("animated", False):
        options = {**options, "save_all": True, "append_images": [picture.rotate(90), picture.rotate(180)]}
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x112] = 6
    return exif


SIXTEEN_BIT = cv2.imencode(".png", np.random.default_rng(0).integers(0, 65535, (31, 45, 3), dtype=np.uint16))[
    1
].tobytes()
PICTURES = {
    "jpeg": encode("JPEG"),
    "progressive": encode("JPEG", progressive=True),
    "grey jpeg": encode("JPEG", "L"),
    "CMYK": encode("JPEG", "CMYK"),
    "EXIF": encode("JPEG", exif=turned()),
    "thumbnail": encode("JPEG", exif=b"Exif\0\0" + encode("JPEG", size=(8, 8))),
    "png": encode("PNG"),
    "grey png": encode("PNG", "L"),
    "alpha": encode("PNG", "RGBA"),
    "palette": encode("PNG", "P"),
    "16 bit": SIXTEEN_BIT,
    "animated png": encode("PNG", animated=True),
    "gif": encode("GIF", "P"),
    "animated gif": encode("GIF", "P", animated=True),
    "webp": encode("WEBP"),
    "lossless webp": encode("WEBP", lossless=True),
    "animated webp": encode("WEBP", animated=True),
    "bmp": encode("BMP"),
    "tiff": encode("TIFF"),
    "lzw tiff": encode("TIFF", compression="tiff_lzw"),
    "tiff pages": encode("TIFF", animated=True),
}


def check_decoded(data: bytes) -> bool:
    image, problem = decode_image(data, MAX_PIXELS)
    if image is None:
        assert problem
        return False
    assert problem == ""
    assert (image.ndim, image.shape[2], image.dtype) == (3, 3, np.uint8)
    assert image.shape[0] * image.shape[1] <= MAX_PIXELS
    return True


class TestPictures:
    @pytest.mark.parametrize("kind", PICTURES)
    def test_whole(self, kind):
        """Every kind of picture is taken, whatever its suffix says, and its header tells its size."""
        data = PICTURES[kind]
        assert image_size(data) == (45, 31)
        assert check_decoded(data) or kind in ("gif", "animated gif")  # not all builds of OpenCV read these

    @settings(fixed, max_examples=1500)
    @given(
        kind=st.sampled_from(sorted(PICTURES)),
        flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=6),
        cut=st.none() | st.floats(0, 1),
    )
    def test_fuzzed(self, kind, flips, cut):
        """Truncated and bit-flipped, a picture is bad or a picture: never an exception, never too many pixels."""
        data = bytearray(PICTURES[kind])
        for place, change in flips:
            data[int(place**3 * len(data))] ^= change  # headers more often
        check_decoded(bytes(data[: int(cut * len(data))] if cut is not None else data))

    @settings(fixed, max_examples=300)
    @given(
        data=st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"RIFF", b"GIF89a", b""]),
        more=st.binary(),
    )
    def test_any_bytes(self, data, more):
        """So are any bytes behind a picture's first ones."""
        check_decoded(data + more)

    @pytest.mark.parametrize(
        "kind", ["jpeg", "progressive", "png", "gif", "webp", "lossless webp", "animated webp", "bmp", "tiff"]
    )
    def test_huge_dimensions(self, monkeypatch, kind):
        """A header that claims far too many pixels is refused before anything is decoded."""
        data, side = bytearray(PICTURES[kind]), 16_000 if "webp" in kind else 60_000
        if kind in ("jpeg", "progressive"):
            place = data.index(b"\xff\xc0" if kind == "jpeg" else b"\xff\xc2") + 5
            data[place : place + 4] = 2 * side.to_bytes(2, "big")
        elif kind == "png":
            data[16:24] = 2 * side.to_bytes(4, "big")
            data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
        elif kind == "gif":
            data[6:10] = 2 * side.to_bytes(2, "little")
        elif kind == "webp":
            data[26:30] = 2 * side.to_bytes(2, "little")
        elif kind == "lossless webp":
            data[21:25] = (side - 1 | side - 1 << 14).to_bytes(4, "little")
        elif kind == "animated webp":
            data[24:30] = 2 * (side - 1).to_bytes(3, "little")
        elif kind == "bmp":
            data[18:26] = 2 * side.to_bytes(4, "little")
        else:
            for tag in (256, 257):
                place = data.index(tag.to_bytes(2, "little"), int.from_bytes(data[4:8], "little"))
                data[place + 2 : place + 12] = b"\4\0\1\0\0\0" + side.to_bytes(4, "little")
        monkeypatch.setattr(images_module.cv2, "imdecode", None)
        assert decode_image(bytes(data), 50_000_000) == (
            None,
            f"has {side}x{side} pixels, more than run.max_pixels (50000000)",
        )


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small mp4."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (64, 48))
    for number in range(12):
        writer.write(np.random.default_rng(number).integers(0, 255, (48, 64, 3), dtype=np.uint8))
    writer.release()
    return path.read_bytes()


class TestVideoFiles:
    @settings(fixed, max_examples=300)
    @given(
        flips=st.lists(st.tuples(st.booleans(), st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=6),
        cut=st.none() | st.floats(0, 1),
        suffix=st.sampled_from([".mp4", ".avi", ".mkv"]),
    )
    def test_fuzzed(self, tmp_path, clip, flips, cut, suffix):
        """A damaged video file gives frames, bad frames or one refusal."""
        data = bytearray(clip)
        header = data.index(b"moov")
        for in_header, place, change in flips:
            start = header if in_header else 0
            data[start + int(place * (len(data) - start))] ^= change
        path = tmp_path / f"clip{suffix}"
        path.write_bytes(data[: int(cut * len(data))] if cut is not None else data)
        try:
            for frame in read_frames(video_of(path), frame_rate=30, max_pixels=MAX_PIXELS):
                assert frame.image is not None or frame.problem
                if frame.image is not None:
                    assert frame.image.shape[0] * frame.image.shape[1] <= MAX_PIXELS
        except DatasetError as error:
            assert str(path) in str(error)

    def test_huge_dimensions(self, tmp_path, clip):
        """A header that claims 60000x60000 is refused."""
        data = bytearray(clip)
        place = data.index(b"mp4v", data.index(b"stsd")) + 4 + 24
        assert data[place : place + 4] == b"\x00\x40\x00\x30"
        data[place : place + 4] = 2 * (60_000).to_bytes(2, "big")
        path = tmp_path / "clip.mp4"
        path.write_bytes(data)
        decoded: list[Any] = []
        try:
            decoded += read_frames(video_of(path), frame_rate=30, max_pixels=MAX_PIXELS)
        except DatasetError:
            pass
        assert all(frame.image is None or frame.image.size <= 3 * MAX_PIXELS for frame in decoded)
