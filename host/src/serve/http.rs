//! Connections: a bounded number, with a time limit for headers, until the server ends.

use super::routes::Peer;
use axum::extract::Request;
use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{watch, OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt;

/// For a request's headers to arrive; also how long an idle connection is kept.
const HEADER_TIME: Duration = Duration::from_secs(15);
/// For answers to end after the server was told to.
const GRACE: Duration = Duration::from_secs(5);

/// Accepts connections until `ending` turns true, then waits for those that are open.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    max_connections: usize,
    mut ending: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(max_connections));
    loop {
        let place = places.clone().acquire_owned();
        let next = async {
            let place = place.await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            _ = ending.wait_for(|ending| *ending) => break,
        };
        match (place, accepted) {
            (Ok(place), Ok((stream, peer))) => {
                let connection = Connection { router: router.clone(), peer, place, ending: ending.clone() };
                tokio::spawn(connection.run(stream));
            }
            // Too many open files, a connection reset before it was taken: others may still work.
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    let all = u32::try_from(max_connections).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(GRACE, places.acquire_many(all)).await;
}

struct Connection {
    router: Router,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
    ending: watch::Receiver<bool>,
}

impl Connection {
    async fn run(self, stream: TcpStream) {
        let Connection { router, peer, place, mut ending } = self;
        // Tokens are small and wanted at once; without it they are only slower.
        let _ = stream.set_nodelay(true);
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let mut request: Request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(Peer(peer));
            router.clone().oneshot(request)
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).max_buf_size(64 << 10);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = async {
            let _ = ending.wait_for(|ending| *ending).await;
        };
        tokio::select! {
            // Errors here are the client's: it went away or spoke no HTTP.
            _ = connection.as_mut() => {}
            () = ended => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
        drop(place);
    }
}
