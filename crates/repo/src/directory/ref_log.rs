//! Reflogs: one file for each ref, a line for each move, appended while the ref is locked.
//!
//! A line is written before its ref moves, so a crash in between leaves a line for a move that was
//! not made. The next line of that ref is then preceded by one that takes the move back: each line
//! of a log starts where the one before it ended.

use std::collections::BinaryHeap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::{HashKind, ObjectId, ProcessLocal};

use super::durable::{
    create_folders, remove_empty_parents, remove_empty_tree, remove_file, sync_folder,
};
use super::error::DirectoryError;
use super::layout::LogRefs;
use super::loose_refs::ref_path;
use super::permissions::Sharing;
use crate::reflog::{ReflogEntry, ReflogPage};

/// Longer lines are cut: messages and names come from strangers.
const LINE_BYTES_MAX: usize = 64 << 10;

/// What the line says that takes back a move which was logged but not made.
const TAKEN_BACK: &str = "the move above was interrupted";

/// The reflogs of one repository.
#[derive(Debug)]
pub(super) struct RefLogs {
    git_dir: PathBuf,
    create: LogRefs,
    /// Whom logs are for that are made.
    sharing: Sharing,
    /// The log that was appended to last, how long it was then, and where its last line leads. If it is as long
    /// still, it needs no look.
    last: ProcessLocal<Mutex<Option<LastLine>>>,
}

/// A log, its length, and where its last line leads.
type LastLine = (PathBuf, u64, Option<ObjectId>);

/// One move of a ref.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move<'a> {
    pub(super) old: Option<ObjectId>,
    pub(super) new: Option<ObjectId>,
    pub(super) who: &'a str,
    pub(super) message: &'a str,
    pub(super) at_ms: i64,
}

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
    pub(super) fn new(git_dir: PathBuf, create: LogRefs, sharing: Sharing) -> RefLogs {
        RefLogs {
            git_dir,
            create,
            sharing,
            last: ProcessLocal::new(),
        }
    }

    /// Whether moves of a ref without a log start one. Branches are logged whatever the config says.
    fn starts_log(&self, name: &BStr) -> bool {
        let tail = name
            .strip_prefix(packhouse_object::EPHEMERAL_PREFIX.as_bytes())
            .unwrap_or(name);
        match self.create {
            _ if tail.starts_with(b"refs/heads/") => true,
            LogRefs::Default => false,
            LogRefs::Branches => {
                name == "HEAD"
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
            let folder = path.parent().unwrap_or(&self.git_dir);
            match create_folders(&self.git_dir, folder, self.sharing)
                .and_then(|()| options.open(path))
            {
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
            .take_while(|folder| *folder != self.git_dir)
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
        remove_empty_parents(&path, &self.git_dir.join("logs/refs"));
        Ok(())
    }

    /// The lines of one log, oldest first. A page's generation is the number of a line.
    pub(super) fn of_ref(
        &self,
        name: &BStr,
        after: Option<ReflogPage>,
        limit: usize,
    ) -> Result<Vec<ReflogEntry>, DirectoryError> {
        let path = self.path(name);
        let after = after.map_or(0, |page| page.generation);
        let mut found = Vec::new();
        let read = each_line(&path, name, &mut |number, entry| {
            if number > after && found.len() < limit {
                found.push(ReflogEntry {
                    page: ReflogPage {
                        generation: number,
                        ordinal: 0,
                    },
                    ..entry
                });
            }
            found.len() < limit
        });
        read.map_err(DirectoryError::io("read", &path))?;
        Ok(found)
    }

    /// The lines of all logs but HEAD's, which repeats them, oldest first.
    ///
    /// A page is a second and a place in it, so a page taken while its second still runs may be
    /// followed by less than all of that second.
    pub(super) fn of_all(
        &self,
        after: Option<ReflogPage>,
        limit: usize,
    ) -> Result<Vec<ReflogEntry>, DirectoryError> {
        let mut oldest = BinaryHeap::new();
        let logs = self.git_dir.join("logs");
        let mut names = Vec::new();
        log_names(&logs.join("refs"), BString::from("refs"), &mut names)
            .map_err(DirectoryError::io("list", &logs))?;
        for name in names {
            let path = self.path(name.as_bstr());
            let place = i64::from(crc32fast::hash(&name) & 0x3fff_ffff) << 32;
            let mut latest = i64::MIN;
            let read = each_line(&path, name.as_bstr(), &mut |number, entry| {
                // A clock that was set back does not change the order within one log.
                latest = latest.max(entry.at_ms / 1000);
                let page = ReflogPage {
                    generation: latest,
                    ordinal: place | number & 0xffff_ffff,
                };
                if after.is_none_or(|after| page > after) {
                    oldest.push(ByPage(ReflogEntry { page, ..entry }));
                    if oldest.len() > limit {
                        oldest.pop();
                    }
                }
                true
            });
            read.map_err(DirectoryError::io("read", &path))?;
        }
        Ok(oldest
            .into_sorted_vec()
            .into_iter()
            .map(|ByPage(entry)| entry)
            .collect())
    }

    /// Whether there is a log of `name`, empty or not.
    pub(super) fn exists(&self, name: &BStr) -> bool {
        self.path(name).is_file()
    }

    fn path(&self, name: &BStr) -> PathBuf {
        ref_path(&self.git_dir.join("logs"), name)
    }
}

/// Reflog entries in the order of their pages.
struct ByPage(ReflogEntry);

impl Ord for ByPage {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0.page, &self.0.name).cmp(&(other.0.page, &other.0.name))
    }
}

