//! Which repository a path names, and what of it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use packhouse_wire::Service;

/// A path, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) dir: PathBuf,
    pub(super) target: Target,
}

/// What is wanted of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Its refs, by the query for a program or for clients without one.
    InfoRefs,
    /// A conversation with a program.
    Service(Service),
    /// A file of the dumb protocol, as named from the repository's folder.
    File(RepositoryFile),
}

/// A file that clients of the dumb protocol read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RepositoryFile {
    pub(super) path: PathBuf,
    pub(super) kind: FileKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    /// `HEAD`, with the branch as clients of the namespace call it.
    Head,
    Text,
    /// `objects/info/packs`, which is made up when it is asked for.
    PackList,
    LooseObject,
    Pack,
    Index,
}

const TEXTS: [&str; 2] = ["objects/info/alternates", "objects/info/http-alternates"];

impl Route {
    pub(super) fn parse(path: &Path) -> Option<Route> {
        let bytes = path.as_os_str().as_bytes();
        let route = |tail: &str, target| {
            let dir = bytes.strip_suffix(tail.as_bytes())?.strip_suffix(b"/")?;
            Some(Route {
                dir: OsStr::from_bytes(dir).into(),
                target,
            })
        };
        let file = |tail: &str, kind| {
            let path = tail.into();
            route(tail, Target::File(RepositoryFile { path, kind }))
        };
        for service in [Service::UploadPack, Service::ReceivePack] {
            if let Some(found) = route(service.as_str(), Target::Service(service)) {
                return Some(found);
            }
        }
        if let Some(found) = route("info/refs", Target::InfoRefs) {
            return Some(found);
        }
        if let Some(found) = TEXTS
            .into_iter()
            .find_map(|tail| file(tail, FileKind::Text))
        {
            return Some(found);
        }
        for (tail, kind) in [
            ("HEAD", FileKind::Head),
            ("objects/info/packs", FileKind::PackList),
        ] {
            if let Some(found) = file(tail, kind) {
                return Some(found);
            }
        }
        let at = bytes
            .windows(9)
            .rposition(|window| window == b"/objects/")?;
        let tail = std::str::from_utf8(&bytes[at + 1..]).ok()?;
        file(tail, object_file(tail.strip_prefix("objects/")?)?)
    }
}

fn object_file(name: &str) -> Option<FileKind> {
    let is_hex = |text: &str, lengths: [usize; 2]| {
        lengths.contains(&text.len())
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    if let Some(pack) = name.strip_prefix("pack/pack-") {
        let (id, kind) = pack.split_once('.')?;
        let kind = match kind {
            "pack" => FileKind::Pack,
            "idx" => FileKind::Index,
            _ => return None,
        };
        return is_hex(id, [40, 64]).then_some(kind);
    }
    let (folder, rest) = name.split_once('/')?;
    (is_hex(folder, [2, 2]) && is_hex(rest, [38, 62])).then_some(FileKind::LooseObject)
}

/// Whether a path does not begin with a slash, or has parts that name the folder they are in, the one above, or nothing:
/// what a web server would have to take away.
pub(super) fn is_aliased(path: &[u8]) -> bool {
    let Some(path) = path.strip_prefix(b"/") else {
        return !path.starts_with(b"~");
    };
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let last = parts.len() - 1;
    parts.iter().enumerate().any(|(at, part)| match *part {
        b"" => at < last,
        part => part == b"." || part == b"..",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart_from_their_end() {
        let target = |path: &str| {
            let route = Route::parse(Path::new(path))?;
            Some((route.dir.display().to_string(), route.target))
        };
        let dir = "/x/a.git".to_owned();
        assert_eq!(
            target("/x/a.git/info/refs"),
            Some((dir.clone(), Target::InfoRefs))
        );
        let service = Target::Service(Service::ReceivePack);
        assert_eq!(
            target("/x/a.git/git-receive-pack"),
            Some((dir.clone(), service))
        );
        let kind = |path: &str| match target(path)?.1 {
            Target::File(file) => Some(file.kind),
            _ => None,
        };
        let (short, long) = ("a".repeat(40), "b".repeat(64));
        assert_eq!(kind("/x/HEAD"), Some(FileKind::Head));
        assert_eq!(kind("/x/objects/info/packs"), Some(FileKind::PackList));
        assert_eq!(
            kind(&format!("/x/objects/pack/pack-{short}.pack")),
            Some(FileKind::Pack)
        );
        assert_eq!(
            kind(&format!("/x/objects/pack/pack-{long}.idx")),
            Some(FileKind::Index)
        );
        let loose = format!("/x/objects/{}/{}", &short[..2], &short[2..]);
        assert_eq!(kind(&loose), Some(FileKind::LooseObject));
        for none in [
            "/x/config",
            "/x/objects/info/commit-graph",
            "/x/objects/pack/pack-1.pack",
            "/x/objects/../../x",
            "HEAD",
            "/x/git-upload-archive",
        ] {
            assert_eq!(target(none), None, "{none}");
        }
    }

    #[test]
    fn aliases_are_known() {
        for good in ["/a", "/a/b/", "/a.b/..c", "/", "~a"] {
            assert!(!is_aliased(good.as_bytes()), "{good}");
        }
        for bad in ["a", "", "/a//b", "/./a", "/a/..", "/../a", "/a/."] {
            assert!(is_aliased(bad.as_bytes()), "{bad}");
        }
    }
}
