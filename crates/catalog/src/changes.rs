//! Telling whoever waits for events that there are new ones, within this process. A hint and no more: what counts is in
//! the log of events, and other processes' changes are found by looking there.

use tokio::sync::broadcast;

use crate::Catalog;
use crate::ids::{OrgId, RepoId};

/// Changes that a listener may be behind before it misses some.
const BACKLOG: usize = 4096;

/// A repository has new events.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub struct Change {
    /// Its organisation.
    pub org: OrgId,
    /// The repository.
    pub repo: RepoId,
}

/// What lanes tell.
#[derive(Clone, Debug)]
pub(crate) struct Teller(broadcast::Sender<Change>);

impl Default for Teller {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl Teller {
    pub(crate) fn has_listeners(&self) -> bool {
        self.0.receiver_count() > 0
    }

    pub(crate) fn tell(&self, changes: Vec<Change>) {
        for change in changes {
            // Nobody listens: nobody needs to know.
            let _ = self.0.send(change);
        }
    }
}

/// The changes that this process commits, as they come.
#[derive(Debug)]
pub struct Changes(broadcast::Receiver<Change>);

impl Changes {
    /// The next change. `None`: some were missed, so look at everything.
    ///
    /// # Errors
    ///
    /// The catalog is gone, and no more will come.
    pub async fn next(&mut self) -> Result<Option<Change>, crate::CatalogError> {
        match self.0.recv().await {
            Ok(change) => Ok(Some(change)),
            Err(broadcast::error::RecvError::Lagged(_)) => Ok(None),
            Err(broadcast::error::RecvError::Closed) => Err(crate::CatalogError::Closed),
        }
    }
}

impl Catalog {
    /// Listens to the changes that this process commits from now on.
    pub fn changes(&self) -> Changes {
        Changes(self.teller().0.subscribe())
    }
}
