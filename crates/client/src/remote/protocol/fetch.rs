//! Fetching: what is wanted, what we have, and the pack that makes up the difference.

use std::io::Read;
use std::path::Path;

use packhouse_object::{
    Database, ObjectCache, ObjectId, Pack, Progress, ReceiveLimits, Received, receive_pack,
};
use packhouse_wire::Version;
use packhouse_wire::pktline::PacketReader;

use super::advertisement::Advertisement;
use super::demux::Demux;
use crate::remote::conversation::Conversation;
use crate::remote::error::Failures;
use crate::remote::options::Messages;
use crate::remote::{RemoteError, RemoteOptions};

/// What a fetch is about.
#[derive(Clone, Debug)]
pub struct FetchRequest<'a> {
    /// Objects to get with all they reach.
    pub wants: Vec<ObjectId>,
    /// Objects that are here with all they reach: the targets of our refs.
    pub haves: Vec<ObjectId>,
    /// Our objects. What comes may build on them.
    pub database: &'a Database,
    /// Where a large pack is kept until its caller makes it part of the repository.
    pub quarantine: &'a Path,
}

/// How a pack is read from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bands {
    None,
    Some,
}

/// Negotiates and receives. The wants must not be empty.
pub(crate) fn fetch(
    conversation: &mut Conversation<'_>,
    advertisement: &Advertisement,
    request: &FetchRequest<'_>,
    options: &RemoteOptions,
    progress: &dyn Progress,
) -> Result<Received, RemoteError> {
    let bands = match advertisement.version {
        Version::V2 => super::fetch_v2::negotiate(conversation, advertisement, request)?,
        _ => super::fetch_v0::negotiate(conversation, advertisement, request)?,
    };
    let failures = conversation.failures.clone();
    let received = receive(
        conversation.reader(),
        bands,
        request,
        &options.limits,
        options.messages.clone(),
        &failures,
        progress,
    )?;
    check_all_came(request, &received)?;
    Ok(received)
}

fn receive(
    reader: &mut PacketReader<'_>,
    bands: Bands,
    request: &FetchRequest<'_>,
    limits: &ReceiveLimits,
    messages: Option<Messages>,
    failures: &Failures,
    progress: &dyn Progress,
) -> Result<Received, RemoteError> {
    let unpack = |input: &mut dyn Read| {
        receive_pack(
            input,
            request.quarantine,
            request.database,
            limits,
            progress,
        )
        .map_err(|error| failures.receive(error))
    };
    match bands {
        Bands::None => unpack(reader.rest()),
        Bands::Some => {
            let mut demux = Demux::new(reader, messages);
            let received = unpack(&mut demux)?;
            demux.drain().map_err(|error| failures.io(&error))?;
            Ok(received)
        }
    }
}

/// A server that sends a sound pack may still have sent another than was asked for.
fn check_all_came(request: &FetchRequest<'_>, received: &Received) -> Result<(), RemoteError> {
    let with_received = match received {
        Received::Small(objects) => request.database.with_objects(objects.iter().cloned()),
        Received::Large(finished) => {
            let pack = Pack::open(&finished.pack, &finished.idx).map_err(|error| {
                RemoteError::Send(
                    packhouse_object::ReadError::Pack {
                        id: finished.checksum,
                        source: error,
                    }
                    .into(),
                )
            })?;
            let nothing = Database::new(ObjectCache::new(0).into(), 0);
            nothing.with_packs(vec![pack.into()])
        }
    };
    for want in &request.wants {
        if !with_received.contains(want)? && !request.database.contains(want)? {
            return Err(RemoteError::NotSent { id: *want });
        }
    }
    Ok(())
}
