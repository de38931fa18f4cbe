//! Which files a diff shows, and which it only names.

use bstr::BStr;

/// A file beyond this size is only named.
pub(super) const MAX_SHOWN_BYTES: u64 = 500 << 10;

/// A file in which more lines changed is only named.
pub(super) const MAX_CHANGED_LINES: usize = 2000;

/// A file beyond this size is only named even if it was asked for.
pub(super) const MAX_COMPARED_BYTES: u64 = 16 << 20;

/// Files that programs write, of no use to people who read what has changed.
const LOCK_FILES: [&str; 27] = [
    ".terraform.lock.hcl",
    "Cargo.lock",
    "Cartfile.resolved",
    "Gemfile.lock",
    "Package.resolved",
    "Pipfile.lock",
    "Podfile.lock",
    "bun.lock",
    "bun.lockb",
    "composer.lock",
    "conan.lock",
    "deno.lock",
    "flake.lock",
    "go.sum",
    "go.work.sum",
    "gradle.lockfile",
    "mix.lock",
    "npm-shrinkwrap.json",
    "package-lock.json",
    "packages.lock.json",
    "paket.lock",
    "pdm.lock",
    "pnpm-lock.yaml",
    "poetry.lock",
    "pubspec.lock",
    "uv.lock",
    "yarn.lock",
];

/// Whether a path names a lock file of a package manager.
pub(super) fn is_lock_file(path: &BStr) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    LOCK_FILES.iter().any(|lock| lock.as_bytes() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_files_are_known_in_every_folder() {
        assert!(is_lock_file("web/yarn.lock".into()));
        assert!(is_lock_file("go.sum".into()));
        assert!(!is_lock_file("yarn.lock/x".into()));
        assert!(!is_lock_file("my-yarn.lock".into()));
    }
}
