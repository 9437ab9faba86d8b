"""Where a core's time goes: both running modes against the plain way, and their networks' own time against the whole.

    python benchmarks/network_times.py CLIP... [--square 256] [--length 60] [--rounds 5] [--litert DIR]

A CLIP is a video file, a folder of frames or KArSL's tree; `--square` cuts the middle out at this size, `--length` cuts
videos of so many frames. The ways take turns video by video, in one process; times are of its processor, all threads.

For each mode a table that adds up: how often each network runs, its own time (a run through MediaPipe's graph less that
of an empty network, and less the graph), what the graph around a run takes (picture to tensor, threads, results: a run
of the empty network), and the rest (squares, Python). `--litert DIR` names the site-packages of an
environment with `ai-edge-litert`, to run the same networks there as well; the face network has operators of MediaPipe's
own, which LiteRT does not know.
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
from mediapipe_landmarkers import close_landmarkers

from kpsbatch.config import LandmarksConfig
from kpsbatch.dataset.frame import Frame
from kpsbatch.landmarks.extract import extract
from kpsbatch.landmarks.network_files import NetworkFiles, find_networks
from kpsbatch.landmarks.networks import Networks
from kpsbatch.models.graph import Graph, image_metadata

MODES = ("clip", "image")
RUNS = 12
"""Runs of each network in each round."""


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

    def __init__(self, networks: Networks, files: NetworkFiles, image: np.ndarray) -> None:
        self._ways: dict[str, dict[str, Callable[[], object]]] = {}
        self._times: dict[str, dict[str, list[float]]] = {}
        self._empty = []
        for name, network in networks._loaded.items():
            picture = cv2.resize(image, (network.side, network.side), interpolation=cv2.INTER_LINEAR)
            data = files[name].read()
            embedder = networks._embedder(empty_network(data), gpu=False)
            ways = {
                "all": lambda n=network, p=picture: n._read(n._embedder, p),
                "graph": lambda n=network, e=embedder, p=picture: n._read(e, p),
            }
            if litert := litert_run(data):
                ways["litert"] = litert
            self._empty.append(embedder)
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
        for embedder in self._empty:
            embedder.close()


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
    files = find_networks()
    made = {mode: Networks(LandmarksConfig.model_validate({"running_mode": mode}), files) for mode in MODES}
    ways = {"plain way": lambda video: [plain.detect(frame.image) for frame in video]}
    ways |= {mode: lambda video, networks=networks: extract(video, networks) for mode, networks in made.items()}
    for way in ways.values():
        way(videos[0])
    times = NetworkTimes(made["clip"], files, videos[0][0].image)
    times.measure()
    before = {mode: Counter(networks.runs) for mode, networks in made.items()}
    rounds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(arguments.rounds):
        spent: Counter[str] = Counter()
        for video in videos:
            for way, run in ways.items():
                spent[way] += cpu_ms(lambda run=run, video=video: run(video))
        for way in ways:
            rounds[way].append(spent[way] / frames)
        times.measure()
    runs = {mode: Counter(networks.runs) - before[mode] for mode, networks in made.items()}
    total = {way: statistics.median(values) for way, values in rounds.items()}
    print(f"{frames} frames in {len(videos)} videos, {arguments.rounds} rounds, medians of CPU time\n")
    print("| way | ms a frame | against plain |\n|---|---|---|")
    for way, value in total.items():
        print(f"| {way} | {value:.1f} | {total['plain way'] / value:.2f} |")
    for mode in MODES:
        print_mode(mode, runs[mode], frames * arguments.rounds, total[mode], times.medians())
    times.close()
    for networks in made.values():
        networks.close()
    close_landmarkers()


if __name__ == "__main__":
    main()
