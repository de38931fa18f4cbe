//! The catalog: everything that changes, in SQL. Organisations, keys, repositories, refs, reflogs,
//! tails and lists of packs, on SQLite or PostgreSQL behind one set of queries.
//!
//! What always holds:
//!
//! - A publish is one transaction: ref edits by compare-and-set, reflog, tail row, packs and the
//!   repository's generation become visible together or not at all.
//! - A call that returned success is durable: its COMMIT returned. A commit whose outcome is not
//!   known is an error, never a success.
//! - A generation never goes back, and grows by one with each publish or fold.
//! - No object is dropped that a ref reaches, or that a publish or a fork builds on (see `repack`).
//! - A pack that is condemned (see [`Catalog::condemn_packs`]) is not listed, and nothing lists it.
//! - For each ref, the `old` of a reflog row is the `new` of the one before it.
//!
//! Writers wait in lanes (see `lane`), which put what waits into one commit; reads have their own
//! connections and wait for no writer.

mod audit;
mod bulk;
mod cache_index;
mod catalog;
mod changes;
mod clock;
mod dead_packs;
mod deliveries;
mod dialect;
mod error;
mod events;
mod fold;
mod fork;
mod git_credentials;
mod hook_queues;
mod hooks;
mod ids;
mod jobs;
mod keys;
mod lane;
mod migrate;
mod open;
mod orgs;
mod publish;
mod push_through;
mod reflog;
mod repack;
mod repos;
mod server_secrets;
mod ssh_keys;
mod storage_full;
mod sweep;
mod text;
mod unreachable;
mod upstreams;
mod view;
mod writable;

pub use audit::{AuditCursor, AuditEntry, AuditOf, AuditedChange, NewAuditEntry, Origin};
pub use cache_index::{
    CacheContents, CacheEntryRow, CacheIndex, CacheItemRow, CacheItems, CacheOverview, is_damaged,
};
pub use catalog::Catalog;
pub use changes::{Change, Changes};
pub use dead_packs::{PackName, PackStanding};
pub use deliveries::{Delivery, DeliveryRow, DeliveryState};
pub use error::CatalogError;
pub use events::{Event, EventKind, Position};
pub use fold::{Fold, FoldError};
pub use fork::{Fork, ForkError, NewRef};
pub use git_credentials::{CredentialRow, NewCredential};
pub use hook_queues::{HeldQueue, HookScan, Lease, Progress, Release};
pub use hooks::{Hook, NewHook};
pub use ids::{HookId, OrgId, RepoId};
pub use jobs::{ClaimJobs, JobEnd, JobRow, JobState, NewJob};
pub use keys::{Key, NewKey};
pub use orgs::{CreateOrgError, Org};
pub use publish::{
    MAX_REF_NAME_BYTES, NewPack, PackSource, Publish, PublishError, Published, RefEdit,
};
pub use push_through::{PushEnd, PushThrough};
pub use reflog::ReflogRow;
pub use repack::{Repack, RepackError};
pub use repos::{CreateRepoError, DeleteRepoError, MAX_REPO_NAME_BYTES, RepoRow};
pub use ssh_keys::{NewSshKey, SshKeyRow};
pub use storage_full::{is_read_only, is_storage_full};
pub use sweep::{DeletedRepo, SweptRows};
pub use unreachable::UnreachablePacks;
pub use upstreams::{FirstSync, NewUpstream, SeenRef, SyncEnd, UpstreamRow};
pub use view::{Loaded, PackRow, RefRow, Since, TailRow};
