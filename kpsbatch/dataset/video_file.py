"""Video files, whole or in segments: decoded with FFmpeg (PyAV), as FFmpeg presents them, to upright RGB frames.

What counts as a frame is what FFmpeg shows: frames that an edit list leaves out, hidden reference frames and pictures
before the first key frame are not missing. Missing are the frames of packets that are damaged, and of a file that ends
early those that its header promises beyond its end. A header that promises more than a whole file holds is wrong.
"""

from __future__ import annotations

import heapq
import math
import os
import re
import shlex
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.container import Flags, InputContainer
from av.filter import Graph
from av.format import Flags as FormatFlags
from av.packet import Packet
from av.sidedata.sidedata import Type as SideData
from av.stream import Discard
from av.video.stream import VideoStream

from kpsbatch.dataset.frame import RGB, Frame
from kpsbatch.dataset.storage import StoredFile
from kpsbatch.dataset.video import JUMP, VideoInfo
from kpsbatch.errors import DatasetError


def _upright(image: RGB, matrix: tuple[int, int, int, int]) -> RGB:
    """Turn and mirror an image as its display matrix says.

    Args:
        image: (H, W, 3).
        matrix: a, b, c, d of ISO/IEC 14496-12, 6.2.2: x' = ax + cy, y' = bx + dy. Only quarter turns and mirrors are
            applied, by their signs.
    """
    a, b, c, d = matrix
    if abs(a) + abs(d) >= abs(b) + abs(c):
        turned = image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    else:
        turned = image.transpose(1, 0, 2)[:: -1 if b < 0 else 1, :: -1 if c < 0 else 1]
    return np.ascontiguousarray(turned)


def _filter_for(picture: av.VideoFrame) -> Graph:
    """A filter in this thread alone that turns pictures like this one into RGB.

    PyAV's own `reformat` gives other colours for interlaced pictures and those of more than 8 bits.
    """
    graph = Graph()
    graph.threads = 1
    base = picture.time_base or Fraction(1, 90_000)
    source = graph.add_buffer(width=picture.width, height=picture.height, format=picture.format, time_base=base)
    scale, rgb = graph.add("scale", "flags=bicubic"), graph.add("format", "rgb24")
    graph.link_nodes(source, scale, rgb, graph.add("buffersink")).configure()
    return graph


def _display_matrix(picture: av.VideoFrame) -> tuple[int, int, int, int]:
    """a, b, c, d of the picture's display matrix."""
    data = cast("Mapping[SideData, Any]", picture.side_data).get(SideData.DISPLAYMATRIX)
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data))
    return a, b, c, d


DAMAGED = "damaged"
MISSING = "missing from the file"

_READ_SIZE = 1 << 18
_MAKE_UP_TIMES = cast(int, Flags.gen_pts.value)  # PyAV sets it; the times that it gives to AVI are out of order
_INDEXED = "mov"  # the demuxer that lists every packet before it reads the first
_COUNTED = "avi"  # the one whose header tells the number of packets
_TIMED = ("matroska", "flv")  # those whose header tells the duration
_DISCONTINUITY = 10  # seconds: ffmpeg's -dts_delta_threshold, for containers whose times may begin anew
_IMPOSSIBLE = 30 * 3600  # seconds: its -dts_error_threshold, for the others
_BACK = 0.1  # seconds that times may go back in a container whose times may begin anew
_SLACK = 0.2  # seconds that a header's number or duration may be off in a whole file


@dataclass(frozen=True)
class Shown:
    """One frame as FFmpeg presents it, not yet converted.

    Attributes:
        time: Seconds since the start of the file, as a player counts them.
        picture: What FFmpeg decoded, or None.
        problem: Why `picture` is None.
    """

    time: float
    picture: av.VideoFrame | None
    problem: str = ""


