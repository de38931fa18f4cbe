//! Who we are to a server, and the system's programs that know it.

use std::fmt;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use reqwest::Url;

/// How long a program may think about credentials.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most that is read of its answer.
const ANSWER_BYTES: u64 = 64 << 10;

/// What a user or password is encoded of: all but letters, digits and what stands for itself everywhere.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes `text` in.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What proves who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A user and a password, or a token in its place.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token of its own.
    Bearer(Secret),
}

impl Credential {
    /// A user with a password.
    pub fn basic(user: impl Into<String>, password: impl Into<String>) -> Credential {
        Credential::Basic {
            user: user.into(),
            password: Secret::new(password),
        }
    }

    /// The value of the header `Authorization`.
    pub(crate) fn authorization(&self) -> String {
        match self {
            Credential::Basic { user, password } => {
                let both = format!("{user}:{}", password.reveal());
                format!("Basic {}", STANDARD.encode(both))
            }
            Credential::Bearer(token) => format!("Bearer {}", token.reveal()),
        }
    }
}

/// Finds credentials when a server asks for some. Its calls may block.
pub trait CredentialSource: Send + Sync {
    /// Credentials for `url`, if there are some; `user` is who the caller wants to be.
    fn find(&self, url: &str, user: Option<&str>) -> Option<Credential>;

    /// They were accepted.
    fn approve(&self, url: &str, credential: &Credential) {
        let _ = (url, credential);
    }

    /// They were refused.
    fn reject(&self, url: &str, credential: &Credential) {
        let _ = (url, credential);
    }
}

/// Asks `git credential fill`, then `gh auth token`, for HTTPS URLs. Nobody is prompted.
#[derive(Clone, Debug)]
pub struct SystemCredentials {
    git: String,
    gh: String,
}

impl Default for SystemCredentials {
    fn default() -> SystemCredentials {
        SystemCredentials {
            git: "git".to_owned(),
            gh: "gh".to_owned(),
        }
    }
}

impl SystemCredentials {
    /// With other programs in the place of `git` and `gh`.
    pub fn with_programs(git: impl Into<String>, gh: impl Into<String>) -> SystemCredentials {
        SystemCredentials {
            git: git.into(),
            gh: gh.into(),
        }
    }

    /// `url` with the credentials that the system's programs know for it. A URL that is not HTTPS, that has a user
    /// already, or that nobody knows credentials for, comes back as it is.
    pub fn resolve(&self, url: &str) -> String {
        let Some(parsed) = https(url).filter(|url| url.username().is_empty()) else {
            return url.to_owned();
        };
        match self.lookup(&parsed, None) {
            Some((user, password)) => {
                with_user(&parsed, &user, password.reveal()).unwrap_or_else(|| url.to_owned())
            }
            None => url.to_owned(),
        }
    }

    fn lookup(&self, url: &Url, user: Option<&str>) -> Option<(String, Secret)> {
        self.ask_git(url, user).or_else(|| self.ask_gh(url))
    }

    fn ask_git(&self, url: &Url, user: Option<&str>) -> Option<(String, Secret)> {
        let mut question = description(url)?;
        if let Some(user) = user.filter(|user| !user.contains(['\n', '\0'])) {
            question.push_str(&format!("username={user}\n"));
        }
        question.push('\n');
        let answer = run(&self.git, &["credential", "fill"], &question)?;
        let field = |name: &str| {
            let line = answer
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.filter(|value| !value.is_empty())
        };
        Some((
            field("username")?.to_owned(),
            Secret::new(field("password")?),
        ))
    }

    fn ask_gh(&self, url: &Url) -> Option<(String, Secret)> {
        let host = url.host_str().filter(|host| !host.starts_with('-'))?;
        let answer = run(&self.gh, &["auth", "token", "--hostname", host], "")?;
        let token = answer.trim();
        let is_token = !token.is_empty() && !token.contains(char::is_whitespace);
        is_token.then(|| ("x-access-token".to_owned(), Secret::new(token)))
    }

