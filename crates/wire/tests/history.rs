//! Random histories: commits with merges, unequal clocks, renames and deletions, and refs of every kind.

use std::fmt::Write;

use crate::git::Git;

/// A small generator of random numbers (splitmix64), so that a seed names a history for good.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5555)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// A history that grows in a repository.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) git: Git,
    pub(crate) random: Random,
    pub(crate) commits: Vec<String>,
    time: i64,
}

impl History {
    /// Nothing yet, in the empty repository `git`.
    pub(crate) fn new(git: Git, seed: u64) -> History {
        History {
            git,
            random: Random::new(seed),
            commits: Vec::new(),
            time: 1_700_000_000,
        }
    }

    /// Adds `count` commits, some of them on old ones, some merges, a few roots.
    pub(crate) fn grow(&mut self, count: usize) {
        let first = self.commits.len();
        let mut stream = String::new();
        for index in first..first + count {
            self.commit(index, first, &mut stream);
        }
        // Commits that no ref names are kept by one that goes away again.
        stream.push_str("done\n");
        let marks = self.git.dir.join("marks");
        let marks = marks.to_str().unwrap();
        self.git.feed(
            &[
                "fast-import",
                "--quiet",
                "--done",
                "--force",
                &format!("--export-marks={marks}"),
            ],
            stream.as_bytes(),
        );
        self.git.run(&["update-ref", "-d", "refs/grow/x"]);
        let text = std::fs::read_to_string(marks).unwrap();
        let mut new: Vec<(usize, String)> = text
            .lines()
            .map(|line| line.split_once(' ').unwrap())
            .map(|(mark, id)| (mark[1..].parse().unwrap(), id.to_owned()))
            .collect();
        new.sort();
        self.commits.extend(new.into_iter().map(|(_, id)| id));
    }

    fn commit(&mut self, index: usize, first: usize, stream: &mut String) {
        let random = &mut self.random;
        // Mostly forwards; sometimes a clock is far behind.
        self.time += random.below(100) as i64;
        let time = if random.once_in(12) {
            self.time - 5000
        } else {
            self.time
        };
        let name = |commit: usize, commits: &[String]| match commit < first {
            true => commits[commit].clone(),
            false => format!(":{}", commit + 1),
        };
        let root = index == 0 || random.once_in(40);
        if root {
            stream.push_str("reset refs/grow/x\n");
        }
        stream.push_str("commit refs/grow/x\n");
        writeln!(stream, "mark :{}", index + 1).unwrap();
        writeln!(stream, "committer A <a@example.com> {time} +0000").unwrap();
        let message = format!("commit {index}");
        writeln!(stream, "data {}\n{message}", message.len()).unwrap();
        if !root {
            let near = random.below(index.min(6)) + 1;
            let parent = if random.once_in(5) {
                random.below(index)
            } else {
                index - near
            };
            writeln!(stream, "from {}", name(parent, &self.commits)).unwrap();
            let other = random.below(index);
            if random.once_in(5) && other != parent {
                writeln!(stream, "merge {}", name(other, &self.commits)).unwrap();
            }
        }
        for _ in 0..random.below(4) + 1 {
            let folder = ["", "src/", "src/deep/", "docs/"][random.below(4)];
            let file = format!("{folder}file{}", random.below(8));
            if random.once_in(9) {
                writeln!(stream, "D {file}").unwrap();
            } else {
                // Long and mostly alike, so that deltas are worth making; sometimes the same as elsewhere.
                let variant = random.below(500);
                let mut content = "a line that all files share\n".repeat(random.below(80));
                writeln!(content, "variant {variant}").unwrap();
                writeln!(
                    stream,
                    "M 100644 inline {file}\ndata {}\n{content}",
                    content.len()
                )
                .unwrap();
            }
        }
        stream.push('\n');
    }

    /// Makes, moves and deletes branches and tags at random.
    pub(crate) fn move_refs(&mut self, edits: usize) {
        for _ in 0..edits {
            let commit = self.random.pick(&self.commits).clone();
            let number = self.random.below(6);
            match self.random.below(10) {
                0..=3 => self.set(&format!("refs/heads/b{number}"), &commit),
                4 => self.set(&format!("refs/heads/dir/b{number}"), &commit),
                5 => self.set(&format!("refs/tags/light{number}"), &commit),
                6 => self.tag(&format!("note{number}"), &commit),
                7 => {
                    self.tag("inner", &commit);
                    self.tag(&format!("outer{number}"), "refs/tags/inner");
                }
                8 => self.delete(&format!("refs/heads/b{number}")),
                _ => self.delete(&format!("refs/tags/note{number}")),
            }
        }
        let newest = self.commits.last().unwrap().clone();
        self.set("refs/heads/main", &newest);
    }

    fn set(&mut self, name: &str, target: &str) {
        self.git.run(&["update-ref", name, target]);
    }

    fn tag(&mut self, name: &str, target: &str) {
        self.git
            .run(&["tag", "-f", "-a", "-m", "a note", name, target]);
    }

    fn delete(&mut self, name: &str) {
        self.git.run(&["update-ref", "-d", name]);
    }
}
