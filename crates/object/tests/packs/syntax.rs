//! The rules for objects, against `git index-pack --strict`.

use packhouse_object::pack::check::{SyntaxError, check_object};
use packhouse_object::{
    Commit, DecodeError, HashKind, ObjectId, ObjectKind, PathError, Tag, TreeIter, commit_links,
    hash_object, tag_target,
};

use super::crafted::{Crafted, tree};
use crate::git::Git;

struct Judges {
    git: Git,
}

impl Judges {
    fn new() -> Judges {
        Judges { git: Git::init() }
    }

    /// Whether Git takes the object, with an empty tree and a blob beside it to be named, and what it says.
    fn git_says(&self, kind: ObjectKind, data: &[u8]) -> (bool, String) {
        let mut crafted = Crafted::new();
        crafted.object(ObjectKind::Blob, b"x\n");
        crafted.object(ObjectKind::Tree, b"");
        if !(kind == ObjectKind::Tree && data.is_empty()) {
            crafted.object(kind, data);
        }
        std::fs::write(self.git.path().join("p.pack"), crafted.finish()).unwrap();
        let (ok, _, said) = self.git.try_run(&["index-pack", "--strict", "p.pack"], b"");
        (ok, said)
    }

    fn agree(&self, kind: ObjectKind, data: &[u8]) {
        let ours = check_object(kind, data, |_| {});
        let (theirs, said) = self.git_says(kind, data);
        let shown = String::from_utf8_lossy(data);
        assert_eq!(ours.is_ok(), theirs, "{kind} {shown:?}: {ours:?}");
        // Of several faults Git tells all, and we one. It has no words for what it cannot read at all.
        let id = hash_object(kind, data).unwrap();
        let fault = format!("error: object {id}: ");
        if let Err(error) = &ours
            && said.contains(&fault)
        {
            // To some Gits a number below zero is no number, to others one that is too large.
            let no_number = format!("{fault}{}\n", SyntaxError::BadDateOverflow);
            let is_other = *error == SyntaxError::BadDate && said.contains(&no_number);
            assert!(
                is_other || said.contains(&format!("{fault}{error}\n")),
                "{kind} {shown:?}: {error}, but {said}"
            );
        }
        if ours.is_ok() {
            assert_eq!(read(kind, data), Ok(()), "{kind} {shown:?} was accepted");
        }
    }

    /// Git takes it, and we do not.
    fn we_are_stricter(&self, kind: ObjectKind, data: &[u8], error: SyntaxError) {
        assert!(self.git_says(kind, data).0);
        assert_eq!(check_object(kind, data, |_| {}), Err(error));
    }
}

/// Reads an object in every way there is: what is accepted must be readable ever after.
fn read(kind: ObjectKind, data: &[u8]) -> Result<(), DecodeError> {
    match kind {
        ObjectKind::Commit => Commit::parse(data).and(commit_links(data)).map(|_| ()),
        ObjectKind::Tag => Tag::parse(data).and(tag_target(data)).map(|_| ()),
        ObjectKind::Tree => TreeIter::new(data).try_for_each(|entry| entry.map(|_| ())),
        ObjectKind::Blob => Ok(()),
    }
}

fn blob() -> ObjectId {
    hash_object(ObjectKind::Blob, b"x\n").unwrap()
}

fn empty_tree() -> ObjectId {
    ObjectId::empty_tree(HashKind::Sha1)
}

