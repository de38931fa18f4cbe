//! Fetches by a client that keeps nothing: `curl`, so that a server is measured and not `git index-pack`.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Result;

/// A request of protocol version 2 in a file, to be sent as often as wanted.
pub(crate) struct Request {
    file: PathBuf,
}

impl Request {
    /// A fetch of `want` by who has `haves`.
    pub(crate) fn fetch(folder: &Path, want: &str, haves: &[&str]) -> Result<Request> {
        let mut body = String::new();
        let mut line = |text: &str| write!(body, "{:04x}{text}", text.len() + 4);
        line("command=fetch")?;
        line("object-format=sha1")?;
        body.push_str("0001");
        let mut line = |text: &str| write!(body, "{:04x}{text}", text.len() + 4);
        line("thin-pack")?;
        line("ofs-delta")?;
        line(&format!("want {want}\n"))?;
        for have in haves {
            line(&format!("have {have}\n"))?;
        }
        line("done\n")?;
        body.push_str("0000");
        let file = folder.join(format!("request-{}", haves.len()));
        std::fs::write(&file, body)?;
        Ok(Request { file })
    }

    /// Sends it, and returns the program that reads the answer to its end.
    pub(crate) fn start(&self, url: &str) -> Result<Child> {
        let child = Command::new("curl")
            .args(["-sSf", "--request", "POST", "--output", "/dev/null"])
            .args(["-H", "Git-Protocol: version=2"])
            .args(["-H", "Content-Type: application/x-git-upload-pack-request"])
            .args(["-w", "%{size_download}"])
            .arg("--data-binary")
            .arg(format!("@{}", self.file.display()))
            .arg(format!("{url}/git-upload-pack"))
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(child)
    }

    /// Sends it and reads the answer, which must have at least `bytes`.
    pub(crate) fn send(&self, url: &str, bytes: u64) -> Result<()> {
        finish(self.start(url)?, bytes)
    }
}

/// Waits for an answer, which must have at least `bytes`.
pub(crate) fn finish(child: Child, bytes: u64) -> Result<()> {
    let output = child.wait_with_output()?;
    let got: u64 = String::from_utf8(output.stdout)?
        .trim()
        .parse()
        .unwrap_or(0);
    match output.status.success() && got >= bytes {
        true => Ok(()),
        false => Err(format!(
            "curl ended with {} after {got} of {bytes} bytes",
            output.status
        )
        .into()),
    }
}

/// What a revision of a repository is.
pub(crate) fn rev_parse(repo: &Path, revision: &str) -> Result<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(repo)
        .args(["rev-parse", "--verify", revision])
        .output()?;
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout)?.trim().to_owned()),
        false => Err(format!("no revision {revision} in {}", repo.display()).into()),
    }
}
