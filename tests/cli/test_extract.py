"""`kpsbatch extract`: one's own clips from the shell."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from processes import kpsbatch, start, wait_until
from synthetic.signer import render_video

import kpsbatch as package
from kpsbatch.config import make_config
from kpsbatch.dataset.tables import BadRow, read_person
from kpsbatch.errors import ConfigError, DatasetError
from kpsbatch.landmarks.found import MEANING
from kpsbatch.pictures.clip import Candidate, load_clip
from kpsbatch.work.clips import config_of_clips, extract_clips, find_clips

pytestmark = pytest.mark.filterwarnings(r"ignore:Type google\._upb\._message:DeprecationWarning")
FRAMES = 4


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video file and a folder of frames of a two-handed sign, and a file that is no video."""
    folder = tmp_path_factory.mktemp("my clips")
    frames = render_video(2, 1, 1, FRAMES)[0]
    with av.open(str(folder / "one.take.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    (folder / "two (v1.5)").mkdir()
    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / "two (v1.5)" / f"{number}.png"), frame[..., ::-1])
    (folder / "broken.mp4").write_text("no video")
    return folder


class TestCommand:
    def test_files(self, clips, tmp_path):
        """Every clip gets an npz with its name as the key, a record and a place in the page; a bad one is one line."""
        done = kpsbatch(
            "extract", clips / "one.take.mp4", clips / "two (v1.5)", clips / "broken.mp4", "-o", tmp_path / "o"
        )
        assert done.returncode == 1
        assert re.fullmatch(r"kpsbatch: .*broken\.mp4: .*\n", done.stderr)
        first, second, view, failed = done.stdout.splitlines()
        assert re.fullmatch(r".*one\.take\.npz: 4 frames, pose 100%, face 100%, any hand 100% \(\d+\.\d s\)", first)
        assert re.match(r".*two \(v1\.5\)\.npz: 4 frames", second)
        assert re.fullmatch(r"view: .*view\.html \(0\.\d MB, 2 videos\)", view)
        assert failed == "1 clip of 3 failed"
        names = sorted(path.name for path in (tmp_path / "o").iterdir())
        clips_files = ["one.take.json", "one.take.npz", "two (v1.5).json", "two (v1.5).npz"]
        assert names == ["_kpsbatch", "all-all", *clips_files, "view.html"]
        for name, clip in (("one.take", clips / "one.take.mp4"), ("two (v1.5)", clips / "two (v1.5)")):
            arrays = package.load(tmp_path / "o" / f"{name}.npz")
            assert list(arrays) == [name]
            assert np.array_equal(arrays[name], package.extract_video(clip))
            record = json.loads((tmp_path / "o" / f"{name}.json").read_text())
            assert record["clip"] == str(clip)
            assert set(record["video"]["how"]["left_hand"]) <= MEANING.keys()

    def test_the_person_and_doubts(self, tmp_path):
        """`--person` chooses one of two, the record says so; what leaves doubt is a line on standard error."""
        signs, rests = render_video(2, 1, 1, 6)[0], render_video(1, 2, 1, 6, rest=0.36)[0]
        (tmp_path / "two").mkdir()
        for number, frame in enumerate(np.concatenate([signs, rests], axis=2)):
            cv2.imwrite(str(tmp_path / "two" / f"{number}.png"), frame[..., ::-1])
        for person, right, said in (("right", True, ""), ("3", False, "there is no person 3"), ("nobody", False, "")):
            without = () if person == "3" else ("--no-pictures",)
            done = kpsbatch("extract", tmp_path / "two", "-o", tmp_path, *without, "-q", "--person", person)
            assert done.returncode == (2 if person == "nobody" else 0)
            assert (tmp_path / "two.doubt.png").exists() == (person != "right")
            assert (said in done.stderr) if said or person == "nobody" else done.stderr == ""
            chest = package.load(tmp_path / "two.npz")["two"][:, 0:2, 0].mean()
            assert person == "nobody" or (chest > 0.5) == right
        people = json.loads((tmp_path / "two.json").read_text())["video"]["shots"][0]["people"]
        assert [person["chosen"] for person in people] == [True, False]
        done = kpsbatch("extract", tmp_path / "two", "-o", tmp_path, "--no-pictures", "-q", "--person", "all")
        assert (done.returncode, done.stderr) == (0, "")
        both = package.load(tmp_path / "two.npz")
        assert list(both) == ["two.1", "two.2"]
        assert np.array_equal(both["two.2"], package.extract_video(tmp_path / "two", person="2"))
        assert all(name in done.stdout for name in both)
        known = json.loads((tmp_path / "two.json").read_text())["people"]
        chosen = {
            name: [one["x"] for one in facts["shots"][0]["people"] if one["chosen"]] for name, facts in known.items()
        }
        assert chosen["two.1"][0] < 0.5 < chosen["two.2"][0]

    def test_extract_video_has_one_array(self, tmp_path):
        """So does a row of a table; each says what to do."""
        with pytest.raises(ConfigError, match="extract --person all"):
            package.extract_video(tmp_path, person="all")
        with pytest.raises(BadRow, match="Leave the cell empty"):
            read_person("All")

    def test_the_name_of_a_person_is_no_other_clips(self, tmp_path):
        clips = {name: tmp_path / f"{name}.mp4" for name in ("a", "a.1", "b.x")}
        with pytest.raises(ConfigError, match=r"a\.1 would also be the name of a person of .*a\.mp4"):
            extract_clips(clips, config_of_clips(tmp_path, ["dataset.person=all"]), on_clip=print)

    def test_again_and_with_settings(self, clips, tmp_path):
        """The same clip can be extracted again, with other settings; the record and the player know them."""
        for options in ((), ("--adjusted", "--set", "landmarks.parts=[pose]")):
            done = kpsbatch("extract", clips / "two (v1.5)", "-o", tmp_path, "--no-pictures", "-q", *options)
            assert (done.returncode, done.stderr) == (0, "")
        path = tmp_path / "two (v1.5).npz"
        record = json.loads(path.with_suffix(".json").read_text())
        assert (record["landmarks"]["coordinates"], record["landmarks"]["parts"]) == ("adjusted", ["pose"])
        assert load_clip(Candidate(path, path.stem)).adjusted
        assert not package.load(path)[path.stem][:, 6:].any()

    def test_is_an_output_folder(self, clips, tmp_path):
        """Words in names are labels; the other commands take the folder; all landmarks are kept; again is no work."""
        for name in ("hello_1", "hello_2", "bye_1"):
            (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
            (tmp_path / "in" / f"{name}.mp4").symlink_to(clips / "one.take.mp4")
        for said in ("hello_2.npz: 4 frames", "3 clips done already"):
            done = kpsbatch("extract", tmp_path / "in", "-o", tmp_path / "o", "--no-pictures", "-q")
            assert (done.returncode, done.stderr) == (0, "")
            assert said in done.stdout
        dataset = package.open_dataset(tmp_path / "o")
        assert sorted(info.label for info in dataset.videos) == ["bye", "hello", "hello"]
        assert dataset.classes == ("bye", "hello")
        assert dataset.from_kept("full")[0].keypoints.shape == (4, 628, 4)
        for arguments in (("verify", tmp_path / "o"), ("export", tmp_path / "o", "--to", "npy", tmp_path / "npy")):
            assert kpsbatch(*arguments).returncode == 0
        (tmp_path / "in" / "bye_2.mp4").symlink_to(clips / "one.take.mp4")
        (tmp_path / "o" / "bye_1.npz").unlink()
        done = kpsbatch("extract", tmp_path / "in", "-o", tmp_path / "o", "--no-pictures", "-q")
        assert "2 clips done already" in done.stdout
        assert len(package.open_dataset(tmp_path / "o")) == 4
        assert "4 of 4 units are finished (100%)" in kpsbatch("status", tmp_path / "o").stdout
        assert "4 videos read" in kpsbatch("report", tmp_path / "o", "--no-pictures").stdout

    def test_pose_beside(self, clips, tmp_path):
        """`--to pose` writes what `export --to pose` writes, beside the clip; a clip that has it is left out."""
        pose_format = pytest.importorskip("pose_format", reason="pose-format is an extra")
        (tmp_path / "in").mkdir()
        for name in ("a", "b"):
            (tmp_path / "in" / f"{name}.mp4").symlink_to(clips / "one.take.mp4")
        (tmp_path / "in" / "b.pose").write_text("another tool's")
        arguments = ("extract", tmp_path / "in", "-o", tmp_path / "o", "--no-pictures", "-q", "-j", "1", "--to", "pose")
        done = kpsbatch(*arguments)
        assert (done.returncode, done.stdout.splitlines()[0]) == (0, "1 clip of 2 has a .pose file already")
        assert (tmp_path / "in" / "b.pose").read_text() == "another tool's"
        assert kpsbatch("export", tmp_path / "o", "--to", "pose", tmp_path / "e").returncode == 0
        assert (tmp_path / "in" / "a.pose").read_bytes() == (tmp_path / "e/all-all/0001/a.pose").read_bytes()
        assert pose_format.Pose.read((tmp_path / "in" / "a.pose").read_bytes()).body.data.shape == (4, 1, 543, 3)
        (tmp_path / "in" / "a.pose").unlink()
        assert "1 clip done already" in kpsbatch(*arguments).stdout
        assert (tmp_path / "in" / "a.pose").exists()
        assert kpsbatch(*arguments).stdout == "2 clips of 2 have a .pose file already\n"

    def test_other_formats(self, clips, tmp_path):
        """What can't lie beside a clip is refused, with the way to it."""
        done = kpsbatch("extract", clips / "one.take.mp4", "-o", tmp_path / "o", "--to", "mmap")
        assert (done.returncode, "kpsbatch export DIR --to mmap" in done.stderr) == (2, True)

    def test_another_clip(self, clips, tmp_path):
        """The result of another clip of the same name is not replaced."""
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "x.mp4").symlink_to(clips / "one.take.mp4")
        assert kpsbatch("extract", tmp_path / "a", "-o", tmp_path / "o", "--no-pictures", "-q").returncode == 0
        done = kpsbatch("extract", tmp_path / "b", "-o", tmp_path / "o", "--no-pictures", "-q")
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(
            r"kpsbatch: .*x\.npz was made from another clip, .*a/x\.mp4\. Choose another -o\.\n", done.stderr
        )

    def test_odd_frames(self, clips, tmp_path):
        """A folder in which frames are there twice, or are of another kind, is extracted, and that is said."""
        folder = tmp_path / "odd"
        folder.mkdir()
        for name in ("0.png", "0 (1).png", "1.png", "2.jfif"):
            (folder / name).symlink_to(clips / "two (v1.5)" / "0.png")
        done = kpsbatch("extract", folder, "-o", tmp_path / "o", "--no-pictures", "-q")
        assert (done.returncode, done.stdout.splitlines()[0].split(", ")[0]) == (0, f"{tmp_path}/o/odd.npz: 3 frames")
        assert done.stderr.splitlines() == [
            f"kpsbatch: {folder}: 1 x a copy of a frame, by its name, first 0 (1).png",
            f"kpsbatch: {folder}: 1 x a picture that is not read (rename it to .jpg), first 2.jfif",
        ]
        for name in ("0.png", "0 (1).png", "1.png"):
            (folder / name).unlink()
        done = kpsbatch("extract", folder, "-o", tmp_path / "o", "-q")
        assert (done.returncode, "has no frame, but 1 x a picture that is not read (rename" in done.stderr) == (1, True)

    def test_foreign_file(self, clips, tmp_path):
        """A file that was not made from a clip is not replaced."""
        (tmp_path / "one.take.npz").write_text("mine")
        done = kpsbatch("extract", clips / "one.take.mp4", "-o", tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(
            r"kpsbatch: .*one\.take\.npz exists and was not made by .* Choose another -o\.\n", done.stderr
        )
        assert (tmp_path / "one.take.npz").read_text() == "mine"

    def test_names(self, clips, tmp_path):
        """A name that can't be that of an output costs its clip; one that just fits is no problem."""
        folder = tmp_path / "clips"
        folder.mkdir()
        good, fits, long, latin = "ok", "a" + "\u0644" * 124, "b" * 251, os.fsdecode(b"caf\xe9")
        for name in (good, fits, long, latin):
            (folder / f"{name}.mp4").symlink_to(clips / "one.take.mp4")
        done = kpsbatch("extract", folder, "-o", tmp_path / "o", "--no-pictures", "-q")
        assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "2 clips of 4 failed")
        bad_latin, bad_long = sorted(done.stderr.splitlines(), key=len)
        assert re.fullmatch(r"kpsbatch: .*udce9\.mp4: its name is not valid UTF-8\. Rename it\.", bad_latin)
        assert re.fullmatch(
            r"kpsbatch: .*b\.mp4: its name is too long: .*\.json has 256 of 255 bytes\. Shorten it\.", bad_long
        )
        assert {path.stem for path in (tmp_path / "o").glob("*.npz")} == {good, fits}

    @pytest.mark.parametrize(
        ("clip", "option", "text"),
        [
            ("gone.mp4", "run.workers=1", r"gone\.mp4 does not exist\. Name video files or folders of frames\."),
            ("README.md", "landmarks.running_mode=fast", r".*running_mode.*'fast'.*"),
        ],
    )
    def test_unusable(self, tmp_path, clip, option, text):
        """What can't be done at all is one line and status 2, before anything is written."""
        done = kpsbatch("extract", clip, "-o", tmp_path / "o", "--set", option)
        assert done.returncode == 2
        assert re.fullmatch(rf"kpsbatch: {text}\n", done.stderr)
        assert not (tmp_path / "o").exists()

    def test_interrupted(self, clips, tmp_path):
        """Ctrl-C ends it with status 3; what is done stays."""
        many = [tmp_path / f"{number}" for number in range(30)]
        for path in many:
            path.symlink_to(clips / "two (v1.5)")
        process = start("extract", *many, "-o", tmp_path / "o", "--set", "run.workers=1")
        wait_until(lambda: list((tmp_path / "o").glob("*.npz")))
        process.send_signal(2)
        _, error = process.communicate()
        assert process.returncode == 3
        assert re.match(r"kpsbatch: Stopped\. \d+ clips? saved, \d+ left\. Rerun to resume\.", error)
        assert all(len(package.load(path)) == 1 for path in (tmp_path / "o").glob("*.npz"))


