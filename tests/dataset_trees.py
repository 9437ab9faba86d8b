"""Small trees in the shape of the fourteen datasets of docs/known_datasets.md, with stand-in videos."""

from __future__ import annotations

import csv
import json
import pickle
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from kpsbatch.config import Config, load_config
from kpsbatch.dataset.init_config import RECIPES, recipe_like, write_recipe
from kpsbatch.dataset.source import Source, open_source

PAGE = Path(__file__).parents[1] / "docs" / "known_datasets.md"


def touch(root: Path, *names: str) -> Path:
    """Empty files below a folder; returns the folder."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def held(source: Source) -> dict[str, list[str]]:
    """Names of the videos of each unit that has some."""
    units = {unit.name: source.listing(unit).videos for unit in source.units()}
    return {name: [video.name for video in videos] for name, videos in units.items() if videos}


def frames(folder: Path, names: Sequence[str], size: tuple[int, int] = (64, 64)) -> None:
    """A folder of images, each of one grey."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        good, data = cv2.imencode(Path(name).suffix, np.full((size[1], size[0], 3), 10 * number, np.uint8))
        assert good
        (folder / name).write_bytes(data.tobytes())


def table(path: Path, rows: Sequence[Sequence[Any]], separator: str = ",") -> None:
    """A separated table; only commas come with quotation marks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        if separator == ",":
            csv.writer(file).writerows(rows)
        else:
            file.writelines(separator.join(map(str, row)) + "\n" for row in rows)


def eaf(tiers: Mapping[str, Sequence[tuple[Any, ...]]]) -> bytes:
    """An ELAN file: of each tier (start, end, text) in ms, None for no time, or (annotation, text) of another."""
    slots: list[str] = []
    body: list[str] = []
    count = 0
    for name, each_of in tiers.items():
        refers = any(len(each) == 2 for each in each_of)
        kind, who = "translation" if refers else "gloss", name[-1]
        body.append(f'<TIER LINGUISTIC_TYPE_REF="{kind}" PARTICIPANT="{who}" TIER_ID="{name}">')
        for *times, text in each_of:
            count += 1
            tag, has = "REF_ANNOTATION", f'ANNOTATION_REF="{times[0]}"'
            if not refers:
                for time in times:
                    value = "" if time is None else f' TIME_VALUE="{time}"'
                    slots.append(f'<TIME_SLOT TIME_SLOT_ID="ts{len(slots) + 1}"{value}/>')
                tag = "ALIGNABLE_ANNOTATION"
                has = f'TIME_SLOT_REF1="ts{len(slots) - 1}" TIME_SLOT_REF2="ts{len(slots)}"'
            body.append(f'<ANNOTATION><{tag} ANNOTATION_ID="a{count}" {has}>')
            body.append(f"<ANNOTATION_VALUE>{text}</ANNOTATION_VALUE></{tag}></ANNOTATION>")
        body.append("</TIER>")
    head = ['<?xml version="1.0" encoding="UTF-8"?>', '<ANNOTATION_DOCUMENT FORMAT="3.0">', "<TIME_ORDER>"]
    return "\n".join([*head, *slots, "</TIME_ORDER>", *body, "</ANNOTATION_DOCUMENT>", ""]).encode()


def karsl(place: Path) -> None:
    root = place / "KArSL-502"
    for signer, split, sign, video in (
        ("01", "train", 1, "03_01_0001_(12_10_16_14_05_36)_c"),
        ("01", "test", 1, "03_01_0001_(12_10_16_14_06_01)_c"),
        ("03", "train", 502, "03_03_0502_(01_11_16_10_00_00)_c"),
    ):
        frames(root / signer / signer / split / f"{sign:04}" / video, [f"{video}_{i:04}.jpg" for i in range(3)])
    touch(root, "01/01/train/0001/Thumbs.db")


def bosphorus(place: Path) -> None:
    touch(place / "BosphorusSign22k", "0000/User_2_001.mp4", "0000/User_2_002.mp4", "0000/User_4_001.mp4",
          "0743/User_7_001.mp4")  # fmt: skip


def wlasl(place: Path) -> None:
    root = place / "WLASL"
    touch(root, "videos/69241.mp4", "videos/65225.mp4", "videos/07069.mp4")

    def instance(name: str, split: str, start: int, end: int) -> dict[str, Any]:
        return {
            "bbox": [385, 37, 885, 720], "fps": 25, "frame_end": end, "frame_start": start, "instance_id": 0,
            "signer_id": 118, "source": "aslbrick", "split": split, "url": "http://x/y.mp4", "variation_id": 0,
            "video_id": name,
        }  # fmt: skip

    words = [
        {"gloss": "book", "instances": [instance("69241", "train", 1, -1), instance("65225", "val", 12, 60)]},
        {"gloss": "thank you", "instances": [instance("07069", "train", 1, 30), instance("99999", "test", 1, -1)]},
    ]
    (root / "WLASL_v0.3.json").write_text(json.dumps(words))


def msasl(place: Path) -> None:
    root = place / "MS-ASL"
    touch(root, "videos/C37R_Ix4-qs.mp4", "videos/PIsUJl8BN_I.webm")

    def row(name: str, label: int, text: str, start: float, end: float) -> dict[str, Any]:
        return {
            "org_text": text, "clean_text": text, "start_time": start, "signer_id": 0, "signer": 0,
            "start": int(start * 30), "end": int(end * 30), "file": text, "label": label, "height": 360.0, "fps": 30.0,
            "end_time": end, "url": f"www.youtube.com/watch?v={name}", "text": text,
            "box": [0.0575, 0.2176, 1.0, 0.7335], "width": 640.0,
        }  # fmt: skip

    tables = {
        "train": [row("C37R_Ix4-qs", 830, "match", 0.0, 2.767), row("C37R_Ix4-qs", 12, "fail", 14.0, 15.5)],
        "val": [row("PIsUJl8BN_I", 0, "hello", 1.0, 2.0), row("gone_______", 0, "hello", 1.0, 2.0)],
        "test": [row("PIsUJl8BN_I", 999, "now", 3.0, 4.0)],
    }
    for split, rows in tables.items():
        (root / f"MSASL_{split}.json").write_text(json.dumps(rows))


def autsl(place: Path) -> None:
    root = place / "AUTSL"
    rows = {"train": [("signer0_sample1", 41), ("signer0_sample1000", 0)], "val": [("signer1_sample2", 225)],
            "test": [("signer6_sample57", 0)]}  # fmt: skip
    for split, samples in rows.items():
        table(root / f"{split}_labels.csv", samples)
        for sample, _ in samples:
            touch(root, f"{split}/{sample}_color.mp4", f"{split}/{sample}_depth.mp4")


def lsa64(place: Path) -> None:
    names = [
        f"{sign:03}_{signer:03}_{take:03}.mp4" for sign in (1, 2, 3, 64) for signer in (1, 10, 9) for take in (1, 5)
    ]
    touch(place / "lsa64_raw", *names)


def include(place: Path) -> None:
    root = place / "INCLUDE"
    touch(root, "Adjectives/4. sad/MVI_9568.MOV", "Adjectives/3. happy/MVI_9568.MOV", "People/61. Father/MVI_3906.MOV")
    head = ["FilePath", "Word"]
    train = [["Adjectives/4. sad/MVI_9568.MOV", "4. sad"], ["Adjectives/3. happy/MVI_9568.MOV", "3. happy"]]
    table(root / "include_train.csv", [head, *train])
    table(root / "include_test.csv", [head, ["People/61. Father/MVI_3906.MOV", "61. Father"]])


def asl_citizen(place: Path) -> None:
    head = ["Participant ID", "Video file", "Gloss", "ASL-LEX Code"]
    splits = {
        "train": [["P52", "15890366051589533-APPLE.mp4", "APPLE", "A_01_063"],
                  ["P6", "4.729912950-seedREMEMBER.mp4", "REMEMBER2", "C_02_014"]],
        "val": [["P10", "11562742429028061-30_MINUTE .mp4", "30MINUTE ", "B_03_001"]],
        "test": [["P46", "07079-$BILL,1.mp4", "#$BILL, 1", "D_01_001"]],
    }  # fmt: skip
    with zipfile.ZipFile(place / "ASL_Citizen.zip", "w") as archive:
        for split, rows in splits.items():
            lines = [head, *rows]
            text = "\n".join(",".join(f'"{cell}"' if "," in cell else cell for cell in line) for line in lines)
            archive.writestr(f"ASL_Citizen/splits/{split}.csv", text + "\n")
            for row in rows:
                archive.writestr(f"ASL_Citizen/videos/{row[1]}", b"")


def phoenix(place: Path) -> None:
    root = place / "PHOENIX-2014-T"
    head = ["name", "video", "start", "end", "speaker", "orth", "translation"]
    rows = {
        "train": [("11August_2010_Wednesday_tagesschau-1", "Signer08", 'JETZT WETTER MORGEN "DONNERSTAG', "und nun")],
        "dev": [("11August_2010_Wednesday_tagesschau-2", "Signer08", "TIEF LUFT", "tiefer Luftdruck")],
        "test": [("25October_2010_Monday_tagesschau-17", "Signer01", "REGEN", "Regen")],
    }
    for split, lines in rows.items():
        told = [(name, f"{name}/1/*.png", -1, -1, speaker, orth, text) for name, speaker, orth, text in lines]
        table(root / f"annotations/manual/PHOENIX-2014-T.{split}.corpus.csv", [head, *told], "|")
        for name, *_ in lines:
            folder = root / "features/fullFrame-210x260px" / split / name
            frames(folder, [f"images{i:04}.png" for i in (1, 2, 10)], (210, 260))


def csl_daily(place: Path) -> None:
    root = place / "CSL-Daily"
    names = ["S000000_P0000_T00", "S000007_P0003_T00", "S000007_P0004_T00"]
    touch(root, *(f"sentence-crop/{name}.mp4" for name in names))
    info = [
        {"name": name, "length": 55, "label_gloss": ["他", "谁"], "label_char": ["他"], "signer": signer, "time": 0}
        for name, signer in zip(names, (0, 3, 4), strict=True)
    ]
    (root / "csl2020ct_v2.pkl").write_bytes(pickle.dumps({"info": info, "gloss_map": ["他", "谁"]}))
    (root / "split_1.txt").write_text(
        "name|split\n" + "".join(f"{n}|{s}\n" for n, s in zip(names, ("train", "dev", "train"), strict=True))
    )


def how2sign(place: Path) -> None:
    root = place / "How2Sign"
    head = ["VIDEO_ID", "VIDEO_NAME", "SENTENCE_ID", "SENTENCE_NAME", "START_REALIGNED", "END_REALIGNED", "SENTENCE"]
    rows: dict[str, list[tuple[Any, ...]]] = {
        "train": [("--7E2sU6zP4", 5, 10, 12.36, 17.56, 'And I call them "decorative" elements, because'),
                  ("--7E2sU6zP4", 5, 11, 17.2, 20.01, "So they don't")],
        "val": [("-d5dN54tH2E", 8, 0, 0.0, 2.5, "Hi!")],
        "test": [("-fZc293MpJk", 1, 3, 3.5, 5, "The aileron")],
    }  # fmt: skip
    for split, lines in rows.items():
        told = [
            (name, f"{name}-{n}-rgb_front", f"{name}_{s}", f"{name}_{s}-{n}-rgb_front", start, end, text)
            for name, n, s, start, end, text in lines
        ]
        table(root / f"how2sign_realigned_{split}.csv", [head, *told], "\t")
        touch(root, *(f"raw_videos/{name}-{n}-rgb_front.mp4" for name, n, *_ in lines))


def bobsl(place: Path) -> None:
    root = place / "BOBSL"
    touch(root, "videos/5085344787448740525.mp4", "videos/6257689846446789226.mp4")
    spottings = {
        "train": {"happy": {"names": ["5085344787448740525"] * 2, "global_times": [12.48, 999.0], "probs": [0.9, 0.8]}},
        "public_test": {"hello": {"names": ["6257689846446789226"], "global_times": [0.1], "probs": [0.7]}},
    }
    (root / "spottings.json").write_text(json.dumps(spottings))


def youtube_asl(place: Path) -> None:
    root = place / "YouTube-ASL"
    touch(root, "videos/-00KrbZTy64.mp4", "videos/zzUHySE9Nbg.webm")
    head = ["VIDEO_NAME", "SENTENCE_NAME", "START_REALIGNED", "END_REALIGNED", "SENTENCE"]
    rows = [("-00KrbZTy64", "-00KrbZTy64-0", 1.2, 3.4, "Hello."), ("-00KrbZTy64", "-00KrbZTy64-1", 3.4, 9.0, "Again"),
            ("zzUHySE9Nbg", "zzUHySE9Nbg-0", 0, 2, "Third")]  # fmt: skip
    table(root / "youtube_asl.tsv", [head, *rows], "\t")


def openasl(place: Path) -> None:
    root = place / "OpenASL"
    touch(root, "videos/0EoTv4EtT2g.mp4")
    head = ["vid", "yid", "start", "end", "raw-text", "tokenized-text", "split"]
    yid, times = "0EoTv4EtT2g", (("00:00:05.380", "00:00:09.100"), ("00:01:00.000", "00:01:02.000"))
    told = (("Hi, all", "hi all", "train"), ("Bye", "bye", "test"))
    rows = [(f"{yid}-{start}-{end}", yid, start, end, *more) for (start, end), more in zip(times, told, strict=True)]
    table(root / "openasl-v1.0.tsv", [head, *rows], "\t")
    boxes = {rows[0][0]: [0.1, 0.0, 0.6, 1.0], rows[1][0]: [0.25, 0.1, 0.75, 0.9]}
    (root / "bbox-v1.0.json").write_text(json.dumps(boxes))


TREES: dict[str, Callable[[Path], None]] = {
    "KArSL": karsl,
    "Bosphorus22k": bosphorus,
    "WLASL": wlasl,
    "MS-ASL": msasl,
    "AUTSL": autsl,
    "LSA64": lsa64,
    "INCLUDE": include,
    "ASL Citizen": asl_citizen,
    "Phoenix-2014T": phoenix,
    "CSL-Daily": csl_daily,
    "How2Sign": how2sign,
    "BOBSL": bobsl,
    "YouTube-ASL": youtube_asl,
    "OpenASL": openasl,
}


def shown(name: str) -> tuple[str, str]:
    """The YAML and the Python of a set's section of the page; "" where there is none."""
    section = re.split(r"(?m)^## ", PAGE.read_text(encoding="utf-8"))
    [text] = [part for part in section if part.startswith(f"{name}\n")]
    blocks = {"yaml": "", "python": ""}
    blocks.update(re.findall(r"(?ms)^```(yaml|python)\n(.*?)^```", text))
    return blocks["yaml"], blocks["python"]


def opened(place: Path, name: str) -> tuple[Source, Config]:
    """The dataset as its recipe finds it in a tree of its shape."""
    TREES[name](place)
    if python := shown(name)[1]:
        subprocess.run([sys.executable, "-c", python], cwd=place, check=True)
    recipe = recipe_like(name)
    root = yaml.safe_load((RECIPES / f"{recipe}.yaml").read_text(encoding="utf-8"))["dataset"]["root"]
    write_recipe(recipe, place / root, place / "config.yaml")
    config = load_config(place / "config.yaml")
    return open_source(config.dataset, place / "kps" / "_kpsbatch" / "archives"), config
