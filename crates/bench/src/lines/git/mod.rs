//! Git traffic, against `git http-backend`.

pub(crate) mod clone;
pub(crate) mod clones;
pub(crate) mod fetch;
pub(crate) mod fit;
pub(crate) mod ls_remote;
pub(crate) mod memory;
mod pair;
pub(crate) mod partial;
pub(crate) mod push;
mod raw;
pub(crate) mod receive;
