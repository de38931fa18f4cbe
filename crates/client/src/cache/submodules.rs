//! Submodules of a working tree: each has a mirror of its own, and its `.git` below that of the tree it is in, as Git puts it.
//!
//! What always holds: a repository that comes from elsewhere never has a directory of this machine as a submodule, which
//! would let its author read what he may not. And what is meant for every server (`http.extraheader`) goes to the server
//! that was asked for alone, not to those that authors name.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use bstr::{BString, ByteSlice};
use packhouse_object::{ConfigItem, ConfigReading, EntryMode, ObjectId, read_config};

use super::git_dir::{make_folder, quoted, write};
use super::index_file::IndexEntry;
use super::inner::Inner;
use super::mirror::{self, Wanted};
use super::moment::Moment;
use super::seal::link_to;
use super::source::{Source, Upstream, hashed, shown};
use super::tree::{BuiltTree, Files, TreePlace, TreeSpec, build_at, local_path};
use super::{CacheError, CallOptions};
use crate::remote::RemoteUrl;

/// As many submodules may be inside one another.
const DEPTH_MAX: usize = 16;
/// A larger `.gitmodules` is not read.
const MODULES_BYTES: u64 = 4 << 20;

/// A section of `.gitmodules`.
#[derive(Debug, Default)]
struct Module {
    name: String,
    path: BString,
    url: String,
    /// Where its `.git` is below `modules`.
    folder: PathBuf,
}

/// Makes the submodules of a tree that was just made.
pub(super) fn add(
    inner: &Inner,
    spec: &TreeSpec<'_>,
    place: &TreePlace<'_>,
    entries: &[IndexEntry],
    built: &mut BuiltTree,
    call: &CallOptions<'_>,
) -> Result<(), CacheError> {
    let links: Vec<&IndexEntry> = entries
        .iter()
        .filter(|entry| entry.mode == EntryMode::Submodule)
        .collect();
    if links.is_empty() {
        return Ok(());
    }
    if !inner.config.submodules {
        built
            .notes
            .push(format!("{} submodules were left out", links.len()));
        return Ok(());
    }
    let modules = modules_of(place);
    let mut config = String::new();
    for link in links {
        call.check()?;
        let Some(module) = modules.iter().find(|module| module.path == link.path) else {
            let note = format!("'{}' is a submodule without a URL, and empty", link.path);
            built.notes.push(note);
            continue;
        };
        let made = source_of(inner, spec, module).and_then(|source| {
            add_one(inner, place, link, module, &source, built, call)?;
            Ok(source)
        });
        let source = made.map_err(|error| told_of(error, place, module))?;
        config.push_str(&format!(
            "[submodule {}]\n\tactive = true\n\turl = {}\n",
            quoted(&module.name),
            quoted(&source.shown)
        ));
    }
    let path = place.git.join("config");
    let mut text = fs::read_to_string(&path).map_err(CacheError::file(&path))?;
    text.push_str(&config);
    write(&path, text.as_bytes())
}

fn add_one(
    inner: &Inner,
    place: &TreePlace<'_>,
    link: &IndexEntry,
    module: &Module,
    source: &Source,
    built: &mut BuiltTree,
    call: &CallOptions<'_>,
) -> Result<(), CacheError> {
    let refuse = |reason: &str| CacheError::InvalidSource {
        source_url: source.shown.clone(),
        reason: reason.to_owned(),
    };
    if place.depth == DEPTH_MAX {
        return Err(refuse("too many submodules are inside one another"));
    }
    place.budget.count_module()?;
    let upstream = source
        .upstream()
        .ok_or_else(|| refuse("it is no repository"))?;
    let upstream = &Upstream {
        is_foreign: !upstream.url.is_same_server(place.asked_for),
        ..upstream.clone()
    };
    let using = inner.using(&upstream.key, call)?;
    fetch_commit(inner, upstream, &link.id, call)
        .inspect_err(|error| place.damaged.note(error, upstream))?
        .ok_or_else(|| refuse(&format!("its remote does not have {}", link.id)))?;
    let inside = TreePlace {
        top: place.top,
        asked_for: place.asked_for,
        damaged: place.damaged,
        budget: place.budget,
        before: place
            .before
            .as_ref()
            .map(|git| git.join("modules").join(&module.folder)),
        older: place
            .older
            .iter()
            .map(|older| older.inside(link.path.as_bstr(), &module.folder))
            .collect(),
        tree: local_path(&place.tree, link.path.as_bstr()),
        git: place.git.join("modules").join(&module.folder),
        depth: place.depth + 1,
    };
    make_folder(&inside.git)?;
    let token = hashed(inside.git.as_os_str().as_encoded_bytes());
    let spec = TreeSpec {
        upstream,
        url: &source.shown,
        commit: Some(link.id),
        branch: None,
        default_branch: None,
        token: &token,
        before: None,
        older: &[],
        files: Files::OfCommit,
    };
    let made = build_at(inner, &spec, &inside, call)?;
    let git = link_to(place.top, &inside.tree, &inside.git);
    write(&inside.tree.join(".git"), git.as_bytes())?;
    built.bytes += made.bytes;
    built.notes.extend(made.notes);
    built.pointers_left += made.pointers_left;
    built.sealed.extend(made.sealed);
    built.shares_blocks |= made.shares_blocks;
    built.using.push(using);
    built.using.extend(made.using);
    for key in made.mirrors {
        if !built.mirrors.contains(&key) {
            built.mirrors.push(key);
        }
    }
    Ok(())
}

