//! Who may read and write what is made in a repository's folder: what Git's `core.sharedRepository` says.
//!
//! This is the one place that decides about modes. What is made for a moment under another name gets its permissions
//! before it gets its own name, so that nobody finds a file that is not for all it is meant for.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Git's mode for files that never change, before the umask.
const READ_ONLY: u32 = 0o444;

/// New files in a folder belong to the folder's group.
const SET_GROUP_ID: u32 = 0o2000;

/// The setting `core.sharedRepository`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// The umask of whoever writes decides.
    #[default]
    Umask,
    /// What the umask leaves, and these permissions.
    AtLeast(u32),
    /// These permissions, whatever the umask is.
    Exactly(u32),
}

impl Sharing {
    const GROUP: Sharing = Sharing::AtLeast(0o660);
    const EVERYBODY: Sharing = Sharing::AtLeast(0o664);

    /// What the setting says, if it is set.
    pub(super) fn of(setting: Option<&str>) -> Result<Sharing, String> {
        setting.map_or(Ok(Sharing::Umask), Sharing::parse)
    }

    /// Reads the setting as Git does: a word, an octal mode, or a truth value.
    pub(super) fn parse(text: &str) -> Result<Sharing, String> {
        match text {
            "umask" => return Ok(Sharing::Umask),
            "group" => return Ok(Sharing::GROUP),
            "all" | "world" | "everybody" => return Ok(Sharing::EVERYBODY),
            _ => {}
        }
        let is_octal = text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        match (is_octal, u32::from_str_radix(text, 8)) {
            (true, Ok(0)) => Ok(Sharing::Umask),
            (true, Ok(1)) => Ok(Sharing::GROUP),
            (true, Ok(2)) => Ok(Sharing::EVERYBODY),
            // Others never get to write, and folders can be entered by whoever may read them.
            (true, Ok(mode)) if mode & 0o600 == 0o600 => Ok(Sharing::Exactly(mode & 0o666)),
            (true, Ok(_)) => Err(format!(
                "core.sharedRepository is {text}, which takes reading or writing from the owner of files: use group, all, \
                 umask or a mode such as 0640"
            )),
            _ => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => Ok(Sharing::GROUP),
                "" | "false" | "no" | "off" => Ok(Sharing::Umask),
                _ => Err(format!(
                    "core.sharedRepository is `{text}`: use group, all, umask or a mode such as 0640"
                )),
            },
        }
    }

    /// Makes a file for writing that must not be there.
    pub(crate) fn create_new(self, path: &Path) -> io::Result<File> {
        self.made(path, OpenOptions::new().write(true).create_new(true))
    }

    /// As [`Sharing::create_new`], for a file that is not written to again once it is closed. It can be read too.
    pub(super) fn create_read_only(self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        self.made(path, options.mode(READ_ONLY))
    }

    fn made(self, path: &Path, options: &OpenOptions) -> io::Result<File> {
        let file = options.open(path)?;
        match self.settle(&file) {
            Ok(()) => Ok(file),
            Err(error) => {
                let _ = fs::remove_file(path);
                Err(error)
            }
        }
    }

    /// Makes a folder that must not be there.
    pub(crate) fn create_folder(self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)?;
        match self.settle_at(path) {
            // `git gc` removes folders that are empty.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            settled => settled,
        }
    }

    /// Gives a file that this process made, with the umask's permissions, those that it is to have.
    pub(super) fn settle(self, file: &File) -> io::Result<()> {
        if self == Sharing::Umask {
            return Ok(());
        }
        let found = file.metadata()?;
        match self.mode_after(found.mode()) {
            Some(mode) => file.set_permissions(Permissions::from_mode(mode)),
            None => Ok(()),
        }
    }

    fn settle_at(self, path: &Path) -> io::Result<()> {
        if self == Sharing::Umask {
            return Ok(());
        }
        match self.mode_after(fs::symlink_metadata(path)?.mode()) {
            Some(mode) => fs::set_permissions(path, Permissions::from_mode(mode)),
            None => Ok(()),
        }
    }

    /// As [`Sharing::settle`], for a file that may be somebody else's, who alone can change it.
    pub(super) fn settle_if_own(self, file: &File) -> io::Result<()> {
        match self.settle(file) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            settled => settled,
        }
    }

    /// Gives complete files, which so far are for their owner only, the permissions of such as never change. Their places will
    /// be in `folder`.
    pub(super) fn publish<'a>(
        self,
        files: impl IntoIterator<Item = &'a Path>,
        folder: &Path,
    ) -> io::Result<()> {
        // The umask can only be seen in what it does, together with what the folder says of new files; and both may be others
        // than the last time.
        let sample = tempfile::Builder::new()
            .prefix("tmp_mode_")
            .permissions(Permissions::from_mode(READ_ONLY))
            .tempfile_in(folder)?;
        let mode = sample.as_file().metadata()?.mode();
        let mode = self.mode_after(mode).unwrap_or(mode);
        let permissions = Permissions::from_mode(mode & 0o777);
        files
            .into_iter()
            .try_for_each(|file| fs::set_permissions(file, permissions.clone()))
    }

    /// The permissions of what has `mode` now (with the bits that say what it is); `None` if they are right.
    fn mode_after(self, mode: u32) -> Option<u32> {
        let is_folder = mode & 0o170_000 == 0o040_000;
        let old = mode & 0o7777;
        let mut bits = match self {
            Sharing::Umask => return None,
            Sharing::AtLeast(bits) | Sharing::Exactly(bits) => bits,
        };
        if old & 0o200 == 0 {
            bits &= !0o222;
        }
        if old & 0o100 != 0 {
            bits |= (bits & 0o444) >> 2;
        }
        let mut new = match self {
            Sharing::Exactly(_) => old & !0o777 | bits,
            _ => old | bits,
        };
        if is_folder {
            new |= (new & 0o444) >> 2;
            if new & 0o060 != 0 {
                new |= SET_GROUP_ID;
            }
        }
        (new != old).then_some(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_is_read_as_git_reads_it() {
        for (text, expected) in [
            ("umask", Sharing::Umask),
            ("0", Sharing::Umask),
            ("false", Sharing::Umask),
            ("", Sharing::Umask),
            ("group", Sharing::AtLeast(0o660)),
            ("true", Sharing::AtLeast(0o660)),
            ("Yes", Sharing::AtLeast(0o660)),
            ("1", Sharing::AtLeast(0o660)),
            ("all", Sharing::AtLeast(0o664)),
            ("world", Sharing::AtLeast(0o664)),
            ("everybody", Sharing::AtLeast(0o664)),
            ("2", Sharing::AtLeast(0o664)),
            ("0640", Sharing::Exactly(0o640)),
            ("660", Sharing::Exactly(0o660)),
            ("0777", Sharing::Exactly(0o666)),
            ("0600", Sharing::Exactly(0o600)),
        ] {
            assert_eq!(Sharing::parse(text), Ok(expected), "{text}");
        }
        for text in ["0440", "0060", "3", "Group", "rw-rw----", "0680", "-1"] {
            let reason = Sharing::parse(text).unwrap_err();
            assert!(reason.contains(text) && reason.contains("0640"), "{reason}");
        }
    }

    #[test]
    fn what_may_not_be_written_stays_so_and_folders_can_be_entered() {
        let (file, folder) = (0o100_000, 0o040_000);
        for (sharing, before, after) in [
            (Sharing::Umask, file | 0o600, None),
            (Sharing::GROUP, file | 0o600, Some(0o660)),
            (Sharing::GROUP, file | 0o644, Some(0o664)),
            (Sharing::GROUP, file | 0o664, None),
            (Sharing::GROUP, file | 0o400, Some(0o440)),
            (Sharing::GROUP, file | 0o444, None),
            (Sharing::GROUP, folder | 0o755, Some(0o2775)),
            (Sharing::GROUP, folder | 0o700, Some(0o2770)),
            (Sharing::EVERYBODY, folder | 0o700, Some(0o2775)),
            (Sharing::EVERYBODY, file | 0o400, Some(0o444)),
            (Sharing::Exactly(0o640), file | 0o666, Some(0o640)),
            (Sharing::Exactly(0o640), file | 0o444, Some(0o440)),
            (Sharing::Exactly(0o640), folder | 0o755, Some(0o2750)),
            (Sharing::Exactly(0o600), folder | 0o755, Some(0o700)),
            (Sharing::Exactly(0o600), folder | 0o700, None),
        ] {
            assert_eq!(sharing.mode_after(before), after, "{sharing:?} {before:o}");
        }
    }
}
