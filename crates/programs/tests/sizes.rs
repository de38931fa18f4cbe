//! Requests and objects of sizes that a host refuses, and git does not.

use std::io::{Cursor, Write};
use std::process::Stdio;

use packhouse_programs::{Mode, ProgramCall, receive_pack, upload_pack};

use crate::doors::{BOTH, World, environment, variables};
use crate::git::{command, init_bare};

/// What a program answers to one request, of which it may not read all.
fn answer(world: &World, name: &str, program: &str, version: u8, body: &[u8]) -> Vec<u8> {
    let protocol = format!("version={version}");
    let protocol = ("GIT_PROTOCOL", protocol.as_str());
    if name == "ours" {
        let call = ProgramCall {
            dir: world.path(name),
            strict: true,
            timeout: None,
            quiet: false,
            mode: Mode::StatelessRpc,
        };
        let (environment, input) = (
            environment(&[protocol]),
            Box::new(Cursor::new(body.to_vec())),
        );
        let mut out = Vec::new();
        // What goes wrong the client is told.
        let _ = match program {
            "upload-pack" => upload_pack(&call, &environment, input, &mut out),
            _ => receive_pack(&call, &environment, input, &mut out),
        };
        return out;
    }
    let mut child = command()
        .args([program, "--stateless-rpc"])
        .arg(world.path(name))
        .envs(variables())
        .envs([protocol])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let body = body.to_vec();
    let feeding = std::thread::spawn(move || drop(stdin.write_all(&body)));
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    output.stdout
}

fn line(text: &[u8]) -> Vec<u8> {
    let length = format!("{:04x}", text.len() + 4);
    [length.as_bytes(), text].concat()
}

fn has(answer: &[u8], text: &str) -> bool {
    answer
        .windows(text.len())
        .any(|found| found == text.as_bytes())
}

#[test]
fn a_commit_of_any_size_is_pushed_and_cloned() {
    let world = World::new();
    let work = world.work();
    let tree = work.run(&["rev-parse", "main^{tree}"]);
    let head = format!("tree {tree}\nauthor x <y> 1 +0000\ncommitter x <y> 1 +0000\n\n");
    let mut text = head.into_bytes();
    // More than a host takes.
    text.resize(65 << 20, b'a');
    let commit = work.feed(&["hash-object", "-t", "commit", "-w", "--stdin"], &text);
    let refspec = format!("{commit}:refs/heads/main");
    assert!(world.push(&work, &["URL", &refspec]).0);
    // Git makes a file of it.
    init_bare(&world.path("ours-too"));
    let path = world.path("ours-too");
    work.run(&["push", "-q", path.to_str().unwrap(), &refspec]);
    for (name, version) in [("ours", 0), ("ours", 2), ("ours-too", 2)] {
        let folder = format!("{name}-{version}");
        let url = world.url(name);
        let client = world.root().speaking(version);
        client.run(&["clone", "-q", "--bare", &url, &folder]);
        let clone = world.inside(&folder);
        clone.fsck();
        assert_eq!(clone.run(&["rev-parse", "main"]), commit);
    }
}

#[test]
fn a_request_has_as_many_lines_as_a_client_sends() {
    let world = World::new();
    let work = world.work();
    let main = work.run(&["rev-parse", "main"]);
    for name in BOTH {
        work.run(&["push", "-q", world.path(name).to_str().unwrap(), "main"]);
    }
    let wants = line(format!("want {main}\n").as_bytes()).repeat(1_000_001);
    let done = line(b"done\n");
    let begin = [&line(b"command=fetch\n")[..], b"0001"].concat();
    let of_version_2 = [&begin[..], &wants, &done, b"0000"].concat();
    let of_version_0 = [&wants[..], b"0000", &done].concat();
    for (version, body) in [(2, of_version_2), (0, of_version_0)] {
        for name in BOTH {
            let answer = answer(&world, name, "upload-pack", version, &body);
            let start = String::from_utf8_lossy(&answer[..answer.len().min(100)]);
            assert!(has(&answer, "PACK"), "{name} {version} {start}");
        }
    }
}

/// The lines of a push that makes a branch.
fn creation(id: &str) -> Vec<u8> {
    let none = "0".repeat(40);
    let command = format!("{none} {id} refs/heads/new\0report-status");
    [&line(command.as_bytes())[..], b"0000"].concat()
}

#[test]
fn a_push_has_as_many_commands_as_a_client_sends() {
    let world = World::new();
    let (id, none) = ("1".repeat(40), "0".repeat(40));
    // Names that nobody may make a ref of cost neither of them much; together they have more than 64 MiB.
    let filler = "x".repeat(60_000);
    let mut body = Vec::new();
    for number in 0..1130 {
        let capabilities = if number == 0 { "\0report-status" } else { "" };
        let command = format!("{id} {none} funny/{number}-{filler}{capabilities}");
        body.extend(line(command.as_bytes()));
    }
    body.extend(b"0000");
    let [ours, gits] = BOTH.map(|name| answer(&world, name, "receive-pack", 0, &body));
    let last = format!("ng funny/1129-{filler} funny refname\n");
    assert!(has(&ours, &last), "{}", ours.len());
    assert_eq!(ours.len(), gits.len());
}

#[test]
fn a_pack_may_be_of_any_size_unless_the_settings_say_otherwise() {
    // How many objects it has, and the first that it has no end of: a file of 9 GiB, and one of 128 TiB.
    let entry = |mut size: u64| {
        let mut bytes = vec![0xb0 | (size & 15) as u8];
        size >>= 4;
        while size > 0 {
            bytes.push(0x80 | (size & 0x7f) as u8);
            size >>= 7;
        }
        *bytes.last_mut().unwrap() &= 0x7f;
        // The beginning of a zlib stream.
        bytes.extend([0x78, 0x01]);
        bytes
    };
    for setting in [None, Some("0")] {
        let world = World::new();
        if let Some(value) = setting {
            world.set("receive.maxInputSize", value);
        }
        for (objects, first) in [
            (17 << 20, entry(1)),
            (1, entry(9 << 30)),
            (1, entry(1 << 47)),
        ] {
            let mut body = creation(&"1".repeat(40));
            body.extend(b"PACK\0\0\0\x02");
            body.extend(u32::to_be_bytes(objects));
            body.extend(first);
            let answer = answer(&world, "ours", "receive-pack", 0, &body);
            let told = String::from_utf8_lossy(&answer);
            assert!(told.contains("the pack ends early"), "{objects} {told}");
        }
    }
}
