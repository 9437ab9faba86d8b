"""Nothing is invented, sides are the signer's own, and the record says how each part was found."""

from __future__ import annotations

import numpy as np
import pytest
from bodies import frame_keypoints
from rendered import keypoints_of
from synthetic.signer import render_video

from kpsbatch.config import Config
from kpsbatch.landmarks.found import MEANING, how_found, is_found
from kpsbatch.landmarks.full import empty_row, mirror
from kpsbatch.points import FULL, Topology
from kpsbatch.store.settings import settings_of

HANDS = {"right": Topology.RIGHT_HAND, "left": Topology.LEFT_HAND}


class TestHandsAtTheEdge:
    """Rendered hands that rest at the picture's lower edge; the renderer knows where their joints are."""

    def hands(self, rest: float, signer: int, mode: str):
        frames, truth = render_video(1, signer, 1, 2, rest=rest)
        keypoints, summary = keypoints_of(frames, mode)
        joints = {"right": truth.right_hand, "left": truth.left_hand}
        return keypoints, summary, joints

    @pytest.mark.parametrize("mode", ["image", "clip"])
    @pytest.mark.parametrize("rest", [0.44, 0.46, 0.48, 0.52, 0.56])
    @pytest.mark.parametrize("signer", [1, 2])
    def test_a_hand_below_the_edge_is_missing(self, rest: float, signer: int, mode: str) -> None:
        """With more than half of its joints below the picture there is no hand, though its wrist may be inside."""
        keypoints, summary, joints = self.hands(rest, signer, mode)
        assert all(((hand < 256).all(axis=-1).sum(axis=1) < 10.5).all() for hand in joints.values())
        assert not keypoints[:, Topology.RIGHT_HAND.start :].any()
        assert summary["how"]["right_hand"] == summary["how"]["left_hand"] == "--"

    @pytest.mark.parametrize("mode", ["image", "clip"])
    @pytest.mark.parametrize(("rest", "least"), [(0.36, 18), (0.40, 12)])
    def test_a_hand_that_is_cut_off_is_there_and_told_apart(self, rest: float, least: int, mode: str) -> None:
        """With most joints inside it is found within 8% of its size, and visibility is 0 just beyond the edge."""
        keypoints, _, joints = self.hands(rest, 1, mode)
        for side, part in HANDS.items():
            hand, true = keypoints[:, part], joints[side]
            assert is_found(keypoints, part).all()
            error = np.linalg.norm(hand[..., :2] * 256 - true, axis=-1)
            assert np.median(error) < 0.08 * np.linalg.norm(np.ptp(true[0], axis=0))
            assert (hand[..., 3] == (hand[..., 1] <= 1)).all()
            assert 10.5 < hand[..., 3].sum(axis=1).min() < 21
            clear = np.abs(true[..., 1] - 256) > 15
            assert ((true[..., 1] < 256) == (hand[..., 3] == 1))[clear].all()

    def test_the_search_at_the_wrist_presses_no_hand_into_the_frame(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It alone finds whole hands, and refuses those below the edge."""
        monkeypatch.setattr("kpsbatch.landmarks.hands.detected_hands", lambda moment: [])
        assert self.hands(0.34, 1, "image")[1]["how"]["right_hand"] == "ll"
        for rest in (0.42, 0.44, 0.46, 0.48):
            assert self.hands(rest, 1, "image")[1]["found"]["right_hand"] == 0


def some_parts() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.uniform(0.1, 0.9, (n, c)).astype(np.float32) for n, c in ((33, 4), (478, 3), (21, 3), (21, 3))]


class TestVisibility:
    def test_points_outside_the_frame_are_invisible_and_keep_their_place(self) -> None:
        """1 inside the frame, 0 outside, coordinates as found; the pose keeps the model's visibility."""
        pose, face, right, left = some_parts()
        right[3, 1], left[4, 0], face[Topology.FACE_MESH[5], 0] = 1.2, -0.1, 1.01
        row = frame_keypoints(pose, face, right, left, adjusted=False)
        invisible = [Topology.FACE.start + 5, Topology.RIGHT_HAND.start + 3, Topology.LEFT_HAND.start + 4]
        assert np.flatnonzero(row[6:, 3] == 0).tolist() == [i - 6 for i in invisible]
        assert row[invisible[1], 1] == pytest.approx(1.2)
        assert row[:6, 3] == pytest.approx(pose[11:17, 3])

    def test_adjusted_coordinates_have_the_same_visibility(self) -> None:
        """What is outside the frame is told by the frame, not by the adjusted numbers."""
        pose, face, right, left = some_parts()
        right[3, 1] = 1.2
        rows = [frame_keypoints(pose, face, right, left, adjusted=adjusted) for adjusted in (False, True)]
        assert (rows[0][6:, 3] == rows[1][6:, 3]).all()

    def test_a_part_is_missing_where_all_of_its_values_are_zero(self) -> None:
        """Not where its visibility is 0."""
        keypoints = np.zeros((2, 184, 4), np.float32)
        keypoints[0, Topology.LEFT_HAND, 0] = 1.3
        assert is_found(keypoints, Topology.LEFT_HAND).tolist() == [True, False]
        assert not is_found(keypoints, Topology.RIGHT_HAND).any()
        assert bool(is_found(keypoints[0], Topology.LEFT_HAND))


class TestMirrored:
    @pytest.mark.parametrize("mode", ["image", "clip"])
    @pytest.mark.parametrize("coordinates", ["image", "adjusted"])
    def test_sides_are_the_signers_and_coordinates_the_files(self, mode: str, coordinates: str) -> None:
        """A mirrored clip with `mirrored` has the sides of the clip before, at the places of the mirrored pictures."""
        frames, _ = render_video(2, 1, 1, 3)
        before, _ = keypoints_of(frames, mode, coordinates=coordinates)
        mirrored, summary = keypoints_of(frames[:, :, ::-1], mode, mirrored=True, coordinates=coordinates)
        assert summary["found"]["right_hand"] == 3
        assert mirrored[..., 1:] == pytest.approx(before[..., 1:], abs=1e-6)
        there = before.any(axis=-1)
        x = 1 - before[..., 0] if coordinates == "image" else -before[..., 0]
        step = 2**-16 if coordinates == "image" else 2**-10  # a tie in the middle of a step goes the other way
        assert mirrored[..., 0][there] == pytest.approx(x[there], abs=step)
        assert not mirrored[~there].any()

    def test_the_truth_of_the_renderer_agrees(self) -> None:
        """A one-handed sign of a mirrored right hander is a right hand, on the right of the picture."""
        frames, truth = render_video(1, 1, 1, 2)
        keypoints, summary = keypoints_of(frames[:, :, ::-1], "image", mirrored=True)
        assert (summary["found"]["right_hand"], summary["found"]["left_hand"]) == (2, 0)
        error = np.abs(keypoints[:, Topology.RIGHT_HAND, 0] * 256 - (256 - truth.right_hand[..., 0]))
        assert np.median(error) < 4

    def test_missing_parts_stay_zeros(self) -> None:
        """Mirroring moves what was found only."""
        row = empty_row()
        face, world = FULL.parts["face"], FULL.parts["right_hand_world"]
        row[face, 0], row[world, 0] = 0.2, 0.05
        mirror(row)
        assert row[face, 0] == pytest.approx(0.8)
        assert row[world, 0] == pytest.approx(-0.05)
        assert not np.delete(row, np.r_[face, world], axis=0).any()

    def test_it_is_part_of_the_fingerprint(self) -> None:
        """Outputs of mirrored and plain reading never mix."""
        tree = {"dataset": {"root": "data", "signers": ["01"], "signs": 1}, "output": {"root": "out"}}
        plain = Config.model_validate(tree)
        turned = Config.model_validate({**tree, "dataset": {**tree["dataset"], "mirrored": True}})
        assert plain.dataset.mirrored is False
        assert settings_of(plain) != settings_of(turned)


class TestLetters:
    def test_every_frame_and_part_has_a_letter(self) -> None:
        """A letter says detected, found by the pose or missing in image mode; an unreadable frame has none of all."""
        frames, _ = render_video(1, 1, 1, 3)
        keypoints, summary = keypoints_of([frames[0], None, frames[2]], "image")
        how = summary["how"]
        assert list(how) == list(Topology.PARTS)
        assert (how["pose"], how["face"], how["right_hand"], how["left_hand"]) == ("d-d", "l-l", "d-d", "---")
        for part, letters in how.items():
            assert [letter != "-" for letter in letters] == is_found(keypoints, Topology.PARTS[part]).tolist()

    def test_clip_mode_follows(self) -> None:
        """One frame is detected; from there still parts are followed both ways, also over an unreadable frame."""
        frames, _ = render_video(1, 1, 1, 4, rest=0.34)
        how = keypoints_of([frames[0], frames[1], None, frames[3]], "clip")[1]["how"]
        assert how == {"pose": "td-t", "face": "lt-t", "right_hand": "lt-t", "left_hand": "lt-t"}

    def test_a_hand_that_only_the_search_at_the_wrist_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is marked as found by the pose, and counted as recovered."""
        monkeypatch.setattr("kpsbatch.landmarks.hands.detected_hands", lambda moment: [])
        summary = keypoints_of(render_video(2, 1, 1, 2)[0], "image")[1]
        assert summary["how"]["right_hand"] == "ll" and summary["hands"]["recovered"] >= 2

    def test_letters_have_a_meaning_and_parts_that_are_not_named_are_missing(self) -> None:
        """`how_found` makes one string a part."""
        assert how_found([{"pose": "d"}, {"pose": "t", "face": "l"}]) == {
            "pose": "dt", "face": "-l", "right_hand": "--", "left_hand": "--"
        }  # fmt: skip
        assert set(MEANING) == set("dtli-")
