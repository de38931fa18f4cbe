//! `packhouse serve`: the server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use packhouse_repo::FoldLimits;
use packhouse_server::jobs::{JobOptions, Sweeping};
use packhouse_server::upstream::{CredentialKeys, GitHubApp, UpstreamOptions};
use packhouse_server::{Config, Egress, Limits, Server, StartError, TlsFiles, WebhookOptions};
use serde::Serialize;

use crate::dev::{self, DevKey, Guide};
use crate::error::CliError;
use crate::logging::{self, LogFormat};
use crate::settings::{Secret, ServeFlags, Settings, StorageFlags};
use crate::signals::{INTERRUPTED, StopSignals};
use crate::storage::{self, Start};
use crate::ui::Ui;

/// Run the server
///
/// Serves Git over HTTP, the HTTP API, and Git over SSH if --ssh is given. Ctrl-C and SIGTERM let requests in flight finish; a second one does not.
#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    serve: ServeFlags,
    #[command(flatten)]
    storage: StorageFlags,
}

/// What is told once the server listens.
#[derive(Serialize)]
struct Started {
    version: &'static str,
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ssh: Option<StartedSsh>,
    data: PathBuf,
    catalog: &'static str,
    bucket: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dev: Option<DevKey>,
}

/// Where SSH clients are served.
#[derive(Serialize)]
struct StartedSsh {
    address: SocketAddr,
    host_key: String,
}

pub(crate) async fn run(
    args: ServeArgs,
    ui: Ui,
    log_format: Option<LogFormat>,
) -> Result<(), CliError> {
    let settings = Settings::of_server(&args.storage, &args.serve)?;
    logging::start(
        log_format.or(settings.log_format).unwrap_or_default(),
        "info",
    );
    let mut stop = StopSignals::listen()?;
    storage::create_folder(&settings.data)?;
    let dev_key = if settings.dev {
        Some(prepare_dev(&settings).await?)
    } else {
        None
    };

    let server = Server::start(config(&settings)?)
        .await
        .map_err(|error| refused(&error))?;
    let started = Started {
        version: env!("CARGO_PKG_VERSION"),
        url: client_url(server.local_addr(), settings.tls.is_some()),
        ssh: server.ssh().map(|(address, host_key)| StartedSsh {
            address,
            host_key: host_key.to_owned(),
        }),
        data: settings.data.clone(),
        catalog: if settings.sqlite_path().is_some() {
            "SQLite"
        } else {
            "PostgreSQL"
        },
        bucket: if settings.bucket.starts_with("s3:") {
            "S3"
        } else {
            "local files"
        },
        dev: dev_key,
    };
    if let Some(dev) = started.dev.as_ref().filter(|dev| !dev.accepted) {
        tracing::warn!(key = %dev.key.display(), "the organisation `dev` has not registered this key, or has revoked it");
    }
    announce(
        &started,
        settings.tls.as_ref().map(|tls| tls.cert.as_path()),
        ui,
    )?;
    tracing::info!(
        url = started.url,
        catalog = started.catalog,
        bucket = started.bucket,
        "listening"
    );
    if let Some(StartedSsh { address, host_key }) = &started.ssh {
        tracing::info!(%address, host_key, "listening for SSH");
    }

    stop.wait().await;
    tracing::info!("stopping: finishing the requests in flight");
    tokio::select! {
        () = server.shutdown() => {}
        () = stop.wait() => std::process::exit(INTERRUPTED.into()),
    }
    tracing::info!("stopped");
    Ok(())
}

async fn prepare_dev(settings: &Settings) -> Result<DevKey, CliError> {
    let data = &settings.data;
    storage::with_catalog(settings, Start::Create, async |catalog| {
        dev::prepare(catalog, data).await
    })
    .await
}

fn config(settings: &Settings) -> Result<Config, CliError> {
    Ok(Config {
        data_dir: settings.data.clone(),
        listen: settings.listen,
        catalog_url: settings.catalog.clone(),
        bucket_url: settings.bucket.clone(),
        s3: storage::s3_options(settings),
        cache_dir: settings.cache_dir.clone(),
        cache_bytes: settings.cache_bytes,
        tls: settings.tls.as_ref().map(|tls| TlsFiles {
            certificate: tls.cert.clone(),
            key: tls.key.clone(),
        }),
        ssh: settings.ssh.clone(),
        public_base: settings.public_url.clone(),
        trusted_proxies: settings.trusted_proxies.clone(),
        fold: FoldLimits::default(),
        jobs: JobOptions::default(),
        sweep: Sweeping {
            every: settings
                .sweep_every
                .unwrap_or_else(|| Sweeping::default().every),
            options: settings.sweep.clone(),
        },
        egress: if settings.allow_private_addresses {
            Egress::Any
        } else {
            Egress::PublicOnly
        },
        upstreams: upstreams(settings)?,
        webhooks: webhooks(settings),
        limits: Limits {
            custom_notes_refs: settings.custom_notes_refs,
            ..settings.limits.limits()
        },
    })
}

