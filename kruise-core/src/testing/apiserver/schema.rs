//! Structural schemas of CustomResourceDefinitions: defaults, pruning, validation, rules of merging.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::json::{items, text};
use super::rules::ListRule;
use super::status::Cause;

#[derive(Clone, Debug, Default)]
pub(crate) struct Schema {
    kind: String,
    properties: BTreeMap<String, Schema>,
    additional: Option<Box<Schema>>,
    items: Option<Box<Schema>>,
    /// Fields that are not known stay.
    preserve: bool,
    /// A whole object with kind and metadata.
    embedded: bool,
    int_or_string: bool,
    nullable: bool,
    default: Option<Value>,
    required: Vec<String>,
    choices: Vec<Value>,
    range: Range,
    length: Range,
    list_type: String,
    list_keys: Vec<String>,
    map_type: String,
}

/// Bounds, inclusive unless said otherwise.
#[derive(Clone, Copy, Debug, Default)]
struct Range {
    least: Option<f64>,
    most: Option<f64>,
    above: bool,
    below: bool,
}

static ANYTHING: Schema = Schema {
    kind: String::new(),
    properties: BTreeMap::new(),
    additional: None,
    items: None,
    preserve: true,
    embedded: false,
    int_or_string: false,
    nullable: true,
    default: None,
    required: Vec::new(),
    choices: Vec::new(),
    range: Range {
        least: None,
        most: None,
        above: false,
        below: false,
    },
    length: Range {
        least: None,
        most: None,
        above: false,
        below: false,
    },
    list_type: String::new(),
    list_keys: Vec::new(),
    map_type: String::new(),
};

fn words(value: &Value, key: &str) -> Vec<String> {
    let words = items(value, &[key]).iter().filter_map(Value::as_str);
    words.map(str::to_owned).collect()
}

impl Schema {
    /// Of a whole object: its metadata is checked elsewhere.
    pub(crate) fn root(value: &Value) -> Self {
        let mut schema = Self::parse(value);
        schema.embedded = true;
        schema
    }

