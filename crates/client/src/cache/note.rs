//! What the catalog says of an entry with a copy, or of a checkout, beside the catalog: with it a catalog that is lost is
//! made anew.
//!
//! A note is written before its tree comes to its place, and names the tree. Whoever finds a note looks whether the tree is
//! there; one that is older or newer than what is there says nothing.

use std::fs;
use std::path::PathBuf;

use packhouse_catalog::CacheEntryRow;
use serde::{Deserialize, Serialize};

use super::record::{CheckoutRecord, EntryRecord, is_id};
use super::root::Root;
use super::staging::Staging;

/// What is noted.
#[derive(Debug)]
pub(super) enum Noted {
    Entry(Box<EntryRecord>),
    Checkout(String, CheckoutRecord),
    /// A mirror's key and URL.
    Mirror(String, String),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Note {
    Entry {
        name: String,
        source_key: String,
        accessed_ms: i64,
        bytes: i64,
        record: String,
    },
    Checkout(CheckoutRecord),
    Mirror {
        url: String,
    },
}

/// Notes an entry; `staging` is the work that does it.
pub(super) fn of_entry(root: &Root, record: &EntryRecord, staging: &Staging) {
    let CacheEntryRow {
        name,
        source_key,
        accessed_ms,
        bytes,
        record: text,
    } = record.row();
    let note = Note::Entry {
        name,
        source_key,
        accessed_ms,
        bytes,
        record: text,
    };
    write(root, &record.kept.id, &note, staging);
}

/// Notes a checkout; `staging` is the work that makes it.
pub(super) fn of_checkout(root: &Root, id: &str, record: &CheckoutRecord, staging: &Staging) {
    write(root, id, &Note::Checkout(record.clone()), staging);
}

/// Notes of whom a mirror is, if that is not noted: no entry says it of the mirrors of submodules, and of those that are only
/// served.
pub(super) fn of_mirror(root: &Root, key: &str, url: &str) {
    if is_there(root, key) {
        return;
    }
    if let Ok(staging) = Staging::new(root) {
        let url = url.to_owned();
        write(root, key, &Note::Mirror { url }, &staging);
    }
}

pub(super) fn is_there(root: &Root, id: &str) -> bool {
    place(root, id).is_file()
}

pub(super) fn forget(root: &Root, id: &str) {
    let _ = fs::remove_file(place(root, id));
}

/// Whether anything is noted.
pub(super) fn is_any(root: &Root) -> bool {
    fs::read_dir(root.own("notes")).is_ok_and(|mut notes| notes.next().is_some())
}

/// All that is noted and can be read.
pub(super) fn all(root: &Root) -> impl Iterator<Item = Noted> {
    let notes = fs::read_dir(root.own("notes"));
    let notes = notes.into_iter().flatten().flatten();
    notes.filter_map(|note| {
        let id = note.file_name().into_string().ok().filter(|id| is_id(id))?;
        match serde_json::from_slice(&fs::read(note.path()).ok()?).ok()? {
            Note::Checkout(record) => Some(Noted::Checkout(id, record)),
            Note::Mirror { url } => Some(Noted::Mirror(id, url)),
            Note::Entry {
                name,
                source_key,
                accessed_ms,
                bytes,
                record,
            } => {
                let row = CacheEntryRow {
                    name,
                    source_key,
                    accessed_ms,
                    bytes,
                    record,
                };
                let record = EntryRecord::of(row).ok()?;
                (record.kept.id == id).then(|| Noted::Entry(Box::new(record)))
            }
        }
    })
}

/// That a note cannot be written is no failure: it is of use only where the catalog is lost. The one from before would say
/// something else, and keep the next one from being written.
fn write(root: &Root, id: &str, note: &Note, staging: &Staging) {
    let new = staging.path().join("note");
    let text = serde_json::to_vec(note).unwrap_or_default();
    if fs::write(&new, text).is_err() || fs::rename(&new, place(root, id)).is_err() {
        let _ = fs::remove_file(&new);
        forget(root, id);
    }
}

fn place(root: &Root, id: &str) -> PathBuf {
    root.own("notes").join(id)
}
