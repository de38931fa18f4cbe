//! Random histories with everything Git knows, made by `git fast-import`.
//!
//! The same options make the same objects and refs, so a seed that fails can be run again.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// What a history is like.
#[derive(Clone, Debug)]
pub struct HistoryOptions {
    /// Chooses one of the histories these options describe.
    pub seed: u64,
    /// How many commits it has.
    pub commits: usize,
    /// On how many branches: `main`, then `branch-1` and so on.
    pub branches: usize,
    /// How many files the first commit writes.
    pub first_files: usize,
    /// How many files other commits change, at most.
    pub changes: usize,
    /// Whether commit dates may go backwards and repeat.
    pub clocks_lie: bool,
    /// Whether names may hold bytes that are no UTF-8, quotes and spaces.
    pub odd_names: bool,
}

impl HistoryOptions {
    /// A small history, with everything that is odd.
    pub fn small(seed: u64) -> HistoryOptions {
        HistoryOptions {
            seed,
            commits: 40,
            branches: 3,
            first_files: 12,
            changes: 5,
            clocks_lie: true,
            odd_names: true,
        }
    }
}

/// Makes a bare repository of the history in the folder `dir`, which must be there and be empty.
///
/// Its objects are in one pack, as `fast-import` writes it. Needs the `git` program.
pub fn create(dir: &Path, options: &HistoryOptions) -> io::Result<()> {
    git(
        dir,
        &["init", "--quiet", "--bare", "--initial-branch=main", "."],
        b"",
    )?;
    let arguments = ["-c", "fastimport.unpackLimit=1", "fast-import", "--quiet"];
    git(dir, &arguments, &stream(options))
}

fn git(dir: &Path, arguments: &[&str], input: &[u8]) -> io::Result<()> {
    let mut child = Command::new("git")
        .args(arguments)
        .current_dir(dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", dir)
        .stdin(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input)?;
    }
    let status = child.wait()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("git: {status}")))
    }
}

/// The history as a stream for `git fast-import`.
pub fn stream(options: &HistoryOptions) -> Vec<u8> {
    let mut history = History {
        options,
        random: StdRng::seed_from_u64(options.seed),
        out: Vec::new(),
        branches: vec![None; options.branches.max(1)],
        past: Vec::new(),
        seconds: 1_700_000_000,
        marks: 0,
        tags: 0,
    };
    for _ in 0..options.commits {
        history.commit();
    }
    history.out.extend_from_slice(b"done\n");
    history.out
}

struct History<'a> {
    options: &'a HistoryOptions,
    random: StdRng,
    out: Vec<u8>,
    branches: Vec<Option<Tip>>,
    /// Commits to return to: older ones, by mark.
    past: Vec<Tip>,
    seconds: i64,
    marks: usize,
    tags: usize,
}

#[derive(Clone)]
struct Tip {
    mark: usize,
    files: BTreeMap<Vec<u8>, File>,
}

#[derive(Clone)]
struct File {
    mode: &'static str,
    /// A mark, or the id of a submodule's commit.
    content: String,
    text: Arc<[u8]>,
}

/// Names that sort differently as files and as folders, and some that need quotes.
const PLAIN_NAMES: [&[u8]; 12] = [
    b"a", b"a.b", b"a-b", b"a0", b"A", b"b", b"src", b"lib", b".hidden", b"-dash", b"git", b"z",
];
const ODD_NAMES: [&[u8]; 8] = [
    b"x y",
    b"quote\"d",
    "déjà".as_bytes(),
    b"\xff\xfe",
    b"~tilde",
    b"a;b",
    "日本".as_bytes(),
    b"back\\slash",
];

