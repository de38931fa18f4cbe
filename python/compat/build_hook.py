"""What the wheel of packhouse-compat takes from the workspace: its version, and the program it installs as ``gitstore``.

PACKHOUSE_BINARY names the program and PACKHOUSE_WHEEL_TAG the platform it runs on; without them the wheel has none, and
``gitstore.cli`` looks for ``packhouse`` on the PATH.
"""

import os
import re
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

WORKSPACE = Path(__file__).parents[2] / "Cargo.toml"


class Metadata(MetadataHookInterface):
    def update(self, metadata):
        text = WORKSPACE.read_text(encoding="utf-8")
        section = text.split("[workspace.package]", 1)[1]
        version = re.search(r'^version = "(.+)"$', section, re.MULTILINE)[1]
        metadata["version"] = version
        metadata["dependencies"] = [f"packhouse[cache]=={version}"]


class Build(BuildHookInterface):
    def initialize(self, version, build_data):
        binary = os.environ.get("PACKHOUSE_BINARY")
        if binary is None or self.target_name != "wheel":
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{os.environ['PACKHOUSE_WHEEL_TAG']}"
        build_data["shared_scripts"][binary] = "gitstore"
