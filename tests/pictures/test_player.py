"""The player: what its page holds, which clips it shows, and how it behaves in a real browser."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from bodies import adjusted, keypoints
from browser import CHROMIUM, NO_CHROMIUM, Page
from factories import make_config, unit_record, write_frames
from numpy.typing import NDArray
from processes import kpsbatch

from kpsbatch.config import Config
from kpsbatch.dataset.video import Unit
from kpsbatch.errors import OutputError
from kpsbatch.landmarks.facts import ShotFacts, VideoFacts
from kpsbatch.pictures.clip import MAX_CLIPS, Candidate, candidates, clip_of_file, counterpart, load_clip, pair_up
from kpsbatch.pictures.draw import CANVAS, COLOURS, place_adjusted
from kpsbatch.pictures.player import INSIDE, encode_clip, pack, player_assets, player_html, view_page, write_page
from kpsbatch.points import Topology, topology_of
from kpsbatch.store.npz import write_npz
from kpsbatch.store.records import record_bytes

LENGTH = 20
EVIL = '</script><script>document.title="owned"</script><img src=x onerror=alert(1)>'
HOW = {"pose": "d" * LENGTH, "face": "t" * LENGTH, "right_hand": "d" * 10 + "l" * 10, "left_hand": "d" * 6 + "-" * 14}


def moving() -> NDArray[np.float32]:
    """(20, 184, 4): the left hand is missing from frame 6 on."""
    kps = keypoints(LENGTH)
    kps[6:, 163:184] = 0
    return kps


def store(root: Path, arrays: dict[str, NDArray[Any]], name: str = "01-train/0007") -> Path:
    path = root / f"{name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_npz(file, arrays)
    return path


def record(root: Path, videos: dict[str, Any], dataset: Path, coordinates: str = "image") -> None:
    """Write the record of sign 7, which says where its frames are."""
    records = root / "_kpsbatch" / "records" / "0123456789ab"
    (records / "01-train").mkdir(parents=True, exist_ok=True)
    (records / "settings.json").write_text(json.dumps({"landmarks": {"coordinates": coordinates}}))
    made = unit_record(videos=videos, dataset=str(dataset), source="01/01/train/0007")
    (records / "01-train" / "0007.json").write_bytes(record_bytes(made))


def facts(**more: Any) -> dict[str, Any]:
    return {
        "frames": LENGTH,
        "frame_rate": 20.0,
        "width": 120,
        "height": 80,
        "sizes": {"120x80": LENGTH},
        "how": HOW,
    } | more


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """One video of grey frames, 120x80, with its output and record; and a second output, 12 pixels to the right."""
    folder = tmp_path_factory.mktemp("a player")
    config = make_config(folder, dataset={"signs": "6-8"}, landmarks={"frame_rate": 20})
    write_frames(config.dataset.root / "01" / "01" / "train" / "0007" / "take (1)", LENGTH)
    store(config.output.root, {"take (1)": moving()})
    record(config.output.root, {"take (1)": facts()}, config.dataset.root)
    moved = moving()
    moved[..., 0] += 0.1 * (moved[..., 3] > 0)
    store(folder / "other", {"take (1)": moved})
    return config


def page_of(config: Config, **more: Any) -> str:
    shown, _ = candidates(config)
    return view_page(shown, config=config, **more)


def entries_of(page: str) -> list[dict[str, Any]]:
    data = re.search(r'class="kp-data">(.*?)</script>', page, re.DOTALL)
    assert data
    clips: list[dict[str, Any]] = json.loads(data[1])["clips"]
    return clips


class TestChoice:
    def test_config_folder_and_file(self, config):
        """A config, its output folder and its file lead to the same video."""
        path = config.output.root / "01-train" / "0007.npz"
        for source in (config, config.output.root, path):
            shown, rest = candidates(source)
            assert [(one.path, one.video) for one in shown] == [(path, "take (1)")]
            assert rest == ""

    def test_spread(self, tmp_path):
        """Of many files some are shown, from the first to the last; internal files are none."""
        for sign in range(1, 41):
            store(tmp_path, {"a": keypoints(1), "b": keypoints(1)}, f"01-train/{sign:04}")
        store(tmp_path, {"x": keypoints(1)}, "_kpsbatch/0001")
        shown, rest = candidates(tmp_path)
        assert (len(shown), rest) == (MAX_CLIPS, "40 files")
        assert candidates(tmp_path, "a")[1] == "40 that fit"
        assert [one.path.stem for one in (shown[0], shown[-1])] == ["0001", "0040"]

    def test_video(self, tmp_path):
        """A name, or a part of file and name, is looked for in every file; an exact name comes first."""
        for sign in (1, 2):
            store(tmp_path, {"take": keypoints(1), "take 2": keypoints(1)}, f"01-train/{sign:04}")
        assert [(one.path.stem, one.video) for one in candidates(tmp_path, "take")[0]] == [
            ("0001", "take"),
            ("0002", "take"),
        ]
        assert [one.video for one in candidates(tmp_path, "0002: take")[0]] == ["take", "take 2"]
        with pytest.raises(OutputError, match=r"--video: no video fits 'gone'\. Choose among '01-train/0001: take',"):
            candidates(tmp_path, "gone")

    @pytest.mark.parametrize("name", ["gone", "empty", "text.npz"])
    def test_no_output(self, tmp_path, name):
        """What holds no output is named, with the remedy."""
        (tmp_path / "empty").mkdir()
        (tmp_path / "text.npz").write_text("no zip")
        with pytest.raises(
            OutputError, match=rf"{name} (does not exist|holds no output|is not a readable npz).*\. Name "
        ):
            candidates(tmp_path / name)

    def test_frames_by_record(self, config):
        """A file alone finds its letters and its size by the record beside it; its frames where that is allowed."""
        candidate = Candidate(config.output.root / "01-train" / "0007.npz", "take (1)")
        assert "--pictures-from DIR" in load_clip(candidate).note
        assert load_clip(candidate).frames is None
        clip = load_clip(candidate, pictures_from=[config.dataset.root.parent])
        assert clip.frames is not None
        assert clip.frames.path == config.dataset.root / "01/01/train/0007/take (1)"
        assert (clip.how, clip.aspect) == (HOW, 1.5)

    @pytest.mark.parametrize("how", ["absolute", "relative", "link", "clip"])
    def test_a_record_from_elsewhere(self, config, tmp_path, how):
        """A record that names somebody's own video shows nothing of it, however it names it, and the page says so."""
        private = write_frames(tmp_path / "private" / "me", LENGTH)
        download = tmp_path / "download"
        path = store(download, {"me": moving()})
        where = {"absolute": private.parent, "relative": download / "data", "link": download / "data"}
        (download / "data").mkdir()
        record(download, {"me": facts()}, where.get(how, private))
        made = download / "_kpsbatch/records/0123456789ab/01-train/0007.json"
        sources = {"absolute": "", "relative": "../../private", "link": "link"}
        source = unit_record(videos={"me": facts()}, dataset=str(where.get(how, "")), source=sources.get(how, ""))
        made.write_bytes(record_bytes(source))
        (download / "data" / "link").symlink_to(private.parent)
        if how == "clip":
            made.unlink()
            clip = {"format": 1, "clip": str(private), "video": facts()}
            path.with_suffix(".json").write_text(json.dumps(clip))
        for allowed in ((), (download,), (download / "data",)):
            page = view_page([Candidate(path, "me")], pictures_from=allowed)
            [entry] = entries_of(page)
            assert entry["pictures"] == []
            assert entry["note"].startswith("Shown without its frames: ")
            assert "This page holds no picture of a video." in page
        page = view_page([Candidate(path, "me")], pictures_from=[private.parent])
        assert entries_of(page)[0]["pictures"]
        assert "This page holds pictures of: 01-train/0007: me." in page

    def test_adjusted_by_record(self, tmp_path):
        """The settings beside the record decide whether coordinates are adjusted."""
        path = store(tmp_path, {"take (1)": keypoints(LENGTH)})
        record(tmp_path, {"take (1)": facts()}, tmp_path, "adjusted")
        assert load_clip(Candidate(path, "take (1)")).adjusted
        record(tmp_path, {"take (1)": facts()}, tmp_path, "image")
        assert not load_clip(Candidate(path, "take (1)")).adjusted

    def test_gone_frames(self, tmp_path):
        """Where the frames are gone, keypoints are shown alone, and the page says so."""
        config = make_config(tmp_path, dataset={"signs": "7"})
        (config.dataset.root / "another").mkdir(parents=True)
        store(config.output.root, {"take (1)": moving()})
        entry = entries_of(page_of(config))[0]
        assert entry["pictures"] == []
        assert re.match("Shown without its frames: .* holds no frames of 'take \\(1\\)'", entry["note"])

    def test_counterpart(self, tmp_path):
        """A video is compared with its namesake in the same file of a folder, or with the only one of an npz."""
        one = Candidate(store(tmp_path / "a", {"v": keypoints(1), "w": keypoints(1)}), "v")
        both = store(tmp_path / "b", {"v": keypoints(1), "w": keypoints(1)})
        only = store(tmp_path / "c", {"x": keypoints(1)})
        assert counterpart(one, tmp_path / "b") == Candidate(both, "v")
        assert counterpart(one, both) == Candidate(both, "v")
        assert counterpart(one, only) == Candidate(only, "x")
        with pytest.raises(
            OutputError, match=r"--compare: .* holds none of the videos shown, such as '01-train/0007: v'"
        ):
            pair_up([one], tmp_path)