impl History<'_> {
    fn commit(&mut self) {
        let branch = self.random.random_range(0..self.branches.len());
        let mut parents = Vec::new();
        let mut tip = match self.branches[branch].clone() {
            Some(tip) => tip,
            // A branch begins at another, or now and then without history.
            None if !self.past.is_empty() && self.chance(0.9) => self.any_past(),
            None => Tip {
                mark: 0,
                files: BTreeMap::new(),
            },
        };
        if tip.mark != 0 {
            parents.push(tip.mark);
        }
        let is_first = parents.is_empty();
        let mut edits = Vec::new();
        if !is_first && self.chance(0.2) {
            self.merge(&mut parents, &mut tip, &mut edits);
        }
        let changes = if is_first {
            self.options.first_files
        } else {
            self.random.random_range(0..=self.options.changes)
        };
        for _ in 0..changes {
            self.change(&mut tip, &mut edits);
        }
        self.write_commit(branch, &parents, &mut tip, &edits);
        if self.chance(0.1) {
            self.tag(tip.mark);
        }
        self.past.push(tip.clone());
        // Enough to choose from, and bounded.
        if self.past.len() > 64 {
            self.past.remove(0);
        }
        self.branches[branch] = Some(tip);
    }

    fn merge(&mut self, parents: &mut Vec<usize>, tip: &mut Tip, edits: &mut Vec<u8>) {
        for _ in 0..self.random.random_range(1..=2) {
            let other = self.any_past();
            if parents.contains(&other.mark) {
                continue;
            }
            parents.push(other.mark);
            for (path, file) in &other.files {
                if self.chance(0.3) {
                    put(tip, path.clone(), file.clone(), edits);
                }
            }
        }
    }

    fn change(&mut self, tip: &mut Tip, edits: &mut Vec<u8>) {
        let Some(path) = self.any_path(tip) else {
            return self.add(tip, edits);
        };
        match self.random.random_range(0..12) {
            0..4 => self.add(tip, edits),
            4..7 => {
                let mut file = tip.files[&path].clone();
                let text = self.edited(&file.text);
                if file.mode != "160000" {
                    file.content = self.blob(&text);
                    file.text = text.into();
                }
                put(tip, path, file, edits);
            }
            7 => take(tip, &path, edits),
            8 => {
                // A whole folder goes.
                if let Some(slash) = path.iter().rposition(|byte| *byte == b'/') {
                    take_folder(tip, &path[..slash], edits);
                }
            }
            9 => {
                let file = tip.files[&path].clone();
                take(tip, &path, edits);
                let path = self.new_path();
                put(tip, path, file, edits);
            }
            10 => {
                let mut file = tip.files[&path].clone();
                if file.mode.starts_with("100") {
                    file.mode = if file.mode == "100644" {
                        "100755"
                    } else {
                        "100644"
                    };
                }
                put(tip, path, file, edits);
            }
            _ => {
                // An older state of a file comes back.
                if !self.past.is_empty()
                    && let Some((path, file)) = self.any_past().files.pop_last()
                {
                    put(tip, path, file, edits);
                }
            }
        }
    }

    fn add(&mut self, tip: &mut Tip, edits: &mut Vec<u8>) {
        let path = self.new_path();
        let file = match self.random.random_range(0..20) {
            0 => {
                let content = format!("{:040x}", self.random.random::<u128>());
                File {
                    mode: "160000",
                    content,
                    text: Arc::from([]),
                }
            }
            kind => {
                let text = if kind == 1 {
                    b"../target".to_vec()
                } else {
                    self.text()
                };
                let mode = match kind {
                    1 => "120000",
                    2 => "100755",
                    _ => "100644",
                };
                File {
                    mode,
                    content: self.blob(&text),
                    text: text.into(),
                }
            }
        };
        put(tip, path, file, edits);
    }

    fn write_commit(&mut self, branch: usize, parents: &[usize], tip: &mut Tip, edits: &[u8]) {
        self.marks += 1;
        tip.mark = self.marks;
        self.seconds += match self.options.clocks_lie {
            true => self.random.random_range(-3000..3100),
            false => self.random.random_range(1..600),
        };
        if self.options.clocks_lie && self.chance(0.5) {
            // Many commits within one second.
            self.seconds -= self.seconds.rem_euclid(1000);
        }
        let name = if branch == 0 {
            "main".to_owned()
        } else {
            format!("branch-{branch}")
        };
        let author = [
            "Ada Lovelace <ada@example.com>",
            "Zoë <zoe@example.com>",
            "Nobody <>",
        ][self.random.random_range(0..3)];
        let zone = ["+0000", "-0130", "+0545", "+1400"][self.random.random_range(0..4)];
        let seconds = self.seconds;
        let earlier = seconds - self.random.random_range(0..5000);
        let message = ["", "no newline", "a line\n", "subject\n\nbody\n\n- 日本\n"]
            [self.random.random_range(0..4)];
        let message = format!("{message}{}", self.marks);
        let mut head = format!("commit refs/heads/{name}\nmark :{}\n", tip.mark);
        head += &format!(
            "author {author} {earlier} {zone}\ncommitter C O Mitter <c@example.com> {seconds} +0200\n"
        );
        head += &format!("data {}\n{message}\n", message.len());
        for (at, parent) in parents.iter().enumerate() {
            let word = if at == 0 { "from" } else { "merge" };
            head += &format!("{word} :{parent}\n");
        }
        if parents.is_empty() {
            // A branch may begin again; this forgets where it was.
            self.out
                .extend_from_slice(format!("reset refs/heads/{name}\n\n").as_bytes());
        }
        self.out.extend_from_slice(head.as_bytes());
        self.out.extend_from_slice(edits);
        self.out.push(b'\n');
    }

    fn tag(&mut self, mark: usize) {
        self.tags += 1;
        let (name, seconds) = (self.tags, self.seconds);
        let tag = if self.chance(0.3) {
            format!("reset refs/tags/light-{name}\nfrom :{mark}\n\n")
        } else {
            let message = format!("tag {name}\n");
            format!(
                "tag v{name}\nfrom :{mark}\ntagger T <t@example.com> {seconds} -0700\ndata {}\n{message}\n",
                message.len()
            )
        };
        self.out.extend_from_slice(tag.as_bytes());
    }

    fn blob(&mut self, text: &[u8]) -> String {
        self.marks += 1;
        self.out.extend_from_slice(
            format!("blob\nmark :{}\ndata {}\n", self.marks, text.len()).as_bytes(),
        );
        self.out.extend_from_slice(text);
        self.out.push(b'\n');
        format!(":{}", self.marks)
    }

    /// Lines that make deltas when some of them change.
    fn text(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        for _ in 0..self.random.random_range(0..30) {
            text.extend_from_slice(
                format!("line {}\n", self.random.random_range(0..500)).as_bytes(),
            );
        }
        text
    }

    fn edited(&mut self, text: &[u8]) -> Vec<u8> {
        let mut lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        let new = format!("changed {}\n", self.random.random_range(0..1_000_000));
        let at = self.random.random_range(0..=lines.len());
        lines.insert(at, new.as_bytes());
        lines.concat()
    }

    fn new_path(&mut self) -> Vec<u8> {
        let depth = self.random.random_range(1..=4);
        let parts: Vec<Vec<u8>> = (0..depth).map(|_| self.name()).collect();
        parts.join(&b'/')
    }

    fn name(&mut self) -> Vec<u8> {
        if self.options.odd_names && self.chance(0.1) {
            return ODD_NAMES[self.random.random_range(0..ODD_NAMES.len())].to_vec();
        }
        let mut name = PLAIN_NAMES[self.random.random_range(0..PLAIN_NAMES.len())].to_vec();
        if self.chance(0.3) {
            name.extend_from_slice(self.random.random_range(0..100).to_string().as_bytes());
        }
        name
    }

    fn any_path(&mut self, tip: &Tip) -> Option<Vec<u8>> {
        if tip.files.is_empty() {
            return None;
        }
        let at = self.random.random_range(0..tip.files.len());
        tip.files.keys().nth(at).cloned()
    }

    /// Only called when there is a past.
    fn any_past(&mut self) -> Tip {
        let at = self.random.random_range(0..self.past.len());
        self.past[at].clone()
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.random.random_bool(probability)
    }
}

