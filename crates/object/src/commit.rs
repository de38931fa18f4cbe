//! Commits: read, written, and skimmed for what a walk needs.

use bstr::{BStr, BString, ByteSlice, ByteVec};

use crate::header_lines::HeaderLines;
use crate::{DecodeError, ObjectId, ObjectKind, Signature};

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The folder it is a snapshot of.
    pub tree: ObjectId,
    /// The commits it follows; none for the first one, several for a merge.
    pub parents: Vec<ObjectId>,
    /// Who made the change.
    pub author: Signature,
    /// Who recorded it.
    pub committer: Signature,
    /// Further headers in their order (`encoding`, `gpgsig`, `mergetag`, …); a value's lines are
    /// joined by `\n`, without the space that continues a header.
    pub extra_headers: Vec<(BString, BString)>,
    /// The message, byte for byte.
    pub message: BString,
}

impl Commit {
    /// Reads a commit's bytes, as tolerantly as Git does: all it needs is a tree and parents that are ids. Who made it, or
    /// when, is empty if the line is missing or says nothing that Git would show.
    pub fn parse(data: &[u8]) -> Result<Commit, DecodeError> {
        parse(data).map_err(|reason| DecodeError {
            kind: ObjectKind::Commit,
            reason,
        })
    }

    /// The commit's bytes, as Git writes them.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.message.len());
        push_id(&mut out, "tree", &self.tree);
        for parent in &self.parents {
            push_id(&mut out, "parent", parent);
        }
        push_signature(&mut out, "author", &self.author);
        push_signature(&mut out, "committer", &self.committer);
        for (name, value) in &self.extra_headers {
            out.push_str(name);
            for line in value.split(|&byte| byte == b'\n') {
                out.push(b' ');
                out.push_str(line);
                out.push(b'\n');
            }
        }
        out.push(b'\n');
        out.push_str(&self.message);
        out
    }

    /// The value of the first extra header of this name.
    pub fn header(&self, name: &str) -> Option<&BStr> {
        let found = self.extra_headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_bstr())
    }
}

/// The signature of a signed commit, and the bytes that were signed: all but the signatures, as `git verify-commit`
/// takes them. `None` if it is not signed.
pub fn signed_commit(data: &[u8]) -> Option<(BString, BString)> {
    let header_len = data.find(b"\n\n").map_or(data.len(), |at| at + 1);
    let (header, rest) = data.split_at(header_len);
    let mut signature: Option<BString> = None;
    let mut payload = BString::new(Vec::with_capacity(data.len()));
    let (mut in_signature, mut in_other) = (false, false);
    for line in header.lines_with_terminator() {
        let continued = line.strip_prefix(b" ");
        if let Some(part) = line
            .strip_prefix(b"gpgsig ")
            .or(continued.filter(|_| in_signature))
        {
            signature.get_or_insert_default().push_str(part);
            (in_signature, in_other) = (true, false);
            continue;
        }
        in_signature = false;
        in_other = line.starts_with(b"gpgsig") || in_other && continued.is_some();
        if !in_other {
            payload.push_str(line);
        }
    }
    payload.push_str(rest);
    Some((signature?, payload))
}

fn parse(data: &[u8]) -> Result<Commit, &'static str> {
    let mut lines = HeaderLines::new(data);
    let tree = lines.id("tree")?.ok_or("it names no tree")?;
    let mut parents = Vec::new();
    while let Some(parent) = lines.id("parent")? {
        parents.push(parent);
    }
    let mut author = lines.value("author").map(Signature::parse);
    let mut committer = lines.value("committer").map(Signature::parse);
    let mut extra_headers = Vec::new();
    while let Some((name, value)) = lines.folded() {
        // They may stand anywhere, and more than once; then Git shows the last.
        match name.as_slice() {
            b"author" => author = Some(Signature::parse(first_line(&value))),
            b"committer" => committer = Some(Signature::parse(first_line(&value))),
            _ => extra_headers.push((name, value)),
        }
    }
    Ok(Commit {
        tree,
        parents,
        author: author.flatten().unwrap_or_default(),
        committer: committer.flatten().unwrap_or_default(),
        extra_headers,
        message: lines.message().into(),
    })
}

fn first_line(value: &BString) -> &[u8] {
    value.lines().next().unwrap_or_default()
}

pub(crate) fn push_id(out: &mut Vec<u8>, name: &str, id: &ObjectId) {
    out.push_str(name);
    out.push(b' ');
    let mut hex = gix_hash::Kind::hex_buf();
    out.push_str(id.hex_to_buf(&mut hex));
    out.push(b'\n');
}

pub(crate) fn push_signature(out: &mut Vec<u8>, name: &str, signature: &Signature) {
    out.push_str(name);
    out.push(b' ');
    signature.write_to(out);
    out.push(b'\n');
}

/// A commit's tree, parents and committer time (seconds since the epoch, 0 if unreadable),
/// without reading anything else.
pub fn commit_links(data: &[u8]) -> Result<(ObjectId, Vec<ObjectId>, i64), DecodeError> {
    let malformed = |reason| DecodeError {
        kind: ObjectKind::Commit,
        reason,
    };
    let mut lines = HeaderLines::new(data);
    let tree = lines
        .id("tree")
        .map_err(malformed)?
        .ok_or(malformed("it names no tree"))?;
    let mut parents = Vec::with_capacity(1);
    while let Some(parent) = lines.id("parent").map_err(malformed)? {
        parents.push(parent);
    }
    Ok((tree, parents, committer_time(lines.rest()).unwrap_or(0)))
}

/// The committer's time as Git's walk reads it before Git 2.41: the number after the first `>` that follows, be it on another line
/// (newer ones take the last of the committer's line, which is the same where the line is well-formed). It counts only if something
/// follows the line that it is on. As C has it, one that is too large counts as the largest, and one below zero wraps around, so
/// that it is nearly as large. Of those the lower bits stay as they are, which are all that a commit graph has of any.
fn committer_time(headers: &[u8]) -> Option<i64> {
    let author = headers.strip_prefix(b"author")?;
    let committer = author[author.find_byte(b'\n')? + 1..].strip_prefix(b"committer")?;
    let after = &committer[committer.find_byte(b'>')? + 1..];
    if after.find_byte(b'\n')? + 1 == after.len() {
        return None;
    }
    let number = after.trim_start_with(|char| matches!(char, '\t'..='\r' | ' '));
    let (is_negative, digits) = match number.split_first()? {
        (b'-', digits) => (true, digits),
        (b'+', digits) => (false, digits),
        _ => (false, number),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let value = digits.into_iter().try_fold(0u64, |value, digit| {
        value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    let value = match value {
        Some(value) if is_negative => value.wrapping_neg(),
        Some(value) => value,
        None => u64::MAX,
    };
    const LOWER: u64 = u32::MAX as u64 | 3 << 32;
    Some(i64::try_from(value).unwrap_or(i64::MAX & !(LOWER as i64) | (value & LOWER) as i64))
}
