//! Copying all that some objects reach as one pack, keeping the deltas there are.
//!
//! The pack is written into a pipe and received at its other end like one from a stranger, so that
//! what arrives is checked: syntax, ids, and that nothing is missing.

use std::io::{self, BufReader, BufWriter, ErrorKind, Write};
use std::path::Path;

use packhouse_object::{
    Counted, Database, ObjectId, PackOptions, Progress, ReadError, ReceiveError, ReceiveLimits,
    Received, Wanted, WritePackError, count_objects, receive_pack, write_pack,
};

/// Piped through memory at once.
const BUFFER_BYTES: usize = 256 << 10;

/// Objects could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// What is reachable could not be found out.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The objects could not be sent.
    #[error(transparent)]
    Write(#[from] WritePackError),
    /// The objects are not sound, or could not be stored.
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    /// The system has no pipe left.
    #[error("could not make a pipe")]
    Pipe(#[source] io::Error),
}

/// What becomes of a copy that is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Small {
    /// Objects in memory.
    AsObjects,
    /// A pack, as of any size.
    AsPack,
}

/// Copies everything that `wants` reach in `from` into the folder `dir`.
pub(crate) fn copy_reachable(
    from: &Database,
    wants: Vec<ObjectId>,
    dir: &Path,
    base: &Database,
    small: Small,
    progress: &dyn Progress,
) -> Result<Received, CopyError> {
    let wanted = Wanted {
        wants,
        ..Wanted::default()
    };
    copy_objects(from, &wanted, dir, base, &limits(small), progress)
}

/// Copies what is wanted of `from` for a repository whose objects are `base`. A large copy is a pack in the folder
/// `dir`; nothing is visible yet.
pub fn copy_objects(
    from: &Database,
    wanted: &Wanted,
    dir: &Path,
    base: &Database,
    limits: &ReceiveLimits,
    progress: &dyn Progress,
) -> Result<Received, CopyError> {
    let counted = count_objects(from, wanted, progress)?;
    let (reader, writer) = io::pipe().map_err(CopyError::Pipe)?;
    let (received, written) = std::thread::scope(|scope| {
        let sending = scope.spawn(|| send(from, &counted, wanted.thin, writer, progress));
        // The reader goes before the sender is waited for, which stops if nobody reads.
        let received = {
            let mut reader = BufReader::with_capacity(BUFFER_BYTES, reader);
            receive_pack(&mut reader, dir, base, limits, progress)
        };
        let written = sending
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (received, written)
    });
    match (received, written) {
        // Whichever failed first made the other fail.
        (Err(receive), Err(write)) if is_broken_pipe(&write) => Err(receive.into()),
        (_, Err(write)) => Err(write.into()),
        (received, Ok(())) => Ok(received?),
    }
}

fn send(
    from: &Database,
    counted: &Counted,
    thin: bool,
    writer: io::PipeWriter,
    progress: &dyn Progress,
) -> Result<(), WritePackError> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, writer);
    write_pack(
        from,
        counted,
        &PackOptions {
            ofs_delta: true,
            thin,
        },
        &mut out,
        progress,
    )?;
    Ok(out.flush()?)
}

/// No limit but on memory: the objects are those of a whole repository, and nobody waits for an answer.
fn limits(small: Small) -> ReceiveLimits {
    let limits = ReceiveLimits {
        pack_bytes: u64::MAX,
        objects: u64::from(u32::MAX),
        object_bytes: u64::MAX,
        expansion_bytes: u64::MAX,
        ..ReceiveLimits::default()
    };
    match small {
        Small::AsObjects => limits,
        Small::AsPack => ReceiveLimits {
            small_pack_bytes: 0,
            small_objects: 0,
            small_object_bytes: 0,
            ..limits
        },
    }
}

fn is_broken_pipe(error: &WritePackError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
        {
            return true;
        }
        cause = error.source();
    }
    false
}
