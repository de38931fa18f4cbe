//! The lines before a bundle's pack.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use bstr::{BString, ByteSlice};
use packhouse_object::{ObjectId, RefName};
use packhouse_wire::{OBJECT_FORMAT, parse_id, write_bundle_header};

use crate::MirrorError;
use crate::mirror::diff::RefTargets;

const V2: &[u8] = b"# v2 git bundle\n";
const V3: &[u8] = b"# v3 git bundle\n";
/// The longest line: an id, and a ref name or a comment.
const LINE_BYTES: u64 = 64 << 10;
/// The most lines.
const LINES_MAX: usize = 2_000_000;
/// The most bytes of all lines, which are kept in memory: over a hundred for each line.
const HEADER_BYTES_MAX: usize = 256 << 20;

/// What a bundle says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleHeader {
    /// 2 or 3.
    pub version: u32,
    /// Commits that a repository must have before it can take the bundle in.
    pub prerequisites: Vec<ObjectId>,
    /// Its refs, `HEAD` perhaps among them, in its order.
    pub refs: Vec<(BString, ObjectId)>,
}

/// Reads the header of the bundle at `path`.
pub fn read_bundle_header(path: impl AsRef<Path>) -> Result<BundleHeader, MirrorError> {
    open(path.as_ref()).map(|(header, _)| header)
}

/// Reads the header; what is left is the pack.
pub(super) fn open(path: &Path) -> Result<(BundleHeader, BufReader<File>), MirrorError> {
    let file = File::open(path).map_err(MirrorError::file(path))?;
    let mut input = BufReader::with_capacity(256 << 10, file);
    match BundleHeader::read(&mut input) {
        Ok(header) => Ok((header, input)),
        Err(Problem::Io(source)) => Err(MirrorError::file(path)(source)),
        Err(Problem::Bad(reason)) => Err(MirrorError::BadBundle {
            path: path.to_owned(),
            reason,
        }),
    }
}

enum Problem {
    Io(io::Error),
    Bad(String),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Problem {
        Problem::Io(error)
    }
}

fn bad<T>(reason: impl Into<String>) -> Result<T, Problem> {
    Err(Problem::Bad(reason.into()))
}

impl BundleHeader {
    /// Its refs below `refs/`. Names that no repository can have are left out.
    pub(crate) fn targets(&self) -> RefTargets {
        let refs = self.refs.iter();
        refs.filter_map(|(name, target)| Some((RefName::parse(name).ok()?, *target)))
            .collect()
    }

    /// Says what is wrong with the first of its refs that no repository can have, if there is one. `HEAD` and its like,
    /// also of other working copies, are no refs of a repository: Git puts them into bundles, and they are passed over.
    pub(crate) fn check_names(&self) -> Result<(), String> {
        for (name, _) in self.refs.iter().filter(|(name, _)| !is_head(name)) {
            if let Err(error) = RefName::parse(name) {
                return Err(format!(
                    "its ref '{}' is none that a repository can have ({}); refs that are chosen by name can be had without it",
                    shown(name),
                    error.problem
                ));
            }
        }
        Ok(())
    }

    fn read(input: &mut dyn BufRead) -> Result<BundleHeader, Problem> {
        let version = match line(input)?.as_slice() {
            V2 => 2,
            V3 => 3,
            _ => return bad("it does not begin like one"),
        };
        let mut header = BundleHeader {
            version,
            prerequisites: Vec::new(),
            refs: Vec::new(),
        };
        let mut bytes = 0;
        for _ in 0..LINES_MAX {
            let line = line(input)?;
            bytes += line.len();
            if bytes > HEADER_BYTES_MAX {
                return bad("its header is too large");
            }
            let Some(line) = line.strip_suffix(b"\n") else {
                return bad("its header is cut off");
            };
            if line.is_empty() {
                return Ok(header);
            }
            header.take(line)?;
        }
        bad("it has too many refs")
    }

    fn take(&mut self, line: &[u8]) -> Result<(), Problem> {
        if let Some(capability) = line.strip_prefix(b"@").filter(|_| self.version == 3) {
            let known = [b"object-format=", OBJECT_FORMAT.as_bytes()].concat();
            return match capability == known {
                true => Ok(()),
                false => bad(format!("it needs what is not supported: '{}'", shown(line))),
            };
        }
        if let Some(rest) = line.strip_prefix(b"-") {
            let id = rest.split(|byte| *byte == b' ').next().and_then(parse_id);
            match id {
                Some(id) => self.prerequisites.push(id),
                None => return bad(format!("its header has a line '{}'", shown(line))),
            }
            return Ok(());
        }
        match line.split_once_str(" ") {
            Some((id, name)) if !name.is_empty() => match parse_id(id) {
                Some(id) => self.refs.push((name.into(), id)),
                None => return bad(format!("its header has a line '{}'", shown(line))),
            },
            _ => return bad(format!("its header has a line '{}'", shown(line))),
        }
        Ok(())
    }

