//! `packhouse sweep`: removes what nothing needs any more.

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use packhouse_repo::hosted::PackFate;
use packhouse_repo::{Hosted, RepoError, SweepOptions, SweepPlan, SweepReport, SweepWatch};
use serde::Serialize;

use crate::error::{CliError, FAILURE, SUCCESS};
use crate::settings::{ServeFlags, Settings, StorageFlags, SweepFlags};
use crate::signals;
use crate::storage::{self, SEE_LOG};
use crate::ui::{Progress, Ui, count, human_bytes, time};

/// How many things a dry run names.
const NAMED: usize = 100;

/// Remove what nothing reaches, deleted repositories and what no repository lists
///
/// Objects that no branch or tag has reached since a repack long ago are dropped. The rows of repositories deleted long ago
/// go from the catalog, and packs that no repository has listed for a while from the bucket. A server does so by itself
/// every few hours. What is found unlisted now is deleted by a sweep after the grace period.
#[derive(Args, Debug)]
pub(crate) struct SweepArgs {
    /// Say what a sweep would do, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Wait for nothing: only while no server uses the data, since requests under way may fail
    #[arg(long, conflicts_with_all = ["keep_unreachable", "keep_deleted", "sweep_grace"])]
    now: bool,
    #[command(flatten)]
    sweep: SweepFlags,
    #[command(flatten)]
    storage: StorageFlags,
}

#[derive(Default, Serialize)]
struct Swept {
    dry_run: bool,
    objects: u64,
    undropped: u64,
    repositories: u64,
    repositories_left: u64,
    rows: u64,
    keys_seen: u64,
    keys_foreign: u64,
    packs_waiting: u64,
    keys: u64,
    bytes: u64,
    failed: u64,
    audit_entries: u64,
    /// The first things that a dry run found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    would_remove: Vec<String>,
}

impl From<SweepReport> for Swept {
    fn from(report: SweepReport) -> Swept {
        Swept {
            dry_run: false,
            objects: report.objects,
            undropped: report.undropped,
            repositories: report.repositories,
            repositories_left: report.busy,
            rows: report.rows,
            keys_seen: report.keys_seen,
            keys_foreign: report.foreign,
            packs_waiting: report.waiting,
            keys: report.keys,
            bytes: report.bytes,
            failed: report.failed,
            audit_entries: report.audit_entries,
            would_remove: Vec::new(),
        }
    }
}

impl Swept {
    /// Counts what a plan would do.
    fn foresee(&mut self, plan: SweepPlan) {
        for apart in plan.unreachable {
            self.objects += apart.objects;
        }
        self.keys_seen += plan.keys;
        self.keys_foreign += plan.foreign;
        self.repositories += plan.repositories.len() as u64;
        for repo in plan.repositories {
            let deleted = time(repo.deleted_at_ms);
            self.name(|| format!("repository {} {}, deleted {deleted}", repo.id, repo.name));
        }
        let (dead, waiting): (Vec<_>, Vec<_>) = plan
            .packs
            .into_iter()
            .partition(|pack| pack.fate == PackFate::Delete);
        self.packs_waiting += waiting.len() as u64;
        let files = dead.into_iter().flat_map(|pack| pack.files);
        for file in files.chain(plan.layers) {
            self.keys += 1;
            self.bytes += file.size;
            self.name(|| file.key.to_string());
        }
    }

    fn name(&mut self, name: impl FnOnce() -> String) {
        if self.would_remove.len() < NAMED {
            self.would_remove.push(name());
        }
    }

    fn tell(&self, out: &mut dyn Write) -> io::Result<()> {
        let repositories = count(self.repositories, "deleted repository");
        let (keys, bytes) = (count(self.keys, "key"), human_bytes(self.bytes));
        let (of, waiting) = (self.keys_seen, count(self.packs_waiting, "unlisted pack"));
        if self.dry_run {
            if self.objects > 0 {
                let objects = count(self.objects, "unreachable object");
                writeln!(out, "would drop {objects}, but for what is reached by now")?;
            }
            writeln!(out, "would remove the rows of {repositories}")?;
            writeln!(
                out,
                "would delete {keys} of {of} from the bucket ({bytes}), with {waiting} still to wait"
            )?;
            for name in &self.would_remove {
                writeln!(out, "  {name}")?;
            }
            let named = self.would_remove.len() as u64;
            return match (self.repositories + self.keys).saturating_sub(named) {
                0 => Ok(()),
                more => writeln!(out, "  and {more} more"),
            };
        }
        if self.objects > 0 {
            writeln!(out, "dropped {}", count(self.objects, "unreachable object"))?;
        }
        writeln!(out, "removed {} of {repositories}", count(self.rows, "row"))?;
        writeln!(
            out,
            "deleted {keys} of {of} from the bucket ({bytes}), with {waiting} still to wait"
        )?;
        if self.audit_entries > 0 {
            let entries = count(self.audit_entries, "entry");
            writeln!(out, "removed {entries} of the audit log")?;
        }
        if self.repositories_left > 0 {
            let left = count(self.repositories_left, "deleted repository");
            writeln!(out, "left {left} with work under way to the next sweep")?;
        }
        if self.undropped > 0 {
            let repositories = count(self.undropped, "repository");
            writeln!(
                out,
                "could not look for unreachable objects in {repositories}; the log says why"
            )?;
        }
        if self.failed > 0 {
            let failed = count(self.failed, "key");
            writeln!(
                out,
                "the bucket did not delete {failed}; the next sweep will try again"
            )?;
        }
        Ok(())
    }
}

/// Shows how a sweep goes on.
struct Shown(Progress);

impl Shown {
    fn say(&self, keys_seen: u64, keys: u64) {
        let (seen, keys) = (count(keys_seen, "key"), count(keys, "key"));
        self.0
            .say(format!("sweeping: {seen} looked at, {keys} deleted"));
    }
}

impl SweepWatch for Shown {
    fn swept(&self, report: &SweepReport) {
        self.say(report.keys_seen, report.keys);
    }

    fn is_stopped(&self) -> bool {
        signals::stopped()
    }
}

pub(crate) async fn run(args: SweepArgs, ui: Ui) -> Result<u8, CliError> {
    let flags = ServeFlags {
        sweep: args.sweep,
        ..ServeFlags::default()
    };
    let settings = Settings::of_server(&args.storage, &flags)?;
    let mut options = settings.sweep.clone();
    if args.now {
        options.keep_unreachable = Duration::ZERO;
        options.keep_deleted = Duration::ZERO;
        options.grace = Duration::ZERO;
    }
    let swept = storage::with_hosted(&settings, async |hosted| {
        let shown = Shown(ui.progress("sweeping"));
        let swept = match args.dry_run {
            true => foresee(hosted, &options, &shown).await,
            false => hosted.sweep(&options, &shown).await.map(Swept::from),
        };
        swept.map_err(|error| CliError::because("could not sweep", &error, SEE_LOG))
    })
    .await?;
    ui.show(&swept, |out| swept.tell(out))?;
    Ok(if swept.failed + swept.undropped == 0 {
        SUCCESS
    } else {
        FAILURE
    })
}

async fn foresee(
    hosted: &Hosted,
    options: &SweepOptions,
    shown: &Shown,
) -> Result<Swept, RepoError> {
    let mut swept = Swept {
        dry_run: true,
        ..Swept::default()
    };
    let mut plans = hosted.plan_sweep(options);
    while let Some(plan) = plans.next().await? {
        if shown.is_stopped() {
            return Err(RepoError::Stopped);
        }
        swept.foresee(plan);
        shown.say(swept.keys_seen, 0);
    }
    Ok(swept)
}