class TestFindClips:
    def test_folder_of_videos(self, clips):
        """A folder of video files stands for these, in natural order."""
        assert list(find_clips([clips])) == ["broken", "one.take"]

    def test_thumbnails(self, tmp_path):
        """Pictures and folders beside videos are passed over, and named."""
        for name in ("1 [x].mp4", "1 [x].jpg", "2.mp4", "2.heic"):
            (tmp_path / name).touch()
        (tmp_path / "frames").mkdir()
        told: list[str] = []
        assert list(find_clips([tmp_path], told.append)) == ["1 [x]", "2"]
        assert told == [
            f"{tmp_path}: 2 pictures beside videos passed over: 1 [x].jpg, 2.heic",
            f"{tmp_path}: 1 folder beside videos passed over: frames",
        ]

    def test_same_name(self, tmp_path):
        """Two clips that would have the same output are named; the same clip twice is one."""
        for name in ("a.mp4", "a.avi"):
            (tmp_path / name).touch()
        with pytest.raises(ConfigError, match=r"a\.mp4 and .*a\.avi would both become a\.npz"):
            find_clips([tmp_path / "a.mp4", tmp_path / "a.avi"])
        assert len(find_clips([tmp_path / "a.mp4", tmp_path / "a.mp4"])) == 1

    def test_recursive(self, tmp_path):
        """Folders in folders are looked into; the folder's name tells two clips of one name apart."""
        for path in ("hello/1.mp4", "bye/1.mp4", "bye/deep/2.mp4", "bye/frames/1.png", ".hidden/3.mp4"):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).touch()
        found = {
            name: clip.relative_to(tmp_path).as_posix() for name, clip in find_clips([tmp_path], recursive=True).items()
        }
        assert found == {"bye_1": "bye/1.mp4", "2": "bye/deep/2.mp4", "frames": "bye/frames", "hello_1": "hello/1.mp4"}

    def test_empty_folder(self, tmp_path):
        """A folder that holds nothing of use is named."""
        with pytest.raises(DatasetError, match="holds no frames and no videos"):
            find_clips([tmp_path])


