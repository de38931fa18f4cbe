"""Searching the files of a commit."""

import httpx
import pytest
from conftest import commit

pytestmark = pytest.mark.sdk1


@pytest.fixture
async def filled(repo):
    files = {
        "README.md": "Hello\nworld\nhello again\n",
        "src/a.py": "def hello():\n    pass\n\n\nhello()\n",
        "src/b.ts": "// hello\n",
        "bin": b"hello\0",
    }
    repo.head = (await commit(repo, files))["commit_sha"]
    return repo


def places(result):
    return [(match["path"], line["line_number"]) for match in result["matches"] for line in match["lines"]]


async def test_lines_are_found(filled):
    result = await filled.grep(pattern="hello")
    assert places(result) == [("README.md", 3), ("src/a.py", 1), ("src/a.py", 5), ("src/b.ts", 1)]
    assert result["matches"][0]["lines"][0] == {"line_number": 3, "text": "hello again", "type": "match"}
    assert result["query"] == {"pattern": "hello", "case_sensitive": True}
    assert result["repo"] == {"ref": "main", "commit": filled.head}
    assert result["has_more"] is False and result["next_cursor"] is None


async def test_every_option_is_heeded(filled):
    result = await filled.grep(
        pattern="HELLO",
        ref=filled.head,
        ephemeral=False,
        case_sensitive=False,
        paths=["src/"],
        file_filters={"include_globs": ["**/*.py"], "exclude_globs": ["*.ts"], "extension_filters": [".py"]},
        context={"before": 1, "after": 1},
        limits={"max_lines": 100, "max_matches_per_file": 10},
        pagination={"limit": 10},
    )
    lines = [(line["line_number"], line["type"]) for line in result["matches"][0]["lines"]]
    assert lines == [(1, "match"), (2, "context"), (4, "context"), (5, "match")]
    with pytest.warns(DeprecationWarning):
        assert places(await filled.grep(pattern="world", rev="main")) == [("README.md", 2)]


async def test_pages(filled):
    found, cursor = [], None
    while True:
        page = await filled.grep(pattern="hello", pagination={"limit": 1} | ({"cursor": cursor} if cursor else {}))
        found += places(page)
        cursor = page["next_cursor"]
        if not page["has_more"]:
            break
    assert cursor is None and len(found) == 4


@pytest.mark.parametrize("pattern", ["(", "(a)\\1", "(?=a)", "((a{200}){200}){200}"])
async def test_patterns_that_are_refused(filled, pattern):
    with pytest.raises(httpx.HTTPStatusError) as error:
        await filled.grep(pattern=pattern)
    assert error.value.response.status_code == 400
    assert "query.pattern" in error.value.response.json()["error"]


async def test_what_is_not_there_is_not_found(filled, repo):
    with pytest.raises(httpx.HTTPStatusError) as error:
        await filled.grep(pattern="a", ref="nowhere")
    assert error.value.response.status_code == 404


async def test_a_cursor_of_another_search_is_refused(filled):
    page = await filled.grep(pattern="hello", pagination={"limit": 1})
    with pytest.raises(httpx.HTTPStatusError) as error:
        await filled.grep(pattern="world", pagination={"limit": 1, "cursor": page["next_cursor"]})
    assert error.value.response.status_code == 400
