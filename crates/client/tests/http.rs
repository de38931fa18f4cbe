//! Who we are to HTTP servers, where they send us, and what they answer.

use std::sync::{Arc, Mutex};

use packhouse_client::remote::{Remote, RemoteError};
use packhouse_client::{Credential, CredentialSource, RemoteOptions, backup, restore};

use crate::responder::Responder;
use packhouse_testkit::git_site::GitSite;

use crate::sites::{Fixed, Locked, TlsFront, tls_file};
use crate::world::{Way, World, git_of};

/// Has one answer and notes what it is told.
struct Known {
    password: &'static str,
    told: Mutex<Vec<String>>,
}

impl CredentialSource for Known {
    fn find(&self, url: &str, user: Option<&str>) -> Option<Credential> {
        self.told
            .lock()
            .unwrap()
            .push(format!("find {url} {user:?}"));
        Some(Credential::basic("me", self.password))
    }

    fn approve(&self, _: &str, _: &Credential) {
        self.told.lock().unwrap().push("approve".to_owned());
    }

    fn reject(&self, _: &str, _: &Credential) {
        self.told.lock().unwrap().push("reject".to_owned());
    }
}

fn locked(world: &World) -> Arc<Locked> {
    Arc::new(Locked {
        inner: GitSite::new(&world.path("."), true),
        // me:secret
        key: "Basic bWU6c2VjcmV0".to_owned(),
        tried: Mutex::default(),
    })
}

fn with_source(world: &World, password: &'static str) -> (RemoteOptions, Arc<Known>) {
    let told = Mutex::default();
    let known = Arc::new(Known { password, told });
    let options = RemoteOptions {
        credentials: Some(known.clone()),
        ..world.remote_options(Way::Http)
    };
    (options, known)
}

#[test]
fn credentials_of_the_url_or_of_a_source_open_the_server() {
    let mut world = World::new();
    let source = world.with_history("source");
    let target = world.bare("target");
    let url = world.serve(locked(&world));
    let mut options = world.options(Way::Http);

    let in_url = url.replace("http://", "http://me:secret@");
    let store = world.store("one");
    restore(&store, format!("{in_url}source.git"), &options).unwrap();
    assert_eq!(git_of(&store).refs(), source.refs());

    let (remote, known) = with_source(&world, "secret");
    options.remote = remote;
    let store = world.store("two");
    restore(&store, format!("{url}source.git"), &options).unwrap();
    backup(&store, format!("{url}target.git"), &options).unwrap();
    assert_eq!(target.refs(), source.refs());
    let told = known.told.lock().unwrap();
    assert!(
        told[0].starts_with(&format!("find {url}source.git/info/refs")),
        "{told:?}"
    );
    assert_eq!(told[1], "approve");
}

#[test]
fn wrong_credentials_are_named_so_and_not_shown() {
    let mut world = World::new();
    world.with_history("source");
    let url = world.serve(locked(&world));
    let store = world.store("store");
    let (remote, known) = with_source(&world, "hunter2");
    let mut options = world.options(Way::Http);
    let with_user = format!("{}source.git", url.replace("http://", "http://me:hunter2@"));
    let nobody = restore(&store, format!("{url}source.git"), &options).unwrap_err();
    let in_url = restore(&store, &with_user, &options).unwrap_err();
    options.remote = remote;
    let from_source = restore(&store, format!("{url}source.git"), &options).unwrap_err();
    for error in [&nobody, &in_url, &from_source] {
        assert!(
            error.to_string().starts_with("Authentication failed for '"),
            "{error}"
        );
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert_eq!(
            error.kind(),
            packhouse_repo::store::StoreErrorKind::Permission
        );
    }
    assert_eq!(known.told.lock().unwrap().last().unwrap(), "reject");
}

fn redirect_to(target: &str) -> Arc<Fixed> {
    Arc::new(Fixed(format!(
        "HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: {target}\r\n\r\n"
    )))
}

#[test]
fn redirects_are_followed_without_the_credentials_of_the_first_server() {
    let mut world = World::new();
    let source = world.with_history("source");
    let site = locked(&world);
    let there = world.serve(site.clone());
    let here = world.serve(redirect_to(&format!(
        "{there}source.git/info/refs?service=git-upload-pack"
    )));
    let store = world.store("store");
    let mut options = world.options(Way::Http);
    let url = format!("{}x.git", here.replace("http://", "http://me:secret@"));
    let error = restore(&store, &url, &options).unwrap_err();
    assert!(
        error.to_string().contains("Authentication failed"),
        "{error}"
    );
    assert_eq!(
        *site.tried.lock().unwrap(),
        [None],
        "the password went to another server"
    );

    options.remote = with_source(&world, "secret").0;
    restore(&store, &url, &options).unwrap();
    assert_eq!(git_of(&store).refs(), source.refs());
}

