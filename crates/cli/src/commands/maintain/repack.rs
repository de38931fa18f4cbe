//! `packhouse maintain repack`: the packs of repositories made few.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use packhouse_catalog::RepoId;
use packhouse_repo::{Hosted, RepackHow, RepackReport, RepoError};
use serde::Serialize;

use crate::error::CliError;
use crate::names::RepoSpec;
use crate::settings::{Settings, StorageFlags};
use crate::storage::{self, SEE_LOG};
use crate::ui::{Ui, count, human_bytes};

/// Turn the packs of a repository into one, fit for fast clones
///
/// What branches and tags reach goes into one pack with deltas and bitmaps, everything else into another. Without REPO,
/// every repository is looked at, and repacked as far as it pays.
#[derive(Args, Debug)]
pub(crate) struct RepackArgs {
    /// The repository, as ORG/NAME
    repo: Option<RepoSpec>,
    #[command(flatten)]
    storage: StorageFlags,
}

#[derive(Default, Serialize)]
struct Repacked {
    repositories: u64,
    replaced: u64,
    packs: u64,
    objects: u64,
    pack_bytes: u64,
}

impl Repacked {
    fn add(&mut self, report: &RepackReport) {
        self.repositories += 1;
        self.replaced += report.replaced;
        self.packs += report.packs;
        self.objects += report.objects;
        self.pack_bytes += report.pack_bytes;
    }
}

pub(super) async fn run(args: RepackArgs, ui: Ui) -> Result<(), CliError> {
    let settings = Settings::of_storage(&args.storage)?;
    let done = storage::with_hosted(&settings, async |hosted| {
        repack(hosted, args.repo.as_ref(), ui).await
    })
    .await?;
    ui.show(&done, |out| {
        writeln!(
            out,
            "repacked {} of {} into {} ({})",
            count(done.replaced, "pack"),
            count(done.repositories, "repository"),
            count(done.packs, "pack"),
            human_bytes(done.pack_bytes)
        )
    })
}

async fn repack(hosted: &Hosted, repo: Option<&RepoSpec>, ui: Ui) -> Result<Repacked, CliError> {
    let mut done = Repacked::default();
    if let Some(spec) = repo {
        let (row, name) = (storage::find_row(hosted, spec).await?, spec.to_string());
        repack_one(hosted, row.id, &name, RepackHow::Full, &mut done).await?;
        return Ok(done);
    }
    let progress = ui.progress("looking for packs to repack");
    let mut failed = None;
    storage::each_repository(hosted, async |name, row| {
        progress.say(format!("looking at {name}"));
        let repacked = repack_one(hosted, row.id, &name, RepackHow::WhenDue, &mut done).await;
        // Every repository is looked at, whatever becomes of one. The log has what the others died of.
        failed = failed.take().or(repacked.err());
        Ok(())
    })
    .await?;
    failed.map_or(Ok(done), Err)
}

async fn repack_one(
    hosted: &Hosted,
    id: RepoId,
    name: &str,
    how: RepackHow,
    done: &mut Repacked,
) -> Result<(), CliError> {
    let failed = |error| CliError::because(format!("could not repack `{name}`"), &error, SEE_LOG);
    if how == RepackHow::Full {
        // What is in the tail goes into the pack too.
        hosted.fold(id).await.map_err(failed)?;
    }
    let repacked = hosted
        .repack(id, how, Arc::new(AtomicBool::new(false)))
        .await;
    match repacked {
        Ok(Some(report)) => done.add(&report),
        // Deleted a moment ago.
        Ok(None) | Err(RepoError::Gone) => {}
        Err(error) => {
            tracing::error!(repository = name, %error, "a repack failed");
            return Err(failed(error));
        }
    }
    Ok(())
}
