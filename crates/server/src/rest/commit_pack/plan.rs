//! The metadata line, checked: what is to be committed, before any content is there.

use std::collections::HashMap;

use packhouse_api::{CommitMetadata, FileChange, FileOperation, MetadataLine, Person};
use packhouse_object::{
    BString, EntryMode, ObjectId, PathEdit, RefName, RepoPath, Signature, check_entry,
};
use packhouse_repo::Namespace;

use crate::error::ApiError;
use crate::rest::input::{self, non_blank, shown};
use crate::rest::json_object::expect_object;
use crate::rest::{namespace, time};

/// A commit to make.
#[derive(Debug)]
pub(super) struct Plan {
    /// Short name of the branch.
    pub branch: String,
    /// The branch.
    pub target: RefName,
    /// Where the branch lives.
    pub namespace: Namespace,
    /// Where the branch starts if it does not exist.
    pub base: Option<RefName>,
    /// What the branch must be at.
    pub expected_head: Option<ExpectedHead>,
    /// The message as it is stored, with a newline at its end.
    pub message: BString,
    /// Who wrote the change.
    pub author: Signature,
    /// Who commits it.
    pub committer: Signature,
    /// What changes.
    pub changes: Vec<PlannedChange>,
    /// The contents that are to come, by their names.
    pub contents: HashMap<String, usize>,
    /// What each content is for.
    pub uses: Vec<ContentUse>,
}

/// How a client says where it believes the branch to be.
#[derive(Debug)]
pub(super) enum ExpectedHead {
    /// By commit.
    Id(ObjectId),
    /// By a name or an abbreviation, which older clients send.
    Name(String),
}

/// One path that changes.
#[derive(Debug)]
pub(super) struct PlannedChange {
    path: RepoPath,
    /// The mode and which content; `None`: the path is removed.
    upsert: Option<(EntryMode, usize)>,
}

/// What a content is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ContentUse {
    /// A blob.
    Blob,
    /// The id of a submodule's commit, as text.
    Submodule,
    /// Nothing: it was announced for a deletion.
    Nothing,
}

impl Plan {
    /// Reads and checks the first line.
    pub(super) fn parse(line: &[u8]) -> Result<Plan, ApiError> {
        expect_object("the first line, the commit's `metadata`,", line)?;
        let MetadataLine { metadata } = serde_json::from_slice(line).map_err(|error| {
            ApiError::invalid(format!(
                "the first line is not the commit's `metadata`: {error}"
            ))
        })?;
        Plan::new(metadata)
    }

    fn new(metadata: CommitMetadata) -> Result<Plan, ApiError> {
        let branch = metadata.target_branch.trim().to_owned();
        let namespace_of_target = namespace(Some(metadata.ephemeral));
        let target = input::branch("target_branch", &branch, namespace_of_target)?;
        let base = non_blank(metadata.base_branch.as_deref());
        if metadata.ephemeral_base && base.is_none() {
            return Err(ApiError::invalid("`ephemeral_base` needs `base_branch`"));
        }
        let base_namespace = namespace(Some(metadata.ephemeral_base));
        let base = base
            .map(|base| input::branch("base_branch", base, base_namespace))
            .transpose()?;
        let author = signature("author", &metadata.author)?;
        let committer = match &metadata.committer {
            Some(committer) => signature("committer", committer)?,
            None => author.clone(),
        };
        let mut plan = Plan {
            branch,
            target,
            namespace: namespace_of_target,
            base,
            expected_head: non_blank(metadata.expected_head_sha.as_deref()).map(expected_head),
            message: message(&metadata.commit_message)?,
            author,
            committer,
            changes: Vec::with_capacity(metadata.files.len()),
            contents: HashMap::new(),
            uses: Vec::new(),
        };
        for file in metadata.files {
            plan.add(file)?;
        }
        Ok(plan)
    }

    fn add(&mut self, file: FileChange) -> Result<(), ApiError> {
        let path = input::path(&file.path)?;
        if file.operation == FileOperation::Delete {
            if !file.content_id.is_empty() {
                self.content(file.content_id, ContentUse::Nothing)?;
            }
            self.changes.push(PlannedChange { path, upsert: None });
            return Ok(());
        }
        let mode = mode(file.mode.as_deref(), &file.path)?;
        check_entry(path.file_name(), mode)
            .map_err(|error| ApiError::invalid(format!("path `{}`: {error}", shown(&file.path))))?;
        if file.content_id.is_empty() {
            return Err(ApiError::invalid(format!(
                "path `{}` has no `content_id`",
                shown(&file.path)
            )));
        }
        let wanted = if mode == EntryMode::Submodule {
            ContentUse::Submodule
        } else {
            ContentUse::Blob
        };
        let content = self.content(file.content_id, wanted)?;
        self.changes.push(PlannedChange {
            path,
            upsert: Some((mode, content)),
        });
        Ok(())
    }

