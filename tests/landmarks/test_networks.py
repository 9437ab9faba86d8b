"""The networks' numbers: those of MediaPipe's public API, and read as MediaPipe's own graphs read them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from plain_landmarkers import close_landmarkers, open_landmarker, picture
from plain_landmarkers import networks as source_networks
from synthetic.signer import render_video

from kpsbatch.config import LandmarksConfig
from kpsbatch.errors import ModelError
from kpsbatch.landmarks import networks as networks_module
from kpsbatch.landmarks.clip import in_frame_sizes
from kpsbatch.landmarks.mediapipe_import import import_mediapipe
from kpsbatch.landmarks.moments import Moment
from kpsbatch.landmarks.network_files import NETWORKS, find_networks
from kpsbatch.landmarks.networks import Networks, fastest_embeddings, public_embeddings
from kpsbatch.landmarks.people import find_people
from kpsbatch.landmarks.squares import cut, upright_square
from kpsbatch.models.edits import EditedNetwork, pose_network
from kpsbatch.models.graph import Graph, image_metadata


@pytest.fixture(scope="module", autouse=True)
def mediapipe() -> None:
    """Imported as the program does it, before a test imports a part of it."""
    import_mediapipe()


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Two frames of 256x256."""
    return render_video(2, 1, 1, 2)[0]


@pytest.fixture(scope="module")
def networks() -> Iterator[Networks]:
    with Networks(LandmarksConfig(), find_networks()) as made:
        yield made


