//! The settings of an installation, the same for every command.
//!
//! A setting is looked for on the command line, then in its `PACKHOUSE_*` variable, then in the TOML file, and has a
//! default below the data folder: a command that is given what `serve` was given works on the same repositories.

mod file;
mod flags;
mod limits;
mod proxies;
mod public_url;
mod sweep;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use packhouse_repo::SweepOptions;
use packhouse_server::SshConfig;

use crate::error::CliError;
use crate::logging::LogFormat;
use crate::s3::S3Settings;

use self::file::SettingsFile;
pub(crate) use self::flags::{ServeFlags, StorageFlags};
pub(crate) use self::limits::LimitSettings;
pub(crate) use self::sweep::SweepFlags;

/// Where everything is kept unless something else is said.
const DEFAULT_DATA: &str = "./packhouse-data";
/// Where the server listens unless something else is said.
const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
/// How large the cache of packs may grow unless something else is said.
const DEFAULT_CACHE_BYTES: u64 = 10 << 30;

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
    /// Where clients find the server; what a request names if absent.
    pub(crate) public_url: Option<String>,
    pub(crate) ssh: Option<SshConfig>,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) allow_private_addresses: bool,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) github: GitHubSettings,
    /// Keys that seal credentials, as the environment has them.
    pub(crate) credentials_key: Option<Secret>,
    pub(crate) webhook_timeout: Option<Duration>,
    pub(crate) event_retention: Option<Duration>,
    pub(crate) limits: LimitSettings,
    pub(crate) sweep_every: Option<Duration>,
    pub(crate) sweep: SweepOptions,
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
        let host_key = serve.ssh_host_key.or(file.ssh_host_key);
        let ssh = match (serve.ssh.or(file.ssh), host_key) {
            (Some(listen), host_key) => Some(SshConfig { listen, host_key }),
            (None, None) => None,
            (None, Some(_)) => {
                return Err(CliError::usage(
                    "there is a host key for SSH, and no address to serve it on",
                    "give --ssh ADDR as well, such as --ssh 0.0.0.0:22",
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
        let sweep = sweep::options(
            serve.sweep.keep_unreachable.or(file.keep_unreachable),
            serve.sweep.keep_deleted.or(file.keep_deleted),
            serve.sweep.sweep_grace.or(file.sweep_grace),
            serve.sweep.audit_days.or(file.audit_days),
        )?;
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
            public_url: serve.public_url.or(file.public_url).map(|url| url.0),
            ssh,
            tls,
            allow_private_addresses: serve.allow_private_addresses
                || file.allow_private_addresses.unwrap_or(false),
            trusted_proxies: match serve.trusted_proxy.is_empty() {
                true => file.trusted_proxy,
                false => serve.trusted_proxy,
            }
            .into_iter()
            .map(|net| net.0)
            .collect(),
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
            limits: LimitSettings {
                org_rate: serve.limits.org_rate.or(file.org_rate).map(|rate| rate.0),
                repo_rate: serve.limits.repo_rate.or(file.repo_rate).map(|rate| rate.0),
                max_repo_bytes: serve
                    .limits
                    .max_repo_bytes
                    .or(file.max_repo_bytes)
                    .map(|size| size.0),
                max_org_bytes: serve
                    .limits
                    .max_org_bytes
                    .or(file.max_org_bytes)
                    .map(|size| size.0),
                max_file_bytes: serve
                    .limits
                    .max_file_bytes
                    .or(file.max_file_bytes)
                    .map(|size| size.0),
                max_request_bytes: serve
                    .limits
                    .max_request_bytes
                    .or(file.max_request_bytes)
                    .map(|size| size.0),
            },
            sweep_every: serve.sweep_every.or(file.sweep_every).map(|lapse| lapse.0),
            sweep,
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
    use packhouse_server::Rate;

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
    fn rates_come_from_the_file_as_numbers_or_with_a_burst() {
        let file = "org-rate = 100\nrepo-rate = '5:20'";
        let serve = ServeFlags {
            limits: limits::LimitFlags {
                org_rate: Some("7:9".parse().unwrap()),
                ..Default::default()
            },
            ..Default::default()
        };
        let settings = decide(StorageFlags::default(), ServeFlags::default(), file).unwrap();
        assert_eq!(settings.limits.org_rate, Rate::new(100, 100));
        let settings = decide(StorageFlags::default(), serve, file).unwrap();
        assert_eq!(settings.limits.org_rate, Rate::new(7, 9));
        assert_eq!(settings.limits.repo_rate, Rate::new(5, 20));
        let settings = decide(StorageFlags::default(), ServeFlags::default(), "").unwrap();
        assert_eq!(settings.limits.org_rate, None);
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
}
