//! Which rules of objects may be broken, and by which objects: `receive.fsck.<msg-id>` and `receive.fsck.skipList`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use crate::{IdSet, ObjectId, Progress};

/// What is made of an object that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing.
    Ignore,
    /// The sender is told, and it is taken.
    Warn,
    /// It is refused.
    Error,
}

/// The rules in force. By default all of them are, for all objects.
///
/// They are known by Git's names, in any case. What makes an object unreadable stays an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectRules {
    severities: Arc<BTreeMap<String, Severity>>,
    skipped: Arc<IdSet>,
}

/// Whose objects break a rule and are taken for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Breakers {
    /// Those of old histories, as nothing hangs on the rule: how persons and times are written, and modes with a zero in front.
    /// `git clone` takes such objects too.
    OldHistories,
    /// Nobody's, whatever else `git fsck` calls an error: names of files above all.
    Nobody,
}

/// Rules that may be broken, in lower case.
const RULES: [(&str, Breakers); 33] = [
    ("baddate", Breakers::OldHistories),
    ("baddateoverflow", Breakers::OldHistories),
    ("bademail", Breakers::OldHistories),
    ("badname", Breakers::OldHistories),
    ("badtimezone", Breakers::OldHistories),
    ("duplicateentries", Breakers::Nobody),
    ("emptyname", Breakers::Nobody),
    ("fullpathname", Breakers::Nobody),
    ("gitattributesblob", Breakers::Nobody),
    ("gitattributeslarge", Breakers::Nobody),
    ("gitattributeslinelength", Breakers::Nobody),
    ("gitmodulesblob", Breakers::Nobody),
    ("gitmoduleslarge", Breakers::Nobody),
    ("gitmodulesname", Breakers::Nobody),
    ("gitmodulespath", Breakers::Nobody),
    ("gitmodulessymlink", Breakers::Nobody),
    ("gitmodulesupdate", Breakers::Nobody),
    ("gitmodulesurl", Breakers::Nobody),
    ("hasdot", Breakers::Nobody),
    ("hasdotdot", Breakers::Nobody),
    ("hasdotgit", Breakers::Nobody),
    ("largepathname", Breakers::Nobody),
    ("missingauthor", Breakers::OldHistories),
    ("missingcommitter", Breakers::OldHistories),
    ("missingemail", Breakers::OldHistories),
    ("missingnamebeforeemail", Breakers::OldHistories),
    ("missingspacebeforedate", Breakers::OldHistories),
    ("missingspacebeforeemail", Breakers::OldHistories),
    ("multipleauthors", Breakers::OldHistories),
    ("nulincommit", Breakers::OldHistories),
    ("treenotsorted", Breakers::Nobody),
    ("zeropaddeddate", Breakers::OldHistories),
    ("zeropaddedfilemode", Breakers::OldHistories),
];

impl ObjectRules {
    /// Whether there is such a rule, and it may be broken.
    pub fn knows(rule: &str) -> bool {
        is_rule(&rule.to_ascii_lowercase())
    }

    /// Says what is made of objects that break a rule.
    pub fn set(&mut self, rule: &str, severity: Severity) {
        Arc::make_mut(&mut self.severities).insert(rule.to_ascii_lowercase(), severity);
    }

    /// Lets objects pass whose dates, persons and modes old programs wrote in ways of their own, but for the rules of
    /// which something is said.
    pub fn let_old_histories_pass(&mut self) {
        let severities = Arc::make_mut(&mut self.severities);
        let broken = RULES.iter().filter(|(_, by)| *by == Breakers::OldHistories);
        for &(rule, _) in broken {
            let severity = severities.entry(rule.to_owned());
            severity.or_insert(Severity::Ignore);
        }
    }

    /// Takes an object whatever rules it breaks.
    pub fn skip(&mut self, id: ObjectId) {
        Arc::make_mut(&mut self.skipped).insert(id);
    }

    /// Whether no rule may be broken by any object.
    pub(crate) fn are_strict(&self) -> bool {
        self.severities.is_empty() && self.skipped.is_empty()
    }

    /// Whether all objects are judged alike, and nobody is told of what is let through: then what passed in one object
    /// passes in the next.
    pub(crate) fn are_even(&self) -> bool {
        let is_told = |severity: &Severity| *severity == Severity::Warn;
        self.skipped.is_empty() && !self.severities.values().any(is_told)
    }

