//! Which filters of partial clones a repository allows.

use std::collections::BTreeMap;

use crate::error::WireError;
use crate::filter_spec::FilterSpec;

/// Which filters clients may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterRules {
    /// Whether any may be used: `uploadpack.allowFilter`. It is advertised.
    pub allow: bool,
    /// Whether those that `allowed` does not name may be: `uploadpackfilter.allow`.
    pub others: bool,
    /// By name, whether that filter may be: `uploadpackfilter.<filter>.allow`.
    pub allowed: BTreeMap<String, bool>,
    /// Whether `sparse:oid=<blob>` can be served: all trees are gone through for each client that uses it.
    pub sparse: bool,
    /// The deepest `tree:<depth>`: `uploadpackfilter.tree.maxDepth`.
    pub tree_max_depth: Option<u64>,
}

impl Default for FilterRules {
    /// All that costs no more than a clone.
    fn default() -> FilterRules {
        FilterRules {
            allow: true,
            others: true,
            allowed: BTreeMap::new(),
            sparse: false,
            tree_max_depth: None,
        }
    }
}

impl FilterRules {
    /// No filters at all, which is git's own default.
    pub fn none() -> FilterRules {
        FilterRules {
            allow: false,
            ..FilterRules::default()
        }
    }

    /// The filter of a request, if it may be used.
    pub(crate) fn read(&self, spec: &[u8]) -> Result<FilterSpec, WireError> {
        let parsed = FilterSpec::parse(spec).map_err(WireError::Refused)?;
        self.check(&parsed)?;
        Ok(parsed)
    }

    fn check(&self, spec: &FilterSpec) -> Result<(), WireError> {
        // The depth is looked at first: that refusal says what would be accepted.
        let rule = self.allowed.get(spec.name()).copied();
        if let (FilterSpec::TreeDepth(depth), Some(most)) = (spec, self.tree_max_depth)
            && rule != Some(false)
            && *depth > most
        {
            return Err(WireError::Verbatim(format!(
                "tree filter allows max depth {most}, but got {depth}"
            )));
        }
        let can_be_served = self.sparse || !matches!(spec, FilterSpec::SparseOid(_));
        if !can_be_served || !rule.unwrap_or(self.others) {
            let name = spec.name();
            return Err(WireError::Verbatim(format!(
                "filter '{name}' not supported"
            )));
        }
        match spec {
            FilterSpec::Combine(parts, _) => parts.iter().try_for_each(|part| self.check(part)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_allowed_may_be_used() {
        let message = |rules: &FilterRules, spec: &str| match rules.read(spec.as_bytes()) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        let all = FilterRules::default();
        assert_eq!(message(&all, "combine:tree:5+blob:none"), "");
        assert_eq!(
            message(&all, "sparse:oid=x"),
            "filter 'sparse:oid' not supported"
        );
        assert_eq!(
            message(&all, "combine:tree:1+sparse:oid=x"),
            "filter 'sparse:oid' not supported"
        );
        let sparse = FilterRules {
            sparse: true,
            ..FilterRules::default()
        };
        assert_eq!(message(&sparse, "combine:tree:1+sparse:oid=x"), "");
        let some = FilterRules {
            others: false,
            allowed: BTreeMap::from([("tree".to_owned(), true), ("combine".to_owned(), true)]),
            tree_max_depth: Some(1),
            ..FilterRules::default()
        };
        assert_eq!(message(&some, "tree:1"), "");
        assert_eq!(message(&some, "combine:tree:1+tree:0"), "");
        assert_eq!(
            message(&some, "tree:2"),
            "tree filter allows max depth 1, but got 2"
        );
        assert_eq!(
            message(&some, "blob:none"),
            "filter 'blob:none' not supported"
        );
        assert_eq!(
            message(&some, "combine:tree:1+blob:none"),
            "filter 'blob:none' not supported"
        );
    }
}