/// Says which submodule it is that is not to be had, unless that is known: one may be inside of another.
fn told_of(error: CacheError, place: &TreePlace<'_>, module: &Module) -> CacheError {
    match error {
        CacheError::AuthenticationFailed { .. }
        | CacheError::RepositoryNotFound { .. }
        | CacheError::InvalidSource { .. }
        | CacheError::Remote(_) => {
            let path = local_path(&place.tree, module.path.as_bstr());
            CacheError::Submodule {
                name: module.name.clone(),
                path: path.strip_prefix(place.top).unwrap_or(&path).to_owned(),
                source: Arc::new(error),
            }
        }
        error => error,
    }
}

/// Sees to it that a commit is in the mirror of its repository. Nobody is asked if it is there.
fn fetch_commit(
    inner: &Inner,
    upstream: &Upstream,
    id: &ObjectId,
    call: &CallOptions<'_>,
) -> Result<Option<ObjectId>, CacheError> {
    if let Some(found) = mirror::commit_here(inner, upstream, id, call)? {
        return Ok(Some(found));
    }
    mirror::update(inner, upstream, &Moment::now(), call)?;
    match mirror::commit_here(inner, upstream, id, call)? {
        Some(found) => Ok(Some(found)),
        None => mirror::obtain(inner, upstream, &Wanted::Commit(id), call),
    }
}

