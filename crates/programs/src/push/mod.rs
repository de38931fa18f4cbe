//! Pushes into repositories on disk: what the configuration allows, hooks, certificates.

mod alias;
mod certificate;
mod connected;
mod decide;
mod deny;
mod haves;
mod hook_line;
mod hooks;
mod nonce;
mod object_rules;
mod place;
mod proc_receive;
mod settings;
mod sink;
mod transaction;
mod update;
mod verify;
mod working_copy;

pub use place::PushPlace;
pub use sink::DirectorySink;

pub(crate) use nonce::Nonce;
