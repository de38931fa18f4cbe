//! Running a command: finds the repository, checks the key, says what is there, waits for the client's first word and
//! then for a turn, and lets `wire` talk.
//!
//! A client that only holds its connection open has no turn, so it is in nobody's way.

use std::io::{ErrorKind, Write};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use packhouse_api::ErrorCode;
use packhouse_catalog::Origin;
use packhouse_repo::{Namespace, Repository, View};
use packhouse_wire::repository::{PushTarget, sink_of, source_of};
use packhouse_wire::{
    CountCache, FetchOptions, ReceiveOptions, Rounds, Service, Version, WireError, receive_pack,
    receive_pack_offer, upload_pack, upload_pack_offer,
};
use russh::ChannelWriteHalf;
use russh::server::Msg;
use tokio::runtime::Handle;
use tracing::Instrument;

use super::channel::{ChannelWriter, Inbound};
use super::command::{Command, NO_SHELL, Program};
use super::door::Shared;
use super::lfs;
use crate::auth::Caller;
use crate::config::Limits;
use crate::error::ApiError;
use crate::git::{self, GitPath, Limited, OpenError};
use crate::observe::new_id;
use crate::patience::Pace;
use crate::rest::shown;
use crate::state::AppState;
use crate::turns::{Turn, TurnFor, Turns};

/// The code of extended data that is for a person (RFC 4254, section 5.2).
const STDERR: u32 = 1;

/// Time in which a client takes the last word about a command, and the command's end.
const FAREWELL: Duration = Duration::from_secs(5);

/// A command that a client asked for on one channel.
pub(super) struct Asked {
    /// What it is, as the client wrote it.
    pub(super) command: Vec<u8>,
    /// The environment's `GIT_PROTOCOL`.
    pub(super) protocol: Option<String>,
    /// The key that the client showed.
    pub(super) fingerprint: Arc<str>,
    /// Where the client is.
    pub(super) address: String,
    pub(super) inbound: Inbound,
    pub(super) channel: ChannelWriteHalf<Msg>,
}

/// How a command ended.
pub(super) enum Outcome {
    /// As the client wished, or with an answer in Git's own terms.
    Done,
    /// It may not, or not now; what a person reads.
    Refused(String),
    /// In the middle, by the client's or the server's fault; the client was told what it may know.
    Cut,
    /// By the client, who went away or stopped listening.
    Gone,
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Outcome::Done => "ok",
            Outcome::Refused(_) => "refused",
            Outcome::Cut => "cut",
            Outcome::Gone => "gone",
        }
    }
}

/// Runs a command to its end and closes the channel.
pub(super) async fn run(shared: Arc<Shared>, asked: Asked) {
    let began = Instant::now();
    let id = new_id();
    let origin = Arc::new(Origin {
        address: Some(asked.address.clone()),
        request_id: id.to_str().unwrap_or_default().to_owned(),
    });
    let command = Command::parse(&asked.command);
    let route = command
        .as_ref()
        .map_or("none", |command| command.program.route());
    let span = tracing::info_span!("request", id = origin.request_id, method = "SSH", route);
    let (outcome, mut asked) = async {
        match command {
            Some(command) => match command.program {
                Program::Git(service) => {
                    attempt(&shared.state, command, service, asked, origin).await
                }
                Program::Lfs(operation) => {
                    let told =
                        lfs::authenticate(&shared.state, &command, operation, &asked, origin);
                    (told.await, asked)
                }
            },
            None => (Outcome::Refused(NO_SHELL.to_owned()), asked),
        }
    }
    .instrument(span.clone())
    .await;
    let took = began.elapsed();
    shared.metrics.ran(route, outcome.word(), took);
    span.in_scope(|| {
        tracing::info!(
            status = outcome.word(),
            took_us = took.as_micros() as u64,
            "answered"
        )
    });
    farewell(&shared.state, &mut asked, &outcome).await;
}

/// Says what there is to say, and that it is over.
async fn farewell(state: &AppState, asked: &mut Asked, outcome: &Outcome) {
    let channel = &asked.channel;
    let last_word = async {
        if let Outcome::Refused(message) = outcome {
            let line = format!("packhouse: {message}\n");
            channel.extended_data_bytes(STDERR, line).await?;
        }
        channel.eof().await
    };
    // Who is gone, or does not listen, misses it.
    let _ = tokio::time::timeout(FAREWELL, last_word).await;
    if matches!(outcome, Outcome::Cut) {
        // A client that is still sending a pack looks at the answer when it is done.
        let limits = &state.limits;
        let rest = asked.inbound.drain(limits.drain_bytes);
        let _ = tokio::time::timeout(limits.drain_time, rest).await;
    }
    let end = async {
        let status = u32::from(!matches!(outcome, Outcome::Done));
        channel.exit_status(status).await?;
        channel.close().await
    };
    let _ = tokio::time::timeout(FAREWELL, end).await;
}

