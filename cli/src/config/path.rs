//! Paths of values, such as `chain[0].rpc`, and the values at them.

use toml::{Table, Value};

/// `chain[0].rpc` → `chain`, `0`, `rpc`.
pub(super) fn segments(path: &str) -> Vec<String> {
    path.split(['.', '[', ']']).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// The reverse of [`segments`].
pub(super) fn shown(path: &[String]) -> String {
    let mut out = String::new();
    for part in path {
        if part.chars().all(|c| c.is_ascii_digit()) {
            out.push_str(&format!("[{part}]"));
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(part);
        }
    }
    if out.is_empty() { "the file".into() } else { out }
}

fn at<'a>(table: &'a mut Table, path: &[String], make: bool) -> Option<&'a mut Table> {
    let mut at = table;
    let mut parts = path.iter();
    while let Some(part) = parts.next() {
        let next = if make {
            at.entry(part.clone()).or_insert_with(|| Value::Table(Table::new()))
        } else {
            at.get_mut(part)?
        };
        at = match next {
            Value::Table(inner) => inner,
            Value::Array(items) => {
                items.get_mut(parts.next()?.parse::<usize>().ok()?)?.as_table_mut()?
            }
            _ => return None,
        };
    }
    Some(at)
}

/// Sets the value at `path`, making the sections on the way; `false` where a list on the way has no such place.
pub(super) fn insert(table: &mut Table, path: &[String], value: Value) -> bool {
    let Some((last, parents)) = path.split_last() else { return false };
    let Some(section) = at(table, parents, true) else { return false };
    section.insert(last.clone(), value);
    true
}

/// Takes the value at `path` out; `false` where there is none (a missing value cannot be taken out).
pub(super) fn remove(table: &mut Table, path: &[String]) -> bool {
    match path {
        [] => false,
        [parents @ .., list, n] if n.parse::<usize>().is_ok() => {
            let items = at(table, parents, false)
                .and_then(|section| section.get_mut(list))
                .and_then(Value::as_array_mut);
            match (items, n.parse::<usize>()) {
                (Some(items), Ok(n)) if n < items.len() => {
                    items.remove(n);
                    true
                }
                _ => false,
            }
        }
        [parents @ .., last] => {
            at(table, parents, false).is_some_and(|section| section.remove(last).is_some())
        }
    }
}

/// Every value that is no section, with its path; a list of plain values is one value.
pub(crate) fn leaves(table: &Table) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    walk("", &Value::Table(table.clone()), &mut found);
    found
}

fn walk(path: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(&inner, value, found);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_table) => {
            for (n, item) in items.iter().enumerate() {
                walk(&format!("{path}[{n}]"), item, found);
            }
        }
        plain => found.push((path.to_owned(), plain.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        "[a]\nb = 1\n[[c]]\nd = [1, 2]\n[[c]]\n[c.e]\nf = true\n".parse().unwrap()
    }

    #[test]
    fn values_are_found_set_and_taken_out_by_their_paths() {
        let mut table = table();
        let names =
            |table: &Table| leaves(table).into_iter().map(|(path, _)| path).collect::<Vec<_>>();
        assert_eq!(names(&table), ["a.b", "c[0].d", "c[1].e.f"]);
        assert!(insert(&mut table, &segments("c[1].e.g"), Value::Integer(7)));
        assert!(insert(&mut table, &segments("new.section.key"), Value::Integer(7)));
        assert!(!insert(&mut table, &segments("c[2].d"), Value::Integer(7)), "there is no third");
        assert!(!insert(&mut table, &segments("a.b.c"), Value::Integer(7)), "b is no section");
        assert!(remove(&mut table, &segments("c[0].d[1]")) && remove(&mut table, &segments("a.b")));
        assert!(
            !remove(&mut table, &segments("a.b")) && !remove(&mut table, &segments("c[0].d[1]"))
        );
        assert_eq!(names(&table), ["c[0].d", "c[1].e.f", "c[1].e.g", "new.section.key"]);
        assert_eq!(shown(&segments("c[1].e.g")), "c[1].e.g");
    }
}
