//! The fields of a JSON body, where one field may be given under several names.
//!
//! As in a query (`query_fields`): two names of a field are fine as long as they say the same, and which names are one field is
//! known to the type that is read alone. A body without such a field is parsed once, and nothing more is done.

use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::query_fields::differ;
use crate::error::ApiError;

/// Longest body that is looked at closely.
const MAX_BYTES: usize = 64 << 10;
/// Fields that are looked at closely at most.
const MAX_FIELDS: usize = 100;

/// Why a body was not read.
#[derive(Debug)]
pub(super) enum Refused {
    /// What the parser says.
    Json(serde_json::Error),
    /// One field has two values; it is named.
    Differ(ApiError),
}

impl Refused {
    /// What the client reads; `what` says what the parser's words are of.
    pub(super) fn told(self, what: &str) -> ApiError {
        match self {
            Refused::Json(error) => ApiError::invalid(format!("{what}: {error}")),
            Refused::Differ(error) => error,
        }
    }
}

/// Reads a JSON object.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refused> {
    let error = match serde_json::from_slice(bytes) {
        Ok(read) => return Ok(read),
        Err(error) => error,
    };
    if !is_duplicate(&error) || bytes.len() > MAX_BYTES {
        return Err(Refused::Json(error));
    }
    let Ok(mut object) = serde_json::from_slice::<Object>(bytes) else {
        return Err(Refused::Json(error));
    };
    if object.count() > MAX_FIELDS {
        return Err(Refused::Json(error));
    }
    let mut last = match parse::<T>(&object) {
        // It was within a list, where nothing is settled.
        Ok(_) => return Err(Refused::Json(error)),
        Err(error) => error,
    };
    // Each round settles one field that was given twice.
    while is_duplicate(&last) && settle::<T>(&mut object, &last)? {
        match parse(&object) {
            Ok(read) => return Ok(read),
            Err(next) => last = next,
        }
    }
    Err(Refused::Json(error))
}

/// An object with its fields as they came, also those that came twice.
#[derive(Clone, Debug, PartialEq)]
struct Object(Vec<(String, Field)>);

#[derive(Clone, Debug, PartialEq)]
enum Field {
    Object(Object),
    /// Anything else, lists included.
    Value(Value),
}

impl Object {
    fn count(&self) -> usize {
        let within = self.0.iter().map(|(_, field)| match field {
            Field::Object(object) => object.count(),
            Field::Value(_) => 0,
        });
        self.0.len() + within.sum::<usize>()
    }

    /// The object at `path`, a field of a field.
    fn at(&mut self, path: &[usize]) -> Option<&mut Object> {
        let Some((first, rest)) = path.split_first() else {
            return Some(self);
        };
        match self.0.get_mut(*first) {
            Some((_, Field::Object(object))) => object.at(rest),
            _ => None,
        }
    }

    /// Where all objects in this one are, itself included.
    fn paths(&self, here: Vec<usize>, found: &mut Vec<Vec<usize>>) {
        for (at, (_, field)) in self.0.iter().enumerate() {
            if let Field::Object(object) = field {
                object.paths([&here[..], &[at]].concat(), found);
            }
        }
        found.push(here);
    }
}

fn parse<T: DeserializeOwned>(object: &Object) -> Result<T, serde_json::Error> {
    serde_json::from_slice(&serde_json::to_vec(object)?)
}

fn is_duplicate(error: &serde_json::Error) -> bool {
    error.to_string().starts_with("duplicate field `")
}

/// What an error says, without where.
fn what(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    text[..end].to_owned()
}

