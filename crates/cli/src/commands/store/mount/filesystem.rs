//! What the kernel asks, answered from a snapshot.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    Errno, FileAttr, FileHandle, FileType as Kind, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, Request,
};
use packhouse_repo::store::{
    Entry, FileReader, FileType, Snapshot, StoreError, StoreErrorKind, join,
};
use parking_lot::Mutex;

use super::inodes::{Inodes, Node, ROOT};
use crate::commands::store::session::warn;

/// A commit never changes.
const FOR_EVER: Duration = Duration::from_secs(1 << 30);

/// The number of a file in a list, which the kernel does not use.
const NO_NUMBER: u64 = 0xffff_ffff;

const BLOCK_BYTES: u32 = 4096;

/// The files of a snapshot.
pub(super) struct Files {
    snapshot: Snapshot,
    owner: (u32, u32),
    debug: bool,
    inodes: Mutex<Inodes>,
    open: Mutex<HashMap<u64, Arc<Mutex<FileReader>>>>,
    listed: Mutex<HashMap<u64, Arc<Vec<Entry>>>>,
    next_handle: AtomicU64,
}

impl Files {
    /// The files of `snapshot`, owned by a user and a group.
    pub(super) fn new(snapshot: Snapshot, owner: (u32, u32), debug: bool) -> Files {
        Files {
            inodes: Mutex::new(Inodes::new(snapshot.tree())),
            snapshot,
            owner,
            debug,
            open: Mutex::default(),
            listed: Mutex::default(),
            next_handle: AtomicU64::new(1),
        }
    }

    fn node(&self, number: INodeNo) -> Result<Node, Errno> {
        self.inodes.lock().get(number.0).ok_or(Errno::ESTALE)
    }

    fn attributes(&self, number: u64, node: &Node) -> Result<FileAttr, Errno> {
        let (kind, perm, nlink) = match node.file_type {
            FileType::Tree | FileType::Commit => (Kind::Directory, 0o555, 2),
            FileType::Link => (Kind::Symlink, 0o777, 1),
            FileType::Executable => (Kind::RegularFile, 0o555, 1),
            FileType::Blob => (Kind::RegularFile, 0o444, 1),
        };
        let size = match node.file_type.is_blob() {
            true => self
                .snapshot
                .object_size(&node.id)
                .map_err(|error| errno(&error))?,
            false => 0,
        };
        let seconds = self.snapshot.seconds();
        let offset = Duration::from_secs(seconds.unsigned_abs());
        let time = match seconds < 0 {
            true => UNIX_EPOCH.checked_sub(offset),
            false => UNIX_EPOCH.checked_add(offset),
        };
        let time: SystemTime = time.unwrap_or(UNIX_EPOCH);
        Ok(FileAttr {
            ino: INodeNo(number),
            size,
            blocks: size.div_ceil(512),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind,
            perm,
            nlink,
            uid: self.owner.0,
            gid: self.owner.1,
            rdev: 0,
            blksize: BLOCK_BYTES,
            flags: 0,
        })
    }

    fn find(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        let path = join(&self.node(parent)?.path, name.as_bytes());
        let found = self.snapshot.entry(&path).map_err(|error| errno(&error))?;
        let entry = found.ok_or(Errno::ENOENT)?;
        let node = Node {
            path: Arc::from(path.as_slice()),
            file_type: entry.file_type,
            id: entry.id,
        };
        let mut attributes = self.attributes(0, &node)?;
        let number = self.inodes.lock().tell(path, entry.file_type, entry.id);
        attributes.ino = INodeNo(number);
        Ok(attributes)
    }

    fn handle(&self) -> u64 {
        self.next_handle.fetch_add(1, Ordering::Relaxed)
    }

    fn open_file(&self, number: INodeNo) -> Result<u64, Errno> {
        let node = self.node(number)?;
        let reader = self
            .snapshot
            .reader(&node.path)
            .map_err(|error| errno(&error))?;
        let handle = self.handle();
        self.open
            .lock()
            .insert(handle, Arc::new(Mutex::new(reader)));
        Ok(handle)
    }

