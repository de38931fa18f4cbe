//! The embedded store, through its Python module, against `vost`, `pygit2` and git's own programs.

mod engine;
mod fixtures;

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use tokio::runtime::Runtime;

pub(super) use self::engine::python;
use self::engine::{Found, alone, pair, time};
use crate::fixture::{self, run};
use crate::lines::sequential::sync_time;
use crate::report::Row;
use crate::sample::{ms, seconds};
use crate::{Bench, Result};

const OURS: &str = "packhouse";

/// Removes what the runs left behind.
pub(crate) fn clean(bench: &Bench) -> Result<()> {
    let runs = bench.work.join(engine::FOLDER);
    match runs.exists() {
        true => Ok(std::fs::remove_dir_all(runs)?),
        false => Ok(()),
    }
}

/// A line whose figure is a rate and whose limit is a multiple of a peer's.
fn faster(line: &str, limit: f64, peer: &str, ours: &Found, theirs: &Found) -> Row {
    let ratio = ours.rate() / theirs.rate();
    Row {
        line: line.to_owned(),
        target: format!("at least {limit}× {peer}"),
        ours: format!("{:.0}/s ({ratio:.1}×)", ours.rate()),
        peer: format!("{peer} {:.0}/s", theirs.rate()),
        reached: ratio >= limit,
    }
}

/// A line whose figure is a time and whose limit is a share of a program's.
fn quicker(line: &str, limit: f64, peer: &str, ours: Duration, theirs: Duration) -> Row {
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    Row {
        line: line.to_owned(),
        target: format!("at most {limit}× {peer}"),
        ours: format!("{} ({ratio:.2}×)", seconds(ours)),
        peer: format!("{peer} {}", seconds(theirs)),
        reached: ratio <= limit,
    }
}

