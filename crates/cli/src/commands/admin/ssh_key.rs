//! `packhouse admin ssh-key`: the public keys that may come in by SSH.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use packhouse_catalog::{Catalog, NewSshKey, OrgId, SshKeyRow};
use packhouse_server::auth::{GIT_SIGN, SshKeyError, SshPublicKey};
use serde::Serialize;

use super::WHO;
use super::named_key::{self, KeyKind};
use crate::audit;
use crate::error::CliError;
use crate::names::{OrgName, RepoSpec, TokenRepo};
use crate::settings::{Settings, StorageFlags};
use crate::size::parse_duration;
use crate::storage::{self, Start};
use crate::ui::{Ui, count, time};

/// Keys read from the catalog at a time.
const PAGE: u32 = 500;

/// Longest name of a user, as in a token.
const MAX_USER_CHARS: usize = 200;

const KIND: KeyKind = KeyKind {
    noun: "SSH key",
    command: "ssh-key",
    prefix: "SHA256:",
};

/// Add, list and revoke the keys that come in by SSH, and those that sign commits
#[derive(Debug, clap::Subcommand)]
pub(crate) enum SshKeyCommand {
    Add(AddArgs),
    List(ListArgs),
    Revoke(RevokeArgs),
}

/// Register a public key
///
/// Whoever has its private half may use the organisation's repositories over SSH from then on.
#[derive(Args, Debug)]
pub(crate) struct AddArgs {
    /// The organisation
    org: OrgName,
    /// Public key as ssh-keygen writes it: Ed25519 or ECDSA
    #[arg(long, value_name = "FILE")]
    public_key: PathBuf,
    /// Whose key it is, as the reflog will say [default: the organisation's]
    #[arg(long, value_name = "NAME", value_parser = parse_user)]
    user: Option<String>,
    /// The one repository it is for [default: all of the organisation's]
    #[arg(long, value_name = "ID")]
    repo: Option<TokenRepo>,
    /// What it may do; may be repeated [default: git:read git:write]
    #[arg(long, value_enum, value_name = "SCOPE")]
    scope: Vec<KeyScope>,
    /// How long it is valid, such as 12h or 30d [default: until it is revoked]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    ttl: Option<Duration>,
    #[command(flatten)]
    storage: StorageFlags,
}

/// List the keys that are not revoked
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// The organisation
    org: OrgName,
    #[command(flatten)]
    storage: StorageFlags,
}

/// Revoke a key
///
/// It starts no more commands, not even over a connection that is open; those that run go on.
#[derive(Args, Debug)]
pub(crate) struct RevokeArgs {
    /// The organisation
    org: OrgName,
    /// The key's fingerprint, or enough of its start to tell it from the others
    fingerprint: String,
    #[command(flatten)]
    storage: StorageFlags,
}

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum KeyScope {
    /// Clone and fetch
    #[value(name = "git:read")]
    Read,
    /// Push; includes git:read
    #[value(name = "git:write")]
    Write,
    /// Sign commits for tokens whose policy says verify-sig
    #[value(name = "git:sign")]
    Sign,
}

impl KeyScope {
    const ALL: [KeyScope; 3] = [KeyScope::Read, KeyScope::Write, KeyScope::Sign];

    fn as_str(self) -> &'static str {
        match self {
            KeyScope::Read => "git:read",
            KeyScope::Write => "git:write",
            KeyScope::Sign => GIT_SIGN,
        }
    }
}