impl PartialOrd for ByPage {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByPage {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ByPage {}

/// How much of a log's end is read first: mostly its last line is in it.
const TAIL_BYTES: u64 = 1 << 10;

/// Cuts off a line that a crash has torn, and gives the line that joins the log to `next`, if it needs one.
fn repair(file: &mut File, length: u64, next: &Move<'_>) -> io::Result<Vec<u8>> {
    let read_tail = |bytes: u64| {
        let mut tail = vec![0; bytes.min(length) as usize];
        file.read_exact_at(&mut tail, length - bytes.min(length))
            .map(|()| tail)
    };
    let mut tail = read_tail(TAIL_BYTES)?;
    // Complete, and more than one line: then the last one is whole.
    if tail.last() != Some(&b'\n') || tail[..tail.len() - 1].find_byte(b'\n').is_none() {
        tail = read_tail(2 * LINE_BYTES_MAX as u64)?;
    }
    let start = length - tail.len() as u64;
    let whole = tail.rfind_byte(b'\n').map_or(0, |at| at + 1);
    if whole < tail.len() && (whole > 0 || start == 0) {
        file.set_len(start + whole as u64)?;
    }
    let last = tail[..whole]
        .trim_end_with(|c| c == '\n')
        .rsplit(|&byte| byte == b'\n')
        .next();
    let Some(last) = last.and_then(|last| parse_line(last, BStr::new(""))) else {
        return Ok(Vec::new());
    };
    if last.new == next.old {
        return Ok(Vec::new());
    }
    Ok(line(&Move {
        old: last.new,
        new: next.old,
        message: TAKEN_BACK,
        ..*next
    }))
}

fn line(entry: &Move<'_>) -> Vec<u8> {
    let zero = ObjectId::null(HashKind::Sha1);
    let (old, new) = (entry.old.unwrap_or(zero), entry.new.unwrap_or(zero));
    let message: Vec<&str> = entry.message.split_whitespace().collect();
    let mut line = format!(
        "{old} {new} {} {} +0000",
        identity(entry.who),
        entry.at_ms.div_euclid(1000)
    )
    .into_bytes();
    if !message.is_empty() {
        line.push(b'\t');
        line.extend_from_slice(message.join(" ").as_bytes());
    }
    line.truncate(LINE_BYTES_MAX);
    line.push(b'\n');
    line
}

/// `who` as Git writes people: as it is if it has the form `Name <email>`, else with an empty email.
fn identity(who: &str) -> String {
    let clean = |text: &str| {
        let text: String = text
            .chars()
            .filter(|c| !c.is_control() && !matches!(c, '<' | '>'))
            .take(1000)
            .collect();
        text.trim().to_owned()
    };
    let parts = who.strip_suffix('>').and_then(|who| who.split_once(" <"));
    let (name, email) = parts.unwrap_or((who, ""));
    format!("{} <{}>", clean(name), clean(email))
}

/// Calls `visit` with the number, counted from 1, and the content of each line, as long as it returns true.
/// Lines of another form are counted and passed over.
fn each_line(
    path: &Path,
    name: &BStr,
    visit: &mut dyn FnMut(i64, ReflogEntry) -> bool,
) -> io::Result<()> {
    let file = match File::open(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(());
        }
        file => file?,
    };
    if file.metadata()?.is_dir() {
        return Ok(());
    }
    let mut file = BufReader::new(file);
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        line.clear();
        file.by_ref()
            .take(LINE_BYTES_MAX as u64 + 1)
            .read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        if line.pop_if(|last| *last == b'\n').is_none() {
            if line.len() <= LINE_BYTES_MAX {
                // Being written just now, or torn by a crash.
                return Ok(());
            }
            skip_line(&mut file)?;
        }
        number += 1;
        if let Some(entry) = parse_line(&line, name)
            && !visit(number, entry)
        {
            return Ok(());
        }
    }
}

