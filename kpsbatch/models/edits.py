"""Edits of the six networks, so that MediaPipe's image embedder runs them: what is not read is left out.

Nothing is summed inside a network that can be summed after it: sums in a network come out in another order on another
processor. A choice has the same bits everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from importlib import resources
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from kpsbatch.landmarks.networks import HEATMAP_CELL, HEATMAP_REACH
from kpsbatch.models.dead_channels import cut_dead_channels
from kpsbatch.models.graph import Graph, image_metadata

MESH_POINTS = 468
"""Points of the face mesh; the 2 x 5 iris points follow it."""

_REFINEMENTS = ("lips", "left_eye", "right_eye", "left_iris", "right_iris")
"""Outputs 1 to 5 of face_landmark_with_attention, in order; output 0 is the mesh, 6 the presence."""


class EditedNetwork(NamedTuple):
    """A network for the embedder: the bytes of a .tflite file, and the side of its square input in pixels."""

    data: bytes
    side: int


def detector_network(network: bytes, *, mean: float, std: float) -> EditedNetwork:
    """A detector that gives the raw scores and raw boxes of all its anchors, flat.

    Args:
        network: Of the wheel, or of one of Google's bundles.
        mean: Of its input, in 0 to 255.
        std: Of its input.
    """
    graph = Graph(network)
    scores, boxes = sorted(graph.main.outputs.tolist(), key=lambda output: graph.shape(output)[-1])
    return _edited(graph, [graph.flat("flat_scores", scores), graph.flat("flat_boxes", boxes)], mean, std)


def pose_network(network: bytes) -> EditedNetwork:
    """The pose landmark network with four outputs, see `read_pose`; the last one are landmarks in metres [1, 117].

    The segmentation mask, a third of the network's work, goes.

    Args:
        network: Of the wheel, or of one of Google's bundles.
    """
    graph = Graph(network)
    landmarks, presence, _, heatmap, world = graph.main.outputs.tolist()
    around = graph.flat("flat_around", cells_around(graph, landmarks, heatmap))
    return _edited(graph, [presence, landmarks, around, world], 0.0, 255.0)


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
        network: Of the wheel: its seven outputs are merged. Or of one of Google's bundles, which has two.
    """
    graph = Graph(network)
    outputs = graph.main.outputs.tolist()
    if len(outputs) > 2:
        mesh, *refined, presence = outputs
        landmarks = merged_face(graph, mesh, refined)
    else:
        presence, landmarks = sorted(outputs, key=graph.size)
    return _edited(graph, [presence, landmarks], 0.0, 255.0)


def merged_face(graph: Graph, mesh_output: int, refined_outputs: list[int]) -> int:
    """Append the merging of a mesh and its refinements, as the legacy FaceMesh does with `refine_landmarks=True`.

    Args:
        graph: face_landmark_with_attention.
        mesh_output: 468 points x, y, z in pixels.
        refined_outputs: x, y in pixels of the points of `_REFINEMENTS`, by the tables in face_refinement.json.

    Returns:
        A tensor [1, 1, 1, 1434]: 478 points x, y, z.
    """
    tables = refinement_tables()
    mesh = graph.reshape("mesh", mesh_output, [MESH_POINTS, 3])
    candidates = [graph.gather("mesh_xy", mesh, [0, 1], axis=1)]
    chosen = np.arange(MESH_POINTS + 10)
    row = MESH_POINTS
    for name, output in zip(_REFINEMENTS, refined_outputs, strict=True):
        replaced = tables[name]
        candidates.append(graph.reshape(f"{name}_xy", output, [len(replaced), 2]))
        chosen[replaced] = np.arange(row, row + len(replaced))
        row += len(replaced)
    xy = graph.gather("xy", graph.concatenate("candidates_xy", candidates, axis=0), chosen, axis=0)

    mesh_z = graph.gather("mesh_z", mesh, [2], axis=1)
    iris_z = []
    for name in ("left_iris", "right_iris"):
        contour = graph.gather(f"{name}_contour_z", mesh_z, tables[f"{name}_z_mean_of"], axis=0)
        iris_z.append(graph.mean(f"{name}_z", contour, axis=0))
    levels = [*range(MESH_POINTS), *[MESH_POINTS] * 5, *[MESH_POINTS + 1] * 5]
    z = graph.gather("z", graph.concatenate("candidates_z", [mesh_z, *iris_z], axis=0), levels, axis=0)
    points = graph.concatenate("points", [xy, z], axis=1)
    return graph.reshape("landmarks", points, [1, 1, 1, 3 * (MESH_POINTS + 10)])


def hand_network(network: bytes) -> EditedNetwork:
    """The hand landmark network with presence, handedness, landmarks (21 x 3) and landmarks in metres as outputs.

    Of the wheel's network 1,499 channels are 0 for any picture; they go.

    Args:
        network: Of the wheel, or of one of Google's bundles.
    """
    graph = Graph(network)
    cut_dead_channels(graph)
    landmarks, presence, handedness, world = graph.main.outputs.tolist()
    return _edited(graph, [presence, handedness, landmarks, world], 0.0, 255.0)


EDITS: Final[Mapping[str, Callable[[bytes], EditedNetwork]]] = {
    "pose_detector": partial(detector_network, mean=127.5, std=127.5),
    "pose_landmarks": pose_network,
    "face_detector": partial(detector_network, mean=127.5, std=127.5),
    "face_landmarks": face_network,
    "palm_detector": partial(detector_network, mean=0.0, std=255.0),
    "hand_landmarks": hand_network,
}
"""What makes each network ready to run."""


@lru_cache
def refinement_tables() -> dict[str, list[int]]:
    """Which points of the mesh each refinement replaces, and which give the depth of the irises."""
    text = resources.files("kpsbatch.models").joinpath("face_refinement.json").read_text("utf-8")
    tables: dict[str, Any] = json.loads(text)
    return {name: table for name, table in tables.items() if isinstance(table, list)}


def _edited(graph: Graph, outputs: list[int], mean: float, std: float) -> EditedNetwork:
    graph.set_outputs(outputs)
    graph.set_metadata(image_metadata("kpsbatch", mean=mean, std=std))
    return EditedNetwork(graph.pack(), graph.shape(graph.main.inputs[0])[1])
