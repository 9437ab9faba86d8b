"""The synthetic signer: what it shows, and that MediaPipe sees it."""

from __future__ import annotations

import numpy as np
import pytest
from plain_landmarkers import close_landmarkers, open_landmarker, picture

from synthetic.signer import Truth, render_video

MAX_STEP = 30.0  # pixels of a 256-pixel frame, between frames of an 18-frame video


def hands_of(truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    return truth.right_hand, truth.left_hand


class TestRenderVideo:
    def test_is_deterministic(self):
        """The same arguments give the same pixels and joints."""
        first, second = render_video(2, 1, 1, 3), render_video(2, 1, 1, 3)
        np.testing.assert_array_equal(first[0], second[0])
        for name in ("pose", "right_hand", "left_hand"):
            np.testing.assert_array_equal(getattr(first[1], name), getattr(second[1], name))

    @pytest.mark.parametrize("other", [(3, 1, 1), (1, 2, 1), (1, 1, 2)])
    def test_differs_between_signs_signers_and_takes(self, other):
        """Another sign, signer or take gives other pixels."""
        assert not np.array_equal(render_video(1, 1, 1, 3)[0], render_video(*other, 3)[0])

    @pytest.mark.parametrize("size", [128, 256, 300])
    def test_shapes_and_types(self, size):
        """Frames are (T, size, size, 3) bytes, joints are float32 with a leading T."""
        video, truth = render_video(1, 1, 1, 2, size)
        assert (video.shape, video.dtype) == ((2, size, size, 3), np.uint8)
        assert (truth.pose.shape, truth.pose.dtype) == ((2, 6, 2), np.float32)
        assert truth.right_hand.shape == truth.left_hand.shape == (2, 21, 2)

    def test_one_frame(self):
        """A video of one frame shows the hand raised."""
        _, truth = render_video(1, 1, 1, 1)
        assert np.isfinite(truth.right_hand).all()

    @pytest.mark.parametrize("sign", range(1, 10))
    @pytest.mark.parametrize("signer", [1, 2])
    def test_truth_is_inside_the_frame(self, sign, signer):
        """Joints are in the picture or NaN, and a hand is there as a whole or not at all."""
        _, truth = render_video(sign, signer, 1, 8, 128)
        for joints in (truth.pose, *hands_of(truth)):
            shown = joints[np.isfinite(joints)]
            assert ((shown >= 0) & (shown < 128)).all()
        for hand in hands_of(truth):
            assert set(np.isnan(hand).sum(axis=(1, 2))) <= {0, 42}

    @pytest.mark.parametrize("sign", range(1, 10))
    def test_moves_smoothly(self, sign):
        """No joint of a hand jumps, and a hand doesn't come and go."""
        _, truth = render_video(sign, 1, 1, 18)
        for hand in hands_of(truth):
            assert np.isnan(hand).all() or np.isfinite(hand).all()
            if np.isfinite(hand).all():
                assert np.linalg.norm(np.diff(hand, axis=0), axis=2).max() < MAX_STEP

    @pytest.mark.parametrize("sign", [1, 2])
    def test_right_hand_is_on_the_left_of_the_picture(self, sign):
        """The signer faces the camera; the left hand shows up in two-handed signs only."""
        _, truth = render_video(sign, 1, 1, 3)
        assert (truth.right_hand[..., 0] < 128).all()
        assert np.isnan(truth.left_hand).all() if sign == 1 else (truth.left_hand[..., 0] > 128).all()


def test_mediapipe_finds_the_hands():
    """MediaPipe's hand landmarker finds every hand, with a median joint error within 4% of the hand's size."""
    errors = []
    landmarker = open_landmarker("hand", num_hands=2)
    try:
        for sign, signer in ((1, 1), (2, 2)):
            video, truth = render_video(sign, signer, 1, 4)
            for frame, *hands in zip(video, *hands_of(truth), strict=True):
                result = landmarker.detect(picture(frame))
                found = [np.array([[p.x, p.y] for p in hand]) * 256 for hand in result.hand_landmarks]
                for hand in (h for h in hands if np.isfinite(h).all()):
                    distances = [np.median(np.linalg.norm(f - hand, axis=1)) for f in found]
                    errors.append(min(distances, default=np.inf) / np.linalg.norm(np.ptp(hand, axis=0)))
    finally:
        close_landmarkers()
    assert np.isfinite(errors).all()
    assert np.median(errors) <= 0.04
    assert max(errors) <= 0.10
