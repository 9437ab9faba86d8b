"""The report: what it counts, what its page holds, and how the page behaves in a real browser."""

from __future__ import annotations

import base64
import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from made_up_run import DIGEST, EVIL, NAMES, TRUNCATED, made_up_run, put, video
from markupsafe import escape
from processes import kpsbatch

from kpsbatch.cli.main import main
from kpsbatch.config import Config
from kpsbatch.dataset.frame import Frame
from kpsbatch.dataset.reading import read_frames
from kpsbatch.dataset.video import Unit, video_of
from kpsbatch.errors import DatasetError, OutputError
from kpsbatch.landmarks.extract import check_readable
from kpsbatch.pictures.report.findings import common_text, findings_of, plain_words, reasons_of
from kpsbatch.pictures.report.gather import (
    Failure,
    ReportData,
    UnitRow,
    VideoRow,
    gather,
    histogram,
    percent,
    ranked,
)
from kpsbatch.pictures.report.videos import AT_RANDOM, IN_DOUBT, WORST, pick_videos
from kpsbatch.pictures.report.view import render, view_of
from kpsbatch.store.settings import settings_of
from kpsbatch.work.worker import KILLED_FOR_MEMORY


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Eight signs by two signers: done, partial, failed, without a record, left and absent."""
    return made_up_run(tmp_path_factory.mktemp("a report"))


class TestGather:
    def test_states(self, config):
        """Every unit of the config has a state, whatever is on disk."""
        states = {row.unit: row.state for row in gather(config).units}
        assert [states[Unit("01", "train", sign)] for sign in range(1, 9)] == [
            "complete", "partial", "failed", "foreign", "left", "left", "left", "absent",
        ]  # fmt: skip
        assert states[Unit("02", "train", 8)] == "absent"

    def test_sums(self, config):
        """A unit's row sums up its videos that succeeded; an unreadable frame is one without a hand."""
        row = gather(config).units[0]
        assert (row.videos, row.failed, row.frames, row.bad) == (3, 0, 60, 2)
        assert row.found == [58, 57, 45, 10]
        assert (row.no_hand, row.wrists, row.bare_wrists) == (15, 120, 65)
        assert row.host == "node1"

    def test_failures(self, config):
        """Failed videos are listed with their unit and reason, and count in no rate."""
        data = gather(config)
        assert [(one.unit.sign, one.name) for one in data.failures] == [(2, "broken"), (3, "gone")]
        assert data.units[4].videos == data.units[4].failed == 1
        assert not any(one.name == "broken" for one in data.videos)

    def test_progress(self, config):
        """Progress is reported unit by unit."""
        calls: list[tuple[int, int]] = []
        gather(config, lambda done, total: calls.append((done, total)))
        assert calls == [(number, 16) for number in range(1, 17)]

    def test_runs(self, config):
        """State files that miss what a report shows are passed over."""
        assert [run.run for run in gather(config).runs] == ["run-1", "run-2"]

    @pytest.mark.parametrize("text", ["", "[]", "{", '{"videos": {"a": {}}}', '{"videos": 3}', "\x00"])
    def test_damaged_record(self, config, tmp_path, text):
        """A damaged record is named, and its output counts as one without a record."""
        mine = config.model_copy(update={"output": config.output.model_copy(update={"root": tmp_path})})
        put(tmp_path, Unit("01", "train", 1), {"a": video(3, 3)}).write_text(text)
        data = gather(mine)
        assert data.units[0].state == "foreign"
        assert data.unreadable_records == [f"_kpsbatch/records/{DIGEST}/01-train/0001.json"]

    def test_record_without_output(self, config, tmp_path):
        """A record of which the output is not there is work left to do."""
        mine = config.model_copy(update={"output": config.output.model_copy(update={"root": tmp_path})})
        put(tmp_path, Unit("01", "train", 1), {"a": video(3, 3)}, npz=False)
        assert gather(mine).units[0].state == "left"

    def test_two_settings(self, config, tmp_path):
        """Outputs of several settings are counted by settings, and the page says how they differ."""
        mine = config.model_copy(update={"output": config.output.model_copy(update={"root": tmp_path})})
        put(tmp_path, Unit("01", "train", 1), {"a": video(3, 3)})
        put(tmp_path, Unit("01", "train", 2), {"a": video(3, 3)}, digest="ba9876543210")
        data = gather(mine)
        assert {digest: count for digest, (_, count) in data.settings.items()} == {DIGEST: 1, "ba9876543210": 1}
        assert "landmarks.running_mode is &#39;image&#39; there" in render(view_of(mine, data, samples=0))

    def test_other_settings(self, config, tmp_path):
        """Outputs that a run with this config would refuse are named, with what differs."""
        mine = config.model_copy(update={"output": config.output.model_copy(update={"root": tmp_path})})
        put(tmp_path, Unit("01", "train", 1), {"a": video(3, 3)})
        settings = tmp_path / "_kpsbatch" / "records" / DIGEST / "settings.json"
        settings.write_text(json.dumps(settings_of(mine).tree()))
        assert gather(mine).other_settings == {}
        ours = settings_of(mine).tree()
        adjusted = ours | {"view": ours["view"] | {"coordinates": "adjusted"}}
        settings.write_text(json.dumps(adjusted))
        data = gather(mine)
        what = "landmarks.coordinates is 'adjusted' there, 'image' here"
        assert data.other_settings == {DIGEST: what}
        finding = escape("1 unit made with other settings than the config's")
        assert f"{finding}</a>: {escape(what)}" in render(view_of(mine, data, samples=0))

    def test_no_output(self, config, tmp_path):
        """Without an output folder it says what to do."""
        mine = config.model_copy(update={"output": config.output.model_copy(update={"root": tmp_path / "none"})})
        with pytest.raises(OutputError, match=r"does not exist\. Run the config first\."):
            gather(mine)


