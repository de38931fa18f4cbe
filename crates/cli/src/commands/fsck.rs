//! `packhouse fsck`: checks what is stored.

use std::process::ExitCode;

use clap::Args;
use packhouse_repo::{FsckReport, Hosted, Repository};
use serde::Serialize;

use crate::error::CliError;
use crate::names::RepoSpec;
use crate::settings::{Settings, StorageFlags};
use crate::storage::{self, SEE_LOG, Start};
use crate::ui::{Ui, count};

/// How many repositories are looked up at a time.
const PAGE: u32 = 500;

/// Check that everything stored is whole
///
/// Reads every object, checks that it is what its id says and follows Git's rules, and that everything the refs reach
/// is there. Without REPO, every repository is checked. The exit status is 1 if anything is wrong.
#[derive(Args, Debug)]
pub(crate) struct FsckArgs {
    /// The repository, as ORG/NAME
    repo: Option<RepoSpec>,
    #[command(flatten)]
    storage: StorageFlags,
}

#[derive(Serialize)]
struct Checked {
    repo: String,
    refs: u64,
    objects: u64,
    reachable: u64,
    problems: Vec<String>,
    more_problems: u64,
}

pub(crate) async fn run(args: FsckArgs, ui: Ui) -> Result<ExitCode, CliError> {
    let hosted = storage::open_hosted(&Settings::of_storage(&args.storage)?, Start::Expect).await?;
    let done = match &args.repo {
        Some(spec) => check_one(&hosted, spec, ui).await,
        None => check_all(&hosted, ui).await,
    };
    hosted.shutdown().await;
    let checked = done?;
    let clean = checked.iter().all(|repo| repo.problems.is_empty());
    ui.show(
        &serde_json::json!({ "clean": clean, "repositories": checked }),
        |out| {
            for repo in &checked {
                for problem in &repo.problems {
                    writeln!(out, "{}: {problem}", repo.repo)?;
                }
                if repo.more_problems > 0 {
                    writeln!(
                        out,
                        "{}: and {} more",
                        repo.repo,
                        count(repo.more_problems, "problem")
                    )?;
                }
            }
            let bad = checked
                .iter()
                .filter(|repo| !repo.problems.is_empty())
                .count();
            let objects = count(checked.iter().map(|repo| repo.objects).sum(), "object");
            let all = match checked.len() {
                1 => "1 repository".to_owned(),
                n => format!("{n} repositories"),
            };
            match bad {
                0 => writeln!(out, "checked {all}, {objects}: all is well"),
                _ => writeln!(out, "checked {all}, {objects}: {bad} damaged"),
            }
        },
    )?;
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn check_one(hosted: &Hosted, spec: &RepoSpec, ui: Ui) -> Result<Vec<Checked>, CliError> {
    let repository = storage::find_repository(hosted, spec).await?;
    Ok(vec![check(&repository, spec.to_string(), ui).await?])
}

async fn check_all(hosted: &Hosted, ui: Ui) -> Result<Vec<Checked>, CliError> {
    let mut checked = Vec::new();
    for org in hosted
        .catalog()
        .list_orgs()
        .await
        .map_err(storage::catalog_failed)?
    {
        let mut after: Option<String> = None;
        loop {
            let page = hosted
                .catalog()
                .list_repos(org.id, None, after.as_deref(), PAGE)
                .await;
            let page = page.map_err(storage::catalog_failed)?;
            for row in &page {
                checked
                    .push(check(&hosted.at(row), format!("{}/{}", org.name, row.name), ui).await?);
            }
            match page.last() {
                Some(last) => after = Some(last.name.clone()),
                None => break,
            }
        }
    }
    Ok(checked)
}

async fn check(repository: &Repository, name: String, ui: Ui) -> Result<Checked, CliError> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        CliError::because(format!("could not check `{name}`"), error, SEE_LOG)
    };
    let view = repository.view().await.map_err(|error| failed(&error))?;
    let progress = ui.progress(format!("checking {name}"));
    let checking = tokio::task::spawn_blocking(move || packhouse_repo::fsck(&view, &progress));
    let report = checking
        .await
        .map_err(|error| failed(&error))?
        .map_err(|error| failed(&error))?;
    let FsckReport {
        objects,
        reachable,
        refs,
        problems,
        more_problems,
    } = report;
    let problems = problems.iter().map(ToString::to_string).collect();
    Ok(Checked {
        repo: name,
        refs,
        objects,
        reachable,
        problems,
        more_problems,
    })
}
