//! `serve`: the files of the store over HTTP, for browsers and for programs.
//!
//! Every request looks its ref up again, so that new commits are seen at once. Files stream: memory does not depend on
//! their size. Nothing can be written.

mod answer;
mod caching;
mod html;
mod log;
mod mime;
mod request;
mod site;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use clap::Args;

use self::log::AccessLog;
use self::site::{Mode, Site};
use super::failure::Failure;
use super::flags::{BranchFlag, SnapshotFlags};
use super::listen::{self, ListenFlags};
use super::select;
use super::session::Session;

/// Serve the files of a branch, or of all refs, over HTTP
///
/// Browsers get files and lists of folders; who sends `Accept: application/json` gets descriptions.
#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    listen: ListenFlags,
    #[command(flatten)]
    branch: BranchFlag,
    #[command(flatten)]
    snapshot: SnapshotFlags,
    /// Serve every branch and tag, as /REF/PATH
    #[arg(long)]
    all: bool,
    /// Let pages of other origins read the answers
    #[arg(long)]
    cors: bool,
    /// Let nothing be cached
    #[arg(long)]
    no_cache: bool,
    /// Let everything be cached for ever: for data that never changes
    #[arg(long)]
    immutable: bool,
    /// Let everything be cached for this many seconds
    #[arg(long, value_name = "SECONDS")]
    max_age: Option<u64>,
    /// ETags of files are ids of their content, which commits to other files do not change
    #[arg(long)]
    blob_etags: bool,
    /// Folders end in `/` in lists
    #[arg(long)]
    slashes: bool,
    /// Path in front of every URL
    #[arg(long, value_name = "PATH", default_value = "")]
    base_path: String,
    /// Where to send who asks for a blob by an id that is not here
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Refuse larger files with 413; 0 for no limit
    #[arg(long, value_name = "MIB", default_value_t = 0)]
    max_file_size: u64,
    /// Open the URL in a browser
    #[arg(long)]
    open: bool,
    /// Append a line per request to this file, in the Common Log Format
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// Do not show requests on stderr
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) fn run(args: ServeArgs, session: &Session) -> Result<(), Failure> {
    if args.all && (args.snapshot.any() || args.branch.branch.is_some()) {
        return Err(
            Failure::new("--all cannot be combined with what names a commit")
                .hint("leave out -b, --ref, --path, --match, --before and --back"),
        );
    }
    let store = session.open()?;
    if !args.all {
        // Asking for a commit that is not there is told now, and not to the first visitor.
        select::chosen(&store, &args.branch, &args.snapshot)?;
    }
    let mode = match args.all {
        true => Mode::All,
        false => Mode::One {
            label: match &args.snapshot.name {
                Some(name) => name.clone(),
                None => select::branch_name(&store, &args.branch)?,
            },
            branch: args.branch,
            flags: Box::new(args.snapshot),
        },
    };
    let site = Arc::new(Site {
        store,
        mode,
        base: site::base(&args.base_path),
        cors: args.cors,
        cache_control: caching::cache_control(args.no_cache, args.immutable, args.max_age),
        no_store: args.no_cache,
        blob_etags: args.blob_etags,
        slashes: args.slashes,
        upstream: args.upstream,
        max_file_bytes: match args.max_file_size {
            0 => u64::MAX,
            mib => mib.saturating_mul(1 << 20),
        },
    });
    let log = Arc::new(AccessLog::open(args.log_file.as_deref(), args.quiet)?);
    let path = html::encoded(format!("{}/", site.base).as_bytes());
    let router = Router::new()
        .fallback(request::serve)
        .with_state(request::Served { site, log });
    listen::run(&args.listen, router, session, |address: SocketAddr| {
        let url = format!("http://{address}{path}");
        if args.open {
            open_in_browser(&url);
        }
        format!("Serving {url}")
    })
}

/// Whether a browser starts is not our concern.
fn open_in_browser(url: &str) {
    let program = match cfg!(target_os = "macos") {
        true => "open",
        false => "xdg-open",
    };
    let _ = std::process::Command::new(program)
        .arg(url)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
}