class VideoFile:
    """An open video file: its best video stream, decoded with one thread.

    Args:
        path: The file, for messages.
        max_pixels: A file with larger frames is refused before anything is decoded.
        stored: Where its bytes are, if not in the file at `path`.

    Attributes:
        rate: Frames a second on average, as the header says; 0 where it does not.
        nominal_rate: The rate that FFmpeg takes the times to be multiples of, or `rate`.
        jumps: At how many places the times of the file were put right so far.
        missing: How many frames the header promises beyond the end of a file that is cut off; known at the end of
            `shown`.

    Raises:
        DatasetError: FFmpeg can't open it, it has no video, its frames are too large, or storage goes on failing.
    """

    _source: Iterator[Packet[VideoStream]]

    def __init__(self, path: Path, *, max_pixels: int, stored: StoredFile | None = None) -> None:
        self.path = path
        self._max_pixels = max_pixels
        self._limit = {"max_pixels": str(2 * max_pixels + (1 << 16)), "threads": "1"}  # of coded sides, rounded up
        self._stored = stored or StoredFile(path)
        self._kind: tuple[object, ...] = ()
        self._filter = Graph()
        try:
            self._begin()
        except BaseException:
            self._stored.close()
            raise

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._container.close()
        self._stored.close()

    def opened_again(self) -> VideoFile:
        """The same file from its start, with a descriptor and a decoder of its own."""
        return VideoFile(self.path, max_pixels=self._max_pixels, stored=self._stored.opened_again())

    def info(self) -> VideoInfo:
        """What the file says about itself; decodes its first frame, so call it before `shown`."""
        listed: int | None = self._stream.frames or None
        if self._demuxer == _INDEXED:
            listed = sum(not entry.is_discard for entry in self._stream.index_entries) or None
        seconds = self._container.duration / av.time_base if self._container.duration else None
        size = self._stored.seek(0, os.SEEK_END)  # no frame is without a byte, whatever the header says
        listed = None if listed and listed > size else listed
        seconds = None if seconds and seconds * self.rate > size else seconds
        first = next((shown.picture for shown in self.shown() if shown.picture is not None), None)
        height, width = self.to_rgb(first).shape[:2] if first is not None else (0, 0)
        return VideoInfo(width, height, self.rate, self.nominal_rate, listed, seconds)

    def to_rgb(self, picture: av.VideoFrame) -> RGB:
        """(H, W, 3) uint8 RGB of a picture, upright: the display matrix applied.

        Colours are converted with the matrix and the range that the picture names, or BT.601 in the limited range
        where it names none. The picture keeps its size in pixels: they may be other than square.
        """
        kind = (picture.width, picture.height, picture.format.name, picture.colorspace, picture.color_range)
        if kind != self._kind:
            self._filter, self._kind = _filter_for(picture), kind
        self._filter.vpush(picture)
        image = self._filter.vpull().to_ndarray()
        return _upright(image.astype(np.uint8, copy=False), _display_matrix(picture))

    def shown(self) -> Iterator[Shown]:
        """The frames in the order of their times, damaged and missing ones in their places.

        Begins at the first frame, or at the key frame that `seek` went to. Where more than half of the file is
        missing none of that is given: a header may promise millions of frames.

        Raises:
            DatasetError: A frame is too large, or storage goes on failing.
        """
        step = 1 / (self.rate or 25)
        last = -math.inf
        for frame, time, problem in self._decoded():
            if time is None:
                time = last + step if last > -math.inf else 0.0
            elif time < last:
                self.jumps += 1
                time = last
            yield from self._lost(time)
            self._check_size(frame.width, frame.height)
            yield Shown(time, None if problem else frame, problem)
            last = time
        last = max(last, 0.0)
        for shown in self._lost(math.inf):
            yield shown
            last = max(last, shown.time)
        self.missing = self._missing_frames(last + step)
        if self.missing * step <= last + step:
            for number in range(self.missing):
                yield Shown(last + step * (1 + number), None, MISSING)

    def seek(self, start: float) -> float:
        """Go to a key frame that is shown at or before `start`, in seconds, and return its time.

        Where the file can't be searched this is its first frame, at minus infinity.
        """
        back = 0.0
        while start > back:
            try:
                self._container.seek(int((start - back + self._start) / self._base), stream=self._stream)
            except (av.FFmpegError, OSError):
                break
            packets = self._packets()
            first = next((packet for packet in packets if packet.is_keyframe), None)
            time = None if first is None else self._seconds(first.pts if first.pts is not None else first.dts)
            if first is not None and time is not None and time <= start:
                self._source = chain([first], packets)
                return time
            back = 2 * back + 1  # there is no key frame at that place, or its picture comes later
        self._container.close()
        self._stored.seek(0)
        self._begin()
        return -math.inf

    def packet_times(self) -> list[float]:
        """Seconds since the start of the file of every frame, in order, from its packets: nothing is decoded."""
        shown: list[float | None] = []
        decoded: list[float] = []
        for packet in self._source:
            if not packet.is_discard and not self._is_hidden(packet):
                shown.append(self._seconds(packet.pts))
                time = self._seconds(packet.dts if packet.dts is not None else packet.pts)
                if time is None and decoded:
                    time = decoded[-1] + 1 / (self.rate or 25)
                decoded.append(time or 0.0)
        if None not in shown:
            return sorted(time for time in shown if time is not None)
        times = sorted(decoded)
        with self.opened_again() as again:  # these are the times of decoding: the decoder's delay is added
            first = next((frame.time for frame in again.shown()), 0.0)
        return [time + first - times[0] for time in times]

    def begins_anew(self) -> bool:
        """Whether times jump somewhere in the file, so that it can't be searched by time; reads it to its end."""
        if not self._may_begin_anew:
            return False
        with self.opened_again() as again:
            return any(again.jumps for _ in again._source)

    @property
    def _may_begin_anew(self) -> bool:
        return bool(int(self._container.format.flags) & cast(int, FormatFlags.ts_discont.value))

    @property
    def _demuxer(self) -> str:
        return self._container.format.name.split(",")[0]

    def _begin(self) -> None:
        self._container = self._open()
        self._stream = self._video_stream()
        self._base = self._stream.time_base or Fraction(1, 90_000)
        self._start = (self._container.start_time or 0) / av.time_base
        rate = float(self._stream.average_rate or self._stream.guessed_rate or 0)
        self.rate = rate if 0 < rate <= 1000 else 0.0
        nominal = float(self._stream.guessed_rate or 0)
        self.nominal_rate = nominal if 0 < nominal <= 1000 else self.rate
        self._check_size(self._stream.codec_context.width, self._stream.codec_context.height)
        self._awaited: list[float] = []  # heap of the times of packets whose frames are still to come
        self._is_damaged = False
        self._last_dts: int | None = None
        self.jumps = 0
        self.missing = 0
        self._end = 0.0  # seconds at which the last packet of any stream ends
        self._source = self._packets()

    def _open(self) -> InputContainer:
        options = {**self._limit, "protocol_whitelist": "none"}  # a playlist in the place of a video opens nothing
        try:
            container = av.open(self._stored, "r", options=options, buffer_size=_READ_SIZE, metadata_errors="replace")
        except (av.FFmpegError, DatasetError, OSError, ValueError) as error:
            self._raise_storage_error()
            reason = (getattr(error, "strerror", None) or str(error)).lower()
            raise DatasetError(
                f"{self.path}: can't be opened by FFmpeg: {reason}. It is damaged, cut off or no video: "
                "copy it again from its source, or remove it."
            ) from None
        container.flags &= ~_MAKE_UP_TIMES
        return container

    def _video_stream(self) -> VideoStream:
        stream = self._container.streams.best("video")
        if not isinstance(stream, VideoStream) or stream.codec_context is None:
            raise DatasetError(f"{self.path}: has no video that FFmpeg can decode. Convert it to mp4, or remove it.")
        stream.codec_context.thread_count = 1
        stream.codec_context.options = self._limit
        if self._demuxer not in _TIMED:
            for other in self._container.streams:
                if other is not stream:
                    other.discard = Discard.all
        return stream

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self._max_pixels:
            raise DatasetError(
                f"{self.path}: has frames of {width}x{height}, larger than run.max_pixels ({self._max_pixels}). Raise "
                "run.max_pixels, or scale the video down."
            )

    def _raise_storage_error(self) -> None:
        """Check for an error of storage, which FFmpeg takes for the end of the video.

        Raises:
            DatasetError: Reading failed.
        """
        error = self._stored.error
        if isinstance(error, OSError):
            raise DatasetError(f"{self.path}: can't be read: {error.strerror}. Correct its permissions.") from None
        if error is not None:
            raise error

    def _seconds(self, pts: int | None) -> float | None:
        return None if pts is None else float(pts * self._base) - self._start

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        """Packets of the video that hold data; ends where the data ends."""
        packet: Packet[Any]
        expected: int | None = None  # the time of decoding at which the next packet is due
        moved = 0  # what is added to the times since the last jump
        try:
            for packet in self._container.demux():
                if packet.dts is None and packet.pts is None and not packet.size:
                    continue  # PyAV's own, to flush
                moment = packet.pts if packet.pts is not None else packet.dts
                if moment is not None and packet.time_base is not None:
                    self._end = max(self._end, float((moment + (packet.duration or 0)) * packet.time_base))
                if packet.stream is not self._stream:
                    continue
                self._last_dts = packet.dts if packet.dts is not None else self._last_dts
                moved = self._put_right(packet, expected, moved)
                expected = packet.dts if packet.dts is not None else expected
                if expected is not None:
                    expected += packet.duration or round(1 / (self.rate or 25) / self._base)
                if packet.size:
                    yield cast("Packet[VideoStream]", packet)
        except (av.FFmpegError, DatasetError, OSError):
            pass  # what the index lists beyond this point is missing
        self._raise_storage_error()

    def _put_right(self, packet: Packet[Any], expected: int | None, moved: int) -> int:
        """Put the times of a packet right as ffmpeg does: concatenated files go on, impossible times are forgotten.

        Args:
            expected: The time of decoding at which it is due; None where that is not known.
            moved: What is to be added to its times because of earlier jumps.

        Returns:
            The same for the packets that follow.
        """

        def ahead(time: int | None) -> float:
            return 0.0 if time is None or expected is None else float((time + moved - expected) * self._base)

        if not self._may_begin_anew:
            if abs(ahead(packet.dts)) > _IMPOSSIBLE:
                packet.dts = None
                self.jumps += 1
            if abs(ahead(packet.pts)) > _IMPOSSIBLE:
                packet.pts = None
            return 0
        if not -_BACK <= ahead(packet.dts) <= _DISCONTINUITY and expected is not None and packet.dts is not None:
            self.jumps += 1
            moved = expected - packet.dts
        packet.dts = None if packet.dts is None else packet.dts + moved
        packet.pts = None if packet.pts is None else packet.pts + moved
        return moved

    def _decoded(self) -> Iterator[tuple[av.VideoFrame, float | None, str]]:
        """Every frame that the decoder gives, with its time and what is wrong with it."""
        incomplete: set[float | None] = set()
        packets = chain(self._source, [None, None, None])
        packet, following = next(packets), next(packets)
        for later in packets:
            # Where another file was appended FFmpeg calls one of the last two packets corrupt; a key frame follows.
            joined = any(near is not None and near.is_keyframe for near in (following, later))
            if packet is not None and packet.is_corrupt and not joined:
                incomplete.add(self._seconds(packet.pts))
            for frame in self._decode(packet):
                time = self._seconds(frame.pts if frame.pts is not None else frame.dts)
                bad = frame.is_corrupt or time in incomplete
                self._is_damaged |= bad
                yield frame, time, DAMAGED if bad else ""
            packet, following = following, later

    def _decode(self, packet: Packet[VideoStream] | None) -> list[av.VideoFrame]:
        if packet is not None and packet.pts is not None and not packet.is_discard and not self._is_hidden(packet):
            heapq.heappush(self._awaited, cast(float, self._seconds(packet.pts)))
        try:
            return self._stream.codec_context.decode(packet)
        except av.FFmpegError:
            self._is_damaged = True
            if packet is not None and packet.pts is None and packet.dts is not None:
                heapq.heappush(self._awaited, cast(float, self._seconds(packet.dts)))
            return []

    def _lost(self, until: float) -> Iterator[Shown]:
        """Frames before a time whose packets gave none, once there has been damage.

        In a whole file such packets are none of its frames: pictures before the first key frame, for example.
        """
        while self._awaited and self._awaited[0] <= until:
            time = heapq.heappop(self._awaited)
            if self._is_damaged and time < until:
                yield Shown(time, None, DAMAGED)

    def _is_hidden(self, packet: Packet[VideoStream]) -> bool:
        """Whether a packet holds a picture that is only referred to, never shown: VP8 has them (RFC 6386, 9.1)."""
        return self._stream.codec_context.name in ("vp8", "libvpx") and not bytes(packet)[0] & 0x10

    def _missing_frames(self, end: float) -> int:
        """How many frames the container promises beyond the end of a file that is cut off.

        Args:
            end: Seconds at which the last frame ends.
        """
        if self._demuxer == _INDEXED:
            size = self._stored.seek(0, os.SEEK_END)
            later = (entry for entry in self._stream.index_entries if not entry.is_discard)
            return sum(
                entry.pos + entry.size > size and (self._last_dts is None or entry.timestamp > self._last_dts)
                for entry in later
            )
        lacking = self._declared_end() - end
        return round(lacking * (self.rate or 25)) if lacking > _SLACK and self._is_cut_off() else 0

    def _declared_end(self) -> float:
        """Seconds at which the video ends, as its header says; 0 where that is not known or agrees with the data."""
        if self._demuxer == _COUNTED:
            return self._stream.frames / self.rate if self.rate else 0.0
        seconds = (self._container.duration or 0) / av.time_base
        zero = 0.0 if self._demuxer == "matroska" else self._start  # where its duration counts from
        if self._demuxer not in _TIMED or self._end - zero > seconds - _SLACK:
            return 0.0
        tagged = _tagged_seconds(self._stream.metadata.get("DURATION", ""))
        return min(seconds, tagged or seconds) + zero - self._start

    def _is_cut_off(self) -> bool:
        """Whether the file's last part is longer than what is there of it: a header alone may be wrong."""
        size = self._stored.seek(0, os.SEEK_END)
        return _END_OF[self._demuxer](self._bytes, size) > size

    def _bytes(self, place: int, number: int) -> bytes:
        self._stored.seek(place)
        return self._stored.read(number).ljust(number, b"\0")


