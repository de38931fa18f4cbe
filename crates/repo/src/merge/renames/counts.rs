//! Where the files of a folder went, counted.

use std::collections::HashMap;

use bstr::{BStr, BString, ByteSlice};

use crate::merge::collect::{FolderRelevance, parent};
use crate::merge::git_map::GitMap;

/// How many files of a folder went to which folder.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    by_folder: GitMap<Destinations>,
}

/// Where the files of one folder went.
#[derive(Clone, Debug, Default)]
pub(super) struct Destinations {
    counts: GitMap<u64>,
    /// Files that may yet go anywhere.
    unknown: u64,
}

impl Counts {
    /// Counts a rename for the folder of the file, and for the folders around it as long as they moved as a whole.
    pub(super) fn add(&mut self, old: &BStr, new: &BStr, gone: &HashMap<BString, FolderRelevance>) {
        let (mut old, mut new) = (old, new);
        let mut is_first = true;
        loop {
            let (old_name, new_name) = (file_name(old), file_name(new));
            (old, new) = (parent(old), parent(new));
            let Some(relevance) = gone.get(old) else {
                return;
            };
            if !is_first && old_name != new_name {
                return;
            }
            if is_first || *relevance == FolderRelevance::ForItself {
                *self.destinations(old).counts.entry_or(new, 0) += 1;
            }
            is_first = false;
            if *relevance == FolderRelevance::None || old.is_empty() || new.is_empty() {
                return;
            }
        }
    }

    fn destinations(&mut self, folder: &BStr) -> &mut Destinations {
        self.by_folder.entry_or(folder, Destinations::default())
    }

    /// Counts a file that may yet be found somewhere, for every folder around it that is gone.
    pub(super) fn add_unknown(&mut self, old: &BStr, gone: &HashMap<BString, FolderRelevance>) {
        let mut folder = parent(old);
        while !folder.is_empty()
            && gone
                .get(folder)
                .is_some_and(|relevance| *relevance != FolderRelevance::None)
        {
            self.destinations(folder).unknown += 1;
            folder = parent(folder);
        }
    }

    /// For each folder the one that most of its files went to.
    pub(super) fn guesses(&self) -> HashMap<BString, BString> {
        let guess = |(folder, destinations): (&BString, &Destinations)| {
            let mut best: Option<(&BString, u64)> = None;
            for (to, count) in destinations.counts.in_git_order() {
                if best.is_none_or(|(_, most)| *count > most) {
                    best = Some((to, *count));
                }
            }
            Some((folder.clone(), best?.0.clone()))
        };
        self.by_folder.iter().filter_map(guess).collect()
    }

    /// The folders of which it is certain where they went, wherever other files of theirs are found.
    pub(super) fn certain(&self) -> impl Iterator<Item = &BString> {
        self.by_folder.iter().filter_map(|(folder, destinations)| {
            let (mut first, mut second) = (0, 0);
            for (_, count) in destinations.counts.iter() {
                if *count >= first {
                    (first, second) = (*count, first);
                } else if *count > second {
                    second = *count;
                }
            }
            (first > second + destinations.unknown).then_some(folder)
        })
    }

    /// For each folder that matters, where most of its files went; `None` where no folder got the most.
    pub(super) fn moves(
        &self,
        gone: &HashMap<BString, FolderRelevance>,
    ) -> Vec<(BString, Option<BString>)> {
        let mut moves = Vec::new();
        for (folder, destinations) in self.by_folder.iter() {
            let matters = gone
                .get(folder)
                .is_some_and(|relevance| *relevance != FolderRelevance::None);
            let most = destinations.counts.iter().map(|(_, count)| *count).max();
            let (true, Some(most)) = (matters, most) else {
                continue;
            };
            let mut with_most = destinations
                .counts
                .iter()
                .filter(|(_, count)| **count == most);
            let best = with_most.next().map(|(to, _)| to.clone());
            moves.push((folder.clone(), best.filter(|_| with_most.next().is_none())));
        }
        moves
    }
}

/// The last part of a path.
pub(super) fn file_name(path: &BStr) -> &BStr {
    path.rfind_byte(b'/')
        .map_or(path, |at| path[at + 1..].as_bstr())
}
