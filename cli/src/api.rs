//! The relayer's HTTP API, as the commands use it.

use eyre::{Result, WrapErr as _, bail, eyre};
use grid_adapters::{
    Auth, Endpoint,
    http::{JsonService, get_json},
};
use grid_relayer::http::{ApiError, ErrorBody};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{home::Home, sources};

/// The daemon of a home folder.
#[derive(Debug, Clone)]
pub(crate) struct RelayerApi {
    home: Home,
    /// `http://` and `relayer.listen`.
    address: String,
}

impl RelayerApi {
    /// The daemon of the configuration.
    pub(crate) fn of(home: &Home) -> Result<Self> {
        let address = format!("http://{}", home.config()?.relayer.listen);
        Ok(Self { home: home.clone(), address })
    }

    /// Where it is asked.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Asks a read-only route.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let answer: Value = get_json(&format!("{}{path}", self.address)).await.wrap_err(
            "the relayer does not answer; is `grid start` or `grid relayer run` running, and is \
             relayer.listen its address?",
        )?;
        read(answer)
    }

    /// Asks for a change, with the token of the home folder.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T> {
        let config = self.home.config()?;
        let Some(token) = sources::admin_token(&self.home, &config)? else {
            bail!(
                "administration is off: put one line of `openssl rand -hex 32` into keys/admin-token (mode \
                 600), set relayer.admin.token_file to it, and restart the daemon"
            );
        };
        let url = format!("http://{}{path}", config.relayer.admin.listen);
        let endpoint =
            Endpoint::new(&url, "relayer.admin.listen")?.with_auth(Auth::Bearer(token))?;
        let answer: Value =
            JsonService::new(endpoint)?.post("administration", body).await.wrap_err(
                "the relayer's administration does not answer; is the daemon running with this \
             relayer.admin section?",
            )?;
        read(answer)
    }
}

/// The relayer's own view; `None` where it does not answer.
pub(crate) async fn relayer_status(home: &Home) -> Option<grid_relayer::Status> {
    RelayerApi::of(home).ok()?.get("/v1/status").await.ok()
}

/// The answer, or the failure in its place.
fn read<T: DeserializeOwned>(answer: Value) -> Result<T> {
    if answer.get("error").is_some_and(Value::is_object) {
        let ErrorBody { error: ApiError { message, fix, .. } } = serde_json::from_value(answer)?;
        return Err(match fix {
            Some(fix) => eyre!("{message}; {fix}"),
            None => eyre!(message),
        });
    }
    serde_json::from_value(answer)
        .wrap_err("the relayer is of another version: restart it, or use its grid")
}

/// A text as one part of a path.
pub(crate) fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failure_is_told_with_its_fix() {
        let body = json!({ "error": { "code": "conflict", "message": "paused", "fix": "resume" } });
        assert_eq!(read::<Value>(body).unwrap_err().to_string(), "paused; resume");
        let body = json!({ "error": { "code": "conflict", "message": "paused" } });
        assert_eq!(read::<Value>(body).unwrap_err().to_string(), "paused");
        // A field of that name is no failure.
        assert_eq!(read::<Value>(json!({ "error": null })).unwrap(), json!({ "error": null }));
    }

    #[test]
    fn what_people_type_stays_one_part_of_a_path() {
        assert_eq!(segment("eip155:1:20"), "eip155:1:20");
        assert_eq!(segment("a/../b?c#d e"), "a%2F..%2Fb%3Fc%23d%20e");
        assert_eq!(segment("ü"), "%C3%BC");
    }
}
