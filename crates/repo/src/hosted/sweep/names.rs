//! What the name of a key in the bucket says. The inverse of `pack_stem` and of the names of layers.

use packhouse_bucket::Key;
use packhouse_catalog::{OrgId, PackName, RepoId};

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// A pack, its index, or its bitmaps.
    Pack(PackName),
    /// A layer of the index of a repository's history.
    Layer(RepoId),
    /// Nothing that a sweep may judge.
    Foreign,
}

impl Named {
    pub(super) fn parse(key: &Key) -> Named {
        named(key.as_str()).unwrap_or(Named::Foreign)
    }
}

fn named(text: &str) -> Option<Named> {
    let (org, rest) = text.strip_prefix("orgs/")?.split_once('/')?;
    let org = OrgId(number(org)?);
    if let Some(pack) = rest.strip_prefix("packs/") {
        let (digits, name) = pack.split_once('/')?;
        let (hex, ending) = name.split_once('.')?;
        let is_pack = matches!(ending, "pack" | "idx" | "bitmap") && hex.starts_with(digits);
        let key = *blake3::Hash::from_hex(hex).ok()?.as_bytes();
        // What is written otherwise is no key of ours, and must not stand for one.
        let same = blake3::Hash::from_bytes(key).to_hex().as_str() == hex && digits.len() == 2;
        return (is_pack && same).then_some(Named::Pack(PackName { org, key }));
    }
    let (repo, layer) = rest.strip_prefix("repos/")?.split_once('/')?;
    let name = layer.strip_prefix("history/")?;
    let is_layer = name.ends_with(".layer") && !name.contains('/');
    is_layer.then_some(Named::Layer(RepoId(number(repo)?)))
}

/// A number as keys have it.
fn number(text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosted::packs::pack_stem;

    fn parse(text: &str) -> Named {
        Named::parse(&Key::parse(text).unwrap())
    }

    #[test]
    fn keys_that_the_engine_writes_are_known_again() {
        let pack = PackName {
            org: OrgId(42),
            key: [0xc7; 32],
        };
        let stem = pack_stem(pack.org, &pack.key);
        for ending in ["pack", "idx", "bitmap"] {
            assert_eq!(parse(&format!("{stem}.{ending}")), Named::Pack(pack));
        }
        let layer = format!("orgs/42/repos/7/history/00000a00-{}.layer", "0f".repeat(32));
        assert_eq!(parse(&layer), Named::Layer(RepoId(7)));
    }

    #[test]
    fn what_only_looks_like_one_is_foreign() {
        let stem = pack_stem(OrgId(42), &[0xc7; 32]);
        let hex = "c7".repeat(32);
        for text in [
            format!("{stem}.keep"),
            format!("{stem}.pack.idx"),
            stem.to_uppercase()
                .replace("ORGS/42/PACKS", "orgs/42/packs")
                + ".pack",
            format!("orgs/042/packs/c7/{hex}.pack"),
            format!("orgs/42/packs/c8/{hex}.pack"),
            format!("orgs/42/packs/c7c7/{hex}.pack"),
            format!("orgs/42/packs/c7/{}.pack", &hex[2..]),
            "orgs/42/repos/7/history/x/y.layer".to_owned(),
            "orgs/42/repos/x/history/y.layer".to_owned(),
            "orgs/42/large/files".to_owned(),
            "elsewhere".to_owned(),
        ] {
            assert_eq!(parse(&text), Named::Foreign, "{text}");
        }
    }
}
