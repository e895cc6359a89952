//! Web pages: which may read answers (CORS), and which may open a WebSocket, which CORS does not cover.
//!
//! Nobody is asked about requests without an `Origin`: only browsers send it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use jsonrpsee::server::{
    HttpBody, HttpRequest, HttpResponse, http::response::host_not_allowed as denied,
};
use tower::{Layer, Service};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

/// The origins of web pages that may use the node: none unless configured.
#[derive(Debug, Clone, Default)]
pub(super) struct Origins {
    any: bool,
    listed: Arc<[String]>,
}

impl Origins {
    /// From the configuration: `*`, or `scheme://host[:port]`.
    ///
    /// # Errors
    /// The first text that is no origin.
    pub(super) fn parse(texts: &[String]) -> Result<Self, String> {
        let mut listed = Vec::new();
        for text in texts.iter().filter(|text| *text != "*") {
            let host = text.split_once("://").map(|(_, host)| host);
            let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '*' | ',' | '@');
            if !host.is_some_and(|host| !host.is_empty() && host.chars().all(plain)) {
                return Err(text.clone());
            }
            listed.push(text.to_ascii_lowercase());
        }
        Ok(Self { any: texts.iter().any(|text| text == "*"), listed: listed.into() })
    }

    fn allows(&self, origin: &[u8]) -> bool {
        self.any || self.listed.iter().any(|one| one.as_bytes() == origin)
    }

    /// Tells browsers which pages may read answers.
    pub(super) fn cors(&self) -> CorsLayer {
        let origins = self.clone();
        let allowed = AllowOrigin::predicate(move |origin, _| origins.allows(origin.as_bytes()));
        CorsLayer::new().allow_origin(allowed).allow_methods(Any).allow_headers(Any)
    }

    /// Refuses a WebSocket of another page: a browser opens it without asking.
    pub(super) fn upgrades(self) -> UpgradeFilterLayer {
        UpgradeFilterLayer(self)
    }
}

/// See [`Origins::upgrades`].
#[derive(Debug, Clone)]
pub(super) struct UpgradeFilterLayer(Origins);

impl<S> Layer<S> for UpgradeFilterLayer {
    type Service = UpgradeFilter<S>;

    fn layer(&self, inner: S) -> Self::Service {
        UpgradeFilter { inner, origins: self.0.clone() }
    }
}

/// See [`Origins::upgrades`].
#[derive(Debug, Clone)]
pub(super) struct UpgradeFilter<S> {
    inner: S,
    origins: Origins,
}

impl<S, B> Service<HttpRequest<B>> for UpgradeFilter<S>
where
    S: Service<HttpRequest<B>, Response = HttpResponse>,
    S::Error: Send + 'static,
    S::Future: Send + 'static,
{
    type Response = HttpResponse;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        let headers = request.headers();
        let refused = headers.contains_key("upgrade")
            && headers.get("origin").is_some_and(|origin| !self.origins.allows(origin.as_bytes()));
        if !refused {
            return Box::pin(self.inner.call(request));
        }
        let mut answer = HttpResponse::new(HttpBody::from(
            "this page may not open a WebSocket here; node.rpc_cors lists the pages that may",
        ));
        *answer.status_mut() = denied().status();
        Box::pin(std::future::ready(Ok(answer)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_exact() {
        let parse = |texts: &[&str]| {
            Origins::parse(&texts.iter().copied().map(String::from).collect::<Vec<_>>())
        };
        let origins = parse(&["https://App.example", "http://localhost:3000"]).unwrap();
        assert!(origins.allows(b"https://app.example"));
        assert!(origins.allows(b"http://localhost:3000"));
        for other in ["http://app.example", "https://app.example.evil", "http://localhost", "null"]
        {
            assert!(!origins.allows(other.as_bytes()), "{other}");
        }
        assert!(!Origins::default().allows(b"http://localhost"));
        assert!(parse(&["*"]).unwrap().allows(b"https://any.example"));
        for bad in ["app.example", "https://", "https://app.example/", "https://*.example"] {
            assert_eq!(parse(&[bad]).unwrap_err(), bad);
        }
    }
}