fn duration(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// One-file commits, one after the other.
pub(crate) fn sequential(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    let name = "store: one-file commits in sequence, relaxed";
    let [ours, vost] = pair(bench, "sequential_relaxed", [OURS, "vost"])?;
    let [again, pygit2] = pair(bench, "sequential_relaxed", [OURS, "pygit2"])?;
    let before = sync_time(&bench.work)?;
    let [full, synced] = pair(bench, "sequential_full", [OURS, "pygit2"])?;
    let sync = before.max(sync_time(&bench.work)?);
    let limit = sync * 4 + Duration::from_millis(1);
    let each = duration(full.seconds / full.count as f64);
    let full_name = "store: one-file commits in sequence, full durability";
    Ok(vec![
        faster(name, 5.0, "vost", &ours, &vost),
        faster(name, 2.0, "pygit2", &again, &pygit2),
        Row {
            line: full_name.to_owned(),
            target: format!("at most four `fdatasync` ({} each) plus 1 ms", ms(sync)),
            ours: ms(each),
            peer: "–".to_owned(),
            reached: each <= limit,
        },
        faster(full_name, 1.5, "pygit2 with its fsync", &full, &synced),
    ])
}

/// A folder of 10,000 entries.
pub(crate) fn wide(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    let [ours, vost] = pair(bench, "wide_folder", [OURS, "vost"])?;
    let name = "store: one-file commits into a folder of 10,000 entries";
    Ok(vec![faster(name, 50.0, "vost", &ours, &vost)])
}

/// 10,000 small files in one commit.
pub(crate) fn one_commit(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    let name = "store: one commit of 10,000 files of 400 bytes";
    let [ours, vost] = pair(bench, "one_commit", [OURS, "vost"])?;
    let folder = tempfile::tempdir_in(&bench.work)?;
    let mut took = Vec::new();
    for at in 0..3 {
        let repo = folder.path().join(format!("{at}.git"));
        run(Command::new("git")
            .args(["init", "-q", "--bare"])
            .arg(&repo))?;
        let began = std::time::Instant::now();
        fixture::feed(&repo, many)?;
        took.push(began.elapsed());
    }
    let theirs = crate::sample::median(&mut took);
    Ok(vec![
        quicker(name, 0.5, "git fast-import", duration(ours.seconds), theirs),
        faster(name, 10.0, "vost", &ours, &vost),
    ])
}

/// The files of `one_commit` as a stream for `git fast-import`.
fn many(out: &mut dyn Write) -> Result<()> {
    out.write_all(
        b"commit refs/heads/main\ncommitter B <b@example.com> 1600000000 +0000\ndata 1\nm\n",
    )?;
    for number in 0..10_000 {
        let line = format!(
            "entry {number} of many, with a value of {}\n",
            number * 7919 % 10_007
        );
        let content = line.repeat(400 / line.len() + 1);
        writeln!(
            out,
            "M 100644 inline f{:02}/file-{number:05}.txt\ndata 400",
            number % 100
        )?;
        writeln!(out, "{}", &content[..400])?;
    }
    Ok(())
}

/// A folder copied in.
pub(crate) fn copy_in(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    let [ours, vost] = pair(bench, "copy_in", [OURS, "vost"])?;
    let status = alone(bench, "git_status", "git")?;
    let name = "store: `copy_in` of 10,000 files";
    let again = format!("{name}, unchanged");
    let unchanged = Found {
        seconds: ours.again,
        count: ours.count,
        ..Found::default()
    };
    let theirs = Found {
        seconds: vost.again,
        count: vost.count,
        ..Found::default()
    };
    Ok(vec![
        faster(name, 10.0, "vost", &ours, &vost),
        faster(&again, 10.0, "vost", &unchanged, &theirs),
        quicker(
            &again,
            2.0,
            "git status",
            duration(ours.again),
            duration(status.seconds),
        ),
    ])
}

/// Files read one by one.
pub(crate) fn read(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    let [ours, vost] = pair(bench, "read_files", [OURS, "vost"])?;
    let name = "store: 10,000 files read from a snapshot";
    Ok(vec![faster(name, 10.0, "vost", &ours, &vost)])
}

/// Listings of much.
pub(crate) fn listings(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    fixtures::make(bench)?;
    let [list, vost_list] = pair(bench, "list_folder", [OURS, "vost"])?;
    let [walk, vost_walk] = pair(bench, "walk", [OURS, "vost"])?;
    let ls_tree = time(|| {
        let mut command = Command::new("git");
        command
            .arg("-C")
            .arg(bench.work.join("million.git"))
            .args(["ls-tree", "-r", "main"]);
        command
    })?;
    let walked = "store: 1,000,000 paths walked";
    Ok(vec![
        faster(
            "store: a folder of 100,000 entries listed",
            10.0,
            "vost",
            &list,
            &vost_list,
        ),
        faster(walked, 10.0, "vost", &walk, &vost_walk),
        quicker(
            walked,
            1.0,
            "git ls-tree -r",
            duration(walk.seconds),
            ls_tree,
        ),
    ])
}

/// The history of one path.
pub(crate) fn path_log(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    fixtures::make(bench)?;
    let ours = alone(bench, "path_log", OURS)?;
    let git = time(|| {
        let mut command = Command::new("git");
        command.arg("-C").arg(bench.work.join("long.git"));
        command.args(["log", "--format=%H", "main", "--", "d7/file"]);
        command
    })?;
    if ours.count != 5_000 {
        return Err(format!("{} commits found of 5,000", ours.count).into());
    }
    let name = "store: log of one path over 50,000 commits";
    Ok(vec![quicker(
        name,
        1.0,
        "git log",
        duration(ours.seconds),
        git,
    )])
}

/// One GiB in and out.
pub(crate) fn large(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    fixtures::make(bench)?;
    let file = bench.work.join("large.bin");
    let back = bench.work.join("large.copy");
    let hash = time(|| {
        let mut command = Command::new("sha1sum");
        command.arg(&file);
        command
    })?;
    let copy = time(|| {
        // To a new file each time, as the store does; there is none the first time.
        let _ = std::fs::remove_file(&back);
        let mut command = Command::new("cp");
        command.arg(&file).arg(&back);
        command
    })?;
    std::fs::remove_file(&back)?;
    let ours = alone(bench, "large", OURS)?;
    // What it writes it cannot always read again; that is its figure then.
    let vost = engine::run(bench, "large", "vost").map_err(|error| last_line(&error.to_string()));
    let rate = |seconds: f64| fixtures::LARGE_BYTES as f64 / seconds / (1 << 20) as f64;
    let vost_rate = |seconds: fn(&Found) -> f64| match &vost {
        Ok(vost) => format!("vost {:.0} MiB/s", rate(seconds(vost))),
        Err(reason) => format!("vost failed: {reason}"),
    };
    let speed = |line: &str, peer: &str, ours: f64, vost: String, theirs: Duration| {
        let share = theirs.as_secs_f64() / ours;
        Row {
            line: line.to_owned(),
            target: format!("at least 60 % of `{peer}`'s speed"),
            ours: format!("{:.0} MiB/s ({:.0} %)", rate(ours), share * 100.0),
            peer: format!("{peer} {:.0} MiB/s; {vost}", rate(theirs.as_secs_f64())),
            reached: share >= 0.6,
        }
    };
    let mib = ours.peak_kib / 1024;
    Ok(vec![
        speed(
            "store: 1 GiB that does not deflate, in",
            "sha1sum",
            ours.into,
            vost_rate(|vost| vost.into),
            hash,
        ),
        speed(
            "store: 1 GiB that does not deflate, out",
            "cp",
            ours.out,
            vost_rate(|vost| vost.out),
            copy,
        ),
        Row {
            line: "store: memory of that process (peak resident)".to_owned(),
            target: "under 128 MiB".to_owned(),
            ours: format!("{mib} MiB"),
            peer: match &vost {
                Ok(vost) => format!("vost {} MiB", vost.peak_kib / 1024),
                Err(_) => "vost failed".to_owned(),
            },
            reached: mib < 128,
        },
    ])
}

/// Of a traceback, what went wrong.
fn last_line(error: &str) -> String {
    error
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or(error)
        .to_owned()
}

/// Many writers of one branch.
pub(crate) fn crowd(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    let [crowd, alone] = [
        alone(bench, "crowd", OURS)?,
        alone(bench, "crowd_of_one", OURS)?,
    ];
    let lost = crowd.count - crowd.found.min(crowd.history);
    Ok(vec![Row {
        line: "store: 16 threads in 4 processes write one branch with `retry_write`".to_owned(),
        target: "no lost write, at least the rate of one writer".to_owned(),
        ours: format!("{lost} lost, {:.0}/s", crowd.rate()),
        peer: format!("the same writes in sequence {:.0}/s", alone.rate()),
        reached: lost == 0 && crowd.rate() >= alone.rate(),
    }])
}
