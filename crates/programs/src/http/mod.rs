//! `git http-backend`: repositories over HTTP, from a web server that speaks CGI.
//!
//! Routes, settings, status codes and headers are those of git's own program.

mod answer;
mod body;
mod dumb;
mod query;
mod route;
mod service;
mod settings;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::environment::Environment;
use crate::error::{ProgramError, with_causes};
use crate::find::find;
use crate::namespace;
use answer::{Answer, Refusal};
use route::{Route, Target};
use settings::HttpSettings;

/// What stands in a repository that may be served without `GIT_HTTP_EXPORT_ALL`.
const EXPORT_OK: &str = "git-daemon-export-ok";

/// Answers the one request that the environment and `input` make up. Refusals are answers too; `log` is given a line for
/// the log of the web server. An error comes when the answer had begun.
pub fn http_backend(
    environment: &Environment,
    input: Box<dyn Read + Send>,
    out: &mut (dyn Write + Send),
    log: &mut dyn FnMut(&str),
) -> Result<(), ProgramError> {
    let mut environment = environment.clone();
    if let (None, Some(asked)) = (
        environment.get("GIT_PROTOCOL"),
        environment.get("HTTP_GIT_PROTOCOL"),
    ) {
        let asked = asked.to_owned();
        environment.set("GIT_PROTOCOL", asked);
    }
    let answer = match prepare(&environment) {
        Ok(prepared) => match prepared.target {
            Target::Service(service) => {
                let settings = &prepared.settings;
                match service::request(service, settings, &environment, input) {
                    Ok(input) => {
                        let answered =
                            service::serve(service, prepared.repository, &environment, input, out);
                        return answered;
                    }
                    Err(refusal) => refusal.into_answer(log),
                }
            }
            Target::InfoRefs => match service::asked(&environment) {
                Some(name) => match service::advertised(name.as_ref(), &prepared.settings) {
                    Ok(service) => {
                        return service::advertise(service, prepared.repository, &environment, out);
                    }
                    Err(refusal) => refusal.into_answer(log),
                },
                None => {
                    dumb::info_refs(&prepared).unwrap_or_else(|refusal| refusal.into_answer(log))
                }
            },
            Target::File(ref file) => {
                dumb::file(&prepared, file).unwrap_or_else(|refusal| refusal.into_answer(log))
            }
        },
        Err(refusal) => refusal.into_answer(log),
    };
    answer
        .write(out)
        .map_err(ProgramError::io("write", Path::new("the answer")))
}

/// A request whose repository was found.
struct Prepared {
    repository: packhouse_repo::directory::Served,
    /// Where the refs of the request's namespace are.
    prefix: Vec<u8>,
    settings: HttpSettings,
    target: Target,
}

fn prepare(environment: &Environment) -> Result<Prepared, Refusal> {
    let method = environment
        .get("REQUEST_METHOD")
        .ok_or_else(|| Refusal::broken("No REQUEST_METHOD from server"))?;
    let path = translated_path(environment)?;
    let shown = |path: &Path| path.display().to_string();
    let Some(Route { dir, target }) = Route::parse(&path) else {
        return Err(Refusal::not_found(format!(
            "Request not supported: '{}'",
            shown(&path)
        )));
    };
    let is_get = method == "GET" || method == "HEAD";
    let is_right = match target {
        Target::Service(_) => method == "POST",
        _ => is_get,
    };
    if !is_right {
        let is_new = environment.get("SERVER_PROTOCOL") == Some("HTTP/1.1".as_ref());
        return Err(Refusal::wrong_method(&target, is_new));
    }
    let repository = match find(&dir, false, environment) {
        Err(ProgramError::NoRepository(_)) => {
            return Err(Refusal::not_found(format!(
                "Not a git repository: '{}'",
                shown(&dir)
            )));
        }
        found => found.map_err(broken)?,
    };
    let prefix = namespace::prefix(environment).map_err(broken)?;
    let may_be_served = environment.present("GIT_HTTP_EXPORT_ALL").is_some()
        || repository.own_dir().join(EXPORT_OK).exists();
    if !may_be_served {
        return Err(Refusal::not_found(format!(
            "Repository not exported: '{}'",
            shown(&dir)
        )));
    }
    let config = Config::load(environment, &repository).map_err(broken)?;
    let settings = HttpSettings::read(&config, environment).map_err(broken)?;
    Ok(Prepared {
        repository,
        prefix,
        settings,
        target,
    })
}

fn broken(error: ProgramError) -> Refusal {
    Refusal::broken(with_causes(&error))
}

/// The path on disk that the request names, repository and what is wanted of it.
fn translated_path(environment: &Environment) -> Result<PathBuf, Refusal> {
    let Some(root) = environment.get("GIT_PROJECT_ROOT") else {
        return match environment.get("PATH_TRANSLATED") {
            Some(path) => Ok(path.into()),
            None => Err(Refusal::broken(
                "No GIT_PROJECT_ROOT or PATH_TRANSLATED from server",
            )),
        };
    };
    let path = environment
        .get("PATH_INFO")
        .ok_or_else(|| Refusal::broken("GIT_PROJECT_ROOT is set but PATH_INFO is not"))?;
    if route::is_aliased(path.as_bytes()) {
        let path = Path::new(path).display();
        return Err(Refusal::broken(format!("'{path}': aliased")));
    }
    let mut whole = root.as_bytes().to_vec();
    if !whole.ends_with(b"/") {
        whole.push(b'/');
    }
    whole.extend_from_slice(
        path.as_bytes()
            .strip_prefix(b"/")
            .unwrap_or(path.as_bytes()),
    );
    Ok(OsString::from_vec(whole).into())
}

/// What a request is answered with before a program speaks.
fn begin(headers: &[(&str, &str)], out: &mut (dyn Write + Send)) -> Result<(), ProgramError> {
    let mut answer = Answer::default();
    answer.forbid_caching();
    for (name, value) in headers {
        answer.header(name, *value);
    }
    answer
        .write(out)
        .map_err(ProgramError::io("write", Path::new("the answer")))
}
