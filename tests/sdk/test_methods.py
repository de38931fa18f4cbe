"""Every public method of the three SDKs is called by a test here; a method without one fails."""

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

import pierre_storage
import pytest
from conftest import OURS
from test_node import NPM

HERE = Path(__file__).resolve().parent
# Says what is in a type and makes no call: `Repo` is a protocol or a base class in both versions.
CLASSES = ("GitStorage", "RepoImpl", "Repo", "CommitBuilderImpl", "CommitBuilder")


def methods_of_python():
    """Public functions of the package, and public methods of the client, of repositories and of commits."""
    found = {name for name in pierre_storage.__all__ if inspect.isfunction(getattr(pierre_storage, name))}
    modules = [pierre_storage, *(import_module(f"pierre_storage.{name}") for name in ("repo", "commit"))]
    classes = {getattr(module, name, None) for module in modules for name in CLASSES} - {None}
    assert len(classes) >= 3, classes
    for one in classes:
        found |= {name for name, _ in inspect.getmembers(one, callable) if not name.startswith("_")}
    return found


def called_in_python():
    """Names that the tests call, as methods or as functions."""
    called = set()
    for path in [*HERE.glob("test_*.py"), HERE / "conftest.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called.add(getattr(node.func, "attr", None) or getattr(node.func, "id", None))
    return called


def methods_of_npm():
    """Methods of the same, and exported functions, as the package's types declare them."""
    types = (NPM / "node_modules/@pierre/storage/dist/index.d.ts").read_text()
    found = set(re.findall(r"^declare function (\w+)\(", types, re.M))
    for start in ("interface Repo {", "declare class GitStorage {", "interface CommitBuilder {"):
        body = types.split(f"\n{start}\n")[1].split("\n}\n")[0]
        found |= set(re.findall(r"^    (?:static )?(\w+)\(", body, re.M)) - {"constructor"}
    return found


def called_in_javascript():
    text = "".join(path.read_text() for path in (HERE / "node").glob("*.mjs"))
    return set(re.findall(r"\b(\w+)\(", text))


@pytest.mark.skipif(OURS, reason="this is about the vendor's packages")
def test_every_method_of_the_python_sdk_is_called():
    methods = methods_of_python()
    assert {"create_repo", "list_files", "send"} <= methods
    missing = methods - called_in_python()
    assert not missing, f"no test calls {sorted(missing)}"


@pytest.mark.once
def test_every_method_of_the_npm_sdk_is_called():
    methods = methods_of_npm()
    assert {"createRepo", "listFiles", "send", "validateWebhook"} <= methods
    missing = methods - called_in_javascript()
    assert not missing, f"no test calls {sorted(missing)}"
