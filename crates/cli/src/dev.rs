//! `serve --dev`: an organisation to try things with, and lines to paste.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use packhouse_catalog::{Catalog, CreateOrgError, NewKey};
use packhouse_server::auth::PublicKey;
use serde::Serialize;

use crate::audit;
use crate::error::CliError;
use crate::key::PrivateKey;
use crate::storage;

/// Who acts, for the audit log.
const WHO: &str = "packhouse serve --dev";
/// Name of the organisation.
pub(crate) const ORG: &str = "dev";
/// Its private key, in the data folder.
const KEY_FILE: &str = "dev-key.pem";

/// The organisation's private key.
#[derive(Debug, Serialize)]
pub(crate) struct DevKey {
    pub(crate) org: &'static str,
    /// The file it is in.
    pub(crate) key: PathBuf,
    /// Whether the server accepts what it signs.
    pub(crate) accepted: bool,
}

/// Makes the organisation and its key, once; returns the private key.
///
/// What is there is left alone: a key that was revoked stays revoked, and is not accepted.
pub(crate) async fn prepare(catalog: &Catalog, data: &Path) -> Result<DevKey, CliError> {
    storage::create_folder(data)?;
    let path = data.join(KEY_FILE);
    let dev_key = |accepted| DevKey {
        org: ORG,
        key: path.clone(),
        accepted,
    };
    let (org, is_new) = match catalog
        .audited(audit::entry(WHO, "org.create", None, ORG))
        .create_org(ORG)
        .await
    {
        Ok(org) => (org, true),
        Err(CreateOrgError::Exists { .. }) => {
            match catalog.org(ORG).await.map_err(storage::catalog_failed)? {
                Some(org) => (org, false),
                None => {
                    return Err(CliError::failure(
                        "organisation `dev` is there and is not",
                        storage::SEE_LOG,
                    ));
                }
            }
        }
        Err(CreateOrgError::Catalog { source, .. }) => return Err(storage::catalog_failed(source)),
    };
    if path.exists() && !is_new {
        let keys = catalog
            .keys(org.id)
            .await
            .map_err(storage::catalog_failed)?;
        let registered = keys.iter().map(|key| key.public_pem.as_str());
        return Ok(dev_key(is_accepted(&path, registered)));
    }
    let public_pem = new_key(&path)?;
    let key = PublicKey::from_pem(&public_pem).map_err(|error| {
        CliError::because("could not register the new key", &error, "try again")
    })?;
    let key = NewKey {
        fingerprint: key.fingerprint(),
        algorithm: key.algorithm().as_str().to_owned(),
        public_pem,
    };
    catalog
        .audited(audit::entry(WHO, "key.add", Some(org.id), &key.fingerprint))
        .add_key(org.id, key)
        .await
        .map_err(storage::catalog_failed)?;
    Ok(dev_key(true))
}

/// Whether one of the registered keys is the public half of the private one at `path`.
fn is_accepted<'a>(path: &Path, mut registered: impl Iterator<Item = &'a str>) -> bool {
    let signed = PrivateKey::read(path).map(|key| key.sign(&serde_json::Map::new()));
    let Ok(Ok(token)) = signed else {
        return false;
    };
    token.rsplit_once('.').is_some_and(|(message, signature)| {
        registered.any(|pem| {
            PublicKey::from_pem(pem).is_ok_and(|key| key.verifies(signature, message.as_bytes()))
        })
    })
}

/// Writes a new private key to `path` and returns the public one. A key that is there from another catalog, which
/// the organisation does not know, is moved aside, not lost.
fn new_key(path: &Path) -> Result<String, CliError> {
    let failed = |error: io::Error| {
        CliError::because(
            format!("could not write `{}`", path.display()),
            &error,
            "check the --data folder",
        )
    };
    let (private, public) = PrivateKey::generate()?;
    match private.write_new(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            std::fs::rename(path, path.with_extension("pem.old")).map_err(failed)?;
            private.write_new(path).map_err(failed)?;
        }
        written => written.map_err(failed)?,
    }
    Ok(public)
}

/// What the lines to paste are made of.
#[derive(Debug)]
pub(crate) struct Guide<'a> {
    /// Scheme, host and port as a client on this machine reaches the server.
    pub(crate) url: &'a str,
    /// The private key.
    pub(crate) key: &'a DevKey,
    /// The certificate that clients must trust, if the server speaks https.
    pub(crate) cert: Option<&'a Path>,
    /// This program as it was called.
    pub(crate) program: &'a str,
}

