//! Commits over the API: every rule of the route.

mod bodies;
mod commits;
mod refusals;

use serde_json::Value;

use crate::support::Answer;

const ZEROS: &str = "0000000000000000000000000000000000000000";

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

/// A refusal of a commit: its own shape, and nothing stored.
#[track_caller]
fn refused(answer: Answer, status: u16, word: &str) -> String {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.body["commit"], Value::Null);
    assert_eq!(answer.body["result"]["success"], false);
    assert_eq!(answer.body["result"]["status"], word, "{}", answer.body);
    assert_eq!(answer.body["result"]["new_sha"], "");
    assert_eq!(answer.body["result"]["message"], answer.error());
    answer.error().to_owned()
}
