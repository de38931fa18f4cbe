//! Repositories made of random edits, and what Git makes of their merges.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use packhouse_object::{Database, LooseStore, ObjectCache, ObjectId, Pack};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A folder's files: mode and content by path.
pub(super) type Files = BTreeMap<String, (&'static str, Vec<u8>)>;

pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    stream: Vec<u8>,
    commits: usize,
    ids: HashMap<String, ObjectId>,
}

/// What `git merge-tree` says of a merge, with what would be in the index.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GitConflicts {
    pub(super) tree: ObjectId,
    pub(super) is_clean: bool,
    /// Mode, id, stage and path.
    pub(super) stages: Vec<String>,
    /// For people.
    pub(super) messages: String,
}

/// What `git merge-tree` says of a merge.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GitMerge {
    pub(super) tree: ObjectId,
    pub(super) is_clean: bool,
    pub(super) conflicted: Vec<String>,
}

impl World {
    pub(super) fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "--quiet", "--bare", "."], b"");
        World {
            folder,
            stream: Vec::new(),
            commits: 0,
            ids: HashMap::new(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A commit of these files with these parents, under the tag of the name.
    pub(super) fn commit(&mut self, name: &str, files: &Files, parents: &[&str]) {
        self.commits += 1;
        let mut head = String::new();
        writeln!(head, "commit refs/tags/{name}").unwrap();
        // Dates that differ, so that the order of several bases is certain.
        writeln!(
            head,
            "committer A <a@example.com> {} +0000",
            1_000_000 + self.commits
        )
        .unwrap();
        writeln!(head, "data 0").unwrap();
        for (number, parent) in parents.iter().enumerate() {
            let word = if number == 0 { "from" } else { "merge" };
            writeln!(head, "{word} refs/tags/{parent}").unwrap();
        }
        writeln!(head, "deleteall").unwrap();
        self.stream.extend(head.bytes());
        for (path, (mode, content)) in files {
            if *mode == "160000" {
                let id = String::from_utf8(content.clone()).unwrap();
                self.stream
                    .extend(format!("M {mode} {id} {path}\n").bytes());
                continue;
            }
            self.stream
                .extend(format!("M {mode} inline {path}\ndata {}\n", content.len()).bytes());
            self.stream.extend(content);
            self.stream.push(b'\n');
        }
    }

    /// Stores what was committed.
    pub(super) fn flush(&mut self) {
        let stream = std::mem::take(&mut self.stream);
        git(self.path(), &["fast-import", "--quiet", "--force"], &stream);
        let format = "--format=%(objectname) %(refname:short)";
        for line in self.git_text(&["for-each-ref", format]).lines() {
            let (id, name) = line.split_once(' ').unwrap();
            let id = ObjectId::from_hex(id.as_bytes()).unwrap();
            self.ids.insert(name.to_owned(), id);
        }
    }

    /// The commit under a tag.
    pub(super) fn id_of(&self, tag: &str) -> ObjectId {
        self.ids[tag]
    }

    pub(super) fn git_text(&self, arguments: &[&str]) -> String {
        String::from_utf8(git(self.path(), arguments, b"")).unwrap()
    }

    /// Merges with Git's settings as they are without any. `None`: Git itself gave up on it, in one of its assertions.
    pub(super) fn git_conflicts(&self, ours: &str, theirs: &str) -> Option<GitConflicts> {
        let out = Command::new("git")
            .args([
                "merge-tree",
                "--write-tree",
                "--allow-unrelated-histories",
                "-z",
                ours,
                theirs,
            ])
            .current_dir(self.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HOME", self.path())
            .output()
            .unwrap();
        let code = out.status.code()?;
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert!(code < 2, "{ours} {theirs}: {stderr}");
        let text = String::from_utf8(out.stdout).unwrap();
        let (head, messages) = text.split_once("\0\0").unwrap_or((&text, ""));
        let mut parts = head.trim_end_matches('\0').split('\0');
        Some(GitConflicts {
            tree: ObjectId::from_hex(parts.next().unwrap().as_bytes()).unwrap(),
            is_clean: code == 0,
            stages: parts.map(str::to_owned).collect(),
            messages: messages.replace('\0', " | "),
        })
    }

    pub(super) fn id(&self, rev: &str) -> ObjectId {
        let out = git(self.path(), &["rev-parse", rev], b"");
        ObjectId::from_hex(out.trim_ascii()).unwrap()
    }

    pub(crate) fn database(&self) -> Database {
        database(self.path())
    }

    pub(super) fn git_merge(&self, ours: &str, theirs: &str) -> GitMerge {
        let out = Command::new("git")
            .args([
                "-c",
                "merge.renames=false",
                "merge-tree",
                "--write-tree",
                "--name-only",
            ])
            .args([
                "-z",
                "--no-messages",
                "--allow-unrelated-histories",
                ours,
                theirs,
            ])
            .current_dir(self.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HOME", self.path())
            .output()
            .unwrap();
        let code = out.status.code().unwrap();
        assert!(
            code < 2,
            "{ours} {theirs}: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        let mut parts = out.stdout.split(|&byte| byte == 0);
        let tree = ObjectId::from_hex(parts.next().unwrap()).unwrap();
        let conflicted = parts
            .map(|path| String::from_utf8(path.to_vec()).unwrap())
            .filter(|path| !path.is_empty())
            .collect();
        GitMerge {
            tree,
            is_clean: code == 0,
            conflicted,
        }
    }
}

/// Everything in a bare repository's object folder.
pub(crate) fn database(repository: &Path) -> Database {
    let objects = repository.join("objects");
    let packs = std::fs::read_dir(objects.join("pack")).unwrap();
    let packs = packs
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "idx"))
        .map(|idx: PathBuf| Arc::new(Pack::open(&idx.with_extension("pack"), &idx).unwrap()))
        .collect();
    Database::new(Arc::new(ObjectCache::new(8 << 20)), 1)
        .with_packs(packs)
        .with_loose(vec![LooseStore::open(objects)])
}

pub(crate) fn git(folder: &Path, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let out = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "git {arguments:?}: {stderr}");
    out.stdout
}

/// Makes files and random changes of them.
pub(super) struct Chance {
    random: StdRng,
    /// How many different lines there are: few make texts that repeat themselves.
    pub(super) words: u32,
    /// Where files may be.
    pub(super) paths: &'static [&'static str],
    /// Stands in the lines being made. A file has its own, so that Git takes none for a copy of
    /// another that was deleted: it cannot be told to leave renames alone (before 2.50).
    tongue: String,
}

