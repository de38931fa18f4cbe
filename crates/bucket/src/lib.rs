//! Bytes at a key: the store of everything that never changes.
//!
//! A [`Bucket`] is a local folder, memory, or an S3 service. All of them promise the same, and [`conformance`] holds
//! them to it: what was put is durable, an object is there whole or not at all, and putting it twice is harmless.
//! Nothing here relies on conditional writes, on the order of a listing, or on the time at which a listing notices a
//! change: what must be decided is decided in the catalog.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), packhouse_bucket::BucketError> {
//! let bucket = packhouse_bucket::open("memory:")?;
//! let key = packhouse_bucket::Key::parse("orgs/1/packs/ab/cdef.pack")?;
//! bucket.put(&key, "PACK".into()).await?;
//! assert_eq!(bucket.get_range(&key, 0..2).await?, "PA");
//! # Ok(())
//! # }
//! ```

mod bucket;
pub mod conformance;
mod durable;
mod error;
mod key;
mod local;
mod memory;
mod multipart;
mod open;
mod remote;
mod s3;

pub use bucket::{Bucket, Listed, READ_LIMIT};
pub use error::{BoxError, BucketError};
pub use key::{Key, KeyError};
pub use local::LocalBucket;
pub use memory::memory;
pub use open::{Options, open, open_with};
pub use remote::RemoteBucket;
pub use s3::S3Options;
