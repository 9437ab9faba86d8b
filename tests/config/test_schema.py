"""The JSON Schema of the config accepts what a config accepts, and describes every setting."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from kpsbatch.cli.main import main
from kpsbatch.config import load_config
from kpsbatch.config.schema import SCHEMA_FILE, SCHEMA_LINE, config_schema
from kpsbatch.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs"
KINDS: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
PASSED_OVER = {"$schema", "$defs", "title", "description", "default", "format"}


def is_kind(value: Any, kind: str) -> bool:
    """Whether a value has a type of JSON; true and false are no numbers."""
    return isinstance(value, KINDS[kind]) and not (isinstance(value, bool) and kind in ("integer", "number"))


def errors(schema: dict[str, Any], value: Any, whole: dict[str, Any], place: str = "") -> list[str]:
    """What JSON Schema finds wrong with a value, for the keywords that the schema uses; no other is allowed."""
    found: list[str] = []
    for keyword, wanted in schema.items():
        if keyword in PASSED_OVER:
            continue
        if keyword == "$ref":
            found += errors(whole["$defs"][wanted.rpartition("/")[2]], value, whole, place)
        elif keyword == "type":
            kinds = wanted if isinstance(wanted, list) else [wanted]
            if not any(is_kind(value, kind) for kind in kinds):
                found.append(f"{place}: not {' or '.join(kinds)}")
        elif keyword == "anyOf":
            if all(errors(one, value, whole, place) for one in wanted):
                found.append(f"{place}: none of {len(wanted)} forms")
        elif keyword in ("enum", "const"):
            if value not in (wanted if keyword == "enum" else [wanted]):
                found.append(f"{place}: not {wanted}")
        elif keyword in ("minimum", "maximum", "exclusiveMinimum"):
            number = isinstance(value, (int, float))
            above = number and (value > wanted if keyword == "exclusiveMinimum" else value >= wanted)
            if number and not (value <= wanted if keyword == "maximum" else above):
                found.append(f"{place}: beyond {keyword} {wanted}")
        elif keyword in ("minItems", "maxItems"):
            if isinstance(value, list) and not (
                len(value) >= wanted if keyword == "minItems" else len(value) <= wanted
            ):
                found.append(f"{place}: {keyword}")
        elif keyword == "minLength":
            found += [f"{place}: too short"] if isinstance(value, str) and len(value) < wanted else []
        elif keyword == "items":
            for number, item in enumerate(value if isinstance(value, list) else []):
                found += errors(wanted, item, whole, f"{place}[{number}]")
        elif keyword == "prefixItems":
            for one, item in zip(wanted, value if isinstance(value, list) else [], strict=False):
                found += errors(one, item, whole, place)
        elif keyword == "properties":
            for name, one in wanted.items():
                if isinstance(value, dict) and name in value:
                    found += errors(one, value[name], whole, f"{place}.{name}")
        elif keyword == "additionalProperties":
            rest = value.keys() - schema.get("properties", {}).keys() if isinstance(value, dict) else set()
            if wanted is False:
                found += [f"{place}.{name}: unknown" for name in rest]
            else:
                found += [text for name in rest for text in errors(wanted, value[name], whole, f"{place}.{name}")]
        elif keyword == "required":
            found += [f"{place}.{name}: missing" for name in wanted if isinstance(value, dict) and name not in value]
        elif keyword == "pattern":
            found += [f"{place}: another form"] if isinstance(value, str) and not re.search(wanted, value) else []
        elif keyword == "minProperties":
            found += [f"{place}: too few"] if isinstance(value, dict) and len(value) < wanted else []
        else:
            raise AssertionError(f"the schema uses {keyword}, which this test does not know")
    return found


def complaints(tree: dict[str, Any]) -> list[str]:
    """What the schema finds wrong with a config."""
    schema = config_schema()
    return errors(schema, tree, schema)


SMALLEST: dict[str, Any] = {"dataset": {"root": "data"}, "output": {"root": "out"}}
TABLE = {"path": "t.csv", "columns": {"video": "file"}}


def changed(section: str, **settings: Any) -> dict[str, Any]:
    """The smallest config with other settings of a section."""
    return {**SMALLEST, section: {**SMALLEST.get(section, {}), **settings}}


class TestSchema:
    def test_the_file_is_current(self):
        """configs/kpsbatch.schema.json is what the command prints; `kpsbatch schema -o` writes it anew."""
        assert json.loads((CONFIGS / SCHEMA_FILE).read_text(encoding="utf-8")) == config_schema()

    def test_every_setting_is_described(self):
        """Every setting of every section has a sentence, which ends."""
        schema = config_schema()
        for tree in (schema, *schema["$defs"].values()):
            for name, setting in tree["properties"].items():
                assert re.fullmatch(r".{8,}[.)]", setting["description"]), name

    @pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
    def test_configs_of_the_repository(self, path):
        """The configs name the schema that lies beside them, and it finds nothing wrong with them."""
        text = path.read_text(encoding="utf-8")
        assert text.splitlines()[0] == SCHEMA_LINE
        assert complaints(yaml.safe_load(text)) == []
        everything = re.sub(r"^( {2,4})# (\w+: )", r"\1\2", text, flags=re.MULTILINE)  # settings that are commented out
        assert complaints(yaml.safe_load(everything)) == []
        assert len(everything) < len(text)

    @pytest.mark.parametrize(
        "tree",
        [
            SMALLEST,
            changed("dataset", signs=7, signers="all", splits="train"),
            changed("dataset", signs=[1, 5, "7-9"], signers=["01"], frame_rate_out=25),
            changed("dataset", manifest=TABLE),
            changed("dataset", manifest={**TABLE, "path": {"train": "a.csv"}, "margin": [0.5, 1], "unit": "frames"}),
            changed("dataset", manifest={**TABLE, "columns": {"video": "f", "box": ["a", "b", "c", "d"]}}),
            changed("dataset", manifest={"path": "talks/*.vtt", "offset": -1}),
            changed("dataset", manifest={"path": "a.eaf", "tiers": {"A": "left", "B": None}}),
            changed("landmarks", parts="pose", models=None, confidence={"pose_detection": 0.4}),
            changed("landmarks", parts=["hands", "pose"]),
            changed("run", workers=4, worker_memory=2000),
            changed("slurm", time="04:00:00", setup="module load python", mem="6G", extra={"mail-type": "END"}),
            changed("slurm", time=90, setup=["a", "b"], account=12, extra={"exclusive": True, "nice": 5}),
        ],
    )
    def test_what_is_valid(self, tree, tmp_path):
        """The forms that a config may have are valid in the schema, and the other way round."""
        path = tmp_path / "c.yaml"
        path.write_text(yaml.safe_dump(tree), encoding="utf-8")
        load_config(path)
        assert complaints(tree) == []

    @pytest.mark.parametrize(
        "tree",
        [
            {"dataset": {"root": "data"}},
            changed("dataset", signer="01"),
            changed("dataset", manifest={"path": "t.csv"}),
            changed("dataset", signs=1.5),
            changed("landmarks", running_mode="film"),
            changed("landmarks", parts=["legs"]),
            changed("run", workers=-1),
            changed("run", workers="many"),
            changed("run", max_bad_frames=2),
            changed("slurm", cpus_per_task="eight"),
            {**SMALLEST, "slrum": {}},
        ],
    )
    def test_what_is_wrong(self, tree, tmp_path):
        """What a config refuses for its form, the schema refuses too."""
        path = tmp_path / "c.yaml"
        path.write_text(yaml.safe_dump(tree), encoding="utf-8")
        with pytest.raises(ConfigError):
            load_config(path)
        assert complaints(tree)


class TestCommand:
    def test_print_and_write(self, capsys, tmp_path):
        """The command prints the schema, or writes it and says which line to put into a config."""
        with pytest.raises(SystemExit) as ended:
            main(["schema"])
        assert (ended.value.code, json.loads(capsys.readouterr().out)) == (0, config_schema())
        with pytest.raises(SystemExit):
            main(["schema", "-o", str(tmp_path / "s.json")])
        assert capsys.readouterr().out.endswith("# yaml-language-server: $schema=s.json\n")
        assert json.loads((tmp_path / "s.json").read_text(encoding="utf-8")) == config_schema()

    def test_init(self, capsys, tmp_path):
        """`init` writes the schema beside the config, whose first line names it."""
        folder = tmp_path / "videos" / "01" / "train" / "0001"
        folder.mkdir(parents=True)
        (folder / "clip.mp4").touch()
        with pytest.raises(SystemExit) as ended:
            main(["init", str(tmp_path / "videos"), "-c", str(tmp_path / "config.yaml")])
        assert ended.value.code == 0
        text = (tmp_path / "config.yaml").read_text(encoding="utf-8")
        assert text.splitlines()[0] == SCHEMA_LINE
        assert complaints(yaml.safe_load(text)) == []
        assert json.loads((tmp_path / SCHEMA_FILE).read_text(encoding="utf-8")) == config_schema()
