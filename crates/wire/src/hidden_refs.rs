//! Refs that a repository does not show: `transfer.hideRefs` and its like.

/// Rules about which refs are hidden, in the order of the configuration: the last one that fits decides.
///
/// A rule is a whole name or a prefix that ends at a slash. `!` before it shows again what it fits; `^`, behind the `!` if
/// there is one, has it look at the name in the whole repository instead of the one in the client's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HiddenRefs(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    shows: bool,
    of_whole_name: bool,
    /// Without a slash at its end.
    prefix: Vec<u8>,
}

impl Rule {
    fn parse(text: &[u8]) -> Rule {
        // Git takes the slashes from the end first: what is left may be nothing but a mark.
        let end = text.iter().rposition(|byte| *byte != b'/');
        let text = &text[..end.map_or(0, |last| last + 1)];
        let (text, shows) = match text.strip_prefix(b"!") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (prefix, of_whole_name) = match text.strip_prefix(b"^") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        Rule {
            shows,
            of_whole_name,
            prefix: prefix.to_vec(),
        }
    }

    fn fits(&self, name: &[u8]) -> bool {
        let rest = name.strip_prefix(self.prefix.as_slice());
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
    }
}

impl HiddenRefs {
    /// The rules as the values of `transfer.hideRefs` and `uploadpack.hideRefs` spell them, in their order.
    pub fn new<T: AsRef<[u8]>>(rules: impl IntoIterator<Item = T>) -> HiddenRefs {
        let rules = rules.into_iter().map(|rule| Rule::parse(rule.as_ref()));
        HiddenRefs(rules.collect())
    }

    /// Whether there are no rules, so that everything is shown.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These, and behind them that what is `prefix` or below it is hidden.
    pub fn and(mut self, prefix: &[u8]) -> HiddenRefs {
        self.0.push(Rule {
            shows: false,
            of_whole_name: false,
            prefix: prefix.to_vec(),
        });
        self
    }

    /// Whether a ref is hidden that the client would see as `name` and that is called `full_name` in the whole repository.
    pub fn is_hidden(&self, name: &[u8], full_name: &[u8]) -> bool {
        let fitting = self.0.iter().rev().find(|rule| match rule.of_whole_name {
            true => rule.fits(full_name),
            false => rule.fits(name),
        });
        fitting.is_some_and(|rule| !rule.shows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hides(rules: &[&str], name: &str) -> bool {
        HiddenRefs::new(rules).is_hidden(name.as_bytes(), name.as_bytes())
    }

    #[test]
    fn a_rule_fits_whole_parts_of_names() {
        assert!(hides(&["refs/pull"], "refs/pull/1/head"));
        assert!(hides(&["refs/pull///"], "refs/pull/1/head"));
        assert!(hides(&["refs/pull/1/head"], "refs/pull/1/head"));
        assert!(!hides(&["refs/pull/1/head"], "refs/pull/1"));
        assert!(!hides(&["refs/pu"], "refs/pull/1/head"));
        assert!(!hides(&[], "refs/heads/main"));
        assert!(hides(&["HEAD"], "HEAD"));
    }

    #[test]
    fn the_last_rule_that_fits_decides() {
        let rules = ["refs/heads", "!refs/heads/main", "refs/heads/main/x"];
        assert!(hides(&rules, "refs/heads/other"));
        assert!(!hides(&rules, "refs/heads/main"));
        assert!(!hides(&rules, "refs/heads/main/y"));
        assert!(hides(&rules, "refs/heads/main/x"));
        assert!(hides(
            &["!refs/heads/main", "refs/heads"],
            "refs/heads/main"
        ));
    }

    #[test]
    fn names_are_the_clients_unless_the_rule_says_otherwise() {
        let inside = |rules: &HiddenRefs, name: &str| {
            let full_name = format!("refs/namespaces/a/{name}");
            rules.is_hidden(name.as_bytes(), full_name.as_bytes())
        };
        let hides = |rule: &str, name: &str| inside(&HiddenRefs::new([rule]), name);
        assert!(hides("refs/heads", "refs/heads/main"));
        assert!(!hides("^refs/heads", "refs/heads/main"));
        assert!(hides("^refs/namespaces/a/refs/heads", "refs/heads/main"));
        assert!(!hides("refs/namespaces/a", "refs/heads/main"));
        let rules = HiddenRefs::new(["refs", "!^refs/namespaces/a/refs/tags"]);
        assert!(inside(&rules, "refs/heads/main"));
        assert!(!inside(&rules, "refs/tags/v1"));
        assert!(inside(&rules.and(b"refs/tags/v1"), "refs/tags/v1"));
    }
}
