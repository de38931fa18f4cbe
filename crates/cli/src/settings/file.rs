//! Settings in a TOML file.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::limits::RateSetting;
use super::proxies::ProxyNet;
use super::public_url::PublicUrl;
use crate::error::CliError;
use crate::logging::LogFormat;
use crate::s3::S3Settings;
use crate::size::{ByteSize, Lapse};

/// The TOML file: the long flags as keys, and a table for S3 credentials.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct SettingsFile {
    pub(super) data: Option<PathBuf>,
    pub(super) catalog: Option<String>,
    pub(super) bucket: Option<String>,
    pub(super) cache_dir: Option<PathBuf>,
    pub(super) cache_size: Option<ByteSize>,
    pub(super) listen: Option<SocketAddr>,
    pub(super) public_url: Option<PublicUrl>,
    pub(super) ssh: Option<SocketAddr>,
    pub(super) ssh_host_key: Option<PathBuf>,
    pub(super) tls_cert: Option<PathBuf>,
    pub(super) tls_key: Option<PathBuf>,
    pub(super) allow_private_addresses: Option<bool>,
    pub(super) trusted_proxy: Vec<ProxyNet>,
    pub(super) github_url: Option<String>,
    pub(super) github_api_url: Option<String>,
    pub(super) github_app_id: Option<String>,
    pub(super) github_app_key: Option<PathBuf>,
    pub(super) webhook_timeout: Option<Lapse>,
    pub(super) event_retention: Option<Lapse>,
    pub(super) sweep_every: Option<Lapse>,
    pub(super) keep_unreachable: Option<Lapse>,
    pub(super) keep_deleted: Option<Lapse>,
    pub(super) sweep_grace: Option<Lapse>,
    pub(super) audit_days: Option<NonZeroU32>,
    pub(super) org_rate: Option<RateSetting>,
    pub(super) repo_rate: Option<RateSetting>,
    pub(super) max_repo_bytes: Option<ByteSize>,
    pub(super) max_org_bytes: Option<ByteSize>,
    pub(super) max_file_bytes: Option<ByteSize>,
    pub(super) max_request_bytes: Option<ByteSize>,
    pub(super) no_custom_notes: Option<bool>,
    pub(super) dev: Option<bool>,
    pub(super) log_format: Option<LogFormat>,
    pub(super) s3: S3Settings,
}

impl SettingsFile {
    /// Reads `path`; paths in it are relative to its own folder, so that it means the same from everywhere.
    pub(super) fn read(path: &Path) -> Result<SettingsFile, CliError> {
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
            &mut file.ssh_host_key,
            &mut file.tls_cert,
            &mut file.tls_key,
            &mut file.github_app_key,
        ] {
            *value = value.take().map(|relative| folder.join(relative));
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(toml::from_str::<SettingsFile>("cachesize = 1").is_err());
    }
}
