//! What a repository's configuration says of fetches: `uploadpack.*`, `uploadpackfilter.*`, `bundle.*`,
//! `lsrefs.unborn` and `transfer.*`.

use bstr::{BStr, ByteSlice};
use packhouse_wire::{FetchOptions, FilterRules, UnbornHead, WantRules};

use crate::config::Config;
use crate::error::ProgramError;
use crate::serve::{hidden, keepalive, session_id};

/// The filters that have a setting of their own.
const FILTERS: [&str; 6] = [
    "blob:none",
    "blob:limit",
    "tree",
    "sparse:oid",
    "object:type",
    "combine",
];

/// How fetches are answered, and what is offered: git's defaults, where nothing is configured.
pub(crate) fn fetch_options(config: &Config) -> Result<FetchOptions, ProgramError> {
    let mut options = FetchOptions::of_git();
    let is_set = |name: &str| Ok::<_, ProgramError>(config.flag(name)? == Some(true));
    options.hidden = hidden(config, "uploadpack.hiderefs");
    if let Some(seconds) = config.number("uploadpack.keepalive")? {
        options.keepalive = keepalive(seconds);
    }
    options.filter = filter_rules(config)?;
    options.wants = WantRules {
        tip: is_set("uploadpack.allowtipsha1inwant")?,
        reachable: is_set("uploadpack.allowreachablesha1inwant")?,
        any: is_set("uploadpack.allowanysha1inwant")?,
    };
    options.ref_in_want = is_set("uploadpack.allowrefinwant")?;
    options.sideband_all = is_set("uploadpack.allowsidebandall")?;
    if let Some(told) = config.flag("transfer.advertiseobjectinfo")? {
        options.object_info = told;
    }
    options.session_id = session_id(config)?;
    if is_set("uploadpack.advertisebundleuris")? {
        let lines = config.of_section("bundle");
        let line = |(name, value): (&BStr, &BStr)| {
            let parts: [&[u8]; 3] = [name, b"=", value];
            parts.concat()
        };
        options.bundles = Some(lines.map(line).collect());
    }
    Ok(options)
}

/// What `lsrefs.unborn` says, which only version 2 looks at.
pub(crate) fn unborn_head(config: &Config) -> Result<UnbornHead, ProgramError> {
    let Some(value) = config.text("lsrefs.unborn") else {
        return Ok(UnbornHead::Offered);
    };
    match value.as_bytes() {
        b"advertise" => Ok(UnbornHead::Offered),
        b"allow" => Ok(UnbornHead::Told),
        b"ignore" => Ok(UnbornHead::Ignored),
        _ => Err(ProgramError::Config(format!(
            "invalid value for 'lsrefs.unborn': '{value}'"
        ))),
    }
}

fn filter_rules(config: &Config) -> Result<FilterRules, ProgramError> {
    let mut rules = FilterRules {
        allow: config.flag("uploadpack.allowfilter")? == Some(true),
        others: config.flag("uploadpackfilter.allow")? != Some(false),
        sparse: true,
        ..FilterRules::default()
    };
    for filter in FILTERS {
        if let Some(allowed) = config.flag(&format!("uploadpackfilter.{filter}.allow"))? {
            rules.allowed.insert(filter.to_owned(), allowed);
        }
    }
    let depth = config.number("uploadpackfilter.tree.maxdepth")?;
    rules.tree_max_depth = depth.and_then(|depth| u64::try_from(depth).ok());
    if rules.tree_max_depth.is_some() {
        // Who limits a filter allows it.
        rules.allowed.entry("tree".to_owned()).or_insert(true);
    }
    Ok(rules)
}