def test_the_outputs_of_networks_are_those_of_the_public_api(
    frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every network, bit for bit, also when the next run has overwritten what it wrote."""
    assert fastest_embeddings() is not public_embeddings
    seen: list[list[list[np.ndarray]]] = []
    for read in (fastest_embeddings(), public_embeddings):
        monkeypatch.setattr(networks_module, "fastest_embeddings", lambda read=read: read)
        with Networks(LandmarksConfig(), find_networks()) as made:
            assert list(made._loaded) == list(NETWORKS)
            seen.append([])
            for frame in frames:
                for network in made._loaded.values():
                    seen[-1].append(network.run(cut(frame, upright_square(np.array([128, 128]), 256), network.side)))
            assert made.runs == dict.fromkeys(NETWORKS, 2)
    assert len(seen[0]) == 12
    for ours, theirs in zip(*seen, strict=True):
        assert [output.dtype for output in ours] == [np.float32] * len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)


def test_an_error_of_a_network_is_that_of_the_public_api() -> None:
    """A call that MediaPipe refuses raises what its own Python raises."""
    problems = []
    odd = np.zeros((1, 1, 3), np.uint8)
    for read in (fastest_embeddings(), public_embeddings):
        with Networks(LandmarksConfig(), find_networks()) as made:
            embedder = made._loaded["hand_landmarks"]._embedder
            grey = made._mp.Image(image_format=made._mp.ImageFormat.GRAY8, data=odd[..., 0])
            with pytest.raises((RuntimeError, ValueError)) as problem:
                read(embedder, grey)
            problems.append((type(problem.value), str(problem.value)))
    assert problems[0] == problems[1]


def test_networks_that_mediapipe_refuses_are_one_line(tmp_path: Path) -> None:
    """With a hash that fits, bytes that are no network name the setting; what was loaded is closed."""
    files = dict(find_networks())
    path = tmp_path / "hand.tflite"
    path.write_bytes(b"no network")
    sha256 = hashlib.sha256(b"no network").hexdigest()
    files["hand_landmarks"] = replace(files["hand_landmarks"], path=path, sha256=sha256)
    with pytest.raises(ModelError, match=r"do not work with MediaPipe: .*Check landmarks\.models\.") as raised:
        Networks(LandmarksConfig(), files)
    assert "\n" not in str(raised.value)


def test_a_machine_without_a_gpu_is_said() -> None:
    """`delegate: gpu` where none is usable is one line that says what to set."""
    try:
        made = Networks(LandmarksConfig(delegate="gpu"), find_networks())
    except ModelError as error:
        assert str(error).startswith("landmarks.delegate: MediaPipe can't use a GPU here: ")
        assert str(error).endswith(" Set delegate: cpu.")
    else:
        made.close()
        pytest.skip("there is a GPU that MediaPipe can use")


def test_closing_twice(frames: np.ndarray) -> None:
    """Is once."""
    made = Networks(LandmarksConfig(), find_networks())
    made.close()
    made.close()


def test_the_pose_is_read_as_mediapipe_reads_it(frames: np.ndarray, networks: Networks) -> None:
    """In the detector's square the upper body's points and their visibility equal those of MediaPipe's own graph."""
    frame = np.ascontiguousarray(frames[0])
    (found,) = find_people(Moment(frame, networks))
    try:
        (theirs,) = open_landmarker("pose").detect(picture(frame)).pose_landmarks
    finally:
        close_landmarkers()
    pose = np.array([(p.x, p.y, p.z, p.visibility) for p in theirs])
    inside = [point for point in range(17) if 0 < pose[point, 1] < 1]
    assert len(inside) >= 15
    np.testing.assert_allclose(in_frame_sizes(found.points, (256, 256))[inside, :2], pose[inside, :2], atol=0.01)
    np.testing.assert_allclose(found.points[inside, 3], pose[inside, 3], atol=0.05)


def test_the_cells_that_the_pose_network_hands_out_are_those_of_its_heatmap(frames: np.ndarray, tmp_path: Path) -> None:
    """Bit for bit, inside the picture and beyond its upper and lower edge.

    The landmarks and the presence are those of the whole network, whose segmentation the edit leaves out.
    """
    name, files = "pose_landmarks", find_networks()
    graph = Graph(source_networks()[name])
    landmarks, presence, _, heatmap, world = graph.main.outputs.tolist()
    flat = graph.reshape("flat", heatmap, [1, 64 * 64 * 39])
    graph.main.outputs = np.asarray([presence, landmarks, flat, world], np.int32)  # all operators stay
    graph.set_metadata(image_metadata("whole", mean=0.0, std=255.0))
    whole = EditedNetwork(graph.pack(), files[name].side)
    edited = pose_network(source_networks()[name])
    assert edited.data == files[name].read()
    squares = [((128, 128), 256.0), ((128, 128), 90.0), ((128, 20), 256.0), ((200, 200), 90.0)]
    pictures = [cut(frames[0], upright_square(np.array(centre), side), 256) for centre, side in squares]
    outputs = []
    for number, network in enumerate((edited, whole)):
        path = tmp_path / f"{number}.tflite"
        path.write_bytes(network.data)
        sha256 = hashlib.sha256(network.data).hexdigest()
        file = replace(files[name], path=path, sha256=sha256, side=network.side)
        with Networks(LandmarksConfig(), {**files, name: file}) as made:
            outputs.append([made._loaded[name].run(each) for each in pictures])
    beyond: set[str] = set()
    for (one, points, cells, metres), (other, same_points, all_cells, same_metres) in zip(*outputs, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(points, same_points)
        np.testing.assert_array_equal(metres, same_metres)
        xy = same_points.reshape(39, 5)[:, :2]
        beyond |= {edge for edge, is_beyond in (("top", xy < 0), ("bottom", xy > 256)) if is_beyond[:, 1].any()}
        column, row = (np.floor(xy[:, axis, None] / 4).astype(int) + np.arange(-3, 4) for axis in (0, 1))
        column, row = column.clip(0, 63)[:, None, :], row.clip(0, 63)[:, :, None]
        expected = all_cells.reshape(64, 64, 39)[row, column, np.arange(39)[:, None, None]]
        np.testing.assert_array_equal(cells.reshape(39, 7, 7), expected)
    assert beyond == {"top", "bottom"}  # x takes the same way