    /// Keeps and allows everything.
    pub(crate) fn anything() -> &'static Self {
        &ANYTHING
    }

    fn parse(value: &Value) -> Self {
        let flag = |key: &str| value[key].as_bool().unwrap_or_default();
        let bound = |key: &str| value[key].as_f64();
        let kind = text(value, &["type"]).to_owned();
        let length = |what: &str| Range {
            least: bound(&format!("min{what}")),
            most: bound(&format!("max{what}")),
            ..Range::default()
        };
        Self {
            properties: value["properties"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, value)| (key.clone(), Self::parse(value)))
                .collect(),
            additional: match &value["additionalProperties"] {
                Value::Object(_) => Some(Box::new(Self::parse(&value["additionalProperties"]))),
                Value::Bool(true) => Some(Box::new(ANYTHING.clone())),
                _ => None,
            },
            items: value.get("items").map(|items| Box::new(Self::parse(items))),
            preserve: flag("x-kubernetes-preserve-unknown-fields"),
            embedded: flag("x-kubernetes-embedded-resource"),
            int_or_string: flag("x-kubernetes-int-or-string"),
            nullable: flag("nullable"),
            default: value.get("default").cloned(),
            required: words(value, "required"),
            choices: items(value, &["enum"]).to_vec(),
            range: Range {
                least: bound("minimum"),
                most: bound("maximum"),
                above: flag("exclusiveMinimum"),
                below: flag("exclusiveMaximum"),
            },
            length: match &*kind {
                "array" => length("Items"),
                "object" => length("Properties"),
                _ => length("Length"),
            },
            list_type: text(value, &["x-kubernetes-list-type"]).to_owned(),
            list_keys: words(value, "x-kubernetes-list-map-keys"),
            map_type: text(value, &["x-kubernetes-map-type"]).to_owned(),
            kind,
        }
    }

    /// The schema of a field; elements of lists are passed through.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Self> {
        let mut schema = self;
        for key in path {
            while let Some(items) = &schema.items {
                schema = items;
            }
            schema = schema.child(key)?;
        }
        Some(schema)
    }

    fn child(&self, key: &str) -> Option<&Self> {
        self.properties.get(key).or(self.additional.as_deref())
    }

    pub(crate) fn list_rule(&self) -> ListRule {
        match &*self.list_type {
            "set" => ListRule::Set,
            "map" => ListRule::Map(self.list_keys.clone()),
            _ => ListRule::Atomic,
        }
    }

    pub(crate) fn is_atomic_map(&self) -> bool {
        self.map_type == "atomic"
    }

    /// Drops what the schema does not know, and nulls where a default is or none is allowed; then sets defaults.
    pub(crate) fn prune_and_default(&self, value: &mut Value) {
        self.prune(value, true);
        self.set_defaults(value);
    }

    fn prune(&self, value: &mut Value, root: bool) {
        match value {
            Value::Object(map) => {
                let whole = self.embedded;
                map.retain(|key, _| {
                    self.preserve
                        || self.child(key).is_some()
                        || (whole && matches!(&**key, "apiVersion" | "kind" | "metadata"))
                });
                for (key, value) in map.iter_mut() {
                    // The metadata of the object itself is not the schema's.
                    if let Some(child) = self.child(key).filter(|_| !(root && key == "metadata")) {
                        child.prune(value, false);
                    }
                }
            }
            Value::Array(values) => {
                if let Some(items) = &self.items {
                    values.iter_mut().for_each(|value| items.prune(value, false));
                }
            }
            _ => {}
        }
    }

    fn set_defaults(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                for (key, schema) in &self.properties {
                    if let Some(default) = &schema.default
                        && map
                            .get(key)
                            .is_none_or(|value| value.is_null() && !schema.nullable)
                    {
                        map.insert(key.clone(), default.clone());
                    }
                }
                for (key, value) in map.iter_mut() {
                    if let Some(child) = self.child(key) {
                        child.set_defaults(value);
                    }
                }
            }
            Value::Array(values) => {
                if let Some(items) = &self.items {
                    values.iter_mut().for_each(|value| items.set_defaults(value));
                }
            }
            _ => {}
        }
    }

    /// What is wrong with a value. Patterns, formats and rules of CEL are not looked at.
    pub(crate) fn validate(&self, value: &Value, path: &str, causes: &mut Vec<Cause>) {
        if value.is_null() && (self.nullable || self.kind.is_empty()) {
            return;
        }
        let fits = match &*self.kind {
            "" => !self.int_or_string || value.is_string() || value.is_i64() || value.is_u64(),
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            _ => value.is_number(),
        };
        if !fits {
            let actual = match value {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(number) if number.is_f64() => "number",
                Value::Number(_) => "integer",
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
            };
            let expected = if self.kind.is_empty() {
                "integer or string"
            } else {
                &self.kind
            };
            let why = format!("{path} in body must be of type {expected}: {actual:?}");
            causes.push(Cause::invalid(path, &json!(actual), &why));
            return;
        }
        if !self.choices.is_empty() && !self.choices.contains(value) {
            let known: Vec<_> = self.choices.iter().map(Value::to_string).collect();
            causes.push(Cause::unsupported(path, value, &known));
        }
        match value {
            Value::Object(map) => {
                for key in self.required.iter().filter(|key| !map.contains_key(*key)) {
                    causes.push(Cause::required(join(path, key), ""));
                }
                self.check(self.length, map.len() as f64, path, value, "properties", causes);
                for (key, value) in map {
                    if let Some(child) = self.child(key) {
                        child.validate(value, &join(path, key), causes);
                    }
                }
            }
            Value::Array(values) => {
                self.check(self.length, values.len() as f64, path, value, "items", causes);
                for (index, value) in values.iter().enumerate() {
                    if let Some(items) = &self.items {
                        items.validate(value, &format!("{path}[{index}]"), causes);
                    }
                }
                self.check_unique(values, path, causes);
            }
            Value::String(text) => {
                self.check(
                    self.length,
                    text.chars().count() as f64,
                    path,
                    value,
                    "chars long",
                    causes,
                );
            }
            Value::Number(number) => {
                if let Some(number) = number.as_f64() {
                    self.check(self.range, number, path, value, "", causes);
                }
            }
            Value::Bool(_) | Value::Null => {}
        }
    }

    fn check(
        &self,
        range: Range,
        actual: f64,
        path: &str,
        value: &Value,
        what: &str,
        causes: &mut Vec<Cause>,
    ) {
        let unit = if what.is_empty() {
            String::new()
        } else {
            format!(" {what}")
        };
        if let Some(least) = range.least
            && (actual < least || (range.above && actual == least))
        {
            let word = if range.above {
                "greater than"
            } else {
                "greater than or equal to"
            };
            let why = format!("{path} in body should be {word} {least}{unit}");
            causes.push(Cause::invalid(path, value, &why));
        }
        if let Some(most) = range.most
            && (actual > most || (range.below && actual == most))
        {
            let word = if range.below {
                "less than"
            } else {
                "less than or equal to"
            };
            let why = format!("{path} in body should be {word} {most}{unit}");
            causes.push(Cause::invalid(path, value, &why));
        }
    }

    fn check_unique(&self, values: &[Value], path: &str, causes: &mut Vec<Cause>) {
        let name = |value: &Value| match self.list_rule() {
            ListRule::Atomic => None,
            ListRule::Set => Some(value.clone()),
            ListRule::Map(keys) => Some(keys.iter().map(|key| value[key].clone()).collect()),
        };
        for (index, value) in values.iter().enumerate() {
            let named = name(value);
            if named.is_some() && values.iter().take(index).any(|earlier| name(earlier) == named) {
                causes.push(Cause {
                    reason: "FieldValueDuplicate",
                    message: format!("Duplicate value: {}", named.unwrap_or_default()),
                    field: format!("{path}[{index}]"),
                });
            }
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
