//! The headers of diffs: which file, and what becomes of it besides its content.

use bstr::BString;

use super::PatchError;
use super::names::{default_name, header_name, is_dev_null, is_space, traditional_name};
use super::text::{Line, Lines, MAX_HEADER_BYTES};
use super::timestamp::is_epoch;

/// The diff of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FilePatch {
    /// The line of the patch it begins at.
    pub line: u64,
    /// The file before; `None` if it is created.
    pub old: Option<BString>,
    /// The file after; `None` if it is deleted.
    pub new: Option<BString>,
    /// Whether it is created; `None`: traditional diffs do not say.
    pub creates: Option<bool>,
    /// Whether it is deleted; `None`: traditional diffs do not say.
    pub deletes: Option<bool>,
    /// The old name goes away.
    pub renames: bool,
    /// The old name stays.
    pub copies: bool,
    /// The mode before, as Git numbers them; 0 if nothing says.
    pub old_mode: u32,
    /// The mode after; 0 if nothing says.
    pub new_mode: u32,
    /// The ids of the `index` line, as far as they are written.
    pub ids: Option<Box<Ids>>,
    /// What becomes of the content.
    pub body: Body,
}

/// Blob ids in hex, perhaps abbreviated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ids {
    pub old: BString,
    pub new: BString,
}

/// What becomes of a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// Nothing.
    Same,
    /// Hunks of lines, the first of which begins at this offset, which is in this line of the patch.
    Text { at: u64, line: u64, hunks: u64 },
    /// A binary diff; without data, if the patch only says that the file is binary.
    Binary(Option<super::binary::BinaryHunk>),
}

impl FilePatch {
    pub(super) fn new(line: u64, decided: Option<bool>) -> FilePatch {
        FilePatch {
            line,
            old: None,
            new: None,
            creates: decided,
            deletes: decided,
            renames: false,
            copies: false,
            old_mode: 0,
            new_mode: 0,
            ids: None,
            body: Body::Same,
        }
    }

    /// The name to call it by.
    pub(super) fn name(&self) -> &BString {
        static NOTHING: BString = BString::new(Vec::new());
        self.old.as_ref().or(self.new.as_ref()).unwrap_or(&NOTHING)
    }

    /// Whether something changes although no content does.
    pub(super) fn changes_metadata(&self) -> bool {
        let mode = self.old_mode != 0 && self.new_mode != 0 && self.old_mode != self.new_mode;
        self.renames
            || self.copies
            || self.creates == Some(true)
            || self.deletes != Some(false)
            || mode
    }

    /// Whether a header without content, which this one is, can be passed over before `next`. Git takes its names for
    /// those of the next one; where that makes a difference, the patch is damaged.
    pub(super) fn may_stand_before(&self, next: &FilePatch) -> bool {
        next.renames || next.copies || (next.old == self.old && next.new == self.new)
    }

    /// How many of the things are said of it that exclude each other.
    fn extensions(&self) -> usize {
        [
            self.creates == Some(true),
            self.deletes == Some(true),
            self.renames,
            self.copies,
        ]
        .into_iter()
        .filter(|said| *said)
        .count()
    }
}

/// Whether a header goes on behind a line.
enum Next {
    More,
    End,
}

/// Reads the header that begins with the next line, which is `diff --git …`. False: nothing follows that would make it
/// one; only the line is passed.
pub(super) fn git_header(
    lines: &mut Lines<'_>,
    first: &Line,
    strip: usize,
) -> Result<(FilePatch, bool), PatchError> {
    let number = lines.number;
    let content = lines.content(first)?;
    let names = content.strip_prefix(b"diff --git ").unwrap_or_default();
    let default = default_name(names.strip_suffix(b"\n").unwrap_or(names), strip);
    lines.pass(first);
    let mut header = Header {
        patch: FilePatch::new(number, Some(false)),
        default,
        strip,
        said_at: None,
    };
    let begins = lines.at;
    while let Some(line) = lines.peek()? {
        if !line.is_ended || line.len > MAX_HEADER_BYTES || &line.start == b"@@ -" {
            break;
        }
        let content = lines.content(&line)?;
        match header.line(&content, lines.number)? {
            Next::More => lines.pass(&line),
            Next::End => break,
        }
    }
    let patch = header.finish(number)?;
    Ok((patch, lines.at > begins))
}

