//! Notes of hosted repositories, and where Git would put them.

use std::sync::Arc;

use packhouse_object::{NewObject, ObjectId, ObjectKind, RefName, Signature};
use packhouse_repo::{NoteAction, NoteError, NoteRequest, RefChange, RefPolicy, Repository, note};

use crate::bare::empty;
use crate::plain_git::git;

const NOTES: usize = 100;

struct Anything;

impl RefPolicy for Anything {
    fn allows(&self, _: &RefName, _: RefChange) -> Result<(), String> {
        Ok(())
    }
}

async fn change(
    repository: &Repository,
    object: ObjectId,
    action: NoteAction,
) -> Result<ObjectId, NoteError> {
    let request = NoteRequest {
        notes_ref: RefName::parse("refs/notes/commits").unwrap(),
        object,
        action,
        expected: None,
        author: Signature {
            name: "A".into(),
            email: "a@example.com".into(),
            seconds: 1,
            offset_minutes: 0,
        },
        policy: Arc::new(Anything),
        who: "tests".to_owned(),
    };
    let outcome = repository.change_note(request).await;
    outcome.map(|outcome| outcome.commit)
}

#[tokio::test]
async fn many_notes_lie_where_git_puts_them() {
    let (_folder, path, repository) = empty();
    let objects: Vec<ObjectId> = (0..=NOTES)
        .map(|number| NewObject::new(ObjectKind::Blob, format!("{number}\n").into_bytes()))
        .map(|blob| blob.unwrap().id)
        .collect();
    let mut stream = String::new();
    for number in 0..=NOTES {
        stream += &format!("blob\ndata <<END\n{number}\nEND\n");
    }
    stream += "commit refs/notes/by-git\ncommitter A <a@b.c> 1 +0000\ndata 0\n";
    for (number, object) in objects[..NOTES].iter().enumerate() {
        stream += &format!("M 100644 inline {object}\ndata <<END\nnote {number}\nEND\n");
    }
    let input = path.join("stream");
    std::fs::write(&input, stream).unwrap();
    let done = std::process::Command::new("sh")
        .args([
            "-c",
            &format!("git fast-import --quiet < '{}'", input.display()),
        ])
        .current_dir(&path)
        .status();
    assert!(done.unwrap().success());
    // With any change Git lays out all of them.
    let (last, text) = (objects[NOTES].to_string(), |number: usize| {
        format!("note {number}")
    });
    let who = ["-c", "user.name=A", "-c", "user.email=a@b.c"];
    let add = ["notes", "--ref=by-git", "add", "-m", &text(NOTES), &last];
    git(&path, &[&who[..], &add].concat());

    // Across the number at which Git begins to use folders, one by one.
    for (number, object) in objects.iter().enumerate() {
        let note = format!("{}\n", text(number)).into();
        change(&repository, *object, NoteAction::Add(note))
            .await
            .unwrap();
    }
    let tree = |name: &str| {
        git(
            &path,
            &["rev-parse", &format!("refs/notes/{name}^{{tree}}")],
        )
    };
    assert_eq!(tree("commits"), tree("by-git"));
    let folders = git(&path, &["ls-tree", "refs/notes/commits"]);
    assert!(folders.lines().count() > 60 && folders.lines().all(|line| line.contains("tree")));

    let view = repository.view().await.unwrap();
    let name = RefName::parse("refs/notes/by-git").unwrap();
    assert_eq!(
        note(&view, &name, &objects[7]).unwrap().unwrap(),
        "note 7\n"
    );
    for object in &objects[..20] {
        change(&repository, *object, NoteAction::Remove)
            .await
            .unwrap();
    }
    assert_eq!(
        git(&path, &["notes", "list"]).lines().count(),
        NOTES + 1 - 20
    );
    let missing = change(&repository, objects[0], NoteAction::Remove).await;
    assert!(matches!(missing, Err(NoteError::Missing { .. })));
    change(
        &repository,
        objects[NOTES],
        NoteAction::Append("more\n".into()),
    )
    .await
    .unwrap();
    let shown = git(&path, &["notes", "show", &objects[NOTES].to_string()]);
    assert_eq!(
        shown.trim_end(),
        format!(
            "{}

more",
            text(NOTES)
        )
    );
    git(&path, &["fsck", "--full", "--strict"]);
}
