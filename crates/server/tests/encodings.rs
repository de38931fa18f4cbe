//! Commits whose text is not in UTF-8: shown as `git log` shows them, and made again as Git does.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Checkout, TestServer, Token};

/// Makes a commit of one file by hand, with these bytes in its text; returns its id.
fn commit(checkout: &Path, parent: Option<&str>, encoding: &str, text: &[u8]) -> String {
    let git = |args: &[&str], input: &[u8]| {
        use std::io::Write;
        let mut child = Command::new("git")
            .current_dir(checkout)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "git {args:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let blob = git(
        &["hash-object", "-w", "--stdin"],
        format!("{encoding}\n").as_bytes(),
    );
    let kept = match parent {
        Some(parent) => git(&["ls-tree", parent], b"") + "\n",
        None => String::new(),
    };
    let entry = format!("100644 blob {blob}\t{encoding}.txt\n");
    let tree = git(&["mktree"], (kept + &entry).as_bytes());
    let mut raw = format!("tree {tree}\n").into_bytes();
    if let Some(parent) = parent {
        raw.extend_from_slice(format!("parent {parent}\n").as_bytes());
    }
    for who in ["author", "committer"] {
        raw.extend_from_slice(format!("{who} ").as_bytes());
        raw.extend_from_slice(text);
        raw.extend_from_slice(b" <a@example.com> 1700000000 +0000\n");
    }
    raw.extend_from_slice(format!("encoding {encoding}\n\n").as_bytes());
    raw.extend_from_slice(text);
    raw.extend_from_slice(b"\n\nmore\n");
    git(&["hash-object", "-w", "-t", "commit", "--stdin"], &raw)
}

fn texts(commit: &Value) -> (&str, &str) {
    (
        commit["message"].as_str().unwrap(),
        commit["author_name"].as_str().unwrap(),
    )
}

#[tokio::test]
async fn what_is_in_another_encoding_is_shown_and_made_again_in_utf8() {
    let server = TestServer::with_repo("a").await;
    let checkout = Checkout::init().await;
    let (latin, japanese) = (&b"caf\xe9"[..], &b"\x93\xfa\x96\x7b"[..]);
    let first = commit(checkout.path(), None, "ISO-8859-1", latin);
    let second = commit(checkout.path(), Some(&first), "Shift_JIS", japanese);
    // It is none, so it stays as it is.
    let third = commit(checkout.path(), Some(&second), "UTF-8", b"caf\xe9");
    checkout
        .git(&["update-ref", "refs/heads/main", &third])
        .await;
    let url = server.git_url("a", &Token::write("a"));
    checkout.git(&["push", "-q", &url, "main"]).await;

    let read = Token::read("a");
    let listed = server.get("/repos/commits", &read).await.expect(200).body;
    let shown: Vec<_> = listed["commits"]
        .as_array()
        .unwrap()
        .iter()
        .map(texts)
        .collect();
    let expected = [
        ("caf\u{fffd}\n\nmore", "caf\u{fffd}"),
        ("日本\n\nmore", "日本"),
        ("café\n\nmore", "café"),
    ];
    assert_eq!(shown, expected);
    let log = [
        "-c",
        "i18n.logOutputEncoding=UTF-8",
        "log",
        "-2",
        "--format=%an",
        &second,
    ];
    assert_eq!(checkout.git(&log).await, "日本\ncafé");
    let found = server
        .get(&format!("/repos/commit?sha={second}"), &read)
        .await;
    assert_eq!(texts(&found.expect(200).body["commit"]), expected[1]);
    let blamed = server
        .get("/repos/blame?path=Shift_JIS.txt", &read)
        .await
        .expect(200);
    let line = &blamed.body["lines"][0];
    assert_eq!(
        (&line["summary"], &line["author_name"]),
        (&json!("日本"), &json!("日本"))
    );
    let files = server
        .get("/repos/files/metadata", &read)
        .await
        .expect(200)
        .body;
    let last = &files["commits"][&first];
    assert_eq!(
        (&last["message"], &last["author"]),
        (&json!("café\n\nmore"), &json!("café"))
    );

    // Picked onto a branch that does not have it, and undone there.
    let write = Token::write("a");
    let branch = json!({ "base_ref": first, "target_branch": "side" });
    server
        .post("/repos/branches/create", &write, &branch)
        .await
        .expect(200);
    let pick = json!({ "target_branch": "side", "commit": second });
    server
        .post("/repos/cherry-pick", &write, &pick)
        .await
        .expect(200);
    let person = json!({ "name": "Ann", "email": "ann@example.com" });
    let revert = json!({ "target_branch": "side", "commit": second, "author": person });
    server
        .post("/repos/revert", &write, &revert)
        .await
        .expect(200);
    let restore = json!({ "metadata": {
        "target_branch": "side", "target_commit_sha": second, "author": person,
    } });
    server
        .post("/repos/restore-commit", &write, &restore)
        .await
        .expect(201);
    checkout.git(&["fetch", "-q", &url, "side"]).await;
    let raw = async |rev: &str| checkout.git(&["cat-file", "commit", rev]).await;
    let picked = raw("FETCH_HEAD~2").await;
    assert!(
        picked.contains("author 日本 <a@example.com> 1700000000"),
        "{picked}"
    );
    assert!(picked.contains("\n\n日本\n\nmore"), "{picked}");
    assert!(raw("FETCH_HEAD~1").await.contains("\n\nRevert \"日本\""));
    assert!(raw("FETCH_HEAD").await.contains("\n\nRestore \"日本\""));
    for rev in ["FETCH_HEAD", "FETCH_HEAD~1", "FETCH_HEAD~2"] {
        assert!(!raw(rev).await.contains("\nencoding "), "{rev}");
    }
}
