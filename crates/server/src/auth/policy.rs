//! Ref policies: which refs a token may move, and how.
//!
//! Rules are tried in order and the first whose pattern matches decides, so an empty rule in front of a broad one is
//! an exception from it. A rule that this server cannot enforce refuses every change: a policy never fails open.

use packhouse_object::RefName;
use packhouse_repo::{RefChange, RefPolicy};

/// The ref policy of one token.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TokenPolicy {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Rule {
    /// Full ref name in which `*` stands for any text.
    pattern: String,
    ops: Vec<String>,
}

impl TokenPolicy {
    /// Whether it forbids nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The policy of a token's `refs` claim, with its older `ops` claim folded in as the rule for `*`.
    pub fn new(refs: Vec<(String, Vec<String>)>, ops: Vec<String>) -> TokenPolicy {
        let mut rules: Vec<Rule> = refs
            .into_iter()
            .map(|(pattern, ops)| Rule {
                pattern: full_pattern(&pattern),
                ops,
            })
            .collect();
        if !ops.is_empty() {
            match rules.iter_mut().find(|rule| rule.pattern == "*") {
                Some(rule) => rule.ops.extend(ops),
                None => rules.push(Rule {
                    pattern: "*".to_owned(),
                    ops,
                }),
            }
        }
        TokenPolicy { rules }
    }
}

impl RefPolicy for TokenPolicy {
    fn allows(&self, name: &RefName, change: RefChange) -> Result<(), String> {
        let Some(rule) = self
            .rules
            .iter()
            .find(|rule| matches(rule.pattern.as_bytes(), name.as_bytes()))
        else {
            return Ok(());
        };
        for op in &rule.ops {
            match (op.as_str(), change) {
                ("no-push", _) => return Err("push denied by policy".to_owned()),
                ("no-force-push", RefChange::Force) => {
                    return Err("force push denied by policy".to_owned());
                }
                ("no-force-push", _) => {}
                ("verify-sig", _) => {
                    return Err(
                        "push denied by policy: this server cannot verify signatures yet"
                            .to_owned(),
                    );
                }
                (op, _) => return Err(format!("push denied by policy: unknown operation `{op}`")),
            }
        }
        Ok(())
    }
}

fn full_pattern(pattern: &str) -> String {
    if pattern == "*" || pattern.starts_with("refs/") {
        pattern.to_owned()
    } else {
        format!("refs/heads/{pattern}")
    }
}

/// Whether `pattern`, in which `*` stands for any bytes, covers all of `name`. Linear in their product at worst.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&byte) if byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                // Let the last star take one byte more and try again from there.
                let Some((at, taken)) = star else {
                    return false;
                };
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(refs: &[(&str, &[&str])], ops: &[&str]) -> TokenPolicy {
        let words = |ops: &[&str]| ops.iter().map(|op| (*op).to_owned()).collect();
        TokenPolicy::new(
            refs.iter()
                .map(|(pattern, ops)| ((*pattern).to_owned(), words(ops)))
                .collect(),
            words(ops),
        )
    }

    fn allowed(policy: &TokenPolicy, name: &str, change: RefChange) -> bool {
        match policy.allows(&RefName::parse(name).unwrap(), change) {
            Ok(()) => true,
            Err(reason) => {
                assert!(reason.contains("denied by policy"), "{reason}");
                false
            }
        }
    }

    #[test]
    fn the_first_matching_rule_decides() {
        let policy = policy(
            &[
                ("main", &["no-push"]),
                ("agent/*", &[]),
                ("*", &["no-force-push"]),
            ],
            &[],
        );
        assert!(!allowed(&policy, "refs/heads/main", RefChange::FastForward));
        assert!(!allowed(&policy, "refs/heads/main", RefChange::Delete));
        assert!(allowed(&policy, "refs/heads/agent/x/y", RefChange::Force));
        assert!(!allowed(&policy, "refs/heads/other", RefChange::Force));
        assert!(allowed(&policy, "refs/heads/other", RefChange::FastForward));
        assert!(allowed(&policy, "refs/heads/main2", RefChange::Create));
    }

    #[test]
    fn the_older_claim_is_the_last_rule_or_part_of_the_star_rule() {
        let last = policy(&[("main", &[])], &["no-push"]);
        assert!(allowed(&last, "refs/heads/main", RefChange::FastForward));
        assert!(!allowed(&last, "refs/tags/v1", RefChange::Create));
        let merged = policy(&[("*", &["no-force-push"]), ("main", &[])], &["no-push"]);
        assert!(!allowed(&merged, "refs/heads/main", RefChange::FastForward));
    }

    #[test]
    fn ephemeral_refs_go_by_their_full_name() {
        let policy = policy(&[("refs/namespaces/ephemeral/*", &["no-push"])], &[]);
        assert!(!allowed(
            &policy,
            "refs/namespaces/ephemeral/refs/heads/x",
            RefChange::Create
        ));
        assert!(allowed(&policy, "refs/heads/x", RefChange::Create));
    }

    #[test]
    fn what_cannot_be_enforced_refuses() {
        assert!(!allowed(
            &policy(&[("*", &["verify-sig"])], &[]),
            "refs/heads/x",
            RefChange::FastForward
        ));
        assert!(!allowed(
            &policy(&[("*", &["no-such-op"])], &[]),
            "refs/heads/x",
            RefChange::FastForward
        ));
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, expected) in [
            ("*", "refs/heads/x", true),
            ("refs/heads/*", "refs/heads/a/b", true),
            ("refs/heads/*", "refs/tags/a", false),
            ("refs/*/x", "refs/heads/a/x", true),
            ("refs/heads/a", "refs/heads/ab", false),
            ("refs/heads/a*b*c", "refs/heads/aXbYbZc", true),
            ("refs/heads/a*b*c", "refs/heads/aXbYbZ", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes()),
                expected,
                "{pattern} {name}"
            );
        }
    }
}
