//! What a node keeps of one repository in memory: the newest view it knows, and the rows it was made of.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use imbl::Vector;
use packhouse_catalog::{Catalog, Loaded, OrgId, PackRow, PackSource, RepoId, RepoRow, Since};
use packhouse_object::{Database, NewObject, ObjectCache, ObjectId, RefName};

use crate::error::RepoError;
use crate::hosted::packs::{OpenPack, PackStore};
use crate::hosted::tail;
use crate::refs::{Ref, Refs};
use crate::view::View;

/// One row of the tail, decoded.
#[derive(Clone)]
pub(crate) struct TailRow {
    pub generation: i64,
    /// Of the encoded row.
    pub bytes: u64,
    pub objects: Arc<Vec<NewObject>>,
}

/// A view with the rows behind it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct State {
    pub view: Arc<View>,
    pub packs_generation: i64,
    pub folded_through: i64,
    /// When objects were last dropped.
    pub dropped_generation: i64,
    pub tail: Vector<TailRow>,
    pub packs: Arc<Vec<OpenPack>>,
}

/// What loading a state needs.
pub(crate) struct Loader<'a> {
    pub catalog: &'a Catalog,
    pub packs: &'a PackStore,
    pub cache: &'a Arc<ObjectCache>,
}

impl State {
    pub(crate) fn generation(&self) -> i64 {
        self.view.generation
    }

    /// The bytes of the encoded tail.
    pub(crate) fn tail_bytes(&self) -> u64 {
        self.tail.iter().map(|row| row.bytes).sum()
    }

    /// The bytes of all that is listed: packs and tail.
    pub(crate) fn size_bytes(&self) -> u64 {
        let packs = self.packs.iter().map(|pack| pack.pack.bytes());
        packs.sum::<u64>() + self.tail_bytes()
    }

    /// About how much memory the state takes, with what its packs pin.
    pub(crate) fn weight_bytes(&self) -> u64 {
        const OPEN_PACK: u64 = 256 << 10;
        const PER_REF: u64 = 200;
        4096 + self.tail_bytes()
            + self.packs.len() as u64 * OPEN_PACK
            + self.view.refs.len() as u64 * PER_REF
    }

    /// The state after a write of this node that the catalog gave the next generation to.
    pub(crate) fn after_publish(
        &self,
        generation: i64,
        mut view: View,
        row: Option<TailRow>,
        new_packs: &[OpenPack],
    ) -> State {
        let mut next = self.clone();
        view.generation = generation;
        // It may have been prepared in one of its own.
        view.database = view.database.with_scope(self.view.database.scope());
        if let Some(row) = row {
            next.tail.push_back(row);
        }
        if !new_packs.is_empty() {
            let mut packs = Vec::clone(&self.packs);
            // One that was set apart may be listed as what it is now.
            packs.retain(|open| new_packs.iter().all(|new| new.key != open.key));
            packs.extend_from_slice(new_packs);
            order(&mut packs);
            view.database = view.database.with_packs(handles(&packs));
            next.packs = Arc::new(packs);
            next.packs_generation = generation;
        }
        next.view = Arc::new(view);
        next
    }
}

