"""Video files whose containers lie about start, duration, order and count, compared with what ffmpeg shows of them.

    PYTHONPATH=tests .venv/bin/python tests/container_fuzz.py [--seconds 600] [--seed 1] [--keep DIR]

Every frame is of its own grey, so that what is read is known by number and order. A count is wrong without a word
(`silent`) where frames are lost, doubled or out of order and no row says so.
"""

from __future__ import annotations

import argparse
import io
import random
import re
import shutil
import struct
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from video_corpus import VPX, X264, ffmpeg

from kpsbatch.dataset.reading import read_frames
from kpsbatch.dataset.video import video_of
from kpsbatch.errors import DatasetError

WIDTH, HEIGHT = 64, 48
STEP = 4
"""Of grey from frame to frame."""

BASES = {
    "b.mp4": f"{X264} -bf 2 -g 12",
    "fragmented.mp4": f"{X264} -bf 2 -g 6 -movflags frag_keyframe+empty_moov",
    "sound.mp4": f"{X264} -bf 2 -c:a aac",
    "mpeg4.mov": "-c:v mpeg4 -bf 2",
    "b.mkv": f"{X264} -bf 2 -g 12 -cluster_time_limit 200",
    "sound.mkv": f"{X264} -bf 2 -c:a aac",
    "vp9.webm": f"-c:v libvpx-vp9 {VPX} -g 10",
    "vp8.webm": f"-c:v libvpx {VPX} -g 10",
    "h264.flv": f"{X264} -bf 2 -g 12",
    "flv1.flv": "-c:v flv -g 12",
    "mpeg4.avi": "-c:v mpeg4 -g 12",
    "mjpeg.avi": "-c:v mjpeg -q:v 2",
    "h264.ts": f"{X264} -bf 2 -g 12",
    "mpeg2.ts": "-c:v mpeg2video -bf 2 -g 12",
    "mpeg2.mpg": "-c:v mpeg2video -bf 2 -g 12",
}
"""Files and their encoders; some have sound."""

FIELDS: dict[str, tuple[tuple[bytes, int, str], ...]] = {
    "mp4": (
        *((b"mvhd", place, ">I") for place in (16, 20)), (b"tkhd", 24, ">I"), (b"mdhd", 16, ">I"), (b"mdhd", 20, ">I"),
        *((b"elst", place, ">i") for place in (8, 12, 16)), *((b"stts", place, ">I") for place in (8, 12, 16, 20)),
        *((b"ctts", place, ">I") for place in (8, 12, 16, 24)), *((b"stsz", place, ">I") for place in (8, 12)),
        (b"stss", 8, ">I"), (b"stsc", 16, ">I"), (b"tfdt", 12, ">I"), (b"trun", 8, ">I"), (b"mfhd", 8, ">I"),
        (b"mehd", 8, ">I"), (b"trex", 12, ">I"), (b"sidx", 12, ">I"),
    ),
    "mkv": (
        (b"\x44\x89\x88", 3, ">d"), (b"\x44\x89\x84", 3, ">f"), (b"\x2a\xd7\xb1\x83", 4, ">H"),
        (b"\x23\xe3\x83\x84", 4, ">I"),
        (b"\xe7\x81", 2, ">B"), (b"\xe7\x82", 2, ">H"), (b"\x1f\x43\xb6\x75", 5, ">I"), (b"\x18\x53\x80\x67", 8, ">I"),
    ),
    "flv": ((b"duration", 9, ">d"), (b"framerate", 10, ">d"), (b"filesize", 9, ">d"), (b"FLV", 5, ">I")),
    "avi": (
        (b"avih", 8, "<I"), (b"avih", 24, "<I"), *((b"strh", place, "<I") for place in (28, 32, 36, 40)),
        (b"idx1", 4, "<I"), (b"movi", -4, "<I"), (b"dmlh", 8, "<I"),
    ),
}  # fmt: skip
"""Of each kind of container: a mark, where a number stands behind it, and its form."""

KINDS = {".mp4": "mp4", ".mov": "mp4", ".mkv": "mkv", ".webm": "mkv", ".flv": "flv", ".avi": "avi"}

TIMES = (
    "pts=PTS+gt(N\\,{n})*{jump}/TB:dts=DTS+gt(N\\,{n})*{jump}/TB",
    "pts=PTS-gt(N\\,{n})*{jump}/TB:dts=DTS-gt(N\\,{n})*{jump}/TB",
    "pts=PTS+eq(N\\,{n})*{jump}/TB:dts=DTS",
    "pts=if(gt(N\\,{n})\\,PTS-STARTPTS\\,PTS):dts=if(gt(N\\,{n})\\,DTS-STARTDTS\\,DTS)",
    "pts=PTS*{jump}:dts=DTS*{jump}",
    "pts=PTS+{big}:dts=DTS+{big}",
)
"""What `setts` does to the times of a copy: a jump, one back, of one frame; a new beginning; another rate, or start."""


