//! The programs: `upload-pack` and `receive-pack`.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use packhouse_object::DamagedPack;
use packhouse_repo::directory::Served;
use packhouse_wire::{
    HiddenRefs, Version, receive_pack_connection, receive_pack_offer, upload_pack_connection,
    upload_pack_offer,
};

use crate::config::{Config, path_setting};
use crate::environment::Environment;
use crate::error::ProgramError;
use crate::fetch_settings::{fetch_options, unborn_head};
use crate::find::find;
use crate::pack_hook::PackHook;
use crate::push::{Nonce, PushPlace};
use crate::served_settings::{configured, waiting};
use crate::source::ServedSource;
use crate::timeout::Patient;
use crate::{identity, namespace};

/// What of a conversation a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All of it.
    Connection,
    /// `--stateless-rpc`: one request and its answer.
    StatelessRpc,
    /// `--http-backend-info-refs`: what stands at its beginning.
    Advertise,
}

/// How a program is called.
#[derive(Clone, Debug)]
pub struct ProgramCall {
    /// The repository.
    pub dir: PathBuf,
    /// Whether nothing is to be added to its name.
    pub strict: bool,
    /// How long the client may be silent.
    pub timeout: Option<Duration>,
    /// Whether the client of a push is not told how far the work is, whatever it asks for.
    pub quiet: bool,
    /// What of the conversation is wanted.
    pub mode: Mode,
}

/// Where a program reads from: a thread may have to read it.
pub(crate) type Input = Box<dyn Read + Send>;

/// Serves fetches, as `git upload-pack` does.
pub fn upload_pack(
    call: &ProgramCall,
    environment: &Environment,
    input: Box<dyn Read + Send>,
    out: &mut (dyn Write + Send),
) -> Result<(), ProgramError> {
    let repository = find(&call.dir, call.strict, environment)?;
    fetch_from(&repository, call, environment, input, out)
}

/// Serves fetches from a repository that was found.
pub(crate) fn fetch_from(
    repository: &Served,
    call: &ProgramCall,
    environment: &Environment,
    input: Input,
    out: &mut (dyn Write + Send),
) -> Result<(), ProgramError> {
    let config = Config::load(environment, repository)?;
    let repository = &configured(repository, &config)?;
    warn_of_damage(repository)?;
    let prefix = namespace::prefix(environment)?;
    let version = version(environment, &config)?;
    let mut options = fetch_options(&config)?;
    if version == Version::V2 {
        options.unborn = unborn_head(&config)?;
    }
    if let Some(hook) = PackHook::find(repository, environment)? {
        options.pack_program = Some(Arc::new(hook));
    }
    // What is hidden is a matter of the options: some objects may be wanted because hidden refs name them.
    let source = ServedSource::new(repository, prefix, HiddenRefs::default())?;
    let mut input = patient(input, call);
    match call.mode {
        Mode::Connection => upload_pack_connection(version, &mut input, &source, out, &options)?,
        Mode::StatelessRpc => {
            packhouse_wire::upload_pack(version, &mut input, &source, out, &options)?
        }
        Mode::Advertise => upload_pack_offer(version, &source, out, &options)?,
    }
    Ok(())
}

/// Serves a push, as `git receive-pack` does.
pub fn receive_pack(
    call: &ProgramCall,
    environment: &Environment,
    input: Box<dyn Read + Send>,
    out: &mut (dyn Write + Send),
) -> Result<(), ProgramError> {
    let repository = find(&call.dir, call.strict, environment)?;
    push_to(repository, call, environment, input, out)
}

