//! Asking for the refs in version 2.

use bstr::ByteSlice;
use packhouse_object::RefName;
use packhouse_wire::pktline::PacketWriter;
use packhouse_wire::{AGENT, OBJECT_FORMAT, parse_id};

use super::advertisement::{Advertisement, read_line};
use super::lines;
use crate::remote::conversation::Conversation;
use crate::remote::error::Failures;
use crate::remote::refs::RemoteRefs;
use crate::remote::{RemoteError, RemoteOptions};

/// All refs of the other side.
pub(crate) fn ls_refs(
    conversation: &mut Conversation<'_>,
    advertisement: &Advertisement,
    options: &RemoteOptions,
) -> Result<RemoteRefs, RemoteError> {
    let failures = conversation.failures.clone();
    let request = lines(|out| {
        begin_command(out, "ls-refs", advertisement)?;
        out.data(&[b"peel\n"])?;
        out.data(&[b"symrefs\n"])?;
        if advertisement.offers("ls-refs", "unborn") {
            out.data(&[b"unborn\n"])?;
        }
        for prefix in &options.ref_prefixes {
            out.text(format_args!("ref-prefix {prefix}\n"))?;
        }
        out.flush()
    })
    .map_err(|error| failures.io(&error))?;
    conversation.send(request)?;
    let mut refs = RemoteRefs::default();
    while let Some(line) = read_line(conversation.reader(), &failures)? {
        take_line(&line, &mut refs, &failures)?;
        if refs.lines() > options.refs_max {
            let refs_max = options.refs_max;
            return Err(failures.unsupported(format!("so few refs as {refs_max}")));
        }
    }
    refs.sort();
    Ok(refs)
}

/// The beginning of a command, up to and with the mark before its arguments.
pub(super) fn begin_command(
    out: &mut PacketWriter<'_>,
    command: &str,
    advertisement: &Advertisement,
) -> std::io::Result<()> {
    out.text(format_args!("command={command}\n"))?;
    if advertisement.can("agent") {
        out.text(format_args!("agent={AGENT}"))?;
    }
    if advertisement.can("object-format") {
        out.text(format_args!("object-format={OBJECT_FORMAT}"))?;
    }
    out.delim()
}

/// `<id> <name>` or `unborn <name>`, then attributes.
fn take_line(line: &[u8], refs: &mut RemoteRefs, failures: &Failures) -> Result<(), RemoteError> {
    let wrong = || failures.not_git(format!("it has no ref line '{}'", super::shown(line)));
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(id), Some(name)) = (words.next(), words.next()) else {
        return Err(wrong());
    };
    let (mut peeled, mut symref) = (None, None);
    for word in words {
        if let Some(id) = word.strip_prefix(b"peeled:") {
            peeled = Some(parse_id(id).ok_or_else(wrong)?);
        } else if let Some(target) = word.strip_prefix(b"symref-target:") {
            symref = RefName::parse(target).ok();
        }
    }
    if name == b"HEAD" {
        refs.head_ref = symref;
    }
    if id != b"unborn" {
        refs.add(name.as_bstr(), parse_id(id).ok_or_else(wrong)?, peeled);
    }
    Ok(())
}
