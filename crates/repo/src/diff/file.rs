//! One changed file: how its content differs, and the text that says so.

use bstr::{BStr, ByteSlice};
use bytes::Bytes;
use packhouse_object::{Database, HashKind, ObjectId, ReadError};

use super::binary::write_binary_patch;
use super::changes::{ChangeStatus, FileChange, FileSide, is_same_type};
use super::content::content;
use super::hunks::Lines;
use super::quote::quoted;
use super::{BinaryForm, DiffOptions};
use crate::line_diff::{LineDiffOptions, LineHunk, diff_lines, split_lines};
use crate::merge::is_binary;

/// A changed file with the contents of both sides.
#[derive(Debug)]
pub struct FileDiff<'a> {
    options: &'a DiffOptions,
    /// Two where the file became something else: what was is deleted, then what is comes anew.
    parts: Vec<Part<'a>>,
}

#[derive(Debug)]
struct Part<'a> {
    old: Option<&'a FileSide>,
    new: Option<&'a FileSide>,
    status: ChangeStatus,
    contents: [Bytes; 2],
    is_binary: bool,
    hunks: Vec<LineHunk>,
}

impl<'a> FileDiff<'a> {
    /// Compares the two sides of a changed file. Takes memory in proportion to them.
    ///
    /// Errors: a content that cannot be read, or is beyond
    /// [`MAX_CONTENT_BYTES`](super::MAX_CONTENT_BYTES).
    pub fn of(
        database: &Database,
        change: &'a FileChange,
        options: &'a DiffOptions,
    ) -> Result<FileDiff<'a>, ReadError> {
        let (old, new, status) = (change.old.as_ref(), change.new.as_ref(), change.status);
        let part = |old, new, status| Part::of(database, old, new, status, options);
        let is_split = match (old, new) {
            (Some(old), Some(new)) => !is_same_type(old.mode, new.mode),
            _ => false,
        };
        let parts = match is_split {
            false => vec![part(old, new, status)?],
            true => vec![
                part(old, None, ChangeStatus::Deleted)?,
                part(None, new, ChangeStatus::Added)?,
            ],
        };
        Ok(FileDiff { options, parts })
    }

    /// Whether a side is not text.
    pub fn is_binary(&self) -> bool {
        self.parts.iter().any(|part| part.is_binary)
    }

    /// How many lines are new; none in what is not text.
    pub fn additions(&self) -> usize {
        self.hunks().map(|hunk| hunk.after.len()).sum()
    }

    /// How many lines are gone; none in what is not text.
    pub fn deletions(&self) -> usize {
        self.hunks().map(|hunk| hunk.before.len()).sum()
    }

    /// The content as it is, or was if the file is gone.
    pub fn content(&self) -> &[u8] {
        let part = self.parts.last().expect("a change has a part");
        &part.contents[usize::from(part.new.is_some())]
    }

    /// Takes what is not UTF-8 for something else than text.
    pub fn show_other_encodings_as_binary(&mut self) {
        let is_other = |content: &Bytes| std::str::from_utf8(content).is_err();
        for part in &mut self.parts {
            if part.contents.iter().any(is_other) {
                part.is_binary = true;
                part.hunks.clear();
            }
        }
    }

    /// Writes what `git diff` prints of the file. Nothing, if all that differs is ignored.
    pub fn write(&self, out: &mut Vec<u8>) {
        for part in &self.parts {
            part.write(self.options, out);
        }
    }

    fn hunks(&self) -> impl Iterator<Item = &LineHunk> {
        self.parts.iter().flat_map(|part| &part.hunks)
    }
}

