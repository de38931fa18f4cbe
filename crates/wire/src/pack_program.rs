//! Packs of fetches that another program makes: git's `uploadpack.packObjectsHook`.

use std::fmt::Debug;
use std::io::{self, Write};

use packhouse_object::{IdSet, WritePackError};

use crate::filter_spec::FilterSpec;
use crate::send_pack::PackRequest;
use crate::sideband::Sideband;
use crate::sink::Messages;

/// A program that is run in the place of `git pack-objects`.
pub trait PackProgram: Debug + Send + Sync {
    /// Runs it with what `git` would be called with: `arguments`, and `input` to read. What it prints goes to `pack`, what it says to
    /// `messages`. Whether it succeeded.
    fn run(
        &self,
        arguments: &[Vec<u8>],
        input: Vec<u8>,
        pack: &mut dyn Write,
        messages: &dyn Messages,
    ) -> io::Result<bool>;
}

/// Has the pack of a request made.
pub(crate) fn make(
    program: &dyn PackProgram,
    request: &PackRequest,
    sideband: &Sideband<'_>,
) -> Result<(), WritePackError> {
    let arguments = arguments(request);
    let mut pack = sideband.data();
    match program.run(&arguments, input(request), &mut pack, sideband)? {
        true => Ok(()),
        false => Err(io::Error::other("git-pack-objects died with error").into()),
    }
}

/// In git's order.
fn arguments(request: &PackRequest) -> Vec<Vec<u8>> {
    let is_cut = !request.shallow.is_empty();
    let mut arguments: Vec<&[u8]> = Vec::new();
    if is_cut {
        arguments.extend([&b"--shallow-file"[..], b""]);
    }
    let flags: [(&[u8], bool); 8] = [
        (b"pack-objects", true),
        (b"--revs", true),
        (b"--thin", request.thin),
        (b"--stdout", true),
        (b"--shallow", is_cut),
        (b"--progress", request.progress),
        (b"--delta-base-offset", request.ofs_delta),
        (b"--include-tag", request.include_tags),
    ];
    let set = flags.iter().filter(|(_, is_set)| *is_set);
    arguments.extend(set.map(|(flag, _)| *flag));
    let filter = request.filter.as_ref().map(FilterSpec::expanded);
    let filter = filter.map(|spec| [b"--filter=", &spec[..]].concat());
    let arguments = arguments.into_iter().map(<[u8]>::to_vec);
    arguments.chain(filter).collect()
}

fn input(request: &PackRequest) -> Vec<u8> {
    let mut input = Vec::new();
    let mut line = |before: &str, id: &dyn std::fmt::Display| {
        input.extend_from_slice(format!("{before}{id}\n").as_bytes());
    };
    let mut shallow: Vec<_> = request.shallow.iter().collect();
    shallow.sort_unstable();
    for id in shallow {
        line("--shallow ", id);
    }
    let mut seen = IdSet::default();
    for id in request.wants.iter().filter(|id| seen.insert(**id)) {
        line("", id);
    }
    line("--not", &"");
    for id in &request.haves {
        line("", id);
    }
    line("", &"");
    input
}
