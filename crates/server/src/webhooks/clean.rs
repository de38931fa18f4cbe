//! Dropping what is old: the log of deliveries, and events that moved no ref.

use std::time::Duration;

use packhouse_catalog::Catalog;
use tokio_util::sync::CancellationToken;

use super::options::{WebhookOptions, millis};

/// Rows dropped at a time: writers wait no longer than that takes.
const ROWS: u32 = 1000;

/// Pause when there is nothing left to drop.
const PAUSE: Duration = Duration::from_secs(600);

/// Pause between two lots.
const SHORT_PAUSE: Duration = Duration::from_millis(200);

pub(super) async fn run(catalog: Catalog, options: WebhookOptions, stop: CancellationToken) {
    loop {
        let before_ms = options.clock.now_ms() - millis(options.retention);
        let dropped = async {
            let events = catalog.drop_old_events(before_ms, ROWS).await?;
            let deliveries = catalog.drop_old_deliveries(before_ms, ROWS).await?;
            Ok::<_, packhouse_catalog::CatalogError>(events.max(deliveries))
        };
        let pause = match dropped.await {
            Ok(most) if most >= u64::from(ROWS) => SHORT_PAUSE,
            Ok(_) => PAUSE,
            Err(error) => {
                tracing::warn!(
                    error = crate::error::chain(&error),
                    "could not drop old events"
                );
                PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
