//! `http-backend` beside git's: clones, pushes, and every kind of refusal.

use std::collections::BTreeSet;
use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use packhouse_programs::http_backend;

use crate::doors::{BOTH, World, environment, variables};
use crate::git::command;
use crate::responder::{Request, Responder, Site};

/// Runs ours below `/ours/…`, git's below `/gits/…`.
struct Cgi {
    root: PathBuf,
    user: Option<&'static str>,
}

impl Site for Cgi {
    fn answer(&self, mut request: Request<'_>, out: &mut (dyn Write + Send)) -> io::Result<()> {
        let mut body = Vec::new();
        request.body.read_to_end(&mut body)?;
        let length = body.len().to_string();
        let mut given = vec![
            ("REQUEST_METHOD", request.method.as_str()),
            ("PATH_INFO", request.path.as_str()),
            ("QUERY_STRING", request.query.as_str()),
            ("CONTENT_LENGTH", length.as_str()),
            ("GIT_HTTP_EXPORT_ALL", "1"),
        ];
        for (variable, header) in [
            ("CONTENT_TYPE", "content-type"),
            ("HTTP_GIT_PROTOCOL", "git-protocol"),
        ] {
            given.extend(request.header(header).map(|value| (variable, value)));
        }
        given.extend(self.user.map(|user| ("REMOTE_USER", user)));
        let is_ours = request.path.starts_with("/ours");
        let (answer, _) = run(is_ours, &self.root, &given, &body);
        let status = answer
            .strip_prefix(b"Status: ")
            .and_then(|rest| rest.split(|byte| *byte == b'\r').next())
            .map_or("200 OK".into(), String::from_utf8_lossy);
        write!(out, "HTTP/1.1 {status}\r\nConnection: close\r\n")?;
        out.write_all(&answer)
    }
}

/// The answer to a request, and what was logged.
pub(crate) fn run(
    is_ours: bool,
    root: &Path,
    given: &[(&str, &str)],
    body: &[u8],
) -> (Vec<u8>, String) {
    let shown = root.display().to_string();
    let mut given = given.to_vec();
    if !given
        .iter()
        .any(|(name, _)| matches!(*name, "PATH_TRANSLATED" | "GIT_PROJECT_ROOT"))
    {
        given.push(("GIT_PROJECT_ROOT", &shown));
    }
    if is_ours {
        let (mut out, mut log) = (Vec::new(), String::new());
        let input = Box::new(Cursor::new(body.to_vec()));
        let log_line = &mut |line: &str| log.push_str(&format!("{line}\n"));
        let _ = http_backend(&environment(&given), input, &mut out, log_line);
        return (out, log);
    }
    let mut child = command()
        .arg("http-backend")
        .envs(variables())
        .env_remove("GIT_COMMITTER_NAME")
        .envs(given)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let body = body.to_vec();
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&body)));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    (output.stdout, String::from_utf8(output.stderr).unwrap())
}

fn site(world: &World, user: Option<&'static str>) -> Responder {
    let root = world.path("");
    Responder::start(Arc::new(Cgi { root, user }))
}

#[test]
fn clones_and_pushes_by_those_who_are_known() {
    let world = World::new();
    world.set("core.logAllRefUpdates", "true");
    let work = world.work();
    let known = site(&world, Some("ada"));
    let unknown = site(&world, None);
    for version in 0..=2 {
        let work = work.speaking(version);
        work.commit_file("v", &format!("{version}\n"));
        for name in BOTH {
            assert!(!work.try_run(&["push", "-q", &unknown.url(name), "main"]).ok);
            work.run(&["push", "-q", &known.url(name), "main", "other"]);
            let folder = format!("clone-{name}-{version}");
            world
                .root()
                .speaking(version)
                .run(&["clone", "-q", &unknown.url(name), &folder]);
            let clone = world.inside(&folder);
            clone.fsck();
            assert_eq!(
                clone.run(&["rev-parse", "HEAD"]),
                work.run(&["rev-parse", "main"])
            );
        }
        let [ours, gits] = BOTH.map(|name| {
            let url = unknown.url(name);
            world.root().speaking(version).run(&["ls-remote", &url])
        });
        assert_eq!(ours, gits);
    }
    world.inside("ours").fsck();
    let log = world
        .inside("ours")
        .run(&["reflog", "show", "--format=%gn <%ge>", "main"]);
    assert!(log.starts_with("Pusher <pusher@example.com>"), "{log}");
}

