//! Repositories whose authors mean harm, and servers that get more than they should.

use std::fs;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};

use packhouse_client::cache::{Cache, CacheError, CacheStatus, CallOptions};
use packhouse_testkit::git_site::GitSite;

use super::remotes::{WithLfs, with_pointers};
use super::{add, config, open, path_of};
use crate::git::{Git, init};
use crate::responder::{Request, Site};
use crate::world::{Way, World};

/// A site that notes which secrets it is told.
struct Hearing {
    inner: Arc<GitSite>,
    heard: Mutex<Vec<String>>,
}

impl Hearing {
    fn new(world: &World) -> Arc<Hearing> {
        Arc::new(Hearing {
            inner: GitSite::new(&world.path(""), true),
            heard: Mutex::default(),
        })
    }

    fn heard(&self) -> Vec<String> {
        let mut heard = self.heard.lock().unwrap().clone();
        heard.sort();
        heard.dedup();
        heard
    }
}

impl Site for Hearing {
    fn answer(&self, request: Request<'_>, out: &mut (dyn Write + Send)) -> io::Result<()> {
        let headers = ["x-all", "x-host"].map(|name| request.header(name).unwrap_or("").to_owned());
        self.heard.lock().unwrap().push(headers.join(" "));
        self.inner.answer(request, out)
    }
}

/// A bare repository `app.git` with a submodule of this URL at this commit.
fn with_module(world: &World, name: &str, url: &str, id: &str) -> Git {
    let app = init(&world.path(name));
    let modules = format!("[submodule \"x\"]\n\tpath = x\n\turl = {url}\n");
    app.commit_file(".gitmodules", &modules);
    let link = format!("160000,{},x", id.trim());
    app.run(&["update-index", "--add", "--cacheinfo", &link]);
    app.run(&["commit", "-q", "-m", "link"]);
    app.run(&["clone", "-q", "--bare", ".", &format!("../{name}.git")]);
    app
}

#[test]
fn a_header_for_all_servers_does_not_go_to_one_that_an_author_chose() {
    let mut world = World::new();
    let lib = init(&world.path("lib"));
    let id = lib.commit_file("code", "code\n");
    lib.run(&["clone", "-q", "--bare", ".", "../lib.git"]);
    let (own, other) = (Hearing::new(&world), Hearing::new(&world));
    let own_url = world.serve(own.clone());
    let other_url = world.serve(other.clone());
    with_module(&world, "app", &format!("{other_url}lib.git"), &id);
    with_module(&world, "near", "../lib.git", &id);
    let cache = |name: &str| {
        let mut config = config(&world.path(name));
        let mut set = |name: String, value: &str| config.git_config.insert(name, value.to_owned());
        set("http.extraheader".to_owned(), "X-All: secret");
        set(format!("http.{other_url}.extraheader"), "X-Host: its");
        Cache::open(config).unwrap()
    };
    let entry = add(&cache("cache"), &format!("{own_url}app.git"));
    assert!(entry.cache_path.join("x/code").exists());
    assert_eq!(own.heard(), ["secret "]);
    assert_eq!(other.heard(), [" its"]);
    // What is on the server that was asked for may be as locked as the rest of it.
    own.heard.lock().unwrap().clear();
    let entry = add(&cache("second"), &format!("{own_url}near.git"));
    assert!(entry.cache_path.join("x/code").exists());
    assert_eq!(own.heard(), ["secret "]);
}

/// Sends everyone to another server.
struct Moved {
    to: String,
    heard: Mutex<Vec<String>>,
}

impl Site for Moved {
    fn answer(&self, request: Request<'_>, out: &mut (dyn Write + Send)) -> io::Result<()> {
        let heard = request.header("x-all").unwrap_or("").to_owned();
        self.heard.lock().unwrap().push(heard);
        write!(
            out,
            "HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: {}{}?{}\r\nContent-Length: 0\r\n\r\n",
            self.to.trim_end_matches('/'),
            request.path,
            request.query
        )
    }
}

#[test]
fn a_header_does_not_go_to_where_a_server_redirects() {
    let mut world = World::new();
    world.with_history("source");
    let other = Hearing::new(&world);
    let moved = Arc::new(Moved {
        to: world.serve(other.clone()),
        heard: Mutex::default(),
    });
    let url = format!("{}source.git", world.serve(moved.clone()));
    let mut config = config(&world.path("cache"));
    let header = "X-All: secret".to_owned();
    config
        .git_config
        .insert("http.extraheader".to_owned(), header);
    let cache = Cache::open(config).unwrap();
    add(&cache, &url);
    assert_eq!(*moved.heard.lock().unwrap(), ["secret"]);
    assert_eq!(other.heard(), [" "]);
}

