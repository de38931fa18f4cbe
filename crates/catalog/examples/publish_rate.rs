//! Measures a catalog: `publish_rate URL [SECONDS]`, on an empty one, built with `--release`.
//!
//! Prints what one durable write of the disk costs, what a single client waits for a publish, and
//! what 64 clients over 256 repositories get done. `URL` as for `Catalog::open`; the disk is that of
//! the SQLite file, or of the current folder.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::{Seek as _, Write as _};
use std::time::{Duration, Instant};

use packhouse_catalog::{Catalog, OrgId, Publish, RefEdit, RepoId, RepoRow};

const REPOS: usize = 256;
const CLIENTS: usize = 64;

/// A tail row like that of a one-file commit.
const TAIL_BYTES: usize = 2048;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let url = args.next().ok_or("usage: publish_rate URL [SECONDS]")?;
    let seconds = args.next().map_or(Ok(5), |text| text.parse())?;
    let time = Duration::from_secs(seconds);

    let folder = match url.strip_prefix("sqlite:") {
        Some(file) => std::path::Path::new(file).parent().map(ToOwned::to_owned),
        None => None,
    };
    let durable = fdatasync(folder.unwrap_or_else(|| ".".into()), 200)?;
    println!("fdatasync of 8 KiB                {}", Summary(&durable));

    let catalog = Catalog::open(&url).await?;
    let org = catalog
        .create_org(&format!("bench-{}", std::process::id()))
        .await?
        .id;
    let started = Instant::now();
    let repos = create(&catalog, org).await?;
    let rate = REPOS as f64 / started.elapsed().as_secs_f64();
    println!("create repository, {CLIENTS} clients    {rate:.0}/s");

    let mut alone = Vec::new();
    let first = repos.first().ok_or("no repository")?.clone();
    let mut writer = Writer::new(&catalog, first.id);
    for _ in 0..500 {
        let started = Instant::now();
        writer.publish().await?;
        alone.push(started.elapsed());
    }
    println!("publish, one client               {}", Summary(&alone));

    let mut reads = Vec::new();
    for _ in 0..5000 {
        let started = Instant::now();
        catalog
            .repo(org, &first.name)
            .await?
            .ok_or("the repository is gone")?;
        reads.push(started.elapsed());
    }
    println!("repo(), one client                {}", Summary(&reads));

    let started = Instant::now();
    let together = crowd(&catalog, &repos[1..], time).await?;
    let rate = together.len() as f64 / started.elapsed().as_secs_f64();
    println!(
        "publish, {CLIENTS} clients, {REPOS} repos   {} {rate:.0}/s",
        Summary(&together)
    );
    catalog.close().await;
    Ok(())
}

async fn create(catalog: &Catalog, org: OrgId) -> Result<Vec<RepoRow>, Failure> {
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let catalog = catalog.clone();
        tasks.spawn(async move {
            let mut repos = Vec::new();
            for number in (client..REPOS).step_by(CLIENTS) {
                repos.push(
                    catalog
                        .create_repo(org, &format!("repo-{number}"), "main")
                        .await?,
                );
            }
            Ok::<_, Failure>(repos)
        });
    }
    let repos: Result<Vec<_>, _> = tasks.join_all().await.into_iter().collect();
    Ok(repos?.concat())
}

/// 64 clients; each has a few repositories of its own and goes round them.
async fn crowd(
    catalog: &Catalog,
    repos: &[RepoRow],
    time: Duration,
) -> Result<Vec<Duration>, Failure> {
    let end = Instant::now() + time;
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let mine = repos.iter().skip(client).step_by(CLIENTS);
        let mut writers: Vec<_> = mine.map(|repo| Writer::new(catalog, repo.id)).collect();
        tasks.spawn(async move {
            let mut times = Vec::new();
            'all: loop {
                for writer in &mut writers {
                    let started = Instant::now();
                    if started >= end {
                        break 'all;
                    }
                    writer.publish().await?;
                    times.push(started.elapsed());
                }
            }
            Ok::<_, Failure>(times)
        });
    }
    let times: Result<Vec<_>, _> = tasks.join_all().await.into_iter().collect();
    Ok(times?.concat())
}

struct Writer {
    catalog: Catalog,
    repo: RepoId,
    at: u64,
}

impl Writer {
    fn new(catalog: &Catalog, repo: RepoId) -> Self {
        Self {
            catalog: catalog.clone(),
            repo,
            at: 0,
        }
    }

    async fn publish(&mut self) -> Result<(), Failure> {
        let id =
            |number: u64| (number > 0).then(|| [number.to_be_bytes(); 3].concat()[..20].to_vec());
        let edit = RefEdit {
            name: b"refs/heads/main".to_vec(),
            old: id(self.at),
            new: id(self.at + 1),
            peeled: None,
            message: "commit: measured".into(),
            who: None,
            origin: None,
        };
        let publish = Publish {
            repo: self.repo,
            tail: Some(vec![0x5a; TAIL_BYTES].into()),
            packs: Vec::new(),
            edits: vec![edit],
            who: "key 1234 (somebody)".into(),
            at_ms: 1_700_000_000_000,
            only_at: None,
            checked_at: 0,
        };
        self.catalog.publish(publish).await?;
        self.at += 1;
        Ok(())
    }
}

fn fdatasync(folder: std::path::PathBuf, times: usize) -> Result<Vec<Duration>, Failure> {
    let path = folder.join(format!("publish-rate-{}.tmp", std::process::id()));
    let mut file = std::fs::File::create(&path)?;
    let mut taken = Vec::new();
    file.write_all(&[0; 8192])?;
    for _ in 0..times {
        let started = Instant::now();
        file.rewind()?;
        file.write_all(&[1; 8192])?;
        file.sync_data()?;
        taken.push(started.elapsed());
    }
    std::fs::remove_file(path)?;
    Ok(taken)
}

struct Summary<'a>(&'a [Duration]);

impl std::fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut times = self.0.to_vec();
        times.sort();
        let at = |part: f64| {
            let index = ((times.len() as f64 * part) as usize).min(times.len().saturating_sub(1));
            times
                .get(index)
                .map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(at);
        write!(f, "p50 {p50:7.3} ms  p99 {p99:7.3} ms  max {max:7.3} ms")
    }
}
