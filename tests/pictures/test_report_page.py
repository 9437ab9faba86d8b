"""What the report's page says of failures, tasks and sums, and how its tables behave in a real browser."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from browser import CHROMIUM, NO_CHROMIUM, Page
from made_up_run import EVIL, NAMES, TRUNCATED, made_up_run

from kpsbatch.config import Config
from kpsbatch.pictures.report.charts import timeline
from kpsbatch.pictures.report.findings import headline_of, reasons_of
from kpsbatch.pictures.report.gather import Failure, ReportData, gather
from kpsbatch.pictures.report.videos import failed_videos
from kpsbatch.pictures.report.view import render, view_of
from kpsbatch.store.run_state import RunState

PROBE = (Path(__file__).parent / "player_probe.js").read_text(encoding="utf-8")
FORMULAS = ["=1+1", "+cmd", "-2", "@SUM(A1)", "\t=1", " =1", "\uff1d1", "\u200b=1", "\u202e@1"]
PLAIN = ['a "b", c;\nd', " space ", "1.5", "a=b", "01"]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return made_up_run(tmp_path_factory.mktemp("a page"))


@pytest.fixture(scope="module")
def data(config: Config) -> ReportData:
    return replace(gather(config), labels=NAMES)


def table(page: Any, name: str) -> list[dict[str, Any]]:
    """The rows of a table by the keys of its columns."""
    found = page.script["tables"][name]
    return [dict(zip([column["key"] for column in found["columns"]], row, strict=True)) for row in found["rows"]]


@pytest.fixture(scope="module")
def view(config: Config, data: ReportData) -> Any:
    return view_of(config, data, config_path=Path("c.yaml"), samples=0)


class TestSums:
    def test_agree(self, data, view):
        """Cards, headline, reasons and tables count units, videos and frames alike."""
        units, groups = table(view, "units"), table(view, "groups")
        cards = {card.label: card.value for card in view.progress}
        states = ("complete", "partial", "failed_units", "foreign", "left", "absent")
        for group in groups:
            assert sum(group[state] for state in states) == group["units"]
        sums = {key: sum(group[key] for group in groups) for key in groups[0] if key not in ("signer", "split")}
        assert sums["units"] == len(units) == 16
        for key in ("read", "failed", "frames", "bad"):
            assert sum(unit[key] for unit in units) == sums[key], key
        labels = {"complete": "complete", "partial": "partial", "failed": "failed_units", "no record": "foreign"}
        labels |= {"left": "left", "no video": "absent"}
        for label, key in labels.items():
            assert sum(unit["state"] == label for unit in units) == sums[key], label
        finished = sums["complete"] + sums["partial"] + sums["failed_units"]
        assert cards["units finished"] == f"{finished} of {sums['units'] - sums['absent']}"
        assert (cards["videos read"], cards["videos failed"]) == (str(sums["read"]), str(sums["failed"]))
        assert cards["frames"] == f"{sums['frames']:,}"
        assert (len(table(view, "videos")), len(table(view, "failures"))) == (sums["read"], sums["failed"])
        assert sum(row["frames"] for row in table(view, "videos")) == sums["frames"]
        assert sum(len(reason.failures) for reason in reasons_of(data.failures)) == sums["failed"]
        assert (
            view.headline
            == headline_of(data)
            == ("10 of 14 units are finished, 4 are left. 11 videos were read, 2 failed.")
        )

    def test_many_reasons(self, config, data, monkeypatch):
        """The reasons that are not listed are counted."""
        unit = data.units[0].unit
        failures = [Failure(unit, str(number), f"{chr(97 + number)} happened") for number in range(5)]
        monkeypatch.setattr("kpsbatch.pictures.report.view.MAX_REASONS", 3)
        odd = ReportData(data.units, failures=[*failures, failures[0]])
        page = render(view_of(config, odd, samples=0))
        listed = re.findall(r"<li>([\d,]+) failed", page.split('id="failures"')[1].split("</section>")[0])
        assert [int(count) for count in listed] == [2, 1, 1, 2]
        assert (
            "6 videos failed</a>: 2 failed: a happened, 1 failed: b happened, 1 failed: c happened, 2 failed for other"
            in page
        )

    def test_one_is_left(self, data):
        """The headline reads well for one as for many."""
        left = next(row for row in data.units if row.state == "left")
        assert headline_of(ReportData([left])) == (
            "0 of 1 unit are finished, 1 is left. 0 videos were read, none failed."
        )


class TestFailures:
    def test_picture(self, config, data):
        """A failed video is shown with the first of its frames that can be read."""
        broken, gone = failed_videos(config, data, pictures=True)
        assert broken.caption == "frame 9"
        jpeg = base64.b64decode(broken.picture.removeprefix("data:image/jpeg;base64,"))
        image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        assert image.shape == (96, 144, 3)
        assert np.abs(image.mean(axis=(0, 1)) - (20, 20, 220)).max() < 10
        assert (gone.picture, gone.caption) == ("", "not in the dataset")

    def test_no_pictures(self, config, data):
        """Where pictures are not wanted there are none, and the table has no column for them."""
        assert [one.picture for one in failed_videos(config, data, pictures=False)] == ["", ""]
        page = render(view_of(config, data, samples=1, pictures=False))
        assert "/9j/" not in page.split('id="failures"')[1]

    def test_lost_worker(self, config, data):
        """A video that stopped its worker is not read again."""
        failure = data.failures[0]._replace(error="attempt 1: it was killed; attempt 2: it was killed")
        (one,) = failed_videos(config, ReportData([], data.source, failures=[failure]), pictures=True)
        assert (one.picture, one.caption) == ("", "not read again: it stopped its worker")

    def test_log(self, config, data):
        """The log is the one of the run that tried it; of its lines, those that say more than the record."""
        broken, gone = failed_videos(config, data, pictures=False)
        assert broken.log == gone.log == str(config.output.root.parent / "run-1.log")
        assert (broken.lines, gone.lines) == ((), ("01-train/0003/gone: odd",))

    def test_log_by_job(self, config, data):
        """Of tasks that ran at the same time on one host the job tells which it was; else none is named."""
        failure = data.failures[0]
        assert failure.task is not None
        first, second = (
            data.runs[0].model_copy(update={"job": "7", "array_task": number, "log": f"{number}.log"})
            for number in (1, 2)
        )
        for job, log in (("7_2", "2.log"), ("", "")):
            one = failure._replace(task=failure.task._replace(job=job))
            (shown,) = failed_videos(config, ReportData([], failures=[one], runs=[first, second]), pictures=False)
            assert shown.log == log


def run_of(number: int, **more: Any) -> RunState:
    moment = f"2026-11-22T{number // 60:02}:{number % 60:02}:00+00:00"
    more = {"run": f"r{number}", "started": moment, "updated": moment, "state": "finished"} | more
    return RunState.model_validate(more)


class TestTimeline:
    def test_places(self, data):
        """A bar is where and as long as its run was; CPU time by time is the cores, the rest is in its text."""
        shown = timeline(data.runs)
        assert shown is not None
        first, second = shown.bars
        whole = 65 * 60
        assert (first.start, first.width) == pytest.approx((0, 100 * 600 / whole))
        assert (second.start, second.width) == pytest.approx((100 * 3600 / whole, 100 * 300 / whole))
        assert (first.state, first.used, second.used) == ("failed", "1.9 cores, 2.8 GiB", "")
        assert first.text == (
            "run of 2026-11-22 11:00 on node1: failed, from 2026-11-22 11:00 UTC, 10 min 00 s, 8 units, "
            "1.9 cores, 2.8 GiB"
        )
        assert shown.states == {"finished": 1, "failed": 1}

    def test_none_and_many(self):
        """Without a run there is no timeline; of very many the newest are shown, without their names."""
        assert timeline([]) is None
        shown = timeline([run_of(number, shard=number) for number in range(500)])
        assert shown is not None
        assert (len(shown.bars), shown.named, shown.note) == (300, False, "The newest 300 of 500 tasks.")
        assert (shown.bars[0].name, shown.bars[-1].name) == ("shard 200", "shard 499")
        assert all(bar.start >= 0 and bar.start + bar.width <= 100 + 1e-9 for bar in shown.bars)
        assert shown.bars[0].used == ""


@pytest.fixture(scope="module")
def html_file(config: Config, data: ReportData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    page = render(view_of(config, data, samples=1, config_path=Path("my config.yaml")))
    path.write_text(page.replace("</body>", f"<script>{PROBE}</script></body>"), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def page(html_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page in a wide window."""
    with Page(html_file, tmp_path_factory.mktemp("browser")) as page:
        yield page


