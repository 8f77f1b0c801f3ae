//! Paths and what answers them.

use super::answer::Kind;
use super::app::App;
use super::embeddings::embed;
use super::error::ApiError;
use super::page;
use axum::extract::{Path, Request, State};
use axum::http::{header, Method, StatusCode};
use axum::middleware::{from_fn_with_state, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde_json::{json, Value};
use std::net::SocketAddr;
use std::sync::Arc;

type Shared = State<Arc<App>>;

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Paths that metrics tell apart.
const PATHS: [&str; 9] = [
    "/",
    "/health",
    "/metrics",
    "/v1/models",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/style.css",
    "/app.js",
];

/// All routes.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(page::index))
        .route("/style.css", get(page::style))
        .route("/app.js", get(page::script))
        .route("/timeline.js", get(page::timeline))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/v1/models", get(models))
        .route("/v1/models/{*name}", get(model))
        .route("/v1/chat/completions", post(chat))
        .route("/v1/completions", post(completions))
        .route("/v1/embeddings", post(embeddings))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(app.clone(), counted))
        .with_state(app)
}

/// Checks the host's name and counts the response.
async fn counted(State(app): Shared, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let path = PATHS.into_iter().find(|known| *known == path).unwrap_or("other");
    let response = match app.access.check_host(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    app.metrics.response(path, response.status().as_u16());
    response
}

async fn unknown(request: Request) -> ApiError {
    let what = format!("there is nothing at {}", request.uri().path());
    ApiError::new(StatusCode::NOT_FOUND, "unknown_url", what)
}

async fn wrong_method(method: Method, request: Request) -> ApiError {
    let what = format!("{} does not take {method}", request.uri().path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", what)
}

async fn health(State(app): Shared) -> Response {
    let (waiting, running) = app.queue.load();
    let loaded = app.metrics.devices.get();
    let body = json!({"status": if loaded > 0 { "ok" } else { "no device" }, "model": app.name,
        "devices": app.devices, "faults": app.working.faults(), "loaded": loaded, "waiting": waiting, "running": running});
    let status = if loaded > 0 { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

async fn metrics(
    State(app): Shared,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Result<Response, ApiError> {
    app.access.client(request.headers(), peer.0)?;
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((kind, app.metrics.text(&app.queue)).into_response())
}

/// What the API says about the model, and what only this server knows beside it.
fn card(app: &App) -> Value {
    json!({
        "id": app.name,
        "object": "model",
        "created": app.created,
        "owned_by": "flightvlm",
        "architecture": app.info.architecture,
        "max_model_len": app.info.max_context,
        "takes_images": app.info.image.is_some(),
        "image_tokens": app.info.image.as_ref().map(|image| image.rows),
        "devices": app.devices,
        "needs_key": !app.access.keys.is_empty(),
    })
}

async fn models(
    State(app): Shared,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    app.access.client(request.headers(), peer.0)?;
    Ok(Json(json!({"object": "list", "data": [card(&app)]})))
}

async fn model(
    State(app): Shared,
    Extension(peer): Extension<Peer>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    app.access.client(request.headers(), peer.0)?;
    app.check_model(Some(&name))?;
    Ok(Json(card(&app)))
}

async fn chat(
    State(app): Shared,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    app.complete(Kind::Chat, peer.0, parts, body).await
}

async fn completions(
    State(app): Shared,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    app.complete(Kind::Text, peer.0, parts, body).await
}

async fn embeddings(
    State(app): Shared,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let (parts, body) = request.into_parts();
    embed(app, peer.0, parts, body).await
}