#[test]
fn clients_without_the_protocol_read_files() {
    let world = World::new();
    let work = world.work();
    work.run(&["tag", "-a", "-m", "note", "v1"]);
    for name in BOTH {
        let path = world.path(name);
        work.run(&["push", "-q", path.to_str().unwrap(), "main", "v1"]);
        let bare = world.inside(name);
        bare.run(&["repack", "-q", "-a", "-d"]);
        work.commit_file("z", "loose\n");
        work.run(&["push", "-q", path.to_str().unwrap(), "main"]);
        bare.run(&["update-server-info"]);
        work.run(&["reset", "-q", "--hard", "HEAD~1"]);
    }
    let door = site(&world, None);
    let mut client = command();
    let cloned = client
        .args(["clone", "-q", &door.url("ours"), "dumb"])
        .current_dir(world.path(""))
        .env("GIT_SMART_HTTP", "0")
        .output()
        .unwrap();
    assert!(
        cloned.status.success(),
        "{}",
        String::from_utf8_lossy(&cloned.stderr)
    );
    let dumb = world.inside("dumb");
    dumb.fsck();
    assert_eq!(
        dumb.run(&["rev-parse", "HEAD"]),
        world.inside("ours").run(&["rev-parse", "main"])
    );
}

/// An answer without what is the repository's own, or the moment's.
fn plain(answer: &[u8], name: &str) -> String {
    let text = String::from_utf8_lossy(answer).replace(name, "NAME");
    let lines = text
        .split("\r\n")
        .filter(|line| !line.starts_with("Last-Modified: ") && !line.starts_with("Date: "))
        .map(
            |line| match line.starts_with("Expires: ") && !line.contains("1980") {
                true => "Expires: later",
                false => line,
            },
        );
    let lines: Vec<&str> = lines.collect();
    let end = lines
        .iter()
        .position(|line| line.is_empty())
        .unwrap_or(lines.len());
    // Git says some headers twice when it thinks better of an answer.
    let headers: BTreeSet<&str> = lines[..end].iter().copied().collect();
    headers
        .into_iter()
        .chain(lines[end..].iter().copied())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn answers_and_refusals_are_gits() {
    let world = World::new();
    let work = world.work();
    work.run(&["tag", "-a", "-m", "note", "v1"]);
    for name in BOTH {
        let path = world.path(name);
        work.run(&["push", "-q", path.to_str().unwrap(), "main", "v1"]);
    }
    let loose = work.run(&["rev-parse", "main"]);
    let loose = format!("/objects/{}/{}", &loose[..2], &loose[2..]);
    let get = ("REQUEST_METHOD", "GET");
    let post = ("REQUEST_METHOD", "POST");
    let all = ("GIT_HTTP_EXPORT_ALL", "1");
    let service = ("QUERY_STRING", "service=git-upload-pack");
    let cases: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("/info/refs", vec![get, all]),
        ("/info/refs", vec![get]),
        (
            "/info/refs",
            vec![get, all, ("QUERY_STRING", "service=git-receive-pack")],
        ),
        (
            "/info/refs",
            vec![get, all, ("QUERY_STRING", "service=git-upload-archive")],
        ),
        (
            "/info/refs",
            vec![get, all, ("QUERY_STRING", "service=upload-pack")],
        ),
        (
            "/info/refs",
            vec![get, all, ("QUERY_STRING", "service=git%2Dupload-pack")],
        ),
        (
            "/info/refs",
            vec![
                get,
                all,
                ("QUERY_STRING", "service=none&a&service=git-upload-pack"),
            ],
        ),
        (
            "/info/refs",
            vec![get, all, service, ("GIT_NAMESPACE", "a b")],
        ),
        (
            "/HEAD",
            vec![get, all, ("GIT_HTTP_MAX_REQUEST_BUFFER", "10x")],
        ),
        ("/HEAD", vec![get, all, ("GIT_HTTP_MAX_REQUEST_BUFFER", "")]),
        (
            "/HEAD",
            vec![get, all, ("GIT_HTTP_MAX_REQUEST_BUFFER", "0x10k")],
        ),
        ("/info/refs", vec![post, all, service]),
        (
            "/info/refs",
            vec![post, all, service, ("SERVER_PROTOCOL", "HTTP/1.1")],
        ),
        (
            "/git-upload-pack",
            vec![get, all, ("SERVER_PROTOCOL", "HTTP/1.1")],
        ),
        (
            "/git-upload-pack",
            vec![post, all, ("CONTENT_TYPE", "text/plain")],
        ),
        ("/git-upload-pack", vec![post, all]),
        (
            "/git-receive-pack",
            vec![
                post,
                all,
                ("CONTENT_TYPE", "application/x-git-upload-pack-request"),
            ],
        ),
        (
            "/git-upload-pack",
            vec![
                post,
                all,
                ("CONTENT_TYPE", "application/x-git-upload-pack-request"),
                ("CONTENT_LENGTH", "0"),
            ],
        ),
        ("/HEAD", vec![get, all]),
        ("/HEAD", vec![("REQUEST_METHOD", "HEAD"), all]),
        ("/config", vec![get, all]),
        ("/objects/info/packs", vec![get, all]),
        ("/objects/info/alternates", vec![get, all]),
        (loose.as_str(), vec![get, all]),
        ("/none/info/refs", vec![get, all]),
        ("/../x/info/refs", vec![get, all]),
        ("//info/refs", vec![get, all]),
        ("/info/refs", vec![all]),
        ("/info/refs", vec![get, all, ("PATH_TRANSLATED", "")]),
    ];
    for setting in [
        "",
        "http.getanyfile=false",
        "http.uploadpack=false",
        "http.receivepack=true",
        "http.uploadpack=maybe",
        "http.maxrequestbuffer=some",
    ] {
        if let Some((name, value)) = setting.split_once('=') {
            world.set(name, value);
        }
        for (path, given) in &cases {
            let [ours, gits] = BOTH.map(|name| {
                let info = format!("/{name}{path}");
                let mut given = given.clone();
                given.push(("PATH_INFO", &info));
                let (answer, log) = run(name == "ours", &world.path(""), &given, b"");
                (plain(&answer, name), log.trim_end().replace(name, "NAME"))
            });
            // The versions and names of the two programs differ, and so does the length of the line they stand in.
            let agent = |text: &str| text.split("agent=").next().unwrap().to_owned();
            let capabilities = |text: &str| agent(text).split("\n0000").next().unwrap().to_owned();
            assert_eq!(
                capabilities(&ours.0),
                capabilities(&gits.0),
                "{setting} {path} {given:?}"
            );
            if !gits.1.contains("fatal:") {
                assert_eq!(ours.1, gits.1, "{setting} {path} {given:?}");
            }
        }
        if let Some((name, _)) = setting.split_once('=') {
            world.unset(name);
        }
    }
}