fn upstreams(settings: &Settings) -> Result<UpstreamOptions, CliError> {
    let mut options = UpstreamOptions {
        github_url: settings.github.url.clone(),
        ..UpstreamOptions::default()
    };
    if let Some(Secret(keys)) = &settings.credentials_key {
        let keys = CredentialKeys::parse(keys).map_err(|error| {
            let hint = "PACKHOUSE_CREDENTIALS_KEY is one key or several with commas between; the first one seals";
            CliError::because("could not use the key for credentials", &error, hint)
        })?;
        options.keys = Some(keys);
    }
    if let Some((id, path)) = &settings.github.app {
        let hint = "check --github-app-id, --github-app-key and --github-api-url";
        let pem = std::fs::read(path).map_err(|error| {
            CliError::because(format!("could not read `{}`", path.display()), &error, hint)
        })?;
        let app = GitHubApp::new(id, &pem, &settings.github.api_url)
            .map_err(|error| CliError::because("could not use the GitHub App", &error, hint))?;
        options.github_app = Some(app);
    }
    Ok(options)
}

fn webhooks(settings: &Settings) -> WebhookOptions {
    let mut options = WebhookOptions::default();
    if let Some(timeout) = settings.webhook_timeout {
        options.set_timeout(timeout);
    }
    if let Some(retention) = settings.event_retention {
        options.retention = retention;
    }
    options
}

fn refused(error: &StartError) -> CliError {
    let hint = match error {
        StartError::Listen { .. } => {
            "is another server running there? --listen 127.0.0.1:0 takes a free port"
        }
        StartError::HostKey(_) => {
            "--ssh-host-key is a private key as ssh-keygen -t ed25519 -N '' makes it"
        }
        StartError::Tls(_) => {
            "--tls-cert is a certificate chain and --tls-key its key, both in PEM"
        }
        StartError::Catalog(_) => {
            "check --catalog (PACKHOUSE_CATALOG): sqlite:PATH or postgres://USER@HOST/NAME"
        }
        StartError::Bucket(_) => {
            "check --bucket (PACKHOUSE_BUCKET): file:///DIR or s3://BUCKET/PREFIX?endpoint=…&region=…"
        }
        _ => "check that the --data and --cache-dir folders can be written",
    };
    CliError::because("could not start", error, hint)
}

/// How a client on this machine reaches a server that listens on `address`.
fn client_url(address: SocketAddr, tls: bool) -> String {
    let ip = if address.ip().is_unspecified() {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    } else {
        address.ip()
    };
    format!(
        "{}://{}",
        if tls { "https" } else { "http" },
        SocketAddr::new(ip, address.port())
    )
}

fn announce(started: &Started, cert: Option<&Path>, ui: Ui) -> Result<(), CliError> {
    ui.show(started, |out| {
        let Started {
            version,
            url,
            catalog,
            bucket,
            ..
        } = started;
        let data = started.data.display();
        writeln!(
            out,
            "  Packhouse {version} on {url}   data: {data} ({catalog}, {bucket})"
        )?;
        if let Some(StartedSsh { address, host_key }) = &started.ssh {
            writeln!(out, "  Git over SSH on {address}, host key {host_key}")?;
        }
        let Some(dev) = &started.dev else {
            return Ok(());
        };
        writeln!(
            out,
            "  organisation {}, private key {}",
            dev.org,
            dev.key.display()
        )?;
        let program = std::env::args()
            .next()
            .unwrap_or_else(|| "packhouse".to_owned());
        Guide {
            url,
            key: dev,
            cert,
            program: &program,
        }
        .write(out)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_every_address_is_reached_over_loopback() {
        assert_eq!(
            client_url("0.0.0.0:80".parse().unwrap(), false),
            "http://127.0.0.1:80"
        );
        assert_eq!(
            client_url("[::]:443".parse().unwrap(), true),
            "https://127.0.0.1:443"
        );
        assert_eq!(
            client_url("10.0.0.1:81".parse().unwrap(), false),
            "http://10.0.0.1:81"
        );
    }
}
