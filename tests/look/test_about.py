"""`kpsbatch about` and exports say which values these are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from export_outputs import kept_outputs
from factories import call, fingerprint, unit_record, write_config
from stub_networks import stub_networks, write_signs

from kpsbatch.config import LandmarksConfig, load_config
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import OutputError
from kpsbatch.export.anonymous import anonymous
from kpsbatch.export.formats import FORMATS
from kpsbatch.export.recipes import POSE_FILES, RECIPES
from kpsbatch.export.run import export
from kpsbatch.look.about import about, paragraph
from kpsbatch.store.outputs import Outputs
from kpsbatch.store.reading import open_dataset
from kpsbatch.store.records import processor_model, read_record
from kpsbatch.work.run import run

NETWORKS = {"pose_detector": "9ba9dd3d" * 8, "edit": "1"}
DEFAULTS = LandmarksConfig().model_dump(mode="json", exclude={"models"})


def store(root: Path, unit: Unit, videos: dict[str, dict[str, Any]], digest: str = "aaaaaaaaaaaa", **more: Any) -> None:
    """A unit's output and record; `settings` in `more` are those of the folder of records."""
    settings = more.pop("settings", {"values_version": 4, "mediapipe": "1.2.3", "landmarks": DEFAULTS})
    arrays = {
        name: np.zeros((facts["frames"], 184, 4), np.float32) for name, facts in videos.items() if "frames" in facts
    }
    state = "failed" if not arrays else "partial" if len(arrays) < len(videos) else "complete"
    record = unit_record(state, unit=unit._asdict(), videos=videos, **more)
    Outputs(root, fingerprint(digest, **settings)).store(unit, arrays, record, replace=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three units of two signers, made on two kinds of processors and two days; one video failed, a frame was bad."""
    out = tmp_path / "out"
    sized = {"frame_rate": 25.0, "width": 64, "height": 48}
    moments = [("2026-11-01T23:00:00.000+00:00", "2026-11-02T01:00:00.000+00:00")] * 2
    moments.append(("2026-11-03T04:00:00.000+00:00", "2026-11-03T05:00:00.000+00:00"))
    units = [Unit("01", "train", 7), Unit("01", "test", 7), Unit("02", "train", 9)]
    for unit, (started, finished), processor in zip(units, moments, ("Xeon 1", "Xeon 1", "EPYC 2"), strict=True):
        videos: dict[str, dict[str, Any]] = {"a": {"frames": 1000, "seconds": {"total": 1800}, **sized}}
        if unit.sign == 9:
            videos |= {"b": {"frames": 5, "bad_frames": 1, **sized}, "c": {"error": "no frame"}}
        versions = {"kpsbatch": "0.3.0", "mediapipe": "1.2.3", "numpy": "2.5.5" if unit.sign == 9 else "2.4.6"}
        told = {"versions": versions, "processor": processor, "models": NETWORKS, "host": f"node{unit.sign}"}
        store(out, unit, videos, started=started, finished=finished, **told)
    return out


class TestAbout:
    def test_paragraph(self, root, capsys):
        """The text for a paper: counts, points, versions, days, processors, networks, settings, failures."""
        status, said = call(capsys, "about", root)
        assert status == 0
        text, _, facts = said.partition("\n\n")
        assert text == (
            "The keypoints are of 4 videos (3,005 frames) of 2 signs and 2 signers (splits test and train): 184 "
            "points a frame (pose 6, face 136, right hand 21, left hand 21) as x, y, z and visibility, in image "
            "coordinates (x and y in frame widths and heights), float32. They were computed with kpsbatch 0.3.0 "
            "(values version 4) and MediaPipe 1.2.3 in its mode 'clip', from 2026-11-01 to 2026-11-03, on Xeon 1 "
            "(2 units) and EPYC 2 (1 unit). The SHA-256 of the networks begin with: pose detector 9ba9dd3d. "
            "Settings are kpsbatch's defaults; their fingerprint is aaaaaaaaaaaa. Zeros stand for 1 frame that "
            "could not be read. They are without 1 further video that failed."
        )
        rows = dict(line.strip("| ").split(" | ", 1) for line in facts.splitlines()[2:] if line)
        assert rows["videos"] == "4 in 3 units, 1 more failed"
        assert rows["frames"] == "3,005, of which 1 could not be read"
        assert rows["made"] == "2026-11-01T23:00:00.000+00:00 to 2026-11-03T05:00:00.000+00:00"
        assert rows["numpy"] == "2.4.6 (2 units) and 2.5.5 (1 unit)"
        assert rows["pose_detector, SHA-256"] == NETWORKS["pose_detector"]
        assert rows["landmarks.confidence.hand_presence"] == "0.5"
        assert rows["worker hours"] == "1.50 on 2 hosts"

    def test_json(self, root, capsys, tmp_path):
        """The same as data, by a config too."""
        path = write_config(tmp_path)
        status, said = call(capsys, "about", path, "--json")
        [made] = json.loads(said)["made"]
        assert status == 0
        counts = ("units", "videos", "frames", "bad_frames", "failed_videos", "signers", "signs", "labels", "hosts")
        assert [made[name] for name in counts] == [3, 4, 3005, 1, 1, 2, 2, 0, 2]
        assert (made["splits"], made["processors"]) == (["test", "train"], {"Xeon 1": 2, "EPYC 2": 1})
        assert (made["networks"], made["settings"]["landmarks"]) == (dict(sorted(NETWORKS.items())), DEFAULTS)
        assert made["text"] == paragraph(about(root)[0])

    def test_settings_of_ones_own(self, root):
        """What differs from the defaults is in the text; two sets of settings are two texts."""
        settings = {
            "values_version": 4, "mediapipe": "1.2.3", "dataset": {"mirrored": True},
            "landmarks": {**DEFAULTS, "running_mode": "image", "coordinates": "adjusted", "decode": "fast"},
            "output": {"dtype": "float16", "points": "hands"},
        }  # fmt: skip
        store(root, Unit("03", "train", 1), {"v": {"frames": 2}}, "bbbbbbbbbbbb", settings=settings, points="hands")
        [_, other] = about(root)
        text = paragraph(other)
        assert "42 points a frame (right hand 21, left hand 21)" in text
        assert "coordinates relative to the body part, float16" in text
        assert "in its mode 'image'" in text
        assert "defaults but for dataset.mirrored: True and landmarks.decode: fast;" in text

    def test_earlier_and_imported(self, tmp_path):
        """What a record of version 0.2 lacks is said to be missing, and of imported files nothing is made up."""
        versions = {"kpsbatch": "0.2.0", "mediapipe": "0.10.21"}
        landmarks = {"running_mode": "clip", "assign_hands": "pose", "recover_hands": False}
        earlier = {"values_version": 3, "mediapipe": "0.10.21", "landmarks": landmarks}
        told = {"started": "2026-01-02T03:04:05.000+00:00", "finished": "2026-01-02T04:04:05.000+00:00"}
        store(tmp_path, Unit("01", "a", 1), {"v": {"frames": 2}}, settings=earlier, versions=versions, **told)
        text = paragraph(about(tmp_path)[0])
        assert "kpsbatch 0.2.0 (values version 3) and MediaPipe 0.10.21 in its mode 'clip', on 2026-01-02" in text
        assert "defaults but for landmarks.recover_hands: False;" in text
        assert "on processors that are not recorded" in text
        imported = {"imported": True, "landmarks": {"coordinates": "image"}}
        store(tmp_path, Unit("01", "b", 1), {"v": {"frames": 3}, "w": {"frames": 3}}, "cccccccccccc", settings=imported)
        text = paragraph(about(tmp_path)[0])
        assert text.endswith(
            "float32. Other scripts made them; kpsbatch imported them, and knows nothing more of them."
        )

    def test_labels_and_rows_that_vanished(self, tmp_path):
        """Of a table the labels and signers of its rows count, and rows that it has no more don't."""
        row = {"signer": "P1", "label": "water"}
        videos = {
            "a": {"frames": 2, "row": row},
            "b": {"frames": 2, "row": {**row, "signer": "P2"}},
            "c": {"frames": 2, "row": {"label": "fire"}, "gone_since": "2026-01-02", "made_from": "x"},
        }
        store(tmp_path, Unit("all", "train", 1), videos)
        [made] = about(tmp_path)
        assert (made.videos, made.labels, made.signers, made.signs) == (2, {"water"}, {"P1", "P2"}, set())

    def test_no_records(self, tmp_path, capsys):
        """A folder without records is one line, and status 2."""
        with pytest.raises(OutputError, match="has no records of kpsbatch"):
            about(tmp_path)
        status, said = call(capsys, "about", tmp_path / "nowhere")
        assert (status, said.count("\n")) == (2, 1)


@pytest.mark.parametrize("form", FORMATS)
def test_exports(root, tmp_path, form):
    """Every format says of its own videos what made them."""
    pytest.importorskip({"pose": "pose_format", "parquet": "pyarrow"}.get(form, "json"))
    export(open_dataset(root, splits="train"), form, tmp_path / "x", points="contract")
    [made] = json.loads((tmp_path / "x" / "export.json").read_text())["about"]
    assert (made["units"], made["videos"], made["frames"], made["failed_videos"]) == (2, 3, 2005, 1)
    assert (made["networks"]["pose_detector"], made["versions"]["kpsbatch"]) == (
        NETWORKS["pose_detector"],
        {"0.3.0": 2},
    )
    if form == "parquet":
        from pyarrow import parquet

        for path in (tmp_path / "x").glob("*.parquet"):
            assert json.loads(parquet.read_schema(path).metadata[b"kpsbatch"])["about"] == [made]


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes(tmp_path, recipe):
    """Every recipe says what made its videos, and so does an export without names, which names no one."""
    for library in {"gislr": ["pyarrow"], "t5-slt": ["h5py"]}.get(recipe, ["pose_format"] * (recipe in POSE_FILES)):
        pytest.importorskip(library, reason=f"{library} is not installed; see make test-formats")
    kept_outputs(tmp_path / "out")
    dataset = open_dataset(tmp_path / "out")
    export(dataset, recipe, tmp_path / "x")
    if recipe != "arabic-sl-mmap":  # whose signers are numbers
        export(anonymous(dataset, tmp_path / "y")[0], recipe, tmp_path / "y")
    for path in tmp_path.glob("[xy]/export.json"):
        told = json.loads(path.read_text())["about"]
        assert sum(made["videos"] for made in told) == len(dataset)
        assert told[0]["text"].startswith("The keypoints are of ")


class TestCard:
    """`export --card`."""

    @pytest.mark.parametrize("anonymously", [False, True])
    def test_card(self, root, tmp_path, capsys, anonymously):
        """YAML that the hub reads, tables of what was found, and what made it; also of an export that is there."""
        line = ["export", root, tmp_path / "x", "--to", "webdataset", "-q", *(["--anonymous"] if anonymously else [])]
        assert call(capsys, *line)[0] == 0
        assert not (tmp_path / "x" / "README.md").exists()
        status, said = call(capsys, *line, "--card")
        assert status == 0, said
        assert f"card: {tmp_path / 'x' / 'README.md'}\n" in said
        text = (tmp_path / "x" / "README.md").read_text()
        _, head, body = text.split("---\n", 2)
        told = yaml.safe_load(head)
        assert told["size_categories"] == ["n<1K"]
        files = {each["split"]: each["path"] for each in told["configs"][0]["data_files"]}
        for split, pattern in files.items():
            assert list((tmp_path / "x").glob(pattern)), split
        dataset = open_dataset(root)
        rows = {row.split(" | ")[0][2:]: row.split(" | ")[1:] for row in body.splitlines() if row.startswith("| ")}
        total = rows.get("**all**") or rows[next(iter(files))]
        assert total[:3] == [
            f"{len(dataset)}",
            f"{int(dataset.lengths.sum()):,}",
            f"{len({info.signer for info in dataset.videos})}",
        ]
        assert about(root)[0].as_tree()["text"].partition(" of ")[0] in body
        assert "## What made it" in body


def test_a_run_records_the_processor(tmp_path, monkeypatch):
    """Every record of a run names the processor's model."""
    stub_networks(monkeypatch)
    write_signs(tmp_path / "data", [1])
    run(load_config(write_config(tmp_path, run={"workers": 0})))
    [path] = (tmp_path / "out" / "_kpsbatch" / "records").glob("*/01-train/0001.json")
    record = read_record(path).record
    assert record is not None
    assert record.processor == processor_model() != ""
    assert about(tmp_path / "out")[0].processors == {processor_model(): 1}


@pytest.mark.parametrize(
    ("text", "model"),
    [
        (
            "processor\t: 0\nmodel name\t: AMD  EPYC 7763\n\nprocessor\t: 1\nmodel name\t: AMD  EPYC 7763\n",
            "AMD EPYC 7763",
        ),
        ("processor\t: 0\ncpu\t\t: POWER9, altivec supported\n", "POWER9, altivec supported"),
        ("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n", "aarch64 (0x41 0xd0c)"),
        (None, "aarch64"),
    ],
)
def test_processor_model(tmp_path, monkeypatch, text, model):
    """The name that Linux gives; on Arm the numbers of maker and part; else the architecture."""
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    assert processor_model(tmp_path / "cpuinfo") == model
