//! Random histories, made by `git fast-import`: the same number makes the same one.

use std::fmt::Write;

use crate::git::Git;

/// A small generator of numbers that look random.
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) fn new(seed: u64) -> Numbers {
        Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound
    }

    /// Bytes that do not deflate.
    pub(super) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }

    /// Lines that do, and that make deltas when some of them change.
    pub(super) fn text(&mut self, lines: u64) -> String {
        let mut text = String::new();
        for line in 0..lines {
            writeln!(
                text,
                "{line}: {} {}",
                self.below(50),
                "word ".repeat(self.below(9) as usize)
            )
            .unwrap();
        }
        text
    }
}

/// A repository with `commits` commits on `main`, merges, a submodule, tags and some binary files.
pub(super) fn random(seed: u64, commits: u64) -> Git {
    let git = Git::init();
    git.run_with(
        &["-c", "fastimport.unpackLimit=0", "fast-import", "--quiet"],
        &stream(seed, commits),
    );
    git
}

fn stream(seed: u64, commits: u64) -> Vec<u8> {
    let mut numbers = Numbers::new(seed);
    let mut files: Vec<Vec<String>> = Vec::new();
    let mut out = Vec::new();
    for commit in 1..=commits {
        let message = format!("commit {commit}\n");
        out.extend_from_slice(
            format!(
                "commit refs/heads/main\nmark :{commit}\ncommitter A U Thor <a@example.com> {} +0200\ndata {}\n{message}",
                1_600_000_000 + commit * 60,
                message.len(),
            )
            .as_bytes(),
        );
        if commit > 3 && numbers.below(8) == 0 {
            out.extend_from_slice(format!("merge :{}\n", 1 + numbers.below(commit - 2)).as_bytes());
        }
        for _ in 0..=numbers.below(3) {
            change_file(&mut numbers, &mut files, &mut out);
        }
        if commit % 20 == 1 {
            let path = format!("binary/{}", numbers.below(5));
            let len = 100 + numbers.below(50_000) as usize;
            let bytes = numbers.bytes(len);
            put(&mut out, &path, &bytes);
        }
        if commit == 5 {
            out.extend_from_slice(format!("M 160000 {} module\n", "12".repeat(20)).as_bytes());
            out.extend_from_slice(b"M 120000 inline link\ndata 7\nbinary/\n");
        }
        out.push(b'\n');
        if commit % 25 == 0 {
            out.extend_from_slice(
                format!("tag v{commit}\nfrom :{commit}\ntagger T <t@example.com> 1700000000 -0330\ndata 4\ntag\n\n")
                    .as_bytes(),
            );
        }
    }
    out
}

/// Adds a file, or changes some lines of one.
fn change_file(numbers: &mut Numbers, files: &mut Vec<Vec<String>>, out: &mut Vec<u8>) {
    let at = numbers.below(files.len() as u64 + 2) as usize;
    if at >= files.len() {
        let lines = 1 + numbers.below(200);
        files.push(numbers.text(lines).lines().map(str::to_owned).collect());
    }
    let at = at.min(files.len() - 1);
    for _ in 0..numbers.below(6) {
        let line = numbers.below(files[at].len() as u64) as usize;
        files[at][line] = format!("changed {}", numbers.next());
    }
    let path = format!("folder{}/sub{}/file{at}.txt", at % 7, at % 3);
    let mut text = files[at].join("\n");
    text.push('\n');
    put(out, &path, text.as_bytes());
}

fn put(out: &mut Vec<u8>, path: &str, data: &[u8]) {
    out.extend_from_slice(format!("M 100644 inline {path}\ndata {}\n", data.len()).as_bytes());
    out.extend_from_slice(data);
    out.push(b'\n');
}
