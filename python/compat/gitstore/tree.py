"""What a tree holds, as ``gitstore.tree``."""

from packhouse.store import BlobOid, FileType, WalkEntry

GIT_FILEMODE_BLOB = FileType.BLOB.filemode
GIT_FILEMODE_BLOB_EXECUTABLE = FileType.EXECUTABLE.filemode
GIT_FILEMODE_LINK = FileType.LINK.filemode
GIT_FILEMODE_TREE = FileType.TREE.filemode

__all__ = [
    "GIT_FILEMODE_BLOB",
    "GIT_FILEMODE_BLOB_EXECUTABLE",
    "GIT_FILEMODE_LINK",
    "GIT_FILEMODE_TREE",
    "BlobOid",
    "FileType",
    "WalkEntry",
]
