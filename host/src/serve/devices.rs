//! Which devices work. One that failed is opened again until it does: after `xbutil reset` a card comes
//! back without a restart of the server.

use super::error::ApiError;
use axum::http::StatusCode;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// For each device, why it does not work.
pub struct Devices(Mutex<Vec<Option<String>>>);

impl Devices {
    /// All work.
    pub fn new(count: usize) -> Devices {
        Devices(Mutex::new(vec![None; count]))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<String>>> {
        // A list of texts is whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A device failed and could not be opened again.
    pub fn lost(&self, device: usize, why: String) {
        self.lock()[device] = Some(why);
    }

    /// It works again.
    pub fn found(&self, device: usize) {
        self.lock()[device] = None;
    }

    /// Why devices do not work; none for those that do.
    pub fn faults(&self) -> Vec<Option<String>> {
        self.lock().clone()
    }

    /// The answer to requests while there is nothing to run them on.
    pub fn none_left(&self) -> Option<ApiError> {
        let faults = self.lock();
        let why: Vec<&str> = faults.iter().map(Option::as_deref).collect::<Option<_>>()?;
        let what = format!("no device works: {}", why.join("; "));
        Some(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "no_device", what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_refused_when_the_last_device_is_lost() {
        let devices = Devices::new(2);
        devices.lost(1, "hung".into());
        assert!(devices.none_left().is_none());
        devices.lost(0, "gone".into());
        let error = devices.none_left().expect("none left");
        assert_eq!((error.status.as_u16(), error.code), (503, "no_device"));
        assert!(error.message.contains("gone; hung"), "{}", error.message);
        devices.found(1);
        assert!(devices.none_left().is_none());
        assert_eq!(devices.faults(), [Some("gone".to_owned()), None]);
    }
}