/// What a command needs that may run.
struct Work {
    service: Service,
    version: Version,
    caller: Caller,
    repository: Repository,
    namespace: Namespace,
    view: Arc<View>,
    turns: Turns,
    turn_for: TurnFor,
    counts: Arc<CountCache>,
}

async fn attempt(
    state: &AppState,
    command: Command,
    service: Service,
    asked: Asked,
    origin: Arc<Origin>,
) -> (Outcome, Asked) {
    let client = asked.inbound.client().clone();
    let prepared = tokio::select! {
        prepared = prepare(state, &command, service, &asked, origin) => prepared,
        () = client.gone() => return (Outcome::Gone, asked),
    };
    let work = match prepared {
        Ok(work) => Arc::new(work),
        Err(error) => return (not_opened(&command, error), asked),
    };
    let limits = state.limits.clone();
    // A client that does not read holds a thread until it has to go: no organisation holds them all.
    let taken = tokio::select! {
        taken = state.offers.take(&work.turn_for) => taken,
        () = client.gone() => return (Outcome::Gone, asked),
    };
    let offer = match taken {
        Ok(turn) => turn,
        Err(crowded) => return (refusal(&command, crowded.into()), asked),
    };
    let (advertising, bounds) = (work.clone(), limits.clone());
    let talk = move |asked: &mut Asked, runtime: &Handle| {
        let _offer = offer;
        advertise(&advertising, asked, &bounds, runtime)
    };
    let (advertised, mut asked) = on_thread(asked, talk).await;
    match advertised {
        Outcome::Done => {}
        ended => return (ended, asked),
    }
    match asked.inbound.has_begun(limits.ssh.idle).await {
        Ok(true) => {}
        // It has seen what it wanted to see.
        Ok(false) => return (Outcome::Done, asked),
        Err(error) if error.kind() == ErrorKind::TimedOut => {
            return (Outcome::Refused(error.to_string()), asked);
        }
        Err(_) => return (Outcome::Gone, asked),
    }
    let taken = tokio::select! {
        taken = work.turns.take(&work.turn_for) => taken,
        () = client.gone() => return (Outcome::Gone, asked),
    };
    let turn = match taken {
        Ok(turn) => turn,
        Err(crowded) => return (refusal(&command, crowded.into()), asked),
    };
    let talk =
        move |asked: &mut Asked, runtime: &Handle| exchange(&work, turn, asked, &limits, runtime);
    on_thread(asked, talk).await
}

/// Lets `talk` speak on a thread that may block.
async fn on_thread(
    asked: Asked,
    talk: impl FnOnce(&mut Asked, &Handle) -> Outcome + Send + 'static,
) -> (Outcome, Asked) {
    let (runtime, span) = (Handle::current(), tracing::Span::current());
    let running = tokio::task::spawn_blocking(move || {
        let mut asked = asked;
        let _entered = span.enter();
        let talk = AssertUnwindSafe(|| talk(&mut asked, &runtime));
        // The panic itself is in the log already; it ends this command and nothing else.
        let outcome = std::panic::catch_unwind(talk).unwrap_or(Outcome::Cut);
        (outcome, asked)
    });
    running.await.expect("what may panic in it is caught")
}

/// The repository that is asked for, if the key may use it, and there is room to wait for a turn.
async fn prepare(
    state: &AppState,
    command: &Command,
    service: Service,
    asked: &Asked,
    origin: Arc<Origin>,
) -> Result<Work, OpenError> {
    let (caller, path, repository) = open(state, command, asked, origin).await?;
    let (turns, turn_for) = (state.turns_of(service).clone(), caller.turn_for());
    turns.check(&turn_for).map_err(ApiError::from)?;
    let view = repository.view().await.map_err(ApiError::from)?;
    Ok(Work {
        service,
        version: Version::from_header(asked.protocol.as_deref()),
        namespace: path.namespace,
        turns,
        turn_for,
        caller,
        repository,
        view,
        counts: state.counts.clone(),
    })
}

/// The repository that is asked for, and who asks, if the key may do so.
pub(super) async fn open<'c>(
    state: &AppState,
    command: &'c Command,
    asked: &Asked,
    origin: Arc<Origin>,
) -> Result<(Caller, &'c GitPath, Repository), OpenError> {
    let (caller, path) = caller(state, command.path.as_ref(), &asked.fingerprint).await?;
    let caller = caller.sent_from(Some(origin));
    let repository = git::open_for(state, &caller, path, command.program.scope(), 1).await?;
    Ok((caller, path, repository))
}

