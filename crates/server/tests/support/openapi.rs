//! Answers checked against the server's own OpenAPI document.

use serde_json::Value;

pub(crate) struct Document(Value);

/// Where the document describes what is at `path`: most paths that name the repository are described with version 1.
fn documented(path: &str, method: &str) -> String {
    let Some(named) = path.strip_prefix("/api/repos") else {
        return path.to_owned();
    };
    let Some(resource) = named.strip_prefix('/') else {
        return "/api/v1/repos".to_owned();
    };
    match resource.split_once('/') {
        None if method == "DELETE" => "/api/v1/repos/delete".to_owned(),
        None => "/api/v1/repo".to_owned(),
        Some((_, resource)) => match resource.split_once('/') {
            Some(("tags" | "git-credentials", _)) => path.to_owned(),
            _ => format!("/api/v1/repos/{resource}"),
        },
    }
}

impl Document {
    pub(crate) fn new(document: Value) -> Document {
        Document(document)
    }

    /// Panics unless the document says that `method` on `path` may answer `status` with `body`.
    pub(crate) fn check(&self, method: &str, path: &str, status: u16, body: &Value) {
        let operation = &self.template(&documented(path, method))[method.to_ascii_lowercase()];
        assert!(operation.is_object(), "{method} {path} is not documented");
        let response = &operation["responses"][status.to_string()];
        assert!(
            response.is_object(),
            "{method} {path}: {status} is not documented (body: {body})"
        );
        let schema = &response["content"]["application/json"]["schema"];
        assert!(
            schema.is_object(),
            "{method} {path}: {status} has no JSON body (got {body})"
        );
        if let Err(problem) = self.matches(schema, body) {
            panic!("{method} {path} {status}: {problem}\nbody: {body}");
        }
    }

    /// What the document says of a path, or of one with names in place of some of its parts.
    fn template(&self, path: &str) -> &Value {
        let paths = self.0["paths"].as_object().unwrap();
        let fits = |template: &str| {
            let (one, other) = (template.split('/'), path.split('/'));
            one.clone().count() == other.clone().count()
                && one
                    .zip(other)
                    .all(|(one, other)| one == other || one.starts_with('{'))
        };
        paths.get(path).unwrap_or_else(|| {
            let found = paths.iter().find(|(template, _)| fits(template));
            found.map_or(&Value::Null, |(_, said)| said)
        })
    }

    fn matches(&self, schema: &Value, value: &Value) -> Result<(), String> {
        if let Some(reference) = schema["$ref"].as_str() {
            let target = self.0.pointer(reference.strip_prefix('#').unwrap());
            return self.matches(
                target.unwrap_or_else(|| panic!("{reference} leads nowhere")),
                value,
            );
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            let fits = choices
                .iter()
                .filter(|choice| self.matches(choice, value).is_ok())
                .count();
            return if fits == 1 {
                Ok(())
            } else {
                Err(format!("{value} fits {fits} of {schema}"))
            };
        }
        if let Some(words) = schema["enum"].as_array()
            && !words.contains(value)
        {
            return Err(format!("{value} is none of {words:?}"));
        }
        let kinds: Vec<&str> = match &schema["type"] {
            Value::String(kind) => vec![kind],
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            other => return Err(format!("schema without a type: {other} in {schema}")),
        };
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        if !kinds.contains(&kind) {
            return Err(format!("{value} is not {kinds:?}"));
        }
        for item in value.as_array().into_iter().flatten() {
            self.matches(&schema["items"], item)?;
        }
        if let Some(fields) = value.as_object() {
            for required in schema["required"].as_array().into_iter().flatten() {
                if !fields.contains_key(required.as_str().unwrap()) {
                    return Err(format!("{required} is missing"));
                }
            }
            for (name, field) in fields {
                let named = &schema["properties"][name];
                // A map has names of its own, and one schema for all that is in it.
                let property = if named.is_null() {
                    &schema["additionalProperties"]
                } else {
                    named
                };
                if !property.is_object() {
                    return Err(format!("`{name}` is not documented"));
                }
                self.matches(property, field)
                    .map_err(|problem| format!("{name}: {problem}"))?;
            }
        }
        Ok(())
    }
}
