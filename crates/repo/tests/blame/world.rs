//! Histories of few files that change much, and what Git says of their lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::{Command, Stdio};

use packhouse_object::{ObjectId, RepoPath};
use packhouse_repo::{Blame, BlameError, BlameQuery, blame};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::merge::world::{database, git};

pub(crate) type Files = BTreeMap<String, (&'static str, Vec<u8>)>;

/// Where one line came from: commit, line there, path there, version before, whether history begins there.
pub(crate) type Line = (usize, String, usize, String, Option<String>, bool);

pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    stream: Vec<u8>,
    commits: usize,
}

impl World {
    pub(crate) fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "--quiet", "--bare", "."], b"");
        World {
            folder,
            stream: Vec::new(),
            commits: 0,
        }
    }

    /// A commit of these files at this time; returns the name that later commits call it by.
    pub(crate) fn commit(&mut self, files: &Files, parents: &[usize], seconds: i64) -> usize {
        self.commits += 1;
        let mut head = format!(
            "commit refs/tags/c{}\nmark :{}\n",
            self.commits, self.commits
        );
        writeln!(head, "author Ann <ann@example.com> {} +0100", seconds - 7).unwrap();
        writeln!(head, "committer Carl <carl@example.com> {seconds} +0000").unwrap();
        let message = format!("\nCommit {}\n\nBody\n", self.commits);
        writeln!(head, "data {}\n{message}", message.len()).unwrap();
        for (number, parent) in parents.iter().enumerate() {
            let word = if number == 0 { "from" } else { "merge" };
            writeln!(head, "{word} :{parent}").unwrap();
        }
        writeln!(head, "deleteall").unwrap();
        self.stream.extend(head.bytes());
        for (path, (mode, content)) in files {
            let entry = format!("M {mode} inline {path}\ndata {}\n", content.len());
            self.stream.extend(entry.bytes());
            self.stream.extend(content);
            self.stream.push(b'\n');
        }
        self.commits
    }

    pub(crate) fn flush(&mut self) {
        let stream = std::mem::take(&mut self.stream);
        git(self.folder.path(), &["fast-import", "--quiet"], &stream);
    }

    pub(crate) fn tip(&self, commit: usize) -> ObjectId {
        let out = git(
            self.folder.path(),
            &["rev-parse", &format!("refs/tags/c{commit}")],
            b"",
        );
        ObjectId::from_hex(out.trim_ascii()).unwrap()
    }

    pub(crate) fn blame(
        &self,
        commit: usize,
        path: &str,
        ranges: &[String],
        detect_moves: bool,
    ) -> Result<Blame, BlameError> {
        let query = BlameQuery {
            tip: self.tip(commit),
            path: RepoPath::parse(path).unwrap(),
            ranges: ranges.to_vec(),
            detect_moves,
        };
        blame(&database(self.folder.path()), &query, &|| false)
    }

    pub(crate) fn lines(
        &self,
        commit: usize,
        path: &str,
        ranges: &[String],
        detect_moves: bool,
    ) -> Vec<Line> {
        let found = self.blame(commit, path, ranges, detect_moves).unwrap();
        let mut lines = Vec::new();
        for group in &found.groups {
            let source = &found.sources[group.source];
            for (offset, line) in group.lines.clone().enumerate() {
                lines.push((
                    line + 1,
                    source.commit.to_string(),
                    group.original_start + offset + 1,
                    source.path.to_string(),
                    source
                        .previous
                        .as_ref()
                        .map(|(id, path)| format!("{id} {path}")),
                    source.is_boundary,
                ));
            }
        }
        lines
    }

    /// What `git blame` says; its complaint if it refuses.
    pub(crate) fn git_lines(
        &self,
        commit: usize,
        path: &str,
        ranges: &[String],
        detect_moves: bool,
    ) -> Result<Vec<Line>, String> {
        let mut command = Command::new("git");
        command.args(["blame", "--line-porcelain"]);
        if detect_moves {
            command.arg("-M");
        }
        for range in ranges {
            command.args(["-L", range]);
        }
        let out = command
            .args([&format!("c{commit}"), "--", path])
            .current_dir(self.folder.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HOME", self.folder.path())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        if !out.status.success() {
            return Err(String::from_utf8_lossy(&out.stderr).into_owned());
        }
        Ok(parse(&out.stdout))
    }
}

