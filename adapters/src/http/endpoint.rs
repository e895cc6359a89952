//! Where a node is and how to speak to it.

use core::{fmt, time::Duration};

use reqwest::Url;
use thiserror::Error;

use super::Auth;

/// Bounds of one endpoint's exchanges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time for one whole exchange, connection and body included.
    pub timeout: Duration,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Largest body that is read, in bytes.
    pub max_body: usize,
    /// Most calls in one JSON-RPC batch; longer batches are split.
    pub max_batch: usize,
}

impl Default for Limits {
    /// 10 s an exchange, 5 s to connect, 64 MiB (the largest Bitcoin block in hex takes 8 MB, full
    /// Ethereum blocks more), 100 calls a batch (the lowest limit of the well-known providers).
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            max_body: 64 << 20,
            max_batch: 100,
        }
    }
}

/// Why a text is not an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Not a URL. The text is not repeated: it may hold a key.
    #[error("{section}: the address is no valid URL ({reason}); expected http://host:port")]
    Url {
        /// Configuration section.
        section: String,
        /// The parser's reason.
        reason: String,
    },
    /// Not HTTP.
    #[error("{section}: the address has the scheme {scheme:?}; expected http or https")]
    Scheme {
        /// Configuration section.
        section: String,
        /// Scheme found.
        scheme: String,
    },
    /// User, password or cookie can't be sent.
    #[error("{section}: {reason}")]
    Credentials {
        /// Configuration section.
        section: String,
        /// What is wrong, without the value.
        reason: &'static str,
    },
    /// The HTTP client can't be built, for example because the machine has no root certificates.
    #[error(
        "no HTTP client for {endpoint}: {reason}; for https install the package ca-certificates"
    )]
    Client {
        /// Endpoint.
        endpoint: String,
        /// Why.
        reason: String,
    },
}

/// A node's address, credentials and limits. `Debug` and `Display` show scheme, host and port only.
#[derive(Clone)]
pub struct Endpoint {
    url: Url,
    origin: String,
    section: String,
    auth: Auth,
    limits: Limits,
}

impl Endpoint {
    /// Parses `http://host:port/path` or `https://…`. User and password inside the URL are accepted
    /// and moved into [`Auth`]. `section` names where the endpoint is configured, for example
    /// `chain[0].rpc[1]`; messages send people there.
    ///
    /// # Errors
    /// When the text is no http(s) URL.
    pub fn new(url: &str, section: &str) -> Result<Self, EndpointError> {
        let section = section.to_owned();
        let mut url = match Url::parse(url) {
            Ok(url) => url,
            Err(error) => {
                return Err(EndpointError::Url { section, reason: error.to_string() });
            }
        };
        if !matches!(url.scheme(), "http" | "https") {
            return Err(EndpointError::Scheme { section, scheme: url.scheme().into() });
        }
        let mut auth = Auth::None;
        if !url.username().is_empty() || url.password().is_some() {
            let user = percent_decoded(url.username());
            let password = percent_decoded(url.password().unwrap_or(""));
            auth = Auth::password(&user, &password);
            // Both only fail for URLs without a host, which http and https never are.
            let _always = url.set_username("");
            let _always = url.set_password(None);
        }
        let origin = url.origin().ascii_serialization();
        Ok(Self { url, origin, section, auth, limits: Limits::default() })
    }

    /// Sets the credentials, unless `auth` is [`Auth::None`]: then those of the URL stay.
    ///
    /// # Errors
    /// When a user contains a colon or a control character appears: HTTP can't carry these.
    pub fn with_auth(mut self, auth: Auth) -> Result<Self, EndpointError> {
        if let Some(reason) = auth.fault() {
            return Err(EndpointError::Credentials { section: self.section, reason });
        }
        if !matches!(auth, Auth::None) {
            self.auth = auth;
        }
        Ok(self)
    }

    /// Sets the limits.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Scheme, host and port: the only part that appears in messages.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Where the endpoint is configured.
    #[must_use]
    pub fn section(&self) -> &str {
        &self.section
    }

    /// The limits.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) const fn url(&self) -> &Url {
        &self.url
    }

    pub(super) const fn auth(&self) -> &Auth {
        &self.auth
    }

    /// Whether the host is this machine; such endpoints are never reached through a proxy.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.url.host_str().unwrap_or("").trim_matches(['[', ']']);
        host == "localhost"
            || host.parse::<core::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// What an operator does about refused credentials.
    pub(super) fn credentials_fix(&self) -> String {
        let section = &self.section;
        match &self.auth {
            Auth::None => {
                format!("set `cookie_file`, or `user` and `rpc_password_file`, for {section}")
            }
            Auth::Password { .. } => {
                format!("correct `user` and `rpc_password_file` for {section}")
            }
            Auth::Bearer(_) => format!("correct the token for {section}"),
            Auth::Cookie { path } => format!(
                "`cookie_file` for {section} is {}, which the node does not accept: it belongs to \
                 another node or the node uses a password",
                path.display()
            ),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("origin", &self.origin)
            .field("section", &self.section)
            .field("auth", &self.auth)
            .field("limits", &self.limits)
            .finish()
    }
}

/// Undoes URL escapes; what is no valid escape stays as it is.
fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes.get(at + 1..at + 3).and_then(|hex| core::str::from_utf8(hex).ok());
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if bytes[at] == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_paths_stay_out_of_every_text() {
        let endpoint =
            Endpoint::new("https://al%20ice:s%40cret@node.example:8443/v3/KEY", "chains.x")
                .unwrap();
        assert_eq!(endpoint.origin(), "https://node.example:8443");
        assert!(matches!(endpoint.auth(), Auth::Password { user, password }
            if user == "al ice" && password.expose() == "s@cret"));
        let shown = format!("{endpoint} {endpoint:?} {:?}", endpoint.credentials_fix());
        for secret in ["s@cret", "s%40cret", "KEY"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn unusable_urls_name_the_section_and_not_the_text() {
        for bad in ["", "node:8332", "http://", "ws://x", "http://[::1", "secret key"] {
            let message = Endpoint::new(bad, "chain[0].rpc[0]").unwrap_err().to_string();
            assert!(message.starts_with("chain[0].rpc[0]: the address"), "{message}");
            assert!(!message.contains("secret key"), "{message}");
        }
    }

    #[test]
    fn credentials_that_http_cannot_carry_are_refused() {
        let endpoint = || Endpoint::new("http://localhost:1", "x").unwrap();
        assert!(endpoint().with_auth(Auth::password("a:b", "c")).is_err());
        assert!(endpoint().with_auth(Auth::password("a", "c\n")).is_err());
        assert!(endpoint().with_auth(Auth::password("a", "c:d é")).is_ok());
        assert!(endpoint().is_loopback());
        assert!(!Endpoint::new("http://node.example", "x").unwrap().is_loopback());
        assert!(Endpoint::new("http://[::1]:8545", "x").unwrap().is_loopback());
    }
}
