//! `packhouse admin key`: the public keys whose signatures an organisation's tokens carry.

use std::path::{Path, PathBuf};

use clap::Args;
use packhouse_catalog::{Key, NewKey};
use packhouse_server::auth::{PublicKey, PublicKeyError};
use serde::Serialize;

use super::WHO;
use super::named_key::{self, KeyKind};
use crate::audit;
use crate::error::CliError;
use crate::names::OrgName;
use crate::settings::{Settings, StorageFlags};
use crate::storage::{self, Start};
use crate::ui::{Ui, count, time};

const KIND: KeyKind = KeyKind {
    noun: "valid key",
    command: "key",
    prefix: "",
};

/// Add, list and revoke the public keys of an organisation
#[derive(Debug, clap::Subcommand)]
pub(crate) enum KeyCommand {
    Add(AddArgs),
    List(ListArgs),
    Revoke(RevokeArgs),
}

/// Register a public key
///
/// Tokens that its private key signs are valid from then on. A key that was revoked becomes valid again.
#[derive(Args, Debug)]
pub(crate) struct AddArgs {
    /// The organisation
    org: OrgName,
    /// Public key in PEM: P-256 (ES256), RSA (RS256) or Ed25519 (EdDSA)
    #[arg(long, value_name = "FILE")]
    public_key: PathBuf,
    #[command(flatten)]
    storage: StorageFlags,
}

/// List the valid keys
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// The organisation
    org: OrgName,
    #[command(flatten)]
    storage: StorageFlags,
}

/// Revoke a key
///
/// A running server refuses its tokens within a second.
#[derive(Args, Debug)]
pub(crate) struct RevokeArgs {
    /// The organisation
    org: OrgName,
    /// The key's fingerprint, or enough of its start to tell it from the others
    fingerprint: String,
    #[command(flatten)]
    storage: StorageFlags,
}

/// A key as it is shown.
#[derive(Serialize)]
pub(super) struct RegisteredKey {
    pub(super) org: String,
    pub(super) fingerprint: String,
    pub(super) algorithm: String,
}

impl RegisteredKey {
    pub(super) fn new(org: &OrgName, key: &NewKey) -> RegisteredKey {
        RegisteredKey {
            org: org.to_string(),
            fingerprint: key.fingerprint.clone(),
            algorithm: key.algorithm.clone(),
        }
    }
}

#[derive(Serialize)]
struct ShownKey {
    fingerprint: String,
    algorithm: String,
    created_at: String,
}

pub(super) async fn run(command: KeyCommand, ui: Ui) -> Result<(), CliError> {
    match command {
        KeyCommand::Add(args) => add(args, ui).await,
        KeyCommand::List(args) => list(args, ui).await,
        KeyCommand::Revoke(args) => revoke(args, ui).await,
    }
}

async fn add(args: AddArgs, ui: Ui) -> Result<(), CliError> {
    let key = read_public_key(&args.public_key)?;
    let shown = RegisteredKey::new(&args.org, &key);
    let settings = Settings::of_storage(&args.storage)?;
    let added = storage::with_catalog(&settings, Start::Expect, async |catalog| {
        let org = storage::find_org(catalog, &args.org).await?;
        catalog
            .audited(audit::entry(WHO, "key.add", Some(org.id), &key.fingerprint))
            .add_key(org.id, key)
            .await
            .map_err(storage::catalog_failed)
    })
    .await?;
    ui.show(&shown, |out| {
        let done = if added {
            "added key"
        } else {
            "already there: key"
        };
        writeln!(out, "{done} {} {}", shown.fingerprint, shown.algorithm)
    })
}

async fn list(args: ListArgs, ui: Ui) -> Result<(), CliError> {
    let settings = Settings::of_storage(&args.storage)?;
    let keys = storage::with_catalog(&settings, Start::Expect, async |catalog| {
        let org = storage::find_org(catalog, &args.org).await?;
        catalog.keys(org.id).await.map_err(storage::catalog_failed)
    })
    .await?;
    let show = |key: Key| ShownKey {
        fingerprint: key.fingerprint,
        algorithm: key.algorithm,
        created_at: time(key.created_at_ms),
    };
    let keys: Vec<_> = keys.into_iter().map(show).collect();
    ui.show(
        &serde_json::json!({ "org": args.org.as_str(), "keys": keys }),
        |out| {
            for key in &keys {
                writeln!(
                    out,
                    "{}  {}  {}",
                    key.fingerprint, key.algorithm, key.created_at
                )?;
            }
            Ok(())
        },
    )
}

#[derive(Serialize)]
struct Revoked {
    org: String,
    fingerprint: String,
    keys_left: u64,
}

async fn revoke(args: RevokeArgs, ui: Ui) -> Result<(), CliError> {
    let settings = Settings::of_storage(&args.storage)?;
    let revoked = storage::with_catalog(&settings, Start::Expect, async |catalog| {
        let org = storage::find_org(catalog, &args.org).await?;
        let keys = catalog
            .keys(org.id)
            .await
            .map_err(storage::catalog_failed)?;
        let key = KIND.pick(&keys, |key| &key.fingerprint, &args.fingerprint, &args.org)?;
        let fingerprint = key.fingerprint.as_str();
        catalog
            .audited(audit::entry(WHO, "key.revoke", Some(org.id), fingerprint))
            .revoke_key(org.id, fingerprint)
            .await
            .map_err(storage::catalog_failed)?;
        let left = catalog
            .keys(org.id)
            .await
            .map_err(storage::catalog_failed)?;
        Ok(Revoked {
            org: args.org.to_string(),
            fingerprint: fingerprint.to_owned(),
            keys_left: left.len() as u64,
        })
    })
    .await?;
    ui.show(&revoked, |out| {
        let left = count(revoked.keys_left, "valid key");
        writeln!(out, "revoked key {}; {left} left", revoked.fingerprint)
    })
}

/// The key in the file at `path`, as the catalog takes it.
pub(super) fn read_public_key(path: &Path) -> Result<NewKey, CliError> {
    let parse = |pem: &str| -> Result<NewKey, PublicKeyError> {
        let key = PublicKey::from_pem(pem)?;
        Ok(NewKey {
            fingerprint: key.fingerprint(),
            algorithm: key.algorithm().as_str().to_owned(),
            public_pem: pem.to_owned(),
        })
    };
    named_key::read(path, "acme.pub.pem", parse, |error| {
        match error {
        PublicKeyError::Private => {
            format!("print its public half: openssl pkey -in {} -pubout", path.display())
        }
        _ => "make keys: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem \
              && openssl pkey -in key.pem -pubout -out key.pub.pem"
            .to_owned(),
    }
    })
}
