//! Where a node is and how to speak to it.

use core::{fmt, time::Duration};
use std::sync::Arc;

use prometheus::IntCounter;
use reqwest::Url;
use thiserror::Error;

use super::{Auth, EndpointGroup, PoolSettings, gate::Gate, metrics::Meter};

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

impl Limits {
    /// Those of a Bitcoin Core node: it takes batches of any length, such as one for 2,000 headers and a few
    /// calls more. A server that refuses one is asked in shorter ones.
    #[must_use]
    pub fn bitcoin_core() -> Self {
        Self { max_batch: 2_048, ..Self::default() }
    }
}

/// A node's address, credentials and limits. `Debug` and `Display` show scheme, host and port only.
/// Clones share the endpoint's standing: its circuit breaker, and the pause that it asked for.
#[derive(Clone)]
pub struct Endpoint {
    url: Url,
    origin: String,
    section: String,
    auth: Auth,
    limits: Limits,
    group: Option<EndpointGroup>,
    gate: Arc<Gate>,
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
        let gate = Arc::new(Gate::new(&origin, PoolSettings::default().break_after, None));
        let limits = Limits::default();
        Ok(Self { url, origin, section, auth, limits, group: None, gate })
    }

    /// Makes it one of the endpoints of a chain: with their deadline, rate and circuit breaker.
    #[must_use]
    pub fn in_group(mut self, group: &EndpointGroup) -> Self {
        let settings = group.settings();
        self.limits.timeout = settings.deadline;
        self.limits.connect_timeout = self.limits.connect_timeout.min(settings.deadline);
        let bucket = group.bucket(&self.provider());
        self.gate = Arc::new(Gate::new(&self.origin, settings.break_after, bucket));
        self.group = Some(group.clone());
        self
    }

    /// How it is treated.
    #[must_use]
    pub fn settings(&self) -> PoolSettings {
        self.group.as_ref().map(|group| *group.settings()).unwrap_or_default()
    }

    /// Host and port, the name of whoever runs it.
    fn provider(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
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

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Where its hedged questions are counted.
    pub(crate) fn hedges(&self) -> Option<IntCounter> {
        let group = self.group.as_ref()?;
        Some(group.metrics()?.hedges(group.chain(), &self.provider()))
    }

    /// Where calls of these methods are counted.
    pub(super) fn meter(&self, methods: &[&'static str]) -> Meter {
        let group = self.group.as_ref();
        let counted = group.and_then(|group| Some((group, group.metrics()?)));
        counted.map_or_else(Meter::default, |(group, metrics)| {
            Meter::new(metrics, group.chain(), &self.provider(), methods)
        })
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
