//! A folder with everything a comparison needs: a directory repository, a hosted one, a stock one, and servers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use packhouse_catalog::Catalog;
use packhouse_object::RefName;
use packhouse_repo::{Hosted, HostedOptions, directory};
use packhouse_wire::FetchOptions;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::git::{Git, init_bare};
use crate::responder::Responder;
use packhouse_testkit::git_site::GitSite;

use crate::sites::OurSite;

/// The repositories under test, by the names they have in URLs.
pub(crate) const OURS: [&str; 2] = ["directory", "hosted"];

/// What git's server has to be told to offer what ours does, but for refs that are wanted by name: there its shallow
/// fetches fail.
const LIKE_OURS: [(&str, &str); 2] = [
    ("uploadpack.allowFilter", "true"),
    ("uploadpack.allowReachableSHA1InWant", "true"),
];

/// The rest of it.
pub(crate) const REF_IN_WANT: (&str, &str) = ("uploadpack.allowRefInWant", "true");

/// Servers of ours and of git's over empty repositories.
pub(crate) struct World {
    ours: Responder,
    gits: Responder,
    pub(crate) site: Arc<OurSite>,
    tmp: TempDir,
    hosted: Arc<Hosted>,
    runtime: Option<Runtime>,
}

impl World {
    pub(crate) fn new() -> World {
        let tmp = TempDir::new().unwrap();
        let runtime = Runtime::new().unwrap();
        directory::init(
            tmp.path().join("directory.git"),
            &RefName::branch("main").unwrap(),
        )
        .unwrap();
        let stock = init_bare(&tmp.path().join("stock.git"));
        stock.configure(&LIKE_OURS);
        let directory = directory::open(
            tmp.path().join("directory.git"),
            directory::DirectoryOptions::default(),
        )
        .unwrap();
        let hosted = runtime.block_on(open_hosted(tmp.path().to_owned()));
        let org = runtime
            .block_on(hosted.catalog().create_org("acme"))
            .unwrap();
        runtime
            .block_on(hosted.catalog().create_repo(org.id, "hosted", "main"))
            .unwrap();
        let in_catalog = runtime
            .block_on(hosted.repository(org.id, "hosted"))
            .unwrap()
            .unwrap();
        let repositories = BTreeMap::from([
            ("directory".to_owned(), directory),
            ("hosted".to_owned(), in_catalog),
        ]);
        let site = OurSite::new(runtime.handle().clone(), repositories);
        World {
            ours: Responder::start(site.clone()),
            gits: Responder::start(GitSite::new(tmp.path(), true)),
            site,
            tmp,
            hosted,
            runtime: Some(runtime),
        }
    }

    /// Where one of [`OURS`], or `stock`, is cloned from and pushed to.
    pub(crate) fn url(&self, name: &str) -> String {
        match OURS.iter().any(|ours| name.split('+').next() == Some(ours)) {
            true => self.ours.url(&format!("{name}.git")),
            false => self.gits.url(&format!("{name}.git")),
        }
    }

    /// Where the bare repository `name.git` in the folder is fetched from: our server of it, and git's.
    pub(crate) fn serve_both(&self, name: &str) -> [String; 2] {
        let path = self.tmp.path().join(format!("{name}.git"));
        Git::at(&path).configure(&LIKE_OURS);
        let repository = directory::open(path, directory::DirectoryOptions::default()).unwrap();
        self.site.add(name, repository);
        let path = format!("{name}.git");
        [self.ours.url(&path), self.gits.url(&path)]
    }

    /// From now on fetches are offered this.
    pub(crate) fn offer(&self, options: FetchOptions) {
        *self.site.options.lock().unwrap() = options;
    }

    /// A path that does not exist yet.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.tmp.path().join(name)
    }

    /// The folder everything is in.
    pub(crate) fn root(&self) -> Git {
        Git::at(self.tmp.path())
    }

    /// The bare repository of this name: `directory` or `stock`.
    pub(crate) fn bare(&self, name: &str) -> Git {
        Git::at(self.tmp.path().join(format!("{name}.git")))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A failed comparison is looked into there.
            self.tmp.disable_cleanup(true);
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.block_on(self.hosted.shutdown());
            runtime.shutdown_background();
        }
    }
}

async fn open_hosted(root: PathBuf) -> Arc<Hosted> {
    let catalog = Catalog::open(&format!("sqlite:{}", root.join("catalog.db").display()))
        .await
        .unwrap();
    let bucket =
        packhouse_bucket::open(&format!("file://{}", root.join("bucket").display())).unwrap();
    let options = HostedOptions::new(catalog, bucket, root.join("cache"), root.join("temp"));
    Hosted::open(options).unwrap()
}
