//! Credentials of a node's HTTP interface.

use core::fmt;
use std::path::PathBuf;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::header::HeaderValue;
use tokio::{io::AsyncReadExt as _, sync::RwLock};
use zeroize::Zeroizing;

use super::Endpoint;
use crate::RpcError;

/// A text that no formatter shows and that is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How an endpoint knows us.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Auth {
    /// It asks for nothing.
    #[default]
    None,
    /// HTTP basic authentication.
    Password {
        /// User name, without colons.
        user: String,
        /// Password.
        password: Secret,
    },
    /// A token in an `Authorization: Bearer` header.
    Bearer(Secret),
    /// Bitcoin Core's cookie file, rewritten at each start of the node; read again when refused.
    Cookie {
        /// Path of `.cookie`.
        path: PathBuf,
    },
}

impl Auth {
    /// Basic authentication.
    #[must_use]
    pub fn password(user: &str, password: &str) -> Self {
        Self::Password { user: user.into(), password: Secret::new(password) }
    }

    /// Why HTTP can't carry it.
    pub(super) fn fault(&self) -> Option<&'static str> {
        if let Self::Bearer(token) = self
            && (token.expose().is_empty() || !token.expose().bytes().all(|b| b.is_ascii_graphic()))
        {
            return Some("a token must have visible ASCII characters only, at least one");
        }
        let Self::Password { user, password } = self else { return None };
        if user.contains(':') {
            Some("`user` must not contain a colon")
        } else if user.chars().chain(password.expose().chars()).any(char::is_control) {
            Some("`user` and `password` must not contain control characters")
        } else {
            None
        }
    }
}

/// Longest cookie file that is read; Bitcoin Core's has 75 bytes.
const MAX_COOKIE: u64 = 1_024;

/// The header in use.
#[derive(Debug)]
pub(super) enum AuthState {
    None,
    Fixed(HeaderValue),
    Cookie { path: PathBuf, cached: RwLock<Option<HeaderValue>> },
}

impl AuthState {
    pub(super) fn new(auth: &Auth) -> Self {
        match auth {
            Auth::None => Self::None,
            Auth::Password { user, password } => {
                let pair = Zeroizing::new(format!("{user}:{}", password.expose()));
                Self::Fixed(basic(&pair))
            }
            Auth::Bearer(token) => {
                let text = Zeroizing::new(format!("Bearer {}", token.expose()));
                Self::Fixed(header(&text, "Bearer"))
            }
            Auth::Cookie { path } => Self::Cookie { path: path.clone(), cached: RwLock::new(None) },
        }
    }

    /// The header to send.
    pub(super) async fn header(&self, at: &Endpoint) -> Result<Option<HeaderValue>, RpcError> {
        match self {
            Self::None => Ok(None),
            Self::Fixed(header) => Ok(Some(header.clone())),
            Self::Cookie { path, cached } => {
                if let Some(header) = cached.read().await.as_ref() {
                    return Ok(Some(header.clone()));
                }
                let header = read_cookie(path, at).await?;
                *cached.write().await = Some(header.clone());
                Ok(Some(header))
            }
        }
    }

    /// After a refusal: other credentials than those `used`, if there are any.
    pub(super) async fn refreshed(
        &self,
        at: &Endpoint,
        used: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, RpcError> {
        let Self::Cookie { path, cached } = self else { return Ok(None) };
        let fresh = read_cookie(path, at).await?;
        *cached.write().await = Some(fresh.clone());
        Ok((used != Some(&fresh)).then_some(fresh))
    }
}

fn basic(pair: &str) -> HeaderValue {
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair)));
    // Base64 has no character that a header refuses.
    header(&text, "Basic")
}

fn header(text: &str, instead: &'static str) -> HeaderValue {
    let mut value =
        HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(instead));
    value.set_sensitive(true);
    value
}

async fn read_cookie(path: &PathBuf, at: &Endpoint) -> Result<HeaderValue, RpcError> {
    let fault = |reason: String| RpcError::Cookie {
        endpoint: at.origin().into(),
        section: at.section().into(),
        path: path.clone(),
        reason,
    };
    let read = async {
        let mut text = Zeroizing::new(String::new());
        let file = tokio::fs::File::open(path).await?;
        file.take(MAX_COOKIE).read_to_string(&mut text).await?;
        Ok::<_, std::io::Error>(text)
    };
    let text = match tokio::time::timeout(at.limits().timeout, read).await {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => return Err(fault(error.to_string())),
        Err(_elapsed) => return Err(fault("reading it takes too long".into())),
    };
    let pair = text.trim_end_matches(['\r', '\n']);
    if !pair.contains(':') || pair.chars().any(char::is_control) {
        return Err(fault("expected one line user:password".into()));
    }
    Ok(basic(pair))
}