@dataclass(frozen=True)
class Seen:
    """The greys of the frames, None for one that can't be read; and what was said."""

    greys: tuple[int | None, ...]
    said: str = ""

    @property
    def readable(self) -> tuple[int, ...]:
        return tuple(grey for grey in self.greys if grey is not None)


def make_bases(folder: Path) -> list[Path]:
    """Write the files that are changed, of 12 to 40 frames."""
    made: list[Path] = []
    for number, (name, options) in enumerate(BASES.items()):
        frames = 12 + 7 * number % 29
        picture = f"nullsrc=size={WIDTH}x{HEIGHT}:rate=25:duration={frames / 25},geq=lum='20+N*{STEP}':cb=128:cr=128"
        sound = ["-f", "lavfi", "-i", f"sine=duration={frames / 25}"] if "aac" in options else []
        arguments = ["-f", "lavfi", "-i", picture, *sound, "-fps_mode", "passthrough", *options.split()]
        ffmpeg(*arguments, "-threads", "1", "-pix_fmt", "yuvj420p" if "mjpeg" in options else "yuv420p", folder / name)
        made.append(folder / name)
    return made


def with_field(data: bytes, suffix: str, draw: random.Random) -> bytes:
    """The file with another number in one of its fields."""
    places = [
        (found.start() + place, form)
        for mark, place, form in FIELDS.get(KINDS.get(suffix, ""), ())
        for found in re.finditer(re.escape(mark), data)
        if 0 <= found.start() + place <= len(data) - struct.calcsize(form)
    ]
    if not places:
        return data
    place, form = draw.choice(places)
    [old] = struct.unpack_from(form, data, place)
    if form[1] in "df":
        new: float = draw.choice(
            [0.0, -1.0, old / 2, old * 2, old * 1.1, old + 0.4, old * 1000, 1e18, float("nan"), 2147483.63]
        )
    else:
        low, high = (-(1 << 31), (1 << 31) - 1) if form[1] == "i" else (0, (1 << 8 * struct.calcsize(form)) - 1)
        choices = [
            0,
            1,
            old - 1,
            old + 1,
            old // 2,
            old * 2,
            old * 10,
            old * 1000,
            high,
            high // 2,
            -1,
            draw.randint(0, 2000),
        ]
        new = min(max(int(draw.choice(choices)), low), high)
    changed = bytearray(data)
    try:
        struct.pack_into(form, changed, place, new)
    except OverflowError:
        return data
    return bytes(changed)


def with_times(path: Path, draw: random.Random) -> bytes:
    """A copy whose packets have other times, or that starts elsewhere."""
    jump = draw.choice([0.03, 0.1, 0.5, 1, 3, 9.9, 11, 60, 100, 5000, 100000])
    times = draw.choice(TIMES).format(n=draw.randint(0, 30), jump=jump, big=draw.choice([5, 90000, 1 << 31, 1 << 32]))
    options = draw.choice(
        [["-bsf:v", f"setts={times}"], ["-output_ts_offset", str(jump)], ["-output_ts_offset", str(-jump)]]
    )
    target = path.with_name(f"times{path.suffix}")
    command = ["ffmpeg", "-v", "quiet", "-nostdin", "-y", "-i", str(path), "-c", "copy", *options, str(target)]
    done = subprocess.run(command, check=False, timeout=60)
    return target.read_bytes() if done.returncode == 0 and target.exists() else path.read_bytes()


CUT = "cut"
"""What is done to a file whose last frames are missing: rows that say so are right, though ffmpeg says nothing."""


