"""The index of a zip with as many members as KArSL has frames: seconds, memory, and what a task pays for it.

    python benchmarks/archive_index.py /scratch/big.zip --members 4500000

Writes the archive if it is not there (members of 16 bytes, names like KArSL's).
"""

from __future__ import annotations

import argparse
import json
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

FRAMES = 60
DATA = b"not really a jpg"


def names(members: int):
    """Paths like those of KArSL: 3 signers, 502 signs, about 50 videos each, 60 frames in each."""
    for number in range(members):
        video, frame = divmod(number, FRAMES)
        unit, take = divmod(video, 50)
        rest, sign = divmod(unit, 502)
        signer = f"{rest % 3 + 1:02}"
        folder = f"{signer}/{signer}/train/{sign + 1:04}/{signer}_01_{sign + 1:04}_(12_10_16_{take:02}_05_{rest:02})_c"
        yield f"{folder}/{signer}_01_{sign + 1:04}_(12_10_16_{take:02}_05_{rest:02})_c_{frame:04}.jpg".encode()


def write_zip(path: Path, members: int) -> None:
    """A zip64 archive of stored members, written without holding its directory in memory."""
    crc, size = zlib.crc32(DATA), len(DATA)
    with path.open("wb") as file, tempfile.TemporaryFile() as directory:
        offset = 0
        for name in names(members):
            file.write(struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0, crc, size, size, len(name), 0) + name + DATA)
            fields = (b"PK\1\2", 20 | 3 << 8, 20, 0, 0, 0, 0, crc, size, size, len(name), 0, 0, 0, 0, 0o100644 << 16)
            directory.write(struct.pack("<4s6H3L5H2L", *fields, offset) + name)
            offset += 30 + len(name) + size
        length = directory.tell()
        directory.seek(0)
        while block := directory.read(1 << 22):
            file.write(block)
        end = offset + length
        file.write(struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, members, members, length, offset))
        file.write(struct.pack("<4sLQL", b"PK\6\7", 0, end, 1))
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0))


def report(what: str, **more: object) -> None:
    """Print what this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    print(json.dumps({"what": what, "cpu_seconds": round(cpu, 2), "peak_MB": round(memory), **more}), flush=True)


def child(step: str, archive: Path, folder: Path) -> None:
    """One step in a process of its own."""
    from kpsbatch.dataset.archive import open_archive, open_archive_folders

    report(f"{step}: imports only")
    started = time.monotonic()
    folders = open_archive_folders(archive, folder)
    seconds = time.monotonic() - started
    frames = 0
    if step == "task":
        opened = open_archive(folders.index)
        for sign in range(1, 11):
            unit = f"01/01/train/{sign:04}"
            for video in folders.entries(unit):
                members = list(opened.index.members(opened.index.folder(f"{unit}/{video.name}")))
                frames += sum(opened.read(member) == DATA for member in members)
    report(step, seconds=round(seconds, 3), frames_read=frames, members=folders.opened.header["members"])


def main() -> None:
    """Parse, write, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path)
    parser.add_argument("--members", type=int, default=4_500_000)
    parser.add_argument("--step", choices=("build", "task"))
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.step:
        child(options.step, options.archive, options.folder)
        return
    if not options.archive.exists():
        write_zip(options.archive, options.members)
    with tempfile.TemporaryDirectory(dir=options.archive.parent) as folder:
        for step in ("build", "task"):
            subprocess.run(
                [sys.executable, __file__, str(options.archive), "--step", step, "--folder", folder], check=True
            )
        print(f"index: {sum(p.stat().st_size for p in Path(folder).iterdir()) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
