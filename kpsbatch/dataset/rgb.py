"""From FFmpeg's pictures to upright RGB arrays, with the colours that the `ffmpeg` command gives."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import Type as SideData

from kpsbatch.dataset.frame import RGB


class RgbConverter:
    """Converts decoded pictures; keeps its filter from one picture to the next of the same kind."""

    def __init__(self) -> None:
        self._kind: tuple[object, ...] = ()
        self._filter = Graph()

    def __call__(self, picture: av.VideoFrame) -> RGB:
        """(H, W, 3) uint8 RGB of a picture, upright: the display matrix applied.

        Colours are converted with the matrix and the range that the picture names, or BT.601 in the limited range
        where it names none. The picture keeps its size in pixels: they may be other than square.
        """
        kind = (picture.width, picture.height, picture.format.name, picture.colorspace, picture.color_range)
        if kind != self._kind:
            self._filter, self._kind = _filter_for(picture), kind
        self._filter.vpush(picture)
        image = self._filter.vpull().to_ndarray()
        return upright(image.astype(np.uint8, copy=False), _display_matrix(picture))


def upright(image: RGB, matrix: tuple[int, int, int, int]) -> RGB:
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
