//! Where the parts of a repository folder are, and whether it is stored in a way that is known here.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bstr::ByteSlice;
use packhouse_object::RefName;

use super::alternates::object_folders;
use super::config::Config;
use super::durable::{sync_folder, write_new};
use super::error::{DirectoryError, OpenError};
use super::permissions::Sharing;

/// The most bytes that are read of a config file.
const CONFIG_BYTES_MAX: u64 = 4 << 20;

/// Extensions that change nothing about what is read and written here.
const HARMLESS_EXTENSIONS: [&str; 4] = [
    "noop",
    "preciousobjects",
    "worktreeconfig",
    "relativeworktrees",
];

/// A repository folder that can be read.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) git_dir: PathBuf,
    /// The folder in it of the linked working copy (`git worktree add`) by which it was found: this has a `HEAD`, an index and some
    /// refs of its own.
    pub(super) linked: Option<PathBuf>,
    /// Which reflogs are made where none is.
    pub(super) log_refs: LogRefs,
    /// Whether history was cut off by a shallow clone.
    pub(super) shallow: bool,
    /// Whether it belongs to a working copy.
    pub(super) of_working_copy: bool,
    /// Whom it is for, or what is wrong with the setting that says so: then it can be read, as Git has it.
    pub(super) sharing: Result<Sharing, String>,
    /// Which summaries of its objects are read.
    pub(super) summaries: Summaries,
    /// Whether new packs get reverse indexes: the setting `pack.writeReverseIndex`.
    pub(super) reverse_indexes: bool,
    /// Where its objects are, if the environment says so.
    pub(super) places: ObjectPlaces,
    /// How long locks are waited for, where settings say so.
    pub(super) lock_timeouts: LockTimeouts,
}

/// Where a repository's objects are by the environment of a call: `GIT_OBJECT_DIRECTORY` and `GIT_ALTERNATE_OBJECT_DIRECTORIES`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectPlaces {
    /// The folder of its own, in the place of `objects`.
    pub own: Option<PathBuf>,
    /// Folders that it borrows from, before those that its own one names.
    pub lenders: Vec<PathBuf>,
}

/// How long the locks of others are waited for where settings say so: `core.filesRefLockTimeout` and `core.packedRefsTimeout`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockTimeouts {
    /// That of a ref.
    pub refs: Option<Duration>,
    /// That of `packed-refs`.
    pub packed_refs: Option<Duration>,
}

/// Which of Git's summaries of objects a repository wants to be read; its settings hold for those it borrows from too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Summaries {
    /// `core.commitGraph`.
    pub(super) commit_graphs: bool,
    /// `commitGraph.readChangedPaths`, and `commitGraph.changedPathsVersion`, which took its place.
    pub(super) path_filters: bool,
    /// `core.multiPackIndex`.
    pub(super) multi_packs: bool,
}

impl Summaries {
    fn of(config: &Config) -> Summaries {
        let is_on = |section, key| config.flag(section, key).unwrap_or(true);
        let filters_version = config.text("commitgraph", "changedpathsversion");
        Summaries {
            commit_graphs: is_on("core", "commitgraph"),
            path_filters: match filters_version {
                Some(version) => version != "0",
                None => is_on("commitgraph", "readchangedpaths"),
            },
            multi_packs: is_on("core", "multipackindex"),
        }
    }
}

/// The folder that a repository keeps its own objects in, and whom they are for.
#[derive(Clone, Debug)]
pub(crate) struct ObjectsDir {
    pub(crate) path: PathBuf,
    pub(crate) sharing: Sharing,
    /// Whether new packs get reverse indexes.
    pub(crate) reverse_indexes: bool,
}

/// The setting `core.logAllRefUpdates`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogRefs {
    /// Not set in a bare repository, or false: of no ref. Logs that are there are kept up.
    Existing,
    /// True: branches, remote branches, notes and `HEAD`.
    Branches,
    /// Every ref.
    Always,
}

