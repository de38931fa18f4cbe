//! Talking to other Git repositories: fetching, pushing, backups, restores and bundles; a local cache of them ([`cache`]);
//! and the hosted API ([`hosted`]).
//!
//! What always holds:
//!
//! - What comes from elsewhere is untrusted: packs are checked whole before anything of them is kept, lists
//!   have limits, and memory is bounded whatever the other side sends.
//! - A transfer that is cut off leaves nothing visible: objects come first, refs last and in one step.
//! - Nobody is asked, and of the environment only the settings of HTTP proxies are used, unless the caller says
//!   otherwise; programs that are started see all of it.
//! - Passwords are in no error, no `Debug` output and no log.
//!
//! Calls block, as the embedded store does; on an executor they belong on a thread that may. Those of [`hosted`] do not.
//!
//! ```no_run
//! use packhouse_client::{MirrorOptions, backup};
//! use packhouse_repo::store::{Store, StoreOptions};
//!
//! let store = Store::open("data.git", StoreOptions::default())?;
//! let changes = backup(&store, "https://example.com/me/data.git", &MirrorOptions::default())?;
//! println!("{} refs changed", changes.total());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bundle;
pub mod cache;
mod credentials;
mod egress;
pub mod hosted;
mod mirror;
pub mod remote;
mod retry_after;

pub use bundle::{BundleHeader, bundle_export, bundle_import, read_bundle_header};
pub use credentials::{
    Credential, CredentialSource, Secret, SystemCredentials, resolve_credentials,
};
pub use egress::{Egress, EgressError};
pub use mirror::{
    MirrorDiff, MirrorError, MirrorFormat, MirrorOptions, RefChange, RefSelection, backup, restore,
};
pub use remote::{Remote, RemoteError, RemoteOptions, RemoteUrl};

/// The guide's page for the hosted API, so that its program is compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/src/hosted.md")]
struct GuidePage;

/// The guide's page for the cache, so that its program runs.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/src/cache.md")]
struct CachePage;
