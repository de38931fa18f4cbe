//! What a process that is killed leaves among the files under way.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use packhouse_catalog::Catalog;
use packhouse_repo::{Hosted, HostedOptions};

use crate::hosted::{NEVER, Place, new_org, new_repo};

/// Names the place to a process that holds a file under way until it is killed.
const CHILD: &str = "PACKHOUSE_REPO_KILLED_CHILD";

#[test]
fn child() {
    let Ok(folder) = std::env::var(CHILD) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let at = |name: &str| Path::new(&folder).join(name);
        let url = format!("sqlite:{}", at("catalog.db").display());
        let catalog = Catalog::open(&url).await.unwrap();
        let bucket = packhouse_bucket::open("memory:").unwrap();
        let (cache, temp) = (at("shared/cache"), at("shared/tmp"));
        let options = HostedOptions::new(catalog, bucket, cache, temp);
        let node = Hosted::open(options).unwrap();
        let org = node.catalog().org("acme").await.unwrap().unwrap().id;
        let repo = node.repository(org, "a").await.unwrap().unwrap();
        let file = repo.quarantine_dir().join("under-way");
        std::fs::write(&file, "half").unwrap();
        let line = format!("at {}\n", file.display());
        std::io::stdout().write_all(line.as_bytes()).unwrap();
        // Until it is killed, or the test is gone.
        let _ = std::io::stdin().read_line(&mut String::new());
    });
    std::process::exit(0);
}

fn start(folder: &Path) -> (Child, PathBuf) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["killed::child", "--exact", "--nocapture"])
        .env(CHILD, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let file = out
        .lines()
        .map(Result::unwrap)
        .find_map(|line| line.split_once("at ").map(|(_, path)| PathBuf::from(path)))
        .unwrap();
    (child, file)
}

#[tokio::test]
async fn files_of_a_killed_process_go_and_those_of_a_living_one_stay() {
    let place = Place::local();
    let node = place.node("first", NEVER).await;
    let org = new_org(&node).await;
    new_repo(&node, org, "a").await;
    node.shutdown().await;

    let (mut killed, left) = start(place.folder.path());
    let (mut living, kept) = start(place.folder.path());
    assert_ne!(left.parent(), kept.parent());
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(left.exists());

    let next = place.node("shared", NEVER).await;
    assert!(!left.exists(), "{}", left.display());
    assert!(!left.parent().unwrap().exists());
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "half");
    next.shutdown().await;
    living.kill().unwrap();
    living.wait().unwrap();
}