const PATHS: [&str; 14] = [
    "a", "b", "c", "a/x", "a/y", "b/x", "b/x/deep", "d/e/f", "d/e/g", "d/e", "d", "z-file", "d/h",
    "a~o",
];

/// None of these is a folder of another.
pub(super) const PLAIN_PATHS: [&str; 7] = ["a", "b/x", "b/y", "c", "d/e/f", "d/e/g", "d/h"];

impl Chance {
    pub(super) fn new(seed: u64) -> Chance {
        let mut random = StdRng::seed_from_u64(seed);
        let words = [3, 8, 60, 100_000][random.random_range(0..4)];
        Chance {
            random,
            words,
            paths: &PATHS,
            tongue: String::new(),
        }
    }

    pub(super) fn one_in(&mut self, n: u32) -> bool {
        self.random.random_range(0..n) == 0
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        self.random.random_range(0..n)
    }

    fn line(&mut self) -> Vec<u8> {
        let word = self.random.random_range(0..self.words);
        match word % 7 {
            0 => b"\n".to_vec(),
            1 => format!("}} {}\n", self.tongue).into_bytes(),
            2 => format!("  {} word {word}\n", self.tongue).into_bytes(),
            _ => format!("{} word {word}\n", self.tongue).into_bytes(),
        }
    }