impl Guide<'_> {
    /// Writes the lines, or where the key is not accepted, what to do about that.
    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Guide { url, program, .. } = self;
        let key = self.key.key.display();
        if !self.key.accepted {
            return write!(
                out,
                "
warning: the server refuses every token that {key} signs: the key was revoked, or never was one of organisation {ORG}
hint: for a new key, stop the server, move {key} away, and run `serve --dev` again
"
            );
        }
        let host = url.split_once("://").map_or(*url, |(_, host)| host);
        let (curl, git, python, why) = match self.cert {
            Some(cert) => {
                let cert = cert.display();
                (
                    format!(" --cacert {cert}"),
                    format!("-c http.sslCAInfo={cert}"),
                    format!("SSL_CERT_FILE={cert} "),
                    "",
                )
            }
            None => (
                String::new(),
                "-c url.http://.insteadOf=https://".to_owned(),
                String::new(),
                " (the SDK's URLs start with https; plain http needs the rewriting)",
            ),
        };
        let mint = format!("{program} token mint --org {ORG} --key {key}");
        // From here on everything is shell, comments included: it may be pasted as it is, whole or in parts.
        write!(
            out,
            "
# create a repository with curl
curl -sS{curl} {url}/api/v1/repos -H 'Content-Type: application/json' -d '{{\"default_branch\":\"main\"}}' -H \"Authorization: Bearer $({mint} --repo hello --scope repo:write)\"

# create another, and commit to it, with pierre-storage in Python
{python}python3 - <<'PY'
import asyncio
from pierre_storage import GitStorage
storage = GitStorage({{\"name\": \"{ORG}\", \"key\": open(\"{key}\").read(), \"api_base_url\": \"{url}\", \"storage_base_url\": \"{host}\"}})
async def main():
    repo = await storage.create_repo(id=\"hello-python\")
    commit = repo.create_commit(target_branch=\"main\", commit_message=\"Say hello\", author={{\"name\": \"Dev\", \"email\": \"dev@example.com\"}})
    print(await commit.add_file_from_string(\"hello.txt\", \"hello\\n\").send())
    print(await repo.get_remote_url())
asyncio.run(main())
PY

# clone it with git{why}
git {git} clone \"$({mint} --repo hello-python --url --base https://{host})\"
"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Settings, StorageFlags};
    use crate::storage::Start;

    #[tokio::test]
    async fn the_organisation_is_made_once_and_a_revoked_key_stays_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let flags = StorageFlags {
            data: Some(folder.path().to_owned()),
            ..Default::default()
        };
        let settings = Settings::of_storage(&flags).unwrap();
        let tested = storage::with_catalog(&settings, Start::Create, async |catalog| {
            let DevKey {
                key: path,
                accepted,
                ..
            } = prepare(catalog, folder.path()).await?;
            assert!(accepted);
            let key = std::fs::read(&path).unwrap();
            assert!(prepare(catalog, folder.path()).await?.accepted);
            assert_eq!(std::fs::read(&path).unwrap(), key);
            let org = catalog.org(ORG).await.unwrap().unwrap();
            let keys = catalog.keys(org.id).await.unwrap();
            assert_eq!(keys.len(), 1);

            catalog
                .revoke_key(org.id, &keys[0].fingerprint)
                .await
                .unwrap();
            let revoked = prepare(catalog, folder.path()).await?;
            assert!(!revoked.accepted);
            assert!(catalog.keys(org.id).await.unwrap().is_empty());
            let mut shown = Vec::new();
            let guide = Guide {
                url: "http://127.0.0.1:1",
                key: &revoked,
                cert: None,
                program: "packhouse",
            };
            guide.write(&mut shown).unwrap();
            let shown = String::from_utf8(shown).unwrap();
            assert!(
                shown.contains("revoked") && shown.contains("hint: "),
                "{shown}"
            );
            assert!(!shown.contains("curl"), "{shown}");

            std::fs::remove_file(&path).unwrap();
            assert!(prepare(catalog, folder.path()).await?.accepted);
            assert_eq!(
                catalog.keys(org.id).await.unwrap().len(),
                1,
                "a lost key is replaced"
            );
            Ok(())
        });
        tested.await.unwrap();
    }
}
