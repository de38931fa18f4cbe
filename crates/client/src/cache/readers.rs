//! Which processes are in a folder, as far as the system tells.
//!
//! Linux tells it of the processes of one's own user, and of all to root. Those of other machines, and of containers that
//! this process does not see, are in no list: whoever has to be sure takes a lease.

use std::cell::OnceCell;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bstr::ByteSlice;

/// The folders that are looked for are in these, and have names that nothing else has.
const PARENTS: [&str; 2] = ["trash/", "spares/"];

/// The processes that are in a folder of these parents, with the path of what they have open there. They are looked for when
/// they are asked for first: who comes later is not seen, and nobody goes into a tree that was replaced before.
#[derive(Debug, Default)]
pub(super) struct Readers(OnceCell<Option<Vec<Open>>>);

/// A process, and the path of something that it has open.
type Open = (u32, Vec<u8>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Nobody,
    /// This one, and maybe others.
    Process(u32),
    /// The system does not tell.
    Unknown,
}

impl Readers {
    /// Looks at all processes, which takes some milliseconds. `None`: the system does not tell.
    fn look() -> Option<Vec<Open>> {
        fs::read_link("/proc/self/cwd").ok()?;
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let process = entry.path();
            let mut note = |path: &[u8]| {
                if PARENTS.iter().any(|parent| path.contains_str(parent)) {
                    found.push((pid, path.to_vec()));
                }
            };
            let open = fs::read_dir(process.join("fd")).into_iter().flatten();
            let open = open.flatten().map(|open| open.path());
            for link in ["cwd", "root"]
                .map(|name| process.join(name))
                .into_iter()
                .chain(open)
            {
                if let Ok(path) = fs::read_link(link) {
                    note(path.as_os_str().as_bytes());
                }
            }
            // A container may see nothing but the tree, mounted anywhere.
            let mounts = fs::read(process.join("mountinfo")).unwrap_or_default();
            mounts.lines().for_each(note);
        }
        Some(found)
    }

    /// Who is in a folder.
    pub(super) fn of(&self, folder: &Path) -> Reader {
        let Some(found) = self.0.get_or_init(Readers::look) else {
            return Reader::Unknown;
        };
        let name = folder.file_name().unwrap_or_default().as_bytes();
        let is_in = |path: &[u8]| {
            PARENTS.iter().any(|parent| {
                let named = [parent.as_bytes(), name].concat();
                path.contains_str(&named)
            })
        };
        match found.iter().find(|(_, path)| is_in(path)) {
            Some((pid, _)) => Reader::Process(*pid),
            None => Reader::Nobody,
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn who_has_something_open_in_a_folder_is_seen_until_it_is_closed() {
        let top = tempfile::tempdir().unwrap();
        let id = uuid::Uuid::new_v4().simple().to_string();
        let folder = top.path().join("trash").join(id);
        fs::create_dir_all(folder.join("tree/sub")).unwrap();
        assert_eq!(Readers::default().of(&folder), Reader::Nobody);
        let inside = fs::File::open(folder.join("tree/sub")).unwrap();
        assert_eq!(
            Readers::default().of(&folder),
            Reader::Process(std::process::id())
        );
        drop(inside);
        assert_eq!(Readers::default().of(&folder), Reader::Nobody);
    }
}
