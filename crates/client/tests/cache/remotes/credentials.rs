//! Credentials open a repository, and are kept nowhere.

use std::sync::{Arc, Mutex};

use packhouse_client::cache::{Cache, CacheConfig, CallOptions};
use packhouse_client::{Credential, CredentialSource};
use packhouse_testkit::git_site::GitSite;

use crate::cache::{add, config};
use crate::git::Git;
use crate::sites::Locked;
use crate::world::World;

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