struct Header {
    patch: FilePatch,
    default: Option<BString>,
    strip: usize,
    /// Where it was said first that the file is new, deleted, renamed or copied.
    said_at: Option<u64>,
}

impl Header {
    fn line(&mut self, text: &[u8], number: u64) -> Result<Next, PatchError> {
        let strip = self.strip;
        let outer = strip.saturating_sub(1);
        let patch = &mut self.patch;
        if let Some(name) = text.strip_prefix(b"--- ") {
            let is_null = patch.creates == Some(true);
            side(&mut patch.old, name, is_null, strip, number)?;
        } else if let Some(name) = text.strip_prefix(b"+++ ") {
            let is_null = patch.deletes == Some(true);
            side(&mut patch.new, name, is_null, strip, number)?;
        } else if let Some(digits) = text.strip_prefix(b"old mode ") {
            patch.old_mode = mode(digits, number)?;
        } else if let Some(digits) = text.strip_prefix(b"new mode ") {
            patch.new_mode = mode(digits, number)?;
        } else if let Some(digits) = text.strip_prefix(b"deleted file mode ") {
            patch.deletes = Some(true);
            patch.old = self.default.clone();
            patch.old_mode = mode(digits, number)?;
        } else if let Some(digits) = text.strip_prefix(b"new file mode ") {
            patch.creates = Some(true);
            patch.new = self.default.clone();
            patch.new_mode = mode(digits, number)?;
        } else if let Some(name) = text.strip_prefix(b"copy from ") {
            patch.copies = true;
            patch.old = header_name(name, outer, false);
        } else if let Some(name) = text.strip_prefix(b"copy to ") {
            patch.copies = true;
            patch.new = header_name(name, outer, false);
        } else if let Some(name) = one_of(text, ["rename old ", "rename from "]) {
            patch.renames = true;
            patch.old = header_name(name, outer, false);
        } else if let Some(name) = one_of(text, ["rename new ", "rename to "]) {
            patch.renames = true;
            patch.new = header_name(name, outer, false);
        } else if let Some(ids) = text.strip_prefix(b"index ") {
            index(patch, ids, number)?;
        } else if one_of(text, ["similarity index ", "dissimilarity index "]).is_none() {
            return Ok(Next::End);
        }
        match self.patch.extensions() {
            0 => {}
            1 => self.said_at = self.said_at.or(Some(number)),
            _ => {
                let before = self.said_at.unwrap_or(number);
                let reason = format!("it contradicts line {before}");
                return Err(PatchError::malformed(number, reason));
            }
        }
        Ok(Next::More)
    }

    fn finish(self, number: u64) -> Result<FilePatch, PatchError> {
        let mut patch = self.patch;
        if patch.old.is_none() && patch.new.is_none() {
            patch.old = self.default.clone();
            patch.new = self.default;
        }
        let lacks_new = patch.new.is_none() && patch.deletes != Some(true);
        let lacks_old = patch.old.is_none() && patch.creates != Some(true);
        if lacks_new || lacks_old {
            let reason = "the header does not tell the file's name; names begin with `a/` and `b/`";
            return Err(PatchError::malformed(number, reason));
        }
        Ok(patch)
    }
}

fn one_of<'a>(text: &'a [u8], keys: [&str; 2]) -> Option<&'a [u8]> {
    keys.into_iter()
        .find_map(|key| text.strip_prefix(key.as_bytes()))
}

