//! What keeps a store: merges, notes, archives, packs and their collection; `git` reads along.

mod merge;
mod notes;
mod place;
