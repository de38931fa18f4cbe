//! The key by which clients know the server.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};

/// Name of the key's file in the data folder.
const FILE: &str = "ssh_host_ed25519_key";

/// There is no usable host key.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    /// The file could not be read or made.
    #[error("could not use `{path}` as the SSH host key")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It is something else.
    #[error(
        "`{path}` is no private key in the format of OpenSSH without a passphrase: Ed25519 or ECDSA"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// No key could be made.
    #[error("could not make an SSH host key")]
    Generate(#[source] russh::keys::ssh_key::Error),
}

/// The key in the file at `given`; if none is given that of `data_dir`, which is made if it is not there.
///
/// Several servers may start on one folder at once: whoever is first makes the key, and all have it.
pub(super) fn host_key(given: Option<&Path>, data_dir: &Path) -> Result<PrivateKey, HostKeyError> {
    if let Some(path) = given {
        return read(path);
    }
    let path = data_dir.join(FILE);
    match read(&path) {
        Err(HostKeyError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            make(&path, data_dir)?;
            read(&path)
        }
        read => read,
    }
}

fn read(path: &Path) -> Result<PrivateKey, HostKeyError> {
    let failed = |source| HostKeyError::File {
        path: path.to_owned(),
        source,
    };
    let text = std::fs::read(path).map_err(failed)?;
    let mode = std::fs::metadata(path)
        .map_err(failed)?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others on this machine may read the SSH host key");
    }
    let malformed = || HostKeyError::Malformed {
        path: path.to_owned(),
    };
    let key = PrivateKey::from_openssh(&text).map_err(|_| malformed())?;
    let is_usable = matches!(
        key.algorithm(),
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. }
    );
    if !is_usable || key.is_encrypted() {
        return Err(malformed());
    }
    Ok(key)
}

/// Makes a key at `path`, for this user alone, unless there is one by now. It is on disk before it has its name.
fn make(path: &Path, folder: &Path) -> Result<(), HostKeyError> {
    let key =
        PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).map_err(HostKeyError::Generate)?;
    let text = key
        .to_openssh(LineEnding::LF)
        .map_err(HostKeyError::Generate)?;
    let store = || {
        // Made with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(path) {
            Ok(_) => std::fs::File::open(folder)?.sync_all(),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error.error),
        }
    };
    store().map_err(|source| HostKeyError::File {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_for_this_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let keys: Vec<_> = std::thread::scope(|scope| {
            let starting: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| host_key(None, folder.path()).unwrap()))
                .collect();
            starting
                .into_iter()
                .map(|one| one.join().unwrap().public_key().clone())
                .collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
        let path = folder.path().join(FILE);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let given = host_key(Some(&path), Path::new("/nowhere")).unwrap();
        assert_eq!(*given.public_key(), keys[0]);
    }

    #[test]
    fn what_is_no_key_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        std::fs::write(&path, "rubbish").unwrap();
        let error = host_key(None, folder.path()).unwrap_err();
        assert!(matches!(error, HostKeyError::Malformed { .. }), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"rubbish");
        let missing = host_key(Some(&folder.path().join("no")), folder.path()).unwrap_err();
        assert!(matches!(missing, HostKeyError::File { .. }), "{missing}");
    }
}
