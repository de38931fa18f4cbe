//! The server side of the Git protocol: advertisements, fetches and pushes as smart HTTP carries them; and the
//! framing and words that both sides share.
//!
//! What always holds:
//!
//! - No sockets, no threads, no storage: bytes come from a `Read`, go to a `Write`, and the repository is
//!   seen through two small traits, [`Source`] (refs and objects) and [`Sink`] (a pack and ref updates).
//! - Over HTTP each call is one request and nothing is remembered between two (`--stateless-rpc` in git's words), but for
//!   what a [`CountCache`] keeps to save time; a fetch can also go on over a connection of its own
//!   ([`upload_pack_connection`]).
//! - What is advertised is what is answered: both follow the same [`FetchOptions`].
//! - What the client sends is untrusted: every line and every list has a limit, and what is not understood
//!   or not offered is refused with the words git uses, never skipped.
//! - An error is told to the client in a form that `git` shows to a person, and returned to the caller.
//!
//! ```no_run
//! # fn serve(source: &dyn packhouse_wire::Source, body: &mut (dyn std::io::Read + Send),
//! #          out: &mut (dyn std::io::Write + Send)) -> Result<(), packhouse_wire::WireError> {
//! use packhouse_wire::{FetchOptions, Version, upload_pack};
//! let version = Version::from_header(Some("version=2"));
//! upload_pack(version, body, source, out, &FetchOptions::default())
//! # }
//! ```

mod advertise;
mod bundle;
mod bundle_uri;
mod capabilities;
mod connection;
mod count_cache;
mod error;
mod fetch_line;
mod fetch_v0;
mod fetch_v2;
mod filter_rules;
mod filter_spec;
mod hidden_refs;
mod ids;
mod ls_refs;
mod negotiate;
mod object_info;
mod pack_program;
pub mod pktline;
mod push_certificate;
mod push_offer;
mod reach;
mod receive_pack;
mod receive_progress;
mod receive_request;
mod report;
#[cfg(feature = "repository")]
pub mod repository;
mod send_pack;
mod send_progress;
mod shallow_answer;
mod shallow_request;
mod shown;
mod sideband;
mod sink;
mod source;
mod upload_pack;
mod v2;
mod version;
mod walk_progress;
mod wanted_ids;

pub use advertise::{advertise, advertise_upload_pack};
pub use bundle::{Bundle, has_bundle, write_bundle_header};
pub use bundle_uri::list_of_bundle;
pub use capabilities::{AGENT, Capabilities, OBJECT_FORMAT};
pub use connection::{
    receive_pack_connection, receive_pack_offer, upload_pack_connection, upload_pack_offer,
};
pub use count_cache::CountCache;
pub use error::WireError;
pub use filter_rules::FilterRules;
pub use filter_spec::FilterSpec;
pub use hidden_refs::HiddenRefs;
pub use ids::{parse_id, parse_target};
pub use pack_program::PackProgram;
pub use push_certificate::PushCertificate;
pub use push_offer::PushOffer;
pub use receive_pack::{ReceiveOptions, ReceiveSummary, receive_pack};
pub use receive_request::{ReceiveRequest, RefCommand};
pub use sink::{Command, CommandStatus, Messages, RefReport, Sink, SinkError, UnpackError};
pub use source::{RefLine, Source};
pub use upload_pack::{FetchOptions, Rounds, UnbornHead, upload_pack};
pub use version::{Service, Version};
pub use wanted_ids::WantRules;
