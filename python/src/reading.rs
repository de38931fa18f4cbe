//! Reading a snapshot: files, directories, walks.

use std::io::{Seek, SeekFrom};

use packhouse_repo::store::{self, Entry, FileType, Stat, StoreError};
use parking_lot::Mutex;
use pyo3::exceptions::{PyMemoryError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple, PyType};

use crate::entries::EntryMaker;
use crate::errors::{detached, exception};
use crate::files::{FileReader, read_exactly};
use crate::numbers::Number;
use crate::paths::{RepoPath, text, texts};
use crate::snapshot::Snapshot;

#[pymethods]
impl Snapshot {
    #[pyo3(signature = (path, offset, size))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        path: RepoPath,
        offset: Number,
        size: Option<Number>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let file = detached(py, || self.0.reader(&path))?;
        read_part(py, file, offset, size)
    }

    fn reader(&self, py: Python<'_>, path: RepoPath) -> PyResult<FileReader> {
        Ok(detached(py, || self.0.reader(&path))?.into())
    }

    fn readlink<'py>(&self, py: Python<'py>, path: RepoPath) -> PyResult<Bound<'py, PyString>> {
        let target = detached(py, || self.0.readlink(&path))?;
        Ok(text(py, &target))
    }

    fn ls<'py>(&self, py: Python<'py>, path: RepoPath) -> PyResult<Bound<'py, PyList>> {
        let entries = detached(py, || self.0.ls(&path))?;
        PyList::new(py, entries.iter().map(|entry| text(py, &entry.name)))
    }

    /// Each entry as an instance of `kind`, a tuple of name, id and mode.
    fn listdir<'py>(
        &self,
        py: Python<'py>,
        path: RepoPath,
        kind: Bound<'py, PyType>,
    ) -> PyResult<Bound<'py, PyList>> {
        let entries = detached(py, || self.0.ls(&path))?;
        let mut maker = EntryMaker::new(kind)?;
        let list = PyList::empty(py);
        for entry in &entries {
            list.append(maker.make(&entry.name, entry.id, entry.mode)?)?;
        }
        Ok(list)
    }

    /// The full paths of all files below `path`.
    fn files<'py>(&self, py: Python<'py>, path: RepoPath) -> PyResult<Bound<'py, PyList>> {
        let paths = detached(py, || {
            self.0
                .files(&path)?
                .map(|file| file.map(|(path, _, _)| path))
                .collect::<Result<Vec<_>, _>>()
        })?;
        texts(py, &paths)
    }

    /// Files are instances of `kind`, as in a listing.
    fn walk(&self, py: Python<'_>, path: RepoPath, kind: Py<PyType>) -> PyResult<Walk> {
        let walk = Mutex::new(detached(py, || self.0.walk(&path))?);
        Ok(Walk { walk, kind })
    }

    fn exists(&self, py: Python<'_>, path: RepoPath) -> PyResult<bool> {
        detached(py, || self.0.exists(&path))
    }

    fn is_dir(&self, py: Python<'_>, path: RepoPath) -> PyResult<bool> {
        detached(py, || self.0.is_dir(&path))
    }

    fn file_type(&self, py: Python<'_>, path: RepoPath) -> PyResult<&'static str> {
        detached(py, || Ok(self.there(path)?.file_type.as_str()))
    }

    fn size(&self, py: Python<'_>, path: RepoPath) -> PyResult<u64> {
        detached(py, || {
            let entry = self.there(path)?;
            match entry.file_type {
                // The commit of a submodule is in another repository.
                store::FileType::Commit => Ok(0),
                _ => self.0.object_size(&entry.id),
            }
        })
    }

    fn object_hash(&self, py: Python<'_>, path: RepoPath) -> PyResult<String> {
        detached(py, || Ok(self.there(path)?.id.to_string()))
    }

    fn stat<'py>(&self, py: Python<'py>, path: RepoPath) -> PyResult<Bound<'py, PyTuple>> {
        let stat: Stat = detached(py, || self.0.stat(&path))?;
        (
            stat.mode,
            stat.file_type.as_str(),
            stat.size,
            stat.id.to_string(),
            stat.nlink,
            stat.mtime as f64,
        )
            .into_pyobject(py)
    }
}

impl Snapshot {
    /// What is at the path; a path below a file is not there either.
    fn there(&self, path: RepoPath) -> Result<Entry, StoreError> {
        self.0.entry(&path)?.ok_or_else(|| StoreError::NotFound {
            path: path.0.into(),
        })
    }
}

/// `size` bytes of a file from `offset`, which counts from the end if it is negative; less beyond the end.
fn read_part<'py>(
    py: Python<'py>,
    mut file: store::FileReader,
    offset: Number,
    size: Option<Number>,
) -> PyResult<Bound<'py, PyBytes>> {
    let start = part_start(offset, file.size());
    let left = file.size() - start;
    let len = part_size(size)?.map_or(left, |size| size.min(left));
    let len = usize::try_from(len)
        .map_err(|_| PyMemoryError::new_err("the file is too large to read"))?;
    file.seek(SeekFrom::Start(start))?;
    read_exactly(py, &Mutex::new(file), len)
}

/// How many bytes a caller wants; `None` for all.
pub(crate) fn part_size(size: Option<Number>) -> PyResult<Option<u64>> {
    let size = size.map(|size| u64::try_from(size.0)).transpose();
    size.map_err(|_| PyValueError::new_err("size must be >= 0"))
}

/// Where a part of `len` bytes begins, as in a slice.
pub(crate) fn part_start(Number(offset): Number, len: u64) -> u64 {
    match u64::try_from(offset) {
        Ok(start) => start.min(len),
        Err(_) => len.saturating_sub(offset.unsigned_abs()),
    }
}

/// The directories of a snapshot, each before those in it.
#[pyclass(frozen, module = "packhouse._native")]
pub(crate) struct Walk {
    walk: Mutex<store::Walk>,
    kind: Py<PyType>,
}

#[pymethods]
impl Walk {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let Some(listing) = py.detach(|| self.walk.lock().next_listing()) else {
            return Ok(None);
        };
        let listing = listing.map_err(exception)?;
        let mut maker = EntryMaker::new(self.kind.bind(py).clone())?;
        let (names, files) = (PyList::empty(py), PyList::empty(py));
        for entry in listing.entries() {
            let entry = entry.map_err(exception)?;
            match entry.file_type {
                FileType::Tree => names.append(text(py, entry.name))?,
                _ => files.append(maker.make(entry.name, entry.id, entry.mode)?)?,
            }
        }
        let item = (text(py, listing.path()), names, files);
        item.into_pyobject(py).map(Some)
    }
}