    pub(super) fn text(&mut self) -> Vec<u8> {
        let lines = self.below(40);
        let mut text: Vec<u8> = (0..lines).flat_map(|_| self.line()).collect();
        if self.one_in(8) {
            text.pop();
        }
        if self.one_in(12) {
            text = String::from_utf8(text)
                .unwrap()
                .replace('\n', "\r\n")
                .into_bytes();
        }
        if self.one_in(20) {
            text.insert(0, 0);
        }
        text
    }

    /// A text with a few lines changed.
    pub(super) fn changed(&mut self, text: &[u8]) -> Vec<u8> {
        let mut lines: Vec<Vec<u8>> = text
            .split_inclusive(|&byte| byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        for _ in 0..=self.below(3) {
            let at = self.below(lines.len() + 1);
            let many = self.below(4);
            match self.below(4) {
                0 => lines.splice(at..at, (0..many).map(|_| self.line()).collect::<Vec<_>>()),
                1 => {
                    let end = lines.len().min(at + many);
                    lines.splice(at..end, Vec::new())
                }
                2 => {
                    let end = lines.len().min(at + many);
                    let stretch = lines[at..end].to_vec();
                    lines.splice(at..at, stretch)
                }
                _ => {
                    let end = lines.len().min(at + many);
                    lines.splice(at..end, (0..many).map(|_| self.line()).collect::<Vec<_>>())
                }
            };
        }
        lines.concat()
    }

    /// One of the few commits that a submodule at a path may be at, and none at another path.
    fn commit_of(&mut self, path: &str) -> Vec<u8> {
        let hex: String = path.bytes().map(|byte| format!("{byte:02x}")).collect();
        format!("{hex:0>38}0{}", 1 + self.below(3)).into_bytes()
    }

    /// Writes a file; what is in its way goes.
    pub(super) fn put(&mut self, files: &mut Files, path: &str) {
        files.retain(|other, _| {
            !other.starts_with(&format!("{path}/")) && !path.starts_with(&format!("{other}/"))
        });
        self.tongue = path.repeat(3);
        let content = match self.below(12) {
            0 => (
                "120000",
                format!("{path} to target{}", self.below(3)).into_bytes(),
            ),
            1 => ("100755", self.text()),
            2 => ("160000", self.commit_of(path)),
            _ => ("100644", self.text()),
        };
        files.insert(path.to_owned(), content);
    }

    pub(super) fn files(&mut self) -> Files {
        let mut files = Files::new();
        for _ in 0..4 + self.below(6) {
            let path = self.paths[self.below(self.paths.len())];
            self.put(&mut files, path);
        }
        files
    }

    pub(super) fn edited(&mut self, files: &Files) -> Files {
        let mut files = files.clone();
        for _ in 0..1 + self.below(5) {
            let known: Vec<String> = files.keys().cloned().collect();
            let kind = self.below(10);
            if kind < 2 || known.is_empty() {
                let path = self.paths[self.below(self.paths.len())];
                self.put(&mut files, path);
                continue;
            }
            let path = &known[self.below(known.len())];
            self.tongue = path.repeat(3);
            if kind == 2 {
                files.remove(path);
            } else {
                let (mode, content) = files.get(path).unwrap().clone();
                let changed = match mode {
                    "100644" | "100755" if kind == 3 && mode == "100644" => ("100755", content),
                    "100644" | "100755" if kind == 3 => ("100644", content),
                    "100644" | "100755" => (mode, self.changed(&content)),
                    "120000" => (
                        mode,
                        format!("{path} to target{}", self.below(4)).into_bytes(),
                    ),
                    _ => (mode, self.commit_of(path)),
                };
                files.insert(path.clone(), changed);
            }
        }
        files
    }
}
