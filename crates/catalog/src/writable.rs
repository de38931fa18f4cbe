//! Whether the database takes writes, found out without writing.

use crate::dialect::Pool;
use crate::{Catalog, CatalogError};

/// What a database that takes writes can do, and one that does not cannot. A standby, or a database that was set to be
/// read only, refuses to lock rows, be there any or not. One without room cannot keep a list that is longer than its memory
/// for it: that goes to a file beside its tables, which is gone with the transaction and is in no log.
const PROBE: &str = "SET LOCAL work_mem = '64kB'; SET LOCAL temp_tablespaces = ''; \
                     SELECT 1 FROM orgs WHERE false FOR KEY SHARE; SELECT count(*) FROM generate_series(1, 20000)";

/// The administrator limits such files: nothing is known of the room.
const POSTGRES_LIMIT_EXCEEDED: &str = "53400";

impl Catalog {
    /// Whether a database that is not a file of this machine takes writes. The failure may be asked what it means by
    /// [`is_read_only`](crate::is_read_only) and [`is_storage_full`](crate::is_storage_full). For a file its folder says as
    /// much: [`Catalog::local_folder`].
    pub async fn check_writes(&self) -> Result<(), CatalogError> {
        let Pool::Postgres(pool) = self.pool() else {
            return Ok(());
        };
        let mut transaction = pool.begin().await?;
        let probed = sqlx::raw_sql(PROBE).execute(&mut *transaction).await;
        transaction.rollback().await?;
        match probed {
            Err(sqlx::Error::Database(error))
                if error.code().as_deref() == Some(POSTGRES_LIMIT_EXCEEDED) =>
            {
                Ok(())
            }
            probed => Ok(probed.map(drop)?),
        }
    }
}
