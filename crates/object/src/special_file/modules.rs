//! `.gitmodules`: names, URLs, paths and ways to update that would harm who clones.
//!
//! A file that cannot be parsed is no error to `git fsck`; what stands before the bad line is judged.

use std::io::{self, Read};

use bstr::ByteSlice;

use super::{Judge, SpecialFileError, url};
use crate::config_text::{ConfigItem, ConfigReading, read_config};

/// The largest file that is judged, in bytes. Git gives up only where it streams blobs (512 MiB).
pub const MAX_MODULES_BYTES: u64 = 4 << 20;

pub(super) fn check(
    size: u64,
    content: &mut dyn Read,
    judge: &mut Judge<'_>,
) -> io::Result<Result<(), SpecialFileError>> {
    if size > MAX_MODULES_BYTES {
        return Ok(judge(SpecialFileError::ModulesLarge { size }));
    }
    let mut text = Vec::with_capacity(size as usize);
    content.take(MAX_MODULES_BYTES).read_to_end(&mut text)?;
    Ok(check_text(&text, judge))
}

fn check_text(text: &[u8], judge: &mut Judge<'_>) -> Result<(), SpecialFileError> {
    check_reading(text, ConfigReading::File, judge)?;
    // Which of the two a Git makes of it depends on its version and on the machine.
    match text.contains(&0xff) {
        true => check_reading(text, ConfigReading::SignedMemory, judge),
        false => Ok(()),
    }
}

fn check_reading(
    text: &[u8],
    reading: ConfigReading,
    judge: &mut Judge<'_>,
) -> Result<(), SpecialFileError> {
    let mut first = Ok(());
    let mut section = Section::Other;
    let read = read_config(text, reading, &mut |line, item| {
        match item {
            ConfigItem::Section(name) => section = Section::new(name),
            ConfigItem::Setting { key, value } => {
                first = section.check(line, key, value, judge);
                first.map_err(|_| "refused")?;
            }
        }
        Ok(())
    });
    // A line that is no config is not Git's concern here.
    let _ = read;
    first
}

/// What a section's settings are to Git.
enum Section {
    /// Nothing of a submodule.
    Other,
    Submodule {
        has_bad_name: bool,
        /// The key that each setting has: a NUL cuts off the one it is given.
        key: Option<Vec<u8>>,
    },
}

impl Section {
    fn new(name: &[u8]) -> Section {
        let Some(rest) = name.strip_prefix(b"submodule.") else {
            return Section::Other;
        };
        // Git's names of settings are strings that end at a NUL, and their parts lie between dots.
        let (submodule, key) = match rest.find_byte(0) {
            None => (rest, None),
            Some(end) => match rest[..end].rsplit_once_str(b".") {
                Some((submodule, key)) => (submodule, Some(key.to_owned())),
                None => return Section::Other,
            },
        };
        Section::Submodule {
            has_bad_name: is_bad_name(submodule),
            key,
        }
    }

    fn check(
        &self,
        line: usize,
        key: &[u8],
        value: Option<&[u8]>,
        judge: &mut Judge<'_>,
    ) -> Result<(), SpecialFileError> {
        let Section::Submodule {
            has_bad_name,
            key: own_key,
        } = self
        else {
            return Ok(());
        };
        if *has_bad_name {
            judge(SpecialFileError::ModulesName { line })?;
        }
        let Some(value) = value else {
            return Ok(());
        };
        let value = value.find_byte(0).map_or(value, |end| &value[..end]);
        match own_key.as_deref().unwrap_or(key) {
            b"url" if !url::is_allowed(value) => judge(SpecialFileError::ModulesUrl { line }),
            b"path" if value.starts_with(b"-") => judge(SpecialFileError::ModulesPath { line }),
            b"update" if value.starts_with(b"!") => judge(SpecialFileError::ModulesUpdate { line }),
            _ => Ok(()),
        }
    }
}

/// Git's `check_submodule_name`: not empty, and no part is `..`.
fn is_bad_name(name: &[u8]) -> bool {
    name.is_empty()
        || name
            .split(|byte| matches!(byte, b'/' | b'\\'))
            .any(|part| part == b"..")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_offence_is_told_with_its_line() {
        let judge = |text: &str| check_text(text.as_bytes(), &mut Err);
        let text = "[submodule \"x\"]\npath = a\nurl = -u./x\n";
        assert_eq!(judge(text), Err(SpecialFileError::ModulesUrl { line: 3 }));
        let text = "[submodule \"a/../b\"]\npath = a\nurl = -u\n";
        assert_eq!(judge(text), Err(SpecialFileError::ModulesName { line: 2 }));
        let text = "[submodule \"x\"]\npath = -a\n[]]";
        assert_eq!(judge(text), Err(SpecialFileError::ModulesPath { line: 2 }));
        let text = "[submodule \"x\"]\nupdate = !a\n";
        assert_eq!(
            judge(text),
            Err(SpecialFileError::ModulesUpdate { line: 2 })
        );
        assert_eq!(judge("[submodule \"..\"]\n[core]\nurl = -x"), Ok(()));
    }

    #[test]
    fn names_of_any_number_and_length_take_time_in_proportion() {
        let mut text = b"[submodule \"".to_vec();
        text.resize(MAX_MODULES_BYTES as usize / 2, b'/');
        text.extend_from_slice(b"\"]\n");
        while (text.len() as u64) < MAX_MODULES_BYTES {
            text.extend_from_slice(b"a\n");
        }
        let started = std::time::Instant::now();
        assert_eq!(check_text(&text, &mut Err), Ok(()));
        // Each of a million settings beside a name of two million bytes: days, if it were read anew.
        assert!(started.elapsed().as_secs() < 30);
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = check_text(&text, &mut Err);
        }

        #[test]
        fn no_setting_is_too_strange(
            text in "(\\[(submodule)?[ .]?(\"[./\\\\a\u{0}]*\")?\\]|(url|path) ?=? ?|[-:/.@%0a\n\"#\\\\é]|https?:){0,30}",
            cut in 0..60usize,
        ) {
            let text = text.as_bytes();
            let _ = check_text(&text[..cut.min(text.len())], &mut Err);
            let _ = check_text(&[text, b"\xff", text].concat(), &mut Err);
            let _ = url::is_allowed(text);
        }
    }
}