    fn read_file(&self, handle: FileHandle, offset: u64, size: u32) -> Result<Vec<u8>, Errno> {
        let reader = self
            .open
            .lock()
            .get(&handle.0)
            .cloned()
            .ok_or(Errno::EBADF)?;
        let mut reader = reader.lock();
        let mut data = Vec::with_capacity(size as usize);
        reader
            .seek(SeekFrom::Start(offset))
            .and_then(|_| reader.by_ref().take(u64::from(size)).read_to_end(&mut data))
            .map_err(|_| Errno::EIO)?;
        Ok(data)
    }

    fn list(&self, number: INodeNo) -> Result<u64, Errno> {
        let node = self.node(number)?;
        // What is in a submodule is not in this repository: the folder is empty, as in a fresh clone.
        let entries = match node.file_type {
            FileType::Commit => Vec::new(),
            _ => self
                .snapshot
                .ls(&node.path)
                .map_err(|error| errno(&error))?,
        };
        let handle = self.handle();
        self.listed.lock().insert(handle, Arc::new(entries));
        Ok(handle)
    }

    fn debug(&self, text: std::fmt::Arguments<'_>) {
        if self.debug {
            warn(text);
        }
    }
}

impl Filesystem for Files {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.debug(format_args!("lookup {parent:?} {}", name.display()));
        match self.find(parent, name) {
            Ok(attributes) => reply.entry(&FOR_EVER, &attributes, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn forget(&self, _: &Request, number: INodeNo, times: u64) {
        self.inodes.lock().forget(number.0, times);
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.debug(format_args!("getattr {number:?}"));
        let found = self
            .node(number)
            .and_then(|node| self.attributes(number.0, &node));
        match found {
            Ok(attributes) => reply.attr(&FOR_EVER, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        self.debug(format_args!("readlink {number:?}"));
        let target = self.node(number).and_then(|node| {
            let target = self.snapshot.readlink(&node.path);
            target.map_err(|error| errno(&error))
        });
        match target {
            Ok(target) => reply.data(&target),
            Err(error) => reply.error(error),
        }
    }

    fn open(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.debug(format_args!("open {number:?}"));
        match self.open_file(number) {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::FOPEN_KEEP_CACHE),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.debug(format_args!("read {number:?} {size} at {offset}"));
        match self.read_file(handle, offset, size) {
            Ok(data) => reply.data(&data),
            Err(error) => reply.error(error),
        }
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.open.lock().remove(&handle.0);
        reply.ok();
    }

    fn opendir(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.debug(format_args!("opendir {number:?}"));
        match self.list(number) {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::FOPEN_KEEP_CACHE),
            Err(error) => reply.error(error),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let Some(entries) = self.listed.lock().get(&handle.0).cloned() else {
            return reply.error(Errno::EBADF);
        };
        let folders =
            [".", ".."].map(|name| (number.0.max(ROOT), Kind::Directory, OsStr::new(name)));
        let files = entries.iter().map(|entry| {
            let kind = match entry.file_type {
                FileType::Tree | FileType::Commit => Kind::Directory,
                FileType::Link => Kind::Symlink,
                FileType::Blob | FileType::Executable => Kind::RegularFile,
            };
            (NO_NUMBER, kind, OsStr::from_bytes(&entry.name))
        });
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        for (at, (number, kind, name)) in folders.into_iter().chain(files).enumerate().skip(start) {
            if reply.add(INodeNo(number), at as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.listed.lock().remove(&handle.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(0, 0, 0, 0, 0, BLOCK_BYTES, 255, 0);
    }
}

fn errno(error: &StoreError) -> Errno {
    match error.kind() {
        StoreErrorKind::NotFound | StoreErrorKind::Key => Errno::ENOENT,
        StoreErrorKind::NotADirectory => Errno::ENOTDIR,
        StoreErrorKind::IsADirectory => Errno::EISDIR,
        StoreErrorKind::Value => Errno::EINVAL,
        StoreErrorKind::Permission => Errno::EACCES,
        _ => Errno::EIO,
    }
}
