//! The client's side of the Git protocol, over any [`Conversation`](super::conversation::Conversation).

mod advertisement;
mod demux;
mod fetch;
mod fetch_v0;
mod fetch_v2;
mod haves;
mod ls_refs;
mod push;
mod report;

use packhouse_wire::pktline::PacketWriter;

pub(crate) use advertisement::Advertisement;
pub(crate) use fetch::fetch;
pub(crate) use haves::common;
pub(crate) use ls_refs::ls_refs;
pub(crate) use push::push;

pub use fetch::FetchRequest;
pub use push::{PushEdit, PushReport, PushRequest, PushStatus};

/// Text of the other side as a person may see it: nothing in it moves a cursor.
pub(crate) fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .trim_end()
        .chars()
        .map(|c| match c {
            '\t' => '\t',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect()
}

/// A request made of pkt-lines, in memory.
pub(crate) fn lines(
    write: impl FnOnce(&mut PacketWriter<'_>) -> std::io::Result<()>,
) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut out = PacketWriter::new(&mut bytes);
    write(&mut out)?;
    out.send()?;
    drop(out);
    Ok(bytes)
}