/// A `---` or `+++` line of a Git diff.
fn side(
    known: &mut Option<BString>,
    text: &[u8],
    is_null: bool,
    strip: usize,
    number: u64,
) -> Result<(), PatchError> {
    let problem = match known {
        None if is_null && is_dev_null(text) => return Ok(()),
        None if is_null => "`/dev/null` is expected here",
        None => {
            *known = header_name(text, strip, true);
            return Ok(());
        }
        Some(_) if is_null => "`/dev/null` is expected here, and the header names a file",
        Some(known) if header_name(text, strip, true).as_ref() == Some(known) => return Ok(()),
        Some(_) => "the file's name is not the one that the header gives before",
    };
    Err(PatchError::malformed(number, problem))
}

fn mode(text: &[u8], number: u64) -> Result<u32, PatchError> {
    let digits = text
        .iter()
        .take_while(|byte| matches!(byte, b'0'..=b'7'))
        .count();
    let parsed = std::str::from_utf8(&text[..digits]).ok();
    let parsed = parsed.and_then(|digits| u32::from_str_radix(digits, 8).ok());
    let ends = text.get(digits).is_some_and(|&byte| is_space(byte));
    parsed
        .filter(|_| ends)
        .ok_or_else(|| PatchError::malformed(number, "the mode is no octal number"))
}

/// `<id>..<id>`, and the mode if it stays the same.
fn index(patch: &mut FilePatch, text: &[u8], number: u64) -> Result<(), PatchError> {
    const HEX_LEN: usize = 40;
    let line = text.strip_suffix(b"\n").unwrap_or(text);
    let Some(dots) = line.iter().position(|&byte| byte == b'.') else {
        return Ok(());
    };
    let (old, rest) = line.split_at(dots);
    let Some(rest) = rest.strip_prefix(b"..") else {
        return Ok(());
    };
    let space = rest.iter().position(|&byte| byte == b' ');
    let (new, after) = rest.split_at(space.unwrap_or(rest.len()));
    if old.len() > HEX_LEN {
        return Ok(());
    }
    if new.len() > HEX_LEN {
        return Ok(());
    }
    patch.ids = Some(Box::new(Ids {
        old: old.into(),
        new: new.into(),
    }));
    if let Some(digits) = after.strip_prefix(b" ") {
        patch.old_mode = mode(&[digits, b"\n"].concat(), number)?;
    }
    Ok(())
}

/// Reads the two lines that a traditional diff has for a header; `text` and the one below it are their contents.
pub(super) fn traditional_header(
    first: &[u8],
    second: &[u8],
    number: u64,
    strip: usize,
) -> Result<FilePatch, PatchError> {
    let mut patch = FilePatch::new(number, None);
    let name;
    if is_dev_null(first) {
        name = traditional_name(second, strip, None);
        (patch.creates, patch.deletes) = (Some(true), Some(false));
        patch.new = name.clone();
    } else if is_dev_null(second) {
        name = traditional_name(first, strip, None);
        (patch.creates, patch.deletes) = (Some(false), Some(true));
        patch.old = name.clone();
    } else {
        let old = traditional_name(first, strip, None);
        name = traditional_name(second, strip, old.as_ref());
        if is_epoch(first) {
            (patch.creates, patch.deletes) = (Some(true), Some(false));
            patch.new = name.clone();
        } else if is_epoch(second) {
            (patch.creates, patch.deletes) = (Some(false), Some(true));
            patch.old = name.clone();
        } else {
            patch.old = name.clone();
            patch.new = name.clone();
        }
    }
    match name {
        Some(_) => Ok(patch),
        None => Err(PatchError::malformed(
            number,
            "the header does not tell the file's name; names begin with `a/` and `b/`",
        )),
    }
}

/// How many folders a traditional name suggests to leave out: none, if it is in no folder.
pub(super) fn suggests_no_strip(name: &[u8]) -> Option<bool> {
    if is_dev_null(name) {
        return None;
    }
    let name = traditional_name(name, 0, None)?;
    Some(!name.contains(&b'/'))
}
