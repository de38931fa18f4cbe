//! `packhouse fsck`: checks what is stored.

use std::io::{self, Write};

use clap::Args;
use packhouse_repo::{FsckReport, Repository};
use serde::Serialize;

use crate::error::{CliError, FAILURE, SUCCESS};
use crate::names::RepoSpec;
use crate::settings::{Settings, StorageFlags};
use crate::storage::{self, SEE_LOG};
use crate::ui::{Ui, count};

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

#[derive(Serialize)]
struct Shown<'a> {
    clean: bool,
    repositories: &'a [Checked],
}

pub(crate) async fn run(args: FsckArgs, ui: Ui) -> Result<u8, CliError> {
    let settings = Settings::of_storage(&args.storage)?;
    let checked = storage::with_hosted(&settings, async |hosted| {
        let mut checked = Vec::new();
        match &args.repo {
            Some(spec) => {
                let repository = storage::find_repository(hosted, spec).await?;
                checked.push(check(&repository, spec.to_string(), ui).await?);
            }
            None => {
                storage::each_repository(hosted, async |name, row| {
                    checked.push(check(&hosted.at(&row), name, ui).await?);
                    Ok(())
                })
                .await?;
            }
        }
        Ok(checked)
    })
    .await?;
    let damaged = checked
        .iter()
        .filter(|repo| !repo.problems.is_empty())
        .count();
    let shown = Shown {
        clean: damaged == 0,
        repositories: &checked,
    };
    ui.show(&shown, |out| tell(&checked, damaged, out))?;
    Ok(if damaged == 0 { SUCCESS } else { FAILURE })
}

fn tell(checked: &[Checked], damaged: usize, out: &mut dyn Write) -> io::Result<()> {
    for repo in checked {
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
    let repositories = count(checked.len() as u64, "repository");
    let objects = count(checked.iter().map(|repo| repo.objects).sum(), "object");
    match damaged {
        0 => writeln!(out, "checked {repositories}, {objects}: all is well"),
        _ => writeln!(out, "checked {repositories}, {objects}: {damaged} damaged"),
    }
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
        ..
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
