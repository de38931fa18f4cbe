//! Random trees, the patches between them, and what Git makes of those.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use packhouse_object::{Database, ObjectId};
use packhouse_repo::CommitError;
use packhouse_repo::patch::{PatchText, apply_patch};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A tree's files: mode and content by path.
pub(crate) type Files = BTreeMap<String, (&'static str, Vec<u8>)>;

pub(crate) struct World {
    folder: tempfile::TempDir,
    stream: Vec<u8>,
}

/// Runs `git` in `folder`; what it printed, if it succeeded, or else what it complained.
fn try_git(
    folder: &Path,
    index: &Path,
    arguments: &[&str],
    input: &[u8],
) -> Result<Vec<u8>, String> {
    let mut child = Command::new("git")
        .args(["-c", "core.quotePath=true", "-c", "diff.noprefix=false"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", folder)
        .env("LC_ALL", "C")
        .env("GIT_INDEX_FILE", index)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // It may stop reading early.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap();
    match out.status.success() {
        true => Ok(out.stdout),
        false => Err(String::from_utf8_lossy(&out.stderr).into_owned()),
    }
}

impl World {
    pub(crate) fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let world = World {
            folder,
            stream: Vec::new(),
        };
        world.git(&["init", "--quiet", "--bare", "."], b"");
        world
    }

    fn index(&self) -> PathBuf {
        self.folder.path().join("test-index")
    }

    pub(crate) fn git(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        try_git(self.folder.path(), &self.index(), arguments, input)
            .unwrap_or_else(|error| panic!("git {arguments:?}: {error}"))
    }

    /// Has a tag name a commit of these files.
    pub(crate) fn add(&mut self, name: &str, files: &Files) {
        let head = format!(
            "commit refs/tags/{name}\ncommitter A <a@example.com> 1 +0000\ndata 0\ndeleteall\n"
        );
        self.stream.extend(head.bytes());
        for (path, (mode, content)) in files {
            let path = quoted(path);
            if *mode == "160000" {
                let id = String::from_utf8(content.clone()).unwrap();
                self.stream
                    .extend(format!("M {mode} {id} {path}\n").bytes());
                continue;
            }
            let head = format!("M {mode} inline {path}\ndata {}\n", content.len());
            self.stream.extend(head.bytes());
            self.stream.extend(content);
            self.stream.push(b'\n');
        }
    }

    /// Stores what was added.
    pub(crate) fn flush(&mut self) {
        let stream = std::mem::take(&mut self.stream);
        self.git(&["fast-import", "--quiet", "--force"], &stream);
    }

    pub(crate) fn database(&self) -> Database {
        crate::merge::world::database(self.folder.path())
    }

    /// The trees of the tags.
    pub(crate) fn trees(&self) -> BTreeMap<String, ObjectId> {
        let format = "--format=%(refname:lstrip=2) %(tree)";
        let out = self.git(&["for-each-ref", format, "refs/tags"], b"");
        let out = String::from_utf8(out).unwrap();
        out.lines()
            .map(|line| {
                let (name, tree) = line.split_once(' ').unwrap();
                (
                    name.to_owned(),
                    ObjectId::from_hex(tree.as_bytes()).unwrap(),
                )
            })
            .collect()
    }

    pub(crate) fn diff(&self, options: &[String], old: &str, new: &str) -> Vec<u8> {
        let mut arguments = vec!["diff", "--no-ext-diff", "--no-color"];
        arguments.extend(options.iter().map(String::as_str));
        arguments.extend([old, new]);
        self.git(&arguments, b"")
    }

    /// What `git apply --cached` makes of a tree.
    pub(crate) fn git_apply(&self, tree: ObjectId, patch: &[u8]) -> Result<ObjectId, String> {
        let git = |arguments: &[&str], input: &[u8]| {
            try_git(self.folder.path(), &self.index(), arguments, input)
        };
        git(&["read-tree", &tree.to_string()], b"")?;
        git(
            &["apply", "--cached", "--binary", "--whitespace=nowarn", "-"],
            patch,
        )?;
        let tree = git(&["write-tree", "--missing-ok"], b"")?;
        Ok(ObjectId::from_hex(tree.trim_ascii()).unwrap())
    }
}

/// What we make of a tree.
pub(crate) fn our_apply(
    database: &Database,
    tree: ObjectId,
    patch: &[u8],
) -> Result<ObjectId, CommitError> {
    let text = PatchText::memory(bytes::Bytes::copy_from_slice(patch));
    apply_patch(database, Some(tree), &text).map(|made| made.tree)
}

fn quoted(path: &str) -> String {
    let mut out = String::from("\"");
    for byte in path.bytes() {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            byte => out.push_str(&format!("\\{byte:03o}")),
        }
    }
    out.push('"');
    out
}

/// Chooses.
pub(crate) struct Chance(StdRng);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(StdRng::seed_from_u64(seed))
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0.random_range(0..limit)
    }

    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }

    fn path(&mut self) -> String {
        let name = self.of(&[
            "a",
            "b",
            "c",
            "two words",
            "tab\tand\"quote",
            "ä",
            "x.orig",
            "some dir/f",
        ]);
        match self.below(4) {
            0 => format!("sub/{name}"),
            1 => format!("sub/deep/{name}"),
            _ => name.to_owned(),
        }
    }

    fn line(&mut self) -> Vec<u8> {
        let mut line = self
            .of(&[
                "",
                "a",
                "b",
                "}",
                "  indented",
                "-- sql",
                "++ x",
                "@@ -1 +1 @@",
                "trailing ",
                "\\ odd",
                "a longer line",
            ])
            .as_bytes()
            .to_vec();
        if self.one_in(4) {
            line.extend(self.below(1000).to_string().bytes());
        }
        line.extend(if self.one_in(30) { "\r\n" } else { "\n" }.bytes());
        line
    }

    fn text(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        for _ in 0..self.below(40) {
            text.extend(self.line());
        }
        if self.one_in(5) && text.ends_with(b"\n") {
            text.pop();
        }
        text
    }

    fn binary(&mut self) -> Vec<u8> {
        let len = self.below(400) * if self.one_in(4) { 20 } else { 1 };
        let mut data: Vec<u8> = (0..len).map(|_| self.below(256) as u8).collect();
        data.push(0);
        data
    }

    fn file(&mut self) -> (&'static str, Vec<u8>) {
        match self.below(20) {
            0 => ("120000", format!("target{}", self.below(3)).into_bytes()),
            1 => ("160000", format!("{:040x}", self.below(9) + 1).into_bytes()),
            2 | 3 => ("100644", self.binary()),
            4 | 5 => ("100755", self.text()),
            _ => ("100644", self.text()),
        }
    }

    pub(crate) fn files(&mut self) -> Files {
        let mut files = Files::new();
        for _ in 0..2 + self.below(6) {
            let path = self.path();
            put(&mut files, path, |chance| chance.file(), self);
        }
        files
    }

    /// The same files, some of them changed.
    pub(crate) fn edited(&mut self, files: &Files) -> Files {
        let mut files = files.clone();
        for _ in 0..1 + self.below(4) {
            let paths: Vec<String> = files.keys().cloned().collect();
            if paths.is_empty() || self.one_in(6) {
                let path = self.path();
                put(&mut files, path, |chance| chance.file(), self);
                continue;
            }
            let path = paths[self.below(paths.len())].clone();
            match self.below(10) {
                0 => drop(files.remove(&path)),
                1 | 2 => {
                    let to = self.path();
                    let mut file = files[&path].clone();
                    if self.one_in(2) {
                        file = self.changed(file);
                    }
                    if self.one_in(2) {
                        files.remove(&path);
                    }
                    put(&mut files, to, |_| file.clone(), self);
                }
                3 => {
                    let file = self.file();
                    files.insert(path, file);
                }
                _ => {
                    let changed = self.changed(files[&path].clone());
                    files.insert(path, changed);
                }
            }
        }
        files
    }

    fn changed(&mut self, (mode, content): (&'static str, Vec<u8>)) -> (&'static str, Vec<u8>) {
        match mode {
            "120000" | "160000" => return self.file(),
            _ if content.contains(&0) => {
                let mut content = content;
                let at = self.below(content.len());
                content[at] = content[at].wrapping_add(1);
                content.extend(b"more");
                return (mode, content);
            }
            _ => {}
        }
        let mode = if self.one_in(8) {
            self.of(&["100644", "100755"])
        } else {
            mode
        };
        let mut lines: Vec<Vec<u8>> = content
            .split_inclusive(|&b| b == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        for _ in 0..1 + self.below(3) {
            let at = self.below(lines.len() + 1);
            match self.below(3) {
                0 if at < lines.len() => drop(lines.remove(at)),
                1 if at < lines.len() => lines[at] = self.line(),
                _ => lines.insert(at, self.line()),
            }
        }
        let mut content = lines.concat();
        if self.one_in(12) && content.ends_with(b"\n") {
            content.pop();
        }
        (mode, content)
    }

    /// Options of `git diff`.
    pub(crate) fn options(&mut self) -> Vec<String> {
        let mut options = vec![format!("-U{}", [3, 3, 3, 3, 1, 2, 0, 5, 10][self.below(9)])];
        for (option, times) in [
            ("--binary", 0),
            ("-M", 2),
            ("-M30", 4),
            ("-C", 3),
            ("--find-copies-harder", 5),
            ("--full-index", 3),
            ("--no-prefix", 20),
            ("--src-prefix=x/y/", 30),
            ("--irreversible-delete", 20),
            ("-B", 6),
            ("--inter-hunk-context=3", 4),
            ("--patience", 4),
            ("-b", 15),
            ("--no-renames", 6),
            ("--patch-with-stat", 6),
            ("--abbrev=5", 8),
            ("-R", 12),
        ] {
            if times == 0 && !self.one_in(12) || times > 0 && self.one_in(times) {
                options.push(option.to_owned());
            }
        }
        options
    }

    /// A patch that something happened to.
    pub(crate) fn damaged(&mut self, patch: &[u8]) -> Vec<u8> {
        let mut lines: Vec<Vec<u8>> = patch
            .split_inclusive(|&b| b == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        for _ in 0..1 + self.below(2) {
            if lines.is_empty() {
                break;
            }
            let at = self.below(lines.len());
            match self.below(13) {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, lines[at].clone()),
                2 => {
                    let other = self.below(lines.len());
                    lines.swap(at, other);
                }
                3 => {
                    let line = &mut lines[at];
                    let byte = self.below(line.len());
                    line[byte] = self
                        .of(&["x", " ", "+", "-", "\n", "\\", "9", "/"])
                        .as_bytes()[0];
                }
                4 => lines.truncate(at),
                5 => drop(lines[at].pop()),
                6 => {
                    // Numbers of hunks.
                    let hunks: Vec<usize> = (0..lines.len())
                        .filter(|&at| lines[at].starts_with(b"@@ -"))
                        .collect();
                    if let Some(&at) = hunks.get(self.below(hunks.len().max(1))) {
                        let digits: Vec<usize> = (0..lines[at].len())
                            .filter(|&i| lines[at][i].is_ascii_digit())
                            .collect();
                        let digit = digits[self.below(digits.len())];
                        lines[at][digit] = b'0' + self.below(10) as u8;
                    }
                }
                7 => lines.insert(at, self.line()),
                8 => lines.insert(
                    0,
                    b"From: someone\nSubject: [PATCH] x\n\n---\n a | 1 +\n".to_vec(),
                ),
                9 => lines.push(b"-- \n2.39.5\n".to_vec()),
                10 => lines.retain(|line| !line.starts_with(b"diff --git")),
                11 => {
                    for line in &mut lines {
                        if line.ends_with(b"\n") {
                            line.pop();
                            line.extend(b"\r\n");
                        }
                    }
                }
                _ => lines.retain(|line| !line.starts_with(b"\\ No newline")),
            }
        }
        lines.concat()
    }
}

/// Puts a file where no other file is in the way.
fn put(
    files: &mut Files,
    path: String,
    file: impl Fn(&mut Chance) -> (&'static str, Vec<u8>),
    chance: &mut Chance,
) {
    let is_blocked = |other: &String| {
        other.starts_with(&format!("{path}/")) || path.starts_with(&format!("{other}/"))
    };
    if !files.keys().any(is_blocked) {
        let file = file(chance);
        files.insert(path, file);
    }
}
