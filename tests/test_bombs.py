"""Small files that hold, or claim, more than a machine can take: each is one line, and the others go on."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import write_config, write_frames
from processes import kpsbatch

from kpsbatch.config import load_config
from kpsbatch.dataset.archive import Archive, open_archive_folders
from kpsbatch.errors import ConfigError, OutputError
from kpsbatch.files import last_lines
from kpsbatch.look.verify import verify
from kpsbatch.store.adopt import read_old_files
from kpsbatch.store.npz import npy_header, open_npz
from kpsbatch.store.records import read_record
from kpsbatch.store.run_state import read_runs, runs_folder
from kpsbatch.store.settings import Settings
from kpsbatch.untrusted import inflate, parse_json

MEGA = 1 << 20
ZEROS = 300 * MEGA
DEEP = 16_000


@contextmanager
def memory(most: int) -> Iterator[None]:
    """Fail where the block takes more than so many bytes at a time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def lying_zip(path: Path, members: dict[str, bytes], **claims: tuple[int, int]) -> Path:
    """A zip whose directory says of some members another size than they unpack to, and a checksum."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data, zipfile.ZIP_DEFLATED, 9)
        for name, (size, crc) in claims.items():
            info = archive.getinfo(name.replace("__", "."))
            info.file_size, info.CRC = size, crc
    return path


def npy(array: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.fixture(scope="module")
def bomb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An npz with a good video, and one whose member claims fewer bytes than it unpacks to."""
    path = tmp_path_factory.mktemp("bomb") / "01-train" / "0001.npz"
    path.parent.mkdir()
    good = npy(np.ones((2, 184, 4), np.float32))
    zeros = good[:128] + bytes(ZEROS)
    members = {"good.npy": good, "bad.npy": zeros}
    return lying_zip(path, members, bad__npy=(len(good), zlib.crc32(zeros[: len(good)])))


