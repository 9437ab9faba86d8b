"""Small video files of every kind that the project reads, made with ffmpeg; each one's properties are known."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HAS_FFMPEG = bool(shutil.which("ffmpeg") and shutil.which("ffprobe"))
NO_FFMPEG = "ffmpeg and ffprobe are not installed (Debian: apt-get install ffmpeg)"

X264 = "-c:v libx264 -preset veryfast"
X265 = "-c:v libx265 -preset ultrafast -x265-params log-level=none"
VPX = "-b:v 200k -cpu-used 8 -deadline realtime"
TAGS = "-colorspace {0} -color_primaries {0} -color_trc {0}"


@dataclass(frozen=True)
class Made:
    """One file of the corpus.

    Attributes:
        name: Its file name.
        options: Of the encoder and the container.
        frames: How many frames are shown.
        source: The picture's width, height, frame rate and seconds.
        size: Width and height of the upright frame; the source's unless given.
        filters: What is done to the picture before it is encoded.
        constant: Whether the frames have one rate: `source`'s.
        sound: Whether there is a tone of two thirds of a second beside the picture.
        cut: Options before and after `-i` of a second step that copies the packets, which makes edit lists.
        patch: Changes the finished file.
    """

    name: str
    options: str
    frames: int = 20
    source: tuple[int, int, str, float] = (64, 48, "25", 0.8)
    size: tuple[int, int] = (0, 0)
    filters: str = "null"
    constant: bool = True
    sound: bool = False
    cut: tuple[str, str] | None = None
    patch: Callable[[bytes], bytes] = field(default=bytes)


def display(a: int, b: int, c: int, d: int) -> Callable[[bytes], bytes]:
    """A patch that replaces the identity in an mp4's track header: x' = ax + cy, y' = bx + dy, into the frame."""

    def patch(data: bytes) -> bytes:
        one = 1 << 16
        identity = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
        shift = [64 * one * (min(a, 0) + min(c, 0)) * -1, 48 * one * (min(b, 0) + min(d, 0)) * -1]
        turned = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, *shift, 1 << 30)
        place = data.index(identity, data.index(b"tkhd"))
        return data[:place] + turned + data[place + len(turned) :]

    return patch


