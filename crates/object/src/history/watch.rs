//! Finding a path among the changes of a layer.
//!
//! A layer knows files by number, in the order of their paths. A file is one number, and what is in a folder are
//! numbers in a row.

use std::ops::Range;
use std::sync::Arc;

use bstr::BString;

use super::{CommitPosition, HistoryIndex, HistoryLayer};

/// The numbers that paths of interest have in one layer.
pub(super) struct LayerWatch {
    /// One bit for each path of the layer.
    bits: Vec<u64>,
    /// The numbers of each path of interest, by where they begin.
    spans: Vec<(Range<u32>, u32)>,
    /// Whether some spans are within others.
    is_nested: bool,
}

impl LayerWatch {
    /// Watches those of `paths` that `wanted` names by their places.
    pub(super) fn new(
        layer: &HistoryLayer,
        paths: &[BString],
        wanted: impl Iterator<Item = u32>,
    ) -> LayerWatch {
        let mut spans = Vec::new();
        for number in wanted {
            for span in spans_of(layer, &paths[number as usize]) {
                if !span.is_empty() {
                    spans.push((span, number));
                }
            }
        }
        spans.sort_unstable_by_key(|(span, _)| (span.start, span.end));
        let is_nested = spans.windows(2).any(|pair| pair[1].0.start < pair[0].0.end);
        let mut bits = vec![0; (layer.path_count() as usize).div_ceil(64)];
        for number in spans.iter().flat_map(|(span, _)| span.clone()) {
            bits[number as usize / 64] |= 1 << (number % 64);
        }
        LayerWatch {
            bits,
            spans,
            is_nested,
        }
    }

    /// Calls `hit` with the place of each path of interest that the path numbered `changed` is or is in.
    pub(super) fn each(&self, changed: u32, hit: &mut dyn FnMut(u32)) {
        if self.bits[changed as usize / 64] >> (changed % 64) & 1 == 0 {
            return;
        }
        let behind = self
            .spans
            .partition_point(|(span, _)| span.start <= changed);
        let candidates = if self.is_nested {
            &self.spans[..behind]
        } else {
            &self.spans[behind.saturating_sub(1)..behind]
        };
        for (span, number) in candidates {
            if span.contains(&changed) {
                hit(*number);
            }
        }
    }

    fn has(&self, changed: u32) -> bool {
        self.bits[changed as usize / 64] >> (changed % 64) & 1 == 1
    }
}

/// The numbers of a path itself and of what is below it.
fn spans_of(layer: &HistoryLayer, path: &[u8]) -> [Range<u32>; 2] {
    let at = layer.first_path_from(path);
    let is_there = at < layer.path_count() && **layer.path(at) == *path;
    let below = |last: u8| layer.first_path_from(&[path, &[last]].concat());
    // What follows the slash in the order of bytes.
    [at..at + u32::from(is_there), below(b'/')..below(b'/' + 1)]
}

/// One file or folder, looked up in an index once to be found in the changes of many commits.
pub struct PathWatch {
    index: HistoryIndex,
    layers: Vec<LayerWatch>,
}

impl PathWatch {
    /// Watches `path`.
    pub fn new(index: &HistoryIndex, path: impl Into<BString>) -> PathWatch {
        let paths = [path.into()];
        let layers = index.layers().iter().map(Arc::as_ref);
        PathWatch {
            layers: layers
                .map(|layer| LayerWatch::new(layer, &paths, 0..1))
                .collect(),
            index: index.clone(),
        }
    }

    /// Whether a commit changes the path against its first parent; `None` if the index does not say.
    pub fn is_changed(&self, commit: CommitPosition) -> Option<bool> {
        let (at, layer) = self.index.layer(commit);
        let mut changes = layer.changes(commit)?;
        Some(changes.any(|number| self.layers[at].has(number)))
    }
}

impl std::fmt::Debug for PathWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PathWatch({:?})", self.index)
    }
}
