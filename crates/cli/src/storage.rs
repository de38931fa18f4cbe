//! Opens what the settings name: the catalog alone for administration, the whole engine for work on repositories.
//!
//! Everything here works whether a server is running on the same data or not: what changes is in the catalog, whose
//! database serialises it.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use packhouse_bucket::{Options, S3Options};
use packhouse_catalog::{Catalog, Org, RepoRow};
use packhouse_repo::{Hosted, HostedOptions, Repository};

use crate::error::CliError;
use crate::names::{OrgName, RepoSpec};
use crate::settings::Settings;

/// How many repositories are looked up at a time.
const PAGE: u32 = 500;

/// Whether a command may start a new installation or must find one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Start {
    /// Create the data folder and the catalog if they are not there.
    Create,
    /// A missing catalog is a mistake in the settings.
    Expect,
}

/// Does `work` on the catalog, and closes it however the work ends.
pub(crate) async fn with_catalog<T>(
    settings: &Settings,
    start: Start,
    work: impl AsyncFnOnce(&Catalog) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let catalog = open_catalog(settings, start).await?;
    let done = work(&catalog).await;
    catalog.close().await;
    done
}

/// Does `work` on the engine over the catalog and the bucket, which must exist, and closes it however the work ends.
pub(crate) async fn with_hosted<T>(
    settings: &Settings,
    work: impl AsyncFnOnce(&Hosted) -> Result<T, CliError>,
) -> Result<T, CliError> {
    with_catalog(settings, Start::Expect, async |catalog| {
        let hosted = open_hosted(settings, catalog.clone())?;
        let done = work(&hosted).await;
        hosted.shutdown().await;
        done
    })
    .await
}

async fn open_catalog(settings: &Settings, start: Start) -> Result<Catalog, CliError> {
    if let Some(path) = settings.sqlite_path() {
        match start {
            Start::Create => create_folder(path.parent().unwrap_or(Path::new(".")))?,
            Start::Expect if !path.exists() => {
                return Err(CliError::failure(
                    format!("there is no catalog at `{}`", path.display()),
                    "name the data folder of the server with --data (or PACKHOUSE_DATA), or its database with --catalog",
                ));
            }
            Start::Expect => {}
        }
    }
    Catalog::open(&settings.catalog).await.map_err(|error| {
        CliError::because(
            "could not open the catalog",
            &error,
            "check --catalog (PACKHOUSE_CATALOG): sqlite:PATH or postgres://USER@HOST/NAME",
        )
    })
}

/// The engine over `catalog` and the bucket.
fn open_hosted(settings: &Settings, catalog: Catalog) -> Result<Arc<Hosted>, CliError> {
    create_folder(&settings.data)?;
    let options = Options {
        s3: s3_options(settings),
    };
    let bucket = packhouse_bucket::open_with(&settings.bucket, &options).map_err(|error| {
        CliError::because(
            "could not open the bucket",
            &error,
            "check --bucket (PACKHOUSE_BUCKET): file:///DIR or s3://BUCKET/PREFIX?endpoint=…&region=…",
        )
    })?;
    let (cache, temp) = (settings.cache_dir.clone(), settings.data.join("tmp"));
    let mut options = HostedOptions::new(catalog, bucket, cache, temp);
    options.cache_bytes = settings.cache_bytes;
    Hosted::open(options).map_err(|error| {
        CliError::because(
            "could not open the storage engine",
            &error,
            "check --data and --cache-dir",
        )
    })
}

/// The organisation called `name`.
pub(crate) async fn find_org(catalog: &Catalog, name: &OrgName) -> Result<Org, CliError> {
    let found = catalog.org(name.as_str()).await.map_err(catalog_failed)?;
    found.ok_or_else(|| {
        CliError::failure(
            format!("there is no organisation `{name}`"),
            format!("`packhouse admin org list` shows what is there; create it with: packhouse admin org create {name} --public-key FILE"),
        )
    })
}

/// The repository `spec` names.
pub(crate) async fn find_repository(
    hosted: &Hosted,
    spec: &RepoSpec,
) -> Result<Repository, CliError> {
    let org = find_org(hosted.catalog(), &spec.org).await?;
    let found = hosted.repository(org.id, &spec.name).await;
    let found = found
        .map_err(|error| CliError::because(format!("could not open `{spec}`"), &error, SEE_LOG))?;
    found.ok_or_else(|| no_repository(spec))
}

/// The row of the repository `spec` names.
pub(crate) async fn find_row(hosted: &Hosted, spec: &RepoSpec) -> Result<RepoRow, CliError> {
    let catalog = hosted.catalog();
    let org = find_org(catalog, &spec.org).await?;
    let found = catalog.repo(org.id, &spec.name).await;
    found
        .map_err(catalog_failed)?
        .ok_or_else(|| no_repository(spec))
}

/// Calls `visit` with the name and the row of every repository of every organisation, a page at a time.
pub(crate) async fn each_repository(
    hosted: &Hosted,
    mut visit: impl AsyncFnMut(String, RepoRow) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let catalog = hosted.catalog();
    for org in catalog.list_orgs().await.map_err(catalog_failed)? {
        let mut after: Option<String> = None;
        loop {
            let page = catalog
                .list_repos(org.id, None, after.as_deref(), PAGE)
                .await;
            let page = page.map_err(catalog_failed)?;
            match page.last() {
                Some(last) => after = Some(last.name.clone()),
                None => break,
            }
            for row in page {
                visit(format!("{}/{}", org.name, row.name), row).await?;
            }
        }
    }
    Ok(())
}

/// There is no such repository.
pub(crate) fn no_repository(spec: &RepoSpec) -> CliError {
    CliError::failure(
        format!("there is no repository `{spec}`"),
        "repositories are written ORG/NAME, as in acme/site",
    )
}

/// Advice for what no other setting would have prevented.
pub(crate) const SEE_LOG: &str =
    "run again with PACKHOUSE_LOG=debug to see more; `packhouse fsck` checks what is stored";

/// A failed catalog call, told.
pub(crate) fn catalog_failed(error: packhouse_catalog::CatalogError) -> CliError {
    CliError::because(
        "the catalog did not answer",
        &error,
        "check that its database is running and --catalog is right",
    )
}

/// What the settings say about S3, as the bucket takes it.
pub(crate) fn s3_options(settings: &Settings) -> S3Options {
    let s3 = settings.s3.clone();
    S3Options {
        access_key: s3.access_key,
        secret_key: s3.secret_key,
        session_token: s3.session_token,
    }
}

/// Creates `folder`, for this user alone: what is in it belongs to all organisations.
pub(crate) fn create_folder(folder: &Path) -> Result<(), CliError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| {
            CliError::because(
                format!("could not create folder `{}`", folder.display()),
                &error,
                "choose a folder you may write to with --data",
            )
        })
}
