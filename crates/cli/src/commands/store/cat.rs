//! `cat`: the content of files.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::str;

use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderWriter;
use bstr::BString;
use clap::Args;
use packhouse_repo::store::Snapshot;
use serde::Serialize;

use super::failure::Failure;
use super::flags::{BranchFlag, SnapshotFlags};
use super::output::{self, name_of};
use super::ref_path::RefPath;
use super::select;
use super::session::Session;

/// How much is read at once.
const PIECE_BYTES: usize = 64 << 10;

/// Print files, one after the other
///
/// With --json, a list: each file with its content as `text`, or as `base64` if it is no text.
#[derive(Args, Debug)]
pub(crate) struct CatArgs {
    /// Files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<OsString>,
    #[command(flatten)]
    branch: BranchFlag,
    #[command(flatten)]
    snapshot: SnapshotFlags,
}

/// What is said of a file before its content.
#[derive(Serialize)]
struct Shown {
    path: String,
    hash: String,
    size: u64,
}

pub(crate) fn run(args: CatArgs, session: &Session) -> Result<(), Failure> {
    let places = args
        .paths
        .iter()
        .map(|path| RefPath::parse(path))
        .collect::<Result<Vec<_>, _>>()?;
    select::check(&places, &args.branch, &args.snapshot)?;
    let store = session.open()?;
    let snapshot = |place| select::snapshot(&store, place, &args.branch, &args.snapshot);
    let mut out = output::stdout();
    if session.json() {
        let mut files = Vec::new();
        for place in &places {
            let snapshot = snapshot(place)?;
            // Half a list is no JSON: what is not there is told before anything is written.
            snapshot.reader(&place.path)?;
            files.push((snapshot, &place.path));
        }
        out.write_all(b"[")?;
        for (number, (snapshot, path)) in files.iter().enumerate() {
            out.write_all(if number == 0 { "" } else { "," }.as_bytes())?;
            write_json(&mut out, snapshot, path)?;
        }
        out.write_all(b"]\n")?;
    } else {
        for place in &places {
            let mut file = snapshot(place)?.reader(&place.path)?;
            let each = |piece: &[u8]| Ok(out.write_all(piece)?);
            pieces(&mut file, &place.path, each)?;
        }
    }
    Ok(out.flush()?)
}

/// Calls `each` with the pieces of a file, in order.
fn pieces(
    file: &mut impl Read,
    path: &BString,
    mut each: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(len) => each(&piece[..len])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(Failure::because(
                    format_args!("Could not read {path}"),
                    &error,
                ));
            }
        }
    }
}

/// Writes a file as JSON. It is read twice, so that memory does not depend on its size.
fn write_json(out: &mut impl Write, snapshot: &Snapshot, path: &BString) -> Result<(), Failure> {
    let mut file = snapshot.reader(path)?;
    let shown = Shown {
        path: name_of(path),
        hash: file.id().to_string(),
        size: file.size(),
    };
    let is_text = texts(&mut file, path, |_| Ok(()))?;
    let mut file = snapshot.reader(path)?;
    let object = serde_json::to_string(&shown).map_err(io::Error::from)?;
    // Without the brace at its end.
    out.write_all(&object.as_bytes()[..object.len() - 1])?;
    if is_text {
        out.write_all(br#","text":""#)?;
        texts(&mut file, path, |text| {
            let quoted = serde_json::to_string(text).map_err(io::Error::from)?;
            Ok(out.write_all(&quoted.as_bytes()[1..quoted.len() - 1])?)
        })?;
    } else {
        out.write_all(br#","base64":""#)?;
        let mut encoder = EncoderWriter::new(&mut *out, &STANDARD);
        pieces(&mut file, path, |piece| Ok(encoder.write_all(piece)?))?;
        encoder.finish()?;
    }
    Ok(out.write_all(br#""}"#)?)
}

/// Calls `each` with the pieces of a file as long as they are text, and says whether all of it is.
fn texts(
    file: &mut impl Read,
    path: &BString,
    mut each: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    let mut is_text = true;
    // The beginning of a character that goes on in the next piece.
    let mut begun = Vec::new();
    pieces(file, path, |piece| {
        if !is_text {
            return Ok(());
        }
        begun.extend_from_slice(piece);
        let valid = match str::from_utf8(&begun) {
            Ok(text) => text,
            Err(error) => {
                is_text = error.error_len().is_none();
                str::from_utf8(&begun[..error.valid_up_to()]).unwrap_or_default()
            }
        };
        each(valid)?;
        let len = valid.len();
        begun.drain(..len);
        Ok(())
    })?;
    Ok(is_text && begun.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time.
    struct Slowly<'a>(&'a [u8]);

    impl Read for Slowly<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let len = out.len().min(1);
            self.0.read(&mut out[..len])
        }
    }

    #[test]
    fn a_character_may_be_in_two_pieces() {
        let read = |bytes: &[u8]| {
            let mut all = String::new();
            let each = |text: &str| {
                all.push_str(text);
                Ok(())
            };
            let is_text = texts(&mut Slowly(bytes), &"a".into(), each).unwrap();
            (is_text, all)
        };
        assert_eq!(
            read("h\u{e9}llo \u{1f600}".as_bytes()),
            (true, "h\u{e9}llo \u{1f600}".to_owned())
        );
        assert_eq!(read(b""), (true, String::new()));
        assert!(!read(b"caf\xe9 au lait").0);
        assert!(!read(b"caf\xc3").0);
    }
}