def _end_of_avi(read: Callable[[int, int], bytes], size: int) -> int:
    """Where the last RIFF chunk of an AVI ends."""
    place = 0
    while place < size and read(place, 4) == b"RIFF":
        place += 8 + int.from_bytes(read(place + 4, 4), "little")
    return place


def _end_of_flv(read: Callable[[int, int], bytes], size: int) -> int:
    """Where the last tag of an FLV ends (Adobe Flash Video File Format, E.3)."""
    place = int.from_bytes(read(5, 4), "big") + 4
    while place < size:
        place += 11 + int.from_bytes(read(place + 1, 3), "big")
        if place < size:
            place += 4  # the size of the tag again, which is not always there at the end
    return place


def _end_of_matroska(read: Callable[[int, int], bytes], size: int) -> int:
    """Where the segment of a Matroska file ends (RFC 8794, 4 and 6); 0 where its size is not known."""

    def sized(place: int) -> tuple[int, int | None]:
        """Where an element's data begins, whose identifier has four bytes, and its size."""
        first = read(place + 4, 1)[0]
        length = 9 - first.bit_length()
        number = int.from_bytes(read(place + 4, length), "big") & ((1 << 7 * length) - 1)
        return place + 4 + length, None if number == (1 << 7 * length) - 1 else number

    data, number = sized(0)
    data, number = sized(data + (number or 0))
    return 0 if number is None else data + number


