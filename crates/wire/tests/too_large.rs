//! Objects that are larger than is read in one piece: clients are told so, and nobody speaks of damage.

use std::io;

use packhouse_object::{Database, ObjectId, RefName};
use packhouse_repo::{Namespace, directory};
use packhouse_wire::repository::source_of;
use packhouse_wire::{FetchOptions, RefLine, Source, Version, upload_pack};

use crate::git::init_bare;
use crate::raw::{Line, encode, text};

/// A repository with another database.
struct Other<S> {
    source: S,
    database: Database,
}

impl<S: Source> Source for Other<S> {
    fn head(&self) -> Option<RefName> {
        self.source.head()
    }

    fn find(&self, name: &[u8]) -> Option<ObjectId> {
        self.source.find(name)
    }

    fn visit(
        &self,
        prefix: &[u8],
        visitor: &mut dyn FnMut(RefLine<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.source.visit(prefix, visitor)
    }

    fn database(&self) -> &Database {
        &self.database
    }
}

#[test]
fn a_commit_that_is_too_large_is_told_as_that() {
    let tmp = tempfile::TempDir::new().unwrap();
    let git = init_bare(&tmp.path().join("repo.git"));
    let tree = git.feed(&["mktree"], b"");
    let message = "x".repeat(5000);
    let commit = git.run(&["commit-tree", "-m", &message, &tree]);
    git.run(&["update-ref", "refs/heads/main", &commit]);
    // With a bitmap it need not be read.
    git.run(&["repack", "-q", "-a", "-d", "--no-write-bitmap-index"]);
    let size = git.run(&["cat-file", "-s", &commit]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let repository = directory::open(&git.dir, directory::DirectoryOptions::default()).unwrap();
    for more in [None, Some("deepen 1")] {
        let view = runtime.block_on(repository.view()).unwrap();
        let database = view.database().with_in_one_piece(5000);
        let source = Other {
            source: source_of(view, Namespace::Default),
            database,
        };
        let want = text(format!("want {commit}"));
        let mut lines = vec![text("command=fetch"), Line::Delim, want];
        lines.extend(more.map(text));
        lines.extend([text("done"), Line::Flush]);
        let body = encode(&lines);
        let mut out = Vec::new();
        let options = FetchOptions::default();
        let fetched = upload_pack(Version::V2, &mut &body[..], &source, &mut out, &options);
        assert!(fetched.is_err());
        let told = String::from_utf8_lossy(&out);
        let expected = format!("object {commit} has {size} bytes, over the limit of 5000");
        assert!(told.contains(&expected), "{told}");
        assert!(!told.contains("corruption"), "{told}");
    }
}
