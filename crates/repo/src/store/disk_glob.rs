//! Finding local files and folders by the patterns that snapshots are searched with.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::glob::{self, Pattern, Segment, take};

/// The local files and folders that match, sorted.
///
/// The rules are those of [`Snapshot::glob`](super::Snapshot::glob): absolute patterns give absolute paths, `/./` is
/// kept, slashes at the end count for nothing. `.` and `..` otherwise name what they name on a disk. Links to folders
/// are followed, but never in a circle; a link that leads nowhere is found like any other. Folders that cannot be read
/// hold nothing.
pub fn disk_glob(pattern: impl AsRef<OsStr>) -> Vec<OsString> {
    let pattern = pattern.as_ref().as_bytes();
    let rooted = pattern.starts_with(b"/");
    // Several slashes are one to the system.
    let parts = pattern.split(|&byte| byte == b'/');
    let parts: Vec<&[u8]> = parts.filter(|part| !part.is_empty()).collect();
    let pattern = Pattern::parse(&parts.join(&b'/'));
    let mut search = Search {
        found: Vec::new(),
        entered: Vec::new(),
    };
    let start: &[u8] = if rooted { b"/" } else { b"" };
    // A literal segment is looked up, not listed: it may lie in a folder that cannot be listed.
    search.literal(start, &pattern.segments);
    let shown = |path: Vec<u8>| OsString::from_vec(pattern.shown(path, start.len()).into());
    let mut found: Vec<OsString> = search.found.into_iter().map(shown).collect();
    found.sort_unstable();
    found.dedup();
    found
}

struct Search {
    found: Vec<Vec<u8>>,
    /// The folders on the way down, by device and number.
    entered: Vec<(u64, u64)>,
}

impl Search {
    /// Goes through literal segments without listing folders.
    fn literal(&mut self, folder: &[u8], segments: &[Segment]) {
        match segments {
            [] => {}
            [Segment::Literal(name)] => self.if_there(below(folder, name)),
            [Segment::Literal(name), rest @ ..] => self.literal(&below(folder, name), rest),
            segments => self.listed(folder, segments, &glob::first(segments)),
        }
    }

    fn listed(&mut self, folder: &[u8], segments: &[Segment], nexts: &glob::Nexts) {
        let listed = match folder {
            b"" => Path::new("."),
            _ => Path::new(OsStr::from_bytes(folder)),
        };
        let Ok(id) = fs::metadata(listed).map(|found| (found.dev(), found.ino())) else {
            return;
        };
        if self.entered.contains(&id) {
            return;
        }
        self.entered.push(id);
        if let [only] = nexts.as_slice()
            && let Segment::Literal(name) = &segments[*only]
        {
            self.looked_up(folder, segments, *only, name);
        } else {
            // No listing has them.
            for &at in nexts {
                if let Segment::Literal(name) = &segments[at]
                    && (name == "." || name == "..")
                {
                    self.looked_up(folder, segments, at, name);
                }
            }
            self.each(folder, listed, segments, nexts);
        }
        self.entered.pop();
    }

    fn looked_up(&mut self, folder: &[u8], segments: &[Segment], at: usize, name: &[u8]) {
        let path = below(folder, name);
        if at + 1 < segments.len() {
            // `.` and `..` come back to folders on purpose; only `**` can go round in circles.
            let entered = std::mem::take(&mut self.entered);
            let next = take(segments, &vec![at], name).below;
            self.listed(&path, segments, &next);
            self.entered = entered;
        } else {
            self.if_there(path);
        }
    }

    /// Takes what is at a path, also a link that leads nowhere: in a listing it would be found too.
    fn if_there(&mut self, path: Vec<u8>) {
        if fs::symlink_metadata(OsStr::from_bytes(&path)).is_ok() {
            self.found.push(path);
        }
    }

    fn each(&mut self, folder: &[u8], listed: &Path, segments: &[Segment], nexts: &glob::Nexts) {
        let Ok(entries) = fs::read_dir(listed) else {
            return;
        };
        for name in entries.flatten().map(|entry| entry.file_name()) {
            let taken = take(segments, nexts, name.as_bytes());
            let path = below(folder, name.as_bytes());
            if !taken.below.is_empty() {
                self.listed(&path, segments, &taken.below);
            }
            if taken.is_match {
                self.found.push(path);
            }
        }
    }
}

fn below(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = folder.to_vec();
    if !folder.is_empty() && !folder.ends_with(b"/") {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["a/b/c", ".hidden/x", "empty"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for file in [
            "one.txt",
            ".dot.txt",
            "a/two.txt",
            "a/b/three.txt",
            "a/b/c/four.txt",
            ".hidden/five.txt",
        ] {
            fs::write(dir.path().join(file), file).unwrap();
        }
        std::os::unix::fs::symlink("..", dir.path().join("a/up")).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("dangling")).unwrap();
        dir
    }

    fn found(dir: &tempfile::TempDir, pattern: &str) -> Vec<String> {
        let base = format!("{}/", dir.path().display());
        disk_glob(format!("{base}{pattern}"))
            .into_iter()
            .map(|path| {
                path.to_str()
                    .unwrap()
                    .strip_prefix(&base)
                    .unwrap()
                    .to_owned()
            })
            .collect()
    }

    #[test]
    fn patterns_find_local_files() {
        let dir = tree();
        assert_eq!(found(&dir, "*.txt"), ["one.txt"]);
        assert_eq!(found(&dir, ".*.txt"), [".dot.txt"]);
        assert_eq!(found(&dir, "*/*.txt"), ["a/two.txt"]);
        assert_eq!(
            found(&dir, "**/*.txt"),
            ["a/b/c/four.txt", "a/b/three.txt", "a/two.txt", "one.txt"]
        );
        assert_eq!(found(&dir, "a/**/c/*"), ["a/b/c/four.txt"]);
        assert_eq!(found(&dir, "*"), ["a", "dangling", "empty", "one.txt"]);
        assert_eq!(found(&dir, ".hidden/*.txt"), [".hidden/five.txt"]);
        assert_eq!(found(&dir, "a/./*.txt"), ["a/./two.txt"]);
        assert_eq!(found(&dir, "*/./two.*"), ["a/./two.txt"]);
        assert_eq!(found(&dir, "a/two.txt/"), ["a/two.txt"]);
        assert_eq!(found(&dir, "dangling"), ["dangling"]);
        assert_eq!(found(&dir, "**/dangling"), ["dangling"]);
        assert_eq!(found(&dir, "a/up/dang*"), ["a/up/dangling"]);
        assert_eq!(found(&dir, "*/up/dangling"), ["a/up/dangling"]);
        for none in [
            "missing",
            "missing/*",
            "one.txt/*",
            "dangling/*",
            "*/missing",
        ] {
            assert!(found(&dir, none).is_empty(), "{none}");
        }
        assert!(disk_glob("").is_empty());
        assert!(disk_glob("/").is_empty());
    }

    #[test]
    fn names_of_any_bytes_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let name = OsStr::from_bytes(b"x\xff\n[y]");
        fs::write(dir.path().join(name), "").unwrap();
        let mut pattern = dir.path().as_os_str().to_owned();
        pattern.push("/x*");
        assert_eq!(
            disk_glob(&pattern),
            [dir.path().join(name).into_os_string()]
        );
    }
}
