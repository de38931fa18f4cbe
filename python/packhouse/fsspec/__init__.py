"""Stores as an fsspec file system: ``packhouse://`` paths, read and written by pandas and others.

    fsspec.open("packhouse://data/table.csv", repo="data.git", ref="main")
    pandas.read_csv("packhouse://data/table.csv", storage_options={"repo": "data.git"})

Paths are paths in the store. A branch is read where it is now; a tag or a commit never changes. Each file written is a
commit on the newest state of the branch, made when the file is closed; the files of a transaction are one.
"""

from .filesystem import PackhouseFileSystem
from .uploads import Upload

__all__ = ["PackhouseFileSystem", "Upload"]