    /// Writes it, in version 2.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let refs = self.refs.iter();
        let refs = refs.map(|(name, target)| (name.as_slice(), *target));
        write_bundle_header(&self.prerequisites, refs, out)
    }
}

/// Whether a name is `HEAD`, or one like it: of capital letters, perhaps below a working copy's folder.
fn is_head(name: &BString) -> bool {
    let (folder, last) = match name.rsplit_once_str("/") {
        Some((folder, last)) => (Some(folder), last),
        None => (None, name.as_slice()),
    };
    let of_capitals = |byte: &u8| byte.is_ascii_uppercase() || *byte == b'_';
    let is_of_worktree = |folder: &[u8]| {
        folder == b"main-worktree"
            || folder
                .strip_prefix(b"worktrees/")
                .is_some_and(|worktree| !worktree.is_empty() && !worktree.contains(&b'/'))
    };
    !last.is_empty() && last.iter().all(of_capitals) && folder.is_none_or(is_of_worktree)
}

fn shown(line: &[u8]) -> String {
    line.as_bstr().to_string().escape_debug().to_string()
}

fn line(input: &mut dyn BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    input.take(LINE_BYTES).read_until(b'\n', &mut line)?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    fn read(text: &str) -> Result<BundleHeader, String> {
        BundleHeader::read(&mut text.as_bytes()).map_err(|problem| match problem {
            Problem::Bad(reason) => reason,
            Problem::Io(error) => error.to_string(),
        })
    }

    #[test]
    fn both_versions_are_read() {
        let v2 = read(&format!(
            "# v2 git bundle\n-{ID} first commit\n{ID} refs/heads/main\n{ID} HEAD\n\nPACK"
        ))
        .unwrap();
        assert_eq!(
            (v2.version, v2.prerequisites.len(), v2.refs.len()),
            (2, 1, 2)
        );
        assert_eq!(v2.targets().len(), 1);
        let v3 = read(&format!(
            "# v3 git bundle\n@object-format=sha1\n{ID} refs/heads/main\n\n"
        ))
        .unwrap();
        assert_eq!((v3.version, v3.refs.len()), (3, 1));
    }

    #[test]
    fn what_is_no_bundle_is_refused() {
        for (text, expected) in [
            ("PACK".to_owned(), "begin"),
            (String::new(), "begin"),
            (
                "# v3 git bundle\n@object-format=sha256\n\n".to_owned(),
                "sha256",
            ),
            (
                "# v3 git bundle\n@filter=blob:none\n\n".to_owned(),
                "filter",
            ),
            (
                "# v2 git bundle\n@object-format=sha1\n\n".to_owned(),
                "line",
            ),
            (
                format!("# v2 git bundle\n{ID} refs/heads/main\n"),
                "cut off",
            ),
            (
                "# v2 git bundle\nxyz refs/heads/main\n\n".to_owned(),
                "line",
            ),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn names_that_no_repository_can_have_are_named_and_heads_are_passed_over() {
        let check = |name: &[u8]| {
            let id = ObjectId::from_hex(ID.as_bytes()).unwrap();
            let header = BundleHeader {
                version: 2,
                prerequisites: Vec::new(),
                refs: vec![("refs/heads/main".into(), id), (name.into(), id)],
            };
            header.check_names()
        };
        for name in [
            "HEAD",
            "ORIG_HEAD",
            "main-worktree/HEAD",
            "worktrees/a/HEAD",
            "refs/stash",
            "refs/heads/HEAD",
        ] {
            check(name.as_bytes()).unwrap();
        }
        check(b"refs/heads/caf\xe9").unwrap();
        for name in [
            "refs/heads/a..b",
            "refs/heads/a.lock",
            "refs/heads/a b",
            "refs/../HEAD",
            "../HEAD",
            "/HEAD",
            "worktrees/../HEAD/HEAD",
            "heads/main",
            "main",
            "config",
            "refs",
        ] {
            let said = check(name.as_bytes()).unwrap_err();
            assert!(said.contains(&format!("'{name}'")), "{said}");
        }
        let said = check(b"refs/heads/a\x1b[1m").unwrap_err();
        assert!(said.contains("a\\u{1b}[1m"), "{said}");
    }

    #[test]
    fn reading_undoes_writing() {
        let id = ObjectId::from_hex(ID.as_bytes()).unwrap();
        let header = BundleHeader {
            version: 2,
            prerequisites: vec![id],
            refs: vec![("HEAD".into(), id), ("refs/heads/a".into(), id)],
        };
        let mut bytes = Vec::new();
        header.write(&mut bytes).unwrap();
        let read = BundleHeader::read(&mut &bytes[..]).map_err(|_| ()).unwrap();
        assert_eq!(read, header);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String, v3: bool) {
            let first = if v3 { V3 } else { V2 };
            let _ = BundleHeader::read(&mut &[first, text.as_bytes()].concat()[..]);
        }
    }
}
