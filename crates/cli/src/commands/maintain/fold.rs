//! `packhouse maintain fold`: the tails of repositories made packs.

use clap::Args;
use packhouse_catalog::RepoId;
use packhouse_repo::{FoldReport, Hosted};
use serde::Serialize;

use crate::error::CliError;
use crate::names::RepoSpec;
use crate::settings::{Settings, StorageFlags};
use crate::storage::{self, SEE_LOG};
use crate::ui::{Ui, count, human_bytes};

/// Turn the small commits of a repository into one pack
///
/// Small commits are rows of the catalog until they are folded. Without REPO, every repository is folded.
#[derive(Args, Debug)]
pub(crate) struct FoldArgs {
    /// The repository, as ORG/NAME
    repo: Option<RepoSpec>,
    #[command(flatten)]
    storage: StorageFlags,
}

#[derive(Default, Serialize)]
struct Folded {
    repositories: u64,
    writes: u64,
    objects: u64,
    pack_bytes: u64,
}

impl Folded {
    fn add(&mut self, report: &FoldReport) {
        self.repositories += 1;
        self.writes += report.rows;
        self.objects += report.objects;
        self.pack_bytes += report.pack_bytes;
    }
}

pub(super) async fn run(args: FoldArgs, ui: Ui) -> Result<(), CliError> {
    let settings = Settings::of_storage(&args.storage)?;
    let done = storage::with_hosted(&settings, async |hosted| {
        fold(hosted, args.repo.as_ref(), ui).await
    })
    .await?;
    ui.show(&done, |out| {
        let (writes, repositories) = (
            count(done.writes, "write"),
            count(done.repositories, "repository"),
        );
        let (packs, bytes) = (
            count(done.repositories, "pack"),
            human_bytes(done.pack_bytes),
        );
        writeln!(
            out,
            "folded {writes} of {repositories} into {packs} ({bytes})"
        )
    })
}

async fn fold(hosted: &Hosted, repo: Option<&RepoSpec>, ui: Ui) -> Result<Folded, CliError> {
    let mut done = Folded::default();
    if let Some(spec) = repo {
        let row = storage::find_row(hosted, spec).await?;
        fold_one(hosted, row.id, &spec.to_string(), &mut done).await?;
        return Ok(done);
    }
    let progress = ui.progress("looking for writes to fold");
    storage::each_repository(hosted, async |name, row| {
        if row.tail_rows > 0 {
            progress.say(format!("folding {name}"));
            fold_one(hosted, row.id, &name, &mut done).await?;
        }
        Ok(())
    })
    .await?;
    Ok(done)
}

async fn fold_one(
    hosted: &Hosted,
    id: RepoId,
    name: &str,
    done: &mut Folded,
) -> Result<(), CliError> {
    let folded = hosted.fold(id).await;
    if let Some(report) = folded
        .map_err(|error| CliError::because(format!("could not fold `{name}`"), &error, SEE_LOG))?
    {
        done.add(&report);
    }
    Ok(())
}
