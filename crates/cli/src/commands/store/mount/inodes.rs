//! The numbers that the kernel knows files by.
//!
//! A number lives as long as the kernel remembers it, so that memory follows what is in use and not what is there.

use std::collections::HashMap;
use std::sync::Arc;

use bstr::BString;
use packhouse_object::ObjectId;
use packhouse_repo::store::FileType;

/// The number of the root.
pub(super) const ROOT: u64 = 1;

/// What a number stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) path: Arc<[u8]>,
    pub(super) file_type: FileType,
    pub(super) id: ObjectId,
}

/// Numbers in use.
pub(super) struct Inodes {
    nodes: HashMap<u64, (Node, u64)>,
    numbers: HashMap<Arc<[u8]>, u64>,
    next: u64,
}

impl Inodes {
    /// Nothing but the root, whose tree is `tree`.
    pub(super) fn new(tree: ObjectId) -> Inodes {
        let root = Node {
            path: Arc::from(&b""[..]),
            file_type: FileType::Tree,
            id: tree,
        };
        Inodes {
            nodes: HashMap::from([(ROOT, (root, 1))]),
            numbers: HashMap::new(),
            next: ROOT + 1,
        }
    }

    /// What `number` stands for.
    pub(super) fn get(&self, number: u64) -> Option<Node> {
        self.nodes.get(&number).map(|(node, _)| node.clone())
    }

    /// The number of a path, which the kernel has now been told once more.
    pub(super) fn tell(&mut self, path: BString, file_type: FileType, id: ObjectId) -> u64 {
        if let Some(&number) = self.numbers.get(path.as_slice()) {
            if let Some((_, told)) = self.nodes.get_mut(&number) {
                *told += 1;
            }
            return number;
        }
        let number = self.next;
        self.next += 1;
        let path: Arc<[u8]> = Arc::from(path.as_slice());
        let node = Node {
            path: path.clone(),
            file_type,
            id,
        };
        self.nodes.insert(number, (node, 1));
        self.numbers.insert(path, number);
        number
    }

    /// The kernel has forgotten `times` of the times it was told.
    pub(super) fn forget(&mut self, number: u64, times: u64) {
        if number == ROOT {
            return;
        }
        let Some((node, told)) = self.nodes.get_mut(&number) else {
            return;
        };
        *told = told.saturating_sub(times);
        if *told == 0 {
            let path = node.path.clone();
            self.nodes.remove(&number);
            self.numbers.remove(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_lives_until_it_is_forgotten_as_often_as_it_was_told() {
        let id = ObjectId::null(packhouse_object::HashKind::Sha1);
        let mut inodes = Inodes::new(id);
        let number = inodes.tell("a/b".into(), FileType::Blob, id);
        assert_eq!(inodes.tell("a/b".into(), FileType::Blob, id), number);
        assert_ne!(inodes.tell("a/c".into(), FileType::Blob, id), number);
        inodes.forget(number, 1);
        assert_eq!(&*inodes.get(number).unwrap().path, b"a/b");
        inodes.forget(number, 1);
        assert_eq!(inodes.get(number), None);
        assert_ne!(inodes.tell("a/b".into(), FileType::Blob, id), number);
        inodes.forget(ROOT, 9);
        assert!(inodes.get(ROOT).is_some());
    }
}
