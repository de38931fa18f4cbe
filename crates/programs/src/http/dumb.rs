//! Files for clients without a program at the other end.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};

use packhouse_repo::RepoError;
use packhouse_wire::{HiddenRefs, Source};

use super::Prepared;
use super::answer::{Answer, Refusal};
use super::route::{FileKind, RepositoryFile};
use crate::error::{ProgramError, with_causes};
use crate::source::ServedSource;

/// Every ref, and what tags finally name.
pub(super) fn info_refs(prepared: &Prepared) -> Result<Answer, Refusal> {
    prepared.settings.allow_files()?;
    let text = || -> Result<Vec<u8>, ProgramError> {
        // Who could get any file could read every ref.
        let source = source(prepared)?;
        let mut text = Vec::new();
        let visited = source.visit(b"", &mut |line| {
            write!(text, "{}\t", line.id)?;
            text.extend_from_slice(line.name);
            text.push(b'\n');
            if let Some(peeled) = line.peeled {
                write!(text, "{peeled}\t")?;
                text.extend_from_slice(line.name);
                text.extend_from_slice(b"^{}\n");
            }
            Ok(())
        });
        visited.map_err(ProgramError::io(
            "list the refs of",
            prepared.repository.git_dir(),
        ))?;
        Ok(text)
    };
    let text = text().map_err(|error| Refusal::broken(with_causes(&error)))?;
    let mut answer = Answer::default();
    answer.forbid_caching();
    answer.text("text/plain", text);
    Ok(answer)
}

/// A file as it is on disk, or the list of packs.
pub(super) fn file(prepared: &Prepared, file: &RepositoryFile) -> Result<Answer, Refusal> {
    prepared.settings.allow_files()?;
    let mut answer = Answer::default();
    let content_type = match file.kind {
        FileKind::Head => {
            answer.text("text/plain", head(prepared)?);
            return Ok(answer);
        }
        FileKind::PackList => {
            answer.forbid_caching();
            answer.text("text/plain; charset=utf-8", pack_list(prepared)?);
            return Ok(answer);
        }
        FileKind::Text => "text/plain",
        FileKind::LooseObject => "application/x-git-loose-object",
        FileKind::Pack => "application/x-git-packed-objects",
        FileKind::Index => "application/x-git-packed-objects-toc",
    };
    match file.kind {
        FileKind::Text => answer.forbid_caching(),
        _ => answer.allow_caching(),
    }
    let path = match file.path.strip_prefix("objects") {
        Ok(object) => prepared.repository.objects().join(object),
        Err(_) => prepared.repository.git_dir().join(&file.path),
    };
    let missing = |reason: &str| {
        Refusal::not_found(format!("Cannot open '{}': {reason}", file.path.display()))
    };
    let opened = match File::open(&path) {
        Ok(opened) if opened.metadata().is_ok_and(|file| file.is_file()) => opened,
        Ok(_) => return Err(missing("not a file")),
        Err(error) => {
            let reason = error.to_string();
            // Without the number that Rust adds.
            let reason = reason.split(" (os error").next().unwrap_or_default();
            return Err(missing(reason));
        }
    };
    answer
        .file(content_type, opened)
        .map_err(|error| Refusal::broken(error.to_string()))?;
    Ok(answer)
}

/// The branch of `HEAD` if it is there, or what it names without one.
fn head(prepared: &Prepared) -> Result<Vec<u8>, Refusal> {
    let source = source(prepared).map_err(|error| Refusal::broken(with_causes(&error)))?;
    Ok(match (source.head(), source.detached_head()) {
        (Some(branch), _) if source.find(branch.as_bytes()).is_some() => {
            [b"ref: ", branch.as_bytes(), b"\n"].concat()
        }
        (None, Some(id)) => format!("{id}\n").into_bytes(),
        _ => Vec::new(),
    })
}

fn source(prepared: &Prepared) -> Result<ServedSource, RepoError> {
    let (repository, prefix) = (&prepared.repository, prepared.prefix.clone());
    ServedSource::new(repository, prefix, HiddenRefs::default())
}

fn pack_list(prepared: &Prepared) -> Result<Vec<u8>, Refusal> {
    let folder = prepared.repository.objects().join("pack");
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(b"\n".to_vec()),
        entries => entries.map_err(|error| Refusal::broken(error.to_string()))?,
    };
    let mut packs = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let is_pack =
            path.extension() == Some("pack".as_ref()) && path.with_extension("idx").exists();
        if let (true, Ok(file), Some(name)) = (is_pack, entry.metadata(), path.file_name()) {
            let modified = file.modified().ok();
            packs.push((modified, name.to_string_lossy().into_owned()));
        }
    }
    packs.sort_unstable_by(|a, b| b.cmp(a));
    let mut text = Vec::new();
    for (_, name) in packs {
        text.extend_from_slice(format!("P {name}\n").as_bytes());
    }
    text.push(b'\n');
    Ok(text)
}
