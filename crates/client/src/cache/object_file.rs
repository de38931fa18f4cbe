//! Files of objects that somebody may have written into.
//!
//! What tells is their length, and the time when they were written. Git sets that time anew where it was to write an object that is
//! there, so that a newer file is read in full: those of packs end with a checksum, and those of single objects are named by
//! theirs. Who writes into one and puts the time back is not seen, nor is a disk that loses bits.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use packhouse_object::{LooseStore, ObjectHasher, ObjectId};
use ring::digest;

use super::CallOptions;
use super::git_dir::Linked;
use super::manifest::modified_ns;
use super::take_over::OPEN_FILE;

/// A pack, and its index, end with the SHA-1 of all before.
const CHECKSUM_BYTES: u64 = 20;
const PIECE_BYTES: usize = 256 << 10;

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Nothing, as far as a look tells.
    AsItWas,
    /// It was written at this time, and has the same content.
    Newer(i64),
    /// It is another one.
    Not,
    /// It is not there.
    Missing,
}

/// Looks at a file below `objects` of which this was noted.
pub(super) fn look_at(objects: &Path, noted: &Linked, call: &CallOptions<'_>) -> Kept {
    let path = objects.join(&noted.name);
    let Ok(found) = fs::symlink_metadata(&path) else {
        return Kept::Missing;
    };
    let mtime_ns = modified_ns(&found);
    if !found.is_file() || found.len() != noted.len {
        return Kept::Not;
    }
    if noted.mtime_ns.is_none_or(|noted| noted == mtime_ns) {
        return Kept::AsItWas;
    }
    let is_sound = match noted.name.strip_prefix("pack/") {
        Some(_) => has_checksum(&path, call),
        None => is_named_by_content(objects, &noted.name, call),
    };
    match is_sound {
        Ok(true) => Kept::Newer(mtime_ns),
        // Where it cannot be told, it is fetched again.
        Ok(false) | Err(_) => Kept::Not,
    }
}

/// Whether a file ends with the checksum of what comes before.
fn has_checksum(path: &Path, call: &CallOptions<'_>) -> io::Result<bool> {
    let mut file = open(path)?;
    let Some(len) = file.metadata()?.len().checked_sub(CHECKSUM_BYTES) else {
        return Ok(false);
    };
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    pour(&mut file.by_ref().take(len), call, |piece| {
        context.update(piece)
    })?;
    let mut checksum = [0; CHECKSUM_BYTES as usize];
    file.read_exact(&mut checksum)?;
    Ok(context.finish().as_ref() == checksum)
}

/// Whether the file of a single object has the object that its name says.
fn is_named_by_content(objects: &Path, name: &str, call: &CallOptions<'_>) -> io::Result<bool> {
    let Ok(id) = ObjectId::from_hex(name.replace('/', "").as_bytes()) else {
        return Ok(false);
    };
    let object = LooseStore::open(objects).stream(&id);
    let Some(mut object) = object.map_err(io::Error::other)? else {
        return Ok(false);
    };
    let (size, mut read) = (object.size, 0);
    let mut hasher = ObjectHasher::new(object.kind, size);
    pour(&mut object, call, |piece| {
        read += piece.len() as u64;
        hasher.update(piece);
    })?;
    Ok(read == size && hasher.finish().is_ok_and(|found| found == id))
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OPEN_FILE.bits() as i32;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn pour(
    from: &mut dyn Read,
    call: &CallOptions<'_>,
    mut take: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        call.check().map_err(io::Error::other)?;
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(n) => take(&piece[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::FileTimes;
    use std::time::{Duration, SystemTime};

    use packhouse_object::ObjectKind;

    use super::*;

    fn noted(objects: &Path, name: &str) -> Linked {
        let found = fs::symlink_metadata(objects.join(name)).unwrap();
        Linked {
            name: name.to_owned(),
            len: found.len(),
            mtime_ns: Some(modified_ns(&found)),
        }
    }

    #[test]
    fn a_newer_file_counts_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let objects = folder.path();
        let id = LooseStore::open(objects)
            .write(ObjectKind::Blob, b"some content")
            .unwrap();
        let id = id.to_string();
        let loose = format!("{}/{}", &id[..2], &id[2..]);
        let mut pack = b"PACK and so on".to_vec();
        let sum = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &pack);
        pack.extend_from_slice(sum.as_ref());
        fs::create_dir(objects.join("pack")).unwrap();
        fs::write(objects.join("pack/one.pack"), pack).unwrap();
        let call = CallOptions::default();
        for name in [loose.as_str(), "pack/one.pack"] {
            let path = objects.join(name);
            let look = |noted: &Linked| look_at(objects, noted, &call);
            let write_at = |seconds: u64, byte: Option<usize>| {
                let mut bytes = fs::read(&path).unwrap();
                if let Some(at) = byte {
                    bytes[at] ^= 0x55;
                }
                fs::remove_file(&path).unwrap();
                fs::write(&path, bytes).unwrap();
                let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
                let file = File::options().write(true).open(&path).unwrap();
                file.set_times(FileTimes::new().set_modified(time)).unwrap();
            };
            let mut noted = noted(objects, name);
            assert_eq!(look(&noted), Kept::AsItWas, "{name}");
            write_at(1_000, None);
            assert_eq!(look(&noted), Kept::Newer(1_000_000_000_000), "{name}");
            noted.mtime_ns = Some(1_000_000_000_000);
            let half = noted.len as usize / 2;
            write_at(1_000, Some(half));
            assert_eq!(look(&noted), Kept::AsItWas, "nothing tells");
            write_at(2_000, None);
            assert_eq!(look(&noted), Kept::Not, "{name}");
            noted.mtime_ns = None;
            assert_eq!(look(&noted), Kept::AsItWas, "as before times were noted");
            write_at(3_000, Some(half));
            noted.mtime_ns = Some(0);
            assert_eq!(look(&noted), Kept::Newer(3_000_000_000_000), "{name}");
            fs::remove_file(&path).unwrap();
            assert_eq!(look(&noted), Kept::Missing, "{name}");
        }
    }

    #[test]
    fn notes_from_before_times_were_noted_are_read() {
        let old: Linked = serde_json::from_str(r#"["pack/one.pack", 7]"#).unwrap();
        let expected = Linked {
            name: "pack/one.pack".to_owned(),
            len: 7,
            mtime_ns: None,
        };
        assert_eq!(old, expected);
        let text = serde_json::to_string(&old).unwrap();
        assert_eq!(serde_json::from_str::<Linked>(&text).unwrap(), expected);
    }
}
