//! Folders with a `case.json`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    super::{Outcome, hexes},
    collection, proofs, steps,
};

/// The files beside a `case.json`, and which of them were read.
pub(super) struct Files {
    /// Their folder.
    pub(super) folder: PathBuf,
    unread: BTreeSet<String>,
}

/// Forms that only repeat a `.ssz` and the `case.json`, or describe them.
const REPEATED: [&str; 4] = ["ssz_snappy", "yaml", "md", "txt"];

impl Files {
    fn beside(path: &Path) -> Result<Self, String> {
        let folder = path.parent().ok_or("has no folder")?.to_owned();
        let mut unread = BTreeSet::new();
        for entry in std::fs::read_dir(&folder).map_err(|error| error.to_string())? {
            let entry = entry.map_err(|error| error.to_string())?.path();
            let extension = entry.extension().unwrap_or_default().to_string_lossy().into_owned();
            if entry.is_file() && entry != path && !REPEATED.contains(&extension.as_str()) {
                unread.insert(entry.file_name().unwrap_or_default().to_string_lossy().into_owned());
            }
        }
        Ok(Self { folder, unread })
    }

    /// A file that is going to be read.
    pub(super) fn take(&mut self, name: &str) -> PathBuf {
        self.unread.remove(name);
        self.folder.join(name)
    }

    /// Both forms of an object that is going to be read.
    pub(super) fn take_object(&mut self, stem: &str) -> &Path {
        self.unread.remove(&format!("{stem}.json"));
        self.unread.remove(&format!("{stem}.ssz"));
        &self.folder
    }
}

/// Whether a `case.json` is of a kind that is known.
pub(in super::super) fn is_case(value: &Value) -> bool {
    ["leaf_index", "updates", "steps"].iter().any(|field| value.get(field).is_some())
}

/// Runs a `case.json` and all files beside it.
pub(in super::super) fn case(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let value: Value = hexes::json(path)?;
    let mut files = Files::beside(path)?;
    if value.get("leaf_index").is_some() {
        proofs::single(path, &value, outcome)?;
    } else if value.get("updates").is_some() {
        proofs::ranking(&value, &mut files, outcome)?;
    } else if collection::is_collection(&value) {
        collection::run(&value, &mut files, outcome)?;
    } else if value.get("steps").is_some() {
        steps::run(&value, &mut files, outcome)?;
    } else {
        return Err("is a case of an unknown kind".into());
    }
    for name in &files.unread {
        outcome.case(name, Err("is not named by its case and was not read".into()));
    }
    Ok(())
}

/// A file that its folder's `case.json` reads; without one, nothing does.
pub(in super::super) fn member(path: &Path, _: &mut Outcome) -> Result<(), String> {
    let beside = path.with_file_name("case.json");
    if beside.is_file() {
        Ok(())
    } else {
        Err("has no case.json beside it and was not read".into())
    }
}
