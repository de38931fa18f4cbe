//! Mirrors that turn out to be damaged while something is made of them: they are fetched again, each once.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::inner::Inner;
use super::mirror;
use super::record::MirrorRecord;
use super::source::Upstream;
use super::{CacheError, CallOptions};

/// Whose mirror could not be read: that of a repository, or of a submodule of it.
#[derive(Debug, Default)]
pub(super) struct Damaged(RefCell<Option<Upstream>>);

impl Damaged {
    /// Notes whose mirror an error is about, if it is about one and nothing inside of it was noted before.
    pub(super) fn note(&self, error: &CacheError, upstream: &Upstream) {
        if matches!(error, CacheError::Store(_)) {
            self.0.borrow_mut().get_or_insert_with(|| upstream.clone());
        }
    }
}

/// Does `work`, again for each mirror that could not be read and was fetched again. Where it does not say which one, it is
/// that of `upstream`, whose new record it is given.
pub(super) fn mending<T>(
    inner: &Inner,
    upstream: &Upstream,
    call: &CallOptions<'_>,
    mut work: impl FnMut(&Damaged, Option<MirrorRecord>) -> Result<T, CacheError>,
) -> Result<T, CacheError> {
    let mut fetched = BTreeSet::new();
    let mut newest = None;
    loop {
        let damaged = Damaged::default();
        let error = match work(&damaged, newest.clone()) {
            Err(error @ CacheError::Store(_)) => error,
            done => return done,
        };
        let of = damaged.0.take().unwrap_or_else(|| upstream.clone());
        if !fetched.insert(of.key.clone()) {
            return Err(error);
        }
        let _using = inner.using(&of.key, call)?;
        let record = mirror::rebuild(inner, &of, call)?;
        if of.key == upstream.key {
            newest = Some(record);
        }
    }
}
