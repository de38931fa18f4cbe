//! Results on standard output: as text, as one JSON document, or as a JSON value per line.
//!
//! Lists are written as they are found, so that memory stays small and the first line comes at once.

use std::io::{self, BufWriter, StdoutLock, Write};

use bstr::{BStr, ByteSlice};
use clap::ValueEnum;
use packhouse_repo::quoted_name;
use serde::Serialize;

use super::failure::Failure;

/// The form of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Lines for people
    #[default]
    Text,
    /// One JSON document
    Json,
    /// One JSON value per line
    Jsonl,
}

/// `--format`.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub(crate) struct FormatFlag {
    /// Form of the result
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,
}

impl FormatFlag {
    /// What was asked for; `json` if it was asked for in our own way.
    pub(crate) fn or(self, json: bool) -> Format {
        self.format.unwrap_or(match json {
            true => Format::Json,
            false => Format::Text,
        })
    }
}

/// Standard output, written in large pieces.
pub(crate) fn stdout() -> BufWriter<StdoutLock<'static>> {
    BufWriter::with_capacity(64 << 10, io::stdout().lock())
}

/// Writes one value, or what `text` writes.
///
/// # Errors
///
/// It could not be written.
pub(crate) fn value<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Failure> {
    let mut out = stdout();
    match format {
        Format::Text => text(&mut out)?,
        Format::Json | Format::Jsonl => json_line(&mut out, value)?,
    }
    Ok(out.flush()?)
}

/// A list under way to standard output.
pub(crate) struct List {
    out: BufWriter<StdoutLock<'static>>,
    format: Format,
    is_first: bool,
}

impl List {
    /// An empty list.
    pub(crate) fn new(format: Format) -> List {
        List {
            out: stdout(),
            format,
            is_first: true,
        }
    }

    /// Appends an item: the line that `text` writes, or the value that `json` makes.
    ///
    /// # Errors
    ///
    /// It could not be written.
    pub(crate) fn item<T: Serialize>(
        &mut self,
        json: impl FnOnce() -> T,
        text: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Text => text(&mut self.out)?,
            Format::Jsonl => json_line(&mut self.out, &json())?,
            Format::Json => {
                let before = if self.is_first { "[" } else { "," };
                self.out.write_all(before.as_bytes())?;
                serde_json::to_writer(&mut self.out, &json()).map_err(io::Error::from)?;
            }
        }
        self.is_first = false;
        Ok(())
    }

    /// Ends the list.
    ///
    /// # Errors
    ///
    /// It could not be written.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        if self.format == Format::Json {
            let end = if self.is_first { "[]\n" } else { "]\n" };
            self.out.write_all(end.as_bytes())?;
        }
        Ok(self.out.flush()?)
    }
}

/// Writes a list of names, one per line.
///
/// # Errors
///
/// It could not be written.
pub(crate) fn names<'a>(
    format: Format,
    names: impl IntoIterator<Item = &'a String>,
) -> Result<(), Failure> {
    let mut list = List::new(format);
    for name in names {
        list.item(|| name, |out| writeln!(out, "{name}"))?;
    }
    list.finish()
}

/// A name, a path or what a link leads to as a JSON string: such as are no UTF-8 in the quotes that Git puts them in.
pub(crate) fn name_of(name: &[u8]) -> String {
    quoted_name(name).into_owned()
}

/// A message, or who wrote it, as a JSON string. JSON has no bytes: what is no UTF-8 is replaced.
pub(crate) fn text_of(text: &[u8]) -> String {
    text.to_str_lossy().into_owned()
}

/// Writes a line whose middle is a path, byte for byte.
pub(crate) fn path_line(out: &mut dyn Write, before: &str, path: &BStr) -> io::Result<()> {
    out.write_all(before.as_bytes())?;
    out.write_all(path)?;
    out.write_all(b"\n")
}

fn json_line<T: Serialize>(out: &mut impl Write, value: &T) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}
