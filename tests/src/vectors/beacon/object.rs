//! One light-client object in a file, as SSZ, as JSON, or as both.

use std::path::Path;

use grid_core::ethereum::sync::{
    DecodeError, NetworkConfig,
    file::{Object, Shape},
    json,
};

use super::super::hexes;

/// Reads `stem.json` and `stem.ssz`, which must say the same, and returns what they say. The outer
/// error is about the files, the inner one is the decoder's.
pub(super) fn read(
    network: &NetworkConfig,
    folder: &Path,
    stem: &str,
) -> Result<Result<Object, DecodeError>, String> {
    let text = hexes::bytes(&folder.join(format!("{stem}.json")))?;
    let (format, value) = match json::envelope(&text) {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    let shape = Shape::of(&value).ok_or_else(|| format!("{stem}: of no known shape"))?;
    let as_json = shape.read_json(network, format, &value);
    let bytes = hexes::bytes(&folder.join(format!("{stem}.ssz")))?;
    let as_ssz = shape.read_ssz(network, format, &bytes);
    match (&as_json, &as_ssz) {
        (Ok(one), Ok(other)) if one != other => Err(format!("{stem}: SSZ and JSON differ")),
        (Ok(_), Err(error)) => Err(format!("{stem}: JSON decodes, SSZ does not: {error}")),
        (Err(error), Ok(_)) => Err(format!("{stem}: SSZ decodes, JSON does not: {error}")),
        _ => {
            // A byte more or less belongs to the last list (extra data) or to nothing.
            let longer = [bytes.as_slice(), &[0]].concat();
            let same = |bytes: &[u8]| shape.read_ssz(network, format, bytes) == as_ssz;
            if as_ssz.is_ok() && (same(&longer) || same(&bytes[..bytes.len().saturating_sub(1)])) {
                return Err(format!("{stem}: SSZ with a byte more or less is the same object"));
            }
            Ok(as_ssz)
        }
    }
}
