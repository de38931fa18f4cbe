//! Signed pushes, with keys of SSH, which need no agent.

use std::process::Command;

use crate::doors::{BOTH, World};
use crate::git::Git;

/// Makes a key that pushes from `work` are signed with, and returns its public half.
fn made_key(world: &World, work: &Git) -> String {
    let key = world.path("key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
        .arg(&key)
        .status();
    assert!(made.unwrap().success());
    work.run(&["config", "gpg.format", "ssh"]);
    work.run(&["config", "user.signingkey", key.to_str().unwrap()]);
    std::fs::read_to_string(key.with_extension("pub")).unwrap()
}

#[test]
fn hooks_learn_who_signed_a_push_and_that_it_was_signed_for_it() {
    let world = World::new();
    let work = world.work();
    let public = made_key(&world, &work);
    let allowed = world.path("allowed");
    std::fs::write(&allowed, format!("a@example.com {public}")).unwrap();
    // Not offered: nothing is signed.
    assert!(
        !work
            .try_run(&["push", "--signed", &world.url("ours"), "main"])
            .ok
    );
    world.set("receive.certNonceSeed", "a secret");
    world.set("gpg.ssh.allowedSignersFile", allowed.to_str().unwrap());
    world.set("receive.advertisePushOptions", "true");
    let note = "env | grep -E '^GIT_PUSH_CERT' | grep -v NONCE= | sort >> $NOTES/certificate; \
                git cat-file blob $GIT_PUSH_CERT | grep -v -E '^(nonce|pushee|[A-Za-z0-9+/=]{60,}|[A-Za-z0-9+/=]*=|[0-9a-f]{40})' | head -6 >> $NOTES/text";
    world.hook("pre-receive", note);
    world.hook("post-receive", note);
    assert!(
        world
            .push(&work, &["--signed", "-o", "option", "URL", "main"])
            .0
    );
    let [ours, gits] = BOTH.map(|name| {
        let noted = world.notes(name, "certificate");
        // The blob has the nonce in it, so its id is its own.
        noted
            .lines()
            .filter(|line| !line.starts_with("GIT_PUSH_CERT="))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    assert_eq!(ours, gits);
    assert!(
        ours.contains(&"GIT_PUSH_CERT_STATUS=G".to_owned()),
        "{ours:?}"
    );
    assert!(
        ours.contains(&"GIT_PUSH_CERT_NONCE_STATUS=OK".to_owned()),
        "{ours:?}"
    );
    assert!(
        ours.contains(&"GIT_PUSH_CERT_SIGNER=a@example.com".to_owned()),
        "{ours:?}"
    );
    let text = world.notes("ours", "text");
    assert!(
        text.starts_with("certificate version 0.1\npusher "),
        "{text}"
    );
}

#[test]
fn an_empty_seed_and_a_list_of_signers_that_is_not_there_count_as_with_git() {
    let world = World::new();
    let work = world.work();
    made_key(&world, &work);
    world.set("receive.certNonceSeed", "");
    let missing = world.path("missing");
    let note = "env | grep -E '^GIT_PUSH_CERT_(KEY|SIGNER|STATUS|NONCE_STATUS)=' | sort > $NOTES/certificate";
    world.hook("pre-receive", note);
    for (list, known) in [
        (None, false),
        (Some(missing.to_str().unwrap()), true),
        (Some(""), true),
    ] {
        if let Some(list) = list {
            world.set("gpg.ssh.allowedSignersFile", list);
        }
        work.commit_file("a", &format!("{list:?}\n"));
        assert!(world.push(&work, &["--signed", "URL", "main"]).0);
        let [ours, gits] = BOTH.map(|name| world.notes(name, "certificate"));
        assert_eq!(ours, gits, "{list:?}");
        let has_key = ours.contains("GIT_PUSH_CERT_KEY=SHA256:");
        let is_good = ours.contains("GIT_PUSH_CERT_STATUS=G\n");
        assert_eq!((has_key, is_good), (known, known), "{list:?}: {ours}");
        assert!(ours.contains("GIT_PUSH_CERT_NONCE_STATUS=OK"), "{ours}");
        if list.is_some() {
            world.unset("gpg.ssh.allowedSignersFile");
        }
    }
}
