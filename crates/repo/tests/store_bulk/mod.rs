//! Copies between a store and local folders, globs and excludes.

mod excludes;
