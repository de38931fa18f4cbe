//! Which processes are in a folder, as far as the system tells.
//!
//! Linux tells it of the processes of one's own user, and of all to root. Those of other machines are in no list, and a
//! container sees only its own: where others may have the folder too, it does not know. Whoever has to be sure takes a lease.

use std::cell::OnceCell;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;

use super::root::Root;

/// The replaced trees that are looked for are in these, and have names that nothing else has.
const PARENTS: [&str; 2] = ["trash/", "spares/"];

/// The processes that are in the trees of a cache, with the path of what they have open there. They are looked for when they
/// are asked for first: who comes later is not seen, and nobody goes into a tree that was replaced before.
#[derive(Debug)]
pub(super) struct Readers {
    root: PathBuf,
    found: OnceCell<Option<Found>>,
}

/// What the system tells.
#[derive(Debug)]
struct Found {
    open: Vec<Open>,
    /// Whether nobody else can have the cache's folder open.
    is_all: bool,
}

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
    pub(super) fn new(root: &Root) -> Readers {
        Readers::below(root.path())
    }

    fn below(root: &Path) -> Readers {
        Readers {
            root: root.to_owned(),
            found: OnceCell::new(),
        }
    }

    /// Looks at all processes, which takes some milliseconds. `None`: the system does not tell.
    fn look(root: &Path) -> Option<Found> {
        fs::read_link("/proc/self/cwd").ok()?;
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let process = entry.path();
            let mut note = |path: &[u8]| {
                let is_replaced = || PARENTS.iter().any(|parent| path.contains_str(parent));
                if path.contains_str(root.as_os_str().as_bytes()) || is_replaced() {
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
        Some(Found {
            open: found,
            is_all: sees_all_of(root),
        })
    }

    /// Who is in the folder of a tree that was replaced.
    pub(super) fn of(&self, folder: &Path) -> Reader {
        let Some(found) = self.found() else {
            return Reader::Unknown;
        };
        let name = folder.file_name().unwrap_or_default().as_bytes();
        let is_in = |path: &[u8]| {
            PARENTS.iter().any(|parent| {
                let named = [parent.as_bytes(), name].concat();
                path.contains_str(&named)
            })
        };
        match found.open.iter().find(|(_, path)| is_in(path)) {
            Some((pid, _)) => Reader::Process(*pid),
            None if found.is_all => Reader::Nobody,
            None => Reader::Unknown,
        }
    }

    /// Whether a process is seen in the tree at its place. One that is not seen gets no time there: without a lease there is
    /// no end to it.
    pub(super) fn is_in_tree(&self, place: &Path) -> bool {
        let place = place.as_os_str().as_bytes();
        let is_in = |path: &[u8]| {
            // At the end, before what is in it, or as a part of a line about a mount.
            let mut ends = path.find_iter(place).map(|at| path.get(at + place.len()));
            ends.any(|end| matches!(end, None | Some(b'/' | b' ')))
        };
        let found = self.found();
        found.is_some_and(|found| found.open.iter().any(|(_, path)| is_in(path)))
    }

    fn found(&self) -> Option<&Found> {
        let found = self.found.get_or_init(|| Readers::look(&self.root));
        found.as_ref()
    }
}

/// Whether this process sees all that can have a folder of the cache open: it sees those of the whole machine, or the folder
/// is in its container's own layer. A volume may be others' too.
#[cfg(target_os = "linux")]
fn sees_all_of(root: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    /// The number of the first PID namespace, in which all processes are seen (`PROC_PID_INIT_INO`).
    const FIRST: &str = "pid:[4026531836]";
    /// `OVERLAYFS_SUPER_MAGIC`.
    const OVERLAY: u64 = 0x794c_7630;
    let Ok(namespace) = fs::read_link("/proc/self/ns/pid") else {
        // A kernel that has none.
        return true;
    };
    let top = Path::new("/");
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    let is_layer = || {
        let kind = rustix::fs::statfs(top).ok();
        kind.and_then(|kind| u64::try_from(kind.f_type).ok()) == Some(OVERLAY)
    };
    namespace == Path::new(FIRST) || device(top) == device(root) && is_layer()
}

/// Elsewhere there is no `/proc` like that.
#[cfg(not(target_os = "linux"))]
fn sees_all_of(_: &Path) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn who_has_something_open_in_a_folder_is_seen_until_it_is_closed() {
        let top = tempfile::tempdir().unwrap();
        let id = uuid::Uuid::new_v4().simple().to_string();
        let folder = top.path().join("trash").join(id);
        let readers = || Readers::below(top.path());
        fs::create_dir_all(folder.join("tree/sub")).unwrap();
        let nobody = match sees_all_of(top.path()) {
            true => Reader::Nobody,
            false => Reader::Unknown,
        };
        assert_eq!(readers().of(&folder), nobody);
        let inside = fs::File::open(folder.join("tree/sub")).unwrap();
        assert_eq!(readers().of(&folder), Reader::Process(std::process::id()));
        drop(inside);
        assert_eq!(readers().of(&folder), nobody);
    }

    #[test]
    fn who_is_in_a_current_tree_is_told_from_who_is_in_one_with_a_longer_name() {
        let top = tempfile::tempdir().unwrap();
        let [place, longer] = ["tree", "tree-2"].map(|name| top.path().join(name));
        fs::create_dir_all(place.join("sub")).unwrap();
        fs::create_dir(&longer).unwrap();
        let is_in = || Readers::below(top.path()).is_in_tree(&place);
        let beside = fs::File::open(&longer).unwrap();
        assert!(!is_in());
        for path in [place.join("sub"), place.clone()] {
            let inside = fs::File::open(path).unwrap();
            assert!(is_in());
            drop(inside);
            assert!(!is_in());
        }
        drop(beside);
    }

    const FOLDER: &str = "PACKHOUSE_TEST_READERS";

    #[test]
    #[ignore = "the other test runs it in a container"]
    fn nobody_is_said_to_be_in_a_folder_of_others() {
        let folder = PathBuf::from(std::env::var(FOLDER).unwrap());
        let readers = Readers::below(folder.parent().unwrap().parent().unwrap());
        assert_eq!(readers.of(&folder), Reader::Unknown);
        assert!(!readers.is_in_tree(&folder));
    }

    /// As in a container that has the cache as a volume.
    #[test]
    fn who_sees_not_all_processes_does_not_say_that_there_are_none() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("trash").join("0123456789abcdef");
        fs::create_dir_all(&folder).unwrap();
        let inside = |program: &str, arguments: &[&str]| {
            let mut command = Command::new("unshare");
            command.args(["--pid", "--fork", "--mount-proc", program]);
            command.args(arguments).env(FOLDER, &folder).output()
        };
        if !inside("true", &[]).is_ok_and(|done| done.status.success()) {
            eprintln!(
                "skipped: only root may have processes of its own, by `unshare`, and not everywhere"
            );
            return;
        }
        let test = "cache::readers::tests::nobody_is_said_to_be_in_a_folder_of_others";
        let program = std::env::current_exe().unwrap();
        let done = inside(program.to_str().unwrap(), &["--exact", test, "--ignored"]).unwrap();
        let told = String::from_utf8_lossy(&done.stdout);
        assert!(told.contains("1 passed"), "{told}");
    }
}