#[test]
fn trees() {
    let judges = Judges::new();
    let agree =
        |entries: &[(&[u8], &[u8], ObjectId)]| judges.agree(ObjectKind::Tree, &tree(entries));
    agree(&[]);
    for mode in [
        "100644", "100755", "120000", "160000", "100664", "100600", "100777", "120777", "0100644",
        "0", "100648", "-1", "",
    ] {
        agree(&[(mode.as_bytes(), b"a", blob())]);
    }
    for mode in ["40000", "040000"] {
        agree(&[(mode.as_bytes(), b"a", empty_tree())]);
    }
    for name in [
        ".",
        "..",
        ".git",
        ".GIT",
        ".Git",
        "git~1",
        "GIT~1",
        ".git.",
        ".git ",
        ".git. .",
        ".git::$DATA",
        ".git:x",
        ".g\u{200c}it",
        "\u{feff}.git",
        ".git\\x",
        "a/b",
        "",
        "...",
        ".gitx",
        ".gitignore",
        "git~2",
        "git",
        "a\\b",
        "..\\x",
        "con",
        ".gitmodules",
        "\u{e9}",
    ] {
        agree(&[(b"100644", name.as_bytes(), blob())]);
    }
    // What macOS calls the file with a folder's icon ends in a carriage return.
    for name in [&b"\xff\xfe"[..], b"Icon\r", b"a\nb", b"\x01", b"\x7f"] {
        agree(&[(b"100644", name, blob())]);
    }
    for name in [
        ".gitmodules",
        ".GITMODULES",
        "gitmod~1",
        ".gitattributes",
        ".gitignore",
    ] {
        agree(&[(b"120000", name.as_bytes(), blob())]);
    }
    let (file, folder) = (b"100644".as_slice(), b"40000".as_slice());
    agree(&[(file, b"a", blob()), (file, b"a", blob())]);
    agree(&[(file, b"b", blob()), (file, b"a", blob())]);
    agree(&[
        (file, b"a", blob()),
        (file, b"a-b", blob()),
        (folder, b"a", empty_tree()),
    ]);
    agree(&[
        (file, b"a", blob()),
        (file, b"a-", blob()),
        (file, b"a-+", blob()),
        (folder, b"a-", empty_tree()),
    ]);
    agree(&[(folder, b"a", empty_tree()), (file, b"a", blob())]);
    agree(&[(folder, b"a", empty_tree()), (file, b"a-b", blob())]);
    agree(&[
        (file, b"a-b", blob()),
        (folder, b"a", empty_tree()),
        (file, b"a0", blob()),
    ]);
    agree(&[(file, b"a", ObjectId::null(HashKind::Sha1))]);
    let whole = tree(&[(file, b"a", blob()), (file, b"b", blob())]);
    for len in 1..whole.len() {
        judges.agree(ObjectKind::Tree, &whole[..len]);
    }
}

#[test]
fn trees_that_only_we_refuse() {
    let judges = Judges::new();
    let one = |mode: &str, name: &[u8]| tree(&[(mode.as_bytes(), name, blob())]);
    let stricter = |data: &[u8], error| judges.we_are_stricter(ObjectKind::Tree, data, error);
    stricter(
        &one("100644", &[b'a'; 256]),
        SyntaxError::Name(PathError::TooLong),
    );
    // Types of file that Git never writes, and that no version knows how to check out.
    for mode in ["140000", "1", "10064400"] {
        stricter(&one(mode, b"a"), SyntaxError::BadMode);
    }
}

const IDENT: &str = "A U Thor <a@example.com> 1112911993 -0700";

fn commit(author: &str, committer: &str, rest: &str) -> Vec<u8> {
    format!("tree {}\n{author}{committer}{rest}", empty_tree()).into_bytes()
}

#[test]
fn commits() {
    let judges = Judges::new();
    let agree = |data: &[u8]| judges.agree(ObjectKind::Commit, data);
    let (author, committer) = (format!("author {IDENT}\n"), format!("committer {IDENT}\n"));
    let good = commit(&author, &committer, "\nmessage\n");
    agree(&good);
    agree(&good[46..]);
    agree(&[b"tree zz\n", &good[46..]].concat());
    agree(&[b"tree ", &good[..]].concat());
    let null = ObjectId::null(HashKind::Sha1);
    agree(format!("tree {null}\n{author}{committer}\n").as_bytes());
    let upper = String::from_utf8(good.clone()).unwrap();
    agree(
        upper
            .replacen(
                &empty_tree().to_string(),
                &empty_tree().to_string().to_uppercase(),
                1,
            )
            .as_bytes(),
    );
    for parent in [
        "0".repeat(40),
        "0".repeat(39),
        "1".repeat(41),
        "x".into(),
        String::new(),
    ] {
        agree(
            format!(
                "tree {}\nparent {parent}\n{author}{committer}\n",
                empty_tree()
            )
            .as_bytes(),
        );
    }
    agree(&commit("", &committer, "\nx"));
    agree(&commit(&author, "", "\nx"));
    agree(&commit(&author.repeat(2), &committer, "\nx"));
    agree(&commit(&author, &committer.repeat(2), "\nx"));
    agree(&commit(&committer, &author, "\nx"));
    for rest in [
        "",
        "\n",
        "encoding latin1\n\nx",
        "x\0y\n\nx",
        "\nx\0y",
        "no line break",
        " \n",
        " continues nothing\n",
        " continues nothing\n and more\nx\n y\n\nmessage",
        "no value\n\nx",
    ] {
        agree(&commit(&author, &committer, rest));
    }
    let bare = commit(&author, &committer, "");
    for len in 0..bare.len() {
        agree(&bare[..len]);
    }
}