    fn content(&mut self, id: String, wanted: ContentUse) -> Result<usize, ApiError> {
        if let Some(&known) = self.contents.get(&id) {
            match (self.uses[known], wanted) {
                (_, ContentUse::Nothing) => {}
                (ContentUse::Nothing, wanted) => self.uses[known] = wanted,
                (a, b) if a == b => {}
                _ => {
                    let id = shown(&id);
                    return Err(ApiError::invalid(format!(
                        "content `{id}` is both a file and a submodule"
                    )));
                }
            }
            return Ok(known);
        }
        let index = self.uses.len();
        self.uses.push(wanted);
        self.contents.insert(id, index);
        Ok(index)
    }

    /// How many files the commit writes.
    pub(super) fn upserts(&self) -> u64 {
        self.changes
            .iter()
            .filter(|change| change.upsert.is_some())
            .count() as u64
    }

    /// The changes as edits of a tree, with the objects that the contents have become.
    pub(crate) fn take_edits(
        &mut self,
        ids: &[Option<ObjectId>],
    ) -> Result<Vec<PathEdit>, ApiError> {
        let edit = |PlannedChange { path, upsert }| {
            let Some((mode, content)) = upsert else {
                return Ok(PathEdit::Delete { path });
            };
            match ids.get(content).copied().flatten() {
                Some(id) => Ok(PathEdit::Upsert { path, mode, id }),
                None => Err(ApiError::invalid(format!(
                    "path `{}` got no content",
                    path.as_bstr()
                ))),
            }
        };
        std::mem::take(&mut self.changes)
            .into_iter()
            .map(edit)
            .collect()
    }
}

fn expected_head(text: &str) -> ExpectedHead {
    match ObjectId::from_hex(text.as_bytes()) {
        Ok(id) => ExpectedHead::Id(id),
        Err(_) => ExpectedHead::Name(text.to_owned()),
    }
}

fn mode(mode: Option<&str>, path: &str) -> Result<EntryMode, ApiError> {
    match mode {
        None | Some("100644") => Ok(EntryMode::Blob),
        Some("100755") => Ok(EntryMode::Executable),
        Some("120000") => Ok(EntryMode::Symlink),
        Some("160000") => Ok(EntryMode::Submodule),
        Some(other) => {
            let (path, other) = (shown(path), shown(other));
            Err(ApiError::invalid(format!(
                "path `{path}`: mode `{other}` is none of 100644, 100755, 120000 and 160000"
            )))
        }
    }
}

pub(in crate::rest) fn message(text: &str) -> Result<BString, ApiError> {
    if text.trim().is_empty() {
        return Err(ApiError::invalid("`commit_message` is empty"));
    }
    if text.contains('\0') {
        return Err(ApiError::invalid(
            "`commit_message` contains a NUL character",
        ));
    }
    // As git does; readers of the API get the message without it again.
    Ok(BString::from(format!("{text}\n")))
}

/// `person` as Git writes it into a commit.
pub(in crate::rest) fn signature(field: &str, person: &Person) -> Result<Signature, ApiError> {
    let part = |name: &str, text: &str| {
        let text = text.trim();
        if text.is_empty() {
            return Err(ApiError::invalid(format!("`{field}.{name}` is empty")));
        }
        // They delimit the parts of a commit's header, which knows no escapes.
        if text.contains(['<', '>', '\n', '\0']) {
            return Err(ApiError::invalid(format!(
                "`{field}.{name}` contains `<`, `>`, a newline or a NUL character"
            )));
        }
        Ok(BString::from(text))
    };
    let (seconds, offset_minutes) = match non_blank(person.timestamp.as_deref()) {
        None => (time::now_seconds(), 0),
        Some(text) => time::parse_rfc3339(text)
            .filter(|(seconds, _)| *seconds >= 0)
            .ok_or_else(|| {
                ApiError::invalid(format!(
                    "`{field}.timestamp` is no RFC 3339 time since 1970"
                ))
            })?,
    };
    Ok(Signature {
        name: part("name", &person.name)?,
        email: part("email", &person.email)?,
        seconds,
        offset_minutes,
    })
}