fn skip_line(file: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = file.fill_buf()?;
        let end = buffer.find_byte(b'\n');
        let used = end.map_or(buffer.len(), |at| at + 1);
        file.consume(used);
        if end.is_some() || used == 0 {
            return Ok(());
        }
    }
}

fn parse_line(line: &[u8], name: &BStr) -> Option<ReflogEntry> {
    let id = |digits: &[u8]| {
        ObjectId::from_hex(digits)
            .ok()
            .map(|id| (!id.is_null()).then_some(id))
    };
    let (old, new) = (id(line.get(..40)?)?, id(line.get(41..81)?)?);
    let (before, message) = line
        .get(82..)?
        .split_once_str("\t")
        .unwrap_or((&line[82..], b""));
    let (who, time) = before.rsplit_once_str("> ")?;
    let (person, email) = who.rsplit_once_str("<")?;
    let seconds = time
        .split(|&byte| byte == b' ')
        .next()?
        .to_str()
        .ok()?
        .parse::<i64>()
        .ok()?;
    let who = if email.is_empty() {
        person.trim_end().to_vec()
    } else {
        [who, b">"].concat()
    };
    Some(ReflogEntry {
        page: ReflogPage {
            generation: 0,
            ordinal: 0,
        },
        name: name.to_vec(),
        old,
        new,
        who: who.to_str_lossy().into_owned(),
        message: message.to_str_lossy().into_owned(),
        at_ms: seconds.saturating_mul(1000),
    })
}

fn log_names(folder: &Path, name: BString, names: &mut Vec<BString>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(());
        }
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = BString::from([name.as_slice(), b"/", entry.file_name().as_bytes()].concat());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => log_names(&entry.path(), name, names)?,
            Ok(kind) if kind.is_file() && !name.ends_with(b".lock") => names.push(name),
            _ => {}
        }
    }
    Ok(())
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
            at_ms,
        }
    }

    #[test]
    fn lines_come_back_in_pages() {
        let folder = tempfile::tempdir().unwrap();
        let logs = RefLogs::new(folder.path().to_owned(), LogRefs::Default, Sharing::Umask);
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
        let logs = RefLogs::new(folder.path().to_owned(), LogRefs::Default, Sharing::Umask);
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
        let logs = RefLogs::new(folder.path().to_owned(), LogRefs::Branches, Sharing::Umask);
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
