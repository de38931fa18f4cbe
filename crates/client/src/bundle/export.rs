//! Writing a bundle.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use bstr::BString;
use packhouse_object::{
    Database, ObjectId, PackOptions, Progress, Wanted, WritePackError, count_objects, write_pack,
};
use packhouse_repo::store::{Store, StoreProgress};
use packhouse_repo::under_way::{Kind, write_whole};

use super::header::{BundleHeader, read_bundle_header};
use super::squash::squashed;
use crate::mirror::diff::{RefTargets, edits};
use crate::mirror::publish::targets;
use crate::mirror::selection::select;
use crate::mirror::{MirrorDiff, MirrorError, RefSelection, Steps};
use crate::remote::{RemoteError, check_complete};

/// What goes into a bundle.
struct Content {
    refs: RefTargets,
    /// Where `HEAD` points, if its branch is among the refs under its own name.
    head: Option<ObjectId>,
    database: Database,
}

/// Writes the refs, and all they reach, into the local file `path`. With `squash`, each ref gets one commit without
/// parents, and without it the store cannot be a shallow clone.
///
/// A file that is there is replaced when the bundle is whole, and keeps its permissions. A link is followed; pipes and
/// devices are written into.
pub fn bundle_export(
    store: &Store,
    path: impl AsRef<Path>,
    refs: &RefSelection,
    squash: bool,
    progress: Option<&dyn StoreProgress>,
) -> Result<BundleHeader, MirrorError> {
    let path = path.as_ref();
    let content = content(store, refs, squash)?;
    if content.refs.is_empty() {
        return Err(MirrorError::Invalid {
            reason: "a bundle without refs cannot be made".to_owned(),
        });
    }
    let header = BundleHeader {
        version: 2,
        prerequisites: Vec::new(),
        refs: content
            .head
            .map(|target| (BString::from("HEAD"), target))
            .into_iter()
            .chain(
                content
                    .refs
                    .iter()
                    .map(|(name, target)| (name.as_bstr().to_owned(), *target)),
            )
            .collect(),
    };
    let failed = |error| MirrorError::file(path)(error);
    write_whole(Kind::Bundle, path, failed, |file| {
        write(&header, &content, file, &Steps(progress)).map_err(|error| match error {
            WritePackError::Write(error) => failed(error),
            WritePackError::Read(error) => error.into(),
            error => MirrorError::Remote(RemoteError::Send(error)),
        })
    })?;
    Ok(header)
}

/// How the refs of a bundle written now would differ from those of the one that is there.
pub(crate) fn bundle_changes(
    store: &Store,
    path: &Path,
    refs: &RefSelection,
    squash: bool,
) -> Result<MirrorDiff, MirrorError> {
    let wanted = content(store, refs, squash)?.refs;
    // What is no bundle is replaced as a whole. A pipe would be waited for until somebody writes into it.
    let is_file = fs::metadata(path).is_ok_and(|found| found.is_file());
    let found = is_file.then(|| read_bundle_header(path).ok()).flatten();
    let found = found.map_or_else(RefTargets::new, |header| header.targets());
    Ok(MirrorDiff::of(&edits(&found.into(), &wanted, true)))
}

fn content(store: &Store, refs: &RefSelection, squash: bool) -> Result<Content, MirrorError> {
    if !squash {
        check_complete(store)?;
    }
    let view = store.view()?;
    let selected = select(refs, &targets(&view))?;
    let (refs, database) = match squash {
        true => squashed(&selected, view.database())?,
        false => (selected, view.database().clone()),
    };
    let head = match store.branches().current_name()? {
        Some(_) => refs.get(view.head()).copied(),
        None => None,
    };
    Ok(Content {
        refs,
        head,
        database,
    })
}

fn write(
    header: &BundleHeader,
    content: &Content,
    file: &mut File,
    progress: &dyn Progress,
) -> Result<(), WritePackError> {
    let wanted = Wanted {
        wants: content.refs.values().copied().collect(),
        ..Wanted::default()
    };
    let counted = count_objects(&content.database, &wanted, progress)?;
    let options = PackOptions {
        ofs_delta: true,
        thin: false,
    };
    let mut out = BufWriter::with_capacity(256 << 10, file);
    header.write(&mut out)?;
    write_pack(&content.database, &counted, &options, &mut out, progress)?;
    Ok(out.flush()?)
}