#[test]
fn a_fetch_may_be_as_large_as_git_lets_it_be() {
    let world = World::new();
    let work = world.work();
    let main = work.run(&["rev-parse", "main"]);
    let line = |text: String| format!("{:04x}{text}", text.len() + 4);
    let want = line(format!("want {main} no-progress\n"));
    // Larger than the least that git makes room for.
    let wants = line(format!("want {main}\n")).repeat(300);
    let body = format!("{want}{wants}0000{}", line("done\n".to_owned()));
    let length = body.len().to_string();
    for name in BOTH {
        work.run(&["push", "-q", world.path(name).to_str().unwrap(), "main"]);
    }
    for (setting, variable, fits) in [
        (None, None, true),
        (None, Some("10m"), true),
        (None, Some("0x10k"), true),
        (None, Some("9000"), false),
        (Some("9000"), None, false),
        (Some("9k"), Some("1g"), true),
        (Some("1m"), Some("9000"), false),
    ] {
        if let Some(value) = setting {
            world.set("http.maxRequestBuffer", value);
        }
        for name in BOTH {
            let info = format!("/{name}/git-upload-pack");
            let mut given = vec![
                ("REQUEST_METHOD", "POST"),
                ("PATH_INFO", info.as_str()),
                ("GIT_HTTP_EXPORT_ALL", "1"),
                ("CONTENT_TYPE", "application/x-git-upload-pack-request"),
                ("CONTENT_LENGTH", length.as_str()),
            ];
            given.extend(variable.map(|value| ("GIT_HTTP_MAX_REQUEST_BUFFER", value)));
            let (answer, log) = run(name == "ours", &world.path(""), &given, body.as_bytes());
            let has_pack = answer.windows(4).any(|window| window == b"PACK");
            assert_eq!(has_pack, fits, "{name} {setting:?} {variable:?} {log}");
            if name == "ours" && !fits {
                assert!(answer.starts_with(b"Status: 500"), "{setting:?} {log}");
            }
        }
        if setting.is_some() {
            world.unset("http.maxRequestBuffer");
        }
    }
}

#[test]
fn a_repository_is_served_by_its_own_word() {
    let world = World::new();
    let work = world.work();
    for name in BOTH {
        let ask = || {
            let translated = world.path(name).join("HEAD");
            let translated = translated.to_str().unwrap();
            let given = [("REQUEST_METHOD", "GET"), ("PATH_TRANSLATED", translated)];
            String::from_utf8(run(name == "ours", &world.path(""), &given, b"").0).unwrap()
        };
        assert!(ask().starts_with("Status: 404 Not Found\r\n"), "{name}");
        std::fs::write(world.path(name).join("git-daemon-export-ok"), "").unwrap();
        assert!(ask().starts_with("Content-Length: 0\r\n"), "{name}");
        let path = world.path(name);
        work.run(&["push", "-q", path.to_str().unwrap(), "main"]);
        assert!(ask().ends_with("\r\n\r\nref: refs/heads/main\n"), "{name}");
    }
}
