//! Large files are part of a copy, as far as their server has them.

use std::fs;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use packhouse_client::cache::CacheStatus;
use packhouse_testkit::git_site::GitSite;

use super::{WithLfs, oid_of, with_pointers};
use crate::cache::{add, open};
use crate::git::Git;
use crate::responder::{Request, Site};
use crate::world::World;

#[test]
fn large_files_are_fetched_once_and_pointers_without_content_are_told_of() {
    let mut world = World::new();
    let work = with_pointers(&world, &[b"the content", b"lost"]);
    let site = Arc::new(WithLfs::new(&world, b"the content"));
    let url = format!("{}big.git", world.serve(site.clone()));
    let cache = open(&world);
    let entry = add(&cache, &url);
    assert_eq!(
        fs::read(entry.cache_path.join("0.bin")).unwrap(),
        b"the content"
    );
    assert!(
        fs::read(entry.cache_path.join("1.bin"))
            .unwrap()
            .starts_with(b"version")
    );
    assert!(
        entry.notes[0].starts_with("1 files of Git LFS"),
        "{:?}",
        entry.notes
    );
    assert_eq!(
        Git::at(&entry.cache_path).run(&["status", "--porcelain"]),
        ""
    );
    work.commit_file("other", "x");
    work.run(&["push", "-q", "../big.git", "main:main"]);
    site.asked.lock().unwrap().clear();
    let entry = add(&cache, &url);
    assert_eq!(
        fs::read(entry.cache_path.join("0.bin")).unwrap(),
        b"the content"
    );
    let asked = site.asked.lock().unwrap().concat();
    assert!(!asked.contains(&oid_of(b"the content")), "{asked}");
    assert!(asked.contains(&oid_of(b"lost")), "{asked}");
}

#[test]
fn content_that_is_not_what_its_pointer_says_is_not_taken() {
    let mut world = World::new();
    with_pointers(&world, &[b"expected!!!"]);
    let site = Arc::new(WithLfs {
        inner: GitSite::new(&world.path(""), true),
        oid: oid_of(b"expected!!!"),
        content: b"the content",
        asked: Mutex::default(),
    });
    let url = format!("{}big.git", world.serve(site));
    let entry = add(&open(&world), &url);
    assert!(
        fs::read(entry.cache_path.join("0.bin"))
            .unwrap()
            .starts_with(b"version")
    );
    let local = add(&open(&world), world.path("big.git").to_str().unwrap());
    assert_eq!(local.notes.len(), 1, "{:?}", local.notes);
}

/// Lists files that it does not have.
struct Losing(WithLfs);

impl Site for Losing {
    fn answer(&self, request: Request<'_>, out: &mut (dyn Write + Send)) -> io::Result<()> {
        if request.path == "/content" {
            return out.write_all(
                b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            );
        }
        self.0.answer(request, out)
    }
}

#[test]
fn large_files_that_a_server_lists_and_has_lost_stay_pointers() {
    let mut world = World::new();
    with_pointers(&world, &[b"the content"]);
    let site = Losing(WithLfs::new(&world, b"the content"));
    let url = format!("{}big.git", world.serve(Arc::new(site)));
    let entry = add(&open(&world), &url);
    assert_eq!(entry.status, CacheStatus::Fresh);
    assert!(
        entry.notes[0].starts_with("1 files of Git LFS"),
        "{:?}",
        entry.notes
    );
}
