"""Where a core's time goes: every running mode against the plain way, and its networks' own time against the whole.

    python benchmarks/landmarkers.py CLIP... [--square 256] [--length 60] [--rounds 5] [--litert DIR]

A CLIP is a video file, a folder of frames or KArSL's tree; `--square` cuts the middle out at this size, `--length` cuts
videos of so many frames. The ways take turns video by video, in one process; times are of its processor, all threads.

For each mode a table that adds up: how often each network runs, its own time (a run through MediaPipe's graph less that
of an empty network, and less the graph), what the graph around a run takes (picture to tensor, threads, results: a run
of the empty network), and the rest (squares, second look, Python). `--litert DIR` names the site-packages of an
environment with `ai-edge-litert`, to run the same networks there as well; the face network has operators of MediaPipe's
own, which LiteRT does not know. Runs in vain are not told by image and video mode, and count as rest.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import clips
import cv2
import numpy as np
import plain

from kpsbatch.config import LandmarksConfig
from kpsbatch.dataset.frame import Frame
from kpsbatch.landmarks.bundles import find_bundles
from kpsbatch.landmarks.clip.network_edits import EditedNetwork
from kpsbatch.landmarks.clip.networks import Network
from kpsbatch.landmarks.extract import extract
from kpsbatch.landmarks.graph_edits import Graph, image_metadata
from kpsbatch.landmarks.landmarker import Landmarker

MODES = ("clip", "image", "video")
MOST = {"pose": 1, "face": 1, "hand": 2}
RUNS = 12
"""Runs of each network in each round."""


class Meter:
    """Reads results as a landmarker's own reader does, and counts the runs of the networks by what was found.

    A detector runs in every frame of image mode; in video mode where the frame before had fewer than it may track,
    whose landmarks are then looked for first.
    """

    def __init__(self, landmarker: Landmarker) -> None:
        self._reader, self._hand_in = landmarker._reader, landmarker._hand_in
        self._before: Counter[str] = Counter()
        self.runs: Counter[str] = Counter()
        landmarker._reader = self

    def pose(self, landmarker, image, clock):
        return self._counted("pose", self._reader.pose(landmarker, image, clock), clock)

    def face(self, landmarker, image, clock):
        return self._counted("face", self._reader.face(landmarker, image, clock), clock)

    def hands(self, landmarker, image, clock):
        found = self._reader.hands(landmarker, image, clock)
        if landmarker is self._hand_in:  # its detector does nothing
            self.runs["hand_landmarks_detector"] += 1
            return found
        return self._counted("hand", found, clock)

    def _counted(self, part, found, clock):
        count = 0 if found is None else len(found) if part == "hand" else 1
        before = self._before[part] if clock is not None else 0
        self.runs[f"{part}_detector"] += before < MOST[part]
        self.runs[f"{part}_landmarks_detector"] += max(count, before)
        if clock is not None:
            self._before[part] = count
        return found


def cut_videos(arguments: argparse.Namespace) -> Iterator[list[Frame]]:
    """The videos to measure with."""
    for path in arguments.clips:
        for place in clips.find_clips(path):
            images = clips.load(place, arguments.square)
            for start in range(0, len(images), arguments.length):
                part = images[start : start + arguments.length]
                yield [Frame(image, round(1000 * index / 30), str(index)) for index, image in enumerate(part)]


def empty_network(network: bytes) -> bytes:
    """A network of the same input that gives one of its numbers."""
    graph = Graph(network)
    number = graph.main.inputs[0]
    for axis in (1, 2, 3):
        number = graph.gather(f"axis_{axis}", number, [0], axis)
    graph.set_outputs([graph.reshape("number", number, [1, 1])])
    graph.set_metadata(image_metadata("empty", mean=0.0, std=255.0))
    return graph.pack()


def cpu_ms(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return 1000 * (time.process_time() - started)


def litert_run(network: bytes) -> Callable[[], object] | None:
    """A run of a network in LiteRT, one thread; None where that is not installed or does not know an operator."""
    try:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=network, num_threads=1)
        interpreter.allocate_tensors()
    except (ImportError, RuntimeError):
        return None
    return interpreter.invoke


class NetworkTimes:
    """Times of single runs of each network: `all` through MediaPipe's graph, `graph` with an empty one, in `litert`."""

    def __init__(self, landmarker: Landmarker, kept: list[bytes], image: np.ndarray) -> None:
        self._ways: dict[str, dict[str, Callable[[], object]]] = {}
        self._times: dict[str, dict[str, list[float]]] = {}
        self._empty = []
        for (name, network), data in zip(landmarker.networks._loaded.items(), tuple(kept), strict=True):
            picture = cv2.resize(image, (network.side, network.side), interpolation=cv2.INTER_LINEAR)
            nothing = EditedNetwork(empty_network(data), network.side)
            empty = Network(nothing, landmarker._make_embedder, landmarker._embed)
            ways = {"all": lambda n=network, p=picture: n.run(p), "graph": lambda n=empty, p=picture: n.run(p)}
            if litert := litert_run(data):
                ways["litert"] = litert
            self._empty.append(empty)
            self._ways[name], self._times[name] = ways, {way: [] for way in ways}

    def measure(self) -> None:
        """Some runs of each, one network after the other as in a frame: none finds its own weights in the cache."""
        for way in ("all", "graph", "litert"):
            for _ in range(RUNS):
                for name, ways in self._ways.items():
                    if way in ways:
                        self._times[name][way].append(cpu_ms(ways[way]))

    def medians(self) -> dict[str, dict[str, float]]:
        """Of each network the ms of a run, and `own`: without the graph."""
        middle = {name: {way: statistics.median(t) for way, t in ways.items()} for name, ways in self._times.items()}
        return {name: ways | {"own": ways["all"] - ways["graph"]} for name, ways in middle.items()}

    def close(self) -> None:
        for network in self._empty:
            network.close()


