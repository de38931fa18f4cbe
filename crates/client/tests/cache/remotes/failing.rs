//! Remotes that fail, are silent, or have what Git complains of.

use std::fs;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bstr::ByteSlice;
use packhouse_client::cache::{
    Cache, CacheConfig, CacheError, CacheStatus, CallOptions, CancelToken,
};
use packhouse_client::{Egress, RemoteError};
use packhouse_object::ObjectId;
use packhouse_testkit::git_site::GitSite;

use crate::cache::{add, check_tree, config, open};
use crate::git::{Git, init};
use crate::responder::{Request, Site};
use crate::world::{WAYS, Way, World};

#[test]
fn a_call_that_is_cancelled_leaves_nothing() {
    let mut world = World::new();
    world.with_history("source");
    let url = world.url("source", Way::Http);
    let cache = open(&world);
    let token = CancelToken::new();
    let cancel = |_, _, _| token.cancel();
    let call = CallOptions {
        cancel: Some(&token),
        progress: Some(&cancel),
    };
    let ended = cache.add(&url, None, &call).unwrap_err();
    assert_eq!(ended.to_string(), "cancelled");
    assert!(cache.list().unwrap().is_empty());
    let staging = fs::read_dir(cache.root().join(".packhouse/staging")).unwrap();
    assert_eq!(staging.count(), 0);
    add(&cache, &url);
}

/// Does not answer so many requests, each in another way.
struct Flaky {
    inner: Arc<GitSite>,
    failing: Mutex<u32>,
}

