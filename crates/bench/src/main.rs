//! The load generator behind `make bench`: every line runs against a started `packhouse serve` and, where there is
//! one, against its peer on the same machine in the same run. The results go to `docs/benchmarks.md`.

mod corpus;
mod cpu;
mod fixture;
mod http;
mod lines;
mod link;
mod peer;
mod report;
mod sample;
mod server;
mod settle;
mod token;

use std::path::PathBuf;

use clap::Parser;

use crate::report::Report;

/// A failure, told to a person.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measure a release build of Packhouse.
#[derive(Parser)]
struct Args {
    /// The server binary.
    #[arg(long, default_value = "target/release/packhouse")]
    binary: PathBuf,
    /// Where the report goes.
    #[arg(long, default_value = "docs/benchmarks.md")]
    out: PathBuf,
    /// Where repositories and data folders are made; on the disk to be measured.
    #[arg(long, default_value = "target/bench")]
    work: PathBuf,
    /// A PostgreSQL URL; without one its lines are left out.
    #[arg(long, env = "PACKHOUSE_TEST_POSTGRES")]
    postgres: Option<String>,
    /// A Python with Packhouse's wheel, `vost` and `pygit2`; without one the lines of the store fail.
    #[arg(long)]
    python: Option<PathBuf>,
    /// Run only lines whose names contain one of these, and leave the others in the report as they are.
    #[arg(long)]
    only: Vec<String>,
    /// Seconds each load line runs.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
}

/// What every line needs.
pub(crate) struct Bench {
    pub binary: PathBuf,
    pub work: PathBuf,
    pub postgres: Option<String>,
    pub python: Option<PathBuf>,
    pub seconds: u64,
}

/// Folders that stay until the run is over.
const KEPT: &str = "kept";

impl Bench {
    /// A new folder on the disk to be measured, which stays until the run is over.
    ///
    /// Whoever makes many files must not have removed as many a while before: ext4 gives the number of a removed file out
    /// again only after one to five minutes, and looks through all of those numbers for each new file meanwhile
    /// (`recently_deleted` in `fs/ext4/ialloc.c`). A checkout took four times as long for it.
    pub(crate) fn kept_folder(&self) -> Result<PathBuf> {
        let kept = self.work.join(KEPT);
        std::fs::create_dir_all(&kept)?;
        Ok(tempfile::tempdir_in(&kept)?.keep())
    }

    fn remove_kept(&self) -> Result<()> {
        let kept = self.work.join(KEPT);
        match kept.exists() {
            true => Ok(std::fs::remove_dir_all(kept)?),
            false => Ok(()),
        }
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    std::fs::create_dir_all(&args.work)?;
    let bench = Bench {
        binary: std::fs::canonicalize(&args.binary).map_err(|error| {
            format!(
                "{}: {error}; build it with `cargo build --release`",
                args.binary.display()
            )
        })?,
        work: std::fs::canonicalize(&args.work)?,
        postgres: args.postgres,
        python: args.python,
        seconds: args.seconds,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let mut report = Report::default();
    for (name, line) in lines::all() {
        if !args.only.is_empty()
            && !args
                .only
                .iter()
                .any(|wanted| name.contains(wanted.as_str()))
        {
            continue;
        }
        eprintln!("bench: {name}");
        match line(&bench, &runtime) {
            Ok(rows) => rows.into_iter().for_each(|row| report.add(row)),
            Err(error) => report.failed(name, &error.to_string()),
        }
        // After each line: a run takes long, and one that is cut off keeps what it has measured.
        let page = match args.only.is_empty() {
            true => report.markdown(),
            false => report.put_into(&std::fs::read_to_string(&args.out)?),
        };
        std::fs::write(&args.out, page)?;
    }
    lines::store::clean(&bench)?;
    bench.remove_kept()?;
    report.print();
    eprintln!("bench: wrote {}", args.out.display());
    if report.has_failures() {
        Err("some lines could not be measured".into())
    } else {
        Ok(())
    }
}