_END_OF = {"avi": _end_of_avi, "flv": _end_of_flv, "matroska": _end_of_matroska}


def _tagged_seconds(text: str) -> float:
    """Seconds of Matroska's tag DURATION, such as 00:00:04.003000000; 0 for anything else."""
    match = re.fullmatch(r"([0-9]+):([0-9]{2}):([0-9]{2}(?:\.[0-9]+)?)", text)
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else 0.0


_SAME = 0.0005
"""Seconds that a frame may lie before a segment's start: tables round to milliseconds."""


def read_video_file(path: Path, *, max_pixels: int, stored: StoredFile | None = None) -> Iterator[Frame]:
    """Read all frames of a video file (`VideoFile`), decoding as it goes.

    Raises:
        DatasetError: FFmpeg can't open it, it holds no readable frame, more than half of its frames are missing, or
            storage goes on failing.
    """
    with VideoFile(path, max_pixels=max_pixels, stored=stored) as video:
        maker = _FrameMaker(video)
        readable = there = 0
        for shown in video.shown():
            readable += shown.picture is not None
            there += shown.problem != MISSING
            yield maker.frame(shown)
    if not readable:
        raise DatasetError(f"{path}: holds no readable frame. Copy it again from its source, or remove it.")
    if video.missing > there:
        raise DatasetError(
            f"{path}: is cut off: {video.missing} of its {there + video.missing} frames are missing. Copy it again "
            f"from its source{_way_to_keep(path)}."
        )


