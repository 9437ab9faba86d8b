"""Archives are read as if they had been unpacked; what Python's zipfile and tarfile read is the truth."""

from __future__ import annotations

import io
import os
import random
import shutil
import stat
import struct
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kpsbatch.dataset.archive import Archive, is_tar_header, open_archive_folders
from kpsbatch.errors import DatasetError

FILES = {
    "01/01/train/0001/a video (1)/frame 1.jpg": b"one",
    "01/01/train/0001/a video (1)/frame 2.jpg": b"",
    "01/01/train/0001/إشارة/é.png": bytes(range(256)) * 300,
    "01/01/train/0002/clip.mp4": os.urandom(70_000),
    "top.txt": b"x" * 100_000,
    "deep/" + "/".join(f"{i:020}" for i in range(8)) + "/f": b"deep",
    "l" * 120 + "/" + "n" * 120 + ".jpg": b"long",
}
needs_zip = pytest.mark.skipif(shutil.which("zip") is None, reason="needs the program zip")
needs_tar = pytest.mark.skipif(shutil.which("tar") is None, reason="needs the program tar")


def contents(path: Path, index: Path) -> dict[str, bytes]:
    """Every file of an archive with its bytes, found by walking its folders; folders that hold nothing as b'/'."""
    folders = open_archive_folders(path, index)
    opened = Archive(folders.index)
    found: dict[str, bytes] = {}
    todo = [""]
    while todo:
        folder = todo.pop()
        entries = list(folders.entries(folder))
        if not entries:
            found[folder] = b"/"
        for entry in entries:
            name = f"{folder}/{entry.name}".lstrip("/")
            if entry.kind == "folder":
                todo.append(name)
            elif entry.kind == "file":
                member = folders.opened.member(name)
                found[name] = opened.read(member)
                with opened.place(member) as (place, start, size), place.open("rb") as file:
                    file.seek(start)
                    assert file.read(size) == found[name]
                assert member.full_size == len(found[name])
    return found


def read_zip(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}