impl LogRefs {
    /// What the setting says: its text, and its truth where that is no more than a truth.
    pub fn of(text: Option<&str>, truth: Option<bool>, of_working_copy: bool) -> LogRefs {
        match (text, truth) {
            (Some(text), _) if text.eq_ignore_ascii_case("always") => LogRefs::Always,
            (_, Some(true)) => LogRefs::Branches,
            (None, None) if of_working_copy => LogRefs::Branches,
            _ => LogRefs::Existing,
        }
    }
}

/// How a repository is read and written by settings that may stand in other files than its own: those of the system and the user,
/// those that these include, and what a program was called with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedSettings {
    /// Whether commit graphs are read: `core.commitGraph`.
    pub commit_graphs: bool,
    /// Whether their changed-path filters are: `commitGraph.readChangedPaths`, or `commitGraph.changedPathsVersion`.
    pub path_filters: bool,
    /// Whether multi-pack indexes are read: `core.multiPackIndex`.
    pub multi_packs: bool,
    /// Whether new packs get reverse indexes: `pack.writeReverseIndex`.
    pub reverse_indexes: bool,
    /// Which reflogs are made where none is: `core.logAllRefUpdates`.
    pub log_refs: LogRefs,
    /// Whom what is made is for: `core.sharedRepository`, if it is set.
    pub sharing: Option<String>,
}

/// Which repository folders are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accept {
    Bare,
    /// Those of working copies too. Only good for reading.
    WorkingCopies,
    /// Those of linked ones as well, which share a repository.
    Linked,
}

impl Layout {
    /// Looks at the folder `path`, which is a repository folder or, if accepted, a working copy that has one.
    pub(super) fn find(path: &Path, accept: Accept) -> Result<Layout, OpenError> {
        let path = fs::canonicalize(path).map_err(OpenError::io("open", path))?;
        if accept == Accept::Linked {
            return match shared_folder(&path)? {
                Some(shared) => {
                    let layout = Layout::find(&shared, Accept::WorkingCopies)?;
                    Ok(Layout {
                        linked: Some(path),
                        ..layout
                    })
                }
                None => Layout::find(&path, Accept::WorkingCopies),
            };
        }
        let looks =
            |path: &Path| looks_like_git_dir(path).map_err(OpenError::io("look into", path));
        let git_dir = match (looks(&path)?, path.join(".git")) {
            (true, _) => path,
            (false, inner) if inner.exists() && accept == Accept::Bare => {
                return Err(OpenError::WorkingCopy { path });
            }
            (false, inner) if inner.exists() => follow_git_file(&inner)?,
            _ => {
                let reason = match path.is_dir() {
                    true => "it has no HEAD, objects and refs",
                    false => "it is no folder",
                };
                return Err(OpenError::NoRepository { path, reason });
            }
        };
        if !looks(&git_dir)? {
            return Err(OpenError::NoRepository {
                path: git_dir,
                reason: "it has no HEAD, objects and refs",
            });
        }
        let config = read_config(&git_dir)?;
        let of_working_copy = is_of_working_copy(&git_dir, &config);
        if accept == Accept::Bare && of_working_copy {
            return Err(OpenError::WorkingCopy { path: git_dir });
        }
        check_format(&git_dir, &config)?;
        let log_refs = LogRefs::of(
            config.text("core", "logallrefupdates").as_deref(),
            config.flag("core", "logallrefupdates"),
            of_working_copy,
        );
        let settings = config.section("core");
        let shared = settings
            .filter(|(key, _)| *key == "sharedrepository")
            .last();
        let shallow = git_dir
            .join("shallow")
            .metadata()
            .is_ok_and(|file| file.len() > 0);
        Ok(Layout {
            git_dir,
            linked: None,
            log_refs,
            shallow,
            of_working_copy,
            sharing: Sharing::of(shared.as_ref().map(|(_, value)| value.as_str())),
            summaries: Summaries::of(&config),
            reverse_indexes: config.flag("pack", "writereverseindex") == Some(true),
            places: ObjectPlaces::default(),
            lock_timeouts: LockTimeouts::default(),
        })
    }

    /// The repository by itself, and not as one of its linked working copies has it.
    pub(super) fn unlinked(&self) -> Layout {
        Layout {
            linked: None,
            ..self.clone()
        }
    }

