//! The `bundle-uri` command of version 2: where bundles are that a clone may begin with.
//!
//! What a client fetches there it has; the clone goes on as a fetch of what is newer.

use crate::error::{WireError, quote};
use crate::pktline::PacketWriter;
use crate::v2::Arguments;

/// The answer that names one bundle. `uri` may be relative to the URL of the repository, which clients then put before it, with
/// what that has of a name and a password.
pub fn list_of_bundle(uri: &str) -> Vec<Vec<u8>> {
    let uri = format!("bundle.clone.uri={uri}");
    let lines = ["bundle.version=1", "bundle.mode=all", uri.as_str()];
    lines.map(|line| line.as_bytes().to_vec()).to_vec()
}

/// Answers `bundle-uri`, which takes no arguments.
pub(crate) fn bundle_uri(
    arguments: &mut Arguments<'_, '_>,
    lines: &[Vec<u8>],
    out: &mut PacketWriter<'_>,
) -> Result<(), WireError> {
    if let Some(line) = arguments.next()? {
        return Err(WireError::Verbatim(format!(
            "bundle-uri: unexpected argument: {}",
            quote(line)
        )));
    }
    for line in lines {
        out.data(&[line.as_slice()])?;
    }
    Ok(out.flush()?)
}
