//! The catalog on both databases: every test here runs on SQLite and on PostgreSQL.
#![allow(clippy::unwrap_used)]

mod audit;
mod both;
mod cache_index;
mod crash;
mod events;
mod fold;
mod fork;
mod group;
mod hooks;
mod jobs;
mod load;
mod nodes;
mod open;
mod orgs;
mod publish;
mod repack;
mod repos;
mod sample;
mod ssh_keys;
mod sweep;
mod upstreams;
