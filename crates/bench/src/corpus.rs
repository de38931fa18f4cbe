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

/// A bare repository with branch `main`, made once and kept.
pub(crate) fn corpus(bench: &Bench) -> Result<PathBuf> {
    let vendor = bench.work.join("vendor");
    if !vendor.exists() {
        run(Command::new("cargo")
            .args(["vendor", "--locked", "--versioned-dirs", "--quiet"])
            .arg(&vendor)
            .stdout(Stdio::null()))?;
    }
    fixture::repository(bench, "corpus.git", Repack::WithBitmap, |out| {
        write_history(&vendor, out)
    })
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

fn write_history(vendor: &Path, out: &mut dyn Write) -> Result<()> {
    let mut crates: Vec<PathBuf> = std::fs::read_dir(vendor)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    crates.sort();
    let mut time = 1_600_000_000u64;
    let mut texts: Vec<(String, Vec<u8>)> = Vec::new();
    for folder in crates {
        let mut files = Vec::new();
        files_below(&folder, &mut files)?;
        files.sort();
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        commit(out, &mut time, &format!("import {name}"))?;
        for file in files {
            let content = std::fs::read(&file)?;
            let path = file.strip_prefix(vendor)?.to_string_lossy().into_owned();
            modify(out, &path, &content)?;
            if content.len() < 20_000 && path.ends_with(".rs") && content.contains(&b'\n') {
                texts.push((path, content));
            }
        }
    }
    let mut random = Random(42);
    for number in 0..EDITS {
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
