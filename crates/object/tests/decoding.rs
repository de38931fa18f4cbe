//! Commits, tags and signatures: read as Git shows them, written as Git writes them.

use packhouse_object::{
    Commit, DecodeError, NewObject, ObjectId, ObjectKind, Signature, Tag, TreeIter, commit_links,
    commit_text, signed_commit,
};
use packhouse_testkit::history::HistoryOptions;
use proptest::prelude::*;

use crate::git::Git;
use crate::repositories::random;

#[test]
fn commits_and_tags_survive_the_way_there_and_back() {
    let git = random(&HistoryOptions {
        commits: 120,
        ..HistoryOptions::small(21)
    });
    let (mut commits, mut tags) = (0, 0);
    for object in git.objects() {
        match object.kind {
            ObjectKind::Commit => {
                let commit = Commit::parse(&object.data).unwrap();
                assert_eq!(commit.encode(), object.data);
                let (tree, parents, seconds) = commit_links(&object.data).unwrap();
                assert_eq!(
                    (tree, &parents, seconds),
                    (commit.tree, &commit.parents, commit.committer.seconds)
                );
                commits += 1;
            }
            ObjectKind::Tag => {
                assert_eq!(Tag::parse(&object.data).unwrap().encode(), object.data);
                tags += 1;
            }
            _ => {}
        }
    }
    assert!(commits == 120 && tags > 3);
}

#[test]
fn extra_headers_survive_with_their_lines() {
    let tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    let data = format!(
        "tree {tree}\nparent {tree}\nauthor A <a@x> 1 +0100\ncommitter B <b@x> 2 -0230\n\
         encoding ISO-8859-1\ngpgsig -----BEGIN-----\n \n line\n -----END-----\n \nlone\n\nmessage\n\nmore"
    );
    let commit = Commit::parse(data.as_bytes()).unwrap();
    assert_eq!(commit.header("encoding").unwrap(), "ISO-8859-1");
    assert_eq!(
        commit.header("gpgsig").unwrap(),
        "-----BEGIN-----\n\nline\n-----END-----\n"
    );
    assert_eq!(commit.header("lone").unwrap(), "");
    assert_eq!(commit.message, "message\n\nmore");
    assert_eq!(commit.committer.offset_minutes, -150);
    let lone = data.replace("\nlone\n", "\nlone \n");
    assert_eq!(
        commit.encode(),
        lone.as_bytes(),
        "all but the space every header has"
    );
}

/// What git makes of a name and an address; `None` if it refuses them.
fn ident_of_git(git: &Git, name: &str, email: &str, date: &str) -> Option<String> {
    let tree = git.run_with(&["mktree"], b"");
    let tree = std::str::from_utf8(tree.trim_ascii()).unwrap().to_owned();
    let output = std::process::Command::new("git")
        .args(["commit-tree", &tree, "-m", "m"])
        .current_dir(git.path())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", git.path())
        .envs([
            ("GIT_AUTHOR_NAME", name),
            ("GIT_AUTHOR_EMAIL", email),
            ("GIT_AUTHOR_DATE", date),
        ])
        .envs([("GIT_COMMITTER_NAME", "c"), ("GIT_COMMITTER_EMAIL", "c@x")])
        .output()
        .unwrap();
    let id = String::from_utf8(output.stdout).unwrap();
    if !output.status.success() {
        return None;
    }
    let commit = String::from_utf8(git.run(&["cat-file", "commit", id.trim()])).unwrap();
    let line = commit
        .lines()
        .find(|line| line.starts_with("author "))
        .unwrap();
    Some(line["author ".len()..].to_owned())
}

#[test]
fn signatures_are_written_as_git_writes_them() {
    let git = Git::init();
    let names = [
        "Ada",
        " Ada Lovelace. ",
        "A <b> c",
        "\"quoted\"",
        "x\ny",
        "Zoë,;:",
        "a.b.",
        "'",
        "<>",
        "\\\\x\\",
        "日本",
    ];
    let emails = ["a@x", "<a@x>", " a b ", "", "a>@x", ".a@x.", "\u{1}a\u{1}"];
    let mut compared = 0;
    for name in names {
        for email in emails {
            let signature = Signature {
                name: name.into(),
                email: email.into(),
                seconds: 1_234_567_890,
                offset_minutes: -90,
            };
            if let Some(expected) = ident_of_git(&git, name, email, "1234567890 -0130") {
                assert_eq!(String::from_utf8(signature.encode()).unwrap(), expected);
                compared += 1;
            }
        }
    }
    assert!(compared > 40);
}

