//! Lines that all versions of a fetch share.

use packhouse_object::ObjectId;

use crate::error::{WireError, quote};
use crate::filter_spec::FilterSpec;
use crate::ids::parse_id;
use crate::upload_pack::FetchOptions;

/// The id of a `have` line.
pub(crate) fn parse_have(hex: &[u8]) -> Result<ObjectId, WireError> {
    parse_id(hex)
        .ok_or_else(|| WireError::refused(format!("expected SHA1 object, got {}", quote(hex))))
}

/// The filter of a `filter` line, of which a request has one.
pub(crate) fn read_filter(
    spec: &[u8],
    filter: &mut Option<FilterSpec>,
    options: &FetchOptions,
) -> Result<(), WireError> {
    if filter.is_some() {
        return Err(WireError::refused(
            "multiple filter-specs cannot be combined",
        ));
    }
    *filter = Some(options.filter.read(spec)?);
    Ok(())
}
