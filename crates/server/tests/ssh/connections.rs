//! Clients that hang, crowd, or are there when the server stops.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Child;

use crate::support::{Checkout, SshUser, TestServer, finish, noise, ssh_url};

const UNDER_WAY: &str = "packhouse_under_way{kind=\"fetch\"}";
const WAITING: &str = "packhouse_turns_waiting{kind=\"fetch\"}";
const CONNECTIONS: &str = "packhouse_ssh_connections";

/// Starts `git-upload-pack` by hand; what is returned has read the first line that the server says.
async fn upload_pack(server: &TestServer, user: &SshUser) -> (Child, String) {
    let asked = ["git@127.0.0.1", "git-upload-pack 'acme/a.git'"];
    let mut child = user.spawn(server, &asked).await;
    let mut first = Vec::new();
    let mut stdout = BufReader::with_capacity(1, child.stdout.take().unwrap());
    stdout.read_until(b'\n', &mut first).await.unwrap();
    child.stdout = Some(stdout.into_inner());
    (child, String::from_utf8_lossy(&first).into_owned())
}

#[tokio::test]
async fn who_does_not_log_in_goes() {
    let (server, _) = TestServer::with_ssh("a", |config| {
        config.limits.ssh.login = Duration::from_millis(300);
    })
    .await;
    let (address, _) = server.server.ssh().unwrap();
    for said in ["", "SSH-2.0-Silent\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        // It ends, by whatever means.
        let ended = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut heard));
        let _ = ended.await.expect("the connection stays open");
        assert!(heard.starts_with(b"SSH-2.0-Packhouse\r\n"), "{heard:?}");
    }
    server.until_metric(CONNECTIONS, 0.0).await;
}

#[tokio::test]
async fn who_asks_for_nothing_or_says_nothing_goes() {
    let (server, user) = TestServer::with_ssh("a", |config| {
        config.limits.ssh.idle = Duration::from_secs(2);
    })
    .await;
    server.put("a", "x", "1").await;
    // Logged in, with nothing to do.
    let child = user.spawn(&server, &["-N", "git@127.0.0.1"]).await;
    let output = finish(child).await;
    assert!(!output.status.success(), "{output:?}");
    // In the middle of the protocol, with its input open.
    let (mut child, first) = upload_pack(&server, &user).await;
    assert!(first.contains("HEAD"), "{first}");
    let _open = child.stdin.take();
    let output = finish(child).await;
    assert!(!output.status.success(), "{output:?}");
    server.until_metric(UNDER_WAY, 0.0).await;
    server.until_metric(CONNECTIONS, 0.0).await;
}

#[tokio::test]
async fn who_does_not_read_loses_its_turn() {
    let (server, user) = TestServer::with_ssh("a", |config| {
        config.limits.write_idle = Duration::from_millis(500);
    })
    .await;
    // More than fits between the server and a client that reads nothing.
    let checkout = Checkout::init().await;
    let data = noise(8_000_000);
    let head = checkout.commit("big", &data).await;
    let setting = user.setting(&server).await;
    let url = ssh_url("acme/a.git");
    let push = ["-c", &setting, "push", "-q", &url, "main"];
    checkout.git(&push).await;

    let (mut child, _) = upload_pack(&server, &user).await;
    let mut stdin = child.stdin.take().unwrap();
    let want = format!("want {head}\n");
    let request = format!("{:04x}{want}00000009done\n", want.len() + 4);
    let (begin, rest) = request.split_at(8);
    stdin.write_all(begin.as_bytes()).await.unwrap();
    server.until_metric(UNDER_WAY, 1.0).await;
    stdin.write_all(rest.as_bytes()).await.unwrap();
    server.until_metric(UNDER_WAY, 0.0).await;
    child.kill().await.unwrap();
    server.until_metric(CONNECTIONS, 0.0).await;
}

#[tokio::test]
async fn who_has_not_begun_has_no_turn() {
    let (server, user) = TestServer::with_ssh("a", |config| {
        let limits = &mut config.limits;
        (limits.fetches, limits.org_queue) = (1, 1);
        limits.queue_wait = Duration::from_secs(2);
    })
    .await;
    server.put("a", "x", "1").await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let (child, first) = upload_pack(&server, &user).await;
        assert!(first.contains("HEAD"), "{first}");
        clients.push(child);
    }
    user.clone(&server, "acme/a.git", &[]).await;
    assert_eq!(server.metric(UNDER_WAY).await, Some(0.0));
    // One that begins has the only one, and another waits for it.
    let mut stdin = clients[0].stdin.take().unwrap();
    stdin.write_all(b"0032").await.unwrap();
    server.until_metric(UNDER_WAY, 1.0).await;
    let mut waiting = clients[1].stdin.take().unwrap();
    waiting.write_all(b"0032").await.unwrap();
    server.until_metric(WAITING, 1.0).await;
    // Where no more may wait, nobody is asked to begin.
    let asked = ["git@127.0.0.1", "git-upload-pack 'acme/a.git'"];
    let output = user.ssh(&server, &asked).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected = "packhouse: too many fetches at once: 1 of this organisation wait already";
    assert!(told.contains(expected), "{told}");
    assert!(
        !output.status.success() && output.stdout.is_empty(),
        "{output:?}"
    );
    let output = finish(clients.remove(1)).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains("too many fetches at once: none ended within 2 s"),
        "{told}"
    );
    drop((stdin, waiting, clients));
    server.until_metric(UNDER_WAY, 0.0).await;
    server.until_metric(CONNECTIONS, 0.0).await;
}

