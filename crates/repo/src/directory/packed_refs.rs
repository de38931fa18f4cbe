//! The `packed-refs` file: all refs that have no file of their own, sorted by name.
//!
//! The file is never changed, only replaced by renaming another over it. So whoever holds it open
//! knows that it is still the newest one by looking at the name's device and inode.

use std::cmp::Ordering;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::ObjectId;

use super::error::DirectoryError;

const HEADER: &[u8] = b"# pack-refs with: peeled fully-peeled sorted \n";

/// One line of the file, with the peeled value that may follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackedRef {
    pub(crate) name: BString,
    pub(crate) target: ObjectId,
    pub(crate) peeled: Peeled,
}

/// What the file says about where a tag leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peeled {
    /// To this object.
    To(ObjectId),
    /// Nowhere: the target is no tag object.
    NoTag,
    /// Nothing: an older Git wrote the file.
    Unknown,
}

/// The content of the file as it was when it was opened.
#[derive(Debug, Default)]
pub(super) struct PackedRefs {
    /// Held open, so that its inode cannot be given to another file.
    file: Option<(File, fs::Metadata)>,
    entries: Vec<PackedRef>,
}

impl PackedRefs {
    /// Reads the file; one that is missing is an empty one.
    pub(super) fn read(git_dir: &Path) -> Result<PackedRefs, DirectoryError> {
        let path = packed_refs_path(git_dir);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(PackedRefs::default()),
            file => file.map_err(DirectoryError::io("open", &path))?,
        };
        let mut text = Vec::new();
        let metadata = file
            .metadata()
            .and_then(|metadata| file.read_to_end(&mut text).map(|_| metadata));
        let metadata = metadata.map_err(DirectoryError::io("read", &path))?;
        let entries = parse(&text).map_err(|reason| DirectoryError::Damaged { path, reason })?;
        Ok(PackedRefs {
            file: Some((file, metadata)),
            entries,
        })
    }

    /// Whether the name still leads to the file that was read.
    pub(super) fn is_current(&self, git_dir: &Path) -> io::Result<bool> {
        let now = match fs::metadata(packed_refs_path(git_dir)) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(match (&self.file, now) {
            (None, None) => true,
            // Size and time only matter if someone edits the file in place, by hand.
            (Some((_, then)), Some(now)) => {
                let identity = |file: &fs::Metadata| {
                    (
                        file.dev(),
                        file.ino(),
                        file.size(),
                        file.mtime(),
                        file.mtime_nsec(),
                    )
                };
                identity(then) == identity(&now)
            }
            _ => false,
        })
    }

    /// Every entry, sorted by name.
    pub(super) fn entries(&self) -> &[PackedRef] {
        &self.entries
    }

    pub(super) fn get(&self, name: &BStr) -> Option<&PackedRef> {
        let at = self
            .entries
            .binary_search_by(|entry| entry.name.as_bstr().cmp(name))
            .ok()?;
        Some(&self.entries[at])
    }

    /// The first entry whose name starts with `prefix`.
    pub(super) fn first_below(&self, prefix: &[u8]) -> Option<&PackedRef> {
        let at = self
            .entries
            .partition_point(|entry| entry.name.as_slice() < prefix);
        self.entries
            .get(at)
            .filter(|entry| entry.name.starts_with(prefix))
    }

    /// The entries after `changes`, which are sorted by name: a new entry, or `None` to drop it.
    pub(super) fn merged(&self, changes: &[(BString, Option<PackedRef>)]) -> Vec<PackedRef> {
        let mut merged = Vec::with_capacity(self.entries.len() + changes.len());
        let (mut old, mut changes) = (self.entries.iter().peekable(), changes.iter().peekable());
        loop {
            let order = match (old.peek(), changes.peek()) {
                (None, None) => return merged,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(entry), Some((name, _))) => entry.name.cmp(name),
            };
            if order == Ordering::Less {
                merged.extend(old.next().cloned());
                continue;
            }
            if order == Ordering::Equal {
                old.next();
            }
            merged.extend(changes.next().and_then(|(_, change)| change.clone()));
        }
    }
}

/// Where the file is.
pub(crate) fn packed_refs_path(git_dir: &Path) -> PathBuf {
    git_dir.join("packed-refs")
}

/// Writes entries that are sorted and whose peeled values are all known.
pub(crate) fn write_entries<'a>(
    out: &mut dyn Write,
    entries: impl IntoIterator<Item = &'a PackedRef>,
) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    out.write_all(HEADER)?;
    for entry in entries {
        write!(out, "{} ", entry.target)?;
        out.write_all(&entry.name)?;
        out.write_all(b"\n")?;
        if let Peeled::To(peeled) = entry.peeled {
            writeln!(out, "^{peeled}")?;
        }
    }
    out.flush()
}

