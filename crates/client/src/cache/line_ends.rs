//! Ends of lines in a working tree, as `git checkout` writes them: where a `.gitattributes`, `core.autocrlf` or
//! `core.eol` asks for CRLF.
//!
//! The rules are those of Git's `convert.c`. What else Git would convert (encodings, `$Id$`) stays as it is in the repository,
//! and a note says so.

use std::fs::{File, FileTimes, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bstr::{BStr, ByteSlice};
use packhouse_object::EntryMode;

use super::attributes::{Attributes, Said, State};
use super::budget::Budget;
use super::index_file::IndexEntry;
use super::large_files::{ATTRIBUTES_BYTES, beginning};
use super::take_over::OPEN_FILE;
use super::tree::local_path;
use super::{CacheError, CallOptions};

const PIECE_BYTES: usize = 64 << 10;

/// The files of a tree that were just written.
pub(super) struct LineEnds<'a> {
    pub(super) tree: &'a Path,
    /// Settings of its configuration.
    pub(super) settings: &'a [(String, String, String)],
    pub(super) budget: &'a Budget,
}

/// What became of them.
#[derive(Debug, Default)]
pub(super) struct Converted {
    /// Which entries are not as they are in the repository.
    pub(super) files: Vec<usize>,
    pub(super) notes: Vec<String>,
}

/// What a file's lines are to end with, where that is not what the repository has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    AsTheyAre,
    Crlf,
    /// If it is a text with other ends.
    CrlfIfText,
}

/// What the settings ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    /// Texts of which no attribute speaks get CRLF.
    all: bool,
    /// Texts of which no attribute says what their lines end with get CRLF.
    texts: bool,
}

impl LineEnds<'_> {
    /// Gives files the ends of lines that they are to have.
    pub(super) fn convert(
        &self,
        entries: &[IndexEntry],
        call: &CallOptions<'_>,
    ) -> Result<Converted, CacheError> {
        let asked = self.asked();
        let mut attributes = Attributes::new();
        let mut is_asked_for = asked.texts;
        for entry in entries {
            let (folder, name) = match entry.path.rfind_byte(b'/') {
                Some(slash) => (&entry.path[..slash], &entry.path[slash + 1..]),
                None => (&b""[..], entry.path.as_slice()),
            };
            if name != b".gitattributes" {
                continue;
            }
            let path = local_path(self.tree, entry.path.as_bstr());
            let text = beginning(&path, ATTRIBUTES_BYTES).unwrap_or_default();
            let mut words = ["crlf", "working-tree-encoding", "ident"].iter();
            is_asked_for |= words.any(|word| text.contains_str(word));
            attributes.add(BStr::new(folder), &text);
        }
        let mut converted = Converted::default();
        if !is_asked_for {
            return Ok(converted);
        }
        let (mut encoded, mut identified) = (0, 0);
        for (at, entry) in entries.iter().enumerate() {
            if !matches!(entry.mode, EntryMode::Blob | EntryMode::Executable) {
                continue;
            }
            call.check()?;
            let said = attributes.of(&entry.path);
            encoded += u64::from(has_encoding(&said));
            identified += u64::from(*said.of("ident") == State::Set);
            let ends = ends_of(&said, asked);
            if ends == Ends::AsTheyAre || is_large(&said) {
                continue;
            }
            let path = local_path(self.tree, entry.path.as_bstr());
            let more = convert(&path, ends).map_err(CacheError::file(&path))?;
            if more > 0 {
                self.budget.count_bytes(more)?;
                converted.files.push(at);
            }
        }
        let mut note = |count: u64, what: &str| {
            if count > 0 {
                converted.notes.push(format!(
                    "{count} files have the attribute `{what}` of Git, and are as they are in the repository"
                ));
            }
        };
        note(encoded, "working-tree-encoding");
        note(identified, "ident");
        Ok(converted)
    }

    fn asked(&self) -> Asked {
        let value = |name: &str| {
            let mut settings = self.settings.iter().rev();
            let found = settings.find(|(section, key, _)| section == "core" && key == name);
            found.map(|(_, _, value)| value.to_ascii_lowercase())
        };
        let auto = value("autocrlf");
        let all = matches!(auto.as_deref(), Some("true" | "yes" | "on" | "1"));
        // By `input` they are to have LF.
        let texts = auto.as_deref() != Some("input") && value("eol").as_deref() == Some("crlf");
        Asked {
            all,
            texts: all || texts,
        }
    }
}

fn has_encoding(said: &Said<'_>) -> bool {
    let State::Value(encoding) = said.of("working-tree-encoding") else {
        return false;
    };
    !(encoding.eq_ignore_ascii_case(b"utf-8") || encoding.eq_ignore_ascii_case(b"utf8"))
}

