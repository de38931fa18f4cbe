//! The settings of an installation, the same for every command.
//!
//! A setting is looked for on the command line, then in its `PACKHOUSE_*` variable, then in the TOML file, and has a
//! default below the data folder: a command that is given what `serve` was given works on the same repositories.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;
use serde::Deserialize;

use crate::error::CliError;
use crate::logging::LogFormat;
use crate::s3::S3Settings;
use crate::size::{ByteSize, Lapse};

/// Where everything is kept unless something else is said.
const DEFAULT_DATA: &str = "./packhouse-data";
/// Where the server listens unless something else is said.
const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
/// How large the cache of packs may grow unless something else is said.
const DEFAULT_CACHE_BYTES: u64 = 10 << 30;

/// Settings that say where the data is.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct StorageFlags {
    /// Folder for everything that has no other place
    #[arg(
        long,
        value_name = "DIR",
        env = "PACKHOUSE_DATA",
        help_heading = "Storage"
    )]
    pub(crate) data: Option<PathBuf>,
    /// Database: sqlite:PATH or postgres://USER@HOST/NAME [default: SQLite in the data folder]
    #[arg(
        long,
        value_name = "URL",
        env = "PACKHOUSE_CATALOG",
        hide_env_values = true,
        help_heading = "Storage"
    )]
    pub(crate) catalog: Option<String>,
    /// Bytes: file:///DIR or s3://BUCKET/PREFIX?endpoint=…&region=… [default: the data folder]
    #[arg(
        long,
        value_name = "URL",
        env = "PACKHOUSE_BUCKET",
        hide_env_values = true,
        help_heading = "Storage"
    )]
    pub(crate) bucket: Option<String>,
    /// Local copies of packs from a remote bucket [default: in the data folder]
    #[arg(
        long,
        value_name = "DIR",
        env = "PACKHOUSE_CACHE_DIR",
        help_heading = "Storage"
    )]
    pub(crate) cache_dir: Option<PathBuf>,
    /// How large the cache may grow, such as 1073741824 or 10GiB
    #[arg(
        long,
        value_name = "BYTES",
        env = "PACKHOUSE_CACHE_SIZE",
        help_heading = "Storage"
    )]
    pub(crate) cache_size: Option<ByteSize>,
    /// TOML file with settings
    #[arg(
        long,
        value_name = "FILE",
        env = "PACKHOUSE_CONFIG",
        help_heading = "Storage"
    )]
    pub(crate) config: Option<PathBuf>,
}

/// Settings of the server alone.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ServeFlags {
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", env = "PACKHOUSE_LISTEN")]
    pub(crate) listen: Option<SocketAddr>,
    /// Certificate chain (PEM): serve https
    #[arg(long, value_name = "FILE", env = "PACKHOUSE_TLS_CERT")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", env = "PACKHOUSE_TLS_KEY")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Let webhooks and other requests that users ask for reach private networks and this machine
    #[arg(long, env = "PACKHOUSE_ALLOW_PRIVATE_ADDRESSES", value_parser = FalseyValueParser::new())]
    pub(crate) allow_private_addresses: bool,
    /// Where repositories of GitHub are [default: https://github.com]
    #[arg(
        long,
        value_name = "URL",
        env = "PACKHOUSE_GITHUB_URL",
        help_heading = "Upstreams"
    )]
    pub(crate) github_url: Option<String>,
    /// GitHub's API [default: https://api.github.com]
    #[arg(
        long,
        value_name = "URL",
        env = "PACKHOUSE_GITHUB_API_URL",
        help_heading = "Upstreams"
    )]
    pub(crate) github_api_url: Option<String>,
    /// Id of the GitHub App that reads private repositories
    #[arg(
        long,
        value_name = "ID",
        env = "PACKHOUSE_GITHUB_APP_ID",
        help_heading = "Upstreams"
    )]
    pub(crate) github_app_id: Option<String>,
    /// Private key of the GitHub App (PEM)
    #[arg(
        long,
        value_name = "FILE",
        env = "PACKHOUSE_GITHUB_APP_KEY",
        help_heading = "Upstreams"
    )]
    pub(crate) github_app_key: Option<PathBuf>,
    /// How long a webhook's receiver may take to answer, such as 10s [default: 10s]
    #[arg(long, value_name = "TIME", env = "PACKHOUSE_WEBHOOK_TIMEOUT")]
    pub(crate) webhook_timeout: Option<Lapse>,
    /// How long the log of deliveries, and events that moved no ref, are kept, such as 30d [default: 30d]
    #[arg(long, value_name = "TIME", env = "PACKHOUSE_EVENT_RETENTION")]
    pub(crate) event_retention: Option<Lapse>,
    /// Keep notes in refs/notes/commits only
    #[arg(long, env = "PACKHOUSE_NO_CUSTOM_NOTES", value_parser = FalseyValueParser::new())]
    pub(crate) no_custom_notes: bool,
    /// Create organisation `dev` with a key of its own, and show how to use it
    #[arg(long, env = "PACKHOUSE_DEV", value_parser = FalseyValueParser::new())]
    pub(crate) dev: bool,
}