class TestData:
    def test_size(self, config):
        """A sample with small pictures takes some 60 kB; the budget of the pictures holds."""
        path = config.output.root / "01-train" / "0007.npz"
        clip = load_clip(Candidate(path, "take (1)"), pictures_from=[config.dataset.root])
        rng = np.random.default_rng(0)
        noisy = clip.keypoints[np.arange(60) % LENGTH] + rng.normal(0, 0.002, (60, 184, 4)) * clip.keypoints[:1]
        entry = encode_clip(clip_of_file(store(config.output.root.parent / "noisy", {"a": noisy.astype(np.float32)})))
        assert len(json.dumps(entry)) < 50_000
        few = encode_clip(clip, side=80, budget=200)
        assert few["every"] > 1
        assert len(few["pictures"]) == -(-LENGTH // few["every"])
        assert sum(map(len, few["pictures"])) < 400

    def test_letters(self, config):
        """Without a record, or with one of another length, the values tell what was found."""
        clip = load_clip(Candidate(config.output.root / "01-train" / "0007.npz", "take (1)"))
        for known in (None, VideoFacts(frames=3, how={"pose": "ddd"})):
            assert encode_clip(replace(clip, facts=known))["letters"]["left_hand"] == "f" * 6 + "-" * 14

    def test_doubts(self, config):
        """Who signs is in doubt: the page says so, and which setting takes the other one."""
        clip = load_clip(Candidate(config.output.root / "01-train" / "0007.npz", "take (1)"))
        assert clip.facts is not None
        assert pack(clip)["doubt"] == ""
        people = [{"x": 0.3, "y": 0.5, "unit": 0.1, "chosen": True}, {"x": 0.75, "y": 0.5, "unit": 0.1}]
        shot = ShotFacts(first=0, last=19, reason="nobody signs", people=people)
        unsure = replace(clip, facts=clip.facts.model_copy(update={"shots": [shot]}))
        doubt = "nobody of 2 people signs (dataset.person: x=0.75 takes the other one)"
        assert pack(unsure)["doubt"] == f"Who signs is in doubt: frames 0 to 19: {doubt}."

    def test_no_pictures(self, config):
        """Without pictures the page holds none."""
        with_them, without = page_of(config), page_of(config, pictures=False)
        assert len(entries_of(with_them)[0]["pictures"]) == LENGTH
        assert entries_of(without)[0]["pictures"] == []
        assert entries_of(without)[0]["note"] == ""

    def test_component(self, config):
        """A player can be a part of another page: no id, no address."""
        style, script = player_assets()
        part = player_html(entries_of(page_of(config)))
        assert " id=" not in part
        assert not re.search(r"https?://", style + script + part)

    def test_report(self, config, tmp_path):
        """A report's samples can be played; with --no-pictures it shows no frame of any video."""
        shades: dict[bool, int] = {}
        for pictures in (True, False):
            options = [] if pictures else ["--no-pictures"]
            done = kpsbatch("report", config.output.root.parent / "config.yaml", "-o", tmp_path / "r.html", *options)
            assert (done.returncode, done.stderr) == (0, "")
            page = (tmp_path / "r.html").read_text(encoding="utf-8")
            [entry] = entries_of(page)
            assert bool(entry["pictures"]) is pictures
            assert len(json.dumps(entry)) < 60_000
            still = base64.b64decode(re.findall(r"data:image/jpeg;base64,([^\"]+)", page)[0])
            shades[pictures] = int(cv2.imdecode(np.frombuffer(still, np.uint8), cv2.IMREAD_COLOR)[-20, 200].max())
        assert abs(shades[True] - 128) < 6
        assert abs(shades[False] - max(CANVAS)) < 6

    def test_command(self, config, tmp_path):
        """The command writes one page and says what is in it."""
        root = config.output.root
        done = kpsbatch(
            "view", root.parent / "config.yaml", "-o", tmp_path / "v.html", "--compare", root.parent / "other"
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert re.fullmatch(r"view: .*v\.html \(0\.\d MB, 1 video\)\n", done.stdout)
        first, second = entries_of((tmp_path / "v.html").read_text(encoding="utf-8"))
        assert (first["compare"], first["name"], second["name"]) == (
            1,
            "01 train, sign 7: take (1)",
            "01-train/0007: take (1) (other)",
        )
        done = kpsbatch("view", root, "-o", tmp_path / "v.png")
        assert (done.returncode, done.stderr) == (
            2,
            "kpsbatch: -o: 'v.png' is not a page. Let it end in .html or .htm.\n",
        )


def npz_bytes(*, compressed: bool = True, **arrays: NDArray[Any]) -> str:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return base64.b64encode(file.getvalue()).decode()


def damaged(text: str, at: int) -> str:
    data = bytearray(base64.b64decode(text))
    data[at] ^= 255
    return base64.b64encode(data).decode()


def good_files() -> dict[str, str]:
    """npz files of all kinds that can be read, in base64."""
    kps = moving()
    return {
        "stored.npz": npz_bytes(compressed=False, video=kps),
        "deflated.npz": npz_bytes(video=kps, **{EVIL: kps}),
        "double.npz": npz_bytes(video=kps.astype(np.float64)),
        "half.npz": npz_bytes(video=kps.astype(np.float16)),
        "big-endian.npz": npz_bytes(video=kps.astype(">f4")),
    }


PROBLEMS = {
    "cut.npz": "is no npz: it has no table of contents",
    "flipped.npz": "is damaged at video: its checksum differs",
    "deflated-flipped.npz": "is damaged at video",
    "shape.npz": "holds video of shape (20, 10, 4), not (T, 184 or 553, 4)",
    "integers.npz": "holds video of type <i4, not of floats",
    "empty.npz": "is no npz: it is too short",
    "text.npz": "is no npz: it has no table of contents",
    "strange.npz": "holds notes.txt, which is not an array",
}


def bad_files() -> dict[str, str]:
    """Files that can't be read, by the names of `PROBLEMS`."""
    kps = moving()
    whole = npz_bytes(compressed=False, video=kps)
    strange = io.BytesIO()
    with zipfile.ZipFile(strange, "w") as archive:
        archive.writestr("notes.txt", "no array")
    return {
        "cut.npz": base64.b64encode(base64.b64decode(whole)[:-100]).decode(),
        "flipped.npz": damaged(whole, 5000),
        "deflated-flipped.npz": damaged(npz_bytes(video=kps), 700),
        "shape.npz": npz_bytes(video=kps[:, :10]),
        "integers.npz": npz_bytes(video=np.ones((2, 184, 4), np.int32)),
        "empty.npz": "",
        "text.npz": base64.b64encode(b"this is no zip archive at all").decode(),
        "strange.npz": base64.b64encode(strange.getvalue()).decode(),
    }


PROBE = (Path(__file__).parent / "player_probe.js").read_text(encoding="utf-8")


def opened(html: str, folder: Path, **options: Any) -> Page:
    """A page in Chromium, with the functions of the probe."""
    (folder / "page.html").write_text(html, encoding="utf-8")
    page = Page(folder / "page.html", folder, **options)
    page.run(f"{PROBE}; 0")
    page.run("kpReady()")
    return page


@pytest.fixture(scope="module")
def html(config: Config) -> str:
    """The page of one video."""
    return page_of(config)


@pytest.fixture(scope="module")
def shared(html: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """That page on a desktop, for all tests that look at it."""
    with opened(html, tmp_path_factory.mktemp("desktop")) as page:
        yield page


@pytest.fixture
def page(shared: Page) -> Page:
    """The same page, at its first frame, with nothing wrong so far."""
    shared.run("(document.activeElement.blur(), kpSet(kpFind('scrub'), 0, 'input'))")
    return shared


def close(got: list[int], wanted: tuple[int, ...], by: int = 12) -> bool:
    return bool(np.abs(np.array(got) - wanted).max() <= by)


@pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)
class TestBrowser:
    def test_draws(self, page):
        """Parts are drawn at their places in their colours over the picture, and go with their checkboxes."""
        assert close(page.run("kpPixel(0.2, 0.75)"), COLOURS["right_hand"])
        assert close(page.run("kpPixel(0.5, 0.95)"), (128, 128, 128))
        page.run("kpBox('right hand').click()")
        assert close(page.run("kpPixel(0.2, 0.75)"), (128, 128, 128))
        page.run("kpBox('right hand').click(), kpBox('picture').click()")
        assert close(page.run("kpPixel(0.2, 0.75)"), COLOURS["right_hand"])
        assert close(page.run("kpPixel(0.5, 0.95)"), CANVAS)
        page.run("kpBox('picture').click()")

    def test_enlarged(self, page):
        """Hands and face are enlarged: more of their pixels have the part's colour than in the whole view."""
        script = (
            "[...document.querySelectorAll('.kp-details canvas, .kp-first')].map((one) => kpShare(one, 230, 130, 0))"
        )
        whole, right, left, face = page.run(f"kpPictures().then(() => {script})")
        assert right > 3 * whole > 0
        assert left == face == 0

    def test_says(self, page):
        """Every frame says how each part was found, in words; so does the slider."""
        page.run("kpSet(kpFind('scrub'), 8, 'input')")
        assert page.run("kpFind('now').textContent") == (
            "Frame 9 of 20 (row 8), 0.40 s: pose detected, face tracked, right hand detected, left hand missing."
        )
        assert page.run("kpFind('scrub').getAttribute('aria-valuetext')") == "frame 9 of 20, 0.40 seconds"

    def test_keys(self, page):
        """Keys step, jump, toggle parts and play."""
        for key, frame in (("ArrowRight", 1), ("End", 19), ("ArrowLeft", 18), ("Home", 0), ("n", 6)):
            page.key(key)
            assert page.run("kpFrame()") == frame, key
        page.key("ArrowRight", shift=True)
        assert page.run("kpFrame()") == 16
        for checked in (False, True):
            page.key("3")
            assert page.run("kpBox('right hand').checked") is checked
        for text in ("Pause", "Play"):
            page.key(" ")
            assert page.run("kpFind('play').textContent") == text

    def test_tab(self, page):
        """The Tab key reaches every control, one after the other, and Space works the one in focus only."""
        names: list[str] = []
        for _ in range(page.run("kpAccessibility().controls")):
            page.key("Tab")
            names.append(page.run("kpName(document.activeElement)"))
        assert len(set(names)) == len(names)
        assert {"Play", "Next frame", "Frame", "pose", "left hand: next change", "Keys"} <= set(names)
        page.run("kpBox('face').focus()")
        page.key(" ")
        assert page.run("[kpBox('face').checked, kpFind('play').textContent]") == [False, "Play"]
        page.key(" ")

    def test_buttons(self, page):
        """Buttons go one frame forward and back, not beyond the ends."""
        steps = "kpFind('back').click(), kpFrame()", "kpFind('next').click(), kpFind('next').click(), kpFrame()"
        assert [page.run(step) for step in steps] == [0, 2]

    def test_ribbon(self, page):
        """The ribbon shows every part's letters, leads to the frame that is clicked, and to the next change."""
        labels = page.run(
            "[...document.querySelectorAll('.kp-tracks canvas')].map((one) => one.getAttribute('aria-label'))"
        )
        assert labels == [
            "pose: detected in 20 of 20 frames",
            "face: tracked in 20 of 20 frames",
            "right hand: detected in 10, looked for again in 10 of 20 frames",
            "left hand: detected in 6, missing in 14 of 20 frames",
        ]
        shares = page.run("[...document.querySelectorAll('.kp-shares span')].map((one) => one.textContent)")
        assert shares == ["100%", "100%", "100%", "30%"]
        assert page.run("kpInk()") == [[True, True], [False, False], [True, False], [True, False]]
        page.run("kpFind('tracks').scrollIntoView()")
        left, top, width = page.run(
            "(({ left, top, width }) => [left, top, width])(kpFind('tracks').getBoundingClientRect())"
        )
        page.click(left + width * 0.52, top + 30)
        assert page.run("kpFrame()") == 10
        page.run("[...document.querySelectorAll('.kp-names button')].at(-1).click()")
        assert page.run("kpFrame()") == 6

    @pytest.mark.parametrize("speed", ["0.25", "1", "2"])
    def test_plays(self, page, speed):
        """It plays at the video's rate times the speed, in a loop, and then stays where it is."""
        page.run(f"kpFind('speed').value = '{speed}'")
        seen = page.run("kpPlay(40)")
        start = seen[0][0]
        for time, frame in seen:
            wanted = (time - start) * float(speed) * 20 / 1000 % LENGTH
            assert min(abs(frame + 0.5 - wanted), abs(frame + 0.5 - wanted + LENGTH)) <= 1.5
        assert page.run("kpFrames(10).then(kpFrame)") == seen[-1][1]
        page.run("kpFind('speed').value = '1'")

    def test_ends(self, page):
        """Without a loop it stops at the last frame, and begins again from the first."""
        page.run("kpFind('loop').click(), kpFind('speed').value = '2', kpFind('play').click()")
        page.run("(async () => { while (kpFind('play').textContent === 'Pause') await kpFrames(1); })()")
        assert page.run("kpFrame()") == LENGTH - 1
        assert page.run("kpFind('play').click(), kpFrame()") == 0
        page.run("kpFind('play').click(), kpFind('loop').click(), kpFind('speed').value = '1'")

    def test_unpacks(self, page):
        """The browser reads the packed keypoints as they were, to half a step."""
        xy, seen = page.run("""(async () => {
            const entry = JSON.parse(kpFind("data").textContent).clips[0];
            const { xy, seen } = await kpNpz.unpack(entry.points, entry.frames, kpSpec.sets[entry.set].points);
            return [[...xy], [...seen]]; })()""")
        kps = moving()
        assert np.allclose(xy, kps[..., :2].reshape(-1), atol=0.5 / 4096 + 1e-7)
        assert seen == (kps[..., 3].reshape(-1) * 255).tolist()

    def test_adjusted(self, page):
        """Adjusted coordinates of a dropped file are put together to the body that the preview draws."""
        is_adjusted, places = page.run(f"""(async () => {{
            const [one] = await kpNpz.read(kpBytes("{npz_bytes(video=adjusted())}").buffer);
            const clip = kpDrawing.ofArray("x", one);
            return [clip.adjusted, [...clip.xy.slice(0, 368)]]; }})()""")
        assert is_adjusted
        assert np.allclose(np.reshape(places, (184, 2)), place_adjusted(adjusted()[0])[:, :2], atol=1e-5)

    @pytest.mark.parametrize("part", Topology.PARTS)
    def test_adjusted_by_any_part(self, page, part):
        """The page tells adjusted coordinates from others by any part, as the program does."""
        for kps, expected in ((keypoints(4), False), (adjusted(), True)):
            only = np.zeros_like(kps)
            only[:, Topology.PARTS[part]] = kps[:, Topology.PARTS[part]]
            assert expected == page.run(f"""(async () => {{
                const [one] = await kpNpz.read(kpBytes("{npz_bytes(video=only)}").buffer);
                return kpDrawing.ofArray("x", one).adjusted; }})()""")

    def test_sets_of_points(self, page):
        """A file of all 553 points is read, and compared with one of the contract's at the points that both have."""
        full, contract = topology_of("all"), topology_of("contract")
        everything = np.random.default_rng(1).uniform(0.1, 0.9, (2, 553, 4)).astype(np.float32)
        ours = everything[:, [full.place(name) for name in contract.names]] + np.float32([0.01, 0, 0, 0])
        far, same, missing, strokes = page.run(f"""(async () => {{
            const read = async (text) => kpDrawing.ofArray("x", (await kpNpz.read(kpBytes(text).buffer))[0]);
            const [all, contract] = [await read("{npz_bytes(v=everything)}"), await read("{npz_bytes(v=ours)}")];
            const parts = Object.keys(contract.set.parts);
            return [
                parts.map((part) => kpDrawing.difference(all, contract, part, 1).mean),
                parts.map((part) => kpDrawing.difference(contract, all, part, 1).most),
                kpDrawing.windowsOf(all, "tail"), all.set.strokes.map((one) => one.dots.length)]; }})()""")
        assert np.allclose(far, 10, atol=1e-3) and np.allclose(same, 10, atol=1e-3)  # thousandths of a width
        assert missing is None
        assert strokes == [22, 0, 342, 0, 21, 21]

    def test_adjusted_with_all_points(self, page):
        """Adjusted coordinates of all points are put together as the preview does, hands on the wrists of the pose."""
        full = topology_of("all")
        kps = np.zeros((1, 553, 4), np.float32)
        kps[:, [full.place(name) for name in topology_of("contract").names]] = adjusted()[:1]
        is_adjusted, places = page.run(f"""(async () => {{
            const [one] = await kpNpz.read(kpBytes("{npz_bytes(video=kps)}").buffer);
            const clip = kpDrawing.ofArray("x", one);
            return [clip.adjusted, [...clip.xy.slice(0, 1106)]]; }})()""")
        assert is_adjusted
        assert np.allclose(np.reshape(places, (553, 2)), place_adjusted(kps[0], topology=full)[:, :2], atol=1e-5)

    def test_quiet(self, page):
        """Nothing has reached the console, nothing was requested."""
        assert (page.console, page.requests) == ([], [])

    def test_dropped(self, html, tmp_path):
        """Files of every float type are read; a damaged one is one line that names it, and changes nothing."""
        with opened(html, tmp_path) as page:
            page.run("kpSet(kpFind('scrub'), 8, 'input')")
            got = page.run(f"kpDrop({json.dumps(good_files() | bad_files())})")
            assert (page.console, page.requests) == ([], [])
            assert page.run("document.title") == "Keypoints: 01 train, sign 7: take (1)"
        for name in good_files():
            assert (got[name]["problem"], got[name]["shown"]) == ("", f"{name}: video"), name
            assert got[name]["now"].endswith("pose found, face found, right hand found, left hand missing.")
        assert got["deflated.npz"]["videos"] == 4
        for name, problem in PROBLEMS.items():
            assert got[name]["problem"].startswith(f"{name} {problem}"), got[name]
            assert got[name]["videos"] == len(good_files()) + 2

    def test_links(self, html, tmp_path):
        """A link names video and frame, counted from 1; the page opens there, and says where it is."""
        with opened(html, tmp_path) as page:
            page.run("kpSet(kpFind('scrub'), 19, 'input')")
            assert page.run("kpFind('now').textContent").startswith("Frame 20 of 20 (row 19), ")
            link = page.run("kpFind('link').getAttribute('href')")
            assert link == "#video=01-train%2F0007%3A%20take%20(1)&frame=20"
            page.run("kpSet(kpFind('scrub'), 0, 'input')")
            page.run(f"location.hash = {json.dumps(link)}; kpFrames(3)")
            assert page.run("kpFrame()") == 19
            page.run("location.hash = '#video=nothing&frame=3'; kpFrames(3)")
            assert page.run("kpFrame()") == 19
            assert (page.console, page.requests) == ([], [])

    def test_flags(self, html, tmp_path):
        """A flagged video is listed as dataset.exclude, until it is flagged again; the page keeps it."""
        with opened(html, tmp_path) as page:
            assert page.run("kpFind('flags').hidden")
            page.run("kpFind('flag').click()")
            assert yaml.safe_load(page.run("document.querySelector('.kp-flags pre').textContent")) == {
                "dataset": {"exclude": ["01-train/0007/take (1)"]}
            }
            page.run("document.querySelector('.kp-flags button + button').click()")
            assert page.run("kpFind('flags').hidden")
            page.key("f")
            assert not page.run("kpFind('flags').hidden")

    def test_many(self, tmp_path):
        """More videos than a page holds have their data beside it; the list is searched by label, signer and name."""
        names = [f"{word}_{number}" for word in ("hello", "bye") for number in range(INSIDE)]
        path = store(tmp_path, {name: keypoints(3) for name in names})
        shown, rest = candidates(path, most=1000)
        assert (len(shown), rest) == (2 * INSIDE, "")
        html = view_page(shown, beside=tmp_path / "my page-data")
        assert len(list((tmp_path / "my page-data").iterdir())) == 2 * INSIDE
        assert not any("points" in entry for entry in entries_of(html))
        write_page(tmp_path / "my page.html", html)
        with Page(tmp_path / "my page.html", tmp_path) as page:
            page.run(f"{PROBE}; 0")
            page.run("kpReady()")
            assert page.run("document.querySelectorAll('.kp-list button').length") == 2 * INSIDE
            page.run("kpSet(document.querySelector('.kp-search input'), 'BYE bye_1', 'input')")
            assert page.run("document.querySelectorAll('.kp-list button').length") == 11  # 1 and 10 to 19
            assert page.run("kpFind('count').textContent") == f"11 of {2 * INSIDE} videos"
            page.run("document.querySelectorAll('.kp-list button')[1].click(); kpFrames(20)")
            assert page.run("kpFind('title').textContent").endswith("bye_10")
            assert page.run("kpFind('now').textContent").startswith("Frame 1 of 3 ")
            (tmp_path / "my page-data").rename(tmp_path / "elsewhere")
            page.run("document.querySelectorAll('.kp-list button')[0].click(); kpFrames(20)")
            assert "00026.js is not beside this page" in page.run("kpFind('problem').textContent")
            assert page.run("kpFind('title').textContent").endswith("bye_10")

    def test_long(self, tmp_path):
        """A ribbon of 1,000 frames has bars of several; one lost frame shows in its bar."""
        values = keypoints(1000)
        values[500, 142:163] = 0
        page_html = view_page([Candidate(store(tmp_path, {"long": values}), "long")])
        with opened(page_html, tmp_path, width=700) as page:
            canvas = "document.querySelectorAll('.kp-tracks canvas')[2]"
            red = f"(() => {{ const one = {canvas}; return kpShare(one, 192, 57, 43) * one.width * one.height; }})()"
            assert page.run(red) > 6

    def test_centred(self, tmp_path):
        """A hand that moves fast is in the middle of its window all the same."""
        values = keypoints(20)
        values[:, 142:163, 0] += np.linspace(0, 0.5, 20)[:, None]
        page_html = view_page([Candidate(store(tmp_path, {"fast": values}), "fast")])
        with opened(page_html, tmp_path) as page:
            page.run("kpSet(kpFind('scrub'), 0, 'input')")
            for frame in (0, 10, 19):
                page.run(f"kpSet(kpFind('scrub'), {frame}, 'input'); kpPictures()")
                assert (
                    abs(page.run("kpMiddle(document.querySelector('.kp-details canvas'), 230, 130, 0)") - 0.5) < 0.17
                ), frame

    @pytest.mark.parametrize(("width", "dark"), [(400, False), (800, True), (1400, False)])
    def test_compared(self, config, tmp_path, width, dark):
        """Two outputs are compared in pixels; at any width nothing scrolls sideways; all is legible and reachable."""
        html = page_of(config, compare=config.output.root.parent / "other")
        with opened(html, tmp_path, width=width, dark=dark) as page:
            told = page.run("kpFind('now').textContent")
            apart = "pose 12.0 (12.0) px, face 12.0 (12.0) px, right hand 12.0 (12.0) px, left hand 12.0 (12.0) px."
            assert told.endswith(f"Difference on average (most): {apart}")
            overlaid = page.run("kpAccessibility()")
            page.run("kpSet(document.querySelector('.kp-way select'), 'beside', 'change')")
            assert close(
                page.run("kpPixel(0.3, 0.75, document.querySelector('.kp-second canvas'))"), COLOURS["right_hand"]
            )
            beside = page.run("kpAccessibility()")
            assert (page.console, page.requests) == ([], [])
        for seen in (overlaid, beside):
            assert seen["ground"] == ("rgb(21, 25, 28)" if dark else "rgb(251, 251, 250)")
            assert min(seen["controls"], seen["texts"]) >= 20
            for what in ("nameless", "twice", "unreachable", "small", "faint", "overflow"):
                assert seen[what] == [], what
            assert (seen["canvases"], seen["sideways"], seen["roles"]) == (0, False, ["en", "status", "alert"])

    def test_printed(self, page):
        """It prints on one page of paper."""
        assert len(re.findall(rb"/Type\s*/Page\b", page.pdf())) == 1


def test_unit_names_are_escaped(tmp_path):
    """Names of videos can hold anything."""
    path = store(tmp_path, {EVIL: keypoints(2)})
    page = view_page([Candidate(path, EVIL, Unit("01", "train", 7))])
    assert EVIL not in page
    assert entries_of(page)[0]["name"].endswith(EVIL)
