//! Everything that keeps objects alive: refs of any name, `HEAD`, and every line of every reflog.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bstr::{BStr, BString};
use packhouse_object::{IdSet, ObjectId};

use super::backend::Directory;
use super::error::DirectoryError;
use super::loose_refs::RawRef;
use super::packed_text::Peeled;

/// Digits of an id.
const HEX_LEN: usize = 40;

/// The objects that are kept with all that they reach.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roots {
    /// What refs and reflogs name; some may not be there.
    pub(crate) ids: IdSet,
    /// Whether more may be in use than is said here: what an index or another working copy names is not known.
    pub(crate) open_ended: bool,
}

impl Directory {
    /// What is in use now.
    pub(crate) fn roots(&self) -> Result<Roots, DirectoryError> {
        let refs = &self.inner.refs;
        let git_dir = self.git_dir();
        let mut roots = Roots::default();
        // Logs first: a ref that is deleted meanwhile was still there, or had no log to begin with.
        let logs = git_dir.join("logs");
        of_logs(&logs, &mut roots.ids).map_err(DirectoryError::io("read", &logs))?;
        let state = refs.read_any_head()?;
        roots.ids.extend(self.detached_at()?);
        for (name, raw) in &state.loose {
            match raw {
                RawRef::Id(id) => drop(roots.ids.insert(*id)),
                // What it leads to is a root itself.
                RawRef::Symbolic(_) => {}
                RawRef::Broken => return Err(self.damaged(name)),
            }
        }
        for entry in state.packed.entries() {
            roots.ids.insert(entry.target);
            if let Peeled::To(id) = entry.peeled {
                roots.ids.insert(id);
            }
        }
        roots.open_ended = git_dir.join("index").exists() || !is_empty(&git_dir.join("worktrees"));
        Ok(roots)
    }

    /// Checks that the file of every ref names something: what a damaged one named is not known. Those in `packed-refs` are
    /// read one like the other.
    pub(crate) fn check_refs(&self) -> Result<(), DirectoryError> {
        let state = self.inner.refs.read_any_head()?;
        let mut loose = state.loose.iter();
        match loose.find(|(_, raw)| raw.is_damaged()) {
            Some((name, _)) => Err(self.damaged(name)),
            None => Ok(()),
        }
    }

    /// The commit that `HEAD` names, if it is detached.
    pub(crate) fn detached_at(&self) -> Result<Option<ObjectId>, DirectoryError> {
        match self.inner.refs.raw(BStr::new("HEAD"))? {
            Some(RawRef::Id(id)) => Ok(Some(id)),
            _ => Ok(None),
        }
    }

    fn damaged(&self, name: &BString) -> DirectoryError {
        DirectoryError::Damaged {
            path: self.git_dir().join(OsStr::from_bytes(name)),
            reason: "it names no object".to_owned(),
        }
    }
}

fn is_empty(folder: &Path) -> bool {
    match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

/// Adds both ids of every line of the logs in a folder.
fn of_logs(folder: &Path, ids: &mut IdSet) -> io::Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let file_type = entry.file_type()?;
            if file_type.is_dir() {
                folders.push(entry.path());
            } else if file_type.is_file() {
                match File::open(entry.path()) {
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    file => of_log(&mut BufReader::new(file?), ids)?,
                }
            }
        }
    }
    Ok(())
}

fn of_log(log: &mut impl BufRead, ids: &mut IdSet) -> io::Result<()> {
    const BOTH: usize = 2 * HEX_LEN + 1;
    let mut start = Vec::with_capacity(BOTH);
    loop {
        let piece = log.fill_buf()?;
        if piece.is_empty() {
            take_ids(&start, ids);
            return Ok(());
        }
        let end = piece.iter().position(|&byte| byte == b'\n');
        let line = &piece[..end.unwrap_or(piece.len())];
        // Only the beginning of a line is held, however long it is.
        start.extend(line.iter().take(BOTH - start.len()));
        let used = end.map_or(piece.len(), |end| end + 1);
        log.consume(used);
        if end.is_some() {
            take_ids(&start, ids);
            start.clear();
        }
    }
}

fn take_ids(line: &[u8], ids: &mut IdSet) {
    let parsed = line
        .split(|&byte| byte == b' ')
        .filter_map(|hex| ObjectId::from_hex(hex).ok());
    ids.extend(parsed.filter(|id| !id.is_null()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ids_of_every_line_are_taken_however_long_it_is() {
        let id = |digit: &str| ObjectId::from_hex(digit.repeat(HEX_LEN).as_bytes()).unwrap();
        let null = "0".repeat(HEX_LEN);
        let log = format!(
            "{null} {} A <a> 1 +0000\tx\n{} {} B <b> 2 +0000\t{}\n\ngarbage\n{} {}",
            id("1"),
            id("1"),
            id("2"),
            "y".repeat(100_000),
            id("2"),
            id("3"),
        );
        let mut ids = IdSet::default();
        of_log(&mut BufReader::with_capacity(7, log.as_bytes()), &mut ids).unwrap();
        assert_eq!(ids, IdSet::from_iter([id("1"), id("2"), id("3")]));
    }
}