/// The TOML file: the long flags as keys, and a table for S3 credentials.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct SettingsFile {
    data: Option<PathBuf>,
    catalog: Option<String>,
    bucket: Option<String>,
    cache_dir: Option<PathBuf>,
    cache_size: Option<ByteSize>,
    listen: Option<SocketAddr>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    allow_private_addresses: Option<bool>,
    github_url: Option<String>,
    github_api_url: Option<String>,
    github_app_id: Option<String>,
    github_app_key: Option<PathBuf>,
    webhook_timeout: Option<Lapse>,
    event_retention: Option<Lapse>,
    no_custom_notes: Option<bool>,
    dev: Option<bool>,
    log_format: Option<LogFormat>,
    s3: S3Settings,
}

/// Certificate and key of a server that speaks https.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct TlsFiles {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// GitHub, and the app to be there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct GitHubSettings {
    pub(crate) url: String,
    pub(crate) api_url: String,
    /// Id, and the file of its private key.
    pub(crate) app: Option<(String, PathBuf)>,
}

/// A setting that is not shown.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Secret(pub(crate) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Every setting, decided.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) data: PathBuf,
    pub(crate) catalog: String,
    pub(crate) bucket: String,
    pub(crate) cache_dir: PathBuf,
    pub(crate) cache_bytes: u64,
    pub(crate) s3: S3Settings,
    pub(crate) listen: SocketAddr,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) allow_private_addresses: bool,
    pub(crate) github: GitHubSettings,
    /// Keys that seal credentials, as the environment has them.
    pub(crate) credentials_key: Option<Secret>,
    pub(crate) webhook_timeout: Option<Duration>,
    pub(crate) event_retention: Option<Duration>,
    pub(crate) custom_notes_refs: bool,
    pub(crate) dev: bool,
    pub(crate) log_format: Option<LogFormat>,
}

impl Settings {
    /// The settings of a command that only needs the data.
    pub(crate) fn of_storage(flags: &StorageFlags) -> Result<Settings, CliError> {
        Settings::of_server(flags, &ServeFlags::default())
    }

    /// All settings, with S3 credentials from the environment of this process.
    pub(crate) fn of_server(
        storage: &StorageFlags,
        serve: &ServeFlags,
    ) -> Result<Settings, CliError> {
        let file = match &storage.config {
            Some(path) => SettingsFile::read(path)?,
            None => SettingsFile::default(),
        };
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Settings::decide(storage.clone(), serve.clone(), file, &variable)
    }