def _way_to_keep(path: Path) -> str:
    """What else can be done about a file that is cut off; nothing in an archive."""
    if not path.is_file():
        return ""
    command = ["ffmpeg", "-i", str(path), "-c", "copy", str(path.with_name(f"rest_{path.name}"))]
    return f", or take what is there of it in its place: {shlex.join(command)}"


def read_segments(
    path: Path,
    segments: Sequence[tuple[float, float]],
    *,
    max_pixels: int,
    stored: StoredFile | None = None,
    on_end: Callable[[int], None] = lambda number: None,
    on_skipped: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, Frame]]:
    """Read segments of a long video file in one pass, each frame decoded once, from the key frame before each start on.

    Args:
        segments: Start and end of each, in seconds since the start of the file as a player counts them; the end is
            the first moment that does not belong to it. They may overlap, and come in any order.
        max_pixels, stored: As for `VideoFile`.
        on_end: Called with the number of a segment before the first frame that comes after it.
        on_skipped: Called for every frame that is decoded and belongs to no segment.

    Returns:
        The number of the segment in `segments` and a frame of it, in the order of the frames' times. The times of the
        frames count from the first one of their segment.

    Raises:
        DatasetError: As `read_video_file`; a segment without frames is none of its errors.
    """
    in_file = (number for number, (start, _) in enumerate(segments) if start < math.inf)
    waiting = sorted(in_file, key=lambda number: segments[number], reverse=True)
    makers: dict[int, _FrameMaker] = {}
    now = sought = -math.inf
    video = VideoFile(path, max_pixels=max_pixels, stored=stored)
    try:
        frames = video.shown()
        while waiting or makers:
            start = segments[waiting[-1]][0] if waiting else now
            if not makers and start > max(now, 0.0) + JUMP and start != sought:
                sought = start
                video, moved = _moved_on(video, start, now)
                frames = video.shown() if moved else frames
            shown = next(frames, None)
            if shown is None:
                return
            now = shown.time
            while waiting and segments[waiting[-1]][0] - _SAME <= now:
                makers[waiting.pop()] = _FrameMaker(video)
            for number in [number for number in makers if now >= segments[number][1] - _SAME]:
                del makers[number]
                on_end(number)
            if not makers:
                on_skipped()
            for number, maker in makers.items():
                yield number, maker.frame(shown)
    finally:
        video.close()


