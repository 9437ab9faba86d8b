"""Adjusted coordinates, by hand calculation."""

from __future__ import annotations

import numpy as np
import pytest
from bodies import frame_keypoints

from kpsbatch.landmarks.keypoints import adjust, adjust_face, adjust_hand, adjust_pose, view
from kpsbatch.points import CONTRACT, FULL, Topology
from kpsbatch.store.reading import coordinates_of

RANDOM = np.random.default_rng(7)


def random_parts() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    pose = RANDOM.uniform(0.2, 0.8, (33, 4)).astype(np.float32)
    face = RANDOM.uniform(0.2, 0.8, (478, 3)).astype(np.float32)
    right, left = RANDOM.uniform(0.2, 0.8, (2, 21, 3)).astype(np.float32)
    return pose, face, right, left


def test_calculation_by_hand() -> None:
    """(3, 5, 7) from (1, 1, 1) in units of a 3-4-5 triangle's long side is (0.4, 0.8, 1.2); visibility stays."""
    point = np.array([[3, 5, 7, 0.25]], np.float32)
    origin, end_a, end_b = (np.array(p, np.float32) for p in ([1, 1, 1], [0, 0, 99], [3, 4, -99]))
    assert adjust(point, origin, end_a, end_b) == pytest.approx(np.array([[0.4, 0.8, 1.2, 0.25]]))


def test_the_unit_is_never_below_a_millionth() -> None:
    """A reference length of zero divides by 1e-6 instead."""
    point, zero = np.array([[1, 2, 3]], np.float32), np.zeros(3, np.float32)
    assert adjust(point, zero, zero, zero) == pytest.approx(np.array([[1e6, 2e6, 3e6]]))


def test_origin_and_unit_of_each_part() -> None:
    """Nose, nose tip and wrist are the origins; shoulders, iris centres and palm width are 1."""
    pose, face, right, _ = random_parts()
    body = adjust_pose(pose, pose)
    assert body[0, :3] == pytest.approx(np.zeros(3), abs=1e-6)
    assert np.hypot(*(body[11, :2] - body[12, :2])) == pytest.approx(1, rel=1e-5)
    head = adjust_face(face, face)
    assert head[1] == pytest.approx(np.zeros(3), abs=1e-6)
    assert np.hypot(*(head[468, :2] - head[473, :2])) == pytest.approx(1, rel=1e-5)
    hand = adjust_hand(right, right)
    assert hand[0] == pytest.approx(np.zeros(3), abs=1e-6)
    assert np.hypot(*(hand[2, :2] - hand[17, :2])) == pytest.approx(1, rel=1e-5)


def test_the_ancestor_is_ours_from_other_references() -> None:
    """Pose minus its point 0, face minus its point 1 in distances of mesh 474 and 469, hands as they are."""
    full = RANDOM.uniform(0.2, 0.8, (5, FULL.points, 4)).astype(np.float32)
    full[3, FULL.parts["pose"]] = 0
    ours, theirs = view(full, coordinates="adjusted"), view(full, coordinates="adjusted-arabic-sl")
    pose, face = ours[:, CONTRACT.parts["pose"], :3], ours[:, CONTRACT.parts["face"], :3]
    ends = [list(CONTRACT.sources["face"]).index(mesh) for mesh in (474, 469)]
    length = np.hypot(*(face[:, ends[0], :2] - face[:, ends[1], :2]).T)[:, None, None]
    expected = {"pose": pose - pose[:, :1], "face": (face - face[:, 1:2]) / length}
    for part, points in expected.items():
        assert theirs[:, CONTRACT.parts[part], :3] == pytest.approx(points, rel=1e-3, abs=1e-4)
    for part in ("right_hand", "left_hand"):
        assert (theirs[:, CONTRACT.parts[part]] == ours[:, CONTRACT.parts[part]]).all()
    assert (theirs[..., 3] == ours[..., 3]).all()


@pytest.mark.parametrize("parts", [("pose",), ("face",), ("pose", "face", "right_hand"), ("pose", "left_hand")])
@pytest.mark.parametrize("coordinates", ["image", "adjusted", "adjusted-arabic-sl"])
def test_coordinates_are_told_apart(coordinates: str, parts: tuple[str, ...]) -> None:
    """By the reference points of whatever parts there are."""
    full = np.zeros((5, FULL.points, 4), np.float32)
    for part in parts:
        place = FULL.parts[part]
        full[:, place] = RANDOM.uniform(0.2, 0.8, full[:, place].shape)
    keypoints = view(full, coordinates=coordinates)
    assert coordinates_of(keypoints) == coordinates
    keypoints[keypoints.any(axis=2), :2] += RANDOM.choice([-1e-7, 1e-7])  # what another script's arithmetic leaves
    assert coordinates_of(keypoints) == coordinates


@pytest.mark.parametrize(("shift", "scale"), [(0.1, 1.0), (0.0, 0.5), (-0.2, 1.7)])
def test_invariant_under_translation_and_scaling(shift: float, scale: float) -> None:
    """A signer who stands elsewhere or nearer has the same adjusted keypoints."""
    pose, face, right, left = random_parts()
    moved = [part.copy() for part in (pose, face, right, left)]
    for part in moved:
        part[:, :3] = part[:, :3] * scale + np.float32([shift, 2 * shift, 0])
    here = frame_keypoints(pose, face, right, left, adjusted=True)
    there = frame_keypoints(*moved, adjusted=True)
    assert there[:, :3] == pytest.approx(here[:, :3], abs=2e-4, rel=1e-3)


@pytest.mark.parametrize("adjusted", [False, True])
def test_layout_and_visibility(adjusted: bool) -> None:
    """Pose, face, right hand and left hand lie where the contract says; the pose keeps the model's visibility."""
    pose, face, right, left = random_parts()
    row = frame_keypoints(pose, face, right, left, adjusted=adjusted)
    assert row.shape == (184, 4)
    assert row[:6, 3] == pytest.approx(pose[11:17, 3])
    assert (row[6:, 3] == 1).all()
    if not adjusted:
        assert row[:6] == pytest.approx(pose[11:17])
        assert row[6:142, :3] == pytest.approx(face[list(Topology.FACE_MESH)])
        assert row[142:163, :3] == pytest.approx(right)
        assert row[163:184, :3] == pytest.approx(left)
    else:
        assert row[142, :3] == pytest.approx(np.zeros(3), abs=1e-6)


@pytest.mark.parametrize("adjusted", [False, True])
@pytest.mark.parametrize("missing", range(4))
def test_a_missing_part_is_all_zeros(missing: int, adjusted: bool) -> None:
    """A part that was not found stays zero, adjusted or not, and the others are untouched."""
    parts = list(random_parts())
    whole = frame_keypoints(*parts, adjusted=adjusted)
    parts[missing] = None
    row = frame_keypoints(*parts, adjusted=adjusted)
    for index, part in enumerate(Topology.PARTS.values()):
        if index == missing:
            assert not row[part].any()
        else:
            assert (row[part] == whole[part]).all()
