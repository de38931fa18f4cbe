//! `packhouse import`: a Git repository on disk into a hosted one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use packhouse_catalog::CreateRepoError;
use packhouse_repo::{Hosted, ImportReport, Repository, import};
use serde::Serialize;

use crate::audit;
use crate::error::CliError;
use crate::names::RepoSpec;
use crate::settings::{Settings, StorageFlags};
use crate::storage::{self, SEE_LOG};
use crate::ui::{Ui, count};

/// Who did it, in the reflog.
const WHO: &str = "packhouse import";
/// The default branch if the source does not name one.
const DEFAULT_BRANCH: &str = "main";

/// Copy a Git repository from disk into a hosted repository
///
/// All branches, tags and other refs are copied, with everything they reach, and become visible at once. The hosted
/// repository is created if it is not there, with the default branch of DIR; if it is there, it must be empty.
#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// The repository on disk: bare, or a working copy
    dir: PathBuf,
    /// The hosted repository, as ORG/NAME
    repo: RepoSpec,
    #[command(flatten)]
    storage: StorageFlags,
}

#[derive(Serialize)]
struct Imported {
    repo: String,
    created: bool,
    default_branch: String,
    refs: u64,
    objects: u64,
    skipped: Vec<Skipped>,
}

#[derive(Serialize)]
struct Skipped {
    name: String,
    reason: String,
}

pub(crate) async fn run(args: ImportArgs, ui: Ui) -> Result<(), CliError> {
    let settings = Settings::of_storage(&args.storage)?;
    let done = storage::with_hosted(&settings, async |hosted| {
        import_into(hosted, &args, ui).await
    })
    .await?;
    ui.show(&done, |out| {
        let (refs, objects) = (count(done.refs, "ref"), count(done.objects, "object"));
        writeln!(
            out,
            "imported {refs} and {objects} into {}, default branch {}",
            done.repo, done.default_branch
        )?;
        for skipped in &done.skipped {
            writeln!(out, "left out {}: {}", skipped.name, skipped.reason)?;
        }
        Ok(())
    })
}

async fn import_into(hosted: &Hosted, args: &ImportArgs, ui: Ui) -> Result<Imported, CliError> {
    let (repository, created) = target(hosted, args).await?;
    let progress = Arc::new(ui.progress(format!("importing {}", args.dir.display())));
    let done = import(&args.dir, &repository, WHO, progress).await;
    if done.is_err() && created {
        // Nobody asked for an empty repository.
        let org = storage::find_org(hosted.catalog(), &args.repo.org).await?;
        if let Err(error) = hosted.catalog().delete_repo(org.id, &args.repo.name).await {
            tracing::warn!(%error, repo = %args.repo, "could not remove the repository that was made for the import");
        }
    }
    let report = done.map_err(|error| {
        let hint =
            "DIR is a Git repository with its whole history; the hosted one must be new or empty";
        CliError::because(
            format!(
                "could not import `{}` into `{}`",
                args.dir.display(),
                args.repo
            ),
            &error,
            hint,
        )
    })?;
    Ok(told(&args.repo, created, report))
}

/// The repository to import into, and whether it was made for that.
async fn target(hosted: &Hosted, args: &ImportArgs) -> Result<(Repository, bool), CliError> {
    // One that an earlier version made can still be exported.
    if args.repo.name == "org" {
        return Err(CliError::usage(
            "a repository cannot be called `org`: in a token that stands for the whole organisation",
            "choose another name",
        ));
    }
    let org = storage::find_org(hosted.catalog(), &args.repo.org).await?;
    let created = audit::entry(
        "packhouse import",
        "repo.create",
        Some(org.id),
        &args.repo.name,
    );
    match hosted
        .catalog()
        .audited(created)
        .create_repo(org.id, &args.repo.name, &default_branch(&args.dir))
        .await
    {
        Ok(row) => Ok((hosted.at(&row), true)),
        Err(CreateRepoError::Exists { .. }) => {
            Ok((storage::find_repository(hosted, &args.repo).await?, false))
        }
        Err(error) => Err(CliError::because(
            format!("could not create `{}`", args.repo),
            &error,
            SEE_LOG,
        )),
    }
}

/// The branch that `HEAD` of the repository at `dir` names.
fn default_branch(dir: &Path) -> String {
    let head = [dir.join("HEAD"), dir.join(".git/HEAD")]
        .into_iter()
        .find_map(|path| std::fs::read_to_string(path).ok());
    let name = head
        .as_deref()
        .and_then(|head| head.trim().strip_prefix("ref: refs/heads/"));
    name.unwrap_or(DEFAULT_BRANCH).to_owned()
}

fn told(repo: &RepoSpec, created: bool, report: ImportReport) -> Imported {
    let skipped = report.skipped.into_iter();
    Imported {
        repo: repo.to_string(),
        created,
        default_branch: packhouse_repo::display_name(&report.default_branch).to_string(),
        refs: report.refs,
        objects: report.objects,
        skipped: skipped
            .map(|left| Skipped {
                name: left.name.to_string(),
                reason: left.reason,
            })
            .collect(),
    }
}
