//! What follows the advertisement of a fetch: one request and its answer, or several on one connection.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::count_cache::CountCache;
use crate::error::WireError;
use crate::filter_rules::FilterRules;
use crate::hidden_refs::HiddenRefs;
use crate::pack_program::PackProgram;
use crate::pktline::{PacketReader, PacketWriter};
use crate::shown::Shown;
use crate::sideband;
use crate::source::Source;
use crate::version::Version;
use crate::wanted_ids::WantRules;
use crate::{fetch_v0, v2};

/// How often client and server take turns in one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rounds {
    /// One: the client repeats itself in every request, and nothing is remembered: HTTP, `--stateless-rpc` in git's words.
    #[default]
    One,
    /// As many as it takes, over a connection of their own: a negotiation goes on behind each answer, and version 2 sends
    /// one command after the other.
    Many,
}

/// Whether clients learn which branch `HEAD` names, though it does not exist yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnbornHead {
    /// Those that ask, and it is offered to them.
    #[default]
    Offered,
    /// Those that ask, though nothing says that they may.
    Told,
    /// None. Who asks is answered as if the branch were not named.
    Ignored,
}

/// How fetches are answered, and what is offered. The defaults are those of a host.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// An empty packet is sent when nothing else was for this long, so that nobody between here and the
    /// client takes the connection for dead. Git's `uploadpack.keepAlive`, 5 seconds.
    pub keepalive: Duration,
    /// The most lines a request may have. Each object and each ref that it names takes some 50 bytes of memory while it is answered.
    pub max_lines: usize,
    /// Set from outside to end the work; a broken output ends it too.
    pub cancelled: Arc<AtomicBool>,
    /// How often client and server take turns in one call.
    pub rounds: Rounds,
    /// Whether histories may be cut: `shallow` and its like. Git always offers it.
    pub shallow: bool,
    /// Which filters may be used.
    pub filter: FilterRules,
    /// Which objects versions 0 and 1 may want by their ids.
    pub wants: WantRules,
    /// Whether refs may be wanted by name in version 2: `uploadpack.allowRefInWant`.
    pub ref_in_want: bool,
    /// Whether all of an answer of version 2 may go in sidebands: `uploadpack.allowSidebandAll`.
    pub sideband_all: bool,
    /// Whether version 2 tells sizes of objects: `transfer.advertiseObjectInfo`.
    pub object_info: bool,
    /// What version 2 tells of a `HEAD` whose branch does not exist yet: `lsrefs.unborn`.
    pub unborn: UnbornHead,
    /// Names this exchange in logs, and has the client name it too: `transfer.advertiseSID`.
    pub session_id: Option<String>,
    /// Which refs are not shown: `transfer.hideRefs` and `uploadpack.hideRefs`.
    pub hidden: HiddenRefs,
    /// What version 2 answers to those who ask for bundles to begin with, each line a `key=value` of `bundle.*`; `None`: that is
    /// not offered. Git's `uploadpack.advertiseBundleURIs`, and its settings `bundle.*`.
    pub bundles: Option<Vec<Vec<u8>>>,
    /// What makes packs, in the place of this crate: `uploadpack.packObjectsHook`.
    pub pack_program: Option<Arc<dyn PackProgram>>,
    /// Where counts are kept that other fetches may want too.
    pub counts: Option<Arc<CountCache>>,
}

impl Default for FetchOptions {
    fn default() -> FetchOptions {
        FetchOptions {
            keepalive: Duration::from_secs(5),
            max_lines: 1_000_000,
            cancelled: Arc::default(),
            rounds: Rounds::One,
            shallow: true,
            filter: FilterRules::default(),
            wants: WantRules::default(),
            ref_in_want: true,
            sideband_all: false,
            object_info: true,
            unborn: UnbornHead::Offered,
            session_id: None,
            hidden: HiddenRefs::default(),
            bundles: None,
            pack_program: None,
            counts: None,
        }
    }
}

impl FetchOptions {
    /// What git offers where nothing is configured, and with no more limits than it has.
    pub fn of_git() -> FetchOptions {
        FetchOptions {
            max_lines: usize::MAX,
            filter: FilterRules::none(),
            wants: WantRules::advertised_only(),
            ref_in_want: false,
            ..FetchOptions::default()
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

/// Answers the request in `input` on `out`; with [`Rounds::Many`] all that follow, until the client has what it wants or
/// ends the connection. The advertisement comes before.
///
/// An error has been told to the client when this returns it, unless it is that the client went away.
pub fn upload_pack(
    version: Version,
    input: &mut (dyn Read + Send),
    source: &dyn Source,
    out: &mut (dyn Write + Send),
    options: &FetchOptions,
) -> Result<(), WireError> {
    let mut reader = PacketReader::new(input);
    let shown = Shown::new(source, &options.hidden);
    let mut sideband_all = false;
    let answered = match version {
        Version::V2 => v2::serve(&mut reader, &shown, out, options, &mut sideband_all),
        Version::V0 | Version::V1 => {
            fetch_v0::serve(&mut reader, &shown, PacketWriter::new(out), options)
        }
    };
    let answered = match answered {
        Err(WireError::Read(error)) if options.is_cancelled() => Err(WireError::Gone(
            io::Error::new(io::ErrorKind::BrokenPipe, error),
        )),
        answered => answered,
    };
    if let Err(error) = &answered
        && let Some(told) = error.told_by_upload_pack()
    {
        let mut writer = PacketWriter::new(out);
        match sideband_all {
            true => {
                writer.set_band(Some(sideband::ERROR));
                writer.text(format_args!("{told}"))?;
            }
            false => writer.text(format_args!("ERR {told}"))?,
        }
        writer.send()?;
    }
    answered
}