#[derive(Serialize)]
struct ShownKey {
    fingerprint: String,
    scopes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// Empty: it is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    repo: Option<String>,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

impl ShownKey {
    fn new(row: SshKeyRow) -> ShownKey {
        ShownKey {
            fingerprint: row.key.fingerprint,
            scopes: row.key.scopes.split(' ').map(str::to_owned).collect(),
            user: row.key.user,
            repo: row.key.repo.map(|_| row.repo_name.unwrap_or_default()),
            created_at: time(row.created_at_ms),
            expires_at: row.key.expires_at_ms.map(time),
        }
    }
}

pub(super) async fn run(command: SshKeyCommand, ui: Ui) -> Result<(), CliError> {
    match command {
        SshKeyCommand::Add(args) => add(args, ui).await,
        SshKeyCommand::List(args) => list(args, ui).await,
        SshKeyCommand::Revoke(args) => revoke(args, ui).await,
    }
}

#[derive(Serialize)]
struct Added {
    org: String,
    fingerprint: String,
    algorithm: &'static str,
    #[serde(skip)]
    is_new: bool,
}

async fn add(args: AddArgs, ui: Ui) -> Result<(), CliError> {
    let key = read_public_key(&args.public_key)?;
    let scopes = scopes(&args.scope);
    let expires_at_ms = args.ttl.map(|ttl| now_ms().saturating_add(millis(ttl)));
    let settings = Settings::of_storage(&args.storage)?;
    let is_new = storage::with_catalog(&settings, Start::Expect, async |catalog| {
        let org = storage::find_org(catalog, &args.org).await?;
        let repo = match &args.repo {
            None => None,
            Some(name) => {
                let found = catalog.repo(org.id, name.as_str()).await;
                let found = found.map_err(storage::catalog_failed)?;
                Some(found.ok_or_else(|| {
                    storage::no_repository(&RepoSpec {
                        org: args.org.clone(),
                        name: name.as_str().to_owned(),
                    })
                })?)
            }
        };
        let new = NewSshKey {
            fingerprint: key.fingerprint().to_owned(),
            public_key: key.line().to_owned(),
            user: args.user.clone(),
            repo: repo.map(|repo| repo.id),
            scopes,
            expires_at_ms,
        };
        let mut entry = audit::entry(WHO, "ssh_key.add", Some(org.id), key.fingerprint());
        entry.repo = new.repo;
        entry.detail = Some(
            serde_json::json!({
                "user": new.user, "scopes": new.scopes, "expires_at": expires_at_ms.map(time),
            })
            .to_string(),
        );
        catalog
            .audited(entry)
            .add_ssh_key(org.id, new)
            .await
            .map_err(storage::catalog_failed)
    })
    .await?;
    let added = Added {
        org: args.org.to_string(),
        fingerprint: key.fingerprint().to_owned(),
        algorithm: key.algorithm(),
        is_new,
    };
    ui.show(&added, |out| {
        let done = if added.is_new {
            "added SSH key"
        } else {
            "already there, and left as it was: SSH key"
        };
        writeln!(out, "{done} {} {}", added.fingerprint, added.algorithm)
    })
}

async fn list(args: ListArgs, ui: Ui) -> Result<(), CliError> {
    let settings = Settings::of_storage(&args.storage)?;
    let keys = storage::with_catalog(&settings, Start::Expect, async |catalog| {
        let org = storage::find_org(catalog, &args.org).await?;
        all_keys(catalog, org.id).await
    })
    .await?;
    let keys: Vec<_> = keys.into_iter().map(ShownKey::new).collect();
    ui.show(
        &serde_json::json!({ "org": args.org.as_str(), "ssh_keys": keys }),
        |out| {
            for key in &keys {
                let of = key.user.as_deref().unwrap_or("the organisation");
                let repo = match key.repo.as_deref() {
                    None => "all repositories",
                    Some("") => "a deleted repository",
                    Some(repo) => repo,
                };
                let end = key.expires_at.as_deref().unwrap_or("until revoked");
                writeln!(
                    out,
                    "{}  {of}  {repo}  {}  {end}",
                    key.fingerprint,
                    key.scopes.join(" ")
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
    ssh_keys_left: u64,
}

async fn revoke(args: RevokeArgs, ui: Ui) -> Result<(), CliError> {
    let settings = Settings::of_storage(&args.storage)?;
    let revoked = storage::with_catalog(&settings, Start::Expect, async |catalog| {
        let org = storage::find_org(catalog, &args.org).await?;
        let keys = all_keys(catalog, org.id).await?;
        let key = KIND.pick(
            &keys,
            |key| &key.key.fingerprint,
            &args.fingerprint,
            &args.org,
        )?;
        let fingerprint = &key.key.fingerprint;
        let mut entry = audit::entry(WHO, "ssh_key.revoke", Some(org.id), fingerprint);
        entry.repo = key.key.repo;
        catalog
            .audited(entry)
            .revoke_ssh_key(org.id, fingerprint)
            .await
            .map_err(storage::catalog_failed)?;
        Ok(Revoked {
            org: args.org.to_string(),
            fingerprint: fingerprint.clone(),
            ssh_keys_left: keys.len() as u64 - 1,
        })
    })
    .await?;
    ui.show(&revoked, |out| {
        let left = count(revoked.ssh_keys_left, "SSH key");
        writeln!(out, "revoked SSH key {}; {left} left", revoked.fingerprint)
    })
}

async fn all_keys(catalog: &Catalog, org: OrgId) -> Result<Vec<SshKeyRow>, CliError> {
    let mut keys: Vec<SshKeyRow> = Vec::new();
    loop {
        let after = keys.last().map_or("", |last| &last.key.fingerprint);
        let page = catalog.ssh_keys(org, None, after, PAGE).await;
        let page = page.map_err(storage::catalog_failed)?;
        let is_last = page.len() < PAGE as usize;
        keys.extend(page);
        if is_last {
            return Ok(keys);
        }
    }
}

fn scopes(asked: &[KeyScope]) -> String {
    let asked = if asked.is_empty() {
        &[KeyScope::Read, KeyScope::Write]
    } else {
        asked
    };
    let words = KeyScope::ALL
        .into_iter()
        .filter(|scope| asked.contains(scope))
        .map(KeyScope::as_str);
    words.collect::<Vec<_>>().join(" ")
}

fn parse_user(text: &str) -> Result<String, String> {
    let user = text.trim();
    if user.is_empty()
        || user.chars().count() > MAX_USER_CHARS
        || user.chars().any(char::is_control)
    {
        return Err(format!(
            "a user has 1 to {MAX_USER_CHARS} characters, none of them a control character"
        ));
    }
    Ok(user.to_owned())
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, millis)
}

/// The key in the file at `path`.
fn read_public_key(path: &Path) -> Result<SshPublicKey, CliError> {
    named_key::read(
        path,
        "~/.ssh/id_ed25519.pub",
        SshPublicKey::parse,
        |error| match error {
            SshKeyError::Private => {
                format!("print its public half: ssh-keygen -y -f {}", path.display())
            }
            _ => "make a key pair: ssh-keygen -t ed25519".to_owned(),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_do_what_was_asked_for_or_all_that_comes_in() {
        assert_eq!(scopes(&[]), "git:read git:write");
        assert_eq!(scopes(&[KeyScope::Read, KeyScope::Read]), "git:read");
        assert_eq!(scopes(&[KeyScope::Sign]), "git:sign");
    }
}