#[tokio::test]
async fn who_sends_drop_by_drop_loses_its_turn() {
    let (server, user) = TestServer::with_ssh("a", |config| {
        config.limits.body_idle = Duration::from_secs(1);
        config.limits.body_min_rate = 1000;
    })
    .await;
    server.put("a", "x", "1").await;
    let (mut child, _) = upload_pack(&server, &user).await;
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"fff0").await.unwrap();
    server.until_metric(UNDER_WAY, 1.0).await;
    let drops = async {
        while stdin.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = drops => {}
        () = server.until_metric(UNDER_WAY, 0.0) => {}
    }
    server.until_metric(UNDER_WAY, 0.0).await;
}

#[tokio::test]
async fn who_goes_in_the_middle_leaves_nothing_behind() {
    let (server, user) = TestServer::with_ssh("a", |_| {}).await;
    server.put("a", "x", "1").await;
    let (mut child, _) = upload_pack(&server, &user).await;
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"00").await.unwrap();
    server.until_metric(UNDER_WAY, 1.0).await;
    child.kill().await.unwrap();
    server.until_metric(UNDER_WAY, 0.0).await;
    server.until_metric(CONNECTIONS, 0.0).await;
}

#[tokio::test]
async fn one_address_has_no_more_than_its_share() {
    let (server, user) = TestServer::with_ssh("a", |config| {
        config.limits.ssh.connections_per_address = 2;
    })
    .await;
    let (address, _) = server.server.ssh().unwrap();
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.read_exact(&mut [0; 4]).await.unwrap();
        streams.push(stream);
    }
    let mut third = TcpStream::connect(address).await.unwrap();
    let closed = third.read(&mut [0; 4]).await;
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    streams.pop();
    server.until_metric(CONNECTIONS, 1.0).await;
    user.clone(&server, "acme/a.git", &[]).await;
}

#[tokio::test]
async fn what_is_under_way_ends_before_the_server_does() {
    let (server, user) = TestServer::with_ssh("a", |config| {
        config.limits.shutdown = Duration::from_secs(30);
    })
    .await;
    server.put("a", "x", "1").await;
    let idle = user.spawn(&server, &["-N", "git@127.0.0.1"]).await;
    server.until_metric(CONNECTIONS, 1.0).await;
    let (mut child, _) = upload_pack(&server, &user).await;
    let stopping = tokio::spawn(server.server.shutdown());
    // Who does nothing is sent away at once.
    let output = finish(idle).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{told}");
    assert!(!stopping.is_finished());
    // The client is done: nothing is wanted.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"0000").await.unwrap();
    drop(stdin);
    let output = finish(child).await;
    assert!(output.status.success(), "{output:?}");
    stopping.await.unwrap();
}

#[tokio::test]
async fn a_server_that_has_waited_long_enough_ends_what_is_under_way() {
    let (server, user) = TestServer::with_ssh("a", |config| {
        config.limits.shutdown = Duration::from_millis(100);
    })
    .await;
    server.put("a", "x", "1").await;
    let (mut child, _) = upload_pack(&server, &user).await;
    let _open = child.stdin.take();
    server.server.shutdown().await;
    let output = finish(child).await;
    assert!(!output.status.success(), "{output:?}");
}

#[tokio::test]
async fn many_clients_at_once_get_what_is_theirs() {
    let (server, user) = TestServer::with_ssh("a", |_| {}).await;
    let head = server.put("a", "x", "1").await;
    let (server, user) = (&server, &user);
    // Written once: all read the same files.
    let setting = &user.setting(server).await;
    let clients = (0..16).map(async |at| {
        let url = ssh_url("acme/a.git");
        let checkout = Checkout::clone(&url, &["-c", setting]).await;
        assert_eq!(checkout.git(&["rev-parse", "HEAD"]).await, head);
        let mine = checkout.commit("mine", format!("{at}").as_bytes()).await;
        let target = format!("main:client-{at}");
        checkout.git(&["push", "-q", "origin", &target]).await;
        (format!("client-{at}"), mine)
    });
    let mut pushed = futures::future::join_all(clients).await;
    pushed.push(("main".to_owned(), head.clone()));
    pushed.sort();
    let mut there = server.branches("a", "").await;
    there.sort();
    assert_eq!(there, pushed);
    server.until_metric(CONNECTIONS, 0.0).await;
}

#[tokio::test]
async fn a_connection_runs_any_number_of_commands_one_after_the_other() {
    let (server, user) = TestServer::with_ssh("a", |config| {
        config.limits.ssh.commands = 4;
    })
    .await;
    let _connection = user.connect(&server).await;
    // Commands that run, and what is refused without one: both are ended by the server.
    for at in 0..15 {
        let output = user.over(&server, "git-upload-pack 'acme/a.git'").await;
        assert!(output.status.success(), "{at}: {output:?}");
        let output = user.over(&server, "id").await;
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            told.contains("packhouse: Packhouse gives no shell"),
            "{at}: {told}"
        );
    }
    server.until_metric(CONNECTIONS, 1.0).await;
}