impl Loader<'_> {
    /// The newest state of a repository, reading only what is newer than `base`. `None`: it is gone.
    pub(crate) async fn load(
        &self,
        id: RepoId,
        base: Option<&State>,
    ) -> Result<Option<State>, RepoError> {
        let since = base.map(|base| Since {
            generation: base.generation(),
            packs_generation: base.packs_generation,
            folded_through: base.folded_through,
        });
        match self.catalog.load(id, since).await? {
            Some(loaded) if loaded.repo.deleted_at_ms.is_none() => {
                self.build(base, loaded).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    async fn build(&self, base: Option<&State>, loaded: Loaded) -> Result<State, RepoError> {
        let Loaded {
            repo,
            refs,
            tail,
            packs,
        } = loaded;
        let packs_changed = packs.is_some();
        let packs = match (packs, base) {
            (None, Some(base)) => base.packs.clone(),
            (rows, _) => {
                let rows = rows.unwrap_or_default().into_iter();
                Arc::new(self.open_packs(repo.org, rows).await?)
            }
        };
        let fresh = decode_rows(tail)?;
        let folded = base.is_none_or(|base| base.folded_through != repo.folded_through);
        let known = base.filter(|base| base.dropped_generation == repo.dropped_generation);
        let mut rows: Vector<TailRow> = base.map(|base| base.tail.clone()).unwrap_or_default();
        if folded {
            rows.retain(|row| row.generation > repo.folded_through);
        }
        let database = known.map_or_else(
            || Database::new(self.cache.clone(), scope_of(&repo)),
            |base| base.view.database.clone(),
        );
        let database = if packs_changed || known.is_none() {
            database.with_packs(handles(&packs))
        } else {
            database
        };
        let fresh_objects = fresh.iter().flat_map(|row| row.objects.iter().cloned());
        let database = if folded || known.is_none() {
            let kept: Vec<NewObject> = rows
                .iter()
                .flat_map(|row| row.objects.iter().cloned())
                .collect();
            database.replace_memory(kept.into_iter().chain(fresh_objects))
        } else {
            database.with_objects(fresh_objects)
        };
        rows.extend(fresh);
        let view = View::new(
            repo.generation,
            head_of(&repo)?,
            merged_refs(base, refs)?,
            database,
        );
        Ok(State {
            view: Arc::new(view),
            packs_generation: repo.packs_generation,
            folded_through: repo.folded_through,
            dropped_generation: repo.dropped_generation,
            tail: rows,
            packs,
        })
    }

    async fn open_packs(
        &self,
        org: OrgId,
        rows: impl Iterator<Item = PackRow>,
    ) -> Result<Vec<OpenPack>, RepoError> {
        let mut packs = Vec::new();
        for row in rows {
            let open = self.packs.open(org, row.key, row.source).await?;
            packs.push(OpenPack {
                apart_at_ms: row.apart_at_ms,
                ..open
            });
        }
        order(&mut packs);
        Ok(packs)
    }
}

/// Which of the objects that are remembered are those of a repository. Those of before a drop are not: some of them are gone.
fn scope_of(repo: &RepoRow) -> u64 {
    /// Ids of repositories are positive: they leave the other half to these.
    const AFTER_DROP: u64 = 1 << 63;
    match repo.dropped_generation {
        0 => repo.id.0.cast_unsigned(),
        dropped => {
            let mut hash = DefaultHasher::new();
            (repo.id.0, dropped).hash(&mut hash);
            hash.finish() | AFTER_DROP
        }
    }
}

/// Small packs first: they are new, and asking them costs least. What nothing reached comes last.
pub(crate) fn order(packs: &mut [OpenPack]) {
    packs.sort_by_key(|open| {
        let is_unreachable = open.source == PackSource::Unreachable;
        (is_unreachable, open.pack.bytes())
    });
}

pub(crate) fn handles(packs: &[OpenPack]) -> Vec<Arc<packhouse_object::Pack>> {
    packs.iter().map(|open| open.pack.clone()).collect()
}

fn decode_rows(rows: Vec<packhouse_catalog::TailRow>) -> Result<Vec<TailRow>, RepoError> {
    rows.into_iter()
        .map(|row| {
            let bytes = row.objects;
            Ok(TailRow {
                generation: row.generation,
                bytes: bytes.len() as u64,
                objects: Arc::new(tail::decode(&bytes)?),
            })
        })
        .collect()
}

fn head_of(repo: &RepoRow) -> Result<RefName, RepoError> {
    RefName::branch(&repo.default_branch).map_err(|error| damaged("default branch", &error))
}

fn merged_refs(
    base: Option<&State>,
    rows: Vec<packhouse_catalog::RefRow>,
) -> Result<Refs, RepoError> {
    let mut refs = base.map(|base| base.view.refs.clone()).unwrap_or_default();
    for row in rows {
        let name = RefName::parse(&row.name).map_err(|error| damaged("ref name", &error))?;
        match row.target {
            Some(target) => {
                let target = object_id(&target)?;
                let peeled = row.peeled.as_deref().map(object_id).transpose()?;
                refs.put(
                    name,
                    Ref {
                        target,
                        peeled,
                        created_at_ms: row.created_at_ms,
                    },
                );
            }
            None => refs.remove(&name),
        }
    }
    Ok(refs)
}

/// An object id as the catalog stores it.
pub(crate) fn object_id(bytes: &[u8]) -> Result<ObjectId, RepoError> {
    ObjectId::try_from(bytes).map_err(|error| damaged("object id", &error))
}

fn damaged(what: &str, reason: &dyn std::fmt::Display) -> RepoError {
    RepoError::Damaged {
        what: what.to_owned(),
        reason: reason.to_string(),
    }
}
