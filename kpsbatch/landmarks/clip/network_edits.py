"""Edits that let MediaPipe's image embedder run the networks of the bundles: outputs that nobody reads are left out.

Inside a network nothing is summed that can be summed after it: sums in a network come out in another order on another
processor. What it only chooses has the same bits everywhere.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from kpsbatch.landmarks.bundles import Bundle
from kpsbatch.landmarks.graph_edits import Graph, image_metadata

HEATMAP_REACH = 3
"""Cells around a landmark that its refinement looks at: `kernel_size: 7` in MediaPipe's pose landmark graphs."""

HEATMAP_CELL = 4
"""Pixels of the pose network's picture for each cell of its heatmap, in each direction."""


class EditedNetwork(NamedTuple):
    """A network for the embedder: the bytes of a .tflite file, and the side of its square input in pixels."""

    data: bytes
    side: int


def edited_networks(bundles: Mapping[str, Bundle]) -> dict[str, EditedNetwork]:
    """The six networks of the bundles, edited, by their names there without `.tflite`; takes half a second.

    Raises:
        ModelError: A bundle can't be read.
    """
    edits = {
        "pose": (partial(detector_network, mean=127.5, std=127.5), pose_network),
        "face": (partial(detector_network, mean=127.5, std=127.5), face_network),
        "hand": (partial(detector_network, mean=0.0, std=255.0), hand_network),
    }
    edited = {}
    for part, (edit_detector, edit_landmarks) in edits.items():
        with zipfile.ZipFile(io.BytesIO(bundles[part].read())) as archive:
            for name, edit in ((f"{part}_detector", edit_detector), (f"{part}_landmarks_detector", edit_landmarks)):
                edited[name] = edit(archive.read(f"{name}.tflite"))
    return edited


def pose_network(network: bytes) -> EditedNetwork:
    """The pose landmark network with presence [1, 1], landmarks [1, 195] and `cells_around` (39 x 7 x 7) as outputs.

    Args:
        network: `pose_landmarks_detector.tflite` of a bundle, built or official.
    """
    graph = Graph(network)
    landmarks, presence, _, heatmap, *_ = graph.main.outputs.tolist()
    graph.set_outputs([presence, landmarks, _flat(graph, "around", cells_around(graph, landmarks, heatmap))])
    return _with_metadata(graph, 0.0, 255.0)


def cells_around(graph: Graph, landmarks: int, heatmap: int) -> int:
    """Append the choice of the heatmap's cells around each landmark; returns a tensor (points, 7 rows, 7 columns).

    The whole heatmap has 64 x 64 x 39 cells; handing all of them out takes a fifteenth of a run. Where a cell would be
    beyond the edge there is the nearest one at the edge.

    Args:
        graph: The pose landmark network.
        landmarks: (1, 195) x, y, z in pixels, raw visibility and presence of 39 points.
        heatmap: (1, cells, cells, 39) raw confidences.
    """
    _, cells, _, points = graph.shape(heatmap)
    width = 2 * HEATMAP_REACH + 1

    def combined(kind: str, name: str, tensor: int, values: ArrayLike) -> int:
        return graph.combine(kind, name, tensor, graph.floats(f"{name}/values", values))

    x = np.arange(0, 5 * points, 5)[None, :, None]
    flat = graph.reshape("flat_landmarks", landmarks, [5 * points])
    pixels = graph.gather("pixels", flat, np.concatenate([x, x + 1]), axis=0)
    cell = graph.floor("cell", combined("MUL", "in_cells", pixels, [1 / HEATMAP_CELL]))
    around = combined("ADD", "around", cell, np.arange(-HEATMAP_REACH, HEATMAP_REACH + 1))
    inside = combined("MINIMUM", "to_last", combined("MAXIMUM", "from_first", around, [0]), [cells - 1])
    column = graph.reshape("column", graph.gather("columns", inside, [0], axis=0), [points, 1, width])
    row = graph.reshape("row", graph.gather("rows", inside, [1], axis=0), [points, width, 1])
    in_row = combined("ADD", "in_row", combined("MUL", "before", column, [points]), np.arange(points)[:, None, None])
    number = graph.combine("ADD", "number", combined("MUL", "rows_before", row, [cells * points]), in_row)
    return graph.pick("cells", graph.reshape("flat_heatmap", heatmap, [cells * cells * points]), number)


def face_network(network: bytes) -> EditedNetwork:
    """The face landmark network with presence and landmarks (478 x 3) as outputs.

    Args:
        network: `face_landmarks_detector.tflite` of a bundle, built or official.
    """
    graph = Graph(network)
    outputs = {_size(graph, output): output for output in graph.main.outputs.tolist()}
    graph.set_outputs([outputs[1], outputs[478 * 3]])
    return _with_metadata(graph, 0.0, 255.0)


def hand_network(network: bytes) -> EditedNetwork:
    """The hand landmark network with presence, handedness and landmarks (21 x 3) as outputs.

    Args:
        network: `hand_landmarks_detector.tflite` of a bundle, built or official.
    """
    graph = Graph(network)
    landmarks, presence, handedness, *_ = graph.main.outputs.tolist()
    graph.set_outputs([presence, handedness, landmarks])
    return _with_metadata(graph, 0.0, 255.0)


def detector_network(network: bytes, *, mean: float, std: float) -> EditedNetwork:
    """A detector that gives raw scores and raw boxes of all its anchors.

    Args:
        network: The detector of a bundle, built or official.
        mean: Of its input, in 0 to 255.
        std: Of its input.
    """
    graph = Graph(network)
    scores, boxes = sorted(graph.main.outputs.tolist(), key=lambda output: graph.shape(output)[-1])
    graph.set_outputs([_flat(graph, "scores", scores), _flat(graph, "boxes", boxes)])
    return _with_metadata(graph, mean, std)


def _with_metadata(graph: Graph, mean: float, std: float) -> EditedNetwork:
    graph.set_metadata(image_metadata("kpsbatch", mean=mean, std=std))
    return EditedNetwork(graph.pack(), graph.shape(graph.main.inputs[0])[1])


def _flat(graph: Graph, name: str, tensor: int) -> int:
    """A tensor as [1, N], which the embedder takes."""
    return graph.reshape(f"flat_{name}", tensor, [1, _size(graph, tensor)])


def _size(graph: Graph, tensor: int) -> int:
    size = 1
    for length in graph.shape(tensor):
        size *= length
    return size