#[test]
fn signatures() {
    let judges = Judges::new();
    for ident in [
        "<a@b> 1 +0000",
        " <a@b> 1 +0000",
        "A<a@b> 1 +0000",
        "A <a@b>1 +0000",
        "A <a@b> 01 +0000",
        "A <a@b> 0 +0000",
        "A <a@b> 99999999999999999999 +0000",
        "A <a@b> 9223372036854775807 +0000",
        "A <a@b> 9223372036854775808 +0000",
        "A <a@b> x +0000",
        "A <a@b> 1 0000",
        "A <a@b> 1 +00000",
        "A <a@b> 1 +000",
        "A <a@b> 1",
        "A <a@b>",
        "A a@b> 1 +0000",
        "A <a@b 1 +0000",
        "A <a<b> 1 +0000",
        "A > 1 +0000",
        "A <> 1 +0000",
        "",
        "A <a@b> -1 +0000",
        "A <a@b>  1 +0000",
        "A <a@b> 1 +9999",
        "A <a@b> 1  +0000",
        "A <a@b> 1 +0000 ",
        "A <a@b> 1x +0000",
        "A\0 <a@b> 1 +0000",
        "A <a@b> 1 +00a0",
        "A",
        "A <a@b> 1 ",
    ] {
        let line = format!("author {ident}\n");
        judges.agree(
            ObjectKind::Commit,
            &commit(&line, &format!("committer {IDENT}\n"), "\nx"),
        );
        let line = format!("committer {ident}\n");
        judges.agree(
            ObjectKind::Commit,
            &commit(&format!("author {IDENT}\n"), &line, "\nx"),
        );
    }
    // A newer Git than the one at hand refuses this as well.
    let line = "author A <a@b> +1 +0000\n";
    let data = commit(line, &format!("committer {IDENT}\n"), "\nx");
    assert_eq!(
        check_object(ObjectKind::Commit, &data, |_| {}),
        Err(SyntaxError::BadDate)
    );
}

#[test]
fn tags() {
    let judges = Judges::new();
    let agree = |data: String| judges.agree(ObjectKind::Tag, data.as_bytes());
    let (id, tagger) = (empty_tree(), format!("tagger {IDENT}\n"));
    let good = format!("object {id}\ntype tree\ntag v1\n{tagger}\nmessage\n");
    agree(good.clone());
    agree(good.replace("v1", "a..b"));
    agree(good.replace("v1", ""));
    agree(good.replace("type tree", "type thing"));
    agree(good.replace(&tagger, ""));
    agree(good.replace(&tagger, "tagger x\n"));
    agree(good.replace(&tagger, &format!("{tagger}more here\n")));
    agree(good.replace(&tagger, &format!("{tagger} continues nothing\n")));
    agree(good.replace(&tagger, &format!("{tagger}more\0here\n")));
    agree(good.replace(&id.to_string(), &id.to_string().to_uppercase()));
    agree(good.replace("message", "mess\0age"));
    agree(good.replace("\nmessage\n", ""));
    agree(good.replace(&id.to_string(), "zz"));
    agree(good.replace(&id.to_string(), &"0".repeat(40)));
    agree(good.replace("object ", "subject "));
    agree(good.replace("type tree\n", ""));
    agree(good.replace("tag v1\n", ""));
    agree("x".to_owned());
    agree(String::new());
}

#[test]
fn links_are_told_with_their_kinds() {
    let links = |kind, data: &[u8]| {
        let mut links = Vec::new();
        check_object(kind, data, |link| links.push((link.id, link.kind))).unwrap();
        links
    };
    let parent = ObjectId::from([7; 20]);
    let data = format!(
        "tree {}\nparent {parent}\nauthor {IDENT}\ncommitter {IDENT}\n",
        empty_tree()
    );
    assert_eq!(
        links(ObjectKind::Commit, data.as_bytes()),
        [
            (empty_tree(), ObjectKind::Tree),
            (parent, ObjectKind::Commit)
        ]
    );
    let data = tree(&[
        (b"100755", b"a", blob()),
        (b"120000", b"b", blob()),
        (b"40000", b"c", empty_tree()),
        (b"160000", b"d", parent),
    ]);
    let expected = [
        (blob(), ObjectKind::Blob),
        (blob(), ObjectKind::Blob),
        (empty_tree(), ObjectKind::Tree),
    ];
    assert_eq!(links(ObjectKind::Tree, &data), expected);
    let data = format!("object {parent}\ntype commit\ntag x\n\n");
    assert_eq!(
        links(ObjectKind::Tag, data.as_bytes()),
        [(parent, ObjectKind::Commit)]
    );
}