def test_config_without_a_file(tmp_path, monkeypatch):
    """A config that no file holds is validated as others are; paths are relative to the folder that is given."""
    monkeypatch.chdir(tmp_path)
    tree = {"dataset": {"root": "d", "signers": ["1"], "splits": ["a"], "signs": "1"}, "output": {"root": "o"}}
    assert make_config(tree, ["run.workers=2"], base=Path.cwd()).output.root == tmp_path / "o"
    with pytest.raises(ConfigError, match=r"run\.workers"):
        make_config(tree, ["run.workers=many"], base=Path.cwd())


def test_two_at_once(tmp_path):
    """Two commands that put clips into one folder at the same time give them units of their own."""
    frames = render_video(2, 1, 1, 3)[0]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for number, frame in enumerate(frames):
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), frame[..., ::-1])
    both = [start("extract", tmp_path / name, "-o", tmp_path / "kps", "-q") for name in ("one", "two")]
    assert [process.communicate()[1] for process in both] == ["", ""]
    units = {tuple(json.loads((tmp_path / "kps" / f"{name}.json").read_text())["unit"]) for name in ("one", "two")}
    assert units == {("all", "all", 1), ("all", "all", 2)}
    assert {video.video for video in package.open_dataset(tmp_path / "kps").videos} == {"one", "two"}
