//! Events as they leave the server: for webhooks and for streams alike.

mod id;
mod message;
mod wakes;

pub(crate) use id::{format_id, parse_id};
pub(crate) use message::{KINDS, Message, hex, is_wanted, message};
pub(crate) use wakes::Wakes;