impl Site for Flaky {
    fn answer(&self, request: Request<'_>, out: &mut (dyn Write + Send)) -> io::Result<()> {
        let mut failing = self.failing.lock().unwrap();
        if *failing == 0 {
            drop(failing);
            return self.inner.answer(request, out);
        }
        *failing -= 1;
        match *failing % 2 {
            0 => Ok(()),
            _ => write!(
                out,
                "HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            ),
        }
    }
}

/// Breaks off the answers to fetches after so many bytes.
struct CutsFetches {
    inner: Arc<GitSite>,
    after: AtomicUsize,
}

impl Site for CutsFetches {
    fn answer(&self, mut request: Request<'_>, out: &mut (dyn Write + Send)) -> io::Result<()> {
        let mut body = Vec::new();
        request.body.read_to_end(&mut body)?;
        let is_fetch = body.contains_str("command=fetch");
        request.body = Box::new(io::Cursor::new(body));
        let mut whole = Vec::new();
        self.inner.answer(request, &mut whole)?;
        if is_fetch {
            whole.truncate(self.after.load(Ordering::SeqCst));
        }
        out.write_all(&whole)
    }
}

/// It was told as a revision that the remote does not have.
#[test]
fn a_transfer_that_breaks_off_is_told_as_that() {
    let mut world = World::new();
    let lib = world.with_history("lib");
    let work = world.work("lib");
    crate::cut::grow_to(&work, "HEAD:refs/pull/1/head", "../lib.git");
    let pinned = work.run(&["rev-parse", "HEAD"]).trim().to_owned();
    let app = init(&world.path("app"));
    app.commit_file("code", "code\n");
    app.run(&["clone", "-q", "--bare", ".", "../app.git"]);
    let site = Arc::new(CutsFetches {
        inner: GitSite::new(&world.path(""), true),
        after: AtomicUsize::new(usize::MAX),
    });
    let url = world.serve(site.clone());
    let cache = open(&world);
    let call = CallOptions::default();
    for name in ["lib", "app"] {
        add(&cache, &format!("{url}{name}.git"));
    }
    let modules = "[submodule \"lib\"]\n\tpath = lib\n\turl = ../lib.git\n";
    fs::write(app.dir.join(".gitmodules"), modules).unwrap();
    let link = format!("160000,{pinned},lib");
    app.run(&["update-index", "--add", "--cacheinfo", &link]);
    app.run(&["add", ".gitmodules"]);
    app.run(&["commit", "-q", "-m", "lib"]);
    app.run(&["push", "-q", "../app.git", "main:main"]);
    let checkout = |revision: &str| cache.checkout("lib", revision, &call);
    // The new commit of the application comes whole.
    for after in [3000, 20_000] {
        site.after.store(after, Ordering::SeqCst);
        for revision in ["refs/pull/1/head", &pinned] {
            let broken = checkout(revision).unwrap_err();
            let is_told = matches!(&broken, CacheError::Remote(error) if matches!(**error, RemoteError::Broken { .. }));
            assert!(is_told, "{revision} {after}: {broken}");
        }
        let broken = cache.refresh("app", &call).unwrap_err().to_string();
        assert!(broken.contains("broke"), "{after}: {broken}");
    }
    site.after.store(usize::MAX, Ordering::SeqCst);
    for revision in ["refs/pull/1/head", &pinned] {
        assert_eq!(checkout(revision).unwrap().commit, pinned);
    }
    let entry = cache.refresh("app", &call).unwrap();
    check_tree(&entry.cache_path.join("lib"));
    lib.fsck();
}

#[test]
fn a_commit_that_no_remote_has_is_unknown_whatever_the_way() {
    let mut world = World::new();
    world.with_history("source");
    let call = CallOptions::default();
    for way in WAYS {
        let cache = Cache::open(CacheConfig {
            remote: world.remote_options(way),
            ..config(&world.path("cache"))
        })
        .unwrap();
        let entry = add(&cache, &world.url("source", way));
        for revision in ["7".repeat(40), "refs/pull/1/head".to_owned()] {
            let unknown = cache.checkout(&entry.name, &revision, &call).unwrap_err();
            assert!(
                matches!(unknown, CacheError::NoSuchRevision { .. }),
                "{way:?}: {unknown}"
            );
        }
        cache.clear(&call).unwrap();
    }
}

/// Weakness 10: what passes was a failure.
#[test]
fn a_remote_that_does_not_answer_once_is_asked_again() {
    let mut world = World::new();
    world.with_history("source");
    let site = Arc::new(Flaky {
        inner: GitSite::new(&world.path(""), true),
        failing: Mutex::default(),
    });
    let url = format!("{}source.git", world.serve(site.clone()));
    let cache = open(&world);
    let call = CallOptions::default();
    let fails = |times| *site.failing.lock().unwrap() = times;
    fails(2);
    cache.add(&url, None, &call).unwrap_err();
    fails(1);
    add(&cache, &url);
    // Nor is a server that is known asked more than twice, though there are two ways to ask it.
    fails(2);
    cache.refresh("source", &call).unwrap_err();
    assert_eq!(*site.failing.lock().unwrap(), 0);
    fails(1);
    let entry = cache.refresh("source", &call).unwrap();
    assert_eq!(
        (entry.status, entry.error_message),
        (CacheStatus::Fresh, None)
    );
}

/// Answers its next request in a way of its own.
struct Busy {
    inner: Arc<GitSite>,
    next: Mutex<Option<&'static str>>,
    asked: Mutex<u32>,
}

impl Busy {
    fn of(world: &World) -> Arc<Busy> {
        Arc::new(Busy {
            inner: GitSite::new(&world.path(""), true),
            next: Mutex::default(),
            asked: Mutex::default(),
        })
    }
}

impl Site for Busy {
    fn answer(&self, request: Request<'_>, out: &mut (dyn Write + Send)) -> io::Result<()> {
        *self.asked.lock().unwrap() += 1;
        let next = self.next.lock().unwrap().take();
        match next {
            None => self.inner.answer(request, out),
            Some(answer) => write!(
                out,
                "HTTP/1.1 {answer}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            ),
        }
    }
}

#[test]
fn a_busy_remote_is_left_alone_for_as_long_as_it_says() {
    let mut world = World::new();
    world.with_history("source");
    let site = Busy::of(&world);
    let url = format!("{}source.git", world.serve(site.clone()));
    let call = CallOptions::default();
    for status in ["429 Slow Down", "503 Busy"] {
        let cache = Cache::open(config(&world.path(&status[..3]))).unwrap();
        let waits =
            |after: &str| -> &'static str { format!("{status}\r\nRetry-After: {after}").leak() };
        // Longer than anybody wants to wait.
        *site.next.lock().unwrap() = Some(waits("3600"));
        *site.asked.lock().unwrap() = 0;
        let begun = Instant::now();
        let error = cache.add(&url, None, &call).unwrap_err().to_string();
        assert!(error.contains(&status[..3]), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert_eq!(*site.asked.lock().unwrap(), 1);
        // Cold, and of a server that is known.
        for _ in 0..2 {
            *site.next.lock().unwrap() = Some(waits("1"));
            let begun = Instant::now();
            add(&cache, &url);
            assert!(begun.elapsed() >= Duration::from_secs(1));
        }
    }
    // Of a copy that did not come, details ask without one.
    let cache = Cache::open(config(&world.path("never"))).unwrap();
    *site.next.lock().unwrap() = Some("404 None");
    cache.add(&url, None, &call).unwrap_err();
    for (after, asked) in [("3600", 1), ("1", 2)] {
        *site.next.lock().unwrap() = Some(format!("503 Busy\r\nRetry-After: {after}").leak());
        *site.asked.lock().unwrap() = 0;
        let begun = Instant::now();
        let found = cache.details("source", &call).unwrap().current.unwrap();
        assert_eq!(found.is_ok(), asked == 2, "{found:?}");
        assert_eq!(begun.elapsed() >= Duration::from_secs(1), asked == 2);
        // The refs are a second request, if there is an answer.
        let requests = *site.asked.lock().unwrap();
        assert!(requests == 1 || (asked == 2 && requests == 3), "{requests}");
    }
    // What does not pass is not asked about again.
    let cache = Cache::open(config(&world.path("other"))).unwrap();
    for answer in ["500 Broken", "501 Cannot", "404 None", "403 No"] {
        *site.next.lock().unwrap() = Some(answer);
        *site.asked.lock().unwrap() = 0;
        cache.add(&url, None, &call).unwrap_err();
        assert_eq!(*site.asked.lock().unwrap(), 1, "{answer}");
    }
}

/// So is one that is served, unless there is something else to serve.
#[test]
fn who_has_another_copy_does_not_wait_for_a_busy_remote() {
    let mut world = World::new();
    world.with_history("source");
    let site = Busy::of(&world);
    let url = format!("{}source.git", world.serve(site.clone()));
    let cache = open(&world);
    let served = cache.served(Egress::Any).unwrap();
    let call = CallOptions::default();
    // Cold, and of a server that is known.
    for _ in 0..2 {
        for has_other in [false, true] {
            *site.next.lock().unwrap() = Some("503 Busy\r\nRetry-After: 1");
            *site.asked.lock().unwrap() = 0;
            let begun = Instant::now();
            let brought = served.bring_unless(&|| has_other, &url, None, &call);
            assert_eq!(brought.is_err(), has_other, "{brought:?}");
            let has_waited = begun.elapsed() >= Duration::from_secs(1);
            assert_eq!(has_waited, !has_other);
            assert_eq!(*site.asked.lock().unwrap() == 1, has_other);
        }
    }
}

/// Other programs wrote dates, persons and modes in their own way, and `git clone` takes that.
#[test]
fn old_histories_that_git_complains_of_are_copied() {
    let mut world = World::new();
    let source = world.bare("source");
    let blob = source.feed(&["hash-object", "-w", "--stdin"], b"content\n");
    let written = |kind: &str, bytes: &[u8]| {
        let args = ["hash-object", "-w", "-t", kind, "--literally", "--stdin"];
        source.feed(&args, bytes).trim().to_owned()
    };
    let id = ObjectId::from_hex(blob.trim().as_bytes()).unwrap();
    let file = [&b"100644 file\0"[..], id.as_bytes()].concat();
    let sub = written("tree", &file);
    let sub = ObjectId::from_hex(sub.as_bytes()).unwrap();
    let tree = [file.as_slice(), b"040000 sub\0", sub.as_bytes()].concat();
    let tree = written("tree", &tree);
    let commit = format!(
        "tree {tree}\nauthor A<a@example.com> 1313584730 +051800\ncommitter <c> 01 +0000\n\nOld\n"
    );
    let commit = written("commit", commit.as_bytes());
    source.run(&["update-ref", "refs/heads/main", &commit]);
    assert!(!source.try_run(&["fsck", "--strict"]).ok);
    for (name, way) in [("path", Way::Path), ("http", Way::Http)] {
        let url = world.url("source", way);
        let cache = Cache::open(config(&world.path(name))).unwrap();
        let entry = add(&cache, &url);
        assert_eq!(entry.local_commit_hash.as_deref(), Some(commit.as_str()));
        assert_eq!(
            fs::read(entry.cache_path.join("sub/file")).unwrap(),
            b"content\n"
        );
        let tree = Git::at(&entry.cache_path);
        assert_eq!(tree.run(&["status", "--porcelain"]), "");
        cache
            .checkout("source", "main", &CallOptions::default())
            .unwrap();
    }
}

/// Never answers.
struct Silent;

impl Site for Silent {
    fn answer(&self, _: Request<'_>, _: &mut (dyn Write + Send)) -> io::Result<()> {
        std::thread::sleep(Duration::from_secs(3600));
        Ok(())
    }
}

#[test]
fn a_call_of_a_silent_remote_ends_when_it_is_cancelled() {
    let mut world = World::new();
    let url = format!("{}source.git", world.serve(Arc::new(Silent)));
    let cache = open(&world);
    let token = CancelToken::new();
    let call = CallOptions {
        cancel: Some(&token),
        progress: None,
    };
    std::thread::scope(|scope| {
        let called = scope.spawn(|| cache.add(&url, None, &call));
        std::thread::sleep(Duration::from_millis(200));
        let begun = Instant::now();
        token.cancel();
        let ended = called.join().unwrap().unwrap_err();
        assert_eq!(ended.to_string(), "cancelled");
        // It would be given up after 20 seconds.
        assert!(begun.elapsed() < Duration::from_secs(10));
    });
    assert!(cache.list().unwrap().is_empty());
}