class TestPacked:
    def test_more_than_is_claimed(self) -> None:
        """No more is unpacked than the directory says; fewer bytes are refused as well."""
        packed = zlib.compress(bytes(ZEROS))[2:-4]
        with memory(8 * MEGA), pytest.raises(ValueError, match="does not unpack to the 1000 bytes"):
            inflate(packed, 1000)
        with pytest.raises(ValueError, match="does not unpack to the 11 bytes"):
            inflate(zlib.compress(bytes(10))[2:-4], 11)
        assert inflate(zlib.compress(bytes(10))[2:-4], 10) == bytes(10)

    def test_video_in_an_archive(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A member that claims 1,000 bytes is given up when it has unpacked to more, and is read no further."""
        data = {"data/v.mp4": bytes(ZEROS), "data/w.mp4": bytes(3 * MEGA)}
        path = lying_zip(tmp_path / "data.zip", data)
        with zipfile.ZipFile(path, "a") as archive:
            archive.getinfo("data/v.mp4").file_size = 1000
            archive.writestr("other", b"")
        folders = open_archive_folders(path, tmp_path)
        opened = Archive(folders.index)
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        bad, good = (opened.index.member(f"data/{name}.mp4") for name in "vw")
        with memory(8 * MEGA), pytest.raises(OSError, match="unpacks to more than its 1000"), opened.place(bad):
            pass
        with memory(8 * MEGA), pytest.raises(OSError, match="does not unpack to the 1000 bytes"):
            opened.read(bad)
        with opened.place(good) as (file, start, size):
            assert (file.read_bytes(), start, size) == (data["data/w.mp4"], 0, 3 * MEGA)

    def test_impossible_places(self, tmp_path: Path) -> None:
        """A member that is said to be larger than its archive, or to lie outside of it, is damaged; others are read."""
        path = tmp_path / "data.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name in ("a", "b", "c", "d"):
                archive.writestr(f"v/{name}.jpg", bytes(1000), zipfile.ZIP_DEFLATED)
            archive.getinfo("v/a.jpg").compress_size = 1 << 60
            archive.getinfo("v/b.jpg").file_size = 1 << 62
            archive.getinfo("v/c.jpg").header_offset = (1 << 64) - 1
        folders = open_archive_folders(path, tmp_path)
        opened = Archive(folders.index)
        for name, said in (("a", "outside of it"), ("b", "can't unpack to"), ("c", "outside of it")):
            with memory(MEGA), pytest.raises(OSError, match=said):
                opened.read(opened.index.member(f"v/{name}.jpg"))
        assert opened.read(opened.index.member("v/d.jpg")) == bytes(1000)

    def test_impossible_array(self, tmp_path: Path) -> None:
        """So is an array of an npz."""
        path = tmp_path / "0001.npz"
        with zipfile.ZipFile(path, "w") as archive:
            for name in ("a", "b", "c", "d"):
                archive.writestr(f"{name}.npy", npy(np.ones((2, 184, 4), np.float32)), zipfile.ZIP_DEFLATED)
            archive.getinfo("a.npy").compress_size = 1 << 60
            archive.getinfo("b.npy").file_size = 1 << 62
            archive.getinfo("d.npy").header_offset = (1 << 64) - 9
        with memory(MEGA), open_npz(path) as file:
            assert file.read("a").shape == file.read("c").shape == (2, 184, 4)  # all bytes are there
            for name in ("b", "d"):
                with pytest.raises(OutputError, match=f"damaged in video '{name}'"):
                    file.read(name)
                with pytest.raises(OutputError, match=f"damaged in video '{name}'") if name == "d" else nullcontext():
                    file.shape(name)

    def test_npz(self, bomb: Path) -> None:
        """An array that unpacks to more than it claims is damaged; the others are read."""
        with memory(8 * MEGA), open_npz(bomb) as npz:
            assert npz.read("good").shape == (2, 184, 4)
            with pytest.raises(OutputError, match=r"damaged in video 'bad'"):
                npz.read("bad")

    @pytest.mark.parametrize("command", ["inspect", "view"])
    def test_commands(self, bomb: Path, command: str, tmp_path: Path) -> None:
        """Commands say so in one line, and take no memory for it."""
        limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_DATA, (1 << 30,) * 2)"
        code = f"{limit}; sys.argv[0] = 'kpsbatch'; from kpsbatch.cli.main import main; main()"
        words = [command, str(bomb), *(["-o", str(tmp_path / "page.html")] if command == "view" else [])]
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
        assert done.returncode in (1, 2), done.stderr
        assert "Traceback" not in done.stderr
        assert "'bad'" in done.stdout + done.stderr

    def test_import_and_verify(self, bomb: Path, tmp_path: Path) -> None:
        """`import` and `verify`, which read whole files, unpack no more either."""
        with memory(64 * MEGA):
            read_old_files(bomb.parents[1])
        write_frames(tmp_path / "data" / "01" / "01" / "train" / "0001" / "v", 1)
        config = load_config(write_config(tmp_path, output={"root": str(bomb.parents[1])}))
        with memory(64 * MEGA):
            verify(config)


class TestShapes:
    @pytest.mark.parametrize("shape", ["(-1, 184, 4)", "(2, -184, -4)", "(1e9,)", "(" * 3000, "-" * 9000 + "1"])
    def test_header(self, shape: str) -> None:
        """A header whose shape is none is refused as a ValueError, whatever NumPy makes of it."""
        text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
        data = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
        with pytest.raises(ValueError):
            npy_header(data + bytes(4 * 2 * 184 * 4))

    def test_less_than_nothing(self, tmp_path: Path) -> None:
        """A member with a shape of -1 is damaged."""
        path = tmp_path / "0001.npz"
        data = npy(np.ones((2, 184, 4), np.float32)).replace(b"(2, 184, 4), ", b"(-1, 184, 4),")
        lying_zip(path, {"v.npy": data})
        with open_npz(path) as npz, pytest.raises(OutputError, match=r"its shape is \(-1, 184, 4\)"):
            npz.read("v")
        with open_npz(path) as npz, pytest.raises(OutputError, match=r"its shape is \(-1, 184, 4\)"):
            npz.shape("v")


JSON_BOMBS = {
    "NaN": '{"a": NaN}',
    "infinite": '{"a": -Infinity}',
    "too large": '{"a": 1e999}',
    "digits": f'{{"a": {"9" * 4000}}}',
    "minus": f'{{"a": -{"9" * 4000}}}',
    "deep": "[" * 100_000 + "]" * 100_000,
    "deep objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
}


class TestJson:
    @pytest.mark.parametrize("text", JSON_BOMBS.values(), ids=JSON_BOMBS)
    def test_refused(self, text: str) -> None:
        """Numbers that are none, or that no program takes, and depth are refused as a ValueError."""
        with pytest.raises(ValueError):
            parse_json(text)
        with pytest.raises(ValueError):
            parse_json(text.encode())

    def test_plain(self) -> None:
        """Everything else is what json makes of it."""
        text = f'{{"a": [1, -2.5, 1e300, {2**63}, "NaN {"9" * 50}", null], "b": {{}}}}'
        assert parse_json(text) == json.loads(text)

    @pytest.mark.parametrize("text", JSON_BOMBS.values(), ids=JSON_BOMBS)
    def test_stored_files(self, text: str, tmp_path: Path) -> None:
        """A record, the state of a run, a claim: damaged, and no exception."""
        config = load_config(write_config(tmp_path))
        runs = runs_folder(config.output.root)
        runs.mkdir(parents=True)
        (runs / "run-1.json").write_text(text)
        (runs.parent / "claim.json").write_text(text)
        assert read_runs(config.output.root) == []
        (tmp_path / "0001.json").write_text(text)
        assert read_record(tmp_path / "0001.json").record is None

    def test_table(self, tmp_path: Path) -> None:
        """Rows of a table with such numbers are bad ones, each named; the other rows are videos."""
        rows = [{"video": f"v{number}", "sign": 1, "start": 0, "end": 1} for number in range(3)]
        lines = [json.dumps(row) for row in rows]
        lines += [
            lines[0].replace("v0", "n").replace('"end": 1', f'"end": {bad}') for bad in ("NaN", "1e999", "9" * 4000)
        ]
        lines += ["[" * 100_000]
        for number in range(3):
            write_frames(tmp_path / "data" / f"v{number}", 1)
        for name, text in (("rows.jsonl", "\n".join(lines)), ("rows.json", f"[{','.join(lines[:-1])}]")):
            (tmp_path / name).write_text(text)
            columns = {"video": "{video}", "sign": "sign", "start": "start", "end": "end"}
            manifest = {"path": name, "columns": columns}
            config = write_config(tmp_path, dataset={"manifest": manifest})
            tree = json.loads(config.read_text())
            for key in ("signers", "splits"):
                del tree["dataset"][key]
            config.write_text(json.dumps(tree))
            done = kpsbatch("scan", config, "--json", "--no-frames")
            assert done.returncode == 0, done.stderr
            bad = json.loads(done.stdout)["bad_rows"]
            assert len(bad) == len(lines) - 3 - (name == "rows.json"), bad


class TestYaml:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (
                "a0: &a0 [1]\n" + "".join(f"a{i + 1}: &a{i + 1} [{f'*a{i},' * 9}]\n" for i in range(12)),
                "1,000,000 values",
            ),
            (
                "a0: &a0 {x: 1}\n" + "".join(f"a{i + 1}: &a{i + 1} {{<<: [{f'*a{i},' * 9}]}}\n" for i in range(9)),
                "values",
            ),
            ("a: &a [*a]", "1,000,000 values"),
            ("a: " + "[" * 20_000, "recursion"),
            (f"run: {{chunk_size: {'9' * 4000}}}", "a number has 4000 characters"),
            (f"run: {{chunk_size: 0x{'f' * 4000}}}", "a number has 4002 characters"),
            ("run:\n" + "".join(f" k{i}: 1\n" for i in range(3000)), "mistakes, the first ones"),
        ],
    )
    def test_config(self, text: str, said: str, tmp_path: Path) -> None:
        """Anchors that double, depth and huge numbers are one line of a few kB, at once."""
        (tmp_path / "c.yaml").write_text(text)
        with memory(200 * MEGA), pytest.raises(ConfigError, match=said) as error:
            load_config(tmp_path / "c.yaml")
        assert len(str(error.value)) < 40_000

    def test_plain_anchors(self, tmp_path: Path) -> None:
        """Anchors as people use them are fine, also merged."""
        text = "dataset: &d {root: data, signs: 1-3}\noutput: {root: o}\nrun: &r {chunk_size: 2}\nslurm: {time: 10}\n"
        (tmp_path / "c.yaml").write_text(text)
        assert load_config(tmp_path / "c.yaml").run.chunk_size == 2


class TestDepth:
    @pytest.mark.parametrize("kind", ["zip", "tar"])
    def test_archive(self, kind: str, tmp_path: Path) -> None:
        """A member 16,000 folders deep is passed over and counted; the others are read."""
        deep = "/".join(["a"] * DEEP) + "/v.jpg"
        path = tmp_path / f"data.{kind}"
        if kind == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                for name in (deep, "01/v/0.jpg"):
                    archive.writestr(name, b"x")
        else:
            with tarfile.open(path, "w") as tar:
                for name in (deep, "01/v/0.jpg"):
                    tar.addfile(tarfile.TarInfo(name), io.BytesIO())
        with memory(64 * MEGA):
            folders = open_archive_folders(path, tmp_path)
        assert [entry.name for entry in folders.entries("")] == ["01"]
        assert sum(folders.opened.header["ignored"].values()) == 1

    def test_folders(self, tmp_path: Path) -> None:
        """Folders on disk that are deeper than any path: `init`, `scan` and `extract` say one line or go on."""
        top = os.open(tmp_path, os.O_RDONLY)
        descriptor = os.dup(top)
        (tmp_path / "data").mkdir()
        write_frames(tmp_path / "data" / "hello" / "v0", 1)
        os.chdir(tmp_path / "data")
        try:
            for _ in range(3000):
                os.mkdir("d")
                os.chdir("d")
        finally:
            os.fchdir(top)
            os.close(top)
            os.close(descriptor)
            os.chdir(Path(__file__).parent)
        for words in (
            ["init", tmp_path / "data", "-o", tmp_path / "c.yaml"],
            ["extract", tmp_path / "data", "-o", tmp_path / "k"],
        ):
            done = kpsbatch(*words)
            assert "Traceback" not in done.stderr, done.stderr[-2000:]
        subprocess.run(["rm", "-rf", str(tmp_path / "data")], check=False)


@pytest.mark.parametrize("parts", [[[[]]], {"a": 1}, "pose", 7, None])
def test_settings_from_elsewhere(parts: object) -> None:
    """Settings beside records that are none of ours name parts all the same."""
    assert all(isinstance(part, str) for part in Settings(landmarks={"parts": parts}).parts)


def test_log_that_is_no_file(tmp_path: Path) -> None:
    """A run's state can name any file as its log: a pipe or a device is not waited for."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "log").write_text("a\nb\n")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path, tmp_path / "nothing"):
        assert last_lines(path, 1000) == []
    assert last_lines(tmp_path / "log", 1000) == ["a", "b"]