def keep_networks() -> list[bytes]:
    """Let every `Network` that is made from now on keep its bytes; returns them by order of making."""
    kept: list[bytes] = []
    make = Network.__init__

    def made(self, network, *others):
        kept.append(network.data)
        make(self, network, *others)

    Network.__init__ = made
    return kept


def print_mode(mode: str, runs: Counter[str], frames: int, total: float, times: dict[str, dict[str, float]]) -> None:
    """The table of one mode."""
    print(f"\n| {mode} | runs a frame | ms a run | in LiteRT | ms a frame | share |\n|---|---|---|---|---|---|")
    own = graph = 0.0
    for name, middle in times.items():
        a_frame = runs[name] / frames
        own, graph = own + a_frame * middle["own"], graph + a_frame * middle["graph"]
        litert = f"{middle['litert']:.2f}" if "litert" in middle else "-"
        spent = a_frame * middle["own"]
        print(f"| {name} | {a_frame:.2f} | {middle['own']:.2f} | {litert} | {spent:.2f} | {spent / total:.0%} |")
    print(f"| the graph around each run | {sum(runs.values()) / frames:.2f} | | | {graph:.2f} | {graph / total:.0%} |")
    rest = total - own - graph
    print(f"| the rest | | | | {rest:.2f} | {rest / total:.0%} |\n| sum, as measured | | | | {total:.2f} | 100% |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--square", type=int)
    parser.add_argument("--length", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--litert", default="")
    arguments = parser.parse_args()
    if arguments.litert:
        sys.path.append(arguments.litert)
    cv2.setNumThreads(1)
    videos = list(cut_videos(arguments))
    frames = sum(map(len, videos))
    plain.open_landmarkers(False)
    kept, bundles = keep_networks(), find_bundles()
    settings = {mode: LandmarksConfig.model_validate({"running_mode": mode}) for mode in MODES}
    landmarkers = {mode: Landmarker(settings[mode], bundles) for mode in MODES}
    clip = landmarkers["clip"]
    meters = {mode: Meter(landmarkers[mode]) for mode in ("image", "video")}
    ways = {"plain way": lambda video: [plain.detect(frame.image) for frame in video]}
    for mode, landmarker in landmarkers.items():
        ways[mode] = lambda video, made=landmarker, chosen=settings[mode]: extract(video, made, chosen)
    for way in ways.values():
        way(videos[0])
    times = NetworkTimes(clip, kept, videos[0][0].image)
    times.measure()
    runs = {"clip": Counter()}
    for meter in meters.values():
        meter.runs.clear()
    rounds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(arguments.rounds):
        before = Counter(clip.networks.runs)
        spent: Counter[str] = Counter()
        for video in videos:
            for way, run in ways.items():
                spent[way] += cpu_ms(lambda made=run, frames=video: made(frames))
        for way in ways:
            rounds[way].append(spent[way] / frames)
        runs["clip"] += Counter(clip.networks.runs) - before
        times.measure()
    runs |= {mode: meter.runs for mode, meter in meters.items()}
    total = {way: statistics.median(values) for way, values in rounds.items()}
    print(f"{frames} frames in {len(videos)} videos, {arguments.rounds} rounds, medians of CPU time\n")
    print("| way | ms a frame | against plain |\n|---|---|---|")
    for way, value in total.items():
        print(f"| {way} | {value:.1f} | {total['plain way'] / value:.2f} |")
    for mode in MODES:
        print_mode(mode, runs[mode], frames * arguments.rounds, total[mode], times.medians())
    times.close()
    for landmarker in landmarkers.values():
        landmarker.close()
    plain.close_landmarkers()


if __name__ == "__main__":
    main()
