//! Failures as answers: `{"error": {"code", "message", "fix"}}`, never a word about the machine's inside.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

use crate::{explain::ExplainError, main_chain::MainError, store::StoreError};

/// What kind of failure it is, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Code {
    /// A parameter or the body is not what the route takes.
    BadRequest,
    /// The token is missing or wrong.
    Unauthorized,
    /// There is no such thing, or no such route.
    NotFound,
    /// The route has another method.
    MethodNotAllowed,
    /// The thing is in a state in which this can't be done to it.
    Conflict,
    /// The request is larger than the route takes.
    TooLarge,
    /// Something went wrong in here; the log has it.
    Internal,
    /// This process can't do it.
    NotSupported,
    /// The database or the main chain does not answer.
    Unavailable,
    /// The answer took too long.
    Timeout,
}

impl Code {
    /// All codes.
    pub const ALL: [Self; 10] = [
        Self::BadRequest,
        Self::Unauthorized,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::TooLarge,
        Self::Internal,
        Self::NotSupported,
        Self::Unavailable,
        Self::Timeout,
    ];

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Internal => 500,
            Self::NotSupported => 501,
            Self::Unavailable => 503,
            Self::Timeout => 504,
        }
    }
}

/// A failure of the HTTP API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// What kind of failure it is.
    pub code: Code,
    /// What is wrong, with the values.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// The body of a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The failure.
    pub error: ApiError,
}

impl ApiError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), fix: None }
    }

    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(Code::BadRequest, message)
            .fix("docs/openapi.json has the parameters of every route, and their limits")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(ErrorBody { error: self.clone() })).into_response();
        if self.code == Code::Unauthorized {
            let value = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the database failed for an HTTP request");
        Self::new(Code::Unavailable, "the database does not answer")
            .fix("the relayer's log has the reason; docs/runbooks/GridDatabaseSlow.md tells more")
    }
}

impl From<MainError> for ApiError {
    fn from(error: MainError) -> Self {
        Self::new(Code::Unavailable, format!("the main chain: {error}"))
            .fix("docs/runbooks/GridMainChainErrors.md tells more")
    }
}

impl From<ExplainError> for ApiError {
    fn from(error: ExplainError) -> Self {
        match error {
            ExplainError::NoId(error) => Self::new(Code::BadRequest, error.to_string()),
            ExplainError::Store(error) => error.into(),
        }
    }
}
