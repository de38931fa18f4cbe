//! Which entry a name or a source is, and how a new one is called.

use super::inner::Inner;
use super::moment::Moment;
use super::name::{EntryName, candidates};
use super::record::{EntryRecord, Kept};
use super::source::Source;
use super::{CacheError, CacheType, mend_index};

/// The entry of this name.
pub(super) fn find(inner: &Inner, name: &str) -> Result<EntryRecord, CacheError> {
    let not_found = || CacheError::NotFound {
        name: name.to_owned(),
    };
    let name = EntryName::parse(name).map_err(|_| not_found())?;
    inner.index.entry(&name)?.ok_or_else(not_found)
}

/// The entry of a source, which is made if there is none.
pub(super) fn reserve(
    inner: &Inner,
    source: &Source,
    name: Option<&EntryName>,
) -> Result<EntryRecord, CacheError> {
    if let Some(name) = name {
        return reserve_name(inner, source, name)?.map_err(|taken| {
            match Source::parse(&taken, &inner.root) {
                // Whoever names both means that entry.
                Ok(now) if now.key == source.key => now.instead_of(&taken),
                _ => CacheError::NameTaken {
                    name: name.to_string(),
                    source_url: taken,
                },
            }
        });
    }
    let mut of_source = inner.index.entries_of(&source.key)?;
    if !of_source.is_empty() {
        return Ok(of_source.swap_remove(0));
    }
    let mut last = None;
    for name in candidates(&source.parts, &source.key) {
        match reserve_name(inner, source, &name) {
            Ok(Ok(record)) => return Ok(record),
            Ok(Err(source_url)) => {
                let name = name.to_string();
                last = Some(CacheError::NameTaken { name, source_url });
            }
            Err(error @ CacheError::Occupied { .. }) => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.expect("every source has names to try"))
}

/// The entry of this name, or the source that has it.
fn reserve_name(
    inner: &Inner,
    source: &Source,
    name: &EntryName,
) -> Result<Result<EntryRecord, String>, CacheError> {
    let place = inner.root.tree(name);
    loop {
        let mut found = inner.index.entry(name)?;
        let is_taken = found.is_none() && std::fs::symlink_metadata(&place).is_ok();
        if is_taken {
            // Another process may have added it just now.
            found = inner.index.entry(name)?;
        }
        if let Some(record) = found {
            return Ok(match record.source_key == source.key {
                true => Ok(record),
                false => Err(record.kept.source_url),
            });
        }
        let record = match is_taken {
            false => new_record(source, name),
            // One that the catalog lost, and nobody's own folder, is found again.
            true => match mend_index::noted(&inner.root, name) {
                Some(noted) => noted,
                None => return Err(CacheError::Occupied { path: place }),
            },
        };
        if inner.index.insert(&record)? && !is_taken {
            return Ok(Ok(record));
        }
    }
}

fn new_record(source: &Source, name: &EntryName) -> EntryRecord {
    let created = Moment::now();
    EntryRecord {
        name: name.clone(),
        source_key: source.key.clone(),
        accessed_ms: created.wall_ms,
        tree_bytes: 0,
        kept: Kept {
            id: uuid::Uuid::new_v4().simple().to_string(),
            source_url: source.shown.clone(),
            is_local: source.cache_type == CacheType::Local,
            created,
            updated: None,
            tree: None,
            next: None,
            spare_bytes: 0,
            mirror: None,
            // Until there is a copy.
            error: Some("the first copy was not completed".to_owned()),
            remote: None,
        },
    }
}
