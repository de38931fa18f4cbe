//! What remotes do, and what is asked of them.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use packhouse_client::cache::{Cache, CacheConfig, CacheStatus, CallOptions, CancelToken};
use packhouse_client::{Credential, CredentialSource};
use packhouse_object::ObjectId;
use packhouse_testkit::git_site::GitSite;

use super::{add, check_tree, config, open, path_of};
use crate::git::{Git, init};
use crate::responder::{Request, Site};
use crate::sites::Locked;
use crate::world::{Way, World};

/// A site that notes what it is asked, by method, path and command.
pub(crate) struct Noting {
    inner: Arc<GitSite>,
    asked: Mutex<Vec<String>>,
}

impl Noting {
    pub(crate) fn new(world: &World) -> Arc<Noting> {
        Arc::new(Noting {
            inner: GitSite::new(&world.path(""), true),
            asked: Mutex::default(),
        })
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Site for Noting {
    fn answer(&self, mut request: Request<'_>, out: &mut (dyn Write + Send)) -> io::Result<()> {
        let mut body = Vec::new();
        request.body.read_to_end(&mut body)?;
        let text = String::from_utf8_lossy(&body);
        let command = ["command=ls-refs", "command=fetch"]
            .into_iter()
            .find(|command| text.contains(command));
        let word = command.map_or("info/refs", |command| &command["command=".len()..]);
        self.asked.lock().unwrap().push(word.to_owned());
        request.body = Box::new(io::Cursor::new(body));
        self.inner.answer(request, out)
    }
}

#[test]
fn an_unchanged_repository_takes_one_request_and_no_object() {
    let mut world = World::new();
    world.with_history("source");
    let site = Noting::new(&world);
    let url = format!("{}source.git", world.serve(site.clone()));
    let cache = open(&world);
    let first = add(&cache, &url);
    assert_eq!(site.take(), ["info/refs", "ls-refs", "fetch"]);
    let second = add(&cache, &url);
    assert_eq!(site.take(), ["ls-refs"]);
    assert_eq!(first.local_commit_hash, second.local_commit_hash);
    // Another process remembers too.
    add(&open(&world), &url);
    assert_eq!(site.take(), ["ls-refs"]);
    let work = world.work("source");
    work.commit_file("new", "new\n");
    work.run(&["push", "-q", "../source.git", "main:main"]);
    let third = add(&cache, &url);
    assert_eq!(site.take(), ["ls-refs", "fetch"]);
    assert_ne!(third.local_commit_hash, second.local_commit_hash);
    // A commit that is here is checked out without a word.
    let old = second.local_commit_hash.unwrap();
    cache
        .checkout("source", &old, &CallOptions::default())
        .unwrap();
    assert!(site.take().is_empty());
}

/// Weakness 11: histories that were rewritten, branches renamed, refs deleted.
#[test]
fn whatever_a_remote_does_to_its_refs_is_followed() {
    let world = World::new();
    let source = world.with_history("source");
    let cache = open(&world);
    let call = CallOptions::default();
    add(&cache, &path_of(&source));
    let work = world.work("source");
    work.run(&["reset", "-q", "--hard", "HEAD~4"]);
    work.commit_file("rewritten", "x\n");
    work.run(&["push", "-q", "-f", "../source.git", "main:main"]);
    let forced = cache.refresh("source", &call).unwrap();
    assert!(forced.cache_path.join("rewritten").exists());
    check_tree(&forced.cache_path);

    source.run(&["branch", "-m", "main", "trunk"]);
    source.run(&["branch", "-D", "side"]);
    source.run(&["tag", "-d", "light"]);
    let renamed = cache.refresh("source", &call).unwrap();
    assert_eq!(renamed.local_branch.as_deref(), Some("trunk"));
    let tree = Git::at(&renamed.cache_path);
    assert_eq!(
        tree.run(&["branch", "-r", "--format=%(refname:short)"]),
        "origin/HEAD\norigin/trunk"
    );
    assert_eq!(tree.run(&["tag"]), "heavy");
    check_tree(&renamed.cache_path);

    source.run(&["update-ref", "--no-deref", "HEAD", "trunk~2"]);
    let detached = cache.refresh("source", &call).unwrap();
    assert_eq!(detached.local_branch, None);
    check_tree(&detached.cache_path);

    // All is gone: the last copy is worth more.
    source.run(&["symbolic-ref", "HEAD", "refs/heads/trunk"]);
    source.run(&["update-ref", "-d", "refs/heads/trunk"]);
    let gone = cache.refresh("source", &call).unwrap_err();
    assert!(gone.to_string().contains("no default branch"), "{gone}");
    let kept = cache.get("source").unwrap();
    assert_eq!(kept.status, CacheStatus::Error);
    check_tree(&kept.cache_path);
}

/// Branches and tags come and go while the default branch stays where it is.
#[test]
fn refs_are_followed_where_no_file_changed() {
    let world = World::new();
    let source = world.with_history("source");
    let work = world.work("source");
    let cache = open(&world);
    let call = CallOptions::default();
    let entry = add(&cache, &path_of(&source));
    let tree = Git::at(&entry.cache_path);
    let number = |path: &Path| fs::metadata(path).unwrap().ino();
    let before = number(&entry.cache_path);
    let refs = |tree: &Git| {
        let listed = tree.run(&[
            "for-each-ref",
            "--format=%(objectname) %(refname:lstrip=-1)",
        ]);
        let mut listed: Vec<String> = listed.lines().map(str::to_owned).collect();
        listed.retain(|line| !line.ends_with(" HEAD") && !line.ends_with(" commits"));
        listed.sort();
        listed.dedup();
        listed
    };
    source.run(&["branch", "-D", "side"]);
    source.run(&["tag", "-d", "light"]);
    work.run(&["checkout", "-q", "-b", "topic"]);
    work.commit_file(
        "topic", "x
",
    );
    work.run(&["push", "-q", "../source.git", "topic"]);
    source.run(&["tag", "-a", "-m", "new", "new", "topic"]);
    for _ in 0..2 {
        cache.refresh("source", &call).unwrap();
        assert_eq!(refs(&tree), refs(&source));
        check_tree(&entry.cache_path);
    }
    assert_eq!(number(&entry.cache_path), before, "its files are the same");
    // What somebody fetched there, and so is newer than what is packed, does not hide what comes.
    tree.run(&["update-ref", "refs/remotes/origin/topic", "HEAD"]);
    source.run(&["tag", "newer", "topic"]);
    cache.refresh("source", &call).unwrap();
    assert_eq!(refs(&tree), refs(&source));
    assert_ne!(number(&entry.cache_path), before);
    check_tree(&entry.cache_path);
    // A `.git` that leads elsewhere is not written into.
    let git = entry.cache_path.join(".git");
    let elsewhere = world.path("elsewhere");
    fs::rename(&git, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &git).unwrap();
    let packed = fs::read(elsewhere.join("packed-refs")).unwrap();
    source.run(&["tag", "newest", "topic"]);
    cache.refresh("source", &call).unwrap();
    assert_eq!(refs(&tree), refs(&source));
    assert_eq!(fs::read(elsewhere.join("packed-refs")).unwrap(), packed);
    check_tree(&entry.cache_path);
}

struct Token(&'static str, Mutex<Vec<String>>);

impl CredentialSource for Token {
    fn find(&self, url: &str, _: Option<&str>) -> Option<Credential> {
        self.1.lock().unwrap().push(url.to_owned());
        Some(Credential::basic("me", self.0))
    }
}

fn locked(world: &mut World) -> String {
    let site = Arc::new(Locked {
        inner: GitSite::new(&world.path("."), true),
        // me:secret
        key: "Basic bWU6c2VjcmV0".to_owned(),
        tried: Mutex::default(),
    });
    format!("{}source.git", world.serve(site))
}

/// Weaknesses 6 and 13: nobody was asked for credentials, and those in a URL were kept everywhere.
#[test]
fn credentials_open_a_repository_and_are_kept_nowhere() {
    let mut world = World::new();
    world.with_history("source");
    let url = locked(&mut world);
    let call = CallOptions::default();
    let with = |world: &World, name: &str, change: &dyn Fn(&mut CacheConfig)| {
        let mut config = config(&world.path(name));
        change(&mut config);
        Cache::open(config).unwrap()
    };

    let none = with(&world, "none", &|_| {});
    let error = none.add(&url, None, &call).unwrap_err().to_string();
    assert!(error.contains("Authentication failed"), "{error}");

    let provider = Arc::new(Token("secret", Mutex::default()));
    let known = provider.clone();
    let asked = with(&world, "asked", &|config| {
        config.credentials = vec![known.clone()]
    });
    add(&asked, &url);
    add(&asked, &url);
    assert!(
        provider
            .1
            .lock()
            .unwrap()
            .iter()
            .all(|url| url.contains("source.git"))
    );

    let wrong = Arc::new(Token("hunter2", Mutex::default()));
    let refused = with(&world, "wrong", &|config| {
        config.credentials = vec![wrong.clone()]
    });
    let error = refused.add(&url, None, &call).unwrap_err().to_string();
    assert!(
        error.contains("Authentication failed") && !error.contains("hunter2"),
        "{error}"
    );

    let header = with(&world, "header", &|config| {
        let value = "AUTHORIZATION: Basic bWU6c2VjcmV0".to_owned();
        config
            .git_config
            .insert("http.extraheader".to_owned(), value);
        config
            .git_config
            .insert("user.name".to_owned(), "Some \"Body\"".to_owned());
    });
    let entry = add(&header, &url);
    let tree = Git::at(&entry.cache_path);
    assert_eq!(
        tree.run(&["config", "--local", "user.name"]),
        "Some \"Body\""
    );

    let in_url = url.replace("http://", "http://me:secret@");
    let stripped = with(&world, "stripped", &|_| {});
    let entry = add(&stripped, &in_url);
    assert_eq!(entry.source_url, url);
    // This process still knows.
    stripped.refresh("source", &call).unwrap();
    assert_eq!(tree.run(&["config", "remote.origin.url"]).trim(), url);
    for cache in ["none", "asked", "wrong", "header", "stripped"] {
        for text in ["secret", "hunter2", "bWU6c2VjcmV0"] {
            let found = std::process::Command::new("grep")
                .args(["-rlaF", text])
                .arg(world.path(cache))
                .output()
                .unwrap();
            assert_eq!(
                String::from_utf8_lossy(&found.stdout),
                "",
                "{text} in {cache}"
            );
        }
    }
}

/// A repository `app` and a bare one of it, with a submodule at `x/lib` that has one at `in`.
fn nested(world: &World) -> String {
    let inner = init(&world.path("inner"));
    inner.commit_file("deep", "deep\n");
    let lib = init(&world.path("lib"));
    lib.commit_file("code", "code\n");
    let allow = ["-c", "protocol.file.allow=always"];
    lib.run(
        &[
            &allow[..],
            &["submodule", "--quiet", "add", "../inner", "in"],
        ]
        .concat(),
    );
    lib.run(&["commit", "-q", "-m", "inner"]);
    let app = init(&world.path("app"));
    app.run(
        &[
            &allow[..],
            &[
                "submodule",
                "--quiet",
                "add",
                "--name",
                "the/lib",
                "../lib",
                "x/lib",
            ],
        ]
        .concat(),
    );
    app.run(&["commit", "-q", "-m", "lib"]);
    app.run(&["clone", "-q", "--bare", ".", "../app.git"]);
    path_of(&Git::at(world.path("app.git")))
}

#[test]
fn submodules_are_part_of_a_copy() {
    let world = World::new();
    let source = nested(&world);
    let cache = open(&world);
    let entry = add(&cache, &source);
    let path = &entry.cache_path;
    assert_eq!(fs::read(path.join("x/lib/code")).unwrap(), b"code\n");
    assert_eq!(fs::read(path.join("x/lib/in/deep")).unwrap(), b"deep\n");
    check_tree(path);
    check_tree(&path.join("x/lib"));
    check_tree(&path.join("x/lib/in"));
    let status = Git::at(path).run(&["submodule", "status", "--recursive"]);
    assert_eq!(
        status.lines().filter(|line| line.starts_with(' ')).count(),
        2,
        "{status}"
    );

    let mut without = config(&world.path("without"));
    // As `submodules` of the configuration does.
    let recurse = "submodule.recurse".to_owned();
    without.git_config.insert(recurse, "false".to_owned());
    let without = Cache::open(without).unwrap();
    let entry = add(&without, &source);
    assert_eq!(entry.notes, ["1 submodules were left out"]);
    assert_eq!(
        fs::read_dir(entry.cache_path.join("x/lib"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn a_repository_from_elsewhere_cannot_have_a_directory_of_this_machine_as_a_submodule() {
    let mut world = World::new();
    let secret = init(&world.path("secret"));
    let id = secret.commit_file("secret", "secret\n");
    let app = init(&world.path("app"));
    let url = secret.dir.display().to_string();
    let modules = format!("[submodule \"x\"]\n\tpath = x\n\turl = {url}\n");
    app.commit_file(".gitmodules", &modules);
    let link = format!("160000,{},x", id.trim());
    app.run(&["update-index", "--add", "--cacheinfo", &link]);
    app.run(&["commit", "-q", "-m", "link"]);
    app.run(&["clone", "-q", "--bare", ".", "../app.git"]);
    let url = world.url("app", Way::Http);
    let cache = open(&world);
    let refused = cache.add(&url, None, &CallOptions::default()).unwrap_err();
    assert!(
        refused.to_string().contains("directory of this machine"),
        "{refused}"
    );
}

/// Answers the batch API of LFS, and gives the content away.
pub(crate) struct WithLfs {
    inner: Arc<GitSite>,
    oid: String,
    content: &'static [u8],
    asked: Mutex<Vec<String>>,
}

impl WithLfs {
    pub(crate) fn new(world: &World, content: &'static [u8]) -> WithLfs {
        WithLfs {
            inner: GitSite::new(&world.path(""), true),
            oid: oid_of(content),
            content,
            asked: Mutex::default(),
        }
    }
}

impl Site for WithLfs {
    fn answer(&self, mut request: Request<'_>, out: &mut (dyn Write + Send)) -> io::Result<()> {
        let host = request.header("host").unwrap_or_default().to_owned();
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
        if request.path.ends_with("/info/lfs/objects/batch") {
            let mut body = String::new();
            request.body.read_to_string(&mut body)?;
            self.asked.lock().unwrap().push(body);
            let oid = &self.oid;
            return write!(
                out,
                "{head}{{\"objects\":[{{\"oid\":\"{oid}\",\"actions\":{{\"download\":{{\"href\":\"http://{host}/content\",\"header\":{{\"X-Key\":\"k\"}}}}}}}}]}}"
            );
        }
        if request.path == "/content" {
            assert_eq!(request.header("x-key"), Some("k"));
            out.write_all(head.as_bytes())?;
            return out.write_all(self.content);
        }
        self.inner.answer(request, out)
    }
}

fn oid_of(content: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, content);
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

pub(crate) fn with_pointers(world: &World, contents: &[&[u8]]) -> Git {
    let work = init(&world.path("work"));
    work.commit_file(
        ".gitattributes",
        "*.bin filter=lfs diff=lfs merge=lfs -text\n",
    );
    for (number, content) in contents.iter().enumerate() {
        let pointer = format!(
            "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n",
            oid_of(content),
            content.len()
        );
        fs::write(work.dir.join(format!("{number}.bin")), pointer).unwrap();
    }
    let off = [
        "-c",
        "filter.lfs.clean=",
        "-c",
        "filter.lfs.process=",
        "-c",
        "filter.lfs.required=false",
    ];
    work.run(&[&off[..], &["add", "."]].concat());
    work.run(&[&off[..], &["commit", "-q", "-m", "pointers"]].concat());
    work.run(&["clone", "-q", "--bare", ".", "../big.git"]);
    work
}

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

/// Damages all objects of a mirror.
fn damage(mirror: &Path) {
    for folder in fs::read_dir(mirror.join("objects")).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            // The tree shares the file: another takes its place.
            let path = file.unwrap().path();
            fs::remove_file(&path).unwrap();
            fs::write(&path, "damaged").unwrap();
        }
    }
}

#[test]
fn mirrors_of_submodules_that_are_damaged_are_made_again() {
    let world = World::new();
    let source = nested(&world);
    let cache = open(&world);
    let call = CallOptions::default();
    let place = add(&cache, &source).cache_path;
    let mirrors = || {
        let mirrors = fs::read_dir(cache.root().join(".packhouse/mirrors")).unwrap();
        mirrors.map(|mirror| mirror.unwrap().path())
    };
    assert_eq!(mirrors().count(), 3);
    mirrors().for_each(|mirror| damage(&mirror));
    let app = Git::at(world.path("app"));
    app.commit_file("new", "new\n");
    app.run(&["push", "-q", "../app.git", "main:main"]);
    cache.refresh("app", &call).unwrap();
    assert!(place.join("new").exists());
    mirrors().for_each(|mirror| damage(&mirror));
    let checkout = cache.checkout("app", "main", &call).unwrap();
    for tree in [&place, &checkout.path] {
        for folder in ["", "x/lib", "x/lib/in"] {
            check_tree(&tree.join(folder));
        }
    }
    mirrors().for_each(|mirror| Git::at(&mirror).fsck());
}

#[test]
fn a_mirror_that_is_damaged_is_made_again() {
    let world = World::new();
    let source = world.with_history("source");
    source.run(&["repack", "-q", "-a", "-d"]);
    let cache = open(&world);
    let call = CallOptions::default();
    add(&cache, &path_of(&source));
    let mirrors = cache.root().join(".packhouse/mirrors");
    let mirror = fs::read_dir(mirrors)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    damage(&mirror);
    check_tree(&cache.get("source").unwrap().cache_path);
    let work = world.work("source");
    work.commit_file("new", "new\n");
    work.run(&["push", "-q", "../source.git", "main:main"]);
    let entry = cache.refresh("source", &call).unwrap();
    assert!(entry.cache_path.join("new").exists());
    check_tree(&entry.cache_path);
    Git::at(&mirror).fsck();
    // A missing one too, and one that is only needed for a checkout.
    fs::remove_dir_all(&mirror).unwrap();
    cache.refresh("source", &call).unwrap();
    let checkout = cache.checkout("source", "side", &call).unwrap();
    check_tree(&checkout.path);
}

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
    // Of a server that is known two questions are two ways to ask.
    fails(4);
    cache.refresh("source", &call).unwrap_err();
    fails(3);
    let entry = cache.refresh("source", &call).unwrap();
    assert_eq!(
        (entry.status, entry.error_message),
        (CacheStatus::Fresh, None)
    );
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
