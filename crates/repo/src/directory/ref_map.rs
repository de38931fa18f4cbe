//! From ref files to the refs of a view.

use std::collections::BTreeMap;
use std::sync::Arc;

use bstr::BString;
use packhouse_object::{Database, LooseError, ObjectId, PackError, ReadError, RefName};

use super::loose_refs::RawRef;
use super::packed_refs::PackedRefs;
use super::packed_text::Peeled;
use super::ref_store::RefState;
use crate::error::RepoError;
use crate::refs::{Ref, Refs};
use crate::view::peeled;

/// A ref that is on disk and not in the view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedRef {
    /// Its name, which need not be a valid one.
    pub name: BString,
    /// Why it is not in the view.
    pub reason: String,
}

/// Refs as a view has them, made anew only where the files changed.
#[derive(Debug, Default)]
pub(super) struct RefMap {
    packed: Arc<PackedRefs>,
    of_packed: Refs,
    skipped_of_packed: Vec<SkippedRef>,
    pub(super) refs: Refs,
    /// Refs that could not be taken over.
    pub(super) skipped: Vec<SkippedRef>,
    /// Those of them whose files name nothing, in the order of their names.
    pub(super) damaged: Arc<[BString]>,
    /// Those of them that Git lists without a value, in the order of their names: symbolic ones that lead nowhere it leaves out.
    pub(super) valueless: Arc<[BString]>,
    /// Refs that stand for other refs, with the refs they lead to. They are in `refs`, with the targets of those.
    pub(super) symbolic: Arc<BTreeMap<RefName, RefName>>,
}

impl RefMap {
    /// The refs of `state`, with what is known from `before`.
    pub(super) fn build(
        state: &RefState,
        before: &RefMap,
        database: &Database,
    ) -> Result<RefMap, RepoError> {
        let known = &before.refs;
        let peel = |name: &RefName, target: ObjectId| match known.get(name) {
            Some(present) if present.target == target => Ok(present.peeled),
            _ => peeled_if_whole(database, target),
        };
        let mut map = RefMap {
            packed: state.packed.clone(),
            ..RefMap::default()
        };
        if Arc::ptr_eq(&state.packed, &before.packed) {
            map.of_packed = before.of_packed.clone();
            map.skipped_of_packed = before.skipped_of_packed.clone();
        } else {
            for entry in state.packed.entries() {
                match RefName::parse(&entry.name) {
                    Ok(name) => {
                        let peeled = match entry.peeled {
                            Peeled::To(id) => Some(id),
                            Peeled::NoTag => None,
                            Peeled::Unknown => peel(&name, entry.target)?,
                        };
                        map.of_packed.put(
                            name,
                            Ref {
                                target: entry.target,
                                peeled,
                                created_at_ms: 0,
                            },
                        );
                    }
                    Err(error) => map.skipped_of_packed.push(SkippedRef {
                        name: entry.name.clone(),
                        reason: error.to_string(),
                    }),
                }
            }
        }
        let mut symbolic = Vec::new();
        let mut damaged = Vec::new();
        map.refs = map.of_packed.clone();
        map.skipped = map.skipped_of_packed.clone();
        let names = map.skipped.iter().map(|skipped| skipped.name.clone());
        let mut valueless: Vec<BString> = names.collect();
        for (name, raw) in &state.loose {
            let mut skip = |reason: &str| {
                map.skipped.push(SkippedRef {
                    name: name.clone(),
                    reason: reason.to_owned(),
                })
            };
            let parsed = match RefName::parse(name) {
                Ok(parsed) => parsed,
                Err(error) => {
                    skip(&error.to_string());
                    valueless.push(name.clone());
                    continue;
                }
            };
            if raw.is_damaged() {
                damaged.push(name.clone());
            }
            match raw {
                RawRef::Id(target) => {
                    let peeled = peel(&parsed, *target)?;
                    map.refs.put(
                        parsed,
                        Ref {
                            target: *target,
                            peeled,
                            created_at_ms: 0,
                        },
                    );
                }
                RawRef::Symbolic(_) => symbolic.push(parsed),
                RawRef::Broken => {
                    skip("its file does not name an object");
                    valueless.push(name.clone());
                    // The file hides what `packed-refs` may say.
                    map.refs.remove(&parsed);
                }
            }
        }
        map.damaged = damaged.into();
        valueless.sort_unstable();
        valueless.dedup();
        map.valueless = valueless.into();
        map.resolve_symbolic(state, symbolic);
        Ok(map)
    }

    fn resolve_symbolic(&mut self, state: &RefState, symbolic: Vec<RefName>) {
        let mut resolved = Vec::new();
        for name in symbolic {
            let target = state.follow(name.as_bstr());
            match target.and_then(|target| Some((self.refs.get(&target)?.clone(), target))) {
                Some((value, target)) => resolved.push((name, value, target)),
                None => {
                    self.refs.remove(&name);
                    let reason = "it is symbolic and leads to no ref".to_owned();
                    self.skipped.push(SkippedRef {
                        name: name.as_bstr().to_owned(),
                        reason,
                    });
                }
            }
        }
        let mut leads_to = BTreeMap::new();
        for (name, value, target) in resolved {
            self.refs.put(name.clone(), value);
            leads_to.insert(name, target);
        }
        self.symbolic = Arc::new(leads_to);
    }
}

/// A ref whose object is missing or damaged is still a ref: it can be listed, moved and deleted.
fn peeled_if_whole(database: &Database, target: ObjectId) -> Result<Option<ObjectId>, RepoError> {
    match peeled(database, target) {
        Ok(peeled) => Ok(peeled),
        Err(
            error @ (ReadError::Pack {
                source: PackError::Io { .. },
                ..
            }
            | ReadError::Loose(LooseError::Io { .. })),
        ) => Err(error.into()),
        Err(error) => {
            tracing::warn!(%target, %error, "a ref names an object that cannot be read");
            Ok(None)
        }
    }
}