    fn tell_git(&self, verb: &str, url: &str, credential: &Credential) {
        let (Some(url), Credential::Basic { user, password }) = (https(url), credential) else {
            return;
        };
        let Some(mut text) = description(&url) else {
            return;
        };
        if [user.as_str(), password.reveal()]
            .iter()
            .any(|part| part.contains(['\n', '\0']))
        {
            return;
        }
        text.push_str(&format!(
            "username={user}\npassword={}\n\n",
            password.reveal()
        ));
        // Only a convenience for next time.
        let _ = run(&self.git, &["credential", verb], &text);
    }
}

impl CredentialSource for SystemCredentials {
    fn find(&self, url: &str, user: Option<&str>) -> Option<Credential> {
        let (user, password) = self.lookup(&https(url)?, user)?;
        Some(Credential::Basic { user, password })
    }

    fn reject(&self, url: &str, credential: &Credential) {
        self.tell_git("reject", url, credential);
    }
}

/// `url` with the credentials that `git credential fill`, or else `gh auth token`, know for it; only HTTPS URLs change.
///
/// The result is a secret. This is the one function here that uses what the machine is set up with.
pub fn resolve_credentials(url: &str) -> String {
    SystemCredentials::default().resolve(url)
}

fn https(url: &str) -> Option<Url> {
    // A line break would become a line of its own in what the programs are asked.
    if url.contains(['\n', '\r', '\0']) {
        return None;
    }
    Url::parse(url).ok().filter(|url| url.scheme() == "https")
}

/// The URL as `git credential` is told of it.
fn description(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    let host = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let path = percent_encoding::percent_decode_str(url.path().trim_start_matches('/'))
        .decode_utf8()
        .ok()
        .filter(|path| !path.contains(['\n', '\0']))?;
    let path = path.strip_suffix("/info/refs").unwrap_or(&path).to_owned();
    Some(format!("protocol=https\nhost={host}\npath={path}\n"))
}

fn with_user(url: &Url, user: &str, password: &str) -> Option<String> {
    // The URL would keep a `%` as it is, and so change what stands behind it.
    let encoded = |part| percent_encoding::utf8_percent_encode(part, ENCODED).to_string();
    let mut url = url.clone();
    url.set_username(&encoded(user)).ok()?;
    url.set_password(Some(&encoded(password))).ok()?;
    Some(url.into())
}

/// What a program answers, if it answers in time and with success.
fn run(program: &str, arguments: &[&str], input: &str) -> Option<String> {
    let mut child = Command::new(program)
        .args(arguments)
        // Nobody sits at the other end.
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GCM_INTERACTIVE", "never")
        .env("GH_PROMPT_DISABLED", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take()?;
    let mut stdout = child.stdout.take()?;
    // The question is short: the pipe holds it.
    // A program that knows without reading it hangs up.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let reading = std::thread::spawn(move || {
        let mut answer = String::new();
        let read = stdout
            .by_ref()
            .take(ANSWER_BYTES)
            .read_to_string(&mut answer);
        read.is_ok().then_some(answer)
    });
    let succeeded = wait(&mut child);
    // A program that does not end may have left children that hold the pipe.
    succeeded.then(|| reading.join().ok().flatten()).flatten()
}

fn wait(child: &mut Child) -> bool {
    let begun = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if begun.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(10)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let credential = Credential::basic("me", "hunter2");
        assert_eq!(
            format!("{credential:?}"),
            "Basic { user: \"me\", password: *** }"
        );
        assert_eq!(credential.authorization(), "Basic bWU6aHVudGVyMg==");
    }

    #[test]
    fn urls_become_questions_of_one_line_each() {
        let of = |url: &str| description(&https(url).unwrap());
        assert_eq!(
            of("https://h:444/a%20b.git").as_deref(),
            Some("protocol=https\nhost=h:444\npath=a b.git\n")
        );
        assert_eq!(of("https://h/a%0ahost=evil"), None);
        assert!(https("https://h/a\nb").is_none());
        assert!(https("http://h/a").is_none());
    }
}
