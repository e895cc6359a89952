//! Recorded JSON-RPC calls: lines `>> request` and `<< answer`.

use std::path::Path;

use serde_json::Value;

use super::hexes;

/// Requests with their answers, in the order of the file.
pub(super) fn calls(path: &Path) -> Result<Vec<(Value, Value)>, String> {
    let text = hexes::text(path)?;
    let json = |text: &str| serde_json::from_str(text).map_err(|error| error.to_string());
    let (mut found, mut request) = (Vec::new(), None);
    for line in text.lines() {
        if let Some(sent) = line.strip_prefix(">> ") {
            request = Some(json(sent)?);
        } else if let Some(received) = line.strip_prefix("<< ") {
            let request = request.take().ok_or("an answer without its request")?;
            found.push((request, json(received)?));
        }
    }
    Ok(found)
}
