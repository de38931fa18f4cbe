//! `packhouse token`: tokens for people and scripts, signed with an organisation's private key.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::error::CliError;
use crate::key::PrivateKey;
use crate::names::{OrgName, TokenRepo};
use crate::size::parse_duration;
use crate::ui::{Ui, time};

/// Sign tokens for the API and for git
#[derive(Debug, clap::Subcommand)]
pub(crate) enum TokenCommand {
    Mint(MintArgs),
}

/// Sign a token for one repository
///
/// Needs no server: the token is signed here and now. It is alone on the last line of the output.
#[derive(Args, Debug)]
pub(crate) struct MintArgs {
    /// The organisation that registered the key
    #[arg(long, value_name = "NAME")]
    org: OrgName,
    /// Its private key (PEM, PKCS#8): P-256, RSA or Ed25519
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The repository; `org` for calls that concern no single one
    #[arg(long, value_name = "ID")]
    repo: TokenRepo,
    /// What it allows; may be repeated [default: git:read git:write]
    #[arg(long, value_enum, value_name = "SCOPE")]
    scope: Vec<Scope>,
    /// How long it is valid, such as 3600, 15m, 12h or 30d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_duration)]
    ttl: Duration,
    /// Print a URL for git with the token in it
    #[arg(long)]
    url: bool,
    /// The server of the URL, with its scheme
    #[arg(
        long,
        value_name = "BASE",
        env = "PACKHOUSE_URL",
        default_value = "http://127.0.0.1:8080"
    )]
    base: String,
}

/// What a token allows.
#[derive(Clone, Copy, Debug, Serialize, ValueEnum)]
enum Scope {
    /// Clone, fetch and read
    #[value(name = "git:read")]
    #[serde(rename = "git:read")]
    GitRead,
    /// Push and write; includes git:read
    #[value(name = "git:write")]
    #[serde(rename = "git:write")]
    GitWrite,
    /// Create and delete the repository
    #[value(name = "repo:write")]
    #[serde(rename = "repo:write")]
    RepoWrite,
    /// List the organisation's repositories and webhooks, follow its events
    #[value(name = "org:read")]
    #[serde(rename = "org:read")]
    OrgRead,
    /// Create and delete the organisation's webhooks; includes org:read
    #[value(name = "org:write")]
    #[serde(rename = "org:write")]
    OrgWrite,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'static str,
    repo: &'a str,
    scopes: Vec<Scope>,
    iat: u64,
    exp: u64,
}

#[derive(Serialize)]
struct Minted {
    token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    expires_at: String,
}

pub(crate) fn run(command: TokenCommand, ui: Ui) -> Result<(), CliError> {
    let TokenCommand::Mint(args) = command;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let minted = mint(&args, now)?;
    ui.show(&minted, |out| {
        writeln!(out, "{}", minted.url.as_ref().unwrap_or(&minted.token))
    })
}

fn mint(args: &MintArgs, now: u64) -> Result<Minted, CliError> {
    let scopes = if args.scope.is_empty() {
        vec![Scope::GitRead, Scope::GitWrite]
    } else {
        args.scope.clone()
    };
    let exp = now.saturating_add(args.ttl.as_secs());
    let claims = Claims {
        iss: args.org.as_str(),
        sub: "packhouse-cli",
        repo: args.repo.as_str(),
        scopes,
        iat: now,
        exp,
    };
    let token = PrivateKey::read(&args.key)?.sign(&claims).map_err(|error| {
        CliError::because(
            format!("could not sign with `{}`", args.key.display()),
            &error,
            "make a new key: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem",
        )
    })?;
    let url = if args.url {
        Some(git_url(&args.base, &token, args.repo.as_str())?)
    } else {
        None
    };
    Ok(Minted {
        token,
        url,
        expires_at: time(i64::try_from(exp).unwrap_or(i64::MAX).saturating_mul(1000)),
    })
}

/// `base` with the token as password: the user name does not matter, the SDKs use `t`.
fn git_url(base: &str, token: &str, repo: &str) -> Result<String, CliError> {
    match base.trim_end_matches('/').split_once("://") {
        Some((scheme @ ("http" | "https"), host)) if !host.is_empty() && !host.contains('@') => {
            Ok(format!("{scheme}://t:{token}@{host}/{repo}.git"))
        }
        _ => Err(CliError::usage(
            format!("`{base}` is not a server"),
            "write it as in --base https://git.example.com",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_carries_the_token_as_password() {
        assert_eq!(
            git_url("http://h:1/", "T", "a/b").unwrap(),
            "http://t:T@h:1/a/b.git"
        );
        assert_eq!(
            git_url("https://h/git", "T", "a").unwrap(),
            "https://t:T@h/git/a.git"
        );
        for bad in ["h:1", "ssh://h", "http://", "http://u@h"] {
            assert!(git_url(bad, "T", "a").is_err(), "{bad}");
        }
    }
}