class TestRanking:
    def test_worst_first(self, config):
        """Videos are rated by what was found least; among equals the longest comes first."""
        names = [one.name for one in ranked(gather(config))]
        assert names[:3] == ["still", "two", "good"]
        assert names[-1] == "one"

    def test_by_lost_hands(self):
        """A video whose wrists show without a hand is worse than one whose face is missing."""
        unit = Unit("01", "train", 1)
        rows = [
            VideoRow(unit, "whole", 10, 0, (10, 10, 10, 10), 0, 20, 0, 1.0),
            VideoRow(unit, "no face", 10, 0, (10, 0, 10, 10), 0, 20, 0, 1.0),
            VideoRow(unit, "three lost", 30, 0, (30, 30, 27, 30), 0, 60, 3, 1.0),
            VideoRow(unit, "two lost", 10, 0, (10, 10, 8, 10), 0, 20, 2, 1.0),
        ]
        assert [one.name for one in ranked(ReportData([], videos=rows))] == [
            "two lost",
            "three lost",
            "no face",
            "whole",
        ]

    @pytest.mark.parametrize(("videos", "count", "shown"), [(0, 4, 0), (1, 4, 1), (5, 4, 5), (9, 4, 6), (9, 0, 0)])
    def test_shown(self, videos, count, shown):
        """The worst are shown, half as many of the rest, the same in each report, and those in doubt; all count."""
        rows = [VideoRow(Unit("01", "train", 1), f"{n}", 9, 0, (9, 9, 9, 9), 0, 18, 0, 1.0) for n in range(videos)]
        chosen = pick_videos(rows, count, {(Unit("01", "train", 1), "0")})
        assert chosen == pick_videos(rows, count, {(Unit("01", "train", 1), "0")})
        assert chosen[WORST] == rows[:count]
        assert not {*chosen[WORST]} & {*chosen[AT_RANDOM]}
        assert len(chosen[WORST]) + len(chosen[AT_RANDOM]) == shown
        assert chosen[IN_DOUBT] == (rows[:1] if count else [])


