//! Reflogs: one file for each ref, a line for each move, appended while the ref is locked.
//!
//! A line is written before its ref moves, so a crash in between leaves a line for a move that was
//! not made. The next line of that ref is then preceded by one that takes the move back: each line
//! of a log starts where the one before it ended.

mod line;
mod read;
mod repair;

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bstr::BStr;
use packhouse_object::{ObjectId, ProcessLocal};

use super::durable::{
    create_folders, remove_empty_parents, remove_empty_tree, remove_file, sync_folder,
};
use super::error::DirectoryError;
use super::layout::LogRefs;
use super::loose_refs::ref_path;
use super::permissions::Sharing;
use super::ref_places::RefPlaces;

pub use line::Moment;
pub(super) use line::Move;

use line::line;
use repair::repair;

/// The reflogs of one repository.
#[derive(Debug)]
pub(super) struct RefLogs {
    places: RefPlaces,
    create: LogRefs,
    /// Whether branches are logged whatever `create` says.
    branches: bool,
    /// Whom logs are for that are made.
    sharing: Sharing,
    /// The log that was appended to last, how long it was then, and where its last line leads. If it is as long
    /// still, it needs no look.
    last: ProcessLocal<Mutex<Option<LastLine>>>,
}

/// A log, its length, and where its last line leads.
type LastLine = (PathBuf, u64, Option<ObjectId>);

/// A line that was written, and is not durable yet.
#[derive(Debug)]
pub(super) struct Appended {
    file: File,
    path: PathBuf,
    created: bool,
}

impl Appended {
    pub(super) fn sync(&self) -> Result<(), DirectoryError> {
        self.file
            .sync_data()
            .map_err(DirectoryError::io("sync", &self.path))?;
        match self.path.parent() {
            Some(folder) if self.created => {
                sync_folder(folder).map_err(DirectoryError::io("sync", folder))
            }
            _ => Ok(()),
        }
    }
}

impl RefLogs {
    pub(super) fn new(
        places: RefPlaces,
        create: LogRefs,
        branches: bool,
        sharing: Sharing,
    ) -> RefLogs {
        RefLogs {
            places,
            create,
            branches,
            sharing,
            last: ProcessLocal::new(),
        }
    }

    /// Whether moves of a ref without a log start one.
    fn starts_log(&self, name: &BStr) -> bool {
        // Git logs nothing of other namespaces by itself; stores want to undo there too.
        let tail = match self.branches {
            true => name
                .strip_prefix(packhouse_object::EPHEMERAL_PREFIX.as_bytes())
                .unwrap_or(name),
            false => name,
        };
        let is_branch = tail.starts_with(b"refs/heads/");
        match self.create {
            _ if is_branch && self.branches => true,
            LogRefs::Existing => false,
            LogRefs::Branches => {
                name == "HEAD"
                    || is_branch
                    || tail.starts_with(b"refs/remotes/")
                    || tail.starts_with(b"refs/notes/")
            }
            LogRefs::Always => true,
        }
    }

