//! The repository that clones and pushes are measured with: the sources of this project's dependencies, one commit per
//! crate, then commits of small edits.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::fixture::{self, Repack, run};
use crate::{Bench, Result};

/// Commits of small edits on top of the imported sources.
const EDITS: usize = 4000;
const FILES_PER_EDIT: usize = 6;

/// How often the sources are in the large repository, each time in other letters.
const ALPHABETS: usize = 4;

/// A bare repository with branch `main`, made once and kept.
pub(crate) fn corpus(bench: &Bench) -> Result<PathBuf> {
    let vendor = vendor(bench)?;
    fixture::repository(bench, "corpus.git", Repack::WithBitmap, |out| {
        write_history(&vendor, 1, out)
    })
}

/// A larger one of the same kind. The sources are in it again and again with their letters exchanged for others: they
/// compress as well, and no object is a delta of one in other letters.
pub(crate) fn large_corpus(bench: &Bench) -> Result<PathBuf> {
    let vendor = vendor(bench)?;
    fixture::repository(bench, "large-corpus.git", Repack::WithBitmap, |out| {
        write_history(&vendor, ALPHABETS, out)
    })
}

/// The sources of this project's dependencies.
fn vendor(bench: &Bench) -> Result<PathBuf> {
    let vendor = bench.work.join("vendor");
    if !vendor.exists() {
        run(Command::new("cargo")
            .args(["vendor", "--locked", "--versioned-dirs", "--quiet"])
            .arg(&vendor)
            .stdout(Stdio::null()))?;
    }
    Ok(vendor)
}

/// The bytes of the packs of a bare repository.
pub(crate) fn pack_bytes(repo: &Path) -> Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(repo.join("objects/pack"))? {
        let entry = entry?;
        if entry
            .path()
            .extension()
            .is_some_and(|ending| ending == "pack")
        {
            total += entry.metadata()?.len();
        }
    }
    Ok(total)
}

fn write_history(vendor: &Path, alphabets: usize, out: &mut dyn Write) -> Result<()> {
    let mut crates: Vec<PathBuf> = std::fs::read_dir(vendor)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    crates.sort();
    let mut time = 1_600_000_000u64;
    let mut random = Random(42);
    let mut texts: Vec<(String, Vec<u8>)> = Vec::new();
    for number in 0..alphabets {
        let alphabet = Alphabet::new(number, &mut random);
        for folder in &crates {
            let mut files = Vec::new();
            files_below(folder, &mut files)?;
            files.sort();
            let name = folder
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            commit(out, &mut time, &format!("import {name}"))?;
            for file in files {
                let content = alphabet.write(std::fs::read(&file)?);
                let path = file.strip_prefix(vendor)?.to_string_lossy().into_owned();
                let path = alphabet.place(path);
                modify(out, &path, &content)?;
                let is_text = content.len() < 20_000 && path.ends_with(".rs");
                if is_text && content.contains(&b'\n') {
                    texts.push((path, content));
                }
            }
        }
    }
    for number in 0..EDITS * alphabets {
        commit(out, &mut time, &format!("edit {number}"))?;
        for _ in 0..FILES_PER_EDIT {
            let at = random.below(texts.len());
            let (path, content) = &mut texts[at];
            edit(content, &mut random, number);
            modify(out, path, content)?;
        }
    }
    Ok(())
}

/// Letters to write sources in.
struct Alphabet {
    number: usize,
    /// What each byte becomes.
    bytes: [u8; 256],
}

impl Alphabet {
    /// The letters as they are for the number 0, exchanged at random for any other.
    fn new(number: usize, random: &mut Random) -> Alphabet {
        let mut bytes: [u8; 256] = std::array::from_fn(|byte| byte as u8);
        if number > 0 {
            for letters in [b'a', b'A'] {
                for at in (1..26).rev() {
                    let other = random.below(at + 1);
                    bytes.swap(usize::from(letters) + at, usize::from(letters) + other);
                }
            }
        }
        Alphabet { number, bytes }
    }

    fn write(&self, mut content: Vec<u8>) -> Vec<u8> {
        for byte in &mut content {
            *byte = self.bytes[usize::from(*byte)];
        }
        content
    }

    /// Where a file is that is written in these letters.
    fn place(&self, path: String) -> String {
        match self.number {
            0 => path,
            number => format!("alphabet-{number}/{path}"),
        }
    }
}

fn commit(out: &mut dyn Write, time: &mut u64, message: &str) -> Result<()> {
    *time += 60;
    write!(
        out,
        "commit refs/heads/main\ncommitter Bench <bench@example.com> {time} +0000\ndata {}\n{message}\n",
        message.len()
    )?;
    Ok(())
}

fn modify(out: &mut dyn Write, path: &str, content: &[u8]) -> Result<()> {
    // Names that would need quoting are left out; there are next to none.
    if path.contains(['"', '\n', '\\']) {
        return Ok(());
    }
    write!(out, "M 100644 inline {path}\ndata {}\n", content.len())?;
    out.write_all(content)?;
    out.write_all(b"\n")?;
    Ok(())
}

/// Inserts a line somewhere and drops another one.
fn edit(content: &mut Vec<u8>, random: &mut Random, number: usize) {
    let lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
    let (insert, drop) = (random.below(lines.len()), random.below(lines.len()));
    let mut edited = Vec::with_capacity(content.len() + 40);
    for (at, line) in lines.iter().enumerate() {
        if at == insert {
            edited.extend_from_slice(
                format!(
                    "// revised in step {number}, variant {}\n",
                    random.below(1 << 20)
                )
                .as_bytes(),
            );
        }
        if at != drop || lines.len() < 4 {
            edited.extend_from_slice(line);
        }
    }
    *content = edited;
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            files_below(&entry.path(), files)?;
        } else if kind.is_file() && entry.metadata()?.len() < 2_000_000 {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// xorshift64*: the same history on every machine.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}
