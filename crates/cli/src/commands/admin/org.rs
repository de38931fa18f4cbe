//! `packhouse admin org`: create and list organisations.

use std::path::PathBuf;

use clap::Args;
use packhouse_catalog::CreateOrgError;
use serde::Serialize;

use super::WHO;
use super::key::{RegisteredKey, read_public_key};
use crate::audit;
use crate::error::CliError;
use crate::names::OrgName;
use crate::settings::{Settings, StorageFlags};
use crate::storage::{self, Start};
use crate::ui::{Ui, count, time};

/// Create and list organisations
#[derive(Debug, clap::Subcommand)]
pub(crate) enum OrgCommand {
    Create(CreateArgs),
    List(ListArgs),
}

/// Create an organisation with its first key
///
/// Its own software signs tokens with the private key; their `iss` claim is NAME.
#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// Name of the organisation
    name: OrgName,
    /// Public key in PEM: P-256 (ES256), RSA (RS256) or Ed25519 (EdDSA)
    #[arg(long, value_name = "FILE")]
    public_key: PathBuf,
    #[command(flatten)]
    storage: StorageFlags,
}

/// List the organisations
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    storage: StorageFlags,
}

#[derive(Serialize)]
struct ShownOrg {
    name: String,
    created_at: String,
    keys: usize,
}

pub(super) async fn run(command: OrgCommand, ui: Ui) -> Result<(), CliError> {
    match command {
        OrgCommand::Create(args) => create(args, ui).await,
        OrgCommand::List(args) => list(args, ui).await,
    }
}

async fn create(args: CreateArgs, ui: Ui) -> Result<(), CliError> {
    // The key first: an organisation without one could do nothing.
    let key = read_public_key(&args.public_key)?;
    let shown = RegisteredKey::new(&args.name, &key);
    let settings = Settings::of_storage(&args.storage)?;
    storage::with_catalog(&settings, Start::Create, async |catalog| {
        let created = audit::entry(WHO, "org.create", None, args.name.as_str());
        let org = catalog
            .audited(created)
            .create_org(args.name.as_str())
            .await
            .map_err(not_created)?;
        catalog
            .audited(audit::entry(WHO, "key.add", Some(org.id), &key.fingerprint))
            .add_key(org.id, key)
            .await
            .map_err(storage::catalog_failed)
    })
    .await?;
    ui.show(&shown, |out| {
        writeln!(out, "created organisation {}", shown.org)?;
        writeln!(out, "key {} {}", shown.fingerprint, shown.algorithm)
    })
}

fn not_created(error: CreateOrgError) -> CliError {
    match error {
        CreateOrgError::Exists { name } => CliError::failure(
            format!("organisation `{name}` exists already"),
            format!("give it another key with: packhouse admin key add {name} --public-key FILE"),
        ),
        CreateOrgError::Catalog { source, .. } => storage::catalog_failed(source),
    }
}

async fn list(args: ListArgs, ui: Ui) -> Result<(), CliError> {
    let settings = Settings::of_storage(&args.storage)?;
    let orgs = storage::with_catalog(&settings, Start::Expect, async |catalog| {
        let mut orgs = Vec::new();
        for org in catalog.list_orgs().await.map_err(storage::catalog_failed)? {
            let keys = catalog
                .keys(org.id)
                .await
                .map_err(storage::catalog_failed)?
                .len();
            orgs.push(ShownOrg {
                name: org.name,
                created_at: time(org.created_at_ms),
                keys,
            });
        }
        Ok(orgs)
    })
    .await?;
    ui.show(&serde_json::json!({ "orgs": orgs }), |out| {
        for org in &orgs {
            writeln!(
                out,
                "{}  {}  {}",
                org.name,
                org.created_at,
                count(org.keys as u64, "key")
            )?;
        }
        Ok(())
    })
}
