//! Ref policies: which refs a token may move, and how.
//!
//! Rules are tried in order and the first whose pattern matches decides, so an empty rule in front of a broad one is
//! an exception from it. A rule that this server cannot enforce refuses every change: a policy never fails open.

use std::sync::Arc;

use packhouse_object::{ReadError, RefName};
use packhouse_repo::{NewCommits, RefChange, RefPolicy};

use super::signers::Signers;

/// The operation that has every commit signed.
const VERIFY_SIG: &str = "verify-sig";

/// The ref policy of one token.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TokenPolicy {
    rules: Vec<Rule>,
    /// Whose signatures count; nobody's until [`TokenPolicy::with_signers`] says so.
    signers: Arc<Signers>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Rule {
    /// Full ref name in which `*` stands for any text.
    pattern: String,
    ops: Vec<String>,
}

impl Rule {
    fn wants_signatures(&self) -> bool {
        self.ops.iter().any(|op| op == VERIFY_SIG)
    }

    /// Whether a ref that it covers may change in this way; `look` says whether all that comes with it is signed.
    fn decide(
        &self,
        change: RefChange,
        look: &dyn Fn() -> Result<Result<(), String>, ReadError>,
    ) -> Result<Result<(), String>, ReadError> {
        for op in &self.ops {
            let reason = match (op.as_str(), change) {
                ("no-push", _) => "push denied by policy".to_owned(),
                ("no-force-push", RefChange::Force) => "force push denied by policy".to_owned(),
                ("no-force-push", _) | (VERIFY_SIG, RefChange::Delete) => continue,
                (VERIFY_SIG, _) => match look()? {
                    Ok(()) => continue,
                    Err(reason) => format!("push denied by policy: {reason}"),
                },
                (op, _) => format!("push denied by policy: unknown operation `{op}`"),
            };
            return Ok(Err(reason));
        }
        Ok(Ok(()))
    }
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
        TokenPolicy {
            rules,
            signers: Arc::default(),
        }
    }

    /// Whether it has to be known whose signatures count.
    pub(crate) fn wants_signatures(&self) -> bool {
        self.rules.iter().any(Rule::wants_signatures)
    }

    /// The same policy, for which the signatures of `signers` count.
    pub(crate) fn with_signers(&self, signers: Signers) -> TokenPolicy {
        TokenPolicy {
            rules: self.rules.clone(),
            signers: Arc::new(signers),
        }
    }

    fn rule_for(&self, name: &RefName) -> Option<&Rule> {
        let mut rules = self.rules.iter();
        rules.find(|rule| matches(rule.pattern.as_bytes(), name.as_bytes()))
    }

    /// `commits` are those that the ref gains; `None`: one that the server is about to make.
    fn decide(
        &self,
        name: &RefName,
        change: RefChange,
        commits: Option<&NewCommits<'_>>,
    ) -> Result<Result<(), String>, ReadError> {
        match self.rule_for(name) {
            Some(rule) => rule.decide(change, &|| self.look(commits)),
            None => Ok(Ok(())),
        }
    }

    /// Whether all refs that there are or may come may change in this way, to what nobody has looked at; the error names
    /// the rule that says otherwise. For what changes refs that the caller does not name.
    pub(crate) fn allows_all(&self, change: RefChange) -> Result<(), String> {
        let unseen = || Ok(Err("its commits are not looked at here".to_owned()));
        for rule in &self.rules {
            match rule.decide(change, &unseen) {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => return Err(format!("{reason} (`{}`)", rule.pattern)),
                Err(error) => return Err(format!("push denied by policy: {error}")),
            }
            // No rule behind it decides on anything.
            if rule.pattern == "*" {
                break;
            }
        }
        Ok(())
    }

    /// Whether all commits are signed. Commits of refs for which that is asked, too, were looked at when they came there.
    fn look(&self, commits: Option<&NewCommits<'_>>) -> Result<Result<(), String>, ReadError> {
        let Some(commits) = commits else {
            let reason = "commits that the server makes are not signed; push signed ones";
            return Ok(Err(reason.to_owned()));
        };
        let is_trusted = |name: &RefName| self.rule_for(name).is_some_and(Rule::wants_signatures);
        let check = |payload: &[u8], signature: &[u8]| self.signers.check(payload, signature);
        commits.are_signed(&is_trusted, &check)
    }
}

impl RefPolicy for TokenPolicy {
    fn allows(&self, name: &RefName, change: RefChange) -> Result<(), String> {
        match self.decide(name, change, None) {
            Ok(decided) => decided,
            Err(error) => Err(format!("push denied by policy: {error}")),
        }
    }

    fn allows_commits(
        &self,
        name: &RefName,
        change: RefChange,
        commits: &NewCommits<'_>,
    ) -> Result<Result<(), String>, ReadError> {
        self.decide(name, change, Some(commits))
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
            &policy(&[("*", &["no-such-op"])], &[]),
            "refs/heads/x",
            RefChange::FastForward
        ));
    }

    #[test]
    fn a_commit_that_the_server_makes_is_not_signed() {
        let policy = policy(&[("*", &["verify-sig"])], &[]);
        assert!(policy.wants_signatures());
        assert!(!allowed(&policy, "refs/heads/x", RefChange::FastForward));
        assert!(!allowed(&policy, "refs/heads/x", RefChange::Create));
        // Nothing comes by it.
        assert!(allowed(&policy, "refs/heads/x", RefChange::Delete));
    }

    #[test]
    fn what_changes_refs_that_nobody_names_must_be_allowed_by_every_rule() {
        let all = |policy: &TokenPolicy, change| match policy.allows_all(change) {
            Ok(()) => true,
            Err(reason) => {
                assert!(reason.contains("denied by policy"), "{reason}");
                false
            }
        };
        let changes = [RefChange::Create, RefChange::Force, RefChange::Delete];
        type Case<'c> = (&'c [(&'c str, &'c [&'c str])], &'c [&'c str], [bool; 3]);
        let cases: [Case<'_>; 8] = [
            (&[], &[], [true; 3]),
            (&[("main", &["no-push"])], &[], [false; 3]),
            (&[("open/*", &[]), ("*", &["no-push"])], &[], [false; 3]),
            (&[], &["no-push"], [false; 3]),
            (&[], &["no-force-push"], [true, false, true]),
            (&[("main", &["verify-sig"])], &[], [false, false, true]),
            (&[("main", &["no-such-op"])], &[], [false; 3]),
            // The second rule never decides.
            (&[("*", &[]), ("main", &["no-push"])], &[], [true; 3]),
        ];
        for (rules, ops, expected) in cases {
            let policy = policy(rules, ops);
            assert_eq!(changes.map(|change| all(&policy, change)), expected);
        }
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