def segments_in_seconds(
    path: Path, segments: Sequence[tuple[int, int]], *, max_pixels: int, stored: StoredFile | None = None
) -> list[tuple[float, float]]:
    """Translate segments in frame numbers, from 0, into seconds: what `read_segments` takes.

    Looks at the packets of the whole file, which is much faster than decoding it.

    Args:
        segments: The first frame of each, and the first that does not belong to it.
        max_pixels, stored: As for `VideoFile`.

    Returns:
        Start and end of each; infinity for frames beyond the end of the file.

    Raises:
        DatasetError: As `read_video_file`.
    """
    with VideoFile(path, max_pixels=max_pixels, stored=stored) as video:
        times = video.packet_times()
    return [
        (times[start] if start < len(times) else math.inf, times[end] if end < len(times) else math.inf)
        for start, end in segments
    ]


def _moved_on(video: VideoFile, start: float, now: float) -> tuple[VideoFile, bool]:
    """The file opened again at the key frame before `start`, where that saves decoding; else the file as it is.

    A second descriptor seeks the key frame, since FFmpeg loses what it has decoded when it seeks.
    """
    if video.begins_anew():
        return video, False
    later = video.opened_again()
    try:
        if later.seek(start) > now:
            video.close()
            return later, True
    except BaseException:
        later.close()
        raise
    later.close()
    return video, False


class _FrameMaker:
    """Makes the frames of a video or a segment: their times count from the first, and rise.

    Attributes:
        frames: How many it has made.
    """

    def __init__(self, video: VideoFile) -> None:
        self.frames = 0
        self._video = video
        self._jumps = video.jumps
        self._first = 0.0
        self._last = -1

    def frame(self, shown: Shown) -> Frame:
        """The next frame."""
        if not self.frames:
            self._first = shown.time
        time = (shown.time - self._first) * 1000
        self._last = max(self._last + 1, round(time))
        image = self._video.to_rgb(shown.picture) if shown.picture is not None else None
        jumps = self._video.jumps - self._jumps
        frame = Frame(image, self._last, str(self.frames), shown.problem, time, self._video.nominal_rate, jumps)
        self.frames += 1
        return frame
