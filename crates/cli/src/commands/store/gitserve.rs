//! `gitserve`: the repository for `git clone`, `fetch` and, if allowed, `push`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use clap::Args;
use packhouse_programs::PushPlace;
use packhouse_repo::directory::{self, DirectoryOptions};
use packhouse_repo::store::Store;
use packhouse_server::{GitAccess, Limits, git_router};

use super::failure::Failure;
use super::listen::{self, ListenFlags};
use super::mirror::name_current;
use super::session::Session;

/// Serve the repository to git over HTTP, read-only unless --writable is given
#[derive(Args, Debug)]
pub(crate) struct GitserveArgs {
    #[command(flatten)]
    listen: ListenFlags,
    /// Take pushes, from whoever can connect; the repository's settings and hooks apply
    #[arg(long)]
    writable: bool,
}

pub(crate) fn run(args: GitserveArgs, session: &Session) -> Result<(), Failure> {
    let store = session.open()?;
    name_current(&store, session)?;
    let repository = directory::open(store.path(), DirectoryOptions::default())
        .map_err(|error| Failure::because("Could not open the repository", &error))?;
    let who = store.identity().to_string();
    let pushes = match args.writable {
        true => {
            let environment = crate::commands::program::environment();
            let place = PushPlace::open(store.path(), &environment, who.clone())
                .map_err(|error| Failure::because("Could not open the repository", &error))?;
            Some(place)
        }
        false => None,
    };
    let access = GitAccess { pushes, who };
    let named = Arc::new(Named {
        store,
        session: session.clone(),
    });
    let router = git_router(repository, access, Limits::default())
        .layer(middleware::from_fn_with_state(named.clone(), with_current));
    listen::run(&args.listen, router, session, |address| {
        format!("Serving git at http://{address}/")
    })?;
    if args.writable {
        named.see_to_current();
    }
    Ok(())
}

/// A store whose `HEAD` is to name a branch.
struct Named {
    store: Store,
    session: Session,
}

impl Named {
    /// Whoever asks, or comes afterwards, can do without.
    fn see_to_current(&self) {
        if let Err(failure) = name_current(&self.store, &self.session) {
            tracing::warn!(%failure, "HEAD names no branch");
        }
    }
}

/// Sees to `HEAD` before refs are told: the first push may be of another branch than the one that it waits for, and who
/// pushes may delete branches.
async fn with_current(State(named): State<Arc<Named>>, request: Request, next: Next) -> Response {
    if request.uri().path().ends_with("/info/refs") {
        let looked = tokio::task::spawn_blocking(move || named.see_to_current());
        if let Err(error) = looked.await {
            tracing::warn!(%error, "HEAD was not looked at");
        }
    }
    next.run(request).await
}
