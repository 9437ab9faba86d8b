"""Edits that let MediaPipe's image embedder run the networks of the bundles, with small outputs.

The embedder copies every output into Python, number by number, so that what is not needed is left out, and what can
be reduced is reduced inside the network: a detector gives its best boxes only, and the pose's heatmap becomes the
refined landmarks.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from kpsbatch.landmarks.bundles import Bundle
from kpsbatch.landmarks.graph_edits import Graph, image_metadata

POSE_POINTS = 39
"""Landmarks of the pose network: the 33 of the body, 2 that give the next region, 4 that are not used."""

HEATMAP_REACH = 3
"""Cells around a landmark that its refinement looks at: `kernel_size: 7` in MediaPipe's pose landmark graphs."""

BEST_BOXES = 48
"""Boxes that a detector gives: some people's, each with its overlapping neighbours."""


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
    """The pose landmark network with presence [1, 1], landmarks [1, 195] and heatmap sums [1, 4, 39] as outputs.

    The sums are those of MediaPipe's RefineLandmarksFromHeatmapCalculator, over the cells around each landmark: of the
    confidences, of the confidences times column, times row, and the largest confidence. Columns and rows count from
    0 to 63.

    Args:
        network: `pose_landmarks_detector.tflite` of a bundle, built or official.
    """
    graph = PoseGraph(network)
    landmarks, presence, _, heatmap, *_ = graph.main.outputs.tolist()
    graph.set_outputs([presence, landmarks, graph.heatmap_sums(landmarks, heatmap)])
    return _with_metadata(graph, 0.0, 255.0)


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
    """A detector that gives the `BEST_BOXES` best only: raw scores, raw boxes and the anchors' numbers.

    Args:
        network: The detector of a bundle, built or official.
        mean: Of its input, in 0 to 255.
        std: Of its input.
    """
    graph = PoseGraph(network)
    boxes, scores = sorted(graph.main.outputs.tolist(), key=lambda output: -graph.shape(output)[-1])
    anchors, values = graph.shape(boxes)[1:]
    best, indices = graph.top("best", graph.reshape("scores", scores, [anchors]), BEST_BOXES)
    rows = graph.gather_rows("boxes", graph.reshape("all_boxes", boxes, [anchors, values]), indices)
    outputs = [
        graph.reshape("best_scores", best, [1, BEST_BOXES]),
        graph.reshape("best_boxes", rows, [1, BEST_BOXES * values]),
        graph.reshape("best_anchors", graph.as_floats("anchors", indices), [1, BEST_BOXES]),
    ]
    graph.set_outputs(outputs)
    return _with_metadata(graph, mean, std)


def _with_metadata(graph: Graph, mean: float, std: float) -> EditedNetwork:
    graph.set_metadata(image_metadata("kpsbatch", mean=mean, std=std))
    return EditedNetwork(graph.pack(), graph.shape(graph.main.inputs[0])[1])


def _size(graph: Graph, tensor: int) -> int:
    size = 1
    for length in graph.shape(tensor):
        size *= length
    return size