/// Serves a push into a repository that was found.
pub(crate) fn push_to(
    repository: Served,
    call: &ProgramCall,
    environment: &Environment,
    input: Input,
    out: &mut (dyn Write + Send),
) -> Result<(), ProgramError> {
    let config = Config::load(environment, &repository)?;
    let repository = waiting(&configured(&repository, &config)?, &config)?;
    warn_of_damage(&repository)?;
    let who = identity::committer(environment, &config);
    let nonce = Nonce::new(&config, &call.dir, call.mode == Mode::Connection)?;
    let place = PushPlace::new(repository, &config, environment, who, nonce)?;
    let place = place.taking_old_histories(&config)?.dated();
    let source = place.source()?;
    let mut options = place.options_for(&source)?;
    options.quiet = call.quiet;
    let version = version(environment, &config)?;
    let mut input = patient(input, call);
    let answered = match call.mode {
        Mode::Advertise => return Ok(receive_pack_offer(version, &source, out, &options)?),
        Mode::Connection => {
            let mut sink = place.sink()?;
            receive_pack_connection(version, &mut input, &mut sink, &source, out, &options)
        }
        Mode::StatelessRpc => {
            let mut sink = place.sink()?;
            packhouse_wire::receive_pack(&mut input, &mut sink, out, &options)
        }
    };
    answered.map(drop).map_err(ProgramError::Wire)
}

/// Tells whoever reads standard error of the packs that are done without, as git does.
fn warn_of_damage(repository: &Served) -> Result<(), ProgramError> {
    let database = repository.database()?;
    for pack in database.damaged_packs() {
        // Nobody is left to tell if that is closed.
        let _ = writeln!(std::io::stderr(), "error: {}", words_for(pack));
    }
    Ok(())
}

/// Git's words where it has some.
fn words_for(pack: &DamagedPack) -> String {
    let path = pack.path.display();
    let is_index = pack.path.extension().is_some_and(|kind| kind == "idx");
    match (is_index, pack.reason.as_str()) {
        (true, "it is cut short") => format!("index file {path} is too small"),
        (true, reason) => format!("index file {path} is damaged: {reason}"),
        (false, "it is cut short") => format!("file {path} is far too short to be a packfile"),
        (false, "it does not begin like a pack") => format!("file {path} is not a GIT packfile"),
        (false, reason) => format!("packfile {path} is damaged: {reason}"),
    }
}

fn patient(input: Input, call: &ProgramCall) -> Input {
    match call.timeout {
        Some(longest) => Box::new(Patient::new(input, longest)),
        None => input,
    }
}

/// The version that the client asks for.
pub(crate) fn version(environment: &Environment, config: &Config) -> Result<Version, ProgramError> {
    let asked = Version::from_header(environment.shown("GIT_PROTOCOL").as_deref());
    let advertised = config.flag("uploadpack.advertiseversion2")?;
    Ok(match (asked, advertised) {
        (Version::V2, Some(false)) => Version::V0,
        (asked, _) => asked,
    })
}

/// The refs that one kind of client does not see.
pub(crate) fn hidden(config: &Config, of_service: &str) -> HiddenRefs {
    // In the order of the files, whichever of the two names a pattern has.
    let names = ["transfer.hiderefs", of_service];
    let patterns = config.in_order(&names);
    HiddenRefs::new(patterns.map(|pattern| pattern.to_vec()))
}

/// A name for this exchange, if clients are to be told one.
pub(crate) fn session_id(config: &Config) -> Result<Option<String>, ProgramError> {
    let is_told = config.flag("transfer.advertisesid")? == Some(true);
    Ok(is_told.then(|| format!("{:016x}", rand::random::<u64>())))
}

/// How long a silence may be by a setting in seconds, where nothing or less means for ever.
pub(crate) fn keepalive(seconds: i64) -> Duration {
    match u64::try_from(seconds) {
        Ok(seconds) if seconds > 0 => Duration::from_secs(seconds),
        _ => Duration::MAX,
    }
}

/// The folder in which a repository's hooks are, as they are called: a relative path is one from where they run.
pub(crate) fn hooks_folder(
    repository: &Served,
    config: &Config,
    environment: &Environment,
) -> Result<PathBuf, ProgramError> {
    let set = config.text("core.hookspath");
    let Some(path) = set.filter(|path| !path.is_empty()) else {
        return Ok(match repository.own_dir() == repository.git_dir() {
            true => "hooks".into(),
            false => real(repository.git_dir()).join("hooks"),
        });
    };
    let home = crate::config::home(environment);
    path_setting(path, home.as_deref())
}

fn real(folder: &Path) -> PathBuf {
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
}