fn parse(text: &[u8]) -> Result<Vec<PackedRef>, String> {
    let mut entries: Vec<PackedRef> = Vec::new();
    let mut traits: &[u8] = b"";
    let mut lines = text
        .split_inclusive(|&byte| byte == b'\n')
        .enumerate()
        .peekable();
    if let Some((_, line)) = lines.next_if(|(_, line)| line.starts_with(b"#")) {
        traits = line.strip_prefix(b"# pack-refs with:").unwrap_or_default();
    }
    let has = |word: &[u8]| {
        traits
            .split(|&byte| byte.is_ascii_whitespace())
            .any(|part| part == word)
    };
    let (peeled, fully_peeled) = (has(b"peeled"), has(b"fully-peeled"));
    for (number, line) in lines {
        let bad = |reason: &str| format!("line {}: {reason}", number + 1);
        let line = line
            .strip_suffix(b"\n")
            .ok_or_else(|| bad("the line does not end"))?;
        if let Some(digits) = line.strip_prefix(b"^") {
            let last = entries
                .last_mut()
                .ok_or_else(|| bad("a peeled value without a ref"))?;
            last.peeled = Peeled::To(ObjectId::from_hex(digits).map_err(|_| bad("no object id"))?);
            continue;
        }
        let target = line
            .get(..40)
            .and_then(|digits| ObjectId::from_hex(digits).ok())
            .ok_or_else(|| bad("no object id"))?;
        let name = line
            .get(41..)
            .filter(|name| line[40] == b' ' && !name.is_empty())
            .ok_or_else(|| bad("no name"))?;
        let known = fully_peeled || peeled && name.starts_with(b"refs/tags/");
        entries.push(PackedRef {
            name: name.into(),
            target,
            peeled: if known {
                Peeled::NoTag
            } else {
                Peeled::Unknown
            },
        });
    }
    if !entries.is_sorted_by(|a, b| a.name < b.name) {
        // An old Git did not sort by bytes. Of two lines with one name the later one counts.
        entries.reverse();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries.dedup_by(|a, b| a.name == b.name);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: char) -> ObjectId {
        ObjectId::from_hex(digit.to_string().repeat(40).as_bytes()).unwrap()
    }

    fn entry(name: &str, target: ObjectId, peeled: Peeled) -> PackedRef {
        PackedRef {
            name: name.into(),
            target,
            peeled,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            PackedRefs::read(folder.path())
                .unwrap()
                .entries()
                .is_empty()
        );
        let entries = [
            entry("refs/heads/a", id('1'), Peeled::NoTag),
            entry("refs/tags/v", id('2'), Peeled::To(id('3'))),
        ];
        write_entries(
            &mut File::create(packed_refs_path(folder.path())).unwrap(),
            &entries,
        )
        .unwrap();
        let packed = PackedRefs::read(folder.path()).unwrap();
        assert_eq!(packed.entries(), entries);
        assert!(packed.is_current(folder.path()).unwrap());
        assert_eq!(packed.get("refs/tags/v".into()), Some(&entries[1]));
        assert_eq!(packed.first_below(b"refs/t"), Some(&entries[1]));
        assert_eq!(packed.first_below(b"refs/heads/b"), None);
        fs::remove_file(packed_refs_path(folder.path())).unwrap();
        assert!(!packed.is_current(folder.path()).unwrap());
    }

    #[test]
    fn older_headers_leave_peeling_unknown_and_order_is_restored() {
        let (one, two) = (id('1'), id('2'));
        let text = format!(
            "# pack-refs with: peeled \n{one} refs/tags/v\n^{two}\n{one} refs/heads/b\n{two} refs/tags/l\n"
        );
        let entries = parse(text.as_bytes()).unwrap();
        let expected = [
            entry("refs/heads/b", one, Peeled::Unknown),
            entry("refs/tags/l", two, Peeled::NoTag),
            entry("refs/tags/v", one, Peeled::To(two)),
        ];
        assert_eq!(entries, expected);
        let text = format!("{one} refs/x\n{two} refs/x\n");
        assert_eq!(
            parse(text.as_bytes()).unwrap(),
            [entry("refs/x", two, Peeled::Unknown)]
        );
        for bad in [
            "x",
            "1 refs/x\n",
            &format!("{one}\n"),
            &format!("{one} \n"),
            &format!("{one} refs/x"),
            &format!("^{one}\n"),
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn merging_replaces_adds_and_drops() {
        let packed = PackedRefs {
            file: None,
            entries: ["b", "d", "f"]
                .map(|name| entry(name, id('1'), Peeled::NoTag))
                .to_vec(),
        };
        let put = |name: &str| (name.into(), Some(entry(name, id('2'), Peeled::NoTag)));
        let changes = [
            put("a"),
            ("b".into(), None),
            put("d"),
            ("e".into(), None),
            put("g"),
        ];
        let merged: Vec<_> = packed
            .merged(&changes)
            .into_iter()
            .map(|entry| (entry.name.to_string(), entry.target))
            .collect();
        let expected = [("a", '2'), ("d", '2'), ("f", '1'), ("g", '2')]
            .map(|(name, digit)| (name.to_owned(), id(digit)));
        assert_eq!(merged, expected);
    }
}