BT2020 = "scale=out_color_matrix=bt2020"
UNEVEN = "settb=1/1000,setpts='if(lt(N,7),N*40,if(lt(N,12),280+(N-7)*17,400+(N-12)*100))'"
CORPUS = (
    Made("h264.mp4", X264),
    Made("h264_one_frame.mp4", X264, frames=1, source=(64, 48, "25", 0.04)),
    Made("h264_b_frames.mp4", f"{X264} -bf 3 -g 12"),
    Made("h264_open_gop.mp4", f"{X264} -bf 2 -x264-params open-gop=1:keyint=6:min-keyint=6"),
    Made("h264_odd_size.mp4", f"{X264} -pix_fmt yuv444p", size=(63, 47), filters="format=yuv444p,crop=63:47"),
    Made("h264_cropped.mp4", X264, source=(66, 50, "25", 0.8)),
    Made("h264_422_10_bit.mp4", f"{X264} -pix_fmt yuv422p10le"),
    Made("h264_10_bit.mkv", f"{X264} -pix_fmt yuv420p10le"),
    Made("h264_full_range.mp4", f"{X264} -pix_fmt yuvj420p"),
    Made("h264_bt709.mp4", f"{X264} {TAGS.format('bt709')}", filters="scale=out_color_matrix=bt709"),
    Made("h264_bt601.mov", f"{X264} {TAGS.format('smpte170m')}", filters="scale=out_color_matrix=smpte170m"),
    Made("hevc_bt2020.mp4", f"{X265} -pix_fmt yuv420p10le -colorspace bt2020nc", filters=BT2020),
    Made("h264_interlaced.mp4", f"{X264} -flags +ilme+ildct -x264opts tff=1"),
    Made("h264_turned_90.mp4", X264, size=(48, 64), patch=display(0, 1, -1, 0)),
    Made("h264_turned_180.mov", X264, patch=display(-1, 0, 0, -1)),
    Made("h264_turned_270.mp4", X264, size=(48, 64), patch=display(0, -1, 1, 0)),
    Made("h264_mirrored.mp4", X264, patch=display(-1, 0, 0, 1)),
    Made("h264_transposed.mp4", X264, size=(48, 64), patch=display(0, 1, 1, 0)),
    Made("h264_anamorphic.mp4", f"{X264} -aspect 2:1"),
    Made("h264_sound.mp4", f"{X264} -c:a aac", sound=True),
    Made("h264_fragmented.mp4", f"{X264} -g 5 -movflags frag_keyframe+empty_moov"),
    Made("h264_fast_start.m4v", f"{X264} -movflags +faststart"),
    Made("h264_cut_at_start.mp4", f"{X264} -bf 2", frames=12, cut=("-ss 0.3", "")),
    Made("h264_cut_at_end.mp4", f"{X264} -bf 0", frames=10, cut=("", "-t 0.4")),
    Made("h264_cut_at_both.mov", f"{X264} -bf 0", frames=7, cut=("-ss 0.3", "-t 0.3")),
    Made("hevc_cut_at_start.mp4", f"{X265} -bf 2", frames=12, cut=("-ss 0.3", "")),
    Made("h264_late.mp4", f"{X264} -bf 2 -c:a aac", sound=True, filters="setpts=PTS+0.2/TB"),
    Made("h264_uneven.mp4", f"{X264} -enc_time_base 1:1000", filters=UNEVEN, constant=False),
    Made("h264_uneven.mkv", f"{X264} -enc_time_base 1:1000", filters=UNEVEN, constant=False),
    Made("h264_30000_1001.mp4", X264, frames=24, source=(64, 48, "30000/1001", 0.8)),
    Made("h264_60.mkv", X264, frames=30, source=(64, 48, "60", 0.5)),
    Made("h264_1.mp4", X264, frames=3, source=(64, 48, "1", 3)),
    Made("h264.ts", X264),
    Made("h264.avi", X264),
    Made("h264.3gp", X264),
    Made("hevc.mp4", X265),
    Made("hevc.ts", X265),
    Made("hevc_10_bit.mkv", f"{X265} -pix_fmt yuv420p10le"),
    Made("vp8.webm", f"-c:v libvpx {VPX}"),
    Made("vp8_hidden_frames.webm", "-c:v libvpx -b:v 200k -auto-alt-ref 1 -lag-in-frames 10 -g 60"),
    Made("vp9.webm", f"-c:v libvpx-vp9 {VPX}"),
    Made("vp9_hidden_frames.webm", "-c:v libvpx-vp9 -b:v 200k -auto-alt-ref 1 -lag-in-frames 10 -cpu-used 5"),
    Made("vp9_444.webm", f"-c:v libvpx-vp9 -pix_fmt yuv444p {VPX}"),
    Made("av1.mp4", "-c:v libaom-av1 -cpu-used 8 -usage realtime"),
    Made("av1.mkv", "-c:v libaom-av1 -cpu-used 8 -usage realtime -pix_fmt yuv420p10le"),
    Made("mpeg4.mp4", "-c:v mpeg4 -bf 2"),
    Made("mpeg4.avi", "-c:v mpeg4 -bf 0"),
    Made("mpeg4_b_frames.avi", "-c:v mpeg4 -bf 2"),
    Made("msmpeg4.avi", "-c:v msmpeg4"),
    Made("prores.mov", "-c:v prores_ks -profile:v 2"),
    Made("prores_4444.mov", "-c:v prores_ks -profile:v 4 -pix_fmt yuva444p10le"),
    Made("mjpeg.avi", "-c:v mjpeg -q:v 3"),
    Made("mjpeg.mov", "-c:v mjpeg -q:v 3 -pix_fmt yuvj422p"),
    Made("gif.gif", ""),
    Made("gif_uneven.gif", "", filters="settb=1/100,setpts='if(lt(N,7),N*4,28+(N-7)*10)'", constant=False),
    Made("mpeg1.mpg", "-c:v mpeg1video -bf 2"),
    Made("mpeg2.mpg", "-c:v mpeg2video -bf 2"),
    Made("mpeg2.mxf", "-c:v mpeg2video -bf 2"),
    Made("mpeg2_interlaced.ts", "-c:v mpeg2video -flags +ilme+ildct -top 1"),
    Made("wmv1.wmv", "-c:v wmv1"),
    Made("wmv2.wmv", "-c:v wmv2"),
    Made("h263.3gp", "-c:v h263", source=(176, 144, "25", 0.8)),
    Made("flv1.flv", "-c:v flv"),
    Made("ffv1.mkv", "-c:v ffv1"),
    Made("huffyuv.avi", "-c:v huffyuv"),
    Made("animation.mov", "-c:v qtrle"),
    Made("png.mov", "-c:v png"),
    Made("raw.avi", "-c:v rawvideo -pix_fmt bgr24"),
)


