//! The part of JSON Schema that the document uses, read strictly: a property that no schema describes is
//! a fault too, so that the document cannot fall behind the answers.

use serde_json::{Map, Value};

/// Everything about a value that its schema does not allow.
pub(super) fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    judge(document, schema, value, "", &mut found);
    found
}

fn judge(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let map = schema.as_object().unwrap_or_else(|| panic!("{at}: {schema} is no schema"));
    for (keyword, rule) in map {
        match keyword.as_str() {
            "$ref" => {
                let target = rule.as_str().unwrap().strip_prefix('#').unwrap();
                let target =
                    document.pointer(target).unwrap_or_else(|| panic!("{rule} leads nowhere"));
                judge(document, target, value, at, found);
            }
            "allOf" => {
                for part in rule.as_array().unwrap() {
                    judge(document, part, value, at, found);
                }
            }
            "oneOf" => {
                let attempts: Vec<Vec<String>> = rule
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|part| faults(document, part, value))
                    .collect();
                if attempts.iter().filter(|faults| faults.is_empty()).count() != 1 {
                    found.push(format!("{at}: fits none or several of {attempts:?}"));
                }
            }
            "type" if !is(rule.as_str().unwrap(), value) => {
                found.push(format!("{at}: {value} is no {rule}"));
            }
            "enum" if !rule.as_array().unwrap().contains(value) => {
                found.push(format!("{at}: {value} is none of {rule}"));
            }
            "pattern"
                if value.as_str().is_none_or(|text| !matches(rule.as_str().unwrap(), text)) =>
            {
                found.push(format!("{at}: {value} does not match {rule}"));
            }
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    judge(document, rule, item, &format!("{at}[{n}]"), found);
                }
            }
            "required" => {
                for name in rule.as_array().unwrap() {
                    if value.get(name.as_str().unwrap()).is_none() {
                        found.push(format!("{at}: {name} is missing"));
                    }
                }
            }
            "properties" => properties(document, map, value, at, found),
            "additionalProperties" => {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    judge(document, rule, inner, &format!("{at}.{name}"), found);
                }
            }
            "minimum" if value.as_u64() < rule.as_u64() => {
                found.push(format!("{at}: {value} < {rule}"))
            }
            "maximum" if value.as_u64() > rule.as_u64() => {
                found.push(format!("{at}: {value} > {rule}"))
            }
            "maxLength" if value.as_str().map(|text| text.len() as u64) > rule.as_u64() => {
                found.push(format!("{at}: longer than {rule}"));
            }
            "type" | "enum" | "pattern" | "minimum" | "maximum" | "maxLength" | "description" => {}
            other => panic!("{at}: the keyword {other} is not checked here"),
        }
    }
}

fn properties(
    document: &Value,
    schema: &Map<String, Value>,
    value: &Value,
    at: &str,
    found: &mut Vec<String>,
) {
    let known = schema["properties"].as_object().unwrap();
    for (name, inner) in value.as_object().into_iter().flatten() {
        match known.get(name) {
            Some(rule) => judge(document, rule, inner, &format!("{at}.{name}"), found),
            None => found.push(format!("{at}: {name} is not described")),
        }
    }
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the type {other} is not checked here"),
    }
}

/// The patterns of the document, by hand.
fn matches(pattern: &str, text: &str) -> bool {
    let hex = |most: usize, exact: bool, upper: bool| {
        let digit = |c: char| c.is_ascii_hexdigit() && (upper || !c.is_ascii_uppercase());
        text.strip_prefix("0x").is_some_and(|digits| {
            let fits =
                if exact { digits.len() == most } else { (1..=most).contains(&digits.len()) };
            fits && digits.chars().all(digit)
        })
    };
    match pattern {
        "^0x[0-9a-f]{64}$" => hex(64, true, false),
        "^0x[0-9a-fA-F]{40}$" => hex(40, true, true),
        "^0x[0-9a-f]{1,64}$" => hex(64, false, false),
        "^[0-9]{1,39}$" => {
            (1..=39).contains(&text.len()) && text.chars().all(|c| c.is_ascii_digit())
        }
        "^[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}$" => text.parse::<grid_core::ChainId>().is_ok(),
        other => panic!("the pattern {other} is not checked here"),
    }
}

#[test]
fn what_a_schema_does_not_allow_is_found() {
    use serde_json::json;
    let document =
        json!({ "components": { "schemas": { "Name": { "type": "string", "maxLength": 3 } } } });
    let name = json!({ "$ref": "#/components/schemas/Name" });
    let schema = json!({
        "type": "object", "required": ["name"],
        "properties": { "name": name, "next": { "oneOf": [name, { "type": "null" }] } },
    });
    assert!(faults(&document, &schema, &json!({ "name": "abc", "next": null })).is_empty());
    for wrong in [
        json!([]),
        json!({}),
        json!({ "name": 1 }),
        json!({ "name": "abcd" }),
        json!({ "name": "abc", "next": 5 }),
        json!({ "name": "abc", "more": 1 }),
    ] {
        assert!(!faults(&document, &schema, &wrong).is_empty(), "{wrong}");
    }
}
