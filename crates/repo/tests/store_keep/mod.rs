//! What keeps a store: merges, notes, archives, packs and their collection; `git` reads along.

mod archive;
mod archive_file;
mod archive_odd;
mod beside_gc;
mod damaged_pack;
mod graph;
mod merge;
mod multi_pack;
mod mutants;
mod notes;
mod pack;
mod place;
mod zip_methods;
