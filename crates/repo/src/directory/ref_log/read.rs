//! Reading reflogs: one, or all of them as one list.

use std::collections::BinaryHeap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bstr::{BStr, BString, ByteSlice};

use super::RefLogs;
use super::line::{LINE_BYTES_MAX, parse_line};
use crate::directory::error::DirectoryError;
use crate::reflog::{ReflogEntry, ReflogPage};

impl RefLogs {
    /// The lines of one log, oldest first. A page's generation is the number of a line.
    pub(in crate::directory) fn of_ref(
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
    pub(in crate::directory) fn of_all(
        &self,
        after: Option<ReflogPage>,
        limit: usize,
    ) -> Result<Vec<ReflogEntry>, DirectoryError> {
        let mut oldest = BinaryHeap::new();
        let logs = self.places.folder_of("refs/heads".into()).join("logs");
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