    /// The same folder, read and written as these settings say.
    pub(super) fn with_settings(&self, settings: ServedSettings) -> Layout {
        Layout {
            log_refs: settings.log_refs,
            summaries: Summaries {
                commit_graphs: settings.commit_graphs,
                path_filters: settings.path_filters,
                multi_packs: settings.multi_packs,
            },
            reverse_indexes: settings.reverse_indexes,
            sharing: Sharing::of(settings.sharing.as_deref()),
            ..self.clone()
        }
    }

    /// The same folder, whose locks are waited for so long.
    pub(super) fn with_lock_timeouts(&self, lock_timeouts: LockTimeouts) -> Layout {
        Layout {
            lock_timeouts,
            ..self.clone()
        }
    }

    /// The same folder, with its objects elsewhere.
    pub(super) fn with_objects(&self, places: ObjectPlaces) -> Layout {
        Layout {
            places,
            ..self.clone()
        }
    }

    pub(super) fn objects(&self) -> PathBuf {
        let own = self.places.own.clone();
        own.unwrap_or_else(|| self.git_dir.join("objects"))
    }

    /// The folder of its objects and all it borrows from, each once, nearest first.
    pub(super) fn object_folders(&self) -> Result<Vec<PathBuf>, DirectoryError> {
        object_folders(&self.objects(), &self.places.lenders)
    }

    /// Whether this process may not write there.
    pub(super) fn is_protected(&self) -> bool {
        rustix::fs::access(self.objects(), rustix::fs::Access::WRITE_OK).is_err()
    }

    /// Whom it is for; nothing is written where that is not known.
    pub(super) fn sharing(&self) -> Sharing {
        self.sharing.clone().unwrap_or_default()
    }

    pub(super) fn objects_dir(&self) -> ObjectsDir {
        ObjectsDir {
            path: self.objects(),
            sharing: self.sharing(),
            reverse_indexes: self.reverse_indexes,
        }
    }
}

/// Writes an empty bare repository into `path`, which must be missing or an empty folder, durably.
///
/// Reflogs are switched on, so that moves made with `git` are in them as well.
pub(crate) fn write_skeleton(path: &Path, head: &RefName) -> Result<(), OpenError> {
    match fs::read_dir(path) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(OpenError::NotEmpty {
                    path: path.to_owned(),
                });
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(path).map_err(OpenError::io("make", path))?;
        }
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            return Err(OpenError::NotEmpty {
                path: path.to_owned(),
            });
        }
        Err(error) => return Err(OpenError::io("open", path)(error)),
    }
    for folder in [
        "objects",
        "objects/info",
        "objects/pack",
        "refs",
        "refs/heads",
        "refs/tags",
    ] {
        let folder = path.join(folder);
        fs::create_dir(&folder).map_err(OpenError::io("make", &folder))?;
    }
    let config = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n\tlogAllRefUpdates = true\n";
    let head = [b"ref: ", head.as_bytes(), b"\n"].concat();
    // HEAD last: without it the folder is no repository, so a crash leaves none that is half made.
    for (name, content) in [("config", config.as_bytes()), ("HEAD", &head)] {
        let file = path.join(name);
        write_new(&file, content).map_err(OpenError::io("write", &file))?;
    }
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    for folder in [path.join("objects"), path.join("refs"), path.to_owned()]
        .iter()
        .map(PathBuf::as_path)
        .chain(parent)
    {
        sync_folder(folder).map_err(OpenError::io("sync", folder))?;
    }
    Ok(())
}

/// An error if it cannot be told, as of a folder that is for others.
fn looks_like_git_dir(path: &Path) -> io::Result<bool> {
    let is = |found: io::Result<bool>| match found {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(false)
        }
        found => found,
    };
    // HEAD may be a symbolic link to a branch that does not exist yet.
    let head = path.join("HEAD").symlink_metadata();
    Ok(is(head.map(|_| true))?
        && is(path.join("objects").metadata().map(|found| found.is_dir()))?
        && is(path.join("refs").try_exists())?)
}

