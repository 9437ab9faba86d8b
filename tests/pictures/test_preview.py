"""Previews: what is drawn where, in which colour, in which format."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from bodies import LENGTH, adjusted, keypoints
from browser import CHROMIUM, NO_CHROMIUM, Page
from factories import make_config, unit_record, write_frames
from numpy.typing import NDArray
from PIL import Image

from kpsbatch.cli.main import main
from kpsbatch.config import Config
from kpsbatch.dataset.tables import Label
from kpsbatch.dataset.video import Unit, Video
from kpsbatch.errors import DatasetError, OutputError
from kpsbatch.landmarks.facts import ShotFacts, VideoFacts
from kpsbatch.pictures.clip import candidates, choose_one, clip_of_file, clip_of_unit
from kpsbatch.pictures.draw import (
    BACKGROUND,
    COLOURS,
    OUTLINE,
    WARNING,
    draw_keypoints,
    empty_canvas,
    fit_text,
    missing_parts,
    place_adjusted,
    text_width,
    write_text,
)
from kpsbatch.pictures.preview import legend, write_doubts, write_preview
from kpsbatch.points import Topology
from kpsbatch.store.reading import are_adjusted
from kpsbatch.store.records import RecordedState, record_bytes


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A dataset of one sign with two videos of grey frames, 120x80, and its output."""
    dataset = {"signers": ["01", "02"], "splits": ["train", "test"], "signs": "6-8"}
    config = make_config(tmp_path, dataset=dataset, landmarks={"frame_rate": 20})
    for name in ("take (1)", "take (2)"):
        write_frames(config.dataset.root / "01" / "01" / "train" / "0007" / name, LENGTH)
    store(config.output.root, {"take (1)": keypoints(), "take (2)": keypoints()})
    return config


MONK_TONES = ("f6ede4", "f3e7db", "f7ead0", "eadaba", "d7bd96", "a07e56", "825c43", "604134", "3a312a", "292420")
"""The Monk Skin Tone Scale, from skintone.google."""


def test_a_picture_of_doubts(config, tmp_path):
    """It shows the middle of each shot, of one shot some frames; a video without frames is said."""
    clip = clip_of_file(
        config.output.root / "01-train" / "0007.npz", "take (1)", config.dataset.root / "01/01/train/0007/take (1)"
    )
    one = VideoFacts(frames=LENGTH, shots=[ShotFacts(first=0, last=LENGTH - 1)])
    three = VideoFacts(frames=LENGTH, shots=[ShotFacts(first=n, last=n + 1) for n in (0, 2, 4)])
    assert write_doubts(clip, one, tmp_path / "one.png") == 4
    assert write_doubts(clip, three, tmp_path / "three.png") == 3
    with pytest.raises(DatasetError, match="No such file"):
        write_doubts(replace(clip, frames=Video("gone", tmp_path / "gone")), one, tmp_path / "gone.png")


BROKEN = "9 of 9 frames are unreadable"


def store(root: Path, arrays: dict[str, NDArray[np.float32]], name: str = "01-train/0007") -> Path:
    path = root / f"{name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def record(root: Path, unit: Unit, state: RecordedState, failed: dict[str, str]) -> None:
    """Write a record of videos that failed."""
    videos = {name: {"error": error} for name, error in failed.items()}
    path = root / "_kpsbatch" / "records" / "0123456789ab" / f"{unit.name}.{state}.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(record_bytes(unit_record(state, unit=unit._asdict(), videos=videos)))