class TestLabels:
    @pytest.fixture
    def data(self, config):
        """The rows of a table without numbered signs: two words, two signers, one failure."""
        unit = Unit("all", "train", 1)
        rows = [
            VideoRow(unit, "a1", 10, 0, (10, 10, 9, 9), 0, 20, 0, 1.0, 0, "hello", "anna"),
            VideoRow(unit, "b1", 10, 0, (10, 10, 5, 9), 0, 20, 4, 1.0, 0, "hello", "ben", (4, 0), 7),
            VideoRow(unit, "c1", 10, 0, (10, 1, 5, 9), 0, 20, 0, 1.0, 0, "bye", "anna"),
        ]
        failures = [Failure(unit, "d1", TRUNCATED, label="bye", signer="ben")]
        return replace(
            gather(config), units=[UnitRow(unit, "partial")], videos=rows, failures=failures, has_signs=False
        )

    def test_names(self, data):
        """Labels and signers name the videos; no unit of a table is called a sign."""
        assert [name.text for name, _ in data.classes] == ["bye (anna)", "bye (ben)", "hello (anna)", "hello (ben)"]
        assert [row.state for _, row in data.classes] == ["complete", "failed", "complete", "complete"]
        assert [data.name_of_video(video).text for video in data.videos] == [
            "hello (anna)",
            "hello (ben)",
            "bye (anna)",
        ]

    def test_page(self, config, data):
        """The map is one of labels by signer, and every table with videos has label and signer."""
        shown = view_of(config, data, samples=0)
        script = shown.script
        assert script["map"] == {
            "table": "classes", "places": ["bye", "hello"], "lines": ["anna train", "ben train"],
        }  # fmt: skip
        assert [row[:4] for row in script["tables"]["classes"]["rows"]] == [
            ["bye", "anna", "train", "complete"],
            ["bye", "ben", "train", "failed"],
            ["hello", "anna", "train", "complete"],
            ["hello", "ben", "train", "complete"],
        ]
        videos = script["tables"]["videos"]
        keys = [column["key"] for column in videos["columns"]]
        first = dict(zip(keys, videos["rows"][0], strict=True))
        assert keys[:4] == ["label", "signer", "split", "video"]
        assert (first["label"], first["signer"], first["bare"], first["right_bare"]) == ("hello", "ben", 40.0, 4)
        assert (first["play"], first["flag"]) == (["all-train/0001: b1", 7], "all-train/0001/b1")
        assert not {"left_bare", "bad"} & {*keys}  # all zero
        page = render(shown)
        assert "all train sign" not in page
        assert "1 label with face in less than 90% of frames" in page
        said = re.sub(r"<[^>]+>", "", page)
        assert (
            "4 hands of 60 that show were not found (4 right, 0 left), in 1 video, the worst first: hello (ben)" in said
        )

    @pytest.mark.parametrize(("bare", "level"), [(0, ["good"]), (1, ["quiet"]), (2, ["warn"])])
    def test_good(self, bare, level):
        """Nothing is called good while a hand that shows was not found."""
        unit = Unit("01", "train", 1)
        row = VideoRow(unit, "a", 10, 0, (10, 10, 10, 10), 0, 20, bare, 1.0, bare=(bare, 0))
        units = UnitRow(unit, "complete")
        units.add(row)
        assert [one.level for one in findings_of(ReportData([units], videos=[row]))] == level