/// The folder with the refs and objects, where `path` is the folder of a linked working copy.
fn shared_folder(path: &Path) -> Result<Option<PathBuf>, OpenError> {
    let file = path.join("commondir");
    match fs::read(&file) {
        Ok(text) => {
            let reason = "it does not say where the repository is";
            let shared = text.trim_end().to_path();
            let shared = shared.map_err(|_| OpenError::NoRepository { path: file, reason })?;
            Ok(Some(path.join(shared)))
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(OpenError::io("read", &file)(error)),
    }
}

/// `.git` of a working copy is the folder itself, or a file that says where it is.
fn follow_git_file(inner: &Path) -> Result<PathBuf, OpenError> {
    if inner.is_dir() {
        return Ok(inner.to_owned());
    }
    let text = fs::read(inner).map_err(OpenError::io("read", inner))?;
    let no_repository = |reason| OpenError::NoRepository {
        path: inner.to_owned(),
        reason,
    };
    let target = text
        .strip_prefix(b"gitdir: ")
        .ok_or_else(|| no_repository("it does not say where the repository is"))?;
    let target = target
        .trim_end()
        .to_path()
        .map_err(|_| no_repository("it does not say where the repository is"))?;
    let target = inner.parent().unwrap_or(inner).join(target);
    if target.join("commondir").exists() {
        return Err(OpenError::Unsupported {
            path: target,
            feature: "the refs and objects of another working copy".to_owned(),
        });
    }
    Ok(target)
}

fn read_config(git_dir: &Path) -> Result<Config, OpenError> {
    let path = git_dir.join("config");
    let too_large = path
        .metadata()
        .is_ok_and(|file| file.len() > CONFIG_BYTES_MAX);
    if too_large {
        return Err(OpenError::Config {
            path,
            line: 1,
            reason: "the file is too large",
        });
    }
    match fs::read(&path) {
        Ok(text) => Config::parse(&text).map_err(|bad| OpenError::Config {
            path,
            line: bad.line,
            reason: bad.reason,
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Config::default()),
        Err(error) => Err(OpenError::io("read", &path)(error)),
    }
}

/// What the config file of a repository says of `section.key`.
pub(super) fn config_value(
    git_dir: &Path,
    section: &str,
    key: &str,
) -> Result<Option<String>, OpenError> {
    Ok(read_config(git_dir)?.text(section, &key.to_ascii_lowercase()))
}

/// The truth of `section.key` in the config file of a repository; `None` where it says none, or cannot be read.
pub(super) fn config_flag(git_dir: &Path, section: &str, key: &str) -> Option<bool> {
    let config = read_config(git_dir).ok()?;
    config.flag(section, &key.to_ascii_lowercase())
}

/// As Git decides it: by `core.bare`, or by the folder's name where that is not set.
fn is_of_working_copy(git_dir: &Path, config: &Config) -> bool {
    let named_git = git_dir.file_name().is_some_and(|name| name == ".git");
    !config.flag("core", "bare").unwrap_or(!named_git)
        || config.text("core", "worktree").is_some()
        || git_dir.join("commondir").exists()
}

fn check_format(git_dir: &Path, config: &Config) -> Result<(), OpenError> {
    let unsupported = |feature: String| {
        Err(OpenError::Unsupported {
            path: git_dir.to_owned(),
            feature,
        })
    };
    let version = config
        .text("core", "repositoryformatversion")
        .unwrap_or_else(|| "0".to_owned());
    if !matches!(version.as_str(), "0" | "1") {
        return unsupported(format!("repository format version {version}"));
    }
    for (name, value) in config.section("extensions") {
        match (name, value.to_ascii_lowercase().as_str()) {
            ("objectformat", "sha1") | ("refstorage", "files") => {}
            ("objectformat", format) => return unsupported(format!("object format {format}")),
            ("refstorage", format) => return unsupported(format!("ref storage {format}")),
            ("partialclone", _) => {
                return unsupported("partial clone: objects may be missing".to_owned());
            }
            (name, _) if HARMLESS_EXTENSIONS.contains(&name) => {}
            // Before version 1 an extension that is not known means nothing.
            _ if version == "0" => {}
            (name, _) => return unsupported(format!("extension {name}")),
        }
    }
    if config.any_subsection("remote", "promisor")
        || config.any_subsection("remote", "partialclonefilter")
    {
        return unsupported("partial clone: objects may be missing".to_owned());
    }
    Ok(())
}