def read_tar(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        files = {}
        for info in archive.getmembers():
            if info.isfile() or info.islnk():
                file = archive.extractfile(info)
                assert file is not None
                files[info.name.removeprefix("./")] = file.read()
        return files


def write_tree(root: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


class Unseekable(io.RawIOBase):
    """A pipe: zipfile then writes sizes behind the data, and zeros before."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.data += bytes(data)
        return len(bytes(data))


def with_zipfile(path: Path, files: dict[str, bytes], flavour: str) -> None:
    target: object = Unseekable() if flavour == "streamed" else path
    method = zipfile.ZIP_DEFLATED if flavour in ("deflated", "streamed", "mixed") else zipfile.ZIP_STORED
    with zipfile.ZipFile(target, "w", method) as archive:  # type: ignore[call-overload]
        for number, (name, data) in enumerate(files.items()):
            if flavour == "zip64":
                with archive.open(name, "w", force_zip64=True) as file:
                    file.write(data)
            elif flavour == "mixed" and number % 2:
                archive.writestr(name, data, zipfile.ZIP_STORED)
            else:
                archive.writestr(name, data)
        if flavour == "comment":
            archive.comment = b"a comment" * 500
    if isinstance(target, Unseekable):
        path.write_bytes(target.data)
    if flavour == "prefixed":
        path.write_bytes(b"#!/bin/sh\nexit\n" + path.read_bytes())


ZIP_FLAVOURS = ("stored", "deflated", "streamed", "mixed", "zip64", "comment", "prefixed")
TAR_FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


class TestZip:
    @pytest.mark.parametrize("flavour", ZIP_FLAVOURS)
    def test_zipfile(self, tmp_path, flavour):
        """Stored, deflated, streamed, zip64, with a comment, behind a program: all bytes of all members."""
        path = tmp_path / "data.zip"
        with_zipfile(path, FILES, flavour)
        assert contents(path, tmp_path / "index") == read_zip(path) == FILES

    @needs_zip
    @pytest.mark.parametrize("options", ["-0", "-9", "-0 -fz", "-X -0", "-UN=UTF8 -0"])
    def test_program(self, tmp_path, options):
        """What the program zip writes, with folders and names of other scripts."""
        write_tree(tmp_path / "tree", FILES)
        (tmp_path / "tree" / "empty").mkdir()
        path = tmp_path / "data.zip"
        subprocess.run(["zip", "-q", "-r", *options.split(), path, "."], cwd=tmp_path / "tree", check=True)
        assert contents(path, tmp_path / "index") == {**FILES, "empty": b"/"}

    @needs_zip
    def test_links(self, tmp_path):
        """A link in an archive is named as odd, never followed."""
        write_tree(tmp_path / "tree", {"a/f.jpg": b"x"})
        (tmp_path / "tree/a/link").symlink_to("f.jpg")
        subprocess.run(["zip", "-q", "-r", "-y", "../d.zip", "."], cwd=tmp_path / "tree", check=True)
        entries = {entry.name: entry for entry in open_archive_folders(tmp_path / "d.zip", tmp_path).entries("a")}
        assert entries["link"].kind == "odd"
        assert entries["link"].problem == "a link, which is not followed in an archive"
        assert entries["f.jpg"].kind == "file"

    def test_names(self, tmp_path):
        """Paths are taken as an unpacked tree would have them; those that lead out are passed over."""
        names = ["./a/1", "a//2", "/a/3", "../a/4", "b/../5", "a/./6"]
        with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
            for name in names:
                archive.writestr(zipfile.ZipInfo(name), name)
            windows = zipfile.ZipInfo("w")
            windows.create_system = 0
            windows.filename = "w\\7"
            archive.writestr(windows, "w")
        assert set(contents(tmp_path / "d.zip", tmp_path)) == {"a/1", "a/2", "a/3", "a/6", "w/7"}
        header = open_archive_folders(tmp_path / "d.zip", tmp_path).opened.header
        assert header["ignored"] == {"its path leads out of the archive": 2}

    def test_old_code_page(self, tmp_path):
        """A name that is neither marked as UTF-8 nor UTF-8 is of code page 437, as the format says."""
        with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
            archive.writestr("caf_.jpg", b"x")
        data = (tmp_path / "d.zip").read_bytes().replace(b"caf_.jpg", b"caf\x82.jpg")
        (tmp_path / "d.zip").write_bytes(data)
        assert set(contents(tmp_path / "d.zip", tmp_path)) == {"café.jpg"} == set(read_zip(tmp_path / "d.zip"))

    def test_twice(self, tmp_path):
        """Of two members of one name the last counts, as for zipfile and unzip."""
        with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a/f", b"first")
            archive.writestr("a/f", b"second")
        assert contents(tmp_path / "d.zip", tmp_path) == {"a/f": b"second"}

    def test_other_methods(self, tmp_path):
        """A member of another method is odd, with the remedy; the others are read."""
        with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
            archive.writestr("good", b"x")
            archive.writestr("bad", b"x" * 1000, zipfile.ZIP_LZMA)
        entries = {
            entry.name: entry.problem for entry in open_archive_folders(tmp_path / "d.zip", tmp_path).entries("")
        }
        assert entries == {"good": "", "bad": "compressed by LZMA, which is not read; pack it with zip -0"}

    def test_damage_is_found(self, tmp_path):
        """A member whose bytes have changed is an error of that member, by its checksum."""
        with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
            archive.writestr("good", b"x" * 500)
            archive.writestr("bad", b"y" * 500)
        data = bytearray((tmp_path / "d.zip").read_bytes())
        data[data.index(b"y" * 500)] ^= 1
        (tmp_path / "d.zip").write_bytes(data)
        folders = open_archive_folders(tmp_path / "d.zip", tmp_path)
        opened = Archive(folders.index)
        assert opened.read(folders.opened.member("good")) == b"x" * 500
        with pytest.raises(OSError, match="damaged in the archive: its checksum differs"):
            opened.read(folders.opened.member("bad"))

    def test_bomb(self, tmp_path):
        """A member that unpacks to more than it says is damaged, and takes no more memory than it says."""
        with zipfile.ZipFile(tmp_path / "d.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a", bytes(10_000_000))
        data = (tmp_path / "d.zip").read_bytes().replace(struct.pack("<L", 10_000_000), struct.pack("<L", 1000))
        (tmp_path / "d.zip").write_bytes(data)
        folders = open_archive_folders(tmp_path / "d.zip", tmp_path)
        with pytest.raises(OSError, match="damaged"):
            Archive(folders.index).read(folders.opened.member("a"))

    def test_empty(self, tmp_path):
        """An archive without members is an empty tree."""
        with zipfile.ZipFile(tmp_path / "d.zip", "w"):
            pass
        assert contents(tmp_path / "d.zip", tmp_path) == {"": b"/"}

    def test_large_offsets(self, tmp_path):
        """A member behind 4 GB is read (the file is sparse: it takes no space)."""
        path = tmp_path / "d.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/f", b"far")
        data = path.read_bytes()
        with path.open("wb") as file:
            file.seek(5 << 30)
            file.write(data)
        assert contents(path, tmp_path / "index") == {"a/f": b"far"}


@pytest.mark.parametrize("kind", ["zip", "deflated zip", "tar"])
def test_member_larger_than_a_read(tmp_path, monkeypatch, kind):
    """Linux reads 2 GiB at a time at most: members come whole in any case."""
    data = random.Random(1).randbytes(5000)
    path = tmp_path / "a.archive"
    if kind == "tar":
        with tarfile.open(path, "w") as tar:
            member = tarfile.TarInfo("data/x.jpg")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if "deflated" in kind else zipfile.ZIP_STORED) as archive:
            archive.writestr("data/x.jpg", data)
    index = open_archive_folders(path, tmp_path / "index").index
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda descriptor, size, offset: pread(descriptor, min(size, 1000), offset))
    archive = Archive(index)
    assert archive.read(archive.index.member("data/x.jpg")) == data


class TestTar:
    @pytest.mark.parametrize("form", TAR_FORMATS)
    def test_tarfile(self, tmp_path, form):
        """ustar, GNU and pax: all bytes of all members."""
        files = {n: d for n, d in FILES.items() if form != "ustar" or len(n) < 100}
        path = tmp_path / "data.tar"
        with tarfile.open(path, "w", format=TAR_FORMATS[form], encoding="utf-8") as archive:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        assert contents(path, tmp_path / "index") == read_tar(path) == files

    @needs_tar
    @pytest.mark.parametrize("form", ["v7", "oldgnu", "gnu", "ustar", "pax"])
    def test_program(self, tmp_path, form):
        """What the program tar writes: folders, `./` in front, hard links; symbolic links and pipes are odd."""
        files = {n: d for n, d in FILES.items() if form not in ("v7", "ustar") or len(n.encode()) < 95}
        write_tree(tmp_path / "tree", files)
        (tmp_path / "tree/empty").mkdir()
        os.link(tmp_path / "tree/top.txt", tmp_path / "tree/top2.txt")
        (tmp_path / "tree/soft").symlink_to("top.txt")
        os.mkfifo(tmp_path / "tree/pipe")
        skip = [] if form != "v7" else ["--exclude=./pipe"]
        path = tmp_path / "d.tar"
        subprocess.run(["tar", f"--format={form}", *skip, "-cf", path, "."], cwd=tmp_path / "tree", check=True)
        assert contents(path, tmp_path / "index") == {**files, "empty": b"/", "top2.txt": files["top.txt"]}
        odd = {e.name: e.problem for e in open_archive_folders(path, tmp_path / "index").entries("") if e.kind == "odd"}
        assert odd.pop("soft") == "a link, which is not followed in an archive"
        assert odd == ({} if form == "v7" else {"pipe": "neither a directory nor a file"})

    @needs_tar
    @pytest.mark.parametrize("form", ["gnu", "pax"])
    def test_sparse(self, tmp_path, form):
        """A sparse file is odd; what comes behind it is read."""
        with (tmp_path / "a_sparse").open("wb") as file:
            for place in range(40):
                file.seek(place * 1_000_000)
                file.write(b"x")
        (tmp_path / "b").write_bytes(b"behind")
        names = ["a_sparse", "b"]
        subprocess.run(["tar", "-S", f"--format={form}", "-cf", "d.tar", *names], cwd=tmp_path, check=True)
        folders = open_archive_folders(tmp_path / "d.tar", tmp_path / "index")
        entries = {entry.name: entry for entry in folders.entries("")}
        assert Archive(folders.index).read(folders.opened.member("b")) == b"behind"
        assert entries["a_sparse"].problem == "a sparse file, which is not read from an archive"

    def test_cut_off(self, tmp_path):
        """A tar that ends in the middle is refused."""
        with tarfile.open(tmp_path / "d.tar", "w") as archive:
            info = tarfile.TarInfo("a")
            info.size = 5000
            archive.addfile(info, io.BytesIO(bytes(5000)))
        data = (tmp_path / "d.tar").read_bytes()
        for length, what in ((3000, "it is cut off"), (512 + 5120, "ends without an end mark")):
            (tmp_path / "cut.tar").write_bytes(data[:length])
            with pytest.raises(DatasetError, match=what):
                open_archive_folders(tmp_path / "cut.tar", tmp_path)

    @pytest.mark.parametrize(
        ("place", "value", "what"),
        [
            (1024, b"x", "there is no header at byte 1024"),
            (124, b"\xff", "it is cut off"),
            (156, b"M", "split archive"),
        ],
    )
    def test_damaged_headers(self, tmp_path, place, value, what):
        """A second header that is none, a size below zero and a part of a split archive are refused."""
        block = bytearray(tarfile.TarInfo("a").tobuf(tarfile.GNU_FORMAT) * 2 + bytes(1024))
        block[place] = value[0]
        header = bytearray(block[:512])
        header[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(header))[0]  # type: ignore[attr-defined]
        (tmp_path / "d.tar").write_bytes(header + block[512:])
        with pytest.raises(DatasetError, match=what):
            open_archive_folders(tmp_path / "d.tar", tmp_path)

    def test_hard_link_with_bytes(self, tmp_path):
        """What `pax -o linkdata` writes: the bytes of a hard link's file behind its header; both names are read."""
        link = tarfile.TarInfo("b")
        link.type, link.linkname, link.size = tarfile.LNKTYPE, "a", 4
        link.pax_headers = {"size": "4"}
        plain = tarfile.TarInfo("a")
        plain.size = 4
        data = b"data".ljust(512, b"\0")
        headers = [info.tobuf(tarfile.PAX_FORMAT) for info in (plain, link, tarfile.TarInfo("c"))]
        (tmp_path / "d.tar").write_bytes(headers[0] + data + headers[1] + data + headers[2] + bytes(1024))
        assert contents(tmp_path / "d.tar", tmp_path / "index") == {"a": b"data", "b": b"data", "c": b""}

    def test_signed_checksum(self):
        """Checksums of old programs, which took bytes for signed numbers, are right too; any other is wrong."""
        block = bytearray(tarfile.TarInfo("é").tobuf(tarfile.GNU_FORMAT, "utf-8"))
        unsigned, signed = tarfile.calc_chksums(bytes(block))  # type: ignore[attr-defined]
        assert unsigned != signed
        for checksum, right in ((unsigned, True), (signed, True), (unsigned + 1, False), (signed - 1, False)):
            block[148:156] = b"%06o\0 " % checksum
            assert is_tar_header(bytes(block)) is right

    def test_large_size(self, tmp_path):
        """Sizes of 8 GB and more have a form of their own (the file is sparse: it takes no space)."""
        path = tmp_path / "d.tar"
        size = (9 << 30) + 5
        info = tarfile.TarInfo("big")
        info.size = size
        last = tarfile.TarInfo("last")
        last.size = 4
        with path.open("wb") as file:
            file.write(info.tobuf(tarfile.GNU_FORMAT))
            file.seek(512 + -(-size // 512) * 512)
            file.write(last.tobuf(tarfile.GNU_FORMAT) + b"last".ljust(512, b"\0") + bytes(1024))
        folders = open_archive_folders(path, tmp_path / "index")
        assert folders.opened.member("big").full_size == size
        assert Archive(folders.index).read(folders.opened.member("last")) == b"last"


names = st.text(st.characters(exclude_characters="/\\\0", exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda name: not name.startswith(".") and name.strip() == name
)
trees = st.dictionaries(st.lists(names, min_size=1, max_size=4).map("/".join), st.binary(max_size=2000), max_size=12)


def no_clash(files: dict[str, bytes]) -> dict[str, bytes]:
    """Without files where a folder must be."""
    folders = {"/".join(name.split("/")[:i]) for name in files for i in range(1, name.count("/") + 1)}
    return {name: data for name, data in files.items() if name not in folders}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(files=trees.map(no_clash), flavour=st.sampled_from([*ZIP_FLAVOURS, *TAR_FORMATS]))
def test_any_tree(files, flavour, tmp_path_factory):
    """Whatever zipfile and tarfile write of any tree comes out of our reader, in the same bytes."""
    folder = tmp_path_factory.mktemp("any")
    path = folder / "data"
    if flavour in ZIP_FLAVOURS:
        path = folder / "data.zip"
        with_zipfile(path, files, flavour)
    else:
        form = "pax" if flavour == "ustar" else flavour
        with tarfile.open(path, "w", format=TAR_FORMATS[form], encoding="utf-8") as archive:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        if not files:
            return  # nothing but zeros: no archive
    assert contents(path, folder) == (files or {"": b"/"})


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32), kind=st.sampled_from(["zip", "tar"]))
def test_damage_never_escapes(seed, kind, tmp_path_factory):
    """Whatever happens to an archive's bytes, reading it ends with a result, a DatasetError or an OSError."""
    folder = tmp_path_factory.mktemp("damage")
    path = folder / f"d.{kind}"
    files = {f"a/{number}.jpg": bytes([number]) * 400 for number in range(6)}
    if kind == "zip":
        with_zipfile(path, files, "mixed")
    else:
        with tarfile.open(path, "w") as archive:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    data, dice = bytearray(path.read_bytes()), random.Random(seed)
    for _ in range(dice.randint(1, 8)):
        data[dice.randrange(len(data))] = dice.randrange(256)
    path.write_bytes(data[: dice.choice([len(data), dice.randrange(1, len(data))])])
    try:
        folders = open_archive_folders(path, folder)
        opened = Archive(folders.index)
        for entry in folders.entries("a"):
            if entry.kind == "file":
                opened.read(folders.opened.member(f"a/{entry.name}"))
    except (DatasetError, OSError):
        pass


class TestRefused:
    @pytest.mark.parametrize(
        ("start", "says"),
        [
            (b"\x1f\x8b\x08", "is gzip; gunzip it, or unpack it"),
            (b"BZh9", "is bzip2"),
            (b"\xfd7zXZ\0", "is xz"),
            (b"\x28\xb5\x2f\xfd", "is Zstandard"),
            (b"7z\xbc\xaf\x27\x1c", r"is 7-Zip; unpack it, or pack it again as a zip \(zip -0"),
            (b"Rar!\x1a\x07", "is RAR; unpack it"),
            (b"hsqs", "is SquashFS; mount it"),
            (b"PK\7\x08", "is a split zip; join its parts first"),
            (b"hello", "neither a folder nor a zip or tar archive"),
            (b"", "neither a folder nor a zip or tar archive"),
            (b"PK\3\4" + bytes(600), "has no directory at its end. Copy it again, or join its parts"),
        ],
    )
    def test_kind(self, tmp_path, start, says):
        """What can't be read member by member is refused in one line with the remedy."""
        (tmp_path / "data").write_bytes(start)
        with pytest.raises(DatasetError, match=says) as error:
            open_archive_folders(tmp_path / "data", tmp_path / "index")
        assert "\n" not in str(error.value)
        assert not list((tmp_path / "index").glob("*"))

    @needs_zip
    def test_encrypted(self, tmp_path):
        """An archive with a password is refused, not tried."""
        (tmp_path / "f.jpg").write_bytes(b"x")
        subprocess.run(["zip", "-q", "-P", "secret", "d.zip", "f.jpg"], cwd=tmp_path, check=True)
        with pytest.raises(DatasetError, match=r"is encrypted: .*'f\.jpg'. Unpack it"):
            open_archive_folders(tmp_path / "d.zip", tmp_path / "index")

    @needs_zip
    def test_split(self, tmp_path):
        """A split archive is refused, with the command that joins it, which works."""
        files = {f"{number}.jpg": os.urandom(40_000) for number in range(6)}
        write_tree(tmp_path, files)
        subprocess.run(["zip", "-q", "-s", "64k", "d.zip", *files], cwd=tmp_path, check=True)
        with pytest.raises(DatasetError, match=r"split into several files\. Join them first"):
            open_archive_folders(tmp_path / "d.zip", tmp_path / "index")
        subprocess.run(["zip", "-q", "-s", "0", "d.zip", "--out", "whole.zip"], cwd=tmp_path, check=True)
        assert contents(tmp_path / "whole.zip", tmp_path / "index") == files


class TestIndex:
    def write(self, path: Path, data: bytes) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/f", data)

    def test_built_once(self, tmp_path):
        """An index that fits is not built again."""
        self.write(tmp_path / "d.zip", b"x")
        told: list[tuple[int, int]] = []
        first = open_archive_folders(tmp_path / "d.zip", tmp_path / "i", lambda *done: told.append(done))
        before = first.index.stat()
        again = open_archive_folders(tmp_path / "d.zip", tmp_path / "i", lambda *done: told.append(done))
        assert told == [(1, 1)]
        assert (again.index, again.index.stat().st_ino) == (first.index, before.st_ino)
        assert [path.name for path in (tmp_path / "i").iterdir()] == [first.index.name]
        assert stat.S_IMODE(before.st_mode) == 0o644

    @pytest.mark.parametrize("what", ["size", "time", "tail"])
    def test_changed(self, tmp_path, what):
        """An archive of another size, time or directory gets a new index."""
        path = tmp_path / "d.zip"
        self.write(path, b"old")
        open_archive_folders(path, tmp_path / "i")
        times = path.stat()
        self.write(path, b"newer" if what == "size" else b"new")
        if what != "time":
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert contents(path, tmp_path / "i") == {"a/f": b"newer" if what == "size" else b"new"}

    @pytest.mark.parametrize("damage", [b"", b"KPSIDX1\n", b"KPSIDX1\n" + b"\xff" * 8, b"garbage" * 10])
    def test_damaged(self, tmp_path, damage):
        """An index that is no index is built again."""
        self.write(tmp_path / "d.zip", b"x")
        folders = open_archive_folders(tmp_path / "d.zip", tmp_path / "i")
        folders.index.write_bytes(damage)
        assert contents(tmp_path / "d.zip", tmp_path / "i") == {"a/f": b"x"}

    def test_changed_under_a_worker(self, tmp_path):
        """A worker that finds another archive than its index is of says so."""
        self.write(tmp_path / "d.zip", b"x")
        folders = open_archive_folders(tmp_path / "d.zip", tmp_path / "i")
        self.write(tmp_path / "d.zip", b"another")
        with pytest.raises(DatasetError, match="has changed during the run"):
            Archive(folders.index)

    def test_where_folders_are_asked_for(self, tmp_path):
        """A missing folder, and a file where a folder should be, are the errors that a disk gives."""
        self.write(tmp_path / "d.zip", b"x")
        folders = open_archive_folders(tmp_path / "d.zip", tmp_path / "i")
        for missing in ("b", "a/g/h", "aa", "0"):
            with pytest.raises(FileNotFoundError):
                list(folders.entries(missing))
        with pytest.raises(NotADirectoryError):
            list(folders.entries("a/f"))
        with pytest.raises(FileNotFoundError):
            folders.opened.member("a/g")