/// Drops the second of two fields that are one and say the same; whether there were two such.
fn settle<T: DeserializeOwned>(
    object: &mut Object,
    error: &serde_json::Error,
) -> Result<bool, Refused> {
    let mut paths = Vec::new();
    object.paths(Vec::new(), &mut paths);
    for path in paths {
        let count = object.at(&path).map_or(0, |object| object.0.len());
        // Without either of the two there is none too many. What is needed is none of them.
        let without = |at: &usize| {
            let mut less = object.clone();
            less.at(&path).map(|object| object.0.remove(*at));
            let next = parse::<T>(&less).map_or_else(|next| what(&next), |_| String::new());
            next != what(error) && !next.starts_with("missing field `")
        };
        let both: Vec<usize> = (0..count).filter(without).collect();
        let (&[first, last], Some(found)) = (both.as_slice(), object.at(&path)) else {
            continue;
        };
        if found.0[first].1 == found.0[last].1 {
            found.0.remove(last);
            return Ok(true);
        }
        let shown = |at: usize| {
            let (name, field) = &found.0[at];
            (name.clone(), field.to_string())
        };
        return Err(Refused::Differ(differ(&shown(first), &shown(last))));
    }
    Ok(false)
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Value(Value::String(text)) => f.write_str(text),
            Field::Value(value) => write!(f, "{value}"),
            Field::Object(_) => f.write_str("an object"),
        }
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, field) in &self.0 {
            match field {
                Field::Object(object) => map.serialize_entry(name, object)?,
                Field::Value(value) => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

impl<'de> serde::Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object, D::Error> {
        match Field::deserialize(deserializer)? {
            Field::Object(object) => Ok(object),
            Field::Value(_) => Err(D::Error::custom("not an object")),
        }
    }
}

impl<'de> serde::Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Field, D::Error> {
        deserializer.deserialize_any(AnyField)
    }
}

struct AnyField;

impl<'de> Visitor<'de> for AnyField {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field, A::Error> {
        let mut fields = Vec::new();
        while let Some(entry) = map.next_entry()? {
            fields.push(entry);
        }
        Ok(Field::Object(Object(fields)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Field, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Field::Value(Value::Array(items)))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Field, E> {
        Ok(Field::Value(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Field, E> {
        Ok(Field::Value(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Field, E> {
        Ok(Field::Value(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Field, E> {
        Ok(Field::Value(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Field, E> {
        Ok(Field::Value(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Field, E> {
        Ok(Field::Value(Value::Null))
    }
}

#[cfg(test)]
mod tests {
    use packhouse_api::{CreateTag, MetadataLine};

    use super::*;

    fn metadata(text: &str) -> Result<MetadataLine, String> {
        read(text.as_bytes()).map_err(|refused| match refused {
            Refused::Json(error) => error.to_string(),
            Refused::Differ(error) => error.message().to_owned(),
        })
    }

    fn line(more: &str) -> String {
        format!(
            r#"{{"metadata":{{"target_branch":"main","commit_message":"m","author":{{"name":"a","email":"b"}}{more}}}}}"#
        )
    }

    #[test]
    fn two_names_of_a_field_may_say_the_same_also_within_an_object() {
        let both = line(
            r#","ephemeral":true,"expected_head_sha":"x","target_is_ephemeral":true,"expected_target_sha":"x""#,
        );
        let read = metadata(&both).unwrap().metadata;
        assert!(read.ephemeral);
        assert_eq!(read.expected_head_sha.as_deref(), Some("x"));
        let plain = line(r#","files":[{"path":"a"},{"path":"b"}]"#);
        assert_eq!(metadata(&plain).unwrap().metadata.files.len(), 2);
    }

    #[test]
    fn two_that_differ_are_named() {
        let error = metadata(&line(
            r#","expected_head_sha":"x","expected_target_sha":"y""#,
        ));
        let error = error.unwrap_err();
        assert!(
            error.contains("`expected_head_sha` is `x` and `expected_target_sha` is `y`"),
            "{error}"
        );
        let error = metadata(&line(r#","ephemeral":true,"ephemeral":false"#)).unwrap_err();
        assert!(error.contains("`ephemeral` is given twice"), "{error}");
        let tag = br#"{"name":"a","target":"x","name":"b"}"#;
        assert!(matches!(read::<CreateTag>(tag), Err(Refused::Differ(_))));
    }

    #[test]
    fn what_is_in_a_list_and_what_is_long_is_refused_as_before() {
        let twice = line(r#","files":[{"path":"a","path":"a"}]"#);
        assert!(
            metadata(&twice)
                .unwrap_err()
                .contains("duplicate field `path`")
        );
        let long = format!(
            r#","ephemeral":true,"ephemeral":true,"base_branch":"{}""#,
            "x".repeat(MAX_BYTES)
        );
        assert!(
            metadata(&line(&long))
                .unwrap_err()
                .contains("duplicate field")
        );
        assert!(metadata("{").unwrap_err().contains("EOF"));
    }
}