    fn decide(
        storage: StorageFlags,
        serve: ServeFlags,
        file: SettingsFile,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Settings, CliError> {
        let data = storage
            .data
            .or(file.data)
            .unwrap_or_else(|| PathBuf::from(DEFAULT_DATA));
        let tls = match (
            serve.tls_cert.or(file.tls_cert),
            serve.tls_key.or(file.tls_key),
        ) {
            (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
            (None, None) => None,
            (cert, _) => {
                let missing = if cert.is_some() {
                    "--tls-key"
                } else {
                    "--tls-cert"
                };
                return Err(CliError::usage(
                    format!("https needs a certificate and its key; {missing} is missing"),
                    "give both --tls-cert and --tls-key, or neither",
                ));
            }
        };
        let github_app = match (
            serve.github_app_id.or(file.github_app_id),
            serve.github_app_key.or(file.github_app_key),
        ) {
            (Some(id), Some(key)) => Some((id, key)),
            (None, None) => None,
            _ => {
                return Err(CliError::usage(
                    "a GitHub App is an id and a key; one of them is missing",
                    "give both --github-app-id and --github-app-key, or neither",
                ));
            }
        };
        let github = GitHubSettings {
            url: serve
                .github_url
                .or(file.github_url)
                .unwrap_or_else(|| "https://github.com".to_owned()),
            api_url: serve
                .github_api_url
                .or(file.github_api_url)
                .unwrap_or_else(|| "https://api.github.com".to_owned()),
            app: github_app,
        };
        let s3 = file.s3.with_variables(variable);
        let cache_bytes = storage
            .cache_size
            .or(file.cache_size)
            .map_or(DEFAULT_CACHE_BYTES, |size| size.0);
        Ok(Settings {
            catalog: storage
                .catalog
                .or(file.catalog)
                .unwrap_or_else(|| sqlite_url(&data)),
            bucket: match storage.bucket.or(file.bucket) {
                Some(url) => s3.complete(url),
                None => file_url(&data.join("bucket"))?,
            },
            cache_dir: storage
                .cache_dir
                .or(file.cache_dir)
                .unwrap_or_else(|| data.join("cache")),
            cache_bytes,
            s3,
            listen: match serve.listen.or(file.listen) {
                Some(listen) => listen,
                None => DEFAULT_LISTEN.parse().expect("the default is an address"),
            },
            tls,
            allow_private_addresses: serve.allow_private_addresses
                || file.allow_private_addresses.unwrap_or(false),
            github,
            credentials_key: variable("PACKHOUSE_CREDENTIALS_KEY").map(Secret),
            webhook_timeout: serve
                .webhook_timeout
                .or(file.webhook_timeout)
                .map(|lapse| lapse.0),
            event_retention: serve
                .event_retention
                .or(file.event_retention)
                .map(|lapse| lapse.0),
            custom_notes_refs: !(serve.no_custom_notes || file.no_custom_notes.unwrap_or(false)),
            dev: serve.dev || file.dev.unwrap_or(false),
            log_format: file.log_format,
            data,
        })
    }

    /// The catalog's database file, where it is one.
    pub(crate) fn sqlite_path(&self) -> Option<&Path> {
        self.catalog
            .strip_prefix("sqlite:")
            .map(|path| Path::new(path.strip_prefix("//").unwrap_or(path)))
    }
}

impl SettingsFile {
    /// Reads `path`; paths in it are relative to its own folder, so that it means the same from everywhere.
    fn read(path: &Path) -> Result<SettingsFile, CliError> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            CliError::because(
                format!("could not read `{shown}`"),
                &error,
                "check --config or PACKHOUSE_CONFIG",
            )
        })?;
        let mut file: SettingsFile = toml::from_str(&text).map_err(|error| {
            CliError::usage(
                format!("`{shown}` is not a settings file: {}", error.to_string().trim_end()),
                "keys are the long flags of `packhouse serve` without dashes in front, such as cache-size",
            )
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for value in [
            &mut file.data,
            &mut file.cache_dir,
            &mut file.tls_cert,
            &mut file.tls_key,
            &mut file.github_app_key,
        ] {
            *value = value.take().map(|relative| folder.join(relative));
        }
        Ok(file)
    }
}

fn sqlite_url(data: &Path) -> String {
    format!("sqlite:{}", data.join("catalog.db").display())
}

fn file_url(folder: &Path) -> Result<String, CliError> {
    let absolute = std::path::absolute(folder).map_err(|error| {
        CliError::because(
            "could not find the current folder",
            &error,
            "give --data as an absolute path",
        )
    })?;
    match absolute.to_str() {
        Some(path) => Ok(format!("file://{path}")),
        None => Err(CliError::usage(
            "the data folder's path is not UTF-8",
            "choose another --data folder",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_variables(_: &str) -> Option<String> {
        None
    }

    fn decide(storage: StorageFlags, serve: ServeFlags, file: &str) -> Result<Settings, CliError> {
        Settings::decide(storage, serve, toml::from_str(file).unwrap(), &no_variables)
    }

    #[test]
    fn everything_is_below_the_data_folder_by_default() {
        let flags = StorageFlags {
            data: Some("/srv/packhouse".into()),
            ..Default::default()
        };
        let settings = decide(flags, ServeFlags::default(), "").unwrap();
        assert_eq!(settings.catalog, "sqlite:/srv/packhouse/catalog.db");
        assert_eq!(settings.bucket, "file:///srv/packhouse/bucket");
        assert_eq!(settings.cache_dir, Path::new("/srv/packhouse/cache"));
        assert_eq!(
            settings.sqlite_path(),
            Some(Path::new("/srv/packhouse/catalog.db"))
        );
        assert_eq!(settings.listen.to_string(), DEFAULT_LISTEN);
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let flags = StorageFlags {
            catalog: Some("postgres://one".into()),
            ..Default::default()
        };
        let file = "catalog = 'postgres://two'\nbucket = 's3://three'\ncache-size = '1G'\nlisten = '[::1]:99'";
        let settings = decide(flags, ServeFlags::default(), file).unwrap();
        assert_eq!(settings.catalog, "postgres://one");
        assert_eq!(settings.bucket, "s3://three");
        assert_eq!(settings.cache_bytes, 1 << 30);
        assert_eq!(settings.listen.to_string(), "[::1]:99");
        assert_eq!(settings.sqlite_path(), None);
    }

    #[test]
    fn a_certificate_without_a_key_is_refused() {
        let serve = ServeFlags {
            tls_cert: Some("cert.pem".into()),
            ..Default::default()
        };
        let error = decide(StorageFlags::default(), serve, "").unwrap_err();
        assert!(
            error.to_string().contains("--tls-key is missing"),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(toml::from_str::<SettingsFile>("cachesize = 1").is_err());
    }
}