/// Writes a file; what is in its way goes.
fn put(tip: &mut Tip, path: Vec<u8>, file: File, edits: &mut Vec<u8>) {
    for slash in (0..path.len()).filter(|at| path[*at] == b'/') {
        if tip.files.contains_key(&path[..slash]) {
            take(tip, &path[..slash], edits);
        }
    }
    take_folder(tip, &path, edits);
    edits.extend_from_slice(format!("M {} {} ", file.mode, file.content).as_bytes());
    quote(&path, edits);
    tip.files.insert(path, file);
}

fn take(tip: &mut Tip, path: &[u8], edits: &mut Vec<u8>) {
    tip.files.remove(path);
    edits.extend_from_slice(b"D ");
    quote(path, edits);
}

fn take_folder(tip: &mut Tip, folder: &[u8], edits: &mut Vec<u8>) {
    let begin = [folder, b"/"].concat();
    let after = tip.files.range(begin.clone()..).map(|(path, _)| path);
    let inside: Vec<_> = after
        .take_while(|path| path.starts_with(&begin))
        .cloned()
        .collect();
    for path in inside {
        take(tip, &path, edits);
    }
}

fn quote(path: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in path {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            _ => out.push(*byte),
        }
    }
    out.extend_from_slice(b"\"\n");
}
