//! Errors in the API's own shape: `{"error": {"message", "type", "param", "code"}}`.

use axum::http::{header, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::Json;
use serde_json::{json, Value};

/// An error as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// What is wrong and what to do.
    pub message: String,
    /// The field that is at fault.
    pub param: Option<String>,
    /// A word for programs.
    pub code: &'static str,
}

impl ApiError {
    /// Any error.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError { status, message: message.into(), param: None, code }
    }

    /// A request that cannot be answered as it is.
    pub fn invalid(param: impl Into<String>, code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError { param: Some(param.into()), ..ApiError::new(StatusCode::BAD_REQUEST, code, message) }
    }

    /// A value of the wrong kind or out of range.
    pub fn value(param: impl Into<String>, message: impl Into<String>) -> ApiError {
        ApiError::invalid(param, "invalid_value", message)
    }

    /// Something that the API has and this server has not.
    pub fn unsupported(param: impl Into<String>, message: impl Into<String>) -> ApiError {
        ApiError::invalid(param, "unsupported_value", message)
    }

    /// The server ends.
    pub fn shutting_down() -> ApiError {
        let what = "the server is shutting down; the answer is incomplete";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", what)
    }

    /// A request that took too long.
    pub fn timeout(seconds: f64) -> ApiError {
        let what = format!(
            "the request took longer than the {seconds} s that one may take; ask for fewer tokens or try \
             again when the server is less busy"
        );
        ApiError::new(StatusCode::GATEWAY_TIMEOUT, "timeout", what)
    }

    fn kind(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        }
    }

    /// The body.
    pub fn json(&self) -> Value {
        let (message, kind) = (&self.message, self.kind());
        json!({"error": {"message": message, "type": kind, "param": self.param, "code": self.code}})
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.json())).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
