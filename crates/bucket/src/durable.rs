//! File writes that survive power loss, in the order that makes them so: content, name, folder.

use std::fs::File;
use std::io;
use std::path::Path;

use tempfile::NamedTempFile;

/// Makes the names in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes the content of `temp` durable and then gives it its name, replacing what is there. The name itself is durable
/// after [`sync_folder`].
pub(crate) fn persist(temp: NamedTempFile, path: &Path) -> io::Result<()> {
    temp.as_file().sync_all()?;
    temp.persist(path).map_err(|failed| failed.error)?;
    Ok(())
}

/// The folder that `path` is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => path,
    }
}

/// Runs blocking work on the threads kept for it.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that shuts down refuses work; nobody is left to read a result.
            Err(_) => std::future::pending().await,
        },
    }
}