class TestReasons:
    @pytest.mark.parametrize(
        ("error", "words"),
        [
            (TRUNCATED, "too many unreadable frames (limit 20%)"),
            ("no new frame for 600 s (run.video_timeout)", "a frame that took more than 600 s (run.video_timeout)"),
            (f"attempt 1: killed by SIGKILL; {KILLED_FOR_MEMORY}", "too little memory"),
            ("its worker used more than run.worker_memory (900 MB)", "too little memory"),
            ("/a: has no frame. Put image files there", "no frame"),
            ("/v.mp4: has frames of 9x9, larger than run.max_pixels (3). Raise", "frames larger than run.max_pixels"),
            ("/v.mp4: can't be opened by FFmpeg: invalid data", "a damaged video file"),
            ("/v.mp4: can't be read: Permission denied. Correct", "a file that can't be read (Permission denied)"),
            ("RuntimeError: something new", ""),
        ],
    )
    def test_plain_words(self, error, words):
        """What a video has that failed is told in plain words, with the limit that counted."""
        assert plain_words(error) == words

    def test_real_errors(self, tmp_path):
        """The words fit what the program really says of an empty folder, a damaged file and unreadable frames."""
        (tmp_path / "empty").mkdir()
        (tmp_path / "v.mp4").write_bytes(b"no video" * 99)
        words = []
        for name in ("empty", "v.mp4"):
            with pytest.raises(DatasetError) as error:
                list(read_frames(video_of(tmp_path / name), frame_rate=30, max_pixels=9999))
            words.append(plain_words(str(error.value)))
        with pytest.raises(DatasetError) as error:
            check_readable([Frame(None, 0, "1.jpg", "empty")] * 3, 9, 0.25)
        assert [*words, plain_words(str(error.value))] == [
            "no frame",
            "a damaged video file",
            "too many unreadable frames (limit 25%)",
        ]

    def test_same_kind(self):
        """Failures that nobody has words for are of one kind where they differ in names and numbers only."""
        first, second = (
            f"a video file must be readable: {path} can't be decoded" for path in ("/a b/c.mp4", "/d/e 2.mp4")
        )
        assert common_text(first) == common_text(second) == "a video file must be readable: …"

    def test_frequent_first(self):
        """The most frequent reason comes first; a sentence says how many videos have it."""
        unit = Unit("01", "train", 1)
        errors = ["odd 1", TRUNCATED, "odd thing 2", TRUNCATED, "odd 3", "odd 4"]
        assert [str(reason) for reason in reasons_of(Failure(unit, "v", error) for error in errors)] == [
            "3 failed: odd N",
            "2 have too many unreadable frames (limit 20%)",
            "1 failed: odd thing N",
        ]


class TestNumbers:
    @pytest.mark.parametrize("values", [[5], [1, 1, 1], [1, 300], list(range(1000)), [7, 8, 9], [10**6, 3]])
    def test_histogram(self, values):
        """Every value is in exactly one bin, and the bins touch."""
        bins = histogram(values, 40)
        assert sum(count for _, _, count in bins) == len(values)
        assert len(bins) <= 41
        assert bins[0][0] <= min(values) < bins[0][1]
        assert bins[-1][0] <= max(values) < bins[-1][1]
        assert all(one[1] == pytest.approx(other[0]) for one, other in pairwise(bins))

    @pytest.mark.parametrize(
        ("part", "whole", "shown"),
        [(0, 9, 0), (9, 9, 100), (9999, 10000, 99.9), (1, 10000, 0.1), (1, 3, 33.3), (0, 0, None)],
    )
    def test_percent(self, part, whole, shown):
        """Only all is 100%, and only none is 0%."""
        assert percent(part, whole) == shown


@pytest.fixture(scope="module")
def page(config: Config) -> str:
    """The page of the made-up run."""
    return render(view_of(config, replace(gather(config), labels=NAMES), samples=1, config_path=Path("my config.yaml")))