fn stored(git: &Git, commit: &[u8]) -> String {
    let args = [
        "hash-object",
        "-t",
        "commit",
        "-w",
        "--stdin",
        "--literally",
    ];
    let id = git.run_with(&args, commit);
    String::from_utf8(id.trim_ascii().to_vec()).unwrap()
}

/// Author's name, address and time, and the committer's name, as Git shows them.
fn shown(git: &Git, id: &str) -> Vec<String> {
    let format = "--format=%an%x00%ae%x00%ad%x00%cn";
    let shown = git.run(&["log", "-1", format, "--date=raw", id]);
    let shown = String::from_utf8(shown).unwrap();
    let shown = shown.trim_end_matches('\n').split('\0');
    shown.map(str::to_owned).collect()
}

/// The same of a commit that was read; a time that nobody gave is left out by Git.
fn read(commit: &Commit, date_of_git: &str) -> Vec<String> {
    let Signature {
        name,
        email,
        seconds,
        offset_minutes,
    } = &commit.author;
    let sign = if *offset_minutes < 0 { '-' } else { '+' };
    let (hours, minutes) = (offset_minutes.abs() / 60, offset_minutes.abs() % 60);
    let date = match (date_of_git, seconds, offset_minutes) {
        ("", 0, 0) => String::new(),
        _ => format!("{seconds} {sign}{hours:02}{minutes:02}"),
    };
    let committer = commit.committer.name.to_string();
    vec![name.to_string(), email.to_string(), date, committer]
}

const TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

#[test]
fn signatures_are_read_as_tolerantly_as_git_reads_them() {
    let git = Git::init();
    for line in [
        "A <a@x> 1 +0100",
        "A B  <a@x> 1234567890 -0730",
        "<a@x> 5 +0000",
        "A <> 5 +0000",
        "<> 5 +0000",
        "A <a@x>",
        "A <a@x> ",
        "A <a@x> 12 ",
        "A <a@x> 12",
        "A <a@x> -12 +0000",
        "A <a@x> 12 0000",
        "A <a@x> 12x +0100",
        "A <a@x> 12+0100",
        "A <a@x>12\t+0100",
        "A <a@x> 12 +0100x",
        "A <a@x> 12 --0100",
        "A <a@x> 12 +1",
        "A <a@x> 12 + 0100",
        "A <a@x> \u{b}12 +0100",
        "A\u{b} <a@x> 12 +0100",
        " A\r <a@x> 12 +0100",
        "A <a> <b@x> 5 +0200",
        "A > <a@x> 5 +0200",
        "A <a@x> 5 +0200 >",
        "A <a@x> 17 +1400",
        "A <a@x> 17 -9959",
        "A <a@x> 17 +9999999999",
        "A <a@x> 17 -2147483648",
        "A<a@x> 5 +0000",
        "A <a@x> 5 +0545",
        "A <a@x> 9223372036854775807 +0100",
        "A <a@x> 9223372036854775808 +0100",
        "A <a@x> 99999999999999999999999 +0100",
        "nobody",
        "nobody 5 +0000",
        "A <a@x 5 +0000",
        "A a@x> 5 +0000",
        "",
    ] {
        let data = format!("tree {TREE}\nauthor {line}\ncommitter C <c@x> 1 +0000\n\nm\n");
        let expected = shown(&git, &stored(&git, data.as_bytes()));
        let commit = Commit::parse(data.as_bytes()).unwrap();
        assert_eq!(read(&commit, &expected[2]), expected, "{line:?}");
    }
    assert_eq!(Signature::parse(b"nobody"), None);
    assert_eq!(Signature::parse(b"A\0 <a@x> 1 +0000"), None);
}

