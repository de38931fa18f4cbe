//! Git's server programs on plain repositories: `upload-pack`, `receive-pack` and `http-backend`.
//!
//! What always holds:
//!
//! - They read the repository's configuration and obey it, and say what git's own programs say where clients and
//!   scripts read it.
//! - Whoever may write to a repository's folder decides what its hooks do; who may not is refused the repository
//!   (`safe.directory`).
//! - The environment is an argument: nothing here reads that of the process.

mod config;
mod environment;
mod error;
mod fetch_settings;
mod find;
mod http;
mod identity;
mod moment;
mod named_object;
mod namespace;
mod object_places;
mod pack_hook;
mod push;
mod restricted;
mod serve;
mod served_settings;
mod shell;
mod source;
mod timeout;

pub use environment::Environment;
pub use error::ProgramError;
pub use http::http_backend;
pub use push::{DirectorySink, PushPlace};
pub use restricted::{RestrictedCommand, restricted_command};
pub use serve::{Mode, ProgramCall, receive_pack, upload_pack};
