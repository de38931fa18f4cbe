//! Signed pushes, with keys of SSH, which need no agent.

use std::process::Command;

use crate::doors::{BOTH, World};

#[test]
fn hooks_learn_who_signed_a_push_and_that_it_was_signed_for_it() {
    let world = World::new();
    let work = world.work();
    let key = world.path("key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
        .arg(&key)
        .status();
    assert!(made.unwrap().success());
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let allowed = world.path("allowed");
    std::fs::write(&allowed, format!("a@example.com {public}")).unwrap();
    work.run(&["config", "gpg.format", "ssh"]);
    work.run(&["config", "user.signingkey", key.to_str().unwrap()]);
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