    /// Whether an object is taken despite a fault, whose text begins with the rule; `progress` is told of it if somebody
    /// wants to know.
    pub(crate) fn tolerate(
        &self,
        id: ObjectId,
        fault: &dyn Display,
        progress: &dyn Progress,
    ) -> bool {
        if self.are_strict() {
            return false;
        }
        let text = fault.to_string();
        let rule = text.split(':').next().unwrap_or_default();
        match self.severity(&rule.to_ascii_lowercase()) {
            Severity::Ignore => true,
            _ if self.skipped.contains(&id) => true,
            Severity::Warn => {
                progress.warning(&format!("object {id}: {text}"));
                true
            }
            Severity::Error => false,
        }
    }

    fn severity(&self, rule: &str) -> Severity {
        match self.severities.get(rule) {
            Some(severity) if is_rule(rule) => *severity,
            _ => Severity::Error,
        }
    }
}

fn is_rule(name: &str) -> bool {
    RULES.iter().any(|(rule, _)| *rule == name)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::check::SyntaxError;
    use crate::{ObjectKind, PathError};

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Progress for Heard {
        fn warning(&self, text: &str) {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }

    #[test]
    fn only_what_was_named_may_be_broken() {
        let id = |digit: u8| ObjectId::from_hex(&[digit; 40]).unwrap();
        let heard = Heard::default();
        let mut rules = ObjectRules::default();
        let is_taken =
            |rules: &ObjectRules, digit, fault| rules.tolerate(id(digit), &fault, &heard);
        assert!(!is_taken(&rules, b'1', SyntaxError::MissingEmail));
        rules.set("missingEmail", Severity::Warn);
        rules.set("BADNAME", Severity::Ignore);
        rules.set("missingTree", Severity::Ignore);
        rules.set("hasDot", Severity::Ignore);
        assert!(is_taken(&rules, b'1', SyntaxError::MissingEmail));
        assert!(is_taken(&rules, b'1', SyntaxError::BadName));
        assert!(!is_taken(&rules, b'1', SyntaxError::BadEmail));
        // Nothing could read it.
        assert!(!ObjectRules::knows("missingTree"));
        assert!(!is_taken(&rules, b'1', SyntaxError::MissingTree));
        // `..` is another rule of Git's.
        assert!(is_taken(&rules, b'1', PathError::Dot.into()));
        assert!(!is_taken(&rules, b'1', PathError::DotDot.into()));
        rules.set("hasDotdot", Severity::Ignore);
        assert!(is_taken(&rules, b'1', PathError::DotDot.into()));
        rules.skip(id(b'2'));
        assert!(is_taken(&rules, b'2', SyntaxError::BadEmail));
        let heard = heard.0.into_inner().unwrap();
        let text = format!(
            "object {}: missingEmail: invalid author/committer line - missing email",
            "1".repeat(40)
        );
        assert_eq!(heard, [text]);
    }

    #[test]
    fn what_is_wrong_behind_a_fault_that_is_taken_is_found() {
        let judge = |kind, data: &[u8], taken: &[SyntaxError]| {
            let mut judge = |fault| match taken.contains(&fault) {
                true => Ok(()),
                false => Err(fault),
            };
            super::super::judge_object(kind, data, &mut judge, |_| {})
        };
        let commit = b"tree 1111111111111111111111111111111111111111\nauthor A 1 +0000\ncommitter <a@b> 1 +0000\n\n\0";
        let steps = [
            SyntaxError::MissingEmail,
            SyntaxError::MissingNameBeforeEmail,
            SyntaxError::NulInCommit,
        ];
        for count in 0..steps.len() {
            let judged = judge(ObjectKind::Commit, commit, &steps[..count]);
            assert_eq!(judged, Err(steps[count]));
        }
        assert_eq!(judge(ObjectKind::Commit, commit, &steps), Ok(()));
        let mut tree = Vec::new();
        for name in ["b", "a", ".GIT", "c"] {
            tree.extend_from_slice(format!("040000 {name}\0").as_bytes());
            tree.extend_from_slice(&[7; 20]);
        }
        let steps = [
            SyntaxError::ZeroPaddedMode,
            SyntaxError::NotSorted,
            PathError::DotGit.into(),
        ];
        for count in 0..steps.len() {
            let judged = judge(ObjectKind::Tree, &tree, &steps[..count]);
            assert_eq!(judged, Err(steps[count]));
        }
        assert_eq!(judge(ObjectKind::Tree, &tree, &steps), Ok(()));
    }
}