class TestPage:
    def test_whole(self, page):
        """All sections are there, every link leads somewhere, and no placeholder is left."""
        ids = re.findall(r'\bid="([^"]+)"', page)
        assert len(ids) == len(set(ids))
        links = re.findall(r'href="([^"]*)"', page)
        videos = {link for link in links if link.startswith("#video=")}
        assert {link[1:] for link in links if link.startswith("#")} - {link[1:] for link in videos} - {""} <= set(ids)
        assert {link for link in links if not link.startswith("#")} == {"data:,"}
        body = page.split("<main>")[1].split("<script")[0]
        assert not re.findall(r"\{\{|\{%|\{#", page.split("<style>")[0] + body)
        for word in (
            "01 train",
            "a frame that took more than 600 s",
            "node1",
            "9264f0aa",
            DIGEST,
            "mediapipe",
            "0.10.21",
            "Thumbs.db",
        ):
            assert word in page or word == "Thumbs.db"

    def test_findings(self, page):
        """What is wrong stands at the top."""
        top = html.unescape(re.sub(r"<[^>]+>", "", page.split('id="findings"')[1].split("</section>")[0]))
        assert "2 videos failed: 1 has too many unreadable frames (limit 20%), 1 has a frame that took more than" in top
        assert "1 output without a readable record: 01 train sign 4" in top
        assert "3 units left to do: 01 train sign 5" in top
        assert "2 units without a video in the dataset" in top
        assert "any hand in less than 75% of frames" in top
        assert "1 video without a hand in any frame: 02 train sign 1 (father · أب)" in top
        assert "2 unreadable frames in 1 video" in top
        assert "1 run failed, lost or interrupted: no space <left>" in top

    def test_names(self, page):
        """Arabic names are marked as right-to-left."""
        assert '(<bdi>father</bdi> · <bdi dir="rtl" lang="ar">أب</bdi>)' in page
        assert "<b>mother" not in page

    def test_nothing_is_loaded(self, page):
        """There is no address in the page, and a policy forbids any request."""
        assert "http:" not in page
        assert "https:" not in page
        assert "default-src 'none'" in page
        assert set(re.findall(r'src="([a-z]+:[a-z/]*)', page)) == {"data:image/jpeg"}

    def test_gallery(self, page):
        """The worst video is drawn, with a link to it in the player at a frame; frames that are gone are said to be."""
        gallery = page.split('id="gallery"')[1].split("Player</h3>")[0]
        images = re.findall(r"data:image/jpeg;base64,([^\"]+)", gallery)
        assert len(images) == 1
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(images[0]), np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (144, 144, 3)
        assert 'href="#video=02-train%2F0001%3A+still&amp;frame=1">' in gallery
        assert "50 hands lost in 25 frames" in gallery
        assert "Shown without its frames" in gallery

    def test_empty(self, config, tmp_path):
        """A run that has done nothing yet has a page, too."""
        mine = config.model_copy(update={"output": config.output.model_copy(update={"root": tmp_path})})
        assert "No video was read yet" in render(view_of(mine, gather(mine)))

    def test_command(self, config, tmp_path):
        """The command writes the file and says how large it is."""
        done = kpsbatch(
            "report", config.output.root.parent / "config.yaml", "-o", tmp_path / "x" / "r.html", "--samples", "0"
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert re.fullmatch(r"report: .*r\.html \(0\.\d MB: 11 videos read, 2 failed, 16 units\)\n", done.stdout)
        config_file = config.output.root.parent / "config.yaml"
        before = config_file.read_bytes()
        done = kpsbatch("report", config_file, "-o", config_file)
        assert (done.returncode, done.stderr) == (
            2,
            "kpsbatch: -o: 'config.yaml' is not a page. Let it end in .html or .htm.\n",
        )
        assert config_file.read_bytes() == before
        assert (tmp_path / "x" / "r.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")

    def test_default_place(self, config, tmp_path, capsys, monkeypatch):
        """Without -o the page lies in the output folder, so that the pages of two configs are two files."""
        other = made_up_run(tmp_path)
        monkeypatch.chdir(tmp_path)
        for one in (config, other):
            with pytest.raises(SystemExit) as ended:
                main(["report", str(one.output.root.parent / "config.yaml"), "--samples", "0", "--quiet"])
            assert not ended.value.code
            assert capsys.readouterr().out.startswith(f"report: {one.output.root / 'report.html'} (")
            assert (one.output.root / "report.html").is_file()
        assert not (tmp_path / "report.html").exists()


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PROBE = (Path(__file__).parent / "report_probe.html").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Visit:
    """What the page did in a browser: the probe's findings, and the lines of the console."""

    found: dict[str, Any]
    console: list[str]


FRAME = """<!DOCTYPE html><pre id="result"></pre><script>
addEventListener("message", (event) => { document.getElementById("result").textContent = event.data; });
</script><iframe src="page.html" width="%d" height="900" style="border: 0"></iframe>"""


def visit(page: str, folder: Path, width: int, *options: str) -> Visit:
    """Open the page in Chromium, work its tables and map, and tell what happened.

    The page is in a frame, since Chromium's own windows are at least 500 pixels wide.
    """
    (folder / "frame.html").write_text(FRAME % width, encoding="utf-8")
    (folder / "page.html").write_text(page.replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    assert CHROMIUM is not None
    flags = ["headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"]
    flags += ["disable-component-update", "disable-sync", "enable-logging=stderr", "dump-dom"]
    flags += [f"user-data-dir={folder / 'profile'}", "window-size=1400,900", "virtual-time-budget=5000", *options]
    done = subprocess.run(
        [CHROMIUM, *(f"--{flag}" for flag in flags), (folder / "frame.html").as_uri()],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    found = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    assert found[1], done.stderr[-2000:]
    return Visit(json.loads(html.unescape(found[1])), [line for line in done.stderr.splitlines() if "CONSOLE" in line])


@pytest.fixture(scope="module")
def wide(page: str, tmp_path_factory: pytest.TempPathFactory) -> Visit:
    """The page on a desktop."""
    return visit(page, tmp_path_factory.mktemp("wide"), 1280)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)")
class TestBrowser:
    def test_quiet(self, wide):
        """Nothing reaches the console, nothing is requested, no name in the data runs as code."""
        assert "error" not in wide.found
        assert (wide.console, wide.found["loaded"], wide.found["violations"]) == ([], [], [])
        assert wide.found["title"] == "Keypoints of dataset"
        assert wide.found["broken"] == 0

    def test_sort(self, wide):
        """A heading sorts, numbers downwards first; empty cells come last."""
        frames = [int(text) for text in wide.found["down"]]
        assert frames == sorted(frames, reverse=True)
        assert wide.found["sort"] == "descending"
        assert [int(text) for text in wide.found["up"]] == sorted(frames)
        hand = wide.found["hand"]
        rates = [float(text) for text in hand if text]
        assert rates == sorted(rates)
        assert hand[len(rates) :] == [""] * 7

    def test_filter(self, wide):
        """Words, names in both languages and comparisons filter."""
        found = wide.found
        assert {row[0].split()[0] for row in found["compared"]} == {"1", "2"}
        assert [row[1] for row in found["exact"]] == ["02"]
        assert len(found["state"]) == 2
        assert len(found["word"]) == len(found["arabic"]) == 2
        assert found["none"] == []
        assert len(found["all"]) == 16
        assert found["count"] == "16 units"
        assert [row[3] for row in found["evil"]] == [EVIL]

    def test_right_to_left(self, wide):
        """Arabic runs from right to left."""
        assert wide.found["rtl"] == "rtl"

    def test_map(self, wide):
        """The map is painted, changes with the part, says what is under the pointer and leads to the row."""
        assert wide.found["before"] != wide.found["after"]
        assert wide.found["before"][3] == 255
        assert wide.found["note"].startswith(
            "01 train, sign 1 father · أب: complete, 3 videos, 60 frames; any hand 75.0%"
        )
        assert [row[:3] for row in wide.found["clicked"]] == [["1 father · أب", "01", "train"]]

    def test_dark(self, wide, page, tmp_path):
        """A browser that asks for dark gets the same page in dark."""
        seen = visit(page, tmp_path, 1280, "blink-settings=preferredColorScheme=0")
        assert (seen.console, seen.found["overflow"]) == ([], [])
        assert (wide.found["ground"], seen.found["ground"]) == ("rgb(251, 251, 250)", "rgb(21, 25, 28)")

    def test_narrow(self, page, tmp_path):
        """On a narrow screen nothing needs sideways scrolling, and everything works the same."""
        seen = visit(page, tmp_path, 400)
        assert (seen.console, seen.found["overflow"]) == ([], [])
        assert seen.found["scroll"] <= seen.found["width"] == 400
        assert [row[1] for row in seen.found["exact"]] == ["02"]
