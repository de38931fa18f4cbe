//! Which lines of two texts are not in the other.

use super::LineHunk;

/// By line of each text: whether it is changed. The lines that are not are the same in both.
pub(crate) struct Marks {
    pub(crate) removed: Vec<bool>,
    pub(crate) added: Vec<bool>,
}

impl Marks {
    /// Nothing is changed yet, in texts of so many lines.
    pub(crate) fn none(before: usize, after: usize) -> Marks {
        Marks {
            removed: vec![false; before],
            added: vec![false; after],
        }
    }

    /// The stretches of changed lines, in order.
    pub(crate) fn hunks(&self) -> Vec<LineHunk> {
        let mut hunks = Vec::new();
        let (mut old, mut new) = (0, 0);
        loop {
            let removed = run(&self.removed[old..]);
            let added = run(&self.added[new..]);
            if removed + added > 0 {
                hunks.push(LineHunk {
                    before: old..old + removed,
                    after: new..new + added,
                });
            }
            // Behind a change comes a line that both have, or the end of both.
            (old, new) = (old + removed + 1, new + added + 1);
            if old > self.removed.len() || new > self.added.len() {
                return hunks;
            }
        }
    }
}

fn run(changed: &[bool]) -> usize {
    changed.iter().take_while(|changed| **changed).count()
}