def ffmpeg(*arguments: str | Path) -> bytes:
    """Run ffmpeg and return what it writes to standard output."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, timeout=120).stdout


def make(made: Made, folder: Path) -> Path:
    """Write one file of the corpus."""
    width, height, rate, seconds = made.source
    path = folder / made.name
    whole = folder / f"whole_{made.name}" if made.cut else path
    picture = ["-f", "lavfi", "-i", f"testsrc2=size={width}x{height}:rate={rate}:duration={seconds}"]
    tone = ["-f", "lavfi", "-i", "sine=duration=0.66", "-map", "0:v", "-map", "1:a"] if made.sound else []
    passthrough = ["-fps_mode", "passthrough", "-vf", made.filters, "-threads", "1"]
    pixels = ["-pix_fmt", "yuv420p"] if re.match(r"-c:v (lib|mpeg)(?!.*-pix_fmt)", made.options) else []
    ffmpeg(*picture, *tone, *passthrough, *pixels, *made.options.split(), whole)
    if made.cut:
        before, after = made.cut
        ffmpeg(*before.split(), "-i", whole, "-c", "copy", *after.split(), path)
        whole.unlink()
    path.write_bytes(made.patch(path.read_bytes()))
    return path


def shown_times(path: Path) -> list[float]:
    """Milliseconds since the first frame of every frame that ffprobe shows."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries"]
    command += ["frame=best_effort_timestamp_time", "-of", "json", str(path)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=120).stdout)
    seconds = [float(frame.get("best_effort_timestamp_time", "nan")) for frame in found["frames"]]
    return [1000 * (second - seconds[0]) for second in seconds]


@dataclass(frozen=True)
class Truth:
    """What ffprobe and ffmpeg show of a file: times in milliseconds, (T, H, W, 3) RGB."""

    path: Path
    times: list[float]
    pixels: NDArray[np.uint8]


def make_all(folder: Path) -> dict[str, Truth]:
    """The whole corpus by file name, with what ffprobe and ffmpeg show of it."""

    def one(made: Made) -> Truth:
        path = make(made, folder)
        width, height = made.size if any(made.size) else made.source[:2]
        return Truth(path, shown_times(path), shown_pixels(path, width, height))

    with ThreadPoolExecutor(2) as threads:
        return dict(zip([made.name for made in CORPUS], threads.map(one, CORPUS), strict=True))


def shown_pixels(path: Path, width: int, height: int) -> NDArray[np.uint8]:
    """(T, H, W, 3) RGB of every frame that ffmpeg shows."""
    data = ffmpeg("-i", path, "-map", "0:v:0", "-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
    return np.frombuffer(data, np.uint8).reshape(-1, height, width, 3)