def luminance(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Relative luminance as WCAG 2 defines it."""
    part = image / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ (0.2126, 0.7152, 0.0722))


def near(image: NDArray[np.uint8], x: float, y: float) -> tuple[int, ...]:
    """The colour at a place that is given in widths and heights."""
    return tuple(image[round(y * image.shape[0]), round(x * image.shape[1])].tolist())


def has(image: NDArray[np.uint8], name: str) -> bool:
    return bool((image == COLOURS[name]).all(axis=-1).any())


class TestDrawing:
    def test_places_and_colours(self):
        """Every part is at its place, in its own colour."""
        image = draw_keypoints(empty_canvas(400, 600), keypoints()[0])
        assert near(image, 0.2, 0.8) == COLOURS["right_hand"]
        assert near(image, 0.8, 0.8) == COLOURS["left_hand"]
        assert near(image, 0.65, 0.4) == near(image, 0.5, 0.4) == COLOURS["pose"]
        assert has(image, "face")
        assert len(set(COLOURS.values())) == 5

    def test_outline(self):
        """Hands and pose are seen on skin: their colours are within a dark outline, which the face does without."""
        skin = np.full((512, 512, 3), (224, 172, 105), np.uint8)
        image = draw_keypoints(skin, keypoints()[0])

        def is_outlined(x: float, y: float) -> bool:
            column, row = round(x * 512), round(y * 512)
            return bool((image[row - 8 : row + 9, column - 8 : column + 9] == OUTLINE).all(axis=-1).any())

        assert is_outlined(0.2, 0.8)
        assert is_outlined(0.5, 0.4)
        assert not is_outlined(0.5, 0.1)
        assert has(image, "face")

    @pytest.mark.parametrize("tone", MONK_TONES)
    @pytest.mark.parametrize("side", [224, 512])
    def test_stands_out(self, tone, side):
        """On skin of any tone, every line and dot has a contrast of 3 to 1 with what is beside it."""
        skin = np.full((side, side, 3), [int(tone[at : at + 2], 16) for at in (0, 2, 4)], np.uint8)
        image = draw_keypoints(skin, keypoints()[0])
        light = luminance(image)
        darkest = cv2.erode(light, np.ones((13, 13)))
        for name in ("pose", "face", "right_hand", "left_hand"):
            drawn = (image == COLOURS[name]).all(axis=-1)
            assert drawn.sum() > 50
            contrast = (light[drawn] + 0.05) / (darkest[drawn] + 0.05)
            assert (contrast >= 3).mean() > 0.99, name

    def test_colours_of_the_player(self):
        """Each colour has a contrast of 4.5 to 1 with its outline, which the player draws in the same way."""
        outline = luminance(np.array([[OUTLINE]], np.uint8))[0, 0]
        for name, colour in COLOURS.items():
            assert (luminance(np.array([[colour]], np.uint8))[0, 0] + 0.05) / (outline + 0.05) >= 4.5, name

    def test_irises(self):
        """Irises have a colour of their own, around their points."""
        kps = keypoints()[0]
        ring = [Topology.FACE.start + Topology.FACE_MESH.index(mesh) for mesh in (469, 470, 471, 472)]
        kps[ring, :2] = [(0.92, 0.1), (0.9, 0.08), (0.88, 0.1), (0.9, 0.12)]
        image = draw_keypoints(empty_canvas(800, 800), kps)
        assert has(image[:120, 680:760], "irises")
        assert not has(image[:120, 680:760], "right_hand")

    @pytest.mark.parametrize("part", Topology.PARTS)
    def test_missing_part(self, part):
        """A part that was not found is not drawn."""
        kps = keypoints()[0]
        kps[Topology.PARTS[part]] = 0
        image = draw_keypoints(empty_canvas(400, 400), kps)
        assert not has(image, part)
        assert missing_parts(kps) == [part]

    @pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
    def test_absurd_values(self, value):
        """Values that are no places stop nothing."""
        kps = keypoints()[0]
        kps[Topology.LEFT_HAND, :2] = value
        assert near(draw_keypoints(empty_canvas(400, 400), kps), 0.2, 0.8) == COLOURS["right_hand"]

    def test_text_is_on_a_solid_label(self):
        """Text is readable on any picture: its surroundings are dark whatever is below."""
        image = np.full((60, 200, 3), 255, np.uint8)
        width = write_text(image, "no left hand", 0, 0, WARNING)
        label = image[:20, :width]
        dark = (label == BACKGROUND).all(axis=-1).mean()
        assert dark > 0.5
        assert (label == WARNING).all(axis=-1).any()
        assert (image[21:] == 255).all()

    @pytest.mark.parametrize("width", [200, 256, 512, 1298])
    def test_legend(self, width):
        """The legend names every colour, however narrow the picture is."""
        strip = legend(width, "01 train, sign 7: a video")
        assert strip.shape[1] == width
        assert all(has(strip, name) for name in COLOURS)

    @pytest.mark.parametrize("text", ["a" * 300, "إشارة", "line\nbreak", "", "x"])
    def test_any_text(self, text):
        """Text of any length and script fits; line breaks are shown as such."""
        image = np.zeros((30, 100, 3), np.uint8)
        assert write_text(image, text, 10, 5) <= 90
        assert text_width(fit_text(text, 80)) <= 80


class TestAdjusted:
    def test_told_apart(self):
        """Adjusted arrays are known by any of their parts."""
        for part in Topology.PARTS.values():
            for kps, expected in ((keypoints(), False), (adjusted(), True)):
                only = np.zeros_like(kps)
                only[:, part] = kps[:, part]
                assert are_adjusted(only) is expected
        assert are_adjusted(np.zeros((3, 184, 4))) is None

    def test_told_apart_wherever_the_points_lie(self):
        """A hand that points right and down is adjusted all the same; a face half outside the frame is not."""
        hand, face = np.zeros((3, 184, 4)), np.zeros((3, 184, 4))
        hand[:, Topology.RIGHT_HAND] = np.abs(adjusted()[:3, Topology.RIGHT_HAND])
        face[:, Topology.FACE] = keypoints()[:3, Topology.FACE]
        face[:, Topology.FACE, :2] -= np.median(face[:, Topology.FACE, :2], axis=1, keepdims=True)
        assert are_adjusted(hand) is True
        assert are_adjusted(face) is False

    def test_put_together(self):
        """The face goes to the nose, each hand to its wrist, and all of it is on the canvas."""
        placed = place_adjusted(adjusted()[0])
        left, right = placed[4, :2], placed[5, :2]
        assert np.allclose(placed[Topology.LEFT_HAND][0, :2], left)
        assert np.allclose(placed[Topology.RIGHT_HAND][0, :2], right)
        shoulders = placed[:2, :2].mean(axis=0)
        face = placed[Topology.FACE, :2].mean(axis=0)
        assert abs(face[0] - shoulders[0]) < 0.02
        assert face[1] < shoulders[1]
        assert placed[..., :2].min() > 0
        assert placed[..., :2].max() < 1
        hand = np.ptp(placed[Topology.LEFT_HAND, :2], axis=0).max()
        assert 0.05 < hand < 0.4

    def test_wide_frames(self):
        """On wide frames the body keeps its shape."""
        square, wide = adjusted()[0], adjusted()[0]
        wide[:, 1] *= 16 / 9
        assert np.allclose(place_adjusted(square), place_adjusted(wide, 16 / 9), atol=1e-6)

    @pytest.mark.parametrize("part", ["pose", "left_hand"])
    def test_without(self, part):
        """Hands have a place without a pose, and a missing hand stays away."""
        kps = adjusted()[0]
        kps[Topology.PARTS[part]] = 0
        image = draw_keypoints(empty_canvas(300, 300), place_adjusted(kps))
        assert has(image, "right_hand")
        assert not has(image, part)

    def test_edge_on_hand(self):
        """A hand of which the palm is seen from the edge does not fill the picture."""
        kps = adjusted()[0]
        kps[Topology.LEFT_HAND, :2] *= 50
        assert np.ptp(place_adjusted(kps)[Topology.LEFT_HAND, :2], axis=0).max() < 0.4


class TestFormats:
    def test_sheet(self, config, tmp_path):
        """A PNG shows the frames with their keypoints."""
        clip = clip_of_unit(config, Unit("01", "train", 7), "take (2)", labels={7: Label(7, "شكرا", "thank you")})
        assert clip.title == "01 train, sign 7 thank you: take (2)"
        assert write_preview(clip, tmp_path / "x" / "p.png") == LENGTH
        image = cv2.cvtColor(cv2.imread(str(tmp_path / "x" / "p.png")), cv2.COLOR_BGR2RGB)
        cell = image[-2 * 320 - 6 : -326, :480]
        assert near(cell, 0.2, 0.8) == COLOURS["right_hand"]
        assert near(cell, 0.8, 0.8) == COLOURS["left_hand"]
        assert near(cell, 0.5, 0.95) == (128, 128, 128)
        assert [path.name for path in (tmp_path / "x").iterdir()] == ["p.png"]

    @pytest.mark.parametrize(("name", "codec"), [("p.mp4", "h264"), ("p.webm", "vp9")])
    @pytest.mark.parametrize("speed", [1.0, 0.5])
    def test_video(self, config, tmp_path, name, codec, speed):
        """A video holds all frames at their own rate, or slower, in a codec and a pixel format that browsers play."""
        write_preview(clip_of_unit(config, Unit("01", "train", 7)), tmp_path / name, speed)
        with av.open(str(tmp_path / name)) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.pix_fmt) == (codec, "yuv420p")
            frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(stream)]
        assert [time for time, _ in frames] == pytest.approx(
            [number / 20 / speed for number in range(LENGTH)], abs=1e-3
        )
        drawn = frames[2][1][-512:]
        assert np.abs(np.array(near(drawn, 0.2, 0.8)) - COLOURS["right_hand"]).max() < 60
        assert [path.name for path in tmp_path.glob("p.*")] == [name]

    @pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)
    def test_browsers_play_it(self, config, tmp_path):
        """A browser plays both kinds of video to their ends."""
        for name in ("p.mp4", "p.webm"):
            write_preview(clip_of_unit(config, Unit("01", "train", 7)), tmp_path / name)
        videos = "".join(f'<video muted src="{name}"></video>' for name in ("p.mp4", "p.webm"))
        (tmp_path / "page.html").write_text(f"<!DOCTYPE html>{videos}")
        script = """Promise.all([...document.querySelectorAll("video")].map(async (video) => {
            const ended = new Promise((done) => video.addEventListener("ended", done));
            await video.play();
            await ended;
            return [video.videoWidth, Math.round(video.duration * 100)]; }))"""
        with Page(tmp_path / "page.html", tmp_path) as page:
            assert page.run(script) == [[768, 25], [768, 25]]

    @pytest.mark.parametrize("speed", [1.0, 0.5])
    def test_gif(self, config, tmp_path, speed):
        """A GIF holds all frames and takes as long as the video, or twice as long at half the speed."""
        write_preview(clip_of_unit(config, Unit("01", "train", 7)), tmp_path / "p.gif", speed)
        with Image.open(tmp_path / "p.gif") as image:
            durations = 0
            for number in range(getattr(image, "n_frames", 1)):
                image.seek(number)
                durations += image.info["duration"]
            assert durations == LENGTH * 50 / speed
            drawn = np.asarray(image.convert("RGB"))[-256:]
        assert np.abs(np.array(near(drawn, 0.8, 0.8)) - COLOURS["left_hand"]).max() < 30

    def test_gif_colours(self, config, tmp_path):
        """On colourful frames, too, every part of a GIF has exactly its colour."""
        shades = np.random.default_rng(1).integers(0, 256, (80, 120, 3), np.uint8)
        for path in (config.dataset.root / "01" / "01" / "train" / "0007" / "take (1)").iterdir():
            cv2.imwrite(str(path), shades)
        write_preview(clip_of_unit(config, Unit("01", "train", 7)), tmp_path / "p.gif")
        with Image.open(tmp_path / "p.gif") as image:
            image.seek(LENGTH - 1)
            drawn = np.asarray(image.convert("RGB"))[-256:]
        assert near(drawn, 0.2, 0.8) == COLOURS["right_hand"]
        assert near(drawn, 0.8, 0.8) == COLOURS["left_hand"]

    def test_video_file_rate(self, tmp_path):
        """The rate of a video file is its own."""
        writer = cv2.VideoWriter(str(tmp_path / "v.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 12.5, (64, 64))
        for _ in range(LENGTH):
            writer.write(np.full((64, 64, 3), 90, np.uint8))
        writer.release()
        path = store(tmp_path, {"v": keypoints()})
        write_preview(clip_of_file(path, None, tmp_path / "v.mp4"), tmp_path / "p.mp4")
        assert cv2.VideoCapture(str(tmp_path / "p.mp4")).get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)

    def test_adjusted_by_record(self, config, tmp_path):
        """Adjusted outputs are drawn on an empty canvas, known by the settings beside their record."""
        store(config.output.root, {"take (1)": adjusted()})
        records = config.output.root / "_kpsbatch" / "records" / "0123456789ab"
        (records / "01-train").mkdir(parents=True)
        (records / "settings.json").write_text(json.dumps({"landmarks": {"coordinates": "adjusted"}}))
        (records / "01-train" / "0007.json").write_text(
            json.dumps({"videos": {"take (1)": {"frames": 5, "sizes": {"120x80": 5}}}})
        )
        clip = clip_of_unit(config, Unit("01", "train", 7))
        assert (clip.adjusted, clip.frames, clip.aspect) == (True, None, 1.5)
        (records / "settings.json").write_text(json.dumps({"landmarks": {"coordinates": "image"}}))
        assert clip_of_unit(config, Unit("01", "train", 7), adjusted=True).adjusted is False  # the record knows
        assert write_preview(clip, tmp_path / "p.png") == LENGTH

    def test_unreadable_frame(self, config, tmp_path):
        """An unreadable frame is an empty canvas that says so; the others are drawn."""
        (config.dataset.root / "01" / "01" / "train" / "0007" / "take (1)" / "0.png").write_bytes(b"")
        assert write_preview(clip_of_unit(config, Unit("01", "train", 7)), tmp_path / "p.png") == LENGTH

    def test_fewer_frames(self, config, tmp_path):
        """Frames that were added or removed since do no harm."""
        store(config.output.root, {"take (1)": keypoints(3), "take (2)": keypoints(9)})
        for name, drawn in (("take (1)", 3), ("take (2)", LENGTH)):
            assert write_preview(clip_of_unit(config, Unit("01", "train", 7), name), tmp_path / "p.gif") == drawn


class TestChoice:
    @pytest.fixture
    def many(self, config):
        """Three units with outputs: one complete, one partial; and one of which all videos failed."""
        store(config.output.root, {"take (1)": keypoints(), "only here": keypoints()}, "02-test/0006")
        record(config.output.root, Unit("01", "train", 7), "partial", {"take (3)": BROKEN})
        record(config.output.root, Unit("02", "train", 8), "failed", {"take (8)": BROKEN, "take (9)": BROKEN})
        return config

    def selected(self, config, **chosen):
        return config.model_copy(update={"dataset": config.dataset.model_copy(update=chosen)})

    def test_first_with_an_output(self, many):
        """What is left open is the first that has an output, in the order of the config."""
        assert choose_one(many).unit == Unit("01", "train", 7)
        assert choose_one(self.selected(many, signers=("02", "01"))).unit == Unit("02", "test", 6)
        assert choose_one(self.selected(many, signs=(6,))).video == "take (1)"

    def test_everywhere(self, many):
        """A video is looked for in all units: by its name, a part of it, or its unit and name."""
        root = many.output.root
        for source in (many, root):
            for video in ("only here", "only", "02-test/0006: only here", "0006: only"):
                assert choose_one(source, video)[:2] == (root / "02-test" / "0006.npz", "only here")
        assert choose_one(many, "02-test/0006: take (1)").unit == Unit("02", "test", 6)

    def test_several(self, many):
        """Where several fit, all are named, failed ones, too; the selection narrows it down."""
        text = r"'take \(1\)' fits 2 videos: '01-train/0007: take \(1\)', '02-test/0006: take \(1\)'\. Name one"
        with pytest.raises(OutputError, match=text):
            choose_one(many, "take (1)")
        with pytest.raises(OutputError, match=r"fits 6 videos: .*'01-train/0007: take \(3\) \(failed\)'"):
            choose_one(many, "take")
        assert choose_one(self.selected(many, signers=("02",)), "take (1)").unit == Unit("02", "test", 6)

    @pytest.mark.parametrize(
        ("chosen", "video", "place", "more"),
        [
            ({}, "take (3)", "01-train/0007: take (3)", ""),
            ({}, "(9)", "02-train/0008: take (9)", ""),
            ({"signs": (8,)}, None, "02-train/0008: take (8)", " So did 1 more."),
        ],
    )
    def test_failed(self, many, chosen, video, place, more):
        """A video that failed says so, and why."""
        text = f"{place} failed, so that it has no keypoints: {BROKEN}.{more} Fix the data, then run again with --retry"
        with pytest.raises(OutputError, match=re.escape(text)):
            choose_one(self.selected(many, **chosen), video)

    def test_failed_in_a_file(self, many):
        """So does one of an npz, whose record lies beside it."""
        text = f"01-train/0007: take (3) failed, so that it has no keypoints: {BROKEN}"
        with pytest.raises(OutputError, match=re.escape(text)):
            choose_one(many.output.root / "01-train" / "0007.npz", "take (3)")

    def test_view_says_it_too(self, many):
        """The player's page looks for videos in the same way."""
        with pytest.raises(OutputError, match=r"take \(3\) failed, so that it has no keypoints"):
            candidates(many, "take (3)")

    def test_none(self, config, tmp_path):
        """What is not there is named, with what is."""
        with pytest.raises(OutputError, match=r"no output of what is selected\. Signs with an output: 7\."):
            choose_one(self.selected(config, signs=(6,)))
        with pytest.raises(OutputError, match=r"no video fits 'x'\. Choose among '01-train/0007: take \(1\)', "):
            choose_one(config, "x")
        (config.output.root / "01-train" / "0007.npz").unlink()
        with pytest.raises(OutputError, match=r"holds no output\. Run the config first\."):
            choose_one(config)

    def test_no_such_video(self, config):
        """A name that a unit's file does not have is refused; parts of names are for `choose_one`."""
        for name in ("take", "nothing"):
            with pytest.raises(OutputError, match=f"holds no video '{name}' but 2 others"):
                clip_of_unit(config, Unit("01", "train", 7), name)
        assert choose_one(config, "(2)").video == "take (2)"

    def test_frames_are_gone(self, config):
        """Without its frames a video can be drawn on an empty canvas."""
        store(config.output.root, {"gone": keypoints()})
        with pytest.raises(DatasetError, match=r"holds no frames of 'gone'\. Restore them, or .* --no-pictures"):
            clip_of_unit(config, Unit("01", "train", 7))
        assert clip_of_unit(config, Unit("01", "train", 7), blank=True).frames is None

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", None])
    def test_no_output(self, tmp_path, content):
        """A file that is no output is one line."""
        path = tmp_path / "0007.npz"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(OutputError, match=r"is not a readable npz|does not exist"):
            clip_of_file(path)

    def test_damaged_output(self, tmp_path):
        """Damage that only decompressing finds is one line, too."""
        path = store(tmp_path, {"v": keypoints()})
        data = bytearray(path.read_bytes())
        data[60:90] = bytes(30)
        path.write_bytes(data)
        with pytest.raises(OutputError, match="is damaged in video 'v'"):
            clip_of_file(path)

    def test_another_shape(self, tmp_path):
        """An npz of something else is named."""
        np.savez(tmp_path / "x.npz", a=np.zeros((3, 4)))
        with pytest.raises(OutputError, match=r"'a' is \(3, 4\) of float64, not \(T, points, 4\)"):
            clip_of_file(tmp_path / "x.npz")


class TestCommand:
    def call(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments)])
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    def test_config(self, config, tmp_path, capsys, monkeypatch):
        """The command says what it drew and where."""
        monkeypatch.chdir(tmp_path)
        status, out, error = self.call(capsys, "preview", "config.yaml", "--signs", 7)
        assert (status, error) == (0, "")
        assert out == "01 train, sign 7: take (1) (5 of 5 frames)\npreview: preview-01-train-0007.png\n"
        assert (tmp_path / "preview-01-train-0007.png").is_file()

    def test_file(self, config, tmp_path, capsys):
        """An npz and its frames need no config."""
        frames = config.dataset.root / "01" / "01" / "train" / "0007" / "take (2)"
        npz = config.output.root / "01-train" / "0007.npz"
        command = ("preview", npz, "--frames", frames, "--video", "take (2)", "-o", tmp_path / "p.gif")
        assert self.call(capsys, *command)[0] == 0
        assert (tmp_path / "p.gif").read_bytes().startswith(b"GIF89a")

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            (("config.yaml", "-o", "p.jpg"), r"-o: 'p\.jpg' .*\.png, \.webm, \.mp4 or \.gif"),
            (("config.yaml", "--speed", "0.5"), r"--speed: a contact sheet does not move\. Let -o end in \.webm"),
            (("config.yaml", "--frames", "x"), r"--frames works only with an npz"),
            (("x.npz", "--signs", "1"), r"--set, --signers, --splits, --signs and --label work only with a config"),
            (("config.yaml", "--signers", "03"), r"--signers: the config has no '03'\. Choose among 01, 02\."),
            (("out/01-train/0007.npz", "--frames", "nowhere"), r"--frames: nowhere does not exist"),
            (("config.yaml", "-o", "config.yaml/p.png"), r"p\.png can't be written: .*Choose another -o"),
        ],
    )
    def test_errors(self, config, tmp_path, capsys, monkeypatch, arguments, text):
        """An error is one line and status 2."""
        monkeypatch.chdir(tmp_path)
        status, out, error = self.call(capsys, "preview", *arguments)
        assert (status, out) == (2, "")
        assert re.fullmatch(rf"kpsbatch: .*{text}.*\n", error)
