"""The pages of the guide: their `python` blocks run in order, in an empty folder, and print what their `#>` lines say."""

import contextlib
import io
import os
import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs" / "guide" / "src"
# What is on it needs a server, and is run by tests/sdk/test_hosted.py.
NEEDS_SERVER = {"hosted.md"}
BLOCK = re.compile(r"^```python\n(.*?)^```", re.S | re.M)


def pages_with_python():
    pages = (page for page in sorted(PAGES.glob("*.md")) if page.name not in NEEDS_SERVER)
    return [page for page in pages if BLOCK.search(page.read_text())]


def test_there_are_pages():
    assert len(pages_with_python()) >= 3


@pytest.mark.parametrize("page", pages_with_python(), ids=lambda page: page.stem)
def test_the_blocks_of_a_page_print_what_they_say(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    names = {"__name__": "__page__"}
    for number, block in enumerate(BLOCK.findall(page.read_text())):
        expected = [line[2:].removeprefix(" ") for line in block.splitlines() if line.startswith("#>")]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, f"{page.name}, block {number + 1}", "exec"), names)
        assert printed.getvalue().splitlines() == expected, f"{page.name}, block {number + 1}"