#[test]
fn commits_are_read_wherever_their_headers_are_and_whatever_is_missing() {
    let git = Git::init();
    let (author, committer) = ("author A <a@x> 5 +0100\n", "committer C <c@x> 7 +0000\n");
    for rest in [
        "\nm\n",
        "\n",
        "\nm",
        &format!("{author}\nm\n"),
        &format!("{committer}\nm\n"),
        &format!("{committer}{author}\nm\n"),
        &format!("{author}author B <b@x> 6 +0000\n{committer}\nm\n"),
        &format!("encoding UTF-8\n{author}{committer}\nm\n"),
        &format!("{author}{committer}"),
        &format!("{author}committer C <c@x> 7 +0000"),
        &format!("{author}{committer}encoding"),
    ] {
        let data = format!("tree {TREE}\n{rest}");
        let id = stored(&git, data.as_bytes());
        let expected = shown(&git, &id);
        let commit = Commit::parse(data.as_bytes()).unwrap();
        assert_eq!(read(&commit, &expected[2]), expected, "{rest:?}");
        let message = git.run(&["log", "-1", "--format=%B", &id]);
        let message = message.trim_ascii();
        assert_eq!(commit.message.trim_ascii(), message, "{rest:?}");
    }
}

#[test]
fn the_text_of_commits_is_decoded_as_git_decodes_it() {
    let git = Git::init();
    let texts: [(&str, &[u8], Option<&str>); 21] = [
        ("ISO-8859-1", b"Zo\xeb \x93", Some("Zo\u{eb} \u{93}")),
        ("latin-1", b"Zo\xeb", Some("Zo\u{eb}")),
        ("ISO8859-1", b"Zo\xeb", Some("Zo\u{eb}")),
        ("CP1252", b"Zo\xeb \x93", Some("Zo\u{eb} \u{201c}")),
        ("iso-8859-15", b"5 \xa4", Some("5 \u{20ac}")),
        ("KOI8-R", b"\xc2\xc1", Some("\u{431}\u{430}")),
        ("cp1251", b"\xe1\xe0", Some("\u{431}\u{430}")),
        ("CP866", b"\xa1\xa0", Some("\u{431}\u{430}")),
        ("Shift_JIS", b"\x93\xfa\x96\x7b", Some("\u{65e5}\u{672c}")),
        ("SJIS", b"\x93\xfa\x96\x7b", Some("\u{65e5}\u{672c}")),
        ("CP932", b"\x93\xfa\x96\x7b", Some("\u{65e5}\u{672c}")),
        ("eucJP", b"\xc6\xfc\xcb\xdc", Some("\u{65e5}\u{672c}")),
        (
            "ISO-2022-JP",
            b"\x1b$BF|K\\\x1b(B",
            Some("\u{65e5}\u{672c}"),
        ),
        ("GBK", b"\xc8\xd5\xb1\xbe", Some("\u{65e5}\u{672c}")),
        ("Big5", b"\xa4\xe9\xa5\xbb", Some("\u{65e5}\u{672c}")),
        ("EUC-KR", b"\xc0\xcf\xba\xbb", Some("\u{c77c}\u{bcf8}")),
        // Malformed, or in what nobody knows: as it is.
        ("eucJP", b"\xc6", None),
        ("x-user-defined", b"\xeb", None),
        ("no such encoding", b"\xeb", None),
        ("ascii", b"\xc3\xab", None),
        ("utf8", b"\xc3\xab \xff", None),
    ];
    for (encoding, text, expected) in texts {
        let expected = expected.map_or(text, str::as_bytes);
        let head = format!("tree {TREE}\nauthor ");
        let encoding_line = format!("encoding {encoding}\n\n");
        let address = b" <x@x> 5 +0000\n";
        let data = [
            head.as_bytes(),
            text,
            address,
            b"committer ",
            text,
            address,
            encoding_line.as_bytes(),
            text,
            b"\n",
        ]
        .concat();
        let id = stored(&git, &data);
        let of_git = git.run(&["log", "-1", "--format=%an%n%B", &id]);
        let of_git = of_git.trim_ascii_end();
        assert_eq!(of_git, [expected, b"\n", expected].concat(), "{encoding}");

        let commit = Commit::parse(&data).unwrap();
        let shown = commit_text(&commit.author.name, commit.encoding());
        assert_eq!(&*shown, expected, "{encoding}");
        let commit = commit.in_utf8();
        assert_eq!(commit.author.name, expected, "{encoding}");
        assert_eq!(commit.committer.name, expected, "{encoding}");
        assert_eq!(commit.message, [expected, b"\n"].concat(), "{encoding}");
        let is_decoded = expected != text;
        assert_eq!(commit.encoding().is_none(), is_decoded, "{encoding}");
        assert_eq!(commit.clone().in_utf8(), commit);
    }
    assert_eq!(&*commit_text(b"\xeb", None), b"\xeb");
}

