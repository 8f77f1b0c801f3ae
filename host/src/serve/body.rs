//! Request bodies: bounded in size, in time, and all together in memory.

use super::error::ApiError;
use super::limits::Limits;
use axum::body::Body;
use axum::http::{header, HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory for bodies that are being read or decoded.
pub struct BodyMemory(Arc<Semaphore>);

/// A parsed body, with the memory that it and its pictures take.
pub struct Parsed {
    /// JSON.
    pub json: Value,
    /// Kept until pictures are decoded and the body is dropped.
    pub memory: OwnedSemaphorePermit,
}

/// Permits are KiB.
fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

impl BodyMemory {
    /// Room for so many bytes.
    pub fn new(bytes: usize) -> BodyMemory {
        BodyMemory(Arc::new(Semaphore::new(permits(bytes) as usize)))
    }

    /// Reads a JSON body.
    pub async fn read(&self, headers: &HeaderMap, body: Body, limits: &Limits) -> Result<Parsed, ApiError> {
        require_json(headers)?;
        let too_large = || {
            let what = format!("the body is larger than the {} bytes accepted", limits.body_bytes);
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", what)
        };
        let announced = headers.get(header::CONTENT_LENGTH).and_then(|n| n.to_str().ok()?.parse().ok());
        let bytes = announced.unwrap_or(limits.body_bytes);
        if bytes > limits.body_bytes {
            return Err(too_large());
        }
        let read = async {
            let memory = self.0.clone().acquire_many_owned(permits(bytes)).await;
            let memory = memory.map_err(|_| ApiError::shutting_down())?;
            let body = Limited::new(body, limits.body_bytes).collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    return too_large();
                }
                let what = format!("the body did not arrive: {error}");
                ApiError::new(StatusCode::BAD_REQUEST, "incomplete_body", what)
            })?;
            Ok((memory, body.to_bytes()))
        };
        let Ok(read) = tokio::time::timeout(limits.body_time, read).await else {
            let what = format!("the body did not arrive within {} s", limits.body_time.as_secs_f64());
            return Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "slow_body", what));
        };
        let (memory, bytes) = read?;
        let json = serde_json::from_slice(&bytes).map_err(|error| {
            ApiError::invalid("body", "invalid_json", format!("the body is not JSON: {error}"))
        })?;
        Ok(Parsed { json, memory })
    }
}

/// A page of another site can send forms and plain text to a server on this computer without asking,
/// but not JSON.
fn require_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if kind == "application/json" {
        return Ok(());
    }
    let what = format!("expected Content-Type application/json, got {kind:?}");
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", what))
}
