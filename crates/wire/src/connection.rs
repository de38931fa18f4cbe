//! Whole connections: what git's programs say over SSH, local pipes and `git://`, from the first line to the last.
//!
//! The two sides take turns, so what was written is sent before anything more is read. A connection is its offer and then
//! what follows it: who has something to do between the two, such as to wait for the client's first word without a
//! thread, calls [`upload_pack_offer`] and [`upload_pack`] (with [`Rounds::Many`]), or [`receive_pack_offer`] and
//! [`receive_pack`].

use std::io::{Read, Write};

use crate::advertise::offer_fetch;
use crate::error::WireError;
use crate::pktline::PacketWriter;
use crate::push_offer::offer_push;
use crate::receive_pack::{ReceiveOptions, ReceiveSummary, receive_pack};
use crate::sink::Sink;
use crate::source::Source;
use crate::upload_pack::{FetchOptions, Rounds, upload_pack};
use crate::version::Version;

/// Writes what a fetch begins with, without the line that only HTTP has before it: `git upload-pack
/// --http-backend-info-refs`.
pub fn upload_pack_offer(
    version: Version,
    source: &dyn Source,
    out: &mut (dyn Write + Send),
    options: &FetchOptions,
) -> Result<(), WireError> {
    let mut out = PacketWriter::new(out);
    offer_fetch(version, source, options, &mut out)?;
    Ok(out.send()?)
}

/// Writes what a push begins with, in the same way.
pub fn receive_pack_offer(
    version: Version,
    source: &dyn Source,
    out: &mut (dyn Write + Send),
    options: &ReceiveOptions,
) -> Result<(), WireError> {
    let mut out = PacketWriter::new(out);
    offer_push(version, source, &options.offer, &mut out)?;
    Ok(out.send()?)
}

/// Serves `git upload-pack` over one connection: advertises, then answers until the client has what it wants or goes,
/// whatever number of rounds the options name.
///
/// An error has been told to the client when this returns it, unless it is that the client went away. A client that
/// ends the connection where a request could begin is no error.
pub fn upload_pack_connection(
    version: Version,
    input: &mut (dyn Read + Send),
    source: &dyn Source,
    out: &mut (dyn Write + Send),
    options: &FetchOptions,
) -> Result<(), WireError> {
    let options = FetchOptions {
        rounds: Rounds::Many,
        ..options.clone()
    };
    upload_pack_offer(version, source, out, &options)?;
    upload_pack(version, input, source, out, &options)
}

/// Serves `git receive-pack` over one connection: advertises, then takes one push, if there is one.
///
/// As [`receive_pack`] about errors and about input that is left.
pub fn receive_pack_connection(
    version: Version,
    input: &mut (dyn Read + Send),
    sink: &mut dyn Sink,
    source: &dyn Source,
    out: &mut (dyn Write + Send),
    options: &ReceiveOptions,
) -> Result<ReceiveSummary, WireError> {
    receive_pack_offer(version, source, out, options)?;
    receive_pack(input, sink, out, options)
}