/// Whom the key stands for at `path`. It is looked up for every command: a connection may outlive what a key may do.
async fn caller<'p>(
    state: &AppState,
    path: Option<&'p GitPath>,
    fingerprint: &str,
) -> Result<(Caller, &'p GitPath), OpenError> {
    let path = path.ok_or(OpenError::AnotherRepo)?;
    let now_ms = Timestamp::now().as_millisecond();
    let catalog = state.hosted.catalog();
    let rows = catalog.ssh_key(fingerprint, now_ms).await;
    let found = rows.map_err(ApiError::from)?.into_iter().find_map(|row| {
        let id = path.id_in(&row.org_name)?;
        Caller::of_ssh_key(&row, id)
    });
    Ok((found.ok_or(OpenError::AnotherRepo)?, path))
}

/// What a person reads whose key may not use a repository, whether it is there or not.
fn no_such(command: &Command) -> Outcome {
    let asked = shown(&command.asked);
    Outcome::Refused(format!(
        "there is no repository `{asked}`, or this key may not use it; paths are ORGANISATION/REPOSITORY.git"
    ))
}

/// What a person reads whose command opened nothing.
pub(super) fn not_opened(command: &Command, error: OpenError) -> Outcome {
    match error {
        OpenError::AnotherRepo => no_such(command),
        OpenError::Refused(error) => refusal(command, error),
    }
}

fn refusal(command: &Command, error: ApiError) -> Outcome {
    match error.code() {
        ErrorCode::RepositoryNotFound => no_such(command),
        _ => Outcome::Refused(error.message().to_owned()),
    }
}

/// Says what there is, which is what the client reads first. For a thread that may block.
fn advertise(work: &Work, asked: &mut Asked, limits: &Limits, runtime: &Handle) -> Outcome {
    let client = asked.inbound.client().clone();
    let source = source_of(work.view.clone(), work.namespace);
    let mut out = ChannelWriter::new(&asked.channel, client, runtime, limits.write_idle);
    let said = match work.service {
        Service::UploadPack => {
            upload_pack_offer(work.version, &source, &mut out, &FetchOptions::default())
        }
        Service::ReceivePack => {
            receive_pack_offer(work.version, &source, &mut out, &ReceiveOptions::default())
        }
    };
    outcome(said)
}

/// Speaks the rest of the protocol. For a thread that may block.
fn exchange(
    work: &Work,
    turn: Turn,
    asked: &mut Asked,
    limits: &Limits,
    runtime: &Handle,
) -> Outcome {
    let client = asked.inbound.client().clone();
    let cancelled = client.cancelled();
    let pace = Pace {
        idle: match work.service {
            Service::UploadPack => limits.ssh.idle.min(limits.body_idle),
            // Behind the commands of a push, its client counts and compresses what it will send.
            Service::ReceivePack => limits.ssh.idle,
        },
        min_rate: limits.body_min_rate,
    };
    let reader = asked.inbound.reader(pace, runtime);
    let mut out = ChannelWriter::new(&asked.channel, client, runtime, limits.write_idle);
    let source = source_of(work.view.clone(), work.namespace);
    let ended = match work.service {
        Service::UploadPack => {
            let options = FetchOptions {
                cancelled,
                counts: Some(work.counts.clone()),
                rounds: Rounds::Many,
                ..FetchOptions::default()
            };
            let mut input = Limited::new(reader, limits.fetch_request_bytes);
            let served = upload_pack(work.version, &mut input, &source, &mut out, &options);
            outcome(served)
        }
        Service::ReceivePack => {
            let options = ReceiveOptions {
                cancelled,
                ..ReceiveOptions::default()
            };
            let target = PushTarget {
                repository: work.repository.clone(),
                namespace: work.namespace,
                policy: work.caller.policy().clone(),
                who: work.caller.who().to_owned(),
                limits: git::receive_limits(limits),
            };
            // Commands stand before the pack and have a limit of their own.
            let bytes = limits
                .push_bytes
                .saturating_add(options.max_command_bytes as u64);
            let mut input = Limited::new(reader, bytes);
            let mut sink = sink_of(target, work.view.clone(), runtime.clone());
            let pushed = receive_pack(&mut input, &mut sink, &mut out, &options);
            match pushed {
                Ok(summary) if summary.unpack_error.is_some() => Outcome::Cut,
                pushed => outcome(pushed.map(drop)),
            }
        }
    };
    drop(turn);
    // What is not sent now is told to nobody: the client is gone.
    let _ = out.flush();
    ended
}

/// How the protocol ended: errors have been told to the client in its own terms.
fn outcome(served: Result<(), WireError>) -> Outcome {
    let ended = match &served {
        Ok(()) => Outcome::Done,
        Err(WireError::Gone(_)) => Outcome::Gone,
        Err(_) => Outcome::Cut,
    };
    // What is to be logged is logged there.
    let _ = git::ended(served);
    ended
}