#[test]
fn a_directory_with_a_colon_in_its_name_is_a_directory_of_this_machine() {
    let mut world = World::new();
    let here = tempfile::Builder::new()
        .prefix("module:")
        .tempdir_in(".")
        .unwrap();
    let secret = init(&here.path().canonicalize().unwrap());
    let id = secret.commit_file("secret", "secret\n");
    let name = here.path().file_name().unwrap().to_str().unwrap();
    with_module(&world, "app", name, &id);
    let url = world.url("app", Way::Http);
    let refused = open(&world)
        .add(&url, None, &CallOptions::default())
        .unwrap_err();
    assert!(
        refused.to_string().contains("directory of this machine"),
        "{refused}"
    );
}

#[test]
fn what_would_not_fit_is_refused_before_it_is_written() {
    let world = World::new();
    let work = init(&world.path("work"));
    fs::write(work.dir.join("zeros"), vec![0; 1 << 20]).unwrap();
    let blob = work.run(&["hash-object", "-w", "zeros"]);
    for name in 0..64 {
        let entry = format!("100644,{},{name}", blob.trim());
        work.run(&["update-index", "--add", "--cacheinfo", &entry]);
    }
    work.run(&["commit", "-q", "-m", "bomb"]);
    work.run(&["clone", "-q", "--bare", ".", "../bomb.git"]);
    let mut config = config(&world.path("cache"));
    config.max_bytes = 4 << 20;
    let cache = Cache::open(config).unwrap();
    let source = world.path("bomb.git").display().to_string();
    let full = cache
        .add(&source, None, &CallOptions::default())
        .unwrap_err();
    // It was found while counting, not by what was written.
    assert!(
        matches!(full, CacheError::Full { needed_bytes, .. } if needed_bytes == 5 << 20),
        "{full}"
    );
}

#[test]
fn what_pointers_claim_is_counted_before_it_is_fetched() {
    let mut world = World::new();
    let work = with_pointers(&world, &[b"the content"]);
    let text = fs::read_to_string(work.dir.join("0.bin")).unwrap();
    let claims = text.replace("size 11", "size 1000000000000000");
    fs::write(work.dir.join("0.bin"), claims).unwrap();
    work.run(&[
        "-c",
        "filter.lfs.clean=",
        "-c",
        "filter.lfs.process=",
        "-c",
        "filter.lfs.required=false",
        "commit",
        "-q",
        "-a",
        "-m",
        "claims",
    ]);
    work.run(&["push", "-q", "../big.git", "main:main"]);
    let url = world.url("big", Way::Http);
    let full = open(&world)
        .add(&url, None, &CallOptions::default())
        .unwrap_err();
    assert!(matches!(full, CacheError::Full { .. }), "{full}");
}

/// Is asked too much until it is not.
struct Busy {
    inner: WithLfs,
    answers: Mutex<&'static str>,
}

impl Site for Busy {
    fn answer(&self, mut request: Request<'_>, out: &mut (dyn Write + Send)) -> io::Result<()> {
        let status = *self.answers.lock().unwrap();
        if request.path.ends_with("/info/lfs/objects/batch") && !status.is_empty() {
            request.body.read_to_end(&mut Vec::new())?;
            return write!(
                out,
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            );
        }
        self.inner.answer(request, out)
    }
}

#[test]
fn large_files_that_were_not_to_be_had_are_asked_for_again() {
    let mut world = World::new();
    with_pointers(&world, &[b"the content"]);
    let site = Arc::new(Busy {
        inner: WithLfs::new(&world, b"the content"),
        answers: Mutex::new("429 Too Many Requests"),
    });
    let url = format!("{}big.git", world.serve(site.clone()));
    let cache = open(&world);
    let call = CallOptions::default();
    for status in [
        "408 Request Timeout",
        "425 Too Early",
        "429 Too Many Requests",
    ] {
        *site.answers.lock().unwrap() = status;
        let refused = cache.add(&url, None, &call).unwrap_err().to_string();
        assert!(refused.contains(&status[..3]), "{refused}");
    }
    // There is no LFS, and then there is.
    *site.answers.lock().unwrap() = "404 Not Found";
    let without = add(&cache, &url);
    assert_eq!(without.notes.len(), 1);
    *site.answers.lock().unwrap() = "";
    let with = add(&cache, &url);
    assert_eq!(
        fs::read(with.cache_path.join("0.bin")).unwrap(),
        b"the content"
    );
    assert_eq!(with.status, CacheStatus::Fresh);
    assert!(with.notes.is_empty(), "{:?}", with.notes);
}

#[test]
fn a_folder_of_somebody_in_the_place_of_an_entry_stays_when_the_entry_goes() {
    let world = World::new();
    let source = world.with_history("source");
    let cache = open(&world);
    let call = CallOptions::default();
    let entry = cache.add(&path_of(&source), Some("mine"), &call).unwrap();
    fs::remove_dir_all(&entry.cache_path).unwrap();
    fs::create_dir(&entry.cache_path).unwrap();
    fs::write(entry.cache_path.join("theirs"), "theirs").unwrap();
    cache.remove("mine", &call).unwrap();
    assert!(cache.list().unwrap().is_empty());
    assert!(entry.cache_path.join("theirs").exists());
}