#[test]
fn malformed_objects_are_refused_with_a_reason() {
    let reason = |error: DecodeError| error.to_string();
    let commit = |data: &[u8]| reason(Commit::parse(data).unwrap_err());
    assert_eq!(commit(b""), "malformed commit: it names no tree");
    assert_eq!(
        commit(b"tree xyz\n"),
        "malformed commit: a header names no id"
    );
    let no_parent = format!("tree {TREE}\nparent x\nauthor A <a> 1 +0000\n\n");
    assert_eq!(
        commit(no_parent.as_bytes()),
        "malformed commit: a header names no id"
    );
    assert_eq!(
        reason(Tag::parse(b"object 1\n").unwrap_err()),
        "malformed tag: a header names no id"
    );
    let no_kind = format!("object {TREE}\ntype frog\ntag t\n\n");
    assert_eq!(
        reason(Tag::parse(no_kind.as_bytes()).unwrap_err()),
        "malformed tag: its object is of an unknown kind"
    );
    for bad in [
        &b"100644 name"[..],
        b"100644 name\0short",
        b"nonsense",
        b"999 x\0",
        b"777777777 x\0aaaaaaaaaaaaaaaaaaaa",
    ] {
        let mut entries = TreeIter::new(bad);
        assert!(entries.next().unwrap().is_err(), "{bad:?}");
        assert!(entries.next().is_none(), "it ends after an error");
    }
}

fn any_signature() -> impl Strategy<Value = Signature> {
    (
        "[a-zA-Zé][a-z é]{0,8}[a-z]",
        "[a-z@]{1,8}",
        0..4_000_000_000i64,
        -720..840i32,
    )
        .prop_map(|(name, email, seconds, offset_minutes)| Signature {
            name: name.into(),
            email: email.into(),
            seconds,
            offset_minutes,
        })
}

fn any_id() -> impl Strategy<Value = ObjectId> {
    any::<[u8; 20]>().prop_map(ObjectId::from)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_commit_is_read_back_as_it_was(
        tree in any_id(),
        parents in prop::collection::vec(any_id(), 0..4),
        author in any_signature(),
        committer in any_signature(),
        headers in prop::collection::vec(("[a-z]{1,8}", "[a-z \n]{0,20}"), 0..3),
        message in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let extra_headers = headers.into_iter()
            .filter(|(name, _)| !["tree", "parent", "author", "committer"].contains(&name.as_str()))
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let commit = Commit { tree, parents, author, committer, extra_headers, message: message.into() };
        prop_assert_eq!(Commit::parse(&commit.encode()).unwrap(), commit);
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Commit::parse(&bytes);
        let _ = commit_links(&bytes);
        let _ = Tag::parse(&bytes);
        let _ = Signature::parse(&bytes);
        let _ = TreeIter::new(&bytes).count();
        let object = NewObject::new(ObjectKind::Blob, bytes).unwrap();
        prop_assert_eq!(object.id.as_slice().len(), 20);
    }
}

#[test]
fn what_was_signed_is_the_commit_without_its_signatures() {
    let data = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n\
        gpgsig-sha256 other\n more\nmergetag object 1\n gpgsig no\ngpgsig -----BEGIN\n \n line\n -----END\n\
        encoding x\n\ngpgsig not a header\n";
    let (signature, payload) = signed_commit(data).unwrap();
    assert_eq!(signature, "-----BEGIN\n\nline\n-----END\n");
    let expected = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n\
        mergetag object 1\n gpgsig no\nencoding x\n\ngpgsig not a header\n";
    assert_eq!(payload, expected.as_slice());
    assert_eq!(signed_commit(&payload), None);
    assert_eq!(signed_commit(b""), None);
}