class PoseGraph(Graph):
    """The operators that only the edits of this file need."""

    def heatmap_sums(self, landmarks: int, heatmap: int) -> int:
        """Append the sums that `pose_network` tells of; returns the new tensor, [1, 4, 39]."""
        _, height, width, channels = self.shape(heatmap)
        points = self.reshape("points", landmarks, [1, channels, 5])
        masks = []
        for axis, cells in ((0, width), (1, height)):
            place = self.gather(f"place_{axis}", points, [axis], axis=2)
            place = self.reshape(f"place_row_{axis}", place, [1, 1, channels])
            centre = self.unary("FLOOR", f"centre_{axis}", self.scale(f"cells_{axis}", place, cells / 256))
            masks.append(self.window(f"window_{axis}", centre, cells))
        columns, rows = masks
        confidence = self.unary("LOGISTIC", "confidence", heatmap)
        confidence = self.times("in_columns", confidence, self.reshape("columns", columns, [1, 1, width, channels]))
        confidence = self.times("in_rows", confidence, self.reshape("rows", rows, [1, height, 1, channels]))
        by_column = self.reduce("SUM", "by_column", confidence, 1)
        by_row = self.reduce("SUM", "by_row", confidence, 2)
        parts = [
            self.reduce("SUM", "total", by_column, 1, keep=True),
            self.reduce("SUM", "column", self.counted("column_values", by_column, width), 1, keep=True),
            self.reduce("SUM", "row", self.counted("row_values", by_row, height), 1, keep=True),
            self.reduce("REDUCE_MAX", "best", self.reduce("REDUCE_MAX", "bests", confidence, 1), 1, keep=True),
        ]
        return self.concatenate("heatmap_sums", parts, axis=1)

    def window(self, name: str, centre: int, cells: int) -> int:
        """[1, cells, C] of ones within `HEATMAP_REACH` cells of each centre [1, 1, C], zeros elsewhere."""
        channels = self.shape(centre)[-1]
        grid = [[[float(cell)] * channels for cell in range(cells)]]
        off = self.append(
            "SUB", self._fb.SubOptionsT(), [self.floats(f"{name}/cells", grid), centre], f"{name}/off",
            [1, cells, channels],
        )  # fmt: skip
        near = self.scale(f"{name}/near", self.unary("ABS", f"{name}/distance", off), -2.0)
        near = self.add(f"{name}/inside", near, [[[2.0 * HEATMAP_REACH + 1.0] * channels] * cells])
        options = self._fb.MaximumMinimumOptionsT()
        capped = self.append("MINIMUM", options, [near, self.floats(f"{name}/one", [1.0])], f"{name}/capped",
                             [1, cells, channels])  # fmt: skip
        return self.unary("RELU", name, capped)

    def unary(self, kind: str, name: str, tensor: int) -> int:
        """Append an operator without options; returns the new tensor."""
        return self.append(kind, None, [tensor], name, self.shape(tensor))

    def scale(self, name: str, tensor: int, factor: float) -> int:
        """Append MUL with one number; returns the new tensor."""
        inputs = [tensor, self.floats(f"{name}/factor", [factor])]
        return self.append("MUL", self._fb.MulOptionsT(), inputs, name, self.shape(tensor))

    def times(self, name: str, tensor: int, other: int) -> int:
        """Append MUL of two tensors, the second spread over the first; returns the new tensor."""
        return self.append("MUL", self._fb.MulOptionsT(), [tensor, other], name, self.shape(tensor))

    def counted(self, name: str, tensor: int, cells: int) -> int:
        """[1, cells, C] times 0, 1, 2 ... along `cells`; returns the new tensor."""
        channels = self.shape(tensor)[-1]
        return self.multiply(name, tensor, [[[float(cell)] * channels for cell in range(cells)]])

    def reduce(self, kind: str, name: str, tensor: int, axis: int, *, keep: bool = False) -> int:
        """Append SUM or REDUCE_MAX along one axis; returns the new tensor."""
        options = self._fb.ReducerOptionsT()
        options.keepDims = keep
        shape = self.shape(tensor)
        shape[axis : axis + 1] = [1] if keep else []
        return self.append(kind, options, [tensor, self.integers(f"{name}/axis", [axis])], name, shape)

    def top(self, name: str, tensor: int, count: int) -> tuple[int, int]:
        """Append TOPK_V2 of a vector; returns the tensors of the values and of their indices."""
        number = self.integers(f"{name}/count", count)
        values = self.append("TOPK_V2", self._fb.TopKV2OptionsT(), [tensor, number], name, [count])
        indices = self.new_tensor(f"{name}/indices", [count], self._fb.TensorType.INT32)
        self.main.operators[-1].outputs = [values, indices]
        return values, indices

    def gather_rows(self, name: str, tensor: int, indices: int) -> int:
        """Append GATHER of the rows that another tensor names; returns the new tensor."""
        options = self._fb.GatherOptionsT()
        shape = [self.shape(indices)[0], *self.shape(tensor)[1:]]
        return self.append("GATHER", options, [tensor, indices], name, shape)

    def as_floats(self, name: str, tensor: int) -> int:
        """Append CAST of integers to float32; returns the new tensor."""
        options = self._fb.CastOptionsT()
        options.inDataType, options.outDataType = self._fb.TensorType.INT32, self._fb.TensorType.FLOAT32
        return self.append("CAST", options, [tensor], name, self.shape(tensor))
