"""The page in a browser: no wider than a telephone, and nothing that the policy refuses."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess

import pytest

from leaven.evaluate.report import render
from tests.evaluate.report_parts import a_story, some_records

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)


def browse(tmp_path, pages: dict[str, str], width: int = 360) -> tuple[dict[str, int], str]:
    """The widest content of each page in a frame of `width`, and what the console said."""
    frames = "".join(
        f'<iframe name="{name}" width="{width}" height="900" srcdoc="{html.escape(page)}"></iframe>'
        for name, page in pages.items()
    )
    script = """onload = () => { for (const f of document.querySelectorAll("iframe"))
        document.body.append(`[${f.name}=${f.contentDocument.documentElement.scrollWidth}]`) }"""
    harness = tmp_path / "harness.html"
    harness.write_text(
        f"<!doctype html><meta charset=utf-8><script>{script}</script>{frames}", encoding="utf-8"
    )
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-background-networking",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1600,1000",
            "--dump-dom",
            harness.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = re.findall(r"\[(\w+)=(\d+)\]", done.stdout)
    said = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    return {name: int(size) for name, size in found}, said


@pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium to look with"
)
def test_in_a_browser(tmp_path):
    assert CHROMIUM, "CI must have Chromium"
    names = ["x" * 400, "日本語のとても長い分類名です", "a b c"]
    pages = {
        "usual": render(a_story(), some_records(["a", "b"])),
        "hostile": render(a_story(3, names=names), some_records(names, "y" * 5000)),
        "many": render(a_story(150, n=600), {}),
        "empty": render({}, {}),
    }
    widths, said = browse(tmp_path, pages)
    assert widths == dict.fromkeys(pages, 360)
    assert said == ""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to look with")
def test_the_browser_test_would_notice(tmp_path):
    source = render({}, {})
    wide = source.replace("<header>", '<header><svg width="900" height="9"></svg><pre>')
    wide = wide.replace("max-width: 100%; height: auto;", "")
    styled = source.replace("<header>", '<header><b style="color:red">x</b>')
    widths, said = browse(tmp_path, {"wide": wide, "styled": styled, "fine": source})
    assert widths["fine"] == 360
    assert widths["wide"] > 360
    assert "style" in said.lower()