/// Its content came in the place of its pointer, or is to.
fn is_large(said: &Said<'_>) -> bool {
    *said.of("filter") == State::Value("lfs".into())
}

/// As Git's `convert_attrs`.
fn ends_of(said: &Said<'_>, asked: Asked) -> Ends {
    enum Text {
        Unsaid,
        Yes,
        No,
        Auto,
        Input,
    }
    let text = |name: &str| match said.of(name) {
        State::Set => Text::Yes,
        State::Unset => Text::No,
        State::Value(value) if value == "input" => Text::Input,
        State::Value(value) if value == "auto" => Text::Auto,
        State::Value(_) | State::Unspecified => Text::Unsaid,
    };
    let text = match text("text") {
        Text::Unsaid => text("crlf"),
        text => text,
    };
    let eol = match said.of("eol") {
        State::Value(value) if value == "crlf" => Some(true),
        State::Value(value) if value == "lf" => Some(false),
        _ => None,
    };
    match (text, eol) {
        (Text::No, _) | (_, Some(false)) => Ends::AsTheyAre,
        (Text::Auto, Some(true)) => Ends::CrlfIfText,
        (_, Some(true)) => Ends::Crlf,
        (Text::Input, None) => Ends::AsTheyAre,
        (Text::Yes, None) if asked.texts => Ends::Crlf,
        (Text::Auto, None) if asked.texts => Ends::CrlfIfText,
        (Text::Unsaid, None) if asked.all => Ends::CrlfIfText,
        (_, None) => Ends::AsTheyAre,
    }
}

/// What is in a file, as Git counts it.
#[derive(Debug, Default)]
struct Counted {
    lone_cr: u64,
    lone_lf: u64,
    crlf: u64,
    nul: u64,
    printable: u64,
    other: u64,
    last: u8,
}

impl Counted {
    fn take(&mut self, piece: &[u8]) {
        for byte in piece {
            // A CR counts when it is known what follows.
            if self.last == b'\r' && *byte != b'\n' {
                self.lone_cr += 1;
            }
            match byte {
                b'\n' if self.last == b'\r' => self.crlf += 1,
                b'\n' => self.lone_lf += 1,
                b'\r' => {}
                8 | 9 | 12 | 27 => self.printable += 1,
                0 => {
                    self.nul += 1;
                    self.other += 1;
                }
                1..32 | 127 => self.other += 1,
                _ => self.printable += 1,
            }
            self.last = *byte;
        }
    }

    fn end(&mut self) {
        match self.last {
            b'\r' => self.lone_cr += 1,
            // The end of a file of DOS.
            26 => self.other -= 1,
            _ => {}
        }
    }

    fn is_to_be_converted(&self, ends: Ends) -> bool {
        let is_binary = self.lone_cr > 0 || self.nul > 0 || (self.printable >> 7) < self.other;
        match ends {
            Ends::AsTheyAre => false,
            Ends::Crlf => self.lone_lf > 0,
            Ends::CrlfIfText => self.lone_lf > 0 && self.crlf == 0 && !is_binary,
        }
    }
}

/// Gives a file its ends of lines, and returns by how many bytes it is longer. It is as old as it was: Git looks into files that
/// are as new as its index.
fn convert(path: &Path, ends: Ends) -> io::Result<u64> {
    let open = || {
        let mut options = OpenOptions::new();
        let flags = OPEN_FILE.bits() as i32;
        options.read(true).custom_flags(flags).open(path)
    };
    let mut counted = Counted::default();
    let from = open()?;
    let found = from.metadata()?;
    if !found.is_file() {
        return Ok(0);
    }
    pour(from, |piece| {
        counted.take(piece);
        Ok(())
    })?;
    counted.end();
    if !counted.is_to_be_converted(ends) {
        return Ok(0);
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    let new = builder.prefix("tmp_").tempfile_in(folder)?;
    let mut out = BufWriter::new(new.as_file());
    let mut last = 0;
    pour(open()?, |piece| {
        for line in piece.split_inclusive(|byte| *byte == b'\n') {
            let (text, end) = match line.split_last() {
                Some((b'\n', text)) => (text, text.last().copied().unwrap_or(last) != b'\r'),
                _ => (line, false),
            };
            out.write_all(text)?;
            if end {
                out.write_all(b"\r")?;
            }
            out.write_all(&line[text.len()..])?;
            last = line.last().copied().unwrap_or(last);
        }
        Ok(())
    })?;
    out.flush()?;
    drop(out);
    let file = new.as_file();
    file.set_permissions(found.permissions())?;
    file.set_times(FileTimes::new().set_modified(found.modified()?))?;
    new.persist(path)?;
    Ok(counted.lone_lf)
}

fn pour(from: File, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut from = BufReader::with_capacity(PIECE_BYTES, from);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(n) => take(&piece[..n])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
