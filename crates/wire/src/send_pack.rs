//! The end of every fetch: the objects that the client lacks, in one pack.

use std::sync::Arc;

use packhouse_object::{
    CountLimits, IdSet, ObjectFilter, ObjectId, ObjectKind, PackOptions, ReadError, SparsePaths,
    Wanted, WritePackError, count_limited_to_send, write_to_send,
};

use crate::error::WireError;
use crate::filter_spec::FilterSpec;
use crate::pack_program;
use crate::pktline::PacketWriter;
use crate::send_progress::SendProgress;
use crate::shown::Shown;
use crate::sideband::{Bands, Sideband};
use crate::upload_pack::FetchOptions;

/// A negotiated fetch.
#[derive(Debug)]
pub(crate) struct PackRequest {
    /// What the client asks for; all of it exists.
    pub(crate) wants: Vec<ObjectId>,
    /// What the client has, with everything it reaches.
    pub(crate) haves: Vec<ObjectId>,
    /// Where history ends: for the client, now or from now on, and for the repository itself.
    pub(crate) shallow: IdSet,
    /// Which objects the client wants of those that the wants reach.
    pub(crate) filter: Option<FilterSpec>,
    /// Whether annotated tags of sent objects go with them.
    pub(crate) include_tags: bool,
    /// Whether deltas may be against objects that the client has.
    pub(crate) thin: bool,
    /// Whether deltas may name their base by its place in the pack.
    pub(crate) ofs_delta: bool,
    /// Whether the client wants to see progress.
    pub(crate) progress: bool,
    /// How the client tells pack and progress apart.
    pub(crate) bands: Bands,
}

/// A larger blob with the paths of a filter is not read.
const SPARSE_BYTES_MAX: u64 = 4 << 20;

/// Counts, writes and sends the pack, which ends the answer.
pub(crate) fn send_pack(
    request: PackRequest,
    shown: &Shown<'_>,
    out: PacketWriter<'_>,
    options: &FetchOptions,
) -> Result<(), WireError> {
    let sideband = Sideband::new(out, request.bands, options.keepalive);
    let sent = count_and_write(&request, shown, &sideband, options);
    match sent {
        Ok(()) => Ok(sideband.finish()?),
        Err(Unsent::Filter(message)) => {
            sideband.progress_bytes(format!("fatal: {message}\n").as_bytes())?;
            sideband.error(CORRUPTION)?;
            sideband.finish()?;
            Err(WireError::Filter(message))
        }
        Err(Unsent::Pack(error)) if sideband.is_broken() || options.is_cancelled() => Err(
            WireError::Gone(std::io::Error::new(std::io::ErrorKind::BrokenPipe, error)),
        ),
        Err(Unsent::Pack(error)) => {
            match &error {
                WritePackError::Read(too_large @ ReadError::TooLarge { .. }) => {
                    sideband.error(&format!("{too_large}\n"))?;
                }
                _ => sideband.error(CORRUPTION)?,
            }
            sideband.finish()?;
            Err(WireError::Pack(error))
        }
    }
}

/// What git's server says when its `pack-objects` fails, for whatever reason but those that it does not have.
const CORRUPTION: &str = "aborting due to possible repository corruption on the remote side.\n";

/// Why there is no pack.
enum Unsent {
    Pack(WritePackError),
    /// What is told of a filter that cannot be used, if possible in Git's words.
    Filter(String),
}

impl From<ReadError> for Unsent {
    fn from(error: ReadError) -> Unsent {
        match error {
            // Nothing is broken, as the client would be told otherwise.
            ReadError::TooManyPaths => Unsent::Filter(error.to_string()),
            error => Unsent::Pack(error.into()),
        }
    }
}

impl From<WritePackError> for Unsent {
    fn from(error: WritePackError) -> Unsent {
        Unsent::Pack(error)
    }
}

/// The paths in the blob that a filter names.
fn sparse_paths(name: &[u8], shown: &Shown<'_>) -> Result<SparsePaths, Unsent> {
    let Some(id) = shown.named_object(name)? else {
        let name = String::from_utf8_lossy(&name[..name.len().min(200)]);
        let message = format!("unable to access sparse blob in '{name}'");
        return Err(Unsent::Filter(message));
    };
    match shown.database().read_up_to(&id, SPARSE_BYTES_MAX) {
        Ok(Some(object)) if object.kind == ObjectKind::Blob => {
            Ok(SparsePaths::read(id, &object.data))
        }
        Ok(_) | Err(ReadError::TooLarge { .. }) => {
            let message = format!("unable to parse sparse filter data in {id}");
            Err(Unsent::Filter(message))
        }
        Err(error) => Err(error.into()),
    }
}

fn count_and_write(
    request: &PackRequest,
    shown: &Shown<'_>,
    sideband: &Sideband<'_>,
    options: &FetchOptions,
) -> Result<(), Unsent> {
    if let Some(program) = &options.pack_program {
        return Ok(pack_program::make(&**program, request, sideband)?);
    }
    let progress = SendProgress::new(sideband, options, request.progress);
    let wanted = Wanted {
        wants: request.wants.clone(),
        haves: request.haves.clone(),
        include_tags: if request.include_tags {
            annotated_tags(shown)
        } else {
            Vec::new()
        },
        thin: request.thin,
    };
    let db = shown.database();
    let filter = request.filter.as_ref();
    let filter = filter.map(|spec| spec.objects(&mut |name| sparse_paths(name, shown)));
    let limits = CountLimits {
        cut: request.shallow.clone(),
        filter: filter.transpose()?.unwrap_or_else(ObjectFilter::everything),
    };
    let to_send = match &options.counts {
        Some(counts) => counts.count(db, &wanted, &limits, &progress)?,
        None => Arc::new(count_limited_to_send(db, &wanted, &limits, &progress)?),
    };
    progress.counted(to_send.len());
    let pack_options = PackOptions {
        ofs_delta: request.ofs_delta,
        thin: request.thin,
    };
    let written = write_to_send(db, &to_send, &pack_options, &mut sideband.data(), &progress)?;
    progress.sent(&written);
    Ok(())
}

/// Every tag object that a ref names, with what it finally points to.
fn annotated_tags(shown: &Shown<'_>) -> Vec<(ObjectId, ObjectId)> {
    let mut tags = Vec::new();
    let visited = shown.visit(b"refs/tags/", &mut |line| {
        tags.extend(line.peeled.map(|peeled| (line.id, peeled)));
        Ok(())
    });
    debug_assert!(visited.is_ok(), "this visitor does not fail");
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_asks_for_too_much_is_no_corruption() {
        let unsent = Unsent::from(ReadError::TooManyPaths);
        let Unsent::Filter(message) = unsent else {
            panic!("told as corruption")
        };
        assert_eq!(message, "folders are at more paths than are looked at");
    }
}