def save(page: Page, name: str) -> list[list[str]]:
    """Press CSV below a table, and read what would be saved."""
    saved, text = page.run(f"""(async () => {{
        const [make, click] = [URL.createObjectURL, HTMLAnchorElement.prototype.click];
        const got = {{}};
        URL.createObjectURL = (blob) => {{ got.blob = blob; return make(blob); }};
        HTMLAnchorElement.prototype.click = function () {{ got.name = this.download; }};
        document.querySelector("[data-table={name}] .csv").click();
        [URL.createObjectURL, HTMLAnchorElement.prototype.click] = [make, click];
        return [got.name, await got.blob.text()];
    }})()""")
    assert saved == f"{name}.csv"
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)
class TestInABrowser:
    def test_totals(self, page):
        """The sums below a table are those of the rows that are listed."""
        foot = "[...document.querySelectorAll('[data-table={}] tfoot td')].map((cell) => cell.textContent)"
        assert page.run(foot.format("groups"))[:3] == ["all", "", "16"]
        total = page.run(foot.format("units"))
        assert total[4:8] == ["11", "2", "725", "2"]
        page.run("kpSet(document.querySelector('[data-table=units] input'), 'signer=02 sign<=3', 'input')")
        assert page.run(foot.format("units"))[4:7] == ["3", "0", "225"]
        page.run("kpSet(document.querySelector('[data-table=units] input'), '', 'input')")

    def test_failures(self, page):
        """A failed video has its picture, its reason and its log."""
        cells = "[...document.querySelectorAll('[data-table=failures] tbody tr')].map((row) => row.innerText)"
        first, log, second, more = page.run(cells)
        assert TRUNCATED in first
        assert log.startswith("Log\n/") and log.endswith("run-1.log")
        assert "not in the dataset" in second
        assert "The log says\n01-train/0003/gone: odd" in more
        size = page.run("(({ naturalWidth, alt }) => [naturalWidth, alt])(document.querySelector('td.picture img'))")
        assert size == [144, "frame 9"]

    def test_command(self, page):
        """A run has its command line, without the folder of Python."""
        text = page.run("document.querySelector('[data-table=runs]').innerText")
        assert "Command\npython -m kpsbatch run 'my config.yaml'" in text

    def test_columns_are_explained(self, page):
        """Every column of every table says what it means, under the pointer and in a list."""
        assert page.run("[...document.querySelectorAll('[data-table] th')].filter((head) => !head.title).length") == 0
        heads, terms = page.run(
            "['th', '.meaning dt'].map((what) => document.querySelectorAll(`[data-table=units] ${what}`).length)"
        )
        assert heads == terms == 15

    def test_csv(self, page, view):
        """Every table is saved with all its rows, names in both languages and numbers as they are."""
        for name in view.script["tables"]:
            rows = save(page, name)
            assert len(rows) - 1 == len(view.script["tables"][name]["rows"]), name
            assert len({len(row) for row in rows}) == 1, name
        head, *rows = save(page, "units")
        assert head[:6] == ["Sign", "Name", "Arabic name", "Signer", "Split", "State"]
        assert rows[0][:6] == ["1", "father", "أب", "01", "train", "complete"]
        assert rows[0][head.index("Hand (%)")] == "75"
        assert [row[6] for row in save(page, "videos")].count(EVIL) == 0
        assert EVIL in [row[5] for row in save(page, "videos")]

    def test_csv_as_listed(self, page):
        """What is filtered out is not saved, and the order is the table's."""
        page.run("kpSet(document.querySelector('[data-table=videos] input'), 'signer=02', 'input')")
        heads = "[...document.querySelectorAll('[data-table=videos] th button')]"
        page.run(f"{heads}.find((one) => one.textContent === 'Right').click()")
        head, *rows = save(page, "videos")
        assert [row[3] for row in rows] == ["02"] * 7
        right = [float(row[head.index("Right (%)")]) for row in rows]
        assert right == sorted(right)
        page.run("kpSet(document.querySelector('[data-table=videos] input'), '', 'input')")

    def test_formulas(self, html_file, tmp_path):
        """No text of a dataset becomes a formula of a spreadsheet; any other text is kept as it is."""
        page = html_file.read_text(encoding="utf-8")
        names = [*FORMULAS, *PLAIN, "a;=1", "b\t+1"]
        made = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]
        row = made["tables"]["bad"]["rows"][0]
        made["tables"]["bad"]["rows"] = [[*row[:3], name, *row[4:]] for name in names]
        changed = re.sub(
            r'(id="data">).*?(</script>)',
            lambda match: match[1] + json.dumps(made).replace("<", "\\u003c") + match[2],
            page,
            flags=re.DOTALL,
        )
        (tmp_path / "page.html").write_text(changed, encoding="utf-8")
        with Page(tmp_path / "page.html", tmp_path) as page:
            _, *rows = save(page, "bad")
            page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
            page.run("document.querySelector('[data-table=bad] .csv').click()")
            while not (tmp_path / "bad.csv").exists():
                page.run("new Promise((done) => setTimeout(done, 20))")
        assert (tmp_path / "bad.csv").read_bytes().startswith("\ufeffSign,Name,Arabic name,".encode())
        assert [row[5] for row in rows] == [*(f"'{name}" for name in FORMULAS), *PLAIN, "a;'=1", "b\t'+1"]

    def test_partial_units_on_the_map(self, page):
        """A unit of which some videos failed has a dark corner, one of which all failed is dark, and others are not."""
        page.run("document.querySelector('#map canvas').scrollIntoView()")
        script = """(() => {
            const canvas = document.querySelector("#map canvas");
            const pen = canvas.getContext("2d");
            const margin = 10 + Math.max(...["01 train", "02 train"].map((line) => pen.measureText(line).width));
            const cell = Math.min(26, (canvas.clientWidth - margin) / 8);
            return [0, 1, 2].map((sign) => [cell - 3, 3].map((x) =>
                kpPixels(canvas, Math.round(margin + sign * cell + x), 20, 1, 1).slice(0, 3)));
        })()"""
        complete, partial, failed = page.run(script)
        dark = [29, 35, 39]
        assert complete[0] == complete[1] != dark
        assert (partial[0], partial[1] != dark) == (dark, True)
        assert failed == [dark, dark]

    @pytest.mark.parametrize(("width", "dark"), [(400, True), (800, False), (800, True), (1400, False)])
    def test_any_width(self, html_file, tmp_path, width, dark):
        """At any width, light or dark, nothing scrolls sideways, and all is legible, named and reachable."""
        with Page(html_file, tmp_path, width=width, dark=dark) as page:
            page.run("document.querySelectorAll('details.meaning').forEach((one) => { one.open = true; })")
            seen = page.run("kpAccessibility()")
            assert (page.console, page.requests) == ([], [])
        assert seen["ground"] == ("rgb(21, 25, 28)" if dark else "rgb(251, 251, 250)")
        assert (seen["controls"] > 25, seen["texts"] > 300) == (True, True)
        for what in ("nameless", "unreachable", "small", "faint", "overflow"):
            assert seen[what] == [], what
        assert (seen["canvases"], seen["sideways"]) == (0, False)

    def test_printed(self, page):
        """On paper tables are tables, of all rows, and every page of paper is used."""
        before = page.run("document.querySelectorAll('.blocks').length")
        paper = page.pdf()
        assert len(re.findall(rb"/Type\s*/Page\b", paper)) <= 7
        assert page.run("document.querySelectorAll('.paper').length") == 0
        assert page.run("document.querySelectorAll('.blocks').length") == before

    def test_quiet(self, page):
        """Nothing has reached the console, nothing was requested."""
        assert page.console == []
        assert [url for url in page.requests if not url.startswith("blob:")] == []