fn parse(porcelain: &[u8]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut line: Option<Line> = None;
    for text in porcelain.split(|&byte| byte == b'\n') {
        if text.starts_with(b"\t") {
            lines.push(line.take().unwrap());
            continue;
        }
        let text = String::from_utf8_lossy(text).into_owned();
        match &mut line {
            None if text.is_empty() => {}
            None => {
                let mut words = text.split(' ');
                let id = words.next().unwrap().to_owned();
                let original = words.next().unwrap().parse().unwrap();
                let number = words.next().unwrap().parse().unwrap();
                line = Some((number, id, original, String::new(), None, false));
            }
            Some(line) => match text.split_once(' ') {
                Some(("filename", path)) => line.3 = path.to_owned(),
                Some(("previous", previous)) => line.4 = Some(previous.to_owned()),
                None if text == "boundary" => line.5 = true,
                _ => {}
            },
        }
    }
    lines
}

const PATHS: [&str; 8] = [
    "a",
    "b.c",
    "dir/a",
    "dir/b.c",
    "dir/deep/a",
    "e",
    "f/e",
    "g.c",
];

/// Makes histories.
pub(crate) struct Chance {
    random: StdRng,
    words: u32,
}

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        let mut random = StdRng::seed_from_u64(seed);
        let words = [4, 30, 500, 100_000][random.random_range(0..4)];
        Chance { random, words }
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.random.random_range(0..n)
    }

    fn line(&mut self) -> Vec<u8> {
        let word = self.random.random_range(0..self.words);
        match word % 6 {
            0 => b"\n".to_vec(),
            1 => b"    }\n".to_vec(),
            2 => format!("  let word{word} = {word};\n").into_bytes(),
            3 => format!("\tcall(word{word}, other, {word})\n").into_bytes(),
            _ => format!("some longer text about the word {word} and more\n").into_bytes(),
        }
    }

    fn some_lines(&mut self, most: usize) -> Vec<Vec<u8>> {
        (0..self.below(most)).map(|_| self.line()).collect()
    }

    fn edited(&mut self, text: &[u8]) -> Vec<u8> {
        let mut lines: Vec<Vec<u8>> = text
            .split_inclusive(|&byte| byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        for _ in 0..=self.below(4) {
            let at = self.below(lines.len() + 1);
            let end = lines.len().min(at + self.below(8));
            match self.below(6) {
                0 | 1 => drop(lines.splice(at..at, self.some_lines(6))),
                2 => drop(lines.splice(at..end, [])),
                3 => drop(lines.splice(at..end, self.some_lines(5))),
                // A stretch moves elsewhere, or is there twice.
                4 => {
                    let stretch: Vec<_> = lines.splice(at..end, []).collect();
                    let to = self.below(lines.len() + 1);
                    lines.splice(to..to, stretch);
                }
                _ => {
                    let stretch = lines[at..end].to_vec();
                    let to = self.below(lines.len() + 1);
                    lines.splice(to..to, stretch);
                }
            }
        }
        let mut text = lines.concat();
        match self.below(25) {
            0 => text = text.replace_all("\n", "\r\n"),
            1 => text = text.replace_all("\r\n", "\n"),
            2 => drop(text.pop()),
            _ => {}
        }
        text
    }

    fn changed(&mut self, files: &Files) -> Files {
        let mut files = files.clone();
        for _ in 0..=self.below(3) {
            let path = PATHS[self.below(PATHS.len())];
            let other = PATHS[self.below(PATHS.len())];
            let Some((mode, content)) = files.get(path).cloned() else {
                let text = (0..15 + self.below(40)).flat_map(|_| self.line()).collect();
                files.insert(path.to_owned(), ("100644", text));
                continue;
            };
            match self.below(12) {
                0 => drop(files.remove(path)),
                // Renamed, as it is or with changes, perhaps over another or in its place.
                1 | 2 => {
                    let moved = match self.below(2) {
                        0 => content,
                        _ => self.edited(&content),
                    };
                    files.remove(path);
                    files.insert(other.to_owned(), (mode, moved));
                }
                3 => {
                    let swapped = files.get(other).cloned();
                    files.insert(other.to_owned(), (mode, content));
                    match swapped {
                        Some(file) => drop(files.insert(path.to_owned(), file)),
                        None => drop(files.remove(path)),
                    }
                }
                4 => drop(files.insert(path.to_owned(), ("100755", content))),
                5 if self.below(4) == 0 => {
                    drop(files.insert(path.to_owned(), ("120000", b"target".to_vec())));
                }
                _ => drop(files.insert(path.to_owned(), (mode, self.edited(&content)))),
            }
        }
        files
    }

    /// What a merge of two might be: each file of one of them, or of both.
    fn merged(&mut self, ours: &Files, theirs: &Files) -> Files {
        let mut files = ours.clone();
        for (path, (mode, text)) in theirs {
            match self.below(4) {
                0 => drop(files.insert(path.clone(), (*mode, text.clone()))),
                1 | 2 => {
                    let Some((_, mine)) = files.get(path) else {
                        continue;
                    };
                    // The first part of one and the rest of the other.
                    let cut = |text: &[u8], at: usize| {
                        let lines: Vec<Vec<u8>> = text
                            .split_inclusive(|&byte| byte == b'\n')
                            .map(<[u8]>::to_vec)
                            .collect();
                        let at = at.min(lines.len());
                        (lines[..at].concat(), lines[at..].concat())
                    };
                    let at = self.below(30);
                    let mixed = [cut(mine, at).0, cut(text, at).1].concat();
                    files.insert(path.clone(), (*mode, mixed));
                }
                _ => {}
            }
        }
        files
    }

    /// A history of so many commits; returns the last one and its files.
    pub(crate) fn history(&mut self, world: &mut World, commits: usize) -> (usize, Files) {
        let mut made: Vec<(usize, Files)> = Vec::new();
        let mut seconds = 1_600_000_000;
        for _ in 0..commits {
            // Clocks stand still, and sometimes go backwards.
            seconds += [0, 1, 60, -30][self.below(4)];
            let recent = |chance: &mut Chance, made: &[(usize, Files)]| {
                made[made.len() - 1 - chance.below(made.len().min(4))].clone()
            };
            let (files, parents) = match made.len() {
                0 => (self.changed(&Files::new()), vec![]),
                _ if self.below(20) == 0 => (self.changed(&Files::new()), vec![]),
                _ if self.below(4) == 0 => {
                    let (first, second) = (recent(self, &made), recent(self, &made));
                    let merged = self.merged(&first.1, &second.1);
                    let mut parents = vec![first.0, second.0];
                    parents.dedup();
                    if self.below(6) == 0 {
                        let third = recent(self, &made).0;
                        if !parents.contains(&third) {
                            parents.push(third);
                        }
                    }
                    (merged, parents)
                }
                _ => {
                    let parent = recent(self, &made);
                    (self.changed(&parent.1), vec![parent.0])
                }
            };
            let commit = world.commit(&files, &parents, seconds);
            made.push((commit, files));
        }
        world.flush();
        made.pop().unwrap()
    }
}

trait ReplaceAll {
    fn replace_all(&self, from: &str, to: &str) -> Vec<u8>;
}

impl ReplaceAll for Vec<u8> {
    fn replace_all(&self, from: &str, to: &str) -> Vec<u8> {
        String::from_utf8(self.clone())
            .unwrap()
            .replace(from, to)
            .into_bytes()
    }
}
