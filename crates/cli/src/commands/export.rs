//! `packhouse export`: a repository as plain Git files.

use std::path::PathBuf;

use clap::Args;
use packhouse_repo::Repository;
use serde::Serialize;

use crate::error::CliError;
use crate::names::RepoSpec;
use crate::settings::{Settings, StorageFlags};
use crate::storage::{self, SEE_LOG};
use crate::ui::{Ui, count, human_bytes};

/// Write a repository as a bare Git repository that any git reads
///
/// What is written is one state of the repository, also while others write to it.
#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// The repository, as ORG/NAME
    repo: RepoSpec,
    /// Folder to write; must be missing or empty
    dir: PathBuf,
    #[command(flatten)]
    storage: StorageFlags,
}

#[derive(Serialize)]
struct Exported {
    repo: String,
    dir: PathBuf,
    refs: u64,
    objects: u64,
    pack_bytes: u64,
}

pub(crate) async fn run(args: ExportArgs, ui: Ui) -> Result<(), CliError> {
    let settings = Settings::of_storage(&args.storage)?;
    let done = storage::with_hosted(&settings, async |hosted| {
        let repository = storage::find_repository(hosted, &args.repo).await?;
        export(&args, repository, ui).await
    })
    .await?;
    ui.show(&done, |out| {
        let (refs, objects) = (count(done.refs, "ref"), count(done.objects, "object"));
        writeln!(
            out,
            "exported {refs} and {objects} ({}) to {}",
            human_bytes(done.pack_bytes),
            done.dir.display()
        )
    })
}

async fn export(args: &ExportArgs, repository: Repository, ui: Ui) -> Result<Exported, CliError> {
    let failed = |error: &(dyn std::error::Error + 'static), hint: &str| {
        CliError::because(format!("could not export `{}`", args.repo), error, hint)
    };
    let view = repository
        .view()
        .await
        .map_err(|error| failed(&error, SEE_LOG))?;
    let (dir, progress) = (
        args.dir.clone(),
        ui.progress(format!("exporting {}", args.repo)),
    );
    let writing =
        tokio::task::spawn_blocking(move || packhouse_repo::export(&view, &dir, &progress));
    let report = writing.await.map_err(|error| failed(&error, SEE_LOG))?;
    let report = report.map_err(|error| {
        failed(
            &error,
            "choose a folder that is missing or empty, with enough room",
        )
    })?;
    Ok(Exported {
        repo: args.repo.to_string(),
        dir: args.dir.clone(),
        refs: report.refs,
        objects: report.objects,
        pack_bytes: report.pack_bytes,
    })
}
