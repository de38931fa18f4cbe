//! Credentials that the system's programs know.

use packhouse_client::{CredentialSource, SystemCredentials};

use crate::world::{World, write_program};

fn system(world: &World, git: &str, gh: &str) -> SystemCredentials {
    let (git_path, gh_path) = (world.path("fake-git"), world.path("fake-gh"));
    write_program(&git_path, &format!("#!/bin/sh\n{git}\n"));
    write_program(&gh_path, &format!("#!/bin/sh\n{gh}\n"));
    SystemCredentials::with_programs(
        git_path.display().to_string(),
        gh_path.display().to_string(),
    )
}

#[test]
fn git_is_asked_first_and_its_answer_is_quoted_into_the_url() {
    let world = World::new();
    let log = world.path("asked");
    let git = format!(
        "echo \"$@\" > '{0}'; cat >> '{0}'; echo username=me; echo 'password=a@b/c:d%'",
        log.display()
    );
    let system = system(&world, &git, "echo never");
    assert_eq!(
        system.resolve("https://example.com/a/b.git"),
        "https://me:a%40b%2Fc%3Ad%25@example.com/a/b.git"
    );
    assert_eq!(
        std::fs::read_to_string(log).unwrap(),
        "credential fill\nprotocol=https\nhost=example.com\npath=a/b.git\n\n"
    );
}

#[test]
fn gh_is_asked_next() {
    let world = World::new();
    let log = world.path("asked");
    let gh = format!("echo \"$@\" > '{}'; echo gho_token", log.display());
    let system = system(&world, "exit 1", &gh);
    assert_eq!(
        system.resolve("https://github.com/a/b"),
        "https://x-access-token:gho_token@github.com/a/b"
    );
    assert_eq!(
        std::fs::read_to_string(log).unwrap(),
        "auth token --hostname github.com\n"
    );
    let found = system.find("https://github.com/a/b", None).unwrap();
    assert!(!format!("{found:?}").contains("gho_token"));
}

#[test]
fn other_urls_and_unknown_hosts_come_back_as_they_are() {
    let world = World::new();
    let knowing = system(&world, "echo username=me; echo password=x", "echo token");
    for url in [
        "http://example.com/x",
        "ssh://example.com/x",
        "/a/path",
        "git@example.com:x",
        "https://someone@example.com/x",
        "https://a:b@example.com/x",
        "https://example.com/x\nhost=evil",
        "",
    ] {
        assert_eq!(knowing.resolve(url), url);
    }
    for (git, gh) in [
        ("exit 1", "exit 1"),
        ("echo username=", "echo"),
        ("true", "echo two words"),
    ] {
        let ignorant = system(&world, git, gh);
        assert_eq!(
            ignorant.resolve("https://example.com/x"),
            "https://example.com/x"
        );
    }
    let absent = SystemCredentials::with_programs("/nonexistent/git", "/nonexistent/gh");
    assert_eq!(
        absent.resolve("https://example.com/x"),
        "https://example.com/x"
    );
}
