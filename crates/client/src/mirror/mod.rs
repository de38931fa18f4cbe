//! Backups and restores: all refs of one repository made those of another.
//!
//! What always holds:
//! - `HEAD` is never transferred; a target that is made anew gets the source's as its first;
//! - refs move last and, where the other side can promise it, all at once: a transfer that is cut off changes nothing;
//! - a dry run writes nothing anywhere, not even an empty target.
//!
//! One ref above or below another that goes away (`a` and `a/b`) needs a step before: Git cannot hold both in one.

mod backup;
pub(crate) mod diff;
mod error;
mod new_target;
mod options;
pub(crate) mod publish;
mod restore;
pub(crate) mod selection;

pub use backup::backup;
pub use diff::{MirrorDiff, RefChange};
pub use error::MirrorError;
pub use options::{MirrorFormat, MirrorOptions, RefSelection};
pub use restore::restore;

pub(crate) use options::Steps;
pub(crate) use restore::lacking;
