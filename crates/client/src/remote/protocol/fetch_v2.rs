//! Negotiating in version 2: each request repeats what is known so far.

use packhouse_object::ObjectId;
use packhouse_wire::parse_id;
use packhouse_wire::pktline::Packet;

use super::advertisement::Advertisement;
use super::fetch::{Bands, FetchRequest};
use super::haves::{Haves, Patience};
use super::lines;
use super::ls_refs::begin_command;
use crate::remote::RemoteError;
use crate::remote::conversation::Conversation;
use crate::remote::error::Failures;

/// What the answer to one request came to.
enum Round {
    /// The pack follows.
    Pack,
    /// These are known to both sides.
    Common(Vec<ObjectId>),
}

/// Speaks until the pack follows.
pub(super) fn negotiate(
    conversation: &mut Conversation<'_>,
    advertisement: &Advertisement,
    request: &FetchRequest<'_>,
) -> Result<Bands, RemoteError> {
    let failures = conversation.failures.clone();
    let mut haves = Haves::new(request.database, &request.haves)?;
    let mut patience = Patience::new();
    let mut common = Vec::new();
    loop {
        let batch = patience.batch(&mut haves)?;
        let done = batch.is_empty();
        let question = lines(|out| {
            begin_command(out, "fetch", advertisement)?;
            for option in ["thin-pack", "ofs-delta"] {
                out.text(format_args!("{option}\n"))?;
            }
            for want in &request.wants {
                out.text(format_args!("want {want}\n"))?;
            }
            for have in common.iter().chain(&batch) {
                out.text(format_args!("have {have}\n"))?;
            }
            if done {
                out.data(&[b"done\n"])?;
            }
            out.flush()
        })
        .map_err(|error| failures.io(&error))?;
        conversation.send(question)?;
        match read_round(conversation, done, &failures)? {
            Round::Pack => return Ok(Bands::Some),
            Round::Common(found) => {
                for id in found {
                    patience.found();
                    haves.mark_common(id)?;
                    common.push(id);
                }
                common.sort_unstable();
                common.dedup();
            }
        }
    }
}

/// Reads sections up to the pack, or up to the end of an answer that has none.
fn read_round(
    conversation: &mut Conversation<'_>,
    done: bool,
    failures: &Failures,
) -> Result<Round, RemoteError> {
    loop {
        match section(conversation, failures)?.as_slice() {
            b"packfile" => return Ok(Round::Pack),
            b"acknowledgments" if !done => {
                if let Some(common) = acknowledgments(conversation, failures)? {
                    return Ok(Round::Common(common));
                }
            }
            // Only a server that is a shallow clone tells of it without being asked.
            b"shallow-info" => {
                return Err(RemoteError::Shallow {
                    url: failures.url.clone(),
                });
            }
            other => {
                return Err(failures.not_git(format!(
                    "its answer has a section '{}'",
                    super::shown(other)
                )));
            }
        }
    }
}

fn section(
    conversation: &mut Conversation<'_>,
    failures: &Failures,
) -> Result<Vec<u8>, RemoteError> {
    match super::advertisement::read_line(conversation.reader(), failures)? {
        Some(name) => Ok(name.into()),
        None => Err(failures.not_git("its answer ends without a pack")),
    }
}

/// What both have; `None` if the server knows enough and goes on to the pack.
fn acknowledgments(
    conversation: &mut Conversation<'_>,
    failures: &Failures,
) -> Result<Option<Vec<ObjectId>>, RemoteError> {
    let mut common = Vec::new();
    loop {
        let packet = conversation
            .reader()
            .require()
            .map_err(|error| failures.packet(error))?;
        match packet {
            Packet::Flush => return Ok(Some(common)),
            Packet::Delim => return Ok(None),
            _ => {}
        }
        match packet.text() {
            Some(b"NAK" | b"ready") => {}
            Some(line) => {
                let id = line
                    .strip_prefix(b"ACK ")
                    .and_then(parse_id)
                    .ok_or_else(|| {
                        failures.not_git(format!("it answers '{}'", super::shown(line)))
                    })?;
                common.push(id);
            }
            None => return Err(failures.not_git("a mark stands where a line has to")),
        }
    }
}