#[test]
fn redirects_that_lead_astray_are_refused() {
    let mut world = World::new();
    let store = world.store("store");
    let file = world.path("source.git").display().to_string();
    for target in [
        format!("file://{file}"),
        "ftp://127.0.0.1/x.git/info/refs?service=git-upload-pack".to_owned(),
        "http://a:b@127.0.0.1:1/x.git/info/refs?service=git-upload-pack".to_owned(),
    ] {
        let url = format!("{}x.git", world.serve(redirect_to(&target)));
        let error = restore(&store, &url, &world.options(Way::Http)).unwrap_err();
        assert!(
            error.to_string().contains("not followed"),
            "{target}: {error}"
        );
    }
    // Round and round.
    let url = world.serve(redirect_to("/y.git/info/refs?service=git-upload-pack"));
    let error = restore(&store, format!("{url}x.git"), &world.options(Way::Http)).unwrap_err();
    assert!(error.to_string().contains("redirects"), "{error}");
}

#[test]
fn answers_that_are_not_gits_are_told_apart() {
    let mut world = World::new();
    let store = world.store("store");
    let page = "Content-Type: text/plain\r\nConnection: close\r\n\r\nthe plan does not allow it";
    let cases = [
        (format!("HTTP/1.1 200 OK\r\n{page}"), "smart protocol"),
        (format!("HTTP/1.1 403 Forbidden\r\n{page}"), "the plan does not allow it"),
        (format!("HTTP/1.1 404 Not Found\r\n{page}"), "Repository not found"),
        (format!("HTTP/1.1 503 Busy\r\n{page}"), "503"),
        (
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n\r\nhello".to_owned(),
            "smart protocol",
        ),
        ("nonsense\r\n\r\n".to_owned(), "broke"),
    ];
    for (answer, expected) in cases {
        let url = format!("{}x.git", world.serve(Arc::new(Fixed(answer))));
        let error = restore(&store, &url, &world.options(Way::Http)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_server_that_is_not_there_is_told_apart() {
    let world = World::new();
    let url = {
        let server = Responder::start(Arc::new(Fixed(String::new())));
        server.url("x.git")
    };
    let remote = Remote::open(&url, world.remote_options(Way::Http)).unwrap();
    let error = remote.refs(&()).unwrap_err();
    assert!(matches!(error, RemoteError::Connect { .. }), "{error:?}");
}

#[test]
fn https_is_spoken_with_servers_that_are_vouched_for() {
    let world = World::new();
    let source = world.with_history("source");
    let server = Responder::start(GitSite::new(&world.path("."), true));
    let front = TlsFront::start(server.address());
    let store = world.store("store");
    let url = format!("https://localhost:{}/source.git", front.port);
    let mut options = world.options(Way::Http);
    let error = restore(&store, &url, &options).unwrap_err();
    assert!(error.to_string().contains("could not connect"), "{error}");
    options.remote.extra_certificates = Some(tls_file("cert"));
    restore(&store, &url, &options).unwrap();
    assert_eq!(git_of(&store).refs(), source.refs());
}

#[test]
fn a_redirect_away_from_https_is_refused() {
    let world = World::new();
    world.with_history("source");
    let plain = Responder::start(GitSite::new(&world.path("."), true));
    let target = plain.url("source.git/info/refs?service=git-upload-pack");
    let server = Responder::start(redirect_to(&target));
    let front = TlsFront::start(server.address());
    let store = world.store("store");
    let mut options = world.options(Way::Http);
    options.remote.extra_certificates = Some(tls_file("cert"));
    let url = format!("https://localhost:{}/source.git", front.port);
    let error = restore(&store, &url, &options).unwrap_err();
    assert!(
        error.to_string().contains("leads away from HTTPS"),
        "{error}"
    );
}

#[test]
fn threads_of_an_executor_that_may_block_can_talk_to_remotes() {
    let mut world = World::new();
    let source = world.with_history("source");
    let url = world.url("source", Way::Http);
    let options = world.remote_options(Way::Http);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let refs = runtime.block_on(async {
        let listing = tokio::task::spawn_blocking(move || {
            let remote = Remote::open(&url, options).unwrap();
            let refs = remote.refs(&()).unwrap();
            (remote, refs)
        });
        // A remote may be dropped anywhere.
        listing.await.unwrap().1
    });
    assert_eq!(refs.refs.len(), source.refs().lines().count());
}
