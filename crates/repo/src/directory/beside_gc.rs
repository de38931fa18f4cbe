//! Writes while `git gc --prune=now` is at work.
//!
//! It removes every object that no ref led to when it looked, however young it is: also what a write has put in its place
//! before it moves its ref. The ref would name what is gone. So whoever has moved a ref looks whether such a collection is
//! at work, or has been, and then stores what the ref brought once more, in packs of other names: one that begins now sees
//! the ref, and the one at work does not know the packs. A kill between the two can do no more than it could to `git`.
//!
//! Collections that keep what is young, as they do unless they are told otherwise, change nothing. What removes objects
//! without the lock of `git gc`, as `git prune` by itself, cannot be seen, nor can a `gc.pruneExpire` of the user or the
//! system, or what a machine of another name has been at for over an hour.

use std::fs;
use std::path::Path;

use packhouse_object::{FinishedPack, NewObject, ObjectId, PackFileWriter, WritePackFileError};

use super::backend::{Directory, Inner};
use super::error::DirectoryError;
use super::gc_lock::{Collector, collector};
use super::layout::config_value;
use super::loose_write::{StagedObject, place_of};
use super::store::{PlacedPack, move_pack, place_pack};
use crate::error::RepoError;

/// What a write has stored, for as long as the write may have to store it again.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// Loose objects. They are open still, whatever became of their names.
    pub(super) staged: Vec<StagedObject>,
    /// Those that were there already.
    pub(super) found: Vec<NewObject>,
    /// Packs, which are open still, too.
    pub(super) packs: Vec<PlacedPack>,
}

impl Stored {
    pub(super) fn append(&mut self, other: Stored) {
        self.staged.extend(other.staged);
        self.found.extend(other.found);
        self.packs.extend(other.packs);
    }

    fn is_empty(&self) -> bool {
        !self.has_loose() && self.packs.is_empty()
    }

    fn has_loose(&self) -> bool {
        !self.staged.is_empty() || !self.found.is_empty()
    }
}

impl Inner {
    /// Makes sure that what was stored for a ref is there, now that the ref has moved, and stays there.
    pub(super) fn secure(&self, stored: &Stored) -> Result<(), RepoError> {
        // Nothing was stored. Whoever moves a ref to what was here already sees to that: `store/moved_to.rs`.
        if stored.is_empty() {
            return Ok(());
        }
        // In this order: what ended before the first look has removed what it removes before the second.
        let secured = match may_lose_young(&self.layout.git_dir) {
            true => Ok(false),
            false => self.has_all(stored),
        }
        .and_then(|is_safe| match is_safe {
            true => Ok(()),
            false => Ok(self.store_again(stored)?),
        });
        secured.map_err(|error| DirectoryError::AtRisk(Box::new(error)).into())
    }

    fn has_all(&self, stored: &Stored) -> Result<bool, RepoError> {
        if !stored.packs.iter().all(PlacedPack::is_there) {
            return Ok(false);
        }
        let objects = self.layout.objects();
        let is_file = |id: &ObjectId| fs::symlink_metadata(place_of(&objects, id).1).is_ok();
        let staged = stored.staged.iter();
        let staged = staged.filter(|staged| !staged.is_there());
        let found = stored.found.iter().map(|object| object.id);
        let found = found.filter(|id| !is_file(id));
        let moved: Vec<ObjectId> = staged.map(StagedObject::id).chain(found).collect();
        if moved.is_empty() {
            return Ok(true);
        }
        // Into a pack, if they were not removed.
        let (database, _) = self.objects.database()?;
        for id in moved {
            if !database.contains(&id)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn store_again(&self, stored: &Stored) -> Result<(), DirectoryError> {
        let (objects, quarantine) = (self.layout.objects_dir(), self.quarantine.path());
        for pack in &stored.packs {
            pack.place_again(&objects, quarantine)?;
        }
        if !stored.has_loose() {
            return Ok(());
        }
        let failed = DirectoryError::WritePack;
        let mut pack = PackFileWriter::create(quarantine).map_err(failed)?;
        for staged in &stored.staged {
            let content = staged.content().map_err(WritePackFileError::Source);
            let (kind, size, mut data) = content.map_err(failed)?;
            pack.add_stream(kind, size, &mut data).map_err(failed)?;
        }
        for object in &stored.found {
            pack.add_new(object).map_err(failed)?;
        }
        move_pack(pack.finish().map_err(failed)?, &objects)
    }
}

impl Directory {
    /// Whether a collection is at work that may remove what was written just now.
    pub(crate) fn may_lose_young(&self) -> bool {
        may_lose_young(self.git_dir())
    }

    /// Puts a pack into its place, and once more under a name that no collection knows.
    pub(crate) fn place_beside_collection(&self, pack: FinishedPack) -> Result<(), DirectoryError> {
        let objects = self.objects_dir();
        place_pack(pack, &objects)?.place_again(&objects, self.quarantine())
    }
}

/// Whether a collection is at work that may remove what was written just now.
fn may_lose_young(git_dir: &Path) -> bool {
    match collector(git_dir) {
        None => false,
        Some(Collector::Unknown) => true,
        Some(Collector::Command(arguments)) => {
            let Ok(configured) = config_value(git_dir, "gc", "pruneExpire") else {
                return true;
            };
            arguments
                .iter()
                .filter_map(|argument| expiry_of(argument))
                .chain(configured.as_deref())
                .any(|expiry| !keeps_an_hour(expiry))
        }
    }
}

/// The age that an argument of `git gc` sets.
fn expiry_of(argument: &str) -> Option<&str> {
    let (key, expiry) = argument.split_once('=')?;
    // Git takes options that are cut short.
    if key.starts_with("--pr") {
        return Some(expiry);
    }
    key.eq_ignore_ascii_case("gc.pruneExpire").then_some(expiry)
}

/// Whether what is younger than an hour is kept by it, for all that is known: Git takes ages in many forms.
fn keeps_an_hour(expiry: &str) -> bool {
    if matches!(expiry, "never" | "false") {
        return true;
    }
    let mut words = expiry.split(['.', ' ', '_']);
    let count: Option<u32> = words.next().and_then(|count| count.parse().ok());
    let unit = words.next().map(|unit| unit.trim_end_matches('s'));
    count.is_some_and(|count| count > 0)
        && unit.is_some_and(|unit| ["hour", "day", "week", "month", "year"].contains(&unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_that_are_known_to_be_long_are_long() {
        for expiry in ["never", "2.weeks.ago", "1.hour.ago", "3 days ago", "1.year"] {
            assert!(keeps_an_hour(expiry), "{expiry}");
        }
        for expiry in ["now", "all", "", "0", "0.days.ago", "5.minutes.ago", "59"] {
            assert!(!keeps_an_hour(expiry), "{expiry}");
        }
        assert_eq!(expiry_of("--prune=now"), Some("now"));
        assert_eq!(expiry_of("--pru=now"), Some("now"));
        assert_eq!(expiry_of("gc.PruneExpire=now"), Some("now"));
        assert_eq!(expiry_of("--prune"), None);
        assert_eq!(expiry_of("gc.reflogExpire=now"), None);
    }
}