    /// Appends a line to the log of `name` for each move, if that ref is logged. Each move begins where the one before it
    /// ended. The lines are durable only once what is returned is synced. The caller holds the lock of the ref.
    pub(super) fn append(
        &self,
        name: &BStr,
        entries: &[Move<'_>],
    ) -> Result<Option<Appended>, DirectoryError> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return Ok(None);
        };
        let path = self.path(name);
        let failed = || DirectoryError::io("append to", &path);
        let Some((mut file, created)) = self.open(name, &path).map_err(failed())? else {
            return Ok(None);
        };
        let mut text = Vec::new();
        // HEAD's log also tells which branch it was pointed to, so its lines need not join.
        let length = match created {
            true => 0,
            false => file.seek(SeekFrom::End(0)).map_err(failed())?,
        };
        let known = Some((path.clone(), length, first.old));
        let needs_look = !created && name != "HEAD" && *self.last.lock() != known;
        if needs_look {
            text = repair(&mut file, length, first).map_err(failed())?;
        }
        for entry in entries {
            text.extend_from_slice(&line(entry));
        }
        file.write_all(&text).map_err(failed())?;
        let end = match needs_look {
            true => file.stream_position().map_err(failed())?,
            false => length + text.len() as u64,
        };
        *self.last.lock() = Some((path.clone(), end, last.new));
        Ok(Some(Appended {
            file,
            path,
            created,
        }))
    }

    /// Appends lines to the log of `HEAD` if there is one: bare repositories of others keep it.
    pub(super) fn append_to_head(&self, entries: &[Move<'_>]) -> Result<(), DirectoryError> {
        let path = self.path(BStr::new("HEAD"));
        let lines: Vec<u8> = entries.iter().flat_map(line).collect();
        match OpenOptions::new().append(true).open(&path) {
            Ok(mut file) => file.write_all(&lines),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
        .map_err(DirectoryError::io("append to", &path))
    }

    /// Whether `HEAD` has a log.
    pub(super) fn head_is_logged(&self) -> bool {
        self.path(BStr::new("HEAD")).exists()
    }

    /// The log file, made if it has to be; `None` if the ref is not logged.
    fn open(&self, name: &BStr, path: &Path) -> io::Result<Option<(File, bool)>> {
        let mut options = OpenOptions::new();
        options.read(true).append(true);
        match options.open(path) {
            Ok(file) => return Ok(Some((file, false))),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory
                ) => {}
            Err(error) => return Err(error),
        }
        if !self.starts_log(name) {
            return Ok(None);
        }
        options.create(true);
        // Others remove empty folders at the same time.
        for _ in 0..100 {
            self.clear_way(path)?;
            let root = self.places.folder_with(path);
            let folder = path.parent().unwrap_or(root);
            match create_folders(root, folder, self.sharing).and_then(|()| options.open(path)) {
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) => {}
                file => {
                    let file = file?;
                    self.sharing.settle_if_own(&file)?;
                    return Ok(Some((file, true)));
                }
            }
        }
        Err(ErrorKind::NotFound.into())
    }

    /// Removes what refs that are gone have left where the log goes: empty folders, or the log of a ref
    /// whose name is a part of this one's. The caller's lock proves that there is no such ref.
    fn clear_way(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            remove_empty_tree(path)?;
        }
        for folder in path
            .ancestors()
            .skip(1)
            .take_while(|folder| *folder != self.places.folder_with(path))
        {
            if folder.is_file() {
                remove_file(folder)?;
            }
        }
        Ok(())
    }

    /// Removes the log of a ref that was deleted.
    pub(super) fn remove(&self, name: &BStr) -> Result<(), DirectoryError> {
        let path = self.path(name);
        match remove_file(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::IsADirectory || path.is_dir() => return Ok(()),
            Err(error) => return Err(DirectoryError::io("remove", &path)(error)),
        }
        remove_empty_parents(&path, &self.places.folder_of(name).join("logs/refs"));
        Ok(())
    }

    /// Whether moves of `name` are logged.
    pub(super) fn is_logged(&self, name: &BStr) -> bool {
        self.exists(name) || self.starts_log(name)
    }

    /// Whether there is a log of `name`, empty or not.
    pub(super) fn exists(&self, name: &BStr) -> bool {
        self.path(name).is_file()
    }

    fn path(&self, name: &BStr) -> PathBuf {
        ref_path(&self.places.folder_of(name).join("logs"), name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: char) -> ObjectId {
        ObjectId::from_hex(digit.to_string().repeat(40).as_bytes()).unwrap()
    }

    fn moved(old: Option<ObjectId>, new: Option<ObjectId>, at_ms: i64) -> Move<'static> {
        Move {
            old,
            new,
            who: "Ada <ada@example.org>",
            message: "a\n  move",
            at: Moment::of_ms(at_ms),
        }
    }

    fn logs_in(folder: &Path, create: LogRefs) -> RefLogs {
        RefLogs::new(
            RefPlaces::new(folder.to_owned(), None),
            create,
            true,
            Sharing::Umask,
        )
    }

    #[test]
    fn logs_are_started_as_git_does_or_as_stores_need_them() {
        let names = [
            "HEAD",
            "refs/heads/a",
            "refs/notes/a",
            "refs/tags/a",
            "refs/namespaces/ephemeral/refs/heads/a",
        ];
        for (create, branches, expected) in [
            (
                LogRefs::Existing,
                false,
                [false, false, false, false, false],
            ),
            (LogRefs::Existing, true, [false, true, false, false, true]),
            (LogRefs::Branches, false, [true, true, true, false, false]),
            (LogRefs::Branches, true, [true, true, true, false, true]),
            (LogRefs::Always, false, [true; 5]),
        ] {
            let logs = RefLogs::new(
                RefPlaces::new(PathBuf::new(), None),
                create,
                branches,
                Sharing::Umask,
            );
            let started = names.map(|name| logs.starts_log(name.into()));
            assert_eq!(started, expected, "{create:?} {branches}");
        }
    }

    #[test]
    fn lines_come_back_in_pages() {
        let folder = tempfile::tempdir().unwrap();
        let logs = logs_in(folder.path(), LogRefs::Existing);
        let (a, b, tag) = (
            "refs/heads/x/a".into(),
            "refs/heads/b".into(),
            "refs/tags/v".into(),
        );
        logs.append(a, &[moved(None, Some(id('1')), 1_000_500)])
            .unwrap();
        logs.append(
            b,
            &[Move {
                who: "robot\n<x>",
                ..moved(None, Some(id('2')), 2_000_000)
            }],
        )
        .unwrap();
        logs.append(a, &[moved(Some(id('1')), Some(id('3')), 3_000_000)])
            .unwrap();
        logs.append(tag, &[moved(None, Some(id('3')), 3_000_000)])
            .unwrap();

        let of_a = logs.of_ref(a, None, 10).unwrap();
        assert_eq!(
            of_a.iter()
                .map(|entry| (entry.old, entry.new, entry.at_ms))
                .collect::<Vec<_>>(),
            [
                (None, Some(id('1')), 1_000_000),
                (Some(id('1')), Some(id('3')), 3_000_000)
            ]
        );
        assert_eq!(
            (of_a[0].who.as_str(), of_a[0].message.as_str()),
            ("Ada <ada@example.org>", "a move")
        );
        assert_eq!(logs.of_ref(a, Some(of_a[0].page), 10).unwrap(), of_a[1..]);

        let all = logs.of_all(None, 10).unwrap();
        assert_eq!(
            all.iter().map(|entry| entry.new).collect::<Vec<_>>(),
            [Some(id('1')), Some(id('2')), Some(id('3'))]
        );
        assert_eq!(all[1].who, "robotx");
        assert_eq!(logs.of_all(None, 1).unwrap(), all[..1]);
        assert_eq!(logs.of_all(Some(all[0].page), 1).unwrap(), all[1..2]);
    }

    #[test]
    fn a_log_that_a_crash_has_torn_is_joined_again() {
        let folder = tempfile::tempdir().unwrap();
        let logs = logs_in(folder.path(), LogRefs::Existing);
        let name = BStr::new("refs/heads/a");
        logs.append(name, &[moved(None, Some(id('1')), 0)]).unwrap();
        // Logged, but the ref stayed where it was; and half of a line after it.
        logs.append(name, &[moved(Some(id('1')), Some(id('2')), 0)])
            .unwrap();
        OpenOptions::new()
            .append(true)
            .open(logs.path(name))
            .unwrap()
            .write_all(b"222222")
            .unwrap();
        logs.append(name, &[moved(Some(id('1')), Some(id('3')), 0)])
            .unwrap();
        let chain: Vec<_> = logs
            .of_ref(name, None, 10)
            .unwrap()
            .into_iter()
            .map(|entry| (entry.old, entry.new))
            .collect();
        let step = |old: Option<char>, new| (old.map(id), Some(id(new)));
        assert_eq!(
            chain,
            [
                step(None, '1'),
                step(Some('1'), '2'),
                step(Some('2'), '1'),
                step(Some('1'), '3')
            ]
        );
    }

    #[test]
    fn logs_of_refs_that_are_gone_make_way() {
        let folder = tempfile::tempdir().unwrap();
        let logs = logs_in(folder.path(), LogRefs::Branches);
        let (short, long) = (BStr::new("refs/heads/a"), BStr::new("refs/heads/a/b"));
        logs.append(short, &[moved(None, Some(id('1')), 0)])
            .unwrap();
        logs.append(long, &[moved(None, Some(id('2')), 0)]).unwrap();
        assert!(logs.of_ref(short, None, 10).unwrap().is_empty());
        logs.remove(long).unwrap();
        logs.append(short, &[moved(None, Some(id('1')), 0)])
            .unwrap();
        assert_eq!(logs.of_all(None, 10).unwrap().len(), 1);
    }
}