impl<'a> Part<'a> {
    fn of(
        database: &Database,
        old: Option<&'a FileSide>,
        new: Option<&'a FileSide>,
        status: ChangeStatus,
        options: &DiffOptions,
    ) -> Result<Part<'a>, ReadError> {
        let contents = [content(database, old)?, content(database, new)?];
        let is_binary = contents.iter().any(|content| is_binary(content));
        let lines = LineDiffOptions {
            ignore_space_change: options.ignore_space_change,
            trim_tail: options.context == 0,
            ..LineDiffOptions::default()
        };
        let hunks = match is_binary || contents[0] == contents[1] {
            true => Vec::new(),
            false => diff_lines(&contents[0], &contents[1], lines),
        };
        Ok(Part {
            old,
            new,
            status,
            contents,
            is_binary,
            hunks,
        })
    }

    fn write(&self, options: &DiffOptions, out: &mut Vec<u8>) {
        let is_other_binary = self.is_binary && self.contents[0] != self.contents[1];
        if self.hunks.is_empty() && !is_other_binary && !self.has_news() {
            return;
        }
        self.write_header(out);
        if !self.hunks.is_empty() {
            self.write_text(options.context, out);
        } else if is_other_binary {
            self.write_binary(options.binary, out);
        }
    }

    /// Whether more changed than the content.
    fn has_news(&self) -> bool {
        match (self.old, self.new) {
            (Some(old), Some(new)) => old.mode != new.mode || self.similarity().is_some(),
            _ => true,
        }
    }

    /// The verb for what was done with the other file, and how similar it is.
    fn similarity(&self) -> Option<(&'static str, u32)> {
        match self.status {
            ChangeStatus::Renamed(percent) => Some(("rename", percent)),
            ChangeStatus::Copied(percent) => Some(("copy", percent)),
            _ => None,
        }
    }

    /// The paths of both sides; the same twice where there is only one.
    fn paths(&self) -> [&'a BStr; 2] {
        let path = |side: Option<&'a FileSide>| side.map(|side| side.path.as_bstr());
        let (old, new) = (path(self.old), path(self.new));
        let any = old.or(new).unwrap_or_default();
        [old.unwrap_or(any), new.unwrap_or(any)]
    }

    /// The paths as they stand in front of the lines.
    fn labels(&self) -> [Vec<u8>; 2] {
        let [old, new] = self.paths();
        let label = |is_there: bool, prefix, path| match is_there {
            true => quoted(prefix, path),
            false => b"/dev/null".to_vec(),
        };
        [
            label(self.old.is_some(), "a/", old),
            label(self.new.is_some(), "b/", new),
        ]
    }

    fn write_header(&self, out: &mut Vec<u8>) {
        let [old_path, new_path] = self.paths();
        let mut line = |parts: &[&[u8]]| {
            parts.iter().for_each(|part| out.extend_from_slice(part));
            out.push(b'\n');
        };
        let (a, b) = (quoted("a/", old_path), quoted("b/", new_path));
        line(&[b"diff --git ", &a, b" ", &b]);
        let modes = [self.old, self.new].map(|side| side.map(|side| side.mode));
        match modes {
            [None, Some(mode)] => line(&[b"new file mode ", mode.as_str().as_bytes()]),
            [Some(mode), None] => line(&[b"deleted file mode ", mode.as_str().as_bytes()]),
            [Some(old), Some(new)] if old != new => {
                line(&[b"old mode ", old.as_str().as_bytes()]);
                line(&[b"new mode ", new.as_str().as_bytes()]);
            }
            _ => {}
        }
        if let Some((verb, percent)) = self.similarity() {
            line(&[format!("similarity index {percent}%").as_bytes()]);
            line(&[verb.as_bytes(), b" from ", &quoted("", old_path)]);
            line(&[verb.as_bytes(), b" to ", &quoted("", new_path)]);
        }
        let nothing = ObjectId::null(HashKind::Sha1);
        let [old, new] = [self.old, self.new].map(|side| side.map_or(nothing, |side| side.id));
        if old != new {
            let mode = match modes {
                [Some(old), Some(new)] if old == new => format!(" {}", new.as_str()),
                _ => String::new(),
            };
            line(&[format!("index {old}..{new}{mode}").as_bytes()]);
        }
    }

    fn write_text(&self, context: usize, out: &mut Vec<u8>) {
        for (sign, label) in ["--- ", "+++ "].into_iter().zip(self.labels()) {
            out.extend_from_slice(sign.as_bytes());
            out.extend_from_slice(&label);
            // So that `patch` knows where a name with spaces ends.
            if label.contains(&b' ') {
                out.push(b'\t');
            }
            out.push(b'\n');
        }
        let lines = Lines {
            old: split_lines(&self.contents[0]).collect(),
            new: split_lines(&self.contents[1]).collect(),
            hunks: &self.hunks,
        };
        lines.write(context, out);
    }

    fn write_binary(&self, form: BinaryForm, out: &mut Vec<u8>) {
        if form == BinaryForm::Patch {
            return write_binary_patch(&self.contents[0], &self.contents[1], out);
        }
        let [old, new] = self.labels();
        out.extend_from_slice(b"Binary files ");
        out.extend_from_slice(&old);
        out.extend_from_slice(b" and ");
        out.extend_from_slice(&new);
        out.extend_from_slice(b" differ\n");
    }
}