def in_another_order(data: bytes, suffix: str, draw: random.Random) -> tuple[bytes, str]:
    """The file with packets, clusters or tags moved, doubled, or cut off; and which of it."""
    marks = {".flv": b"\x09", ".avi": b"00dc", ".ts": b"\x47\x41\x00", ".mpg": b"\x00\x00\x01\xba"}
    mark = marks.get(suffix, b"\x1f\x43\xb6\x75" if KINDS.get(suffix) == "mkv" else b"moof")
    places = [found.start() for found in re.finditer(re.escape(mark), data)]
    what = draw.choice(["swap", "double", CUT, "append"])
    if what == "append":
        return data + data, what
    if what == CUT or len(places) < 4:
        return data[: draw.randint(len(data) // 2, len(data))], CUT
    number = draw.randrange(len(places) - 2)
    one, two, three = places[number : number + 3]
    if what == "double":
        return data[:two] + data[one:two] + data[two:], what
    return data[:one] + data[two:three] + data[one:two] + data[three:], what


def variants(bases: list[Path], seed: int) -> Iterator[tuple[str, bytes]]:
    """Changed files without end: what was done, and the bytes."""
    draw = random.Random(seed)
    while True:
        base = draw.choice(bases)
        data, done = base.read_bytes(), [base.name]
        for _ in range(draw.choice([1, 1, 1, 2])):
            kind = draw.choice(["field", "field", "times", "order"])
            if kind == "times":
                changed = base.with_name(f"before{base.suffix}")
                changed.write_bytes(data)
                data = with_times(changed, draw)
            elif kind == "field":
                data = with_field(data, base.suffix, draw)
            else:
                data, kind = in_another_order(data, base.suffix, draw)
            done.append(kind)
        yield " ".join(done), data


def by_ffmpeg(path: Path) -> Seen:
    """What ffmpeg shows."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough"]
    command += ["-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    try:
        done = subprocess.run(command, check=False, capture_output=True, timeout=60)
    except subprocess.TimeoutExpired:
        return Seen((), "ffmpeg took over a minute")
    whole = len(done.stdout) // (3 * WIDTH * HEIGHT)
    frames = np.frombuffer(done.stdout[: whole * 3 * WIDTH * HEIGHT], np.uint8).reshape(whole, 3 * WIDTH * HEIGHT)
    return Seen(tuple(round(float(frame.mean())) for frame in frames), done.stderr.decode(errors="replace"))


def by_pyav(path: Path) -> Seen:
    """What the FFmpeg of PyAV shows, with no more said to it."""
    greys: list[int] = []
    try:
        with av.open(io.BytesIO(path.read_bytes()), "r") as container:
            stream = container.streams.best("video")
            for frame in container.decode(stream) if stream is not None else ():
                assert isinstance(frame, av.VideoFrame)
                greys.append(round(float(frame.to_ndarray(format="rgb24").mean())))
    except (av.FFmpegError, ValueError, OSError) as error:
        return Seen(tuple(greys), str(error))
    return Seen(tuple(greys))


def by_us(path: Path) -> Seen:
    """What is read here."""
    greys: list[int | None] = []
    said: list[str] = []
    try:
        for frame in read_frames(video_of(path), frame_rate=25, max_pixels=10**6):
            greys.append(None if frame.image is None else round(float(frame.image.mean())))
            said += [frame.problem] if frame.problem else []
            if len(greys) > 10_000:
                return Seen(tuple(greys), "endless")
    except DatasetError as error:
        return Seen(tuple(greys), str(error))
    return Seen(tuple(greys), "; ".join(said))


def same(one: tuple[int | None, ...], other: tuple[int | None, ...]) -> bool:
    """Whether two readings have the same frames in the same order."""
    return len(one) == len(other) and all(
        a is not None and b is not None and abs(a - b) <= STEP // 2 for a, b in zip(one, other, strict=True)
    )


def verdict(path: Path, *, is_cut: bool = False) -> tuple[str, str]:
    """What became of one file, in a word, and the numbers.

    same: the frames of ffmpeg. release: those that the FFmpeg of PyAV gives by itself, where ffmpeg gives others. told:
    others, and rows say so. refused: fewer than ffmpeg shows, and an error, or rows, say so. made_up: rows of zeros,
    where ffmpeg has no complaint and shows all the others. silent: others, without a word.
    """
    ours, theirs = by_us(path), by_ffmpeg(path)
    numbers = f"{len(ours.greys)} rows ({len(ours.readable)} readable; {ours.said[:80]!r}), ffmpeg {len(theirs.greys)}"
    if ours.said == "endless":
        return "silent", numbers
    if same(ours.greys, theirs.greys) or (not ours.greys and not theirs.greys):
        return "same", numbers
    if not ours.said:
        plain = by_pyav(path)
        return ("release" if same(ours.greys, plain.greys) else "silent"), f"{numbers}, PyAV {len(plain.greys)}"
    if not is_cut and not theirs.said and theirs.greys and len(ours.readable) == len(theirs.greys) < len(ours.greys):
        return "made_up", numbers
    return ("told" if len(ours.greys) >= len(theirs.greys) else "refused"), numbers


def fuzz(
    folder: Path, seed: int, seconds: float = float("inf"), files: int | None = None
) -> Iterator[tuple[str, str, Path]]:
    """Files, one after the other: the verdict on each, what was done and came, and where it lies until the next."""
    (folder / "bases").mkdir(parents=True, exist_ok=True)
    bases = make_bases(folder / "bases")
    end = time.monotonic() + seconds
    for number, (done, data) in enumerate(variants(bases, seed)):
        if number == files or time.monotonic() > end:
            return
        path = folder / f"file{Path(done.split()[0]).suffix}"
        path.write_bytes(data)
        word, numbers = verdict(path, is_cut=CUT in done.split())
        yield word, f"{number} {done}: {numbers}", path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="where files that came out wrong are kept")
    arguments = parser.parse_args()
    words: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        for word, text, path in fuzz(Path(scratch), arguments.seed, arguments.seconds):
            words[path.suffix, word] += 1
            if word not in ("same", "told"):
                print(word, text, flush=True)
                if arguments.keep:
                    arguments.keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, arguments.keep / f"{word}-{text.split(':')[0].replace(' ', '-')}{path.suffix}")
    for (suffix, word), count in sorted(words.items()):
        print(f"{suffix:<6}{word:<10}{count}")


if __name__ == "__main__":
    main()
