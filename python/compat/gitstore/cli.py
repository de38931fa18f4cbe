"""The command line: runs the program that came with the wheel, which is ``packhouse`` under the name ``gitstore``."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from typing import NoReturn, Optional, Sequence


def find_program() -> Optional[str]:
    """The path of the program: the one that was installed with this package, or one on the PATH."""
    schemes = [sysconfig.get_path("scripts")]
    user = f"{os.name}_user"
    if user in sysconfig.get_scheme_names():
        schemes.append(sysconfig.get_path("scripts", user))
    for folder in schemes:
        for name in ("gitstore", "packhouse"):
            path = os.path.join(folder, name)
            if os.access(path, os.X_OK):
                return path
    return shutil.which("gitstore") or shutil.which("packhouse")


def main(args: Optional[Sequence[str]] = None) -> NoReturn:
    """Becomes the program, with these arguments or those of this process."""
    program = find_program()
    if program is None:
        sys.exit("Error: the program `gitstore` was not found beside Python or on the PATH")
    arguments = sys.argv[1:] if args is None else list(args)
    sys.stdout.flush()
    sys.stderr.flush()
    # Called `gitstore`, it behaves as `packhouse store`, whatever its file is called.
    os.execv(program, ["gitstore", *arguments])


if __name__ == "__main__":
    main()
