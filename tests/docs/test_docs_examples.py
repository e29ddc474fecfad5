"""Every TOML and JSON example of README and docs is one that readerd itself accepts."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from readerd import payload, payload_commands
from readerd.assay.definition import load_assay
from readerd.config import load_config
from readerd.demo.plate import il6_assay_text
from tests.docs.docs_diagrams import TABLES, mermaid
from tests.docs.docs_pages import PAGES, ROOT, Block, blocks, prose, read

TOML = [block for page in PAGES for block in blocks(page) if block.language == "toml"]
JSON = [block for page in PAGES for block in blocks(page) if block.language == "json"]
# What an example may leave out because its page is about something else.
REST = {
    "reader": '[reader]\nsite = "lab1"\nid = "bench2"\ndriver = "biorad680"\nport = "twin:"\n',
    "assays": '[assays]\ndirectory = "assays"\ndefault = "il6-elisa"\n',
    "store": '[store]\npath = "journal.db"\n',
    "mqtt": '[mqtt]\nurl = "mqtt://127.0.0.1"\n',
}


def name(block: Block) -> str:
    return block.where


@pytest.mark.parametrize("block", TOML, ids=name)
def test_toml(block: Block, tmp_path: Path) -> None:
    found = tomllib.loads(block.text)
    if "assay" in found:
        load_assay(block.text, block.where)
    elif found.keys() & {"read", "curve", "acceptance", "samples", "kit"}:
        load_assay(_with_the_shipped(block.text, set(found)), block.where)
    else:
        rest = "".join(text for section, text in REST.items() if section not in found)
        (tmp_path / "systemd").symlink_to(ROOT / "systemd")
        (tmp_path / "assays").mkdir()
        (tmp_path / "assays" / "il6-elisa.toml").write_text(il6_assay_text(), "utf-8")
        (tmp_path / "reader.toml").write_text(block.text + rest, "utf-8")
        load_config(tmp_path / "reader.toml")


def _with_the_shipped(text: str, sections: set[str]) -> str:
    """The shipped assay with these sections replaced."""
    parts = re.split(r"^(?=\[)", il6_assay_text(), flags=re.MULTILINE)
    kept = [part for part in parts if part[1:].partition("]")[0] not in sections]
    return "".join(kept) + text


@pytest.mark.parametrize("block", JSON, ids=name)
def test_json(block: Block, demo_result: dict[str, Any]) -> None:
    home = payload_commands if hasattr(payload_commands, block.word) else payload
    model = getattr(home, block.word)
    assert issubclass(model, BaseModel)
    example = json.loads(block.text)
    real = demo_result if block.word == "ResultEnvelope" else {}
    model.model_validate_json(json.dumps(filled(example, real)))


def filled(example: Any, real: Any) -> Any:
    """The example with `…` and what it leaves out taken from a real message."""
    if isinstance(example, dict) and isinstance(real, dict):
        return real | {key: filled(value, real.get(key)) for key, value in example.items()}
    if isinstance(example, list) and isinstance(real, list) and example[-1:] == ["…"]:
        shown = [filled(*pair) for pair in zip(example[:-1], real, strict=False)]
        return [*shown, *real[len(shown) :]]
    return real if example == "…" else example


@pytest.mark.parametrize("block", [block for block in JSON if block.word == "ResultEnvelope"])
def test_results_that_pages_show_are_the_demos(block: Block, demo_result: dict[str, Any]) -> None:
    shown = filled(json.loads(block.text), demo_result)["data"]
    for sample, true in zip(shown["samples"], demo_result["data"]["samples"], strict=True):
        for key in ("value", "mean", "concentration"):
            assert sample[key] == pytest.approx(true[key], abs=0.05), (block.where, key)
    for column in ("a_measurement", "a_reference", "position"):
        assert shown["wells"][column] == demo_result["data"]["wells"][column], column


@pytest.mark.parametrize("machine", TABLES)
def test_a_diagram_is_its_table(machine: str) -> None:
    drawn = mermaid(TABLES[machine])
    assert f"```mermaid\n{drawn}```\n" in read("docs/reference/messages.md"), f"draw:\n{drawn}"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_and_file_names_exist(page: Path) -> None:
    text = prose(page)
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), f"{page}: no file {target}"
        if anchor:
            assert anchor in _anchors(file), f"{page}: no heading for {target}"
    for file_name in re.findall(
        r"`((?:readerd|drivers|docs|tests|systemd|bench)/(?!v1/)[^`\s]*)`", text
    ):
        assert list(ROOT.glob(file_name.rstrip("/"))), f"{page}: no {file_name}"


def _anchors(file: Path) -> set[str]:
    """What headings are called in links: lower case, hyphens for blanks, signs dropped."""
    headings = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