/// The sections of `.gitmodules` that have a path and a URL.
fn modules_of(place: &TreePlace<'_>) -> Vec<Module> {
    let path = place.tree.join(".gitmodules");
    let is_small = fs::symlink_metadata(&path)
        .is_ok_and(|found| found.is_file() && found.len() <= MODULES_BYTES);
    let text = match is_small {
        true => fs::read(&path).unwrap_or_default(),
        false => Vec::new(),
    };
    let mut modules: Vec<Module> = Vec::new();
    let mut current = None;
    // What stands before a bad line counts, as in Git.
    let _ = read_config(&text, ConfigReading::File, &mut |_, item| {
        match item {
            ConfigItem::Section(name) => {
                current = name
                    .strip_prefix(b"submodule.")
                    .and_then(|name| name.to_str().ok())
                    .map(|name| position(&mut modules, name));
            }
            ConfigItem::Setting { key, value } => {
                if let (Some(at), Some(value)) = (current, value) {
                    match key {
                        b"path" => modules[at].path = value.into(),
                        b"url" => modules[at].url = value.to_str_lossy().into_owned(),
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    });
    modules.retain(|module| !module.url.is_empty() && !module.path.is_empty());
    let names: Vec<&str> = modules.iter().map(|module| module.name.as_str()).collect();
    let folders: Vec<PathBuf> = names.iter().map(|name| folder_of(name, &names)).collect();
    for (module, folder) in modules.iter_mut().zip(folders) {
        module.folder = folder;
    }
    modules
}

fn position(modules: &mut Vec<Module>, name: &str) -> usize {
    let found = modules.iter().position(|module| module.name == name);
    found.unwrap_or_else(|| {
        modules.push(Module {
            name: name.to_owned(),
            ..Module::default()
        });
        modules.len() - 1
    })
}

/// What a submodule is a copy of.
fn source_of(inner: &Inner, spec: &TreeSpec<'_>, module: &Module) -> Result<Source, CacheError> {
    let url = resolved(spec.url, &module.url);
    let is_from_here = spec.upstream.url.local_path().is_some();
    let is_local = |url: &str| {
        let has_host = url.contains("://") && !url.to_ascii_lowercase().starts_with("file:");
        let is_scp = RemoteUrl::parse(url).is_err() && url.contains(':');
        !has_host && !is_scp
    };
    let refused = || CacheError::InvalidSource {
        source_url: shown(&url),
        reason: "a submodule of a repository from elsewhere is a directory of this machine"
            .to_owned(),
    };
    // Before anybody looks: what is at the place is nothing that an author may learn.
    if !is_from_here && is_local(&url) {
        return Err(refused());
    }
    let source = Source::parse(&url, &inner.root)?;
    // `host:path` is a directory where there is one of that name.
    let is_remote = source
        .upstream()
        .is_some_and(|upstream| upstream.url.local_path().is_none());
    match is_from_here || is_remote {
        true => Ok(source),
        false => Err(refused()),
    }
}

/// A URL that may begin at that of the repository it is in: `../other.git`.
fn resolved(base: &str, url: &str) -> String {
    if !url.starts_with("./") && !url.starts_with("../") {
        return url.to_owned();
    }
    let (mut base, mut rest) = (base.trim_end_matches('/').to_owned(), url);
    loop {
        if let Some(tail) = rest.strip_prefix("./") {
            rest = tail;
        } else if let Some(tail) = rest.strip_prefix("../") {
            rest = tail;
            let from = base.find("://").map_or(0, |at| at + 3);
            match base[from..].rfind(['/', ':']) {
                Some(at) if base.as_bytes()[from + at] == b':' => base.truncate(from + at + 1),
                Some(at) => base.truncate(from + at),
                // There is nothing above a host.
                None => {}
            }
        } else {
            break;
        }
    }
    match base.ends_with(':') {
        true => format!("{base}{rest}"),
        false => format!("{base}/{rest}"),
    }
}

/// Where a submodule's `.git` is below `modules`: as Git has it, if the name is nothing but that and in no other module's.
fn folder_of(name: &str, all: &[&str]) -> PathBuf {
    let is_plain = name.split('/').all(|part| {
        !part.is_empty() && !matches!(part, "." | "..") && !part.contains(char::is_control)
    });
    // Where case makes no difference, it makes none to what is inside of what either.
    let name_below = |outer: &str| {
        let head = name.get(..outer.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(outer))
            && name[outer.len()..].starts_with('/')
    };
    // As hashed names are.
    let is_taken = name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_inside = all.iter().any(|outer| name_below(outer));
    match is_plain && !is_inside && !is_taken && !name.starts_with('-') {
        true => PathBuf::from(name),
        false => PathBuf::from(hashed(name.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_urls_begin_where_the_repository_is() {
        for (base, url, expected) in [
            (
                "https://h/org/repo.git",
                "../lib.git",
                "https://h/org/lib.git",
            ),
            ("https://h/org/repo.git/", "../../x/lib", "https://h/x/lib"),
            ("https://h/repo", "./lib", "https://h/repo/lib"),
            ("https://h", "../../../lib", "https://h/lib"),
            ("git@h:org/repo", "../lib", "git@h:org/lib"),
            ("git@h:repo", "../lib", "git@h:lib"),
            ("/srv/repo.git", "../lib.git", "/srv/lib.git"),
            ("https://h/a", "https://other/lib", "https://other/lib"),
        ] {
            assert_eq!(resolved(base, url), expected, "{base} {url}");
        }
    }

    #[test]
    fn names_stay_below_modules() {
        assert_eq!(folder_of("a/b", &[]), PathBuf::from("a/b"));
        for name in ["../x", "a/../../x", "/etc", "a//b", "", "-x"] {
            let folder = folder_of(name, &[]);
            assert_eq!(folder.components().count(), 1, "{name}");
            assert_eq!(folder.as_os_str().len(), 40, "{name}");
        }
    }

    #[test]
    fn no_git_directory_is_inside_another() {
        let all = ["x", "x/refs/heads", "X/objects", "xy/z", "a/b"];
        let folder = |name: &str| folder_of(name, &all);
        for name in ["x", "xy/z", "a/b"] {
            assert_eq!(folder(name), PathBuf::from(name));
        }
        for name in ["x/refs/heads", "X/objects"] {
            assert_eq!(folder(name), PathBuf::from(hashed(name.as_bytes())));
        }
    }
}
