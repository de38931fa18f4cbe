//! Rate limits, over the API, on event streams and with plain git.

use std::time::{Duration, Instant};

use packhouse_server::Rate;
use serde_json::json;

use crate::support::{Answer, Checkout, CommitBody, TestServer, Token};

/// More requests than any burst below, in less time than it takes to earn them.
const MANY: u32 = 40;

async fn with_rates(org: Option<(u32, u32)>, repo: Option<(u32, u32)>) -> TestServer {
    let rate = |(per_second, burst)| Rate::new(per_second, burst).unwrap();
    let server = TestServer::with_limits(|limits| {
        limits.org_rate = org.map(rate);
        limits.repo_rate = repo.map(rate);
    })
    .await;
    server.create("a").await;
    server
}

/// Lists branches until that is refused; says how often it was not, and in what time.
async fn until_refused(server: &TestServer, path: &str) -> (u32, Duration, Answer) {
    let began = Instant::now();
    for admitted in 0..MANY {
        let answer = server.get(path, &Token::read("a")).await;
        if answer.status != 200 {
            return (admitted, began.elapsed(), answer.expect(429));
        }
    }
    panic!("{MANY} requests in {:?} were admitted", began.elapsed());
}

fn retry_after(answer: &Answer) -> u64 {
    answer.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn too_many_requests_are_refused_until_the_client_has_waited() {
    let server = with_rates(None, Some((1, 5))).await;
    let (admitted, took, refused) = until_refused(&server, "/repos/branches").await;
    // One of five was the creation.
    assert!(
        (4..=5 + took.as_secs() as u32).contains(&admitted),
        "{admitted}"
    );
    assert_eq!(refused.code(), "rate_limited");
    assert!(
        refused.error().starts_with(
            "too many requests for repository `a`: 1 per second are allowed, 5 at once"
        ),
        "{}",
        refused.body
    );
    let wait = retry_after(&refused);
    assert_eq!(wait, 1);
    tokio::time::sleep(Duration::from_secs(wait)).await;
    server
        .get("/repos/branches", &Token::read("a"))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_path_that_names_the_repository_counts_once() {
    let server = with_rates(None, Some((1, 9))).await;
    let named = |path: &str| {
        let request = server
            .http
            .get(format!("{}/api/repos/{path}", server.url()));
        server.send(request.bearer_auth(Token::read("a").text()))
    };
    for _ in 0..8 {
        named("a/branches").await.expect(200);
    }
    // The one that names another repository is refused for that, and counts too.
    let began = Instant::now();
    let mut statuses = Vec::new();
    for _ in 0..MANY {
        statuses.push(named("b/branches").await.status);
    }
    let others = statuses.iter().filter(|status| **status == 403).count();
    assert!(
        others as u64 <= 1 + began.elapsed().as_secs() + 1,
        "{statuses:?}"
    );
    assert!(
        statuses.iter().all(|status| [403, 429].contains(status)),
        "{statuses:?}"
    );
}

#[tokio::test]
async fn all_repositories_share_the_limit_of_their_organisation() {
    let server = with_rates(Some((1, 6)), Some((100, 100))).await;
    let mut refused = 0;
    for number in 0..MANY {
        let repo = format!("other-{number}");
        let answer = server.get("/repo", &Token::read(&repo)).await;
        assert!([404, 429].contains(&answer.status), "{}", answer.body);
        refused += u32::from(answer.status == 429);
        if answer.status == 429 {
            assert!(
                answer.error().contains("organisation `acme`"),
                "{}",
                answer.body
            );
        }
    }
    assert!(refused > MANY / 2, "{refused}");
    let metrics = server
        .http
        .get(format!("{}/metrics", server.url()))
        .send()
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    let line = format!("packhouse_rate_limited_total{{limit=\"org\"}} {refused}");
    assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
}

#[tokio::test]
async fn a_refused_commit_says_so_in_its_own_form_and_writes_nothing() {
    let server = with_rates(None, Some((1, 3))).await;
    let large = vec![b'x'; 3 << 20];
    let mut refused = None;
    let mut written = 0;
    for number in 0..MANY {
        let body = CommitBody::new("main").file(&format!("{number}"), &large);
        let answer = server.commit("a", body).await;
        match answer.status {
            201 => written += 1,
            _ => refused = Some(answer.expect(429)),
        }
        if refused.is_some() {
            break;
        }
    }
    let refused = refused.unwrap();
    assert_eq!(refused.code(), "rate_limited");
    assert_eq!(refused.body["result"]["success"], false);
    assert_eq!(refused.body["result"]["status"], "unavailable");
    assert!(refused.headers.contains_key("retry-after"));
    tokio::time::sleep(Duration::from_secs(retry_after(&refused))).await;
    let commits = server
        .get("/repos/commits?limit=100", &Token::read("a"))
        .await
        .expect(200);
    assert_eq!(commits.body["commits"].as_array().unwrap().len(), written);
}

#[tokio::test]
async fn event_streams_count_when_they_are_opened() {
    let server = with_rates(None, Some((1, 5))).await;
    let mut open = Vec::new();
    for _ in 0..MANY {
        let request = server.request(reqwest::Method::GET, "/events", &Token::read("a"));
        let answer = request.send().await.unwrap();
        if answer.status() == 429 {
            assert!(answer.headers().contains_key("retry-after"));
            return;
        }
        assert_eq!(answer.status(), 200);
        open.push(answer);
    }
    panic!("{MANY} streams were opened");
}

#[tokio::test]
async fn git_shows_why_and_is_not_cut_off_in_the_middle() {
    let server = with_rates(None, Some((1, 6))).await;
    let url = server.git_url("a", &Token::write("a"));
    let checkout = Checkout::init().await;
    checkout.commit("x", b"1").await;
    let mut refusal = String::new();
    for _ in 0..MANY {
        let output = crate::support::git_output(checkout.path(), &["ls-remote", &url]).await;
        if !output.status.success() {
            refusal = String::from_utf8(output.stderr).unwrap();
            break;
        }
    }
    assert!(
        refusal.contains("remote: too many requests for repository `a`"),
        "{refusal}"
    );
    assert!(refusal.contains("try again in"), "{refusal}");
    assert!(refusal.contains("429"), "{refusal}");
    // Room for three is what `info/refs` waits for, and the most that these take.
    tokio::time::sleep(Duration::from_secs(3)).await;
    checkout.git(&["push", "-q", &url, "main"]).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    Checkout::clone(&url, &[]).await;
}

#[tokio::test]
async fn nobody_is_limited_unless_that_is_asked_for() {
    let server = TestServer::with_repo("a").await;
    for _ in 0..300 {
        server.get("/repo", &Token::read("a")).await.expect(200);
    }
    let body = json!({});
    server
        .post("/repos", &Token::new("b", &["repo:write"]), &body)
        .await
        .expect(201);
}

#[tokio::test]
async fn what_is_asked_of_the_organisation_counts_for_no_repository() {
    let server = with_rates(Some((1, 30)), Some((1, 5))).await;
    // Both are ways to say it.
    let named = Token::new("org", &["org:read"]);
    let unnamed = named.clone().with("repo", serde_json::Value::Null);
    let mut admitted = 0;
    let refused = loop {
        let token = [&named, &unnamed][admitted % 2];
        let answer = server.get("/repos", token).await;
        if answer.status != 200 {
            break answer.expect(429);
        }
        admitted += 1;
    };
    assert!(admitted > 20, "{admitted}");
    assert!(
        refused
            .error()
            .starts_with("too many requests for organisation"),
        "{}",
        refused.body
    );
}
