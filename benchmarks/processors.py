"""Whether keypoints depend on the processor and on MediaPipe's release: writes those of clips, and compares two files.

    python benchmarks/processors.py write OUT.npz CLIP... [--mode clip] [--frames N] [--like avx2|zen|sse]
    python benchmarks/processors.py compare A.npz B.npz

A CLIP is a video file, a folder of frames, or a folder that holds many of them. `--like` makes XNNPACK, which runs the
networks, take its code for another processor: avx2 is one without AVX-512, zen an AMD of the first generation (EPYC
7001), sse one without AVX and FMA. `write` also runs with mediapipe 0.10.21, in a Python that has it. Distances are in
pixels of each clip.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np

LIKE = {"avx2": (7, None), "zen": (7, 0x00200109), "sse": (3, None)}
"""What XNNPACK is told of the processor: the registers that it keeps (Intel's XCR0: bit 0 x87, 1 SSE, 2 AVX, 5 to 7
AVX-512), and the model where it matters (`cpuinfo_uarch_zen` of cpuinfo.h)."""

READ_REGISTERS = re.compile(rb"\x31\xc9\x0f\x01\xd0")
"""`xor ecx, ecx; xgetbv`, in machine code: reads XCR0. As long as `mov eax, NUMBER`, which takes its place."""

LIBRARY = re.compile(r"/.*(libmediapipe\.so|_framework_bindings.*\.so)$")


def import_mediapipe():
    """Import the installed MediaPipe, be it older than kpsbatch allows; kpsbatch then uses it."""
    from kpsbatch.landmarks import mediapipe_import

    if not (mediapipe_import.mediapipe_directory() / "tasks" / "c").exists():
        mediapipe_import.import_mediapipe = lambda: importlib.import_module("mediapipe")
    return mediapipe_import.import_mediapipe()


def pretend(like: str) -> None:
    """Let MediaPipe's library, loaded already but not used yet, take the processor for another one (x86-64 Linux)."""
    xcr0, model = (value and b"\xb8" + value.to_bytes(4, "little") for value in LIKE[like])  # mov eax, value
    places = 0
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "r+b", buffering=0) as memory:
        for line in maps:
            addresses, access, *_, path = line.split()
            if "x" not in access or not LIBRARY.match(path):
                continue
            start, end = (int(address, 16) for address in addresses.split("-"))
            memory.seek(start)
            code = memory.read(end - start)
            for found in READ_REGISTERS.finditer(code):
                memory.seek(start + found.start())
                memory.write(xcr0)
                places += 1
            if model:
                symbols = subprocess.run(["nm", path], check=True, capture_output=True, text=True).stdout
                symbol = next(line for line in symbols.splitlines() if line.endswith(" cpuinfo_x86_decode_uarch"))
                memory.seek(loaded_at(path) + int(symbol.split()[0], 16))
                memory.write(model + b"\xc3")  # ret
    if not places:
        sys.exit("nothing in this MediaPipe reads XCR0 in the way that was expected")


def loaded_at(path: str) -> int:
    """Where the first byte of a library is in memory."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    return min(int(line.split("-")[0], 16) for line in maps if line.endswith(path))


def write(arguments: argparse.Namespace) -> None:
    os.environ |= {"GLOG_minloglevel": "2", "TF_CPP_MIN_LOG_LEVEL": "2", "MEDIAPIPE_DISABLE_GPU": "1"}
    mediapipe = import_mediapipe()
    if arguments.like:
        pretend(arguments.like)
    from clips import read_clips

    from kpsbatch.config import LandmarksConfig
    from kpsbatch.landmarks.extract import extract
    from kpsbatch.landmarks.network_files import find_networks
    from kpsbatch.landmarks.networks import Networks

    settings = LandmarksConfig.model_validate({"running_mode": arguments.mode})
    processor = arguments.like or "the processor as it is"
    arrays = {"made_by": np.array(f"mediapipe {mediapipe.__version__}, {platform.machine()}, {processor}")}
    with Networks(settings, find_networks(arguments.models)) as networks:
        for path in arguments.clips:
            for clip in read_clips(path):
                made = extract(clip.frames[: arguments.frames], networks)
                arrays[clip.name] = made.keypoints
                arrays[f"{clip.name} size"] = np.array(clip.size)
                print(clip.name, len(made.keypoints), flush=True)
    np.savez(arguments.out, **arrays)


def compare(arguments: argparse.Namespace) -> None:
    from kpsbatch.points import CONTRACT

    with np.load(arguments.a) as a, np.load(arguments.b) as b:
        clips = [name for name in a.files if f"{name} size" in a.files and name in b.files]
        print(a["made_by"], "|", b["made_by"], "|", len(clips), "clips", sum(len(a[name]) for name in clips), "frames")
        equal = sum(np.array_equal(a[name], b[name]) for name in clips)
        print(f"{equal} clips with the same bits in every value")
        for part, points in CONTRACT.parts.items():
            distances, both, differ = [], 0, 0
            for name in clips:
                one, other = a[name][:, points], b[name][:, points]
                there = [keypoints.any((1, 2)) for keypoints in (one, other)]
                common = there[0] & there[1]
                both += common.sum()
                differ += (there[0] != there[1]).sum()
                apart = (one - other)[common][..., :2].astype(np.float64) * a[f"{name} size"]
                distances.append(np.hypot(*np.moveaxis(apart, -1, 0)).ravel())
            pixels = np.concatenate(distances)
            shares = " ".join(f"{np.percentile(pixels, share):.6f}" for share in (50, 99, 99.9, 100)) if both else "-"
            print(f"{part:11s} in both {both}, in one only {differ}; px at 50, 99, 99.9, 100%: {shares}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    writing = commands.add_parser("write")
    writing.set_defaults(do=write)
    writing.add_argument("out", type=Path)
    writing.add_argument("clips", type=Path, nargs="+")
    writing.add_argument("--mode", default="clip", choices=("image", "video", "clip"))
    writing.add_argument("--frames", type=int, help="no more of each clip")
    writing.add_argument("--models", type=Path, help="a folder of networks, as `kpsbatch models --export` writes it")
    writing.add_argument("--like", choices=LIKE)
    comparing = commands.add_parser("compare")
    comparing.set_defaults(do=compare)
    comparing.add_argument("a", type=Path)
    comparing.add_argument("b", type=Path)
    arguments = parser.parse_args()
    arguments.do(arguments)


if __name__ == "__main__":
    main()
