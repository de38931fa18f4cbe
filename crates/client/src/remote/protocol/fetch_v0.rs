//! Negotiating in versions 0 and 1.
//!
//! Over a connection that stays, the wants are said once. In single requests, each repeats them and what is known.

use bstr::ByteSlice;
use packhouse_object::ObjectId;
use packhouse_wire::pktline::PacketWriter;
use packhouse_wire::{AGENT, parse_id};

use super::advertisement::{Advertisement, read_line};
use super::fetch::{Bands, FetchRequest};
use super::haves::{Haves, Patience};
use super::lines;
use crate::remote::RemoteError;
use crate::remote::conversation::Conversation;
use crate::remote::error::Failures;

/// Speaks until the pack follows.
pub(super) fn negotiate(
    conversation: &mut Conversation<'_>,
    advertisement: &Advertisement,
    request: &FetchRequest<'_>,
) -> Result<Bands, RemoteError> {
    let failures = conversation.failures.clone();
    if advertisement.shallow {
        return Err(RemoteError::Shallow { url: failures.url });
    }
    let io = |error: std::io::Error| failures.io(&error);
    let stateless = conversation.is_stateless();
    let wants = lines(|out| wants(out, advertisement, &request.wants)).map_err(io)?;
    let mut haves = Haves::new(request.database, &request.haves)?;
    let mut patience = Patience::new();
    let mut common: Vec<ObjectId> = Vec::new();
    // Without it, the server says nothing by which a walk could be cut short, and its first word ends the talk.
    let detailed = advertisement.can("multi_ack_detailed");
    let mut said_wants = false;
    loop {
        let batch = match detailed {
            true => patience.batch(&mut haves)?,
            false => Vec::new(),
        };
        let done = batch.is_empty();
        let mut question = Vec::new();
        if stateless || !said_wants {
            question.extend_from_slice(&wants);
            said_wants = true;
        }
        let repeated: &[ObjectId] = match stateless {
            true => &common,
            false => &[],
        };
        question.extend(
            lines(|out| {
                for have in repeated.iter().chain(&batch) {
                    out.text(format_args!("have {have}\n"))?;
                }
                if !done {
                    return out.flush();
                }
                if !detailed {
                    for have in &request.haves {
                        out.text(format_args!("have {have}\n"))?;
                    }
                }
                out.data(&[b"done\n"])
            })
            .map_err(io)?,
        );
        conversation.send(question)?;
        let round = read_round(conversation, done, &failures)?;
        for id in round.common {
            patience.found();
            haves.mark_common(id)?;
            common.push(id);
        }
        common.sort_unstable();
        common.dedup();
        if done {
            return Ok(bands(advertisement));
        }
        if round.ready {
            patience.enough();
        }
    }
}

fn wants(
    out: &mut PacketWriter<'_>,
    advertisement: &Advertisement,
    wants: &[ObjectId],
) -> std::io::Result<()> {
    let mut words: Vec<String> = [
        "multi_ack_detailed",
        "side-band-64k",
        "side-band",
        "thin-pack",
        "ofs-delta",
    ]
    .into_iter()
    .filter(|word| advertisement.can(word))
    .map(str::to_owned)
    .collect();
    if words.iter().any(|word| word == "side-band-64k") {
        words.retain(|word| word != "side-band");
    }
    if advertisement.can("agent") {
        words.push(format!("agent={AGENT}"));
    }
    if advertisement.can("object-format") {
        words.push(format!("object-format={}", packhouse_wire::OBJECT_FORMAT));
    }
    let mut words = format!(" {}", words.join(" "));
    for want in wants {
        out.text(format_args!("want {want}{words}\n"))?;
        words.clear();
    }
    out.flush()
}

fn bands(advertisement: &Advertisement) -> Bands {
    match advertisement.can("side-band-64k") || advertisement.can("side-band") {
        true => Bands::Some,
        false => Bands::None,
    }
}

struct Round {
    common: Vec<ObjectId>,
    ready: bool,
}

/// Reads acknowledgments up to the `NAK` that ends them or, after the last haves, up to the one before the pack.
fn read_round(
    conversation: &mut Conversation<'_>,
    done: bool,
    failures: &Failures,
) -> Result<Round, RemoteError> {
    let mut round = Round {
        common: Vec::new(),
        ready: false,
    };
    loop {
        let Some(line) = read_line(conversation.reader(), failures)? else {
            return Err(failures.not_git("its answer ends without a pack"));
        };
        if line == "NAK" {
            return Ok(round);
        }
        let wrong = || failures.not_git(format!("it answers '{}'", super::shown(&line)));
        let rest = line.strip_prefix(b"ACK ").ok_or_else(wrong)?;
        let (id, word) = rest.split_once_str(" ").unwrap_or((rest, b""));
        let id = parse_id(id).ok_or_else(wrong)?;
        match word {
            b"common" | b"continue" => round.common.push(id),
            b"ready" => {
                round.ready = true;
                round.common.push(id);
            }
            b"" if done => return Ok(round),
            _ => return Err(wrong()),
        }
    }
}
