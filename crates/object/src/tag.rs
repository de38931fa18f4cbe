//! Annotated tags.

use bstr::{BString, ByteSlice, ByteVec};

use crate::commit::{push_id, push_signature};
use crate::header_lines::HeaderLines;
use crate::{DecodeError, ObjectId, ObjectKind, Signature};

/// An annotated tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The object it names.
    pub target: ObjectId,
    /// What that object is.
    pub target_kind: ObjectKind,
    /// The tag's own name, without `refs/tags/`.
    pub name: BString,
    /// Who tagged; missing in very old tags, and where the line says nothing that Git would show.
    pub tagger: Option<Signature>,
    /// The message, byte for byte, with a signature that may follow it.
    pub message: BString,
}

impl Tag {
    /// Reads a tag's bytes.
    pub fn parse(data: &[u8]) -> Result<Tag, DecodeError> {
        parse(data).map_err(|reason| DecodeError {
            kind: ObjectKind::Tag,
            reason,
        })
    }

    /// The tag's bytes, as Git writes them.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(192 + self.message.len());
        push_id(&mut out, "object", &self.target);
        out.push_str(format!("type {}\ntag ", self.target_kind));
        out.push_str(&self.name);
        out.push(b'\n');
        if let Some(tagger) = &self.tagger {
            push_signature(&mut out, "tagger", tagger);
        }
        out.push(b'\n');
        out.push_str(&self.message);
        out
    }
}

/// The object a tag names and its kind, without reading anything else.
pub fn tag_target(data: &[u8]) -> Result<(ObjectId, ObjectKind), DecodeError> {
    let mut lines = HeaderLines::new(data);
    target(&mut lines).map_err(|reason| DecodeError {
        kind: ObjectKind::Tag,
        reason,
    })
}

fn target(lines: &mut HeaderLines<'_>) -> Result<(ObjectId, ObjectKind), &'static str> {
    let target = lines.id("object")?.ok_or("it names no object")?;
    let word = lines
        .value("type")
        .ok_or("it does not say what its object is")?;
    let kind = ObjectKind::from_bytes(word).ok_or("its object is of an unknown kind")?;
    Ok((target, kind))
}

fn parse(data: &[u8]) -> Result<Tag, &'static str> {
    let mut lines = HeaderLines::new(data);
    let (target, target_kind) = target(&mut lines)?;
    let name = lines.value("tag").ok_or("it has no name")?.as_bstr().into();
    let tagger = lines.value("tagger").and_then(Signature::parse);
    while lines.folded().is_some() {}
    Ok(Tag {
        target,
        target_kind,
        name,
        tagger,
        message: lines.message().into(),
    })
}
