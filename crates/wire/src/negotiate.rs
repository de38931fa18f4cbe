//! Finding out what client and server both have.

use packhouse_object::{Database, IdSet, ObjectId, ObjectKind, ReadError};

use crate::reach::{Reach, oldest_first};

/// How often one request may have the server look, in the middle of the client's list, whether enough is
/// known. Each look can walk history; the one at the end of the list is always made.
const MAX_EARLY_LOOKS: u32 = 64;

/// What a client wants and has, as far as it has said.
#[derive(Debug)]
pub(crate) struct Negotiation<'a> {
    db: &'a Database,
    /// The wanted commits; other objects tell nothing about history.
    wanted_commits: Vec<ObjectId>,
    common: Vec<ObjectId>,
    known: IdSet,
    reach: Reach,
    ready: bool,
    looked_at: usize,
    early_looks: u32,
}

impl<'a> Negotiation<'a> {
    /// Starts with the wants, all of which exist, in a history that ends at the commits of `cut`.
    pub(crate) fn new(
        db: &'a Database,
        wants: &[ObjectId],
        cut: IdSet,
    ) -> Result<Negotiation<'a>, ReadError> {
        let mut wanted_commits = Vec::with_capacity(wants.len());
        for want in wants {
            let (id, kind) = db.peel(*want)?;
            if kind == ObjectKind::Commit {
                wanted_commits.push(id);
            }
        }
        Ok(Negotiation {
            db,
            wanted_commits,
            common: Vec::new(),
            known: IdSet::default(),
            reach: Reach::cut_at(cut),
            ready: false,
            looked_at: 0,
            early_looks: 0,
        })
    }

    /// Takes an object that the client has. Returns whether the server has it too.
    pub(crate) fn have(&mut self, id: ObjectId) -> Result<bool, ReadError> {
        if self.known.contains(&id) {
            return Ok(true);
        }
        if !self.db.contains(&id)? {
            return Ok(false);
        }
        self.known.insert(id);
        self.common.push(id);
        let (peeled, kind) = self.db.peel(id)?;
        if kind == ObjectKind::Commit {
            self.reach.add(self.db, peeled)?;
        }
        Ok(true)
    }

    /// The objects that both sides have, in the order the client first named them.
    pub(crate) fn common(&self) -> &[ObjectId] {
        &self.common
    }

    /// Whether every wanted commit reaches one that both sides have, so that naming more ancestors would
    /// not make the pack much smaller.
    pub(crate) fn is_ready(&mut self) -> Result<bool, ReadError> {
        if !self.ready && self.looked_at != self.common.len() {
            if self.looked_at == 0 {
                self.wanted_commits = oldest_first(self.db, &self.wanted_commits)?;
            }
            self.looked_at = self.common.len();
            self.ready = self.reach.all_reach(self.db, &self.wanted_commits)?;
        }
        Ok(self.ready)
    }

    /// The same between two lines of the client, where "not yet" is always a right answer.
    pub(crate) fn is_ready_early(&mut self) -> Result<bool, ReadError> {
        if self.early_looks == MAX_EARLY_LOOKS {
            return Ok(self.ready);
        }
        if !self.ready && self.looked_at != self.common.len() {
            self.early_looks += 1;
        }
        self.is_ready()
    }
}

#[cfg(test)]
impl Negotiation<'_> {
    /// How many common objects were known when it was last looked.
    pub(crate) fn looked_at(&self) -> usize {
        self.looked_at
    }
}
